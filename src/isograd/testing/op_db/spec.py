"""The records that the table of operations is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from isograd.core.dtypes import bfloat16

__all__ = [
    "BOOL",
    "COMPLEX",
    "FLOATS",
    "INTS",
    "NUMERIC",
    "ErrorCase",
    "Known",
    "OpSpec",
    "Sample",
    "Scale",
]

Array = Any
Samples = Callable[[np.random.Generator, np.dtype[Any]], Iterable["Sample"]]

FLOATS = ("float64", "float32", "float16") + (("bfloat16",) if bfloat16() is not None else ())
INTS = ("int64", "int32", "uint8")
BOOL = ("bool",)
COMPLEX = ("complex128", "complex64")
NUMERIC = (*FLOATS, *INTS)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One call of an operation.

    Attributes
    ----------
    args : tuple of ndarray
        The tensor arguments.
    kwargs : mapping
        The static arguments.
    label : str
        What is special about it; the shapes are added in reports.
    grad : bool
        Whether the function is differentiable there, and small enough for numeric derivatives.
    layouts : bool
        Whether the same call is repeated with other memory layouts.
    """

    args: tuple[Array, ...]
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    label: str = ""
    grad: bool = True
    layouts: bool = True

    def __str__(self) -> str:
        shapes = ", ".join(f"{np.asarray(arg).dtype}{list(np.shape(arg))}" for arg in self.args)
        static = "".join(f", {key}={value!r}" for key, value in self.kwargs.items())
        text = f"({shapes}{static})"
        return f"{self.label} {text}" if self.label else text


@dataclasses.dataclass(frozen=True, eq=False)
class ErrorCase:
    """A call that must fail, and how.

    Attributes
    ----------
    args, kwargs
        As in `Sample`.
    error : type
        The class that must be raised.
    fragments : tuple of str
        What the message must contain: names, shapes, dtypes.
    """

    args: tuple[Array, ...]
    kwargs: Mapping[str, Any]
    error: type[Exception]
    fragments: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Known:
    """An accepted departure, shown as such in reports instead of failing.

    Attributes
    ----------
    check, backend, dtype : str
        Where it applies; ``"*"`` is anywhere.
    reason : str
        Why it is accepted.
    """

    check: str
    reason: str
    backend: str = "*"
    dtype: str = "*"

    def covers(self, check: str, backend: str, dtype: str) -> bool:
        """Tell whether a cell is meant."""
        wanted = (self.check, check), (self.backend, backend), (self.dtype, dtype)
        return all(pattern in ("*", value) for pattern, value in wanted)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How far a result may be from its reference.

    Attributes
    ----------
    kind : str
        The row of `isograd.testing.tolerances.TABLE`.
    of : callable, optional
        Maps the float64 arguments and static arguments to the magnitude that rounding acts on;
        ``|reference|`` when None.
    terms : callable, optional
        Maps the arguments to the number of terms of a sum; 1 when None.
    same_bits : bool
        Whether every backend must give the same bits as NumPy's, although the reference is only
        close.
    """

    kind: str = "elementwise"
    of: Callable[..., Array] | None = None
    terms: Callable[..., int] | None = None
    same_bits: bool = False


def _none(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    return ()


@dataclasses.dataclass(frozen=True, eq=False)
class OpSpec:
    """One operation: how to call it, what is right, and what is checked.

    Attributes
    ----------
    name : str
        The name of a primitive, or of a public function.
    fn : callable
        Takes tensors and static keyword arguments; returns a tensor or a tuple of tensors.
    reference : callable
        The same in plain NumPy, independent of the implementation. Floats arrive as float64.
    samples : callable
        Maps (random generator, dtype) to samples of that dtype.
    extreme : callable
        The same for NaN, infinities, huge, tiny and signed-zero values: only the forward result is
        checked.
    errors : tuple of ErrorCase
        Calls that must fail.
    dtypes : tuple of str
        The dtypes that it takes as its leading argument.
    grad_args : tuple of int
        The arguments with a derivative; empty: none.
    order : int
        The highest order of derivatives that is checked.
    scale : Scale
        The kind of tolerance and the magnitude that it refers to.
    budget : int
        The number of samples on which derivatives are checked, those of second order on a third of
        it.
    known : tuple of Known
        Accepted departures.
    primitive : bool
        Whether `name` names a primitive; otherwise a composite.
    compiles : bool
        Whether it can be part of a compiled function; where shapes depend on values, it refuses.
    """

    name: str
    fn: Callable[..., Any]
    reference: Callable[..., Any]
    samples: Samples
    extreme: Samples = _none
    errors: tuple[ErrorCase, ...] = ()
    dtypes: tuple[str, ...] = FLOATS
    grad_args: tuple[int, ...] = (0,)
    order: int = 2
    scale: Scale = Scale()
    budget: int = 12
    known: tuple[Known, ...] = ()
    primitive: bool = True
    compiles: bool = True
