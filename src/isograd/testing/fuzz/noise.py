"""Noise as large as rounding: how far results of a program may move without being wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.runtime.tensor import Tensor

__all__ = ["EXACT", "Noise"]

_EXACT = """
abs add all any arange argmax argmin argsort astype bitwise_and bitwise_invert bitwise_or
bitwise_xor broadcast_to ceil clip concat copysign count_nonzero divide equal expand_dims flip
floor full full_like greater greater_equal isfinite isnan less less_equal logical_and logical_not
logical_or max maximum min minimum moveaxis multiply negative nextafter not_equal one_hot pad
permute_dims repeat reshape roll round sign signbit sort sqrt square squeeze stack stop_gradient
subtract take take_along_axis tile trunc tril triu where zeros_like random.uniform random.normal
random.integers random.bernoulli
"""

#: Functions whose result is the same bits on every backend, so that rounding plays no part.
EXACT = frozenset(["x[]", "x.at[].set", "F.relu", "F.dropout"]) | {
    f"ig.{name}" for name in _EXACT.split()
}

#: The size of the noise in units of the distance between numbers: what functions may err, four
#: times, so that the sum of many terms, whose noise is nearly 0, is moved as well.
_SIZE = 32.0


class Noise:
    """Moves values by a few units in the last place.

    Multiplications by ``1 + noise`` are differentiable, so that they move cotangents as well.

    Parameters
    ----------
    seed
        Chooses the noise.
    everywhere
        Whether exact functions are followed by noise too, as is needed where backward passes add
        up what the forward pass only moved.
    """

    def __init__(self, seed: int, *, everywhere: bool) -> None:
        self._rng = np.random.default_rng(seed)
        self._everywhere = everywhere
        self.used = False

    def on_input(self, value: Any) -> Any:
        """Return an input with noise."""
        return self._moved(value) if self._everywhere else value

    def on_argument(self, function: str, value: Any) -> Any:
        """Return what a function gets in place of a value: sums cancel, so that terms count."""
        return value if function in EXACT else self._moved(value)

    def on_result(self, function: str, value: Any) -> Any:
        """Return what a function may as well have returned."""
        return self._moved(value) if self._everywhere or function not in EXACT else value

    def _moved(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or not dtypes.is_floating(value.dtype):
            return value
        self.used = True
        size = _SIZE * float(dtypes.finfo(value.dtype).eps)
        factor = 1.0 + size * self._rng.uniform(-1.0, 1.0, value.shape)
        return value * ig.tensor(np.asarray(factor).astype(value.dtype))
