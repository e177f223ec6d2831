"""`gradcheck`: a gradient against numeric derivatives, and what it would have seen."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.errors import AutodiffError, IsogradError
from isograd.runtime.registry import default_device
from isograd.testing.numeric import Slope, random_cotangent, random_direction, slope
from isograd.testing.program import Program
from isograd.testing.rounding import rounding_scales
from isograd.testing.tolerances import TABLE, compare

__all__ = ["GradcheckFailure", "GradcheckReport", "GradientError", "gradcheck"]

Array = Any

_EPS = float(np.finfo(np.float64).eps)
_SCAN = 512
_KINK_SCAN = 4096


class GradientError(IsogradError, AssertionError):
    """A gradient that differs from numeric derivatives; raised by `gradcheck`.

    Mistake: a `custom_vjp` whose backward applies the sigmoid's derivative to an activated value.
    Fix: correct the derivative that the message names.
    """


@dataclasses.dataclass(frozen=True)
class GradcheckFailure:
    """One disagreement.

    Attributes
    ----------
    what : str
        ``"gradient"``, ``"adjointness"``, ``"subgradient"``, ``"value"``, or a dtype and
        ``" gradient"``, as ``"float32 gradient"``.
    argument : str
        The differentiable array, or empty.
    index : tuple of int
        Its worst element.
    at : float
        The element's value.
    analytic, numeric : float
        Both derivatives with respect to it.
    uncertainty : float
        How far the numeric one may be off.
    message : str
        All of it in a sentence.
    """

    what: str
    argument: str
    index: tuple[int, ...]
    at: float
    analytic: float
    numeric: float
    uncertainty: float
    message: str


@dataclasses.dataclass(frozen=True)
class GradcheckReport:
    """What `gradcheck` found; true when nothing is wrong.

    Attributes
    ----------
    failures : tuple of GradcheckFailure
        What is wrong.
    detection_limit : float
        The smallest relative error in any single coordinate, however small its derivative, that
        would have been seen; coordinates whose derivative is exactly 0 have `absolute_limit`
        instead.
    typical_limit : float
        The same for the median coordinate.
    absolute_limit : float
        The smallest absolute error in any single coordinate that would have been seen.
    kinks : tuple of str
        Coordinates at which the left and right slopes differ; there the gradient was only required
        to lie between the two.
    notes : tuple of str
        What could not be checked, and why.
    directions : int
        How many random directions were tried.
    size : int
        The number of coordinates.
    rerun : str
        How to repeat the check.
    """

    failures: tuple[GradcheckFailure, ...]
    detection_limit: float
    typical_limit: float
    absolute_limit: float
    kinks: tuple[str, ...]
    notes: tuple[str, ...]
    directions: int
    size: int
    rerun: str

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = "passed" if self.ok else "failed"
        lines = [f"gradcheck {head}: {self.size} coordinates, {self.directions} random directions"]
        lines += [f"  {failure.message}" for failure in self.failures]
        lines.append(
            f"  would have seen a relative error above {self.detection_limit:.1e} in any single "
            f"coordinate ({self.typical_limit:.1e} in the median one), an absolute one above "
            f"{self.absolute_limit:.1e}"
        )
        if self.kinks:
            shown = ", ".join(self.kinks[:8]) + (
                f" and {len(self.kinks) - 8} more" if len(self.kinks) > 8 else ""
            )
            lines.append(f"  kinks, where left and right slopes differ: {shown}")
        lines += [f"  note: {note}" for note in self.notes]
        if not self.ok:
            lines.append(f"  rerun: {self.rerun}")
        return "\n".join(lines)


def gradcheck(
    fn: Callable[..., Any],
    /,
    *inputs: Any,
    directions: int = 4,
    seed: int = 0,
    backend: Any = None,
    dtypes: Sequence[Any] = ("float32",),
    raise_exception: bool = True,
) -> GradcheckReport:
    """Compare the gradient of a function or module with numeric derivatives, in float64.

    What the same kernels give in float32 is then compared with the float64 gradient, in units of
    the error that rounding explains.

    The outputs are contracted with random cotangents, and the inputs moved along random directions,
    the entries of both bounded away from zero, so that an error in any one coordinate shows. The
    numeric side is a five-point difference whose own error is estimated from several steps; nothing
    is compared more sharply than that allows. Each direction also checks ``<ct, jvp(t)> ==
    <vjp(ct), t>``. A failure is traced to its worst coordinate.

    Parameters
    ----------
    fn
        A function of `inputs` that returns a tensor or a tree of them, or a module, whose
        parameters then are inputs too. Random numbers that it draws from `isograd.random` are the
        same in every call.
    *inputs
        Tensors, arrays, modules, or trees of them. Floating-point ones are converted to float64 and
        differentiated, integers and booleans passed as they are. `fn` must not fix float32 inside.
    directions
        How many random directions.
    seed
        Chooses cotangents and directions.
    backend
        A backend or its name; the current one when None.
    dtypes
        The narrower dtypes whose gradients are compared with that in float64; none where empty.
    raise_exception
        Whether a failure raises `GradientError` instead of being returned.

    Returns
    -------
    GradcheckReport
        Print it; it says what it would have seen.

    Raises
    ------
    GradientError
        If the gradient is wrong and `raise_exception` is true.
    AutodiffError
        If nothing is differentiable.

    Examples
    --------
    >>> import isograd as ig
    >>> gradcheck(ig.sin, ig.tensor([0.5, 1.0])).ok
    True
    """
    with contextlib.nullcontext() if backend is None else ig.use_backend(backend) as active:
        where = "" if active is None else f", backend={active.name!r}"
        report = _Checker(fn, inputs, directions, seed, dtypes, where).run()
    if raise_exception and not report.ok:
        raise GradientError(
            f"{report}\n  correct the derivative that is named, or pass raise_exception=False"
        )
    return report


class _Checker:
    def __init__(
        self,
        fn: Callable[..., Any],
        inputs: Sequence[Any],
        directions: int,
        seed: int,
        dtypes: Sequence[Any],
        where: str,
    ) -> None:
        self._program = Program(fn, inputs, "float64")
        self._narrow = [(str(dtype), Program(fn, inputs, dtype)) for dtype in dtypes]
        self._x = self._program.arrays
        self._names = self._program.names
        self._rng = np.random.default_rng(seed)
        self._free = [np.ones(x.shape, bool) for x in self._x]
        self._limits = [np.full(x.shape, np.inf) for x in self._x]
        self._relative = [np.full(x.shape, np.inf) for x in self._x]
        self._failures: list[GradcheckFailure] = []
        self._kinks: list[str] = []
        self._notes: list[str] = []
        self._scanned = False
        self._directions = directions
        name = getattr(fn, "__qualname__", type(fn).__name__)
        shapes = ", ".join(f"{n or 'input'}: {list(x.shape)}" for n, x in self._named_arrays())
        call = f"gradcheck(fn, *inputs, directions={directions}, seed={seed}{where})"
        self._rerun = f"{call}, fn being {name} and the differentiable inputs {shapes}"

    def _named_arrays(self) -> list[tuple[str, Array]]:
        return list(zip(self._names, self._x, strict=True))

    def run(self) -> GradcheckReport:
        shapes = [out.shape for out in self._program.outputs(self._x)]
        if self._values_are_sound():
            for _ in range(self._directions):
                if self._failures:
                    break
                cts = [random_cotangent(self._rng, shape) for shape in shapes]
                self._check(cts, [random_direction(self._rng, x) for x in self._x])
            for dtype, program in self._narrow if not self._failures else ():
                self._check_precision(dtype, program, shapes)
        return self._report()

    def _report(self) -> GradcheckReport:
        absolute = self._where_free(self._limits)
        relative = self._where_free(self._relative)
        return GradcheckReport(
            failures=tuple(self._failures),
            detection_limit=max(relative, default=math.inf),
            typical_limit=median(relative) if relative else math.inf,
            absolute_limit=max(absolute, default=math.inf),
            kinks=tuple(self._kinks),
            notes=tuple(self._notes),
            directions=self._directions,
            size=sum(x.size for x in self._x),
            rerun=self._rerun,
        )

    def _where_free(self, limits: Sequence[Array]) -> list[float]:
        """Return the finite limits of the coordinates that are not on kinks."""
        kept = [limit[free] for limit, free in zip(limits, self._free, strict=True)]
        return [float(x) for part in kept for x in part if math.isfinite(x)]

    def _values_are_sound(self) -> bool:
        """Check that the outputs are finite and the same in two calls."""
        first, again = self._program.outputs(self._x), self._program.outputs(self._x)
        if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True)):
            self._fail(
                "value",
                message="two calls with the same inputs differ; make the function deterministic",
            )
        elif not all(np.all(np.isfinite(out)) for out in first):
            self._fail("value", message="an output is not finite at the inputs; choose others")
        return not self._failures

    def _fail(
        self,
        what: str,
        argument: int | None = None,
        index: tuple[int, ...] = (),
        analytic: float = math.nan,
        numeric: float = math.nan,
        uncertainty: float = math.nan,
        message: str = "",
    ) -> None:
        name, at = "", math.nan
        if argument is not None:
            name, at = self._names[argument], float(self._x[argument][index])
            place = f"{name} of shape {self._x[argument].shape}, element {list(index)} = {at:.6g}"
            values = f"analytic {analytic:.12g}, numeric {numeric:.12g} +- {uncertainty:.1e}"
            message = f"{what} of {place}: {values}{message}"
        self._failures.append(
            GradcheckFailure(what, name, index, at, analytic, numeric, uncertainty, message)
        )

    # -- one direction -----------------------------------------------------------------------------

    def _check(self, cts: Sequence[Array], direction: Sequence[Array]) -> None:
        gradients = self._program.gradients(self._x, cts)[1]
        if any(g.shape != x.shape for g, x in zip(gradients, self._x, strict=True)):
            self._fail("gradient", message=f"gradients have shapes {[g.shape for g in gradients]}")
            return
        moved = [v * free for v, free in zip(direction, self._free, strict=True)]
        numeric = self._slope(cts, moved)
        if numeric.kink and not self._scanned:
            self._find_kinks(cts, gradients)
            moved = [v * free for v, free in zip(direction, self._free, strict=True)]
            numeric = self._slope(cts, moved)
        analytic, size = _contract(gradients, moved)
        if not math.isfinite(analytic):
            self._locate_not_finite(gradients)
            return
        tolerance = numeric.error + 256.0 * _EPS * (size + abs(numeric.value))
        if not math.isfinite(tolerance) or numeric.kink:
            self._note(
                "the numeric derivative does not settle along a direction, so that one says nothing"
            )
            return
        if abs(analytic - numeric.value) > tolerance:
            self._locate(cts, gradients, moved)
            return
        self._note_limits(gradients, moved, tolerance)
        self._check_adjointness(cts, moved, analytic, size)

    def _check_precision(
        self, dtype: str, program: Program, shapes: Sequence[tuple[int, ...]]
    ) -> None:
        """Compare the gradient in a narrower dtype with that in float64, at numbers of both."""
        if self._kinks:
            self._note(f"{dtype} was not compared: near a kink, rounding may choose another side")
            return
        rng = np.random.default_rng(0)
        cts = [random_cotangent(rng, shape).astype(np.float16).astype(float) for shape in shapes]
        at = [np.asarray(np.asarray(x, program.dtype), np.float64) for x in self._x]

        def gradients(arrays: Sequence[Array], backend: Any = None) -> list[Array]:
            with contextlib.nullcontext() if backend is None else ig.use_backend(backend):
                return self._program.gradients(arrays, cts)[1]

        try:
            found = program.gradients(at, cts)[1]
        except IsogradError as error:
            self._note(f"{dtype} was not compared: {error}")
            return
        right = gradients(at)
        backend = ig.get_backend(default_device().type)
        scales = rounding_scales(gradients, at, right, backend=backend, dtype=program.dtype)
        terms = max([1, *(n for x in at for n in x.shape)])
        for argument, (value, wanted, scale) in enumerate(zip(found, right, scales, strict=True)):
            c = compare(
                value,
                wanted,
                tolerance=TABLE["program"],
                scale=scale,
                terms=terms,
                dtype=program.dtype,
            )
            if not c.ok:
                self._fail(
                    f"{dtype} gradient",
                    argument,
                    c.index,
                    c.value,
                    c.reference,
                    c.bound,
                    "; the second is the float64 gradient",
                )

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _note_limits(
        self, gradients: Sequence[Array], moved: Sequence[Array], tolerance: float
    ) -> None:
        for i, (g, v) in enumerate(zip(gradients, moved, strict=True)):
            with np.errstate(divide="ignore", invalid="ignore"):
                absolute = np.where(v == 0, np.inf, tolerance / np.abs(v))
                self._limits[i] = np.minimum(self._limits[i], absolute)
                self._relative[i] = np.minimum(
                    self._relative[i], np.where(g == 0, np.inf, absolute / np.abs(g))
                )

    def _check_adjointness(
        self, cts: Sequence[Array], moved: Sequence[Array], pulled: float, size: float
    ) -> None:
        try:
            pushed, pushed_size = _contract(cts, self._program.tangents(self._x, moved))
        except AutodiffError as error:
            self._note(f"adjointness was not checked: {error}")
            return
        bound = 2.0**12 * _EPS * (size + pushed_size) + 1e-300
        if not abs(pushed - pulled) <= bound:
            both = f"<ct, jvp(t)> = {pushed:.12g} and <vjp(ct), t> = {pulled:.12g}"
            message = f"{both} differ by more than {bound:.1e}"
            self._fail(
                "adjointness", analytic=pulled, numeric=pushed, uncertainty=bound, message=message
            )

    def _slope(self, cts: Sequence[Array], direction: Sequence[Array]) -> Slope:
        def line(t: float) -> tuple[float, float]:
            arrays = [x + t * v for x, v in zip(self._x, direction, strict=True)]
            return _contract(cts, self._program.outputs(arrays))

        return slope(line)

    # -- where it is -------------------------------------------------------------------------------

    def _coordinates(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        for argument, free in enumerate(self._free):
            for index in zip(*np.nonzero(free), strict=True) if free.ndim else [()] if free else []:
                yield argument, tuple(int(i) for i in index)

    def _unit(self, argument: int, index: tuple[int, ...], length: float = 1.0) -> list[Array]:
        unit = [np.zeros(x.shape) for x in self._x]
        unit[argument][index] = length
        return unit

    def _find_kinks(self, cts: Sequence[Array], gradients: Sequence[Array]) -> None:
        """Find coordinates on kinks, check their gradients against both slopes, leave them out."""
        self._scanned = True
        if sum(int(free.sum()) for free in self._free) > _KINK_SCAN:
            self._note(
                f"there is a kink; with more than {_KINK_SCAN} coordinates it is not looked for"
            )
            return
        for argument, index in list(self._coordinates()):
            numeric = self._slope(cts, self._unit(argument, index))
            if not numeric.kink:
                continue
            self._free[argument][index] = False
            self._kinks.append(f"{self._names[argument]} {list(index)}")
            low, high = sorted((numeric.left, numeric.right))
            slack = 1e-6 * (abs(low) + abs(high))
            analytic = float(gradients[argument][index])
            if not low - slack <= analytic <= high + slack:
                message = (
                    f": at this kink the slopes are {numeric.left:.6g} and {numeric.right:.6g}"
                )
                self._fail("subgradient", argument, index, analytic, numeric.value, slack, message)

    def _locate_not_finite(self, gradients: Sequence[Array]) -> None:
        for argument, g in enumerate(gradients):
            if not np.all(np.isfinite(g)):
                index = tuple(int(i) for i in np.argwhere(~np.isfinite(g))[0])
                self._fail(
                    "gradient", argument, index, float(g[index]), message=", which is not finite"
                )
                return

    def _locate(
        self, cts: Sequence[Array], gradients: Sequence[Array], moved: Sequence[Array]
    ) -> None:
        """Narrow a disagreement down to its worst coordinate."""
        argument = max(
            range(len(self._x)), key=lambda i: self._gap(cts, gradients, self._only(moved, i))
        )
        places = np.flatnonzero(moved[argument])
        while places.size > _SCAN:
            halves = np.array_split(places, 2)
            places = max(
                halves,
                key=lambda part: self._gap(cts, gradients, self._only(moved, argument, part)),
            )
        shape = self._x[argument].shape
        indices = [tuple(int(k) for k in np.unravel_index(int(i), shape)) for i in places]
        index = max(indices, key=lambda i: self._gap(cts, gradients, self._unit(argument, i)))
        numeric = self._slope(cts, self._unit(argument, index))
        analytic = float(gradients[argument][index])
        slopes = _contract(gradients, moved)[0], self._slope(cts, moved).value
        total = f" (along the direction {slopes[0]:.6g} and {slopes[1]:.6g})"
        self._fail("gradient", argument, index, analytic, numeric.value, numeric.error, total)

    def _only(
        self, moved: Sequence[Array], argument: int, places: Array | None = None
    ) -> list[Array]:
        """Return the direction with all else than some places of one argument left out."""
        kept = [np.zeros(v.shape) for v in moved]
        source = moved[argument].reshape(-1)
        flat = np.zeros(source.shape)
        chosen: Any = slice(None) if places is None else places
        flat[chosen] = source[chosen]
        kept[argument] = flat.reshape(moved[argument].shape)
        return kept

    def _gap(
        self, cts: Sequence[Array], gradients: Sequence[Array], direction: Sequence[Array]
    ) -> float:
        """Return how far analytic and numeric slopes are apart, in units of the uncertainty."""
        analytic, size = _contract(gradients, direction)
        numeric = self._slope(cts, direction)
        gap = abs(analytic - numeric.value) / (
            numeric.error + 256.0 * _EPS * (size + abs(numeric.value)) + 1e-300
        )
        return gap if math.isfinite(gap) else 0.0


def _contract(left: Sequence[Array], right: Sequence[Array]) -> tuple[float, float]:
    """Return the inner product of lists of arrays, and the sum of absolute terms."""
    products = [a * b for a, b in zip(left, right, strict=True)]
    return float(sum(np.sum(p) for p in products)), float(sum(np.sum(np.abs(p)) for p in products))
