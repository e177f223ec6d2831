"""Running functions of tensors on NumPy arrays: values, gradients, tangents."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.backend import Backend
from isograd.core import dtypes
from isograd.runtime.registry import default_device
from isograd.testing.layouts import place

__all__ = [
    "as_float64",
    "call",
    "inner",
    "is_float",
    "on_device_of",
    "on_scale",
    "outputs",
    "perturbed",
    "pull",
    "pull_twice",
    "push",
    "values_and_gradients",
]

Array = Any
Function = Callable[..., Any]


@contextlib.contextmanager
def on_device_of(backend: Any, /) -> Generator[Backend]:
    """Compute with a backend, and make new tensors on its device, inside a ``with`` block."""
    before = default_device()
    with ig.use_backend(backend) as active:
        ig.set_default_device(active.memory.device_type)
        try:
            yield active
        finally:
            ig.set_default_device(str(before))


def is_float(x: Array, /) -> bool:
    """Tell whether an array holds floating-point numbers, real or complex."""
    return dtypes.is_inexact(np.asarray(x).dtype)


def as_float64(args: Sequence[Array], /) -> tuple[Array, ...]:
    """Return the arrays with floats as float64 or complex128, and everything else as it is."""
    return tuple(_wide(np.asarray(x)) for x in args)


def _wide(x: Array) -> Array:
    if not is_float(x):
        return x
    return np.asarray(x, np.complex128 if dtypes.is_complex(x.dtype) else np.float64)


def inner(left: Sequence[Array], right: Sequence[Array], /) -> tuple[float, float]:
    """Return the real inner product ``Re(sum(conj(left) * right))``, and its terms' total size."""
    products = [np.real(np.conj(a) * b) for a, b in zip(left, right, strict=True)]
    return float(sum(np.sum(p) for p in products)), float(sum(np.sum(np.abs(p)) for p in products))


def outputs(result: Any, /) -> tuple[Any, ...]:
    """Return what a function returned as a tuple."""
    return tuple(result) if isinstance(result, tuple | list) else (result,)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _host(tensors: Sequence[Any]) -> tuple[Array, ...]:
    return tuple(np.asarray(t.numpy()) for t in tensors)


def call(
    fn: Function, args: Sequence[Array], kwargs: Mapping[str, Any], *, layout: str = "C order"
) -> tuple[Array, ...]:
    """Call a function of tensors with arrays and return its outputs as arrays."""
    return _host(outputs(fn(*(place(layout, x) for x in args), **kwargs)))


def _closed(
    fn: Function, tensors: Sequence[Any], kwargs: Mapping[str, Any], wrt: Sequence[int]
) -> Function:
    """Return the function of the arguments `wrt` alone, with the floating outputs in a tuple."""

    def of(*inner: Any) -> tuple[Any, ...]:
        full = list(tensors)
        for position, value in zip(wrt, inner, strict=True):
            full[position] = value
        return tuple(out for out in outputs(fn(*full, **kwargs)) if dtypes.is_inexact(out.dtype))

    return of


def pull(
    fn: Function,
    args: Sequence[Array],
    kwargs: Mapping[str, Any],
    wrt: Sequence[int],
    cotangents: Sequence[Array],
    *,
    layout: str = "C order",
) -> tuple[Array, ...]:
    """Return the gradients of the arguments `wrt`, given cotangents of the floating outputs."""
    tensors = [place(layout, x) for x in args]
    outs, back = ig.vjp(_closed(fn, tensors, kwargs, wrt), *(tensors[i] for i in wrt))
    given = tuple(
        place(layout, np.asarray(ct, out.dtype)) for ct, out in zip(cotangents, outs, strict=True)
    )
    return _host(back(given))


def push(
    fn: Function,
    args: Sequence[Array],
    kwargs: Mapping[str, Any],
    wrt: Sequence[int],
    tangents: Sequence[Array],
) -> tuple[Array, ...]:
    """Return the tangents of the floating outputs, given tangents of the arguments `wrt`."""
    tensors = [ig.tensor(x) for x in args]
    primals = tuple(tensors[i] for i in wrt)
    given = tuple(ig.tensor(np.asarray(t, p.dtype)) for t, p in zip(tangents, primals, strict=True))
    return _host(ig.jvp(_closed(fn, tensors, kwargs, wrt), primals, given)[1])


def values_and_gradients(
    fn: Function,
    tensors: Sequence[Any],
    kwargs: Mapping[str, Any],
    wrt: Sequence[int],
    cotangents: Sequence[Any],
) -> tuple[list[Any], list[Any]]:
    """Return a function's outputs, and gradients of the arguments `wrt`, all of them tensors."""
    values = list(outputs(fn(*tensors, **kwargs)))
    if not wrt:
        return values, []
    _, back = ig.vjp(_closed(fn, tensors, kwargs, wrt), *(tensors[i] for i in wrt))
    return values, list(back(tuple(cotangents)))


def pull_twice(
    fn: Function,
    args: Sequence[Array],
    kwargs: Mapping[str, Any],
    wrt: Sequence[int],
    cotangents: Sequence[Array],
    directions: Sequence[Array],
) -> tuple[Array, ...]:
    """Return the gradients of ``<directions, gradients>``: second derivatives in one direction."""
    tensors = [ig.tensor(x) for x in args]
    of = _closed(fn, tensors, kwargs, wrt)

    def gradients(*inner: Any) -> tuple[Any, ...]:
        outs, back = ig.vjp(of, *inner)
        return back(
            tuple(
                ig.tensor(np.asarray(ct, out.dtype))
                for ct, out in zip(cotangents, outs, strict=True)
            )
        )

    _, back = ig.vjp(gradients, *(tensors[i] for i in wrt))
    return _host(back(tuple(ig.tensor(d) for d in directions)))


#: Directions of a relative change, by the kind of dtype.
_TURNS = {"f": (-1.0, 1.0), "c": (-1.0, 1.0, -1.0j, 1.0j)}


def perturbed(
    run: Callable[[Sequence[Array]], Sequence[Array]],
    args: Sequence[Array],
    result: Sequence[Array],
    rng: np.random.Generator,
) -> list[Array]:
    """Return the scale on which rounding moves each result: its response to changed inputs.

    Parameters
    ----------
    run
        Maps float64 or complex128 arrays to such results.
    args
        The arrays at which `result` was computed; only floats are changed.
    result
        What `run` returns for them.
    rng
        The source of the random changes.

    Returns
    -------
    list of ndarray
        For each result ``|result|`` plus the largest response per unit of relative change, nowhere
        below the array's mean of that.
    """
    change = 2.0**-20
    # A few numbers may be moved by chance in a way that leaves the result alone; many may not.
    times = 6 if sum(x.size for x in args) < 100 else 2
    moved = [
        run(
            [
                x * (1.0 + change * rng.choice(_TURNS[x.dtype.kind], x.shape)) if is_float(x) else x
                for x in args
            ]
        )
        for _ in range(times)
    ]
    return on_scale(result, moved, change)


def on_scale(
    result: Sequence[Array], moved: Sequence[Sequence[Array]], change: float, /
) -> list[Array]:
    """Return `perturbed`, given what results became where all else changed by a relative amount."""
    scales = [np.abs(r) for r in result]
    for values in moved:
        for i, value in enumerate(values):
            with np.errstate(all="ignore"):
                response = np.abs(value - result[i]) / change
            scales[i] = np.maximum(
                scales[i], np.abs(result[i]) + np.where(np.isfinite(response), response, 0.0)
            )
    return [np.maximum(s, s.mean()) if s.size else s for s in scales]
