"""`isograd.linalg`: functions of the array API's linear algebra extension that exist so far."""

from isograd.ops.linear import matmul, outer, tensordot, vecdot
from isograd.ops.movement import matrix_transpose
from isograd.ops.reductions import vector_norm

__all__ = ["matmul", "matrix_transpose", "outer", "tensordot", "vecdot", "vector_norm"]
