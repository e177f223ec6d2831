"""The functions of einops, on tensors: `rearrange`, `reduce`, `repeat`, `einsum`, `pack`, `unpack`.

Importing this module tells einops about tensors, so that afterwards its own functions take them
too. Without it `einops.array_api` has all of them but ``einsum``. Needs einops
(``pip install 'isograd[einops]'``).

>>> import isograd as ig
>>> from isograd.einops import rearrange, reduce
>>> rearrange(ig.ones((2, 3, 4)), "a b c -> (a c) b").shape
(8, 3)
>>> reduce(ig.arange(6), "(a b) -> a", "sum", b=3).tolist()
[3, 12]
"""

# einops states its types in part.
# pyright: reportUnknownVariableType=false

from isograd.core.optional import require

require("isograd.einops", "einops", "einops")

from einops import (  # noqa: E402
    asnumpy,
    einsum,
    pack,
    parse_shape,
    rearrange,
    reduce,
    repeat,
    unpack,
)

from isograd.einops.backend import IsogradBackend  # noqa: E402

__all__ = [
    "IsogradBackend",
    "asnumpy",
    "einsum",
    "pack",
    "parse_shape",
    "rearrange",
    "reduce",
    "repeat",
    "unpack",
]
