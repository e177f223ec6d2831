"""What the tests of compiled kernels share: NumPy's kernels, numbers of threads, layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

Array = Any


def _same(first: Any, second: Any) -> None:
    if isinstance(first, tuple):
        for a, b in zip(first, second, strict=True):
            _same(a, b)
    else:
        assert first.shape == second.shape
        assert first.dtype == second.dtype
        assert first.tobytes() == second.tobytes()


@pytest.fixture(autouse=True)
def _ignored_warnings() -> Iterator[None]:
    """Run kernels as the engine does."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def for_any_threads() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Return a function that calls another with 1, 2 and 3 threads, and checks that bits agree."""
    from isograd_numba import _threads

    before = _threads.get_num_threads()

    def run(function: Callable[[], Any]) -> Any:
        results: list[Any] = []
        for count in (1, 2, 3):
            _threads.set_num_threads(count)
            results.append(function())
        _same(results[0], results[1])
        _same(results[0], results[2])
        return results[0]

    yield run
    _threads.set_num_threads(before)


@pytest.fixture
def layouts() -> Callable[[Array], list[Array]]:
    """Return a function that gives arrays of equal values with other strides, and zero strides."""

    def make(x: Array) -> list[Array]:
        axes = tuple(range(x.ndim))
        strided = np.zeros([2 * n for n in x.shape], x.dtype)[(slice(None, None, 2),) * x.ndim]
        strided[...] = x
        flipped = np.ascontiguousarray(np.flip(x))
        rolled = np.ascontiguousarray(x.transpose(axes[1:] + axes[:1]))
        unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
        unaligned[...] = x
        readonly = x.copy()
        readonly.flags.writeable = False
        return [
            np.asfortranarray(x),
            rolled.transpose(axes[-1:] + axes[:-1]),
            strided,
            np.flip(flipped),
            np.broadcast_to(x[:1], x.shape),
            np.broadcast_to(x[..., :1], x.shape),
            unaligned,
            readonly,
        ]

    return make
