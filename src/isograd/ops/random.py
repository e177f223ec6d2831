"""Random numbers by counter: a function of (seed, stream, position), the same bits everywhere.

The generator is Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11).
Every draw takes the next stream of its `Generator`; element ``i`` of the result depends on word
``i`` of that stream, so neither the backend, nor the number of threads, nor the chunking can change
it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.config import modes
from isograd.core.devices import Device
from isograd.core.errors import DTypeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops import primitives as p
from isograd.ops.convert import as_tensor, cast, shape_of
from isograd.ops.creation import arange, full, tensor
from isograd.ops.indexing import take
from isograd.ops.movement import broadcast_to, reshape
from isograd.ops.reductions import argsort
from isograd.runtime.bind import bind
from isograd.runtime.registry import resolve_device
from isograd.runtime.tensor import Tensor

__all__ = [
    "Generator",
    "bernoulli",
    "choice",
    "default_generator",
    "integers",
    "manual_seed",
    "normal",
    "permutation",
    "snapshot",
    "uniform",
]

_MASK = 2**64 - 1


class Generator:
    """A sequence of random streams from one seed.

    Parameters
    ----------
    seed
        Any integer; its lowest 64 bits count. None takes entropy from the system.
    stream
        The number of the next stream.

    Examples
    --------
    >>> a, b = Generator(7), Generator(7)
    >>> bool((uniform(3, generator=a) == uniform(3, generator=b)).all())
    True
    """

    def __init__(self, seed: int | None = None, *, stream: int = 0) -> None:
        self._lock = threading.Lock()
        self.manual_seed(
            int.from_bytes(os.urandom(8), "little") if seed is None else seed, stream=stream
        )

    def manual_seed(self, seed: int, /, *, stream: int = 0) -> Generator:
        """Start again from a seed."""
        self.seed = seed & _MASK
        self.stream = stream
        return self

    def key(self, device: Device | str | None = None) -> Tensor:
        """Return the key of the next stream, ``uint64[2]``, and move on."""
        if modes.trace is not None:
            return modes.trace.draw(self, resolve_device(device))
        return self.take(1, device)

    def take(self, count: int, device: Device | str | None = None) -> Tensor:
        """Return the key of the next stream and move on by ``count`` streams."""
        with self._lock:
            stream, self.stream = self.stream, self.stream + count
        return tensor(np.array([self.seed, stream & _MASK], np.uint64), device=device)

    def state_dict(self) -> dict[str, int]:
        """Return what `load_state_dict` needs to continue the sequence."""
        return {"seed": self.seed, "stream": self.stream}

    def load_state_dict(self, state: dict[str, int], /) -> None:
        """Continue a sequence that `state_dict` described."""
        self.manual_seed(int(state["seed"]), stream=int(state["stream"]))

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, stream={self.stream})"


default_generator = Generator(0)


def manual_seed(seed: int, /) -> Generator:
    """Seed the default generator, from which everything draws that names no other.

    Examples
    --------
    >>> _ = manual_seed(0)
    >>> first = normal(4)
    >>> _ = manual_seed(0)
    >>> bool((first == normal(4)).all())
    True
    """
    return default_generator.manual_seed(seed)


def snapshot() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Note the default generator's state; the result draws from there again in a ``with`` block."""
    noted = default_generator.state_dict()

    return lambda: _Replay(noted)


class _Replay:
    """Draws from a noted state inside a ``with`` block, then goes on as before."""

    def __init__(self, noted: dict[str, int]) -> None:
        self._noted = noted

    def __enter__(self) -> None:
        self._now = default_generator.state_dict()
        default_generator.load_state_dict(self._noted)

    def __exit__(self, *_: object) -> None:
        default_generator.load_state_dict(self._now)


def _float(dtype: Any) -> dtypes.DType:
    found = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_floating(found):
        raise DTypeError(
            f"random: dtype {found} is not floating-point; use integers() for integers"
        )
    return found


def _key(generator: Generator | None, device: Any) -> Tensor:
    return (default_generator if generator is None else generator).key(resolve_device(device))


def _words(key: Tensor, shape: tuple[int, ...], bits: int) -> Tensor:
    return bind(p.random_bits, key, shape=shape, bits=bits)


def _unit(key: Tensor, shape: tuple[int, ...], dtype: dtypes.DType) -> Tensor:
    """Return uniform numbers in [0, 1) from the top bits: 53 of 64 for float64, else of 32."""
    if dtype == dtypes.float64:
        return cast(m.bitwise_right_shift(_words(key, shape, 64), 11), dtype) * 2.0**-53
    # 16-bit floats keep as many top bits as they have, so that rounding cannot reach 1.
    digits = {dtypes.float32: 24, dtypes.float16: 11}.get(dtype, 8)
    whole = m.bitwise_right_shift(_words(key, shape, 32), 32 - digits)
    return cast(cast(whole, dtypes.float32) * 2.0**-digits, dtype)


