"""Products and extrema of updates by the place that they go to, made of the primitives there are.

Updates are sorted by place, stably, so that those of one place stand in a row, in their order.
"""

from __future__ import annotations

from isograd.core import dtypes
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.convert import cast, is_traced
from isograd.ops.creation import full, zeros_like
from isograd.ops.movement import concat, slice_axis
from isograd.ops.reductions import any as any_of
from isograd.ops.reductions import argsort
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = ["place_extremum", "put_extremum", "put_product"]


def _take(x: Tensor, indices: Tensor) -> Tensor:
    return bind(p.take, x, indices, axis=0)


def put_product(places: Tensor, updates: Tensor, n: int) -> Tensor:
    """Return the product of the updates of each of ``n`` places, 1 where there is none.

    Parameters
    ----------
    places
        A vector of indices in ``[0, n - 1]``.
    updates
        A vector of as many numbers.
    """
    order = argsort(places)
    places, product = _take(places, order), _take(updates, order)
    # Each update takes in the product of the 1, 2, 4... before it, as long as they go to its place.
    count, distance = places.shape[0], 1
    while distance < count:
        same = m.equal(
            slice_axis(places, 0, distance, count), slice_axis(places, 0, 0, count - distance)
        )
        if not is_traced(same) and not any_of(same):
            break
        before = m.where(same, slice_axis(product, 0, 0, count - distance), 1)
        first = slice_axis(product, 0, 0, distance)
        rest = m.multiply(slice_axis(product, 0, distance, count), before)
        product = concat([first, rest], axis=0)
        distance *= 2
    none = full((n,), 1, dtype=updates.dtype, device=updates.device)
    return bind(p.index_set, none, places, product, axis=0)


def put_extremum(x: Tensor, places: Tensor, updates: Tensor, *, largest: bool) -> Tensor:
    """Return the largest (smallest) of each element of a vector and the updates of its place."""
    own = bind(p.arange, start=0, stop=x.shape[0], step=1, dtype=dtypes.int64, device=x.device)
    return place_extremum(
        concat([own, places], axis=0), concat([x, updates], axis=0), x, largest=largest
    )


def place_extremum(places: Tensor, values: Tensor, none: Tensor, *, largest: bool) -> Tensor:
    """Return the largest (smallest) of the values of each place; NaN wins.

    Ties share the derivative evenly (policy P2).

    Parameters
    ----------
    places
        A vector of indices.
    values
        A vector of as many numbers.
    none
        A vector with the results of places that have no value.
    """
    order = argsort(values, descending=not largest)  # NaN last
    # The last of duplicates wins, so the largest does.
    winner = bind(p.index_set, none, _take(places, order), _take(values, order), axis=0)
    if not dtypes.is_floating(values.dtype):
        return winner
    peak = m.stop_gradient(winner)
    ties = m.logical_and(m.equal(values, _take(peak, places)), m.isfinite(values))
    count = bind(p.scatter_add, zeros_like(none), places, cast(ties, values.dtype), axis=0)
    tied = m.where(ties, values, 0)
    mean = m.divide(bind(p.scatter_add, zeros_like(none), places, tied, axis=0), count)
    # The value is the extremum itself, the derivative that of the mean of what ties.
    shared = m.add(peak, m.subtract(mean, m.stop_gradient(mean)))
    return m.where(m.greater(count, 1), shared, winner)
