"""Every operation of the table, mapped over each argument and over all, equals a loop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.ops import PRIMITIVES, batching
from isograd.testing.case import case_of
from isograd.testing.execute import outputs
from isograd.testing.op_db import OP_DB, OpSpec, Sample
from isograd.testing.op_db.linalg import LINALG

SIZE = 3
MATRICES = {spec.name for spec in LINALG}

# Functions whose result's shape depends on the numbers of an argument, and which one it is.
BY_VALUE = {
    "bincount": 0,
    "bincount with weights": 1,
    "nonzero": 0,
    "argwhere": 0,
    "flatnonzero": 0,
    "unique_all": 0,
    "unique_counts": 0,
    "unique_inverse": 0,
    "unique_values": 0,
}


def test_every_primitive_has_a_row() -> None:
    assert batching.missing() == [], (
        "add a row for each of these to isograd.ops.batching.ROWS: Batching(elementwise) for what "
        "broadcasts, Batching(leading) for what takes any leading axes, Batching(counted('axis')) "
        "for what has an axis among its parameters, or a function of an Application"
    )


def test_no_row_without_a_primitive() -> None:
    assert [name for name in batching.ROWS if name not in PRIMITIVES] == []


def _examples(
    name: str, sample: Sample, rng: np.random.Generator, which: tuple[int, ...]
) -> list[Any]:
    """Return the arguments, with an axis of examples in front of those that are mapped.

    The examples are the sample's own values in other orders, so that they are as valid; except
    where labels and their numbers belong together. Rows and columns of matrices change places
    together, so that symmetric ones remain so, and diagonals large.
    """
    made: list[Any] = []
    for i, arg in enumerate(sample.args):
        x = np.asarray(arg)
        if i in which:
            fixed = name.endswith("ctc_loss") and x.dtype.kind == "i"
            turned = [x] * 3 if fixed else [x, x[::-1] if x.ndim else x, np.roll(x, 1)]
            if name in MATRICES and x.ndim > 1:
                turned = [x, x[..., ::-1, ::-1], np.roll(x, (1, 1), (-2, -1))]
            x = np.stack([turned[int(k)] for k in rng.permutation(SIZE)])
        made.append(x)
    return made


def _close(got: Any, wanted: Any) -> None:
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    if wanted.dtype.kind in "biu":
        assert got.tolist() == wanted.tolist()
        return
    scale = np.max(np.abs(wanted[np.isfinite(wanted)]), initial=1.0)
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11 * scale)


def _chosen(spec: OpSpec) -> Iterator[Sample]:
    """Return a few samples: small ones, each with other parameters or numbers of axes."""
    seen: set[Any] = set()
    for sample in case_of(spec, _dtype(spec)).samples:
        key = (repr(sample.kwargs), tuple([np.ndim(a) for a in sample.args]))
        size = sum(np.size(a) for a in sample.args)
        if sample.args and key not in seen and size <= 2000:
            seen.add(key)
            yield sample


def _dtype(spec: OpSpec) -> str:
    return "float64" if "float64" in spec.dtypes else spec.dtypes[0]


def _subsets(count: int) -> list[tuple[int, ...]]:
    return list(dict.fromkeys([*[(i,) for i in range(count)], tuple(range(count))]))


def _ids(spec: OpSpec) -> str:
    return spec.name


def _total(outs: tuple[Any, ...]) -> Any:
    """Return a number that depends on every floating output, in a way that is not linear."""
    floats = [ig.sum(ig.sin(out)) for out in outs if out.dtype.kind == "f"]
    return sum(floats, ig.tensor(0.0, dtype="float64"))


@pytest.mark.parametrize("spec", [s for s in OP_DB if s.grad_args], ids=_ids)
def test_gradients_equal_a_loop(spec: OpSpec) -> None:
    """Take gradients of each example inside, of all outside, and of what was taken inside."""
    rng = np.random.default_rng(0)
    samples = [s for s in _chosen(spec) if s.grad and 0 not in [np.size(a) for a in s.args]]
    for number, sample in enumerate(samples[:3]):
        count = len(sample.args)
        which = tuple(range(count)) if number != 1 else (0,)
        args = [ig.tensor(x) for x in _examples(spec.name, sample, rng, which)]
        wrt = [i for i in spec.grad_args if i < count and args[i].dtype.kind == "f"]
        if not wrt or BY_VALUE.get(spec.name) in which:
            continue
        axes = tuple([0 if i in which else None for i in range(count)])

        def one(*xs: Any, sample: Sample = sample) -> Any:
            return _total(outputs(spec.fn(*xs, **sample.kwargs)))

        slopes = ig.grad(one, wrt)

        def row(k: int, xs: Any, which: tuple[int, ...] = which) -> list[Any]:
            return [x[k] if i in which else x for i, x in enumerate(xs)]

        inside = ig.vmap(slopes, axes)(*args)
        loop = [slopes(*row(k, args)) for k in range(SIZE)]
        for got, *wanted in zip(inside, *loop, strict=True):
            _close(got.numpy(), np.stack([w.numpy() for w in wanted]))

        def mapped(*xs: Any, axes: Any = axes) -> Any:
            return (ig.vmap(one, axes)(*xs) ** 2).sum()

        def looped(*xs: Any) -> Any:
            return (ig.stack([one(*row(k, xs)) for k in range(SIZE)]) ** 2).sum()

        found, due = ig.grad(mapped, wrt)(*args), ig.grad(looped, wrt)(*args)
        for got, wanted in zip(found, due, strict=True):
            _close(got.numpy(), wanted.numpy())


@pytest.mark.parametrize("spec", OP_DB, ids=_ids)
def test_equals_a_loop(spec: OpSpec) -> None:
    rng = np.random.default_rng(0)
    axes = itertools.cycle((0, -1))
    for sample in itertools.islice(_chosen(spec), 6):
        for which in _subsets(len(sample.args)):
            _check(spec, sample, _examples(spec.name, sample, rng, which), which, next(axes))


def _check(
    spec: OpSpec, sample: Sample, args: list[Any], which: tuple[int, ...], axis: int
) -> None:
    def fn(*tensors: Any) -> tuple[Any, ...]:
        return outputs(spec.fn(*tensors, **sample.kwargs))

    loop = [
        fn(*[ig.tensor(x[k] if i in which else x) for i, x in enumerate(args)]) for k in range(SIZE)
    ]
    mapped_fn = ig.vmap(fn, tuple([axis if i in which else None for i in range(len(args))]))
    given = [ig.tensor(np.moveaxis(x, 0, axis) if i in which else x) for i, x in enumerate(args)]
    if BY_VALUE.get(spec.name) in which:
        with pytest.raises(ig.ConcretizationError, match="differ between the 3 examples"):
            mapped_fn(*given)
        return
    mapped = mapped_fn(*given)
    for got, *wanted in zip(mapped, *loop, strict=True):
        _close(got.numpy(), np.stack([w.numpy() for w in wanted]))
