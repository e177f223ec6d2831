"""`gradcheck`: a gradient against numeric derivatives, and what it would have seen."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import isograd as ig
from isograd.core.errors import IsogradError
from isograd.debug import watching
from isograd.runtime.registry import default_device
from isograd.testing.derivatives import Disagreement, Point
from isograd.testing.numeric import random_cotangent, random_direction
from isograd.testing.program import Program
from isograd.testing.rounding import rounding_scales
from isograd.testing.tolerances import TABLE, compare

__all__ = ["GradcheckFailure", "GradcheckReport", "GradientError", "Limit", "gradcheck"]

Array = Any

BUDGET = 16
"""How many more directions are spent on coordinates that are hard to see, unless told otherwise."""

TARGET = 1e-4
"""The relative error in any coordinate that is to be seen, as far as the budget lasts."""

_KINK_SCAN = 4096
_OTHERS = 2
_FAR, _NEAR = 0.25, 2.0**-6


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


class Limit(NamedTuple):
    """The smallest error in a single coordinate of one argument that would have been seen.

    Attributes
    ----------
    name : str
        The differentiable array: an argument or a parameter.
    size : int
        How many coordinates it has.
    worst, typical : float
        Relative to the coordinate's own derivative: in the hardest coordinate, in the median one.
    absolute : float
        The absolute error, in the hardest coordinate.
    seen : float
        In which share of the coordinates a relative error of 1e-4 would have been seen; those
        whose derivative is 0, or next to it, do not count.
    """

    name: str
    size: int
    worst: float
    typical: float
    absolute: float
    seen: float

    def __str__(self) -> str:
        head = f"{self.name or 'input'}, {self.size} coordinates: "
        if math.isinf(self.worst):
            return f"{head}derivatives are 0, or next to it; absolute {self.absolute:.1e}"
        return (
            f"{head}{self.worst:.1e}, {self.typical:.1e} in the median one, absolute "
            f"{self.absolute:.1e}; {TARGET:.0e} in {100.0 * self.seen:.4g} % of them"
        )


@dataclasses.dataclass(frozen=True)
class GradcheckReport:
    """What `gradcheck` found; true when nothing is wrong.

    Attributes
    ----------
    failures : tuple of GradcheckFailure
        What is wrong.
    detection_limit : float
        The smallest relative error in any single coordinate, however small its derivative, that
        would have been seen; coordinates whose derivative is 0, or next to it, have
        `absolute_limit` instead.
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
    limits : tuple of Limit
        What would have been seen of each argument and parameter.
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
    limits: tuple[Limit, ...] = ()

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
        said = self.ok and math.isinf(self.detection_limit)
        lines += ["  numeric derivatives do not settle here, so that nothing is shown"] * said
        if math.isfinite(self.absolute_limit):
            lines.append(
                f"  would have seen a relative error above {self.detection_limit:.1e} in any "
                f"single coordinate ({self.typical_limit:.1e} in the median one), an absolute one "
                f"above {self.absolute_limit:.1e}"
            )
            lines += [f"    {limit}" for limit in self.limits if len(self.limits) > 1]
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
    budget: int = BUDGET,
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

    At a kink or a tie, where derivatives are a convention, nobody is wrong: a single operation's
    gradient must lie between the slopes on both sides, and a larger function fails only where its
    gradient is wrong at two points nearby as well.

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
        How many random directions of all coordinates at once.
    budget
        How many more directions at most, of fewer coordinates that are moved farther, as long as a
        relative error of 1e-4 in one of them would not be seen. More make the detection limit of
        large models smaller.
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
        report = _Checker(fn, inputs, directions, budget, seed, dtypes, where).run()
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
        budget: int,
        seed: int,
        dtypes: Sequence[Any],
        where: str,
    ) -> None:
        self._program = Program(fn, inputs, "float64")
        self._narrow = [(str(dtype), Program(fn, inputs, dtype)) for dtype in dtypes]
        self._x = self._program.arrays
        self._size = sum(x.size for x in self._x)
        self._names = self._program.names
        self._rng = np.random.default_rng(seed)
        self._failures: list[GradcheckFailure] = []
        self._notes: list[str] = []
        self._directions = directions
        self._budget = budget
        name = getattr(fn, "__qualname__", type(fn).__name__)
        named = zip(self._names, self._x, strict=True)
        shapes = ", ".join(f"{n or 'input'}: {list(x.shape)}" for n, x in named)
        more = "" if budget == BUDGET else f", budget={budget}"
        call = f"gradcheck(fn, *inputs, directions={directions}{more}, seed={seed}{where})"
        self._rerun = f"{call}, fn being {name} and the differentiable inputs {shapes}"

    def run(self) -> GradcheckReport:
        point: Point | None = None
        if self._values_are_sound():
            point = self._judged()
            point.locate()
            for found in point.found:
                self._fail(found, point)
            for dtype, program in self._narrow if not self._failures else ():
                self._check_precision(dtype, program, point)
        return self._report(point)

    def _judged(self) -> Point:
        """Return the point that decides: the inputs, or where they lie on kinks one nearby."""
        point = self._tried(self._x)
        if point.found or not (point.failed or point.unclear) or self._is_one_operation:
            return point
        others: list[Point] = []
        for length in (_FAR, _FAR, _NEAR, _NEAR):
            near = [x + length * random_direction(self._rng, x) for x in self._x]
            if all(np.all(np.isfinite(out)) for out in self._program.outputs(near)):
                others.append(self._tried(near))
            if len(others) == _OTHERS or any(not (o.failed or o.unclear) for o in others):
                break
        good = [other for other in others if not other.failed]
        if not good:
            return point if point.failed or not others else others[0]
        self._note(
            "at the inputs, or close to them, lie kinks or ties that numeric derivatives cannot "
            "see past; derivatives were compared at a point a little way off"
        )
        return min(good, key=lambda other: other.unclear)

    def _tried(self, arrays: Sequence[Array]) -> Point:
        point = Point(self._program, arrays, self._rng)
        point.check(self._directions)
        most = _KINK_SCAN if self._is_one_operation else _KINK_SCAN // 8
        if point.unclear and not point.failed and self._size <= most:
            point.find_kinks(binding=self._is_one_operation)
            if point.kinks:
                point.notes = []
                point.check(self._directions)
        point.refine(self._budget, TARGET)
        return point

    @functools.cached_property
    def _is_one_operation(self) -> bool:
        """Whether a single operation runs: what selects numbers then does so once."""
        calls: list[Any] = []
        with watching(calls.append, backend=ig.get_backend(default_device().type)):
            self._program.outputs(self._x)
        return len(calls) <= 1

    def _report(self, point: Point | None) -> GradcheckReport:
        limits: list[Limit] = []
        typical = math.inf
        kinks: list[tuple[int, tuple[int, ...]]] = []
        if point is not None:
            numbers = point.relative, point.absolute, point.gradients, point.free
            limits = [_limit(*one) for one in zip(self._names, *numbers, strict=True)]
            relative = _finite(point.relative, point.free)
            typical = float(np.median(relative)) if relative.size else math.inf
            kinks = point.kinks
        seen = [limit for limit in limits if math.isfinite(limit.worst)]
        return GradcheckReport(
            failures=tuple(self._failures),
            detection_limit=max((limit.worst for limit in seen), default=math.inf),
            typical_limit=typical,
            absolute_limit=max((limit.absolute for limit in limits), default=math.inf),
            kinks=tuple(f"{self._names[i]} {list(index)}" for i, index in kinks),
            notes=tuple(self._notes + ([] if point is None else point.notes)),
            directions=self._directions if point is None else max(self._directions, point.tried),
            size=self._size,
            rerun=self._rerun,
            limits=tuple(limits),
        )

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _values_are_sound(self) -> bool:
        """Check that the outputs are finite and the same in two calls."""
        first, again = self._program.outputs(self._x), self._program.outputs(self._x)
        message = ""
        if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True)):
            message = "two calls with the same inputs differ; make the function deterministic"
        elif not all(np.all(np.isfinite(out)) for out in first):
            message = "an output is not finite at the inputs; choose others"
        if message:
            self._fail(Disagreement("value", message))
        return not message

    def _fail(self, found: Disagreement, point: Point | None = None) -> None:
        name, at, message = "", math.nan, found.message
        if found.argument is not None and point is not None:
            x = point.arrays[found.argument]
            name, at = self._names[found.argument], float(x[found.index])
            place = f"{name} of shape {x.shape}, element {list(found.index)} = {at:.6g}"
            numeric = f"numeric {found.numeric:.12g} +- {found.uncertainty:.1e}"
            message = f"{found.what} of {place}: analytic {found.analytic:.12g}, {numeric}{message}"
        numbers = found.analytic, found.numeric, found.uncertainty
        self._failures.append(
            GradcheckFailure(found.what, name, found.index, at, *numbers, message)
        )

    def _check_precision(self, dtype: str, program: Program, point: Point) -> None:
        """Compare the gradient in a narrower dtype with that in float64, at numbers of both."""
        if point.kinks:
            self._note(f"{dtype} was not compared: near a kink, rounding may choose another side")
            return
        rng = np.random.default_rng(0)
        shapes = [out.shape for out in self._program.outputs(self._x)]
        cts = [random_cotangent(rng, shape).astype(np.float16).astype(float) for shape in shapes]
        at = [np.asarray(np.asarray(x, program.dtype), np.float64) for x in point.arrays]

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
                numbers = c.value, c.reference, c.bound
                said = "; the second is the float64 gradient"
                self._fail(
                    Disagreement(f"{dtype} gradient", said, argument, c.index, *numbers), point
                )


def _finite(limits: Sequence[Array], free: Sequence[Array]) -> Array:
    """Return the finite limits of the coordinates that are not on kinks."""
    kept: Array = np.concatenate([x[off] for x, off in zip(limits, free, strict=True)])
    return kept[np.isfinite(kept)]


def _limit(name: str, relative: Array, absolute: Array, gradient: Array, free: Array) -> Limit:
    own, least = _finite([relative], [free]), _finite([absolute], [free])
    return Limit(
        name,
        gradient.size,
        float(np.max(own)) if own.size else math.inf,
        float(np.median(own)) if own.size else math.inf,
        float(np.max(least)) if least.size else math.inf,
        float(np.count_nonzero(own <= TARGET)) / max(1, own.size),
    )
