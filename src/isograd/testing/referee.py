"""The referee: what is right for one operation, from its independent float64 reference."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.testing.execute import as_float64, is_float, outputs
from isograd.testing.op_db import OpSpec, primitive_specs
from isograd.testing.tolerances import Comparison, Tolerance, bounds, compare, outside, tolerance

__all__ = ["Referee", "known", "referee_of"]

Array = Any


class Referee:
    """Judges results of one operation in one dtype.

    Parameters
    ----------
    spec
        The operation's row.
    dtype
        The dtype of its leading argument.

    Examples
    --------
    >>> referee = referee_of("exp", np.dtype("float32"))
    >>> referee.right([np.float32([0.0])], {})[0].tolist()
    [1.0]
    """

    def __init__(self, spec: OpSpec, dtype: np.dtype[Any]) -> None:
        self.spec = spec
        self.dtype = dtype
        self.rule: Tolerance = tolerance(spec.scale.kind, spec.name)
        # A composite rounds between its kernels, and so does a definition, which programs may use.
        prim = ig.ops.PRIMITIVES.get(spec.name) if spec.primitive else None
        core = prim is not None and prim.decompose is None
        if core and self.rule.per_root and dtypes.is_half(dtype):
            self.rule = dataclasses.replace(self.rule, widened=True)

    def right(self, args: Sequence[Array], static: Mapping[str, Any]) -> tuple[Array, ...]:
        """Return the reference's outputs."""
        exact = self.rule.exact and not dtypes.is_half(self.dtype)
        given = tuple(args) if exact else as_float64(args)
        with np.errstate(all="ignore"):
            return tuple(
                np.asarray(out) for out in outputs(self.spec.reference(*given, **known(static)))
            )

    def compare(
        self,
        values: Sequence[Array],
        args: Sequence[Array],
        static: Mapping[str, Any],
        expected: Sequence[Array],
        baseline: float = 0.0,
    ) -> list[Comparison]:
        """Compare outputs with what is right."""
        scale, terms = self._scale(args, static)
        return [
            compare(value, right, tolerance=self.rule, scale=scale, terms=terms, baseline=baseline)
            for value, right in zip(values, expected, strict=True)
        ]

    def outside(
        self,
        value: Array,
        args: Sequence[Array],
        static: Mapping[str, Any],
        right: Array,
        baseline: float = 0.0,
    ) -> Array:
        """Return which elements of an output are outside their bounds."""
        scale, terms = self._scale(args, static)
        return outside(
            value, right, tolerance=self.rule, scale=scale, terms=terms, baseline=baseline
        )

    def bound(
        self,
        right: Array,
        args: Sequence[Array],
        static: Mapping[str, Any],
        dtype: np.dtype[Any],
    ) -> Array:
        """Return how far each element of an output in a dtype may be from what is right."""
        if self.rule.exact or not (is_float(right) and dtypes.is_inexact(dtype)):
            return np.zeros(np.shape(right))
        scale, terms = self._scale(args, static)
        return bounds(right, tolerance=self.rule, scale=scale, terms=terms, dtype=dtype)

    def response(
        self,
        args: Sequence[Array],
        static: Mapping[str, Any],
        expected: Sequence[Array],
        rng: np.random.Generator,
    ) -> list[Array]:
        """Return how far changes of the arguments by one unit in the last place move the outputs.

        Nowhere where equality is due, since no rounding of the arguments explains a difference.
        """
        moved = [np.zeros(np.shape(right)) for right in expected]
        if self.rule.exact:
            return moved
        for _ in range(8):
            nudged = [_nudged(np.asarray(x), rng) for x in args]
            for i, (out, right) in enumerate(
                zip(self.right(nudged, static), expected, strict=True)
            ):
                with np.errstate(all="ignore"):
                    after, before = as_float64([out, right])
                    change = np.abs(after.astype(before.dtype) - before)
                moved[i] = np.fmax(moved[i], np.where(np.isfinite(change), change, 0.0))
        return moved

    def _scale(self, args: Sequence[Array], static: Mapping[str, Any]) -> tuple[Array | None, int]:
        wanted = self.spec.scale
        given, named = as_float64(args), known(static)
        with np.errstate(all="ignore"):
            scale = None if wanted.of is None else wanted.of(*given, **named)
        return scale, 1 if wanted.terms is None else wanted.terms(*given, **named)


def known(static: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out where an operation without arguments puts its result."""
    return {name: value for name, value in static.items() if name != "device"}


def _nudged(x: Array, rng: np.random.Generator) -> Array:
    if not is_float(x):
        return x
    eps = float(dtypes.finfo(x.dtype).eps)
    return as_float64([x])[0] * (1.0 + eps * rng.choice((-1.0, 1.0), x.shape))


@functools.lru_cache(maxsize=1024)
def referee_of(op: str, dtype: np.dtype[Any]) -> Referee:
    """Return the referee of a primitive in a dtype.

    Raises
    ------
    KeyError
        If the table has no row for the primitive.
    """
    return Referee(primitive_specs()[op], dtype)
