"""`isograd.linalg`: the array API's linear algebra extension, and what users of NumPy expect.

Matrices are in the last two axes, and every function takes batches of them. Results are computed in
float32 and float64: 16-bit floats in float32, rounded once, integers in the default float. Every
function of floats has derivatives of any order, forward and reverse. NaN and infinities in a matrix
make its results NaN; a finite matrix that has no result, such as the inverse of a singular one, is
an error on the CPU that says which one of a batch it is.
"""

from isograd.ops.diagonals import diagonal, trace
from isograd.ops.linalg import decompositions, functions, rules, solving
from isograd.ops.linalg.decompositions import *  # noqa: F403
from isograd.ops.linalg.functions import *  # noqa: F403
from isograd.ops.linalg.solving import *  # noqa: F403
from isograd.ops.linear import cross, matmul, outer, tensordot, vecdot
from isograd.ops.movement import matrix_transpose
from isograd.ops.reductions import vector_norm

__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_transpose",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
for _module in (decompositions, solving, functions):
    __all__ += _module.__all__  # pyright: ignore[reportUnsupportedDunderAll]

rules.install()
