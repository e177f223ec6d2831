"""How far rounding alone may move the results of a program: each operation is rounded at random.

A change of the inputs does not show everything. The gradient of a bias before batch norm is 0 for
all inputs, and what is computed of it is the rounding of what cancels. So the program runs in
float64 on a backend that rounds what each operation returns to fewer bits, up or down by chance.
Numbers that fit already stay as they are: what only moves or selects numbers goes on doing so. What
adds up numbers may cancel them inside, so the table of operations says how far it may err.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.backend import Backend, Kernel
from isograd.core import dtypes
from isograd.core.devices import Device
from isograd.testing.execute import as_float64, on_scale, outputs
from isograd.testing.op_db import primitive_specs
from isograd.testing.referee import known

__all__ = ["RoundingBackend", "rounding_scales"]

Array = Any

_TRIALS = 4
_MOST_BITS = 32
_FEWER = 2
_MANTISSA = 53
_ROUNDED = ("float64", "complex128")
_LEFT = 1.0
# Digits in which numbers that should be equal may differ.
_DROPPED, _HALF = np.uint64(12), np.uint64(1 << 11)


class RoundingBackend:
    """A backend that rounds float64 results of another one at random.

    Parameters
    ----------
    inner
        Who computes.

    Examples
    --------
    >>> import isograd as ig
    >>> with ig.use_backend("numpy") as inner:
    ...     rounding = RoundingBackend(inner)
    >>> rounding.begin(bits=10, seed=0, mirrored=False)
    >>> with ig.use_backend(rounding):
    ...     third = (ig.ones(1, dtype="float64") / 3.0).item()
    >>> 0.0 < abs(third - 1 / 3) < 2.0**-10
    True
    """

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        # Programs are run operation by operation where a backend has nothing that compiles them.
        self.lowering = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def begin(self, *, bits: int, seed: int, mirrored: bool, least: float = 0.0) -> None:
        """Start again with some bits; where `mirrored`, what went up goes down.

        The least positive number, where there is one, is the distance between small ones.
        """
        self._key = np.random.default_rng(seed).integers(0, 1 << 63, dtype=np.uint64)
        self._low = np.uint64((1 << (_MANTISSA - bits)) - 1)
        self._unit = 2.0**-bits
        self._mirrored = mirrored
        self._least = least

    def rounded(self, x: Array, scale: Array | None = None) -> Array:
        """Round an array on the host; what is not float64 or complex128 stays as it is.

        Equal numbers are rounded alike, so that ties stay ties. What is next to nothing on a scale
        that is given is moved on that scale first.
        """
        if x.dtype == np.complex128:
            parts = np.ascontiguousarray(x).view(np.float64)
            return self.rounded(parts).view(np.complex128).reshape(x.shape)
        if x.dtype != np.float64:
            return x
        if scale is not None:
            # Relative errors do not show how far a sum may be off of which next to nothing is left.
            step = self._unit * np.where(np.abs(x) <= _LEFT * self._unit * scale, scale, 0.0)
            # On this grid numbers that are equal but for float64's own rounding are equal.
            place = np.rint(x / np.where(step > 0.0, step, 1.0) * 2.0**10)
            way = self._chance(place) / np.float64(2.0**63) - 1.0
            x = x + step * (-way if self._mirrored else way)
        bits = np.array(x, order="C").view(np.uint64)
        up = self._chance(x) & self._low
        bits += self._low - up if self._mirrored else up
        bits &= ~self._low
        found = bits.view(np.float64).reshape(x.shape)
        small: Array = np.abs(found) < self._least / self._unit
        if not np.any(small & (found != 0.0)):
            return found
        share: Array = up.reshape(x.shape) / (float(self._low) + 1.0)
        found[small] = self._whole(x, 1.0 - share if self._mirrored else share)[small]
        return found

    def _whole(self, x: Array, share: Array) -> Array:
        """Round to whole numbers of the least one, upwards where the share that is left is less."""
        return np.floor(x / self._least + share) * self._least

    def _chance(self, x: Array) -> Array:
        """Return 64 bits for each number, by the finaliser of SplitMix64."""
        bits = ((np.array(x, order="C").view(np.uint64) + _HALF) >> _DROPPED) ^ self._key
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            bits ^= bits >> np.uint64(shift)
            bits *= np.uint64(factor)
        return bits ^ (bits >> np.uint64(31))

    def kernel(self, name: str, /) -> Kernel | None:
        """Return the other backend's kernel, followed by rounding."""
        run = self._inner.kernel(name)
        if run is None:
            return None
        memory = self._inner.memory
        magnitude = primitive_specs()[name].scale.of
        multiple = ig.ops.PRIMITIVES[name].multiple

        def rounding(*arrays: Array, **static: Any) -> Any:
            made: Any = run(*arrays, **static)
            outs: Sequence[Any] = outputs(made)
            if not any(dtypes.as_dtype(x.dtype).name in _ROUNDED for x in outs):
                return made
            scale: Array | None = None
            if magnitude is not None:
                given = as_float64([memory.to_host(x) for x in arrays])
                scale = np.asarray(magnitude(*given, **known(static)))
            coarse = tuple(
                memory.from_host(
                    self.rounded(x, _of_shape(scale, x.shape)), _device_of(out, memory.device_type)
                )
                for out in outs
                for x in (np.asarray(memory.to_host(out)),)
            )
            return coarse if multiple else coarse[0]

        return rounding


def _device_of(array: Array, device_type: str) -> Device:
    """Return where an array is; what cannot say it, such as a number, is on the first device."""
    ask = getattr(array, "__dlpack_device__", None)
    return Device(device_type, 0 if ask is None else int(ask()[1]))


def _of_shape(scale: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Return a scale that belongs to an output of some shape, and is a number everywhere."""
    if scale is None or np.broadcast_shapes(scale.shape, shape) != shape:
        return None
    return np.where(np.isfinite(scale), scale, 0.0)


def rounding_scales(
    run: Callable[[Sequence[Array], Any], Sequence[Array]],
    args: Sequence[Array],
    result: Sequence[Array],
    *,
    backend: Backend,
    dtype: Any,
    seed: int = 0,
) -> list[Array]:
    """Return the scale on which rounding in a dtype moves each result of a program.

    Parameters
    ----------
    run
        Maps float64 or complex128 arrays, and the backend to use, to such results.
    args
        The arrays at which `result` was computed.
    result
        What `run` returns for them.
    backend
        Who computes.
    dtype
        The dtype whose rounding counts. A little more is done than it does, so that numbers which
        it may put on the other side of a kink are put there too.
    seed
        Chooses what goes up and what goes down.

    Returns
    -------
    list of ndarray
        As `isograd.testing.execute.perturbed` returns, for relative errors of every operation.
    """
    info = dtypes.finfo(dtypes.as_dtype(dtype))
    digits = 1 - round(np.log2(float(info.eps)))
    bits = min(digits - _FEWER, _MOST_BITS)
    least = 2.0**_FEWER * float(info.smallest_subnormal)
    rounding = RoundingBackend(backend)
    moved: list[Sequence[Array]] = []
    for trial in range(_TRIALS):
        how: dict[str, Any] = {"bits": bits, "seed": seed + trial // 2, "least": least}
        rounding.begin(**how, mirrored=trial % 2 == 1)
        with np.errstate(all="ignore"):
            moved.append(run([rounding.rounded(np.asarray(x)) for x in args], rounding))
    return on_scale(result, moved, 2.0**-bits)
