"""Sample values and shapes, and the shorthands that the rows of the table are written with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.testing.op_db.spec import ErrorCase, Sample, Samples

__all__ = [
    "BINARY_SHAPES",
    "LARGE",
    "MEDIUM",
    "UNARY_SHAPES",
    "bad",
    "binary",
    "bound",
    "cast",
    "distinct",
    "draw",
    "few_and_many",
    "in_rows",
    "limits",
    "public",
    "specials",
    "table",
    "unary",
]

Array = Any
Shape = tuple[int, ...]
Draw = Callable[[np.random.Generator, Shape, np.dtype[Any]], Array]

UNARY_SHAPES: tuple[Shape, ...] = ((), (5,), (3, 4), (2, 1, 3), (0,), (2, 0, 3))
BINARY_SHAPES: tuple[tuple[Shape, Shape], ...] = (
    ((3, 4), (3, 4)),
    ((), ()),
    ((3, 1), (4,)),
    ((), (2, 3)),
    ((5,), ()),
    ((2, 1, 3), (4, 1)),
    ((0, 3), (1, 3)),
)
LARGE = 70_001
"""Elements of a large sample: above every size at which a backend changes its way."""

MEDIUM = (45, 47)
"""A shape above the sizes from which compiled kernels are used, and below those of threads."""


def bound(name: str, /) -> Callable[..., Any]:
    """Return the function that binds a primitive: tensors positional, static by keyword."""

    def call(*tensors: Any, **static: Any) -> Any:
        return ig.bind(ig.ops.PRIMITIVES[name], *tensors, **static)

    call.__name__ = name
    return call


def public(name: str, /) -> Callable[..., Any]:
    """Return a public function of `isograd` by its dotted name, found when it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        found: Any = ig
        for part in name.split("."):
            found = getattr(found, part)
        return found(*args, **kwargs)

    call.__name__ = name
    return call


