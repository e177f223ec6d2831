"""Analytic against numeric derivatives of a program at one point, along directions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.errors import AutodiffError
from isograd.runtime.registry import default_device
from isograd.testing.execute import inner
from isograd.testing.numeric import Slope, random_cotangent, random_direction, slope
from isograd.testing.program import Program
from isograd.testing.rounding import rounding_scales

__all__ = ["Disagreement", "Point"]

Array = Any

_EPS = float(np.finfo(np.float64).eps)
_SCAN = 64
_ADJOINT = 2.0**12
#: Derivatives that are smaller than this share of the largest one count as 0.
_NOTHING = 1e-12
#: How many times farther the coordinates that are hard to see are moved.
_STRETCH = 16.0
#: And how far all of them, to see what steps may have gone over.
_CLOSER = 2.0**-14


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """What is wrong at a point, in numbers and in words."""

    what: str
    message: str
    argument: int | None = None
    index: tuple[int, ...] = ()
    analytic: float = math.nan
    numeric: float = math.nan
    uncertainty: float = math.nan


class Point:
    """Derivatives at one point.

    Parameters
    ----------
    program
        What is differentiated.
    arrays
        Where.
    rng
        Chooses cotangents and directions.

    Attributes
    ----------
    found : list of Disagreement
        What is certainly wrong, as far as this point shows.
    kinks : list
        Argument and index of coordinates that are on kinks.
    absolute, relative : list of ndarray
        The smallest error of each coordinate that would have shown.
    tried : int
        How many directions.
    """

    def __init__(self, program: Program, arrays: Sequence[Array], rng: np.random.Generator) -> None:
        self.arrays = arrays
        self.found: list[Disagreement] = []
        self.kinks: list[tuple[int, tuple[int, ...]]] = []
        self.notes: list[str] = []
        self.absolute = [np.full(x.shape, np.inf) for x in arrays]
        self.relative = [np.full(x.shape, np.inf) for x in arrays]
        self.tried = 0
        self._program = program
        self._rng = rng
        self._shapes = [out.shape for out in program.outputs(arrays)]
        self._wrong: Callable[[], Disagreement] | None = None
        self._begin()

    def _begin(self) -> None:
        """Draw cotangents."""
        self._cts = [random_cotangent(self._rng, shape) for shape in self._shapes]
        self.gradients = self._program.gradients(self.arrays, self._cts)[1]

    @property
    def free(self) -> list[Array]:
        """Tell for each coordinate whether it is off kinks."""
        free = [np.ones(x.shape, bool) for x in self.arrays]
        for argument, index in self.kinks:
            free[argument][index] = False
        return free

    @property
    def unclear(self) -> bool:
        """Whether there is a coordinate of which nothing is known: kinks are in the way."""
        limits = zip(self.absolute, self.free, strict=True)
        return any(bool(np.any(np.isinf(limit) & free)) for limit, free in limits)

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return bool(self.found) or self._wrong is not None

    def check(self, directions: int) -> None:
        """Try random directions of all coordinates."""
        for number in range(directions):
            if number:
                self._begin()
            if self.failed or not self._is_sound():
                return
            self._check([random_direction(self._rng, x) for x in self.arrays])

    def refine(self, budget: int, target: float) -> None:
        """Try directions of the coordinates in which relative errors above a target do not show."""
        parts = 0
        while budget > 0 and not self.failed:
            hard = self._hard(target)
            if not hard:
                return
            groups = self._groups(hard, parts)[:budget]
            for group in groups:
                self._check(
                    [
                        _STRETCH * random_direction(self._rng, x) * chosen
                        for x, chosen in zip(self.arrays, group, strict=True)
                    ]
                )
            budget -= len(groups)
            if self.unclear:  # kinks are in the way of one argument alone, and will be
                return
            if parts >= sum(int(places.size) for places in hard.values()):
                return
            parts = 4 * max(1, parts)

    def locate(self) -> None:
        """Trace a disagreement along a direction to a coordinate."""
        if self._wrong is not None:
            self.found.append(self._wrong())
            self._wrong = None

    # -- one direction -----------------------------------------------------------------------------

    def _is_sound(self) -> bool:
        """Check shapes, and that gradients are finite."""
        for argument, (g, x) in enumerate(zip(self.gradients, self.arrays, strict=True)):
            if g.shape != x.shape:
                shapes = f"gradients have shapes {[g.shape for g in self.gradients]}"
                self.found.append(Disagreement("gradient", shapes))
                return False
            if not np.all(np.isfinite(g)):
                index = _place(~np.isfinite(g))
                self.found.append(
                    Disagreement(
                        "gradient", ", which is not finite", argument, index, float(g[index])
                    )
                )
                return False
        return True

    def _check(self, direction: Sequence[Array]) -> None:
        self.tried += 1
        moved = [v * free for v, free in zip(direction, self.free, strict=True)]
        analytic, size = inner(self.gradients, moved)
        apart, tolerance = self._apart(moved, analytic, size)
        if tolerance < apart:
            # The function may go up and down between the steps. Then closer ones agree.
            closer = self._apart([_CLOSER * v for v in moved], _CLOSER * analytic, _CLOSER * size)
            near, allowed = closer[0] / _CLOSER, closer[1] / _CLOSER
            if near <= allowed < apart:
                apart, tolerance = near, allowed
        if not math.isfinite(tolerance):
            self.note(
                "the numeric derivative does not settle along a direction, so that one says nothing"
            )
        elif apart > tolerance:
            gradients, cts = self.gradients, self._cts
            self._wrong = lambda: self._located(cts, gradients, moved)
        else:
            # An error may make up for what the two differ by, as far as that goes.
            self._note_limits(moved, tolerance + apart)
            self._check_adjointness(moved, analytic, size)

    def _apart(self, moved: Sequence[Array], analytic: float, size: float) -> tuple[float, float]:
        """Return how far derivatives along a direction are apart, and how far they may be."""
        numeric = self.slope(moved)
        tolerance = numeric.error + 256.0 * _EPS * (size + abs(numeric.value))
        settled = math.isfinite(tolerance) and not numeric.kink
        return (abs(analytic - numeric.value), tolerance) if settled else (0.0, math.inf)

    def note(self, text: str) -> None:
        """Keep what is to be said, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _note_limits(self, moved: Sequence[Array], tolerance: float) -> None:
        nothing = self._nothing
        for i, (g, v) in enumerate(zip(self.gradients, moved, strict=True)):
            with np.errstate(divide="ignore", invalid="ignore"):
                absolute = np.where(v == 0, np.inf, tolerance / np.abs(v))
                relative = np.where(np.abs(g) <= nothing, np.inf, absolute / np.abs(g))
            self.absolute[i] = np.minimum(self.absolute[i], absolute)
            self.relative[i] = np.minimum(self.relative[i], relative)

    def _check_adjointness(self, moved: Sequence[Array], pulled: float, size: float) -> None:
        try:
            tangents = self._program.tangents(self.arrays, moved)
        except AutodiffError as error:
            self.note(f"adjointness was not checked: {error}")
            return
        pushed, pushed_size = inner(self._cts, tangents)
        bound = _ADJOINT * _EPS * (size + pushed_size) + 1e-300
        if not abs(pushed - pulled) <= bound:
            # What is left where much cancels is no measure: ask how far rounding moves it.
            bound += _ADJOINT * _EPS * inner(self._scales(), [np.abs(v) for v in moved])[0]
        if not abs(pushed - pulled) <= bound:
            both = f"<ct, jvp(t)> = {pushed:.12g} and <vjp(ct), t> = {pulled:.12g}"
            message = f"{both} differ by more than {bound:.1e}"
            self.found.append(
                Disagreement(
                    "adjointness", message, analytic=pulled, numeric=pushed, uncertainty=bound
                )
            )

    def _scales(self) -> list[Array]:
        """Return the scale on which rounding moves the gradients."""

        def run(arrays: Sequence[Array], backend: Any) -> list[Array]:
            with ig.use_backend(backend):
                return self._program.gradients(arrays, self._cts)[1]

        backend = ig.get_backend(default_device().type)
        return rounding_scales(
            run, self.arrays, self.gradients, backend=backend, dtype=self._program.dtype
        )

    def slope(self, direction: Sequence[Array], cts: Sequence[Array] | None = None) -> Slope:
        """Return the numeric derivative along a direction."""
        given = self._cts if cts is None else cts

        def line(t: float) -> tuple[float, float]:
            arrays = [x + t * v for x, v in zip(self.arrays, direction, strict=True)]
            return inner(given, self._program.outputs(arrays))

        return slope(line)

    # -- which coordinates -------------------------------------------------------------------------

    @property
    def _nothing(self) -> float:
        largest = max(float(np.max(np.abs(g), initial=0.0)) for g in self.gradients)
        return _NOTHING * largest

    def _hard(self, target: float) -> dict[int, Array]:
        """Return, by argument, the places of coordinates that are hard to see."""
        found: dict[int, Array] = {}
        nothing = self._nothing
        for i, (limit, g, free) in enumerate(
            zip(self.relative, self.gradients, self.free, strict=True)
        ):
            places = np.flatnonzero((limit > target) & (np.abs(g) > nothing) & free)
            if places.size:
                found[i] = places
        return found

    def _groups(self, hard: dict[int, Array], parts: int) -> list[list[Array]]:
        """Return masks of coordinates to move together: those of an argument, or of similar size.

        The coordinates with the largest derivatives come first, for the budget may end.
        """
        if not parts:
            return [self._mask([(i, places)]) for i, places in hard.items()]
        arguments = np.concatenate([np.full(places.size, i) for i, places in hard.items()])
        places = np.concatenate(list(hard.values()))
        sizes = np.concatenate(
            [np.abs(self.gradients[i]).reshape(-1)[places] for i, places in hard.items()]
        )
        order = np.argsort(-sizes, kind="stable")
        chunks = np.array_split(order, min(parts, order.size))
        return [
            self._mask([(int(i), places[c][arguments[c] == i]) for i in np.unique(arguments[c])])
            for c in chunks
        ]

    def _mask(self, chosen: Sequence[tuple[int, Array]]) -> list[Array]:
        masks = [np.zeros(x.shape, bool) for x in self.arrays]
        for i, places in chosen:
            flat = masks[i].reshape(-1)
            flat[places] = True
            masks[i] = flat.reshape(masks[i].shape)
        return masks

    def coordinates(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield argument and index of every coordinate."""
        for argument, x in enumerate(self.arrays):
            for index in np.ndindex(x.shape):
                yield argument, index

    def unit(self, argument: int, index: tuple[int, ...]) -> list[Array]:
        """Return the direction of one coordinate."""
        unit = [np.zeros(x.shape) for x in self.arrays]
        unit[argument][index] = 1.0
        return unit

    def find_kinks(self, *, binding: bool) -> None:
        """Find the coordinates on kinks, and leave them out.

        Where `binding`, gradients there must lie between the slopes on both sides: a single
        operation with positive cotangents, so that kinks do not cancel.
        """
        cts = [np.abs(ct) for ct in self._cts]
        gradients = self._program.gradients(self.arrays, cts)[1]
        for argument, index in self.coordinates():
            numeric = self.slope(self.unit(argument, index), cts)
            if not numeric.kink:
                continue
            self.kinks.append((argument, index))
            low, high = sorted((numeric.left, numeric.right))
            slack = 1e-6 * (abs(low) + abs(high))
            analytic = float(gradients[argument][index])
            if binding and not low - slack <= analytic <= high + slack:
                slopes = f"the slopes are {numeric.left:.6g} and {numeric.right:.6g}"
                self.found.append(
                    Disagreement(
                        "subgradient",
                        f": at this kink {slopes}",
                        argument,
                        index,
                        analytic,
                        numeric.value,
                        slack,
                    )
                )

    def _located(
        self, cts: Sequence[Array], gradients: Sequence[Array], moved: Sequence[Array]
    ) -> Disagreement:
        def gap(direction: Sequence[Array]) -> float:
            """Return how far both slopes are apart, in units of the uncertainty."""
            analytic, size = inner(gradients, direction)
            numeric = self.slope(direction, cts)
            tolerance = numeric.error + 256.0 * _EPS * (size + abs(numeric.value)) + 1e-300
            found = abs(analytic - numeric.value) / tolerance
            return found if math.isfinite(found) and not numeric.kink else 0.0

        def only(i: int, places: Array) -> list[Array]:
            mask = self._mask([(i, places)])
            return [v * chosen for v, chosen in zip(moved, mask, strict=True)]

        parts = [(i, np.flatnonzero(v)) for i, v in enumerate(moved) if np.any(v)]
        argument, places = max(parts, key=lambda part: gap(only(*part)))
        while places.size > _SCAN:
            places = max(np.array_split(places, 2), key=lambda half: gap(only(argument, half)))
        shape = self.arrays[argument].shape
        indices = [tuple(int(k) for k in np.unravel_index(int(i), shape)) for i in places]
        index = max(indices, key=lambda i: gap(self.unit(argument, i)))
        numeric = self.slope(self.unit(argument, index), cts)
        slopes = inner(gradients, moved)[0], self.slope(moved, cts).value
        return Disagreement(
            "gradient",
            f" (along the direction {slopes[0]:.6g} and {slopes[1]:.6g})",
            argument,
            index,
            float(gradients[argument][index]),
            numeric.value,
            numeric.error,
        )


def _place(mask: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])