def uniform(
    shape: Any = (),
    *,
    low: float = 0.0,
    high: float = 1.0,
    dtype: Any = None,
    device: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Return numbers spread evenly over ``[low, high)``.

    Parameters
    ----------
    shape
        An integer or a tuple.
    dtype
        Floating-point; the default float for None.
    generator
        Where to draw from; the default generator for None.

    Examples
    --------
    >>> _ = manual_seed(0)
    >>> uniform((2, 3)).shape
    (2, 3)
    """
    found, size = _float(dtype), shape_of("uniform", shape)
    if not low <= high:
        raise ValueError(f"uniform: low {low} is above high {high}; exchange them")
    unit = _unit(_key(generator, device), size, found)
    if (low, high) == (0.0, 1.0):
        return unit
    scaled = unit * (high - low) + low
    # Rounding may reach the excluded bound.
    return m.where(m.less(scaled, high), scaled, low) if low < high else scaled


def normal(
    shape: Any = (),
    *,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: Any = None,
    device: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Return normal numbers of the given mean and standard deviation.

    The inverse distribution function (Wichura's AS 241) in plain IEEE arithmetic on float64,
    rounded to the dtype, so the bits are equal on every backend.

    Examples
    --------
    >>> _ = manual_seed(0)
    >>> abs(normal(10000).mean().item()) < 0.05
    True
    """
    found, size = _float(dtype), shape_of("normal", shape)
    if not std >= 0:
        raise ValueError(f"normal: std is {std}; pass a number of at least 0")
    out = fused.random_normal(_key(generator, device), shape=size, dtype=found)
    return out if (mean, std) == (0.0, 1.0) else out * std + mean


def integers(
    low: int,
    high: int | None = None,
    shape: Any = (),
    *,
    dtype: Any = None,
    device: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Return integers in ``[low, high)``, or in ``[0, low)`` if only one is given.

    The high word of the product of a 64-bit word with the range, so a value's probability differs
    from 1/range by less than 2**-64.

    Raises
    ------
    ValueError
        If the range is empty.

    Examples
    --------
    >>> _ = manual_seed(0)
    >>> bool((integers(6, shape=100) < 6).all())
    True
    """
    first, last = (0, low) if high is None else (low, high)
    found = dtypes.default_int() if dtype is None else dtypes.as_dtype(dtype)
    limits = dtypes.iinfo(found)
    if first >= last:
        raise ValueError(f"integers: the range from {first} to {last} is empty; pass low < high")
    if first < limits.min or last - 1 > limits.max:
        raise DTypeError(
            f"integers: the range from {first} to {last} does not fit into {found}; choose a wider "
            "dtype"
        )
    words = _words(_key(generator, device), shape_of("integers", shape), 64)
    offset = words if last - first == 2**64 else _high_product(words, last - first)
    if found == dtypes.uint64:
        return m.add(offset, full((), first, dtype=found, device=offset.device))
    # Two's complement: wrapping addition of low is right for every range that fits.
    shifted = m.add(offset, full((), first & _MASK, dtype=dtypes.uint64, device=offset.device))
    return cast(cast(shifted, dtypes.int64), found)


def _high_product(words: Tensor, factor: int) -> Tensor:
    """Return the upper 64 bits of the 128-bit products of words with a number below 2**64."""

    def number(value: int) -> Tensor:
        return full((), value, dtype=dtypes.uint64, device=words.device)

    low_mask, shift = number(2**32 - 1), number(32)
    low, high = m.bitwise_and(words, low_mask), m.bitwise_right_shift(words, shift)
    f_low, f_high = number(factor & (2**32 - 1)), number(factor >> 32)
    middle = m.add(m.multiply(high, f_low), m.bitwise_right_shift(m.multiply(low, f_low), shift))
    cross = m.add(m.multiply(low, f_high), m.bitwise_and(middle, low_mask))
    upper = m.add(m.bitwise_right_shift(middle, shift), m.bitwise_right_shift(cross, shift))
    return m.add(m.multiply(high, f_high), upper)


def permutation(
    x: int | Tensor, /, *, device: Any = None, generator: Generator | None = None
) -> Tensor:
    """Return the numbers below ``x``, or the rows of the tensor ``x``, in random order.

    The stable order of one 64-bit word for each.

    Examples
    --------
    >>> _ = manual_seed(0)
    >>> sorted(permutation(5).tolist())
    [0, 1, 2, 3, 4]
    """
    if isinstance(x, Tensor):
        if x.ndim == 0:
            raise ShapeError(
                "permutation: the tensor has no axes; pass an integer or a tensor of rows"
            )
        return take(x, _order(x.shape[0], _key(generator, x.device)), axis=0)
    if x < 0:
        raise ValueError(f"permutation: x is {x}; pass at least 0")
    return _order(x, _key(generator, device))


def _order(n: int, key: Tensor) -> Tensor:
    return argsort(_words(key, (n,), 64))


def bernoulli(
    p: Any = 0.5,
    shape: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Return 1 with probability ``p``, else 0.

    Parameters
    ----------
    p
        A number, or a tensor of probabilities, which gives the shape.
    dtype
        Of the result; the default float for None.

    Examples
    --------
    >>> _ = manual_seed(0)
    >>> 0.25 < bernoulli(0.3, 10000).mean().item() < 0.35
    True
    """
    found = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    probability = as_tensor("bernoulli", p, None if device is None else resolve_device(device))
    size = probability.shape if shape is None else shape_of("bernoulli", shape)
    host = probability.numpy()
    if not ((host >= 0) & (host <= 1)).all():
        raise ValueError("bernoulli: a probability is outside [0, 1]; pass probabilities")
    unit = _unit(_key(generator, probability.device), size, dtypes.float64)
    if not isinstance(p, Tensor):  # a Python number keeps all its digits
        probability = tensor(np.asarray(p, np.float64), device=probability.device)
    exact = cast(probability, dtypes.float64)
    return cast(m.less(unit, broadcast_to(exact, size)), found)


def choice(
    a: int | Tensor,
    shape: Any = (),
    *,
    replace: bool = True,
    p: Any = None,
    device: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Return random numbers below ``a``, or random rows of the tensor ``a``.

    Parameters
    ----------
    replace
        Whether the same one may be drawn again.
    p
        Probabilities, one for each, that sum to 1; even if None.

    Raises
    ------
    ValueError
        If more are drawn without replacement than there are, or the probabilities are none.

    Examples
    --------
    >>> _ = manual_seed(0)
    >>> sorted(choice(4, 4, replace=False).tolist())
    [0, 1, 2, 3]
    """
    n = a.shape[0] if isinstance(a, Tensor) else a
    size = shape_of("choice", shape)
    count = prod(size)
    where = a.device if isinstance(a, Tensor) else resolve_device(device)
    if n < 1 and count:
        raise ValueError("choice: there is nothing to choose from; pass at least one")
    if not replace and count > n:
        raise ValueError(
            f"choice: {count} of {n} without replacement; draw fewer, or pass replace=True"
        )
    weights = None if p is None else _weights(p, n)
    if not replace:
        if weights is not None and np.count_nonzero(weights) < count:
            raise ValueError(
                f"choice: {np.count_nonzero(weights)} choices have a probability, {count} are "
                "wanted; draw fewer"
            )
        chosen = _without_replacement(n, count, weights, _key(generator, where))
    elif weights is None:
        chosen = integers(n, shape=count, device=where, generator=generator)
    else:
        chosen = _weighted(weights, count, _key(generator, where))
    picked = reshape(chosen, size)
    return take(a, picked, axis=0) if isinstance(a, Tensor) else picked


def _weights(p: Any, n: int) -> np.ndarray[Any, Any]:
    host = np.asarray(p.numpy() if isinstance(p, Tensor) else p, np.float64)
    if host.shape != (n,):
        raise ShapeError(
            f"choice: p has shape {host.shape} for {n} choices; pass one probability for each"
        )
    if not (host >= 0).all() or abs(float(host.sum()) - 1.0) > 1e-6:
        raise ValueError("choice: p is not a list of probabilities that sum to 1; normalise it")
    return host


def _weighted(weights: np.ndarray[Any, Any], count: int, key: Tensor) -> Tensor:
    """Invert the distribution function, by one table for all backends, made on the host."""
    edges = np.cumsum(weights)
    edges /= edges[-1]
    unit = _unit(key, (count,), dtypes.float64).numpy()
    # An element of probability 0 has an empty interval, which side="right" never picks.
    return tensor(np.searchsorted(edges, unit, side="right").astype(np.int64), device=key.device)


def _without_replacement(
    n: int, count: int, weights: np.ndarray[Any, Any] | None, key: Tensor
) -> Tensor:
    if weights is None:
        return take(_order(n, key), arange(count, device=key.device))
    # Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006: the largest
    # u**(1/w).
    unit = _unit(key, (n,), dtypes.float64).numpy()
    with np.errstate(divide="ignore"):
        keys = np.where(weights > 0, np.log1p(-unit) / weights, -np.inf)
    return tensor(np.argsort(-keys, kind="stable")[:count].astype(np.int64), device=key.device)