def draw(
    low: float = -2.0, high: float = 2.0, *, avoid: Sequence[float] = (), gap: float = 0.1
) -> Draw:
    """Return a source of uniform values in ``[low, high]``, none within `gap` of a point to avoid.

    Integers are uniform in the same interval (from 0 for unsigned ones); booleans are even. Complex
    numbers have such real parts, and imaginary ones away from 0, where branch cuts are.
    """

    def values(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
        if dtype.kind == "b":
            return rng.integers(0, 2, shape).astype(bool)
        if dtypes.is_integer(dtype):
            least = max(int(low), 0) if dtype.kind == "u" else int(low)
            return np.asarray(rng.integers(least, max(int(high), least) + 1, shape)).astype(dtype)
        if dtypes.is_complex(dtype):
            x = values(rng, shape, np.dtype(np.float64))
            y = rng.uniform(0.2, 1.5, shape) * rng.choice((-1.0, 1.0), shape)
            return np.asarray(x + 1j * y).astype(dtype)
        x = np.asarray(rng.uniform(low, high, shape))
        for point in avoid:
            x = np.where(np.abs(x - point) < gap, point + np.copysign(gap, x - point), x)
        return x.astype(dtype)

    return values


def distinct(spacing: float = 0.25) -> Draw:
    """Return a source of values in random order, no two of which are nearer than `spacing`."""

    def values(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
        size = int(np.prod(shape))
        order = rng.permutation(size).reshape(shape)
        if dtype.kind == "b":
            return (order % 2).astype(bool)
        if dtypes.is_integer(dtype):
            return (order % 100).astype(dtype)
        return ((order - size / 2) * spacing + 0.1).astype(dtype)

    return values


def unary(source: Draw | None = None, *, grad: bool = True, large: int = LARGE) -> Samples:
    """Return samples of functions of one array."""
    values = source or draw()

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shape in UNARY_SHAPES:
            yield Sample((values(rng, shape, dtype),), grad=grad)
        yield Sample((values(rng, MEDIUM, dtype),), label="medium", grad=False)
        yield Sample((values(rng, (large,), dtype),), label="large", grad=False, layouts=False)

    return samples


def binary(
    left: Draw | None = None, right: Draw | None = None, *, grad: bool = True, large: int = LARGE
) -> Samples:
    """Return samples of broadcasting functions of two arrays."""
    x_values = left or draw()
    y_values = right or x_values

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for x_shape, y_shape in BINARY_SHAPES:
            yield Sample((x_values(rng, x_shape, dtype), y_values(rng, y_shape, dtype)), grad=grad)
        medium = x_values(rng, MEDIUM, dtype), y_values(rng, MEDIUM[1:], dtype)
        yield Sample(medium, label="medium", grad=False)
        big = x_values(rng, (large,), dtype), y_values(rng, (large,), dtype)
        yield Sample(big, label="large", grad=False, layouts=False)
        tall = x_values(rng, (129, 1), dtype), y_values(rng, (1, 257), dtype)
        yield Sample(tall, label="large broadcast", grad=False, layouts=False)

    return samples


def limits(dtype: np.dtype[Any]) -> Array:
    """Return integers at which a dtype ends, and those above which floats are not exact."""
    info = dtypes.iinfo(dtype)
    ends = info.min, info.min + 1, info.max - 1, info.max
    whole = (*ends, -(2**53) - 3, -7, -1, 0, 1, 2, 7, 2**24 + 3, 2**53 + 3)
    return np.array([n for n in whole if info.min <= n <= info.max], dtype)


def _in_kind(values: Sequence[float], dtype: np.dtype[Any]) -> Array:
    """Return the values where the dtype is floating, the limits of an integer one, else nothing."""
    if dtypes.is_floating(dtype):
        return cast(values, dtype)
    return limits(dtype) if dtypes.is_integer(dtype) else np.zeros(0, dtype)


def specials(values: Sequence[float]) -> Samples:
    """Return forward-only samples of one array with these values, few and many.

    Integers have their `limits` instead.
    """

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        x = _in_kind(values, dtype)
        for arrays in few_and_many(x) if x.size else ():
            yield Sample(arrays, label="extreme", grad=False)

    return samples


def table(values: Sequence[float], right: Callable[[Array], Array] = np.copy) -> Samples:
    """Return forward-only samples of two arrays with every pair of the values, few and many.

    Integers have their `limits` instead; `right` changes the second operands.
    """

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        x = _in_kind(values, dtype)
        y = right(x)
        if x.size:
            yield Sample((x[:, None], y), label="extreme pairs", grad=False)
            pairs = np.repeat(x, y.size), np.tile(y, x.size)
            yield Sample(few_and_many(*pairs)[1], label="extreme pairs", grad=False)

    return samples


def few_and_many(*arrays: Array) -> list[tuple[Array, ...]]:
    """Return the arrays as they are, and repeated along their first axis to a size for kernels."""
    times = -(-5000 // max(arrays[0].shape[0], 1))
    return [arrays, tuple(np.concatenate([x] * times) for x in arrays)]


def in_rows(rows: Sequence[Sequence[float]], dtype: np.dtype[Any], fill: float) -> list[Array]:
    """Return matrices with special rows: as they are, many of them, and spread in long rows."""
    x = cast(rows, dtype)
    long = np.full((x.shape[0], 3001), fill, dtype)
    long[:, [5, 1500, 3000][: x.shape[1]]] = x
    return [*(arrays[0] for arrays in few_and_many(x)), long]


def cast(values: Any, dtype: np.dtype[Any]) -> Array:
    """Convert without a warning for numbers that the dtype cannot hold."""
    with np.errstate(all="ignore"):
        return np.asarray(values, np.float64).astype(dtype)


def bad(*args: Any, error: type[Exception], says: Sequence[str] = (), **kwargs: Any) -> ErrorCase:
    """Write a call that must fail; tuples become float32 zeros of that shape."""
    arrays: list[Array] = []
    for arg in args:
        shape: Any = arg
        arrays.append(np.zeros(shape, np.float32) if isinstance(arg, tuple) else np.asarray(arg))
    return ErrorCase(tuple(arrays), kwargs, error, tuple(says))
