"""`cross_check`: one function on every backend against float64, in units of the bound."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.testing.case import REFERENCE_BACKEND
from isograd.testing.execute import on_device_of
from isograd.testing.harness import available_backends
from isograd.testing.numeric import random_cotangent
from isograd.testing.program import Program
from isograd.testing.report import number
from isograd.testing.rounding import rounding_scales
from isograd.testing.tolerances import TABLE, Comparison, compare

__all__ = ["CrossCheckEntry", "CrossCheckReport", "cross_check"]

Array = Any


@dataclasses.dataclass(frozen=True)
class CrossCheckEntry:
    """One array that was compared.

    Attributes
    ----------
    backend, dtype : str
        Where it was computed.
    kind : str
        ``"output"`` or ``"gradient"``.
    name : str
        Which output, or with respect to what.
    error : float
        The largest error in units of the bound: at most 1 is agreement.
    index : tuple of int
        The element with it.
    value, reference, bound : float
        The element, what it is in float64, and how far it may be from that.
    message : str
        What is wrong, or empty.
    """

    backend: str
    dtype: str
    kind: str
    name: str
    error: float
    index: tuple[int, ...]
    value: float
    reference: float
    bound: float
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the error is within the bound."""
        return self.error <= 1.0


@dataclasses.dataclass(frozen=True)
class CrossCheckReport:
    """What `cross_check` found; true when every array agrees. Print it for a table."""

    entries: tuple[CrossCheckEntry, ...]

    @property
    def ok(self) -> bool:
        """Whether every array is within its bound."""
        return bool(self.entries) and all(entry.ok for entry in self.entries)

    @property
    def worst(self) -> CrossCheckEntry:
        """The entry with the largest error."""
        return max(self.entries, key=lambda entry: entry.error)

    @property
    def largest(self) -> float:
        """The largest error in units of the bound."""
        return self.worst.error

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = "agrees" if self.ok else "DISAGREES"
        worst = f"{self.largest:.3g} of its bound ({self.worst.kind} {self.worst.name})"
        lines = [f"cross_check {head}: the largest error is {worst}"]
        width = max(len(f"{entry.kind} {entry.name}") for entry in self.entries)
        for entry in self.entries:
            what = f"{entry.kind} {entry.name}".ljust(width)
            line = f"  {entry.backend:8} {entry.dtype:8} {what}  {entry.error:9.3g}"
            if not entry.ok:
                numbers = f"{entry.value!r}, float64 {entry.reference!r}"
                line += f"  <- element {list(entry.index)}: {numbers}, {entry.message}"
            lines.append(line)
        return "\n".join(lines)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the report as JSON: ``{"ok", "largest", "entries": [...]}``."""
        entries: list[dict[str, Any]] = []
        for entry in self.entries:
            row = dataclasses.asdict(entry)
            floats = {key: number(value) for key, value in row.items() if isinstance(value, float)}
            entries.append({**row, **floats, "ok": entry.ok})
        return json.dumps(
            {"ok": self.ok, "largest": number(self.largest), "entries": entries}, indent=indent
        )


def cross_check(
    fn: Callable[..., Any],
    /,
    *inputs: Any,
    backends: Sequence[Any] | None = None,
    dtypes: Sequence[Any] = ("float32",),
    seed: int = 0,
) -> CrossCheckReport:
    """Run a function or module forward and backward on every backend and compare all with float64.

    The reference is the NumPy backend in float64, on the inputs as they are. An error counts in
    units of ``4 * (NumPy's error in the same dtype) + c * eps * scale``, where the scale is the
    response of the result to relative errors of every operation: what rounding alone explains.
    NumPy itself is judged without the first term.

    Parameters
    ----------
    fn
        A function of `inputs`, or a module, whose parameters then are inputs too.
    *inputs
        Tensors, arrays, modules, or trees of them; floating-point ones are differentiated.
    backends
        Names or backend objects; None for every CPU backend that can run here.
    dtypes
        The dtypes to compute in; inputs and parameters are converted.
    seed
        Chooses the cotangent of outputs that are not scalars.

    Returns
    -------
    CrossCheckReport
        Its entries are the outputs and the gradients on each backend.

    Raises
    ------
    AutodiffError
        If nothing is differentiable.

    Examples
    --------
    >>> import isograd as ig
    >>> cross_check(lambda x: ig.exp(x).sum(), ig.tensor([0.5, 1.0]), backends=["numpy"]).ok
    True
    """
    chosen = available_backends() if backends is None else tuple(backends)
    entries: list[CrossCheckEntry] = []
    for dtype in dtypes:
        entries += _in_dtype(fn, inputs, chosen, dtype, seed)
    return CrossCheckReport(tuple(entries))


def _in_dtype(
    fn: Callable[..., Any], inputs: Sequence[Any], backends: Sequence[Any], dtype: Any, seed: int
) -> list[CrossCheckEntry]:
    narrow = Program(fn, inputs, dtype)
    wide = Program(fn, inputs, "float64")
    # Both start from the numbers that the narrow dtype holds, so that only the computation differs.
    arrays = [np.asarray(np.asarray(x, narrow.dtype), np.float64) for x in narrow.arrays]
    rng = np.random.default_rng(seed)
    with on_device_of(REFERENCE_BACKEND) as reference:
        shapes = [out.shape for out in wide.outputs(arrays)]
        cts = [
            np.ones(shape) if shape == () else _rounded(random_cotangent(rng, shape))
            for shape in shapes
        ]

        def run(xs: Sequence[Array]) -> list[Array]:
            outs, gradients = wide.gradients(xs, cts)
            return [*outs, *gradients]

        def roundly(xs: Sequence[Array], rounding: Any) -> list[Array]:
            with ig.use_backend(rounding):
                return run(xs)

        right = run(arrays)
        scales = rounding_scales(
            roundly, arrays, right, backend=reference, dtype=narrow.dtype, seed=seed
        )
        baseline = _compare(narrow, arrays, cts, right, scales, [0.0] * len(right))
    labels = [("output", str(i)) for i in range(len(shapes))] + [
        ("gradient", name) for name in narrow.names
    ]
    entries: list[CrossCheckEntry] = []
    for backend in backends:
        with on_device_of(backend) as active:
            own = active.name == REFERENCE_BACKEND and isinstance(backend, str)
            units = [
                0.0 if own or not math.isfinite(found.units) else found.units for found in baseline
            ]
            found = baseline if own else _compare(narrow, arrays, cts, right, scales, units)
            for (kind, name), c in zip(labels, found, strict=True):
                place = (active.name, str(narrow.dtype), kind, name)
                entries.append(
                    CrossCheckEntry(
                        *place, c.largest, c.index, c.value, c.reference, c.bound, c.message
                    )
                )
    return entries


def _rounded(ct: Array) -> Array:
    """Round to numbers that every dtype can hold."""
    return ct.astype(np.float16).astype(np.float64)


def _compare(
    program: Program,
    arrays: Sequence[Array],
    cts: Sequence[Array],
    right: Sequence[Array],
    scales: Sequence[Array],
    units: Sequence[float],
) -> list[Comparison]:
    outs, gradients = program.gradients(arrays, cts)
    terms = max([1, *(n for x in arrays for n in x.shape)])
    return [
        compare(
            value,
            wanted,
            tolerance=TABLE["program"],
            scale=scale,
            terms=terms,
            baseline=unit,
            dtype=program.dtype,
        )
        for value, wanted, scale, unit in zip(
            [*outs, *gradients], right, scales, units, strict=True
        )
    ]
