"""Signatures of kernels as text, without Numba: "T[::1], int64, float64[:, :]"."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

__all__ = ["Argument", "parse"]

_ARGUMENT = re.compile(r"(\w+)(?:\[((?:::?1?,?)+)\])?$")


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter: an array of ``ndim`` axes, or a scalar where ``ndim`` is None."""

    dtype: str
    ndim: int | None
    contiguous: bool

    @property
    def kind(self) -> str:
        """NumPy's kind of the dtype: "f", "i", "u" or "b"."""
        return np.dtype(self.dtype).kind


def parse(signature: str, variables: dict[str, str], /) -> list[Argument]:
    """Return the arguments of a signature with its type variables replaced by dtype names.

    Examples
    --------
    >>> parse("T[:, ::1], int64", {"T": "float32"})[0]
    Argument(dtype='float32', ndim=2, contiguous=True)
    """
    arguments: list[Argument] = []
    for text in re.split(r",(?![^\[]*\])", signature.replace(" ", "")):
        match = _ARGUMENT.match(text)
        if match is None:
            raise ValueError(f"compiled: cannot read {text!r} in {signature!r}; see the docstring")
        name, axes = match.groups()
        ndim = None if axes is None else axes.count(",") + 1
        dtype = np.dtype(variables.get(name, name)).name
        arguments.append(Argument(dtype, ndim, axes is None or axes.endswith("::1")))
    return arguments
