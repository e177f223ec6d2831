"""What draws from a random key: normal numbers and dropout."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from math import ceil

from isograd.backend.normal import normal_from_uniform
from isograd.core import dtypes
from isograd.ir import Aval
from isograd.ops import creation, infer
from isograd.ops import elementwise as m
from isograd.ops import primitives as prims
from isograd.ops.convert import cast
from isograd.ops.fused.common import fused
from isograd.runtime.bind import bind
from isograd.runtime.rules import Linear
from isograd.runtime.tensor import Tensor

__all__ = [
    "dropout",
    "random_normal",
]


def _random_normal(key: Tensor, *, shape: tuple[int, ...], dtype: dtypes.DType) -> Tensor:
    from isograd import ops

    words = bind(prims.random_bits, key, shape=shape, bits=64)
    high = cast(m.bitwise_right_shift(words, 12), dtypes.float64)
    z = normal_from_uniform(ops, (high - (2.0**51 - 0.5)) * 2.0**-52)
    return cast(cast(z, dtypes.float32), dtype) if dtypes.is_half(dtype) else cast(z, dtype)


random_normal_p = fused("random_normal", prims.key_to_floats, _random_normal)


def random_normal(key: Tensor, /, *, shape: tuple[int, ...], dtype: dtypes.DType) -> Tensor:
    """Return standard normal numbers for a random key, the same bits on every backend."""
    return bind(random_normal_p, key, shape=shape, dtype=dtype)


def _infer_dropout(x: Aval, key: Aval, *, p: float) -> Aval:
    infer.require("dropout", x, "float")
    infer.check_key("dropout", key)
    return x


def _dropout(x: Tensor, key: Tensor, *, p: float) -> Tensor:
    limit = ceil(p * 2.0**32)
    if limit >= 2**32:
        return creation.zeros_like(x)
    keep = m.greater_equal(_random_words(key, x.shape), limit)
    return m.where(keep, x * (1.0 / (1.0 - p)), 0)


def _random_words(key: Tensor, shape: tuple[int, ...]) -> Tensor:
    return bind(prims.random_bits, key, shape=shape, bits=32)


dropout_p = fused(
    "dropout",
    _infer_dropout,
    _dropout,
    Linear(lambda g, key, *, p: bind(dropout_p, g, key, p=p), None, names=("x", "key"), joint=True),
)


def dropout(x: Tensor, key: Tensor, /, *, p: float) -> Tensor:
    """Return x with a share ``p`` of its elements set to 0, the others divided by ``1 - p``.

    The mask is a function of the key and the position, so the backward pass makes it again instead
    of keeping it.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p is {p}; pass a probability from 0 to 1")
    return bind(dropout_p, x, key, p=float(p))
