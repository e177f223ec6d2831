"""Rows of public functions that move elements, read them by index, or update them."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.testing.op_db.generate import bad, distinct, draw, public
from isograd.testing.op_db.public import case, joined, row, sampled
from isograd.testing.op_db.spec import BOOL, NUMERIC, ErrorCase, OpSpec, Sample, Samples, Scale

__all__ = ["SHAPING"]

Array = Any
ALL = (*NUMERIC, *BOOL)

_move = functools.partial(row, dtypes=ALL)


def _triangle(keep: Callable[[Array, int], Array]) -> Callable[..., Array]:
    def reference(x: Array, *, k: int = 0) -> Array:
        below = np.subtract.outer(np.arange(x.shape[-2]), np.arange(x.shape[-1]))
        return np.where(keep(below, -k), x, x.dtype.type(0))

    return reference


_TRIANGLES = (case((3, 4)), case((2, 3, 3), k=-1), case((2, 3, 3), k=1))

MOVEMENT = (
    _move(
        "isograd.reshape",
        lambda x, *, shape: np.reshape(x, shape),
        case((3, 4), shape=(2, -1)),
        case((2, 3, 4), shape=(-1,)),
        case((0, 3), shape=(3, 0)),
        errors=(
            bad((2, 3), shape=(4, -1), error=ShapeError, says=("reshape", "(2, 3)", "(4, -1)")),
        ),
    ),
    _move(
        "flatten",
        lambda x, *, start: x.reshape(*x.shape[:start], -1),
        case((2, 3, 4), start=0),
        case((2, 3, 4), start=1),
        by=("start",),
    ),
    _move("transpose", np.transpose, case((3, 4)), case((2, 3, 4))),
    _move("matrix_transpose", np.matrix_transpose, case((2, 3, 4)), case((3, 4))),
    _move(
        "moveaxis",
        np.moveaxis,
        case((2, 3, 4), source=0, destination=-1),
        case((2, 3, 4), source=(0, -1), destination=(1, 0)),
        by=("source", "destination"),
    ),
    _move(
        "expand_dims", np.expand_dims, case((3, 4), axis=0), case((3, 4), axis=-1), case((), axis=0)
    ),
    _move(
        "squeeze",
        np.squeeze,
        case((3, 1, 4), axis=1),
        case((1, 3, 1), axis=(0, -1)),
        errors=(bad((2, 3), axis=0, error=ShapeError, says=("squeeze", "(2, 3)")),),
    ),
    _move("isograd.flip", np.flip, case((3, 4)), case((3, 4), axis=-1)),
    _move(
        "roll",
        np.roll,
        case((5,), shift=2),
        case((3, 4), shift=-1),
        case((3, 4), shift=(1, -2), axis=(0, 1)),
        case((3, 4), shift=5, axis=1),
        by=("shift",),
    ),
    _move(
        "isograd.concat",
        lambda *xs, axis: np.concatenate(xs, axis),
        case((2, 3), (1, 3), axis=0),
        case((2, 3), (2, 2), (2, 1), axis=-1),
        case((2, 3), (4,), axis=None),
        fn=joined("concat"),
        grad_args=(0, 1, 2),
    ),
    _move(
        "stack",
        lambda *xs, axis: np.stack(xs, axis),
        case((2, 3), (2, 3), axis=0),
        case((2, 3), (2, 3), (2, 3), axis=-1),
        case((), (), axis=0),
        fn=joined("stack"),
        grad_args=(0, 1, 2),
        errors=(bad((2, 3), (3, 2), axis=0, error=ShapeError, says=("stack", "(2, 3)", "(3, 2)")),),
    ),
    _move(
        "unstack",
        lambda x, *, axis: tuple(np.moveaxis(x, axis, 0)),
        case((2, 3), axis=0),
        case((2, 3), axis=-1),
    ),
    _move(
        "split",
        lambda x, *, sections, axis: tuple(np.split(x, sections, axis)),
        case((6, 2), sections=3, axis=0),
        case((2, 5), sections=(2, 3), axis=-1),
        by=("sections",),
        errors=(bad((5,), sections=2, axis=0, error=ShapeError, says=("split", "5", "2")),),
    ),
    _move(
        "tile",
        lambda x, *, repetitions: np.tile(x, repetitions),
        case((3,), repetitions=2),
        case((2, 3), repetitions=(2, 1)),
        case((3,), repetitions=(2, 2)),
        by=("repetitions",),
    ),
    _move(
        "repeat",
        np.repeat,
        case((3,), repeats=2),
        case((2, 3), repeats=3, axis=-1),
        case((2, 3), repeats=2),
        case((3,), repeats=(0, 2, 1)),
        case((2, 3), repeats=np.array([2, 0, 1]), axis=1),
        by=("repeats",),
        errors=(
            bad((3,), repeats=-1, error=ShapeError, says=("repeat", "-1")),
            bad((3,), repeats=(1, 2), error=ShapeError, says=("repeat", "2", "3")),
        ),
    ),
    _move(
        "isograd.pad",
        np.pad,
        case((3,), pad_width=((1, 2),)),
        case((2, 3), pad_width=((0, 1), (2, 0)), constant_values=1.0),
        case((2, 3), pad_width=1),
        *(
            case((3, 2), pad_width=((2, 7), (0, 1)), mode=mode)
            for mode in ("edge", "reflect", "symmetric", "wrap")
        ),
        by=("pad_width",),
        errors=(
            bad((0,), pad_width=1, mode="edge", error=ShapeError, says=("pad", "edge", "(0,)")),
            bad((2,), pad_width=(1, 2, 3), error=ShapeError, says=("pad", "(1, 2, 3)", "(2,)")),
            bad((2,), pad_width=1, mode="mirror", error=ValueError, says=("pad", "mirror")),
        ),
    ),
    *(
        _move(
            name,
            lambda *xs, name=name: getattr(np, name)(xs),
            *cases,
            fn=joined(name),
            grad_args=(0, 1),
        )
        for name, cases in (
            ("hstack", (case((2,), (3,)), case((2, 3), (2, 1)), case((), (2,)))),
            ("vstack", (case((2,), (2,)), case((2, 3), (1, 3)), case((), ()))),
            ("dstack", (case((2,), (2,)), case((2, 3), (2, 3)), case((2, 1, 2), (2, 1, 1)))),
            ("column_stack", (case((2,), (2, 2)), case((3,), (3,)), case((), ()))),
        )
    ),
    *(
        _move(name, getattr(np, name), *(case(shape) for shape in ((), (3,), (2, 3), (2, 3, 4))))
        for name in ("atleast_1d", "atleast_2d", "atleast_3d")
    ),
    _move(
        "swapaxes",
        np.swapaxes,
        case((2, 3, 4), axis1=0, axis2=-1),
        case((2, 3), axis1=1, axis2=1),
        by=("axis1", "axis2"),
    ),
    _move(
        "broadcast_arrays",
        lambda *xs: tuple(np.broadcast_arrays(*xs)),
        case((3, 1), (4,)),
        case((), (2, 2)),
        grad_args=(0, 1),
    ),
    row("tril", _triangle(np.greater_equal), *_TRIANGLES, dtypes=NUMERIC, scale=Scale("equal")),
    row("triu", _triangle(np.less_equal), *_TRIANGLES, dtypes=NUMERIC, scale=Scale("equal")),
)


# -- indexing --------------------------------------------------------------------------------------

_MASK = np.array(
    [[True, False, True, True], [False, True, False, False], [False, False, False, True]]
)
INDICES: tuple[Any, ...] = (
    0,
    -1,
    slice(None, None, -1),
    slice(1, None),
    (slice(None), slice(3, 0, -2)),
    (Ellipsis, 1),
    (None, slice(None), None, 2),
    [1, 0],
    (np.array([0, 1]), np.array([3, -1])),
    (np.array([[0], [2]]), np.array([1, 3])),
    _MASK,
    _MASK[:, 0],
    (slice(None), np.array([False, True, False, True])),
    (slice(0, 0),),
    (),
)
DUPLICATES: tuple[Any, ...] = (
    np.array([0, 2, 2, -1]),
    (slice(None), np.array([0, 0, 3])),
    (1, np.array([0, 0, 3])),
)


def _subscripts(indices: tuple[Any, ...], *, updates: bool) -> Samples:
    source = draw()

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for index in indices:
            x = source(rng, (3, 4), dtype)
            args = (x, source(rng, x[index].shape, dtype)) if updates else (x,)
            yield Sample(args, {"index": index})
        if updates:
            args = source(rng, (3, 4), dtype), source(rng, (), dtype)
            yield Sample(args, {"index": 1}, label="broadcast")

    return samples


def _set(x: Array, v: Array, *, index: Any) -> Array:
    out = x.copy()
    out[index] = v
    return out


def _add(x: Array, v: Array, *, index: Any) -> Array:
    out = x.copy()
    np.add.at(out, index, v)
    return out


_subscript = functools.partial(
    sampled, dtypes=ALL, grad_args=(0, 1), scale=Scale("exact"), budget=20
)


def _outside(index: Any, *says: str) -> ErrorCase:
    return bad((3, 4), index=index, error=IndexOutOfRangeError, says=says)


def _one_hot(labels: Array, *, classes: int) -> Array:
    return (labels[..., None] == np.arange(classes)).astype(np.float32)


def _labels(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for shape in ((), (3,), (2, 2), (0,)):
        labels = np.asarray(rng.integers(0, 4, shape)).astype(dtype)
        yield Sample((labels,), {"classes": 4}, grad=False)


def _call_one_hot(labels: Any, *, classes: int) -> Any:
    return public("one_hot")(labels, classes)


def _sorted(x: Array, *, axis: int = -1, descending: bool = False) -> Array:
    out = np.sort(x, axis)
    return np.flip(out, axis) if descending else out


def _order(x: Array, *, axis: int = -1, descending: bool = False) -> Array:
    return np.argsort(-x.astype(np.float64) if descending else x, axis)


_SORTS = (case((5,)), case((3, 4), axis=0), case((3, 4), axis=-1, descending=True))

INDEXING = (
    _subscript(
        "getitem",
        lambda x, *, index: x[index],
        lambda x, *, index: np.asarray(x[index]),
        _subscripts((*INDICES, *DUPLICATES), updates=False),
        _outside(3, "3", "axis 0", "size 3", "[-3, 2]"),
        _outside(np.array([0, -4]), "-4", "size 3"),
        _outside((slice(None), np.array([4])), "4", "axis 1", "size 4"),
        bad((3, 4), index=(0, 0, 0), error=ShapeError, says=("3 indices", "(3, 4)")),
        bad((3, 4), index=np.array([0.5]), error=DTypeError, says=("float64",)),
        grad_args=(0,),
    ),
    _subscript(
        "at.set",
        lambda x, v, *, index: x.at[index].set(v),
        _set,
        _subscripts(INDICES, updates=True),
        bad((3, 4), (), index=3, error=IndexOutOfRangeError, says=("3", "axis 0", "size 3")),
        bad((3, 4), (5,), index=0, error=ShapeError, says=("(5,)", "(4,)")),
    ),
    _subscript(
        "at.add",
        lambda x, v, *, index: x.at[index].add(v),
        _add,
        _subscripts((*INDICES, *DUPLICATES), updates=True),
        dtypes=NUMERIC,
        scale=Scale("sum", lambda x, v, *, index: _add(np.abs(x), np.abs(v), index=index)),
    ),
    row("sort", _sorted, *_SORTS, source=distinct(), dtypes=NUMERIC, scale=Scale("equal")),
    row("isograd.argsort", _order, *_SORTS, source=distinct(), dtypes=NUMERIC, grad_args=()),
    _subscript(
        "one_hot",
        _call_one_hot,
        _one_hot,
        _labels,
        bad(np.array([0, 4]), classes=4, error=IndexOutOfRangeError, says=("one_hot", "4")),
        dtypes=("int64", "int32"),
        grad_args=(),
    ),
)

SHAPING: tuple[OpSpec, ...] = (*MOVEMENT, *INDEXING)
