"""Arguments, results, random numbers, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import isograd as ig
from isograd.core.pytree import tree_spread


def grid(*shape: int) -> ig.Tensor:
    return ig.tensor(np.random.default_rng(0).normal(size=shape))


class Pair(NamedTuple):
    a: ig.Tensor
    b: ig.Tensor


# -- arguments and results -------------------------------------------------------------------------


def test_axes_of_arguments_and_results():
    x, y = grid(4, 3, 2), grid(2, 5)
    out = ig.vmap(lambda a, b: ig.sum(a) * b, in_axes=(-1, 0), out_axes=-1)(x, y)
    assert np.allclose(out.numpy(), x.numpy().sum((0, 1)) * y.numpy().T)
    same = ig.vmap(lambda a: (a, ig.tensor(7.0)), in_axes=1, out_axes=(2, None))(x)
    assert same[0].shape == (4, 2, 3)
    assert same[1].shape == ()
    assert ig.vmap(lambda a: ig.tensor(7.0), out_axes=-1)(x).shape == (4,)


def test_trees():
    x = {"w": grid(3, 2), "b": (grid(3), grid(2))}
    fn = ig.vmap(
        lambda t, s: Pair(t["w"] * s, {"k": [t["b"][0], t["b"][1].sum()]}),
        in_axes=({"w": 0, "b": (0, None)}, None),
        out_axes=Pair(1, 0),
    )
    out = fn(x, 2.0)
    assert isinstance(out, Pair)
    assert np.allclose(out.a.numpy(), 2 * x["w"].numpy().T)
    assert out.b["k"][0].tolist() == x["b"][0].tolist()
    assert np.allclose(out.b["k"][1].numpy(), [x["b"][1].numpy().sum()] * 3)
    # The order of a dictionary's keys does not matter.
    same = ig.vmap(lambda t: t["b"][0], in_axes=({"b": (0, None), "w": 0},))(x)
    assert same.tolist() == x["b"][0].tolist()


def test_keyword_arguments():
    x, y = grid(3, 2), grid(3, 2)

    def fn(x: ig.Tensor, *, y: ig.Tensor, power: int, name: str) -> ig.Tensor:
        assert name == "it"
        return x * y**power

    assert np.allclose(ig.vmap(fn)(x, y=y, power=2, name="it").numpy(), (x * y**2).numpy())


def test_as_a_decorator_it_keeps_the_name():
    @ig.vmap
    def doubled(x: ig.Tensor) -> ig.Tensor:
        """Double it."""
        return x * 2

    assert (doubled.__name__, doubled.__doc__) == ("doubled", "Double it.")
    assert doubled(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]


def test_number_of_examples():
    assert ig.vmap(lambda x: x + 1, in_axes=None, axis_size=3)(grid(2)).shape == (3, 2)
    assert ig.vmap(lambda x: ig.sin(x).sum())(grid(0, 3)).shape == (0,)
    assert ig.vmap(ig.grad(lambda x: ig.sin(x).sum()))(grid(0, 3)).shape == (0, 3)


def test_values_that_all_share_can_be_looked_at():
    def fn(x: ig.Tensor, n: ig.Tensor) -> ig.Tensor:
        steps = n + 1
        assert steps.item() == 3
        assert repr(steps) == "tensor(int64[], <shared: int64[]>)"
        return x * 2 if bool(n > 1) else x

    assert ig.vmap(fn, (0, None))(ig.tensor([1.0]), ig.tensor(2)).tolist() == [2.0]


def test_spreading_a_prefix_of_a_tree():
    structure = ig.tree_flatten({"a": (1, 2), "b": 3})[1]

    def is_leaf(value: Any) -> bool:
        return isinstance(value, int)

    assert tree_spread({"b": 1, "a": 0}, structure, is_leaf) == [0, 0, 1]
    with pytest.raises(ValueError, match="built differently"):
        tree_spread({"a": 0, "c": 1}, structure, is_leaf)
    with pytest.raises(ValueError, match="has 1 parts for 2"):
        tree_spread({"a": (0,), "b": 1}, structure, is_leaf)
    with pytest.raises(ValueError, match="neither a leaf nor a container"):
        tree_spread({"a": "x", "b": 1}, structure, is_leaf)


# -- random numbers --------------------------------------------------------------------------------


def noisy(x: ig.Tensor) -> ig.Tensor:
    return x + ig.random.normal(2) + ig.random.uniform(2)


@pytest.mark.parametrize("compiled", [False, True])
def test_random_numbers(compiled):
    def drawn(randomness: str) -> np.ndarray:
        ig.manual_seed(0)
        fn = ig.vmap(noisy, randomness=randomness)
        return (ig.compile(fn) if compiled else fn)(ig.zeros((500, 2))).numpy()

    same = drawn("same")
    ig.manual_seed(0)
    assert (same == noisy(ig.zeros(2)).numpy()).all()
    different = drawn("different")
    assert np.unique(different).size == 1000
    assert abs(different.mean() - 0.5) < 0.1
    assert (different == drawn("different")).all()


def test_random_numbers_in_nested_maps():
    def drawn(outer: str, inner: str) -> ig.Tensor:
        ig.manual_seed(0)
        return ig.vmap(ig.vmap(noisy, randomness=inner), randomness=outer)(ig.zeros((3, 4, 2)))

    assert len(set(ig.reshape(drawn("different", "different"), (24,)).tolist())) == 24
    rows = drawn("same", "different")
    assert (rows == rows[:1]).all()
    assert len(set(rows[0, :, 0].tolist())) == 4
    columns = drawn("different", "same")
    assert (columns == columns[:, :1]).all()
    assert len(set(columns[:, 0, 0].tolist())) == 3


def test_dropout():
    x = ig.ones((200, 8))

    def dropped(x: ig.Tensor) -> ig.Tensor:
        return ig.nn.functional.dropout(x, 0.5)

    different = ig.vmap(dropped, randomness="different")(x)
    assert not (different == different[:1]).all()
    same = ig.vmap(dropped, randomness="same")(x)
    assert (same == same[:1]).all()
    # The backward pass makes the mask again.
    ig.manual_seed(0)
    slope = ig.vmap(ig.grad(lambda x: dropped(x).sum()), randomness="different")(x)
    ig.manual_seed(0)
    assert (slope == ig.vmap(dropped, randomness="different")(x)).all()
    assert 0.4 < (slope == 0).astype("float32").mean().item() < 0.6


def test_mapped_keys():
    keys = ig.stack([ig.random.Generator(seed).key() for seed in range(3)])
    out = ig.vmap(lambda key: ig.bind(ig.ops.PRIMITIVES["random_bits"], key, shape=(4,), bits=32))
    for key, row in zip(keys, out(keys), strict=True):
        wanted = ig.bind(ig.ops.PRIMITIVES["random_bits"], key, shape=(4,), bits=32)
        assert row.tolist() == wanted.tolist()


# -- what is refused -------------------------------------------------------------------------------


class Bad(NamedTuple):
    call: Callable[[ig.Tensor], Any]
    error: type[Exception]
    says: tuple[str, ...]


LEAF = ig.tensor([1.0, 2.0], requires_grad=True)
PLAIN = ig.tensor([1.0, 2.0])
PARAM = ig.nn.Parameter(ig.zeros(2))
LEAKED: list[ig.Tensor] = []


def _set(x: ig.Tensor) -> ig.Tensor:
    PLAIN[0] = x[0]
    return x


def _backward(x: ig.Tensor) -> ig.Tensor:
    (LEAF * x).sum().backward()
    return x


def _leak(x: ig.Tensor) -> ig.Tensor:
    LEAKED.append(x)
    return x


def _use_leaked(x: ig.Tensor) -> ig.Tensor:
    LEAKED.clear()
    ig.vmap(_leak)(x)
    return LEAKED[0] * 2.0


def _use_leaked_in_another(x: ig.Tensor) -> ig.Tensor:
    LEAKED.clear()
    ig.vmap(_leak)(x)
    return ig.vmap(lambda x: x * LEAKED[0])(x)


BAD = {
    "if": Bad(
        lambda x: ig.vmap(lambda x: x if x.sum() > 0 else -x)(x),
        ig.ConcretizationError,
        ("vmap: the numbers of a mapped tensor of shape ()", "test_calls.py:", "isograd.where"),
    ),
    "item": Bad(
        lambda x: ig.vmap(lambda x: x.sum().item())(x), ig.ConcretizationError, ("3 examples",)
    ),
    "numpy": Bad(
        lambda x: ig.vmap(lambda x: np.asarray(x))(x), ig.ConcretizationError, ("functions of",)
    ),
    "mask": Bad(
        lambda x: ig.vmap(lambda x: x[x > 0])(x), ig.ConcretizationError, ("x[mask]", "where")
    ),
    "setitem": Bad(ig.vmap(_set), ig.AutodiffError, ("x[i] = v", "x.at[i].set(v)", "test_calls")),
    "assign": Bad(
        ig.vmap(lambda x: PARAM.assign_(x)), ig.AutodiffError, ("assign_", "assign it outside")
    ),
    "backward": Bad(ig.vmap(_backward), ig.AutodiffError, ("backward", "isograd.grad")),
    "leak": Bad(_use_leaked, ig.NonMappableError, ("is used outside", "return it")),
    "leak into another": Bad(_use_leaked_in_another, ig.NonMappableError, ("is used outside",)),
    "random": Bad(ig.vmap(noisy), ig.NonMappableError, ("test_calls.py:", 'randomness="same"')),
    "randomness": Bad(lambda x: ig.vmap(noisy, randomness="all"), ValueError, ("'all'", "'same'")),
    "not a function": Bad(lambda x: ig.vmap(x), TypeError, ("fn is a Tensor",)),
    "no tensor": Bad(ig.vmap(lambda x: "a"), ig.NonMappableError, ("returned str",)),
    "sizes": Bad(
        lambda x: ig.vmap(ig.add)(x, x[:2]),
        ig.ShapeError,
        ("argument 0 has 3 along axis 0, argument 1 has 2 along axis 0",),
    ),
    "axis_size": Bad(lambda x: ig.vmap(ig.sin, axis_size=4)(x), ig.ShapeError, ("axis_size is 4",)),
    "negative size": Bad(
        lambda x: ig.vmap(ig.sin, None, axis_size=-1)(x), ig.ShapeError, ("at least 0",)
    ),
    "nothing mapped": Bad(
        lambda x: ig.vmap(ig.sin, None)(x), ig.ShapeError, ("no argument is mapped", "axis_size")
    ),
    "axis out of range": Bad(
        lambda x: ig.vmap(ig.sin, 2)(x), ig.ShapeError, ("argument 0 has shape (3, 2)", "axis 2")
    ),
    "keyword without axes": Bad(
        lambda x: ig.vmap(lambda x, y: x)(x, y=ig.tensor(1.0)),
        ig.ShapeError,
        ("keyword argument y",),
    ),
    "a number": Bad(lambda x: ig.vmap(ig.add)(x, 2.0), ig.NonMappableError, ("float", "None")),
    "a module": Bad(
        lambda x: ig.vmap(lambda m, x: m(x))(ig.nn.Linear(2, 1), x),
        ig.NonMappableError,
        ("argument 0 has a leaf of Linear", "put None"),
    ),
    "in_axes": Bad(lambda x: ig.vmap(ig.sin, "0")(x), TypeError, ("in_axes is '0'",)),
    "too many in_axes": Bad(
        lambda x: ig.vmap(ig.sin, (0, 0))(x), ig.ShapeError, ("2 entries for 1",)
    ),
    "in_axes tree": Bad(
        lambda x: ig.vmap(lambda t: t[0], ((0, 0),))((x,)), ig.ShapeError, ("argument 0", "1")
    ),
    "out_axes tree": Bad(
        lambda x: ig.vmap(ig.sin, out_axes=(0, 0))(x), ig.ShapeError, ("out_axes is (0, 0)",)
    ),
    "out axis": Bad(
        lambda x: ig.vmap(ig.sin, out_axes=2)(x), ig.ShapeError, ("out_axes is 2", "[-2, 1]")
    ),
    "out_axes None": Bad(
        lambda x: ig.vmap(ig.sin, out_axes=None)(x), ig.NonMappableError, ("out_axes is None",)
    ),
    "index": Bad(
        lambda x: ig.vmap(lambda x, i: ig.take(x, i))(x, ig.tensor([0, 1, 2])),
        ig.IndexOutOfRangeError,
        ("take: index 2 is out of range for axis 0 with size 2",),
    ),
    "batch norm": Bad(
        ig.vmap(lambda x: BATCH_NORM(ig.stack([x, 2 * x]))),
        ig.AutodiffError,
        ("BatchNorm1d", "buffer", "eval()", "functional_call"),
    ),
}
BATCH_NORM = ig.nn.BatchNorm1d(2)


@pytest.mark.parametrize("name", BAD)
def test_errors(name: str) -> None:
    bad = BAD[name]
    before = [PLAIN.tolist(), PARAM.tolist(), LEAF.grad]
    with pytest.raises(bad.error) as caught:
        bad.call(ig.ones((3, 2)))
    message = str(caught.value)
    assert all(part in message for part in bad.says), message
    assert [PLAIN.tolist(), PARAM.tolist(), LEAF.grad] == before
    assert ig.vmap(ig.sin)(PLAIN).shape == (2,)  # nothing is left switched on
    assert ig.is_grad_enabled()


def test_a_primitive_without_a_row():
    prim = ig.ops.PRIMITIVES["sin"]
    row, prim.batching = prim.batching, None
    try:
        with pytest.raises(ig.NonMappableError, match=re.escape("add its row to isograd.ops")):
            ig.vmap(ig.sin)(PLAIN)
    finally:
        prim.batching = row


def test_what_is_made_inside_may_be_changed_there():
    def fn(x: ig.Tensor) -> ig.Tensor:
        out = ig.zeros(3)
        out[1:] = x
        own = ig.tensor([1.0, 2.0], requires_grad=True)
        (own * x).sum().backward()
        return out.sum() + own.grad.sum()

    assert ig.vmap(fn)(ig.ones((4, 2))).tolist() == [4.0] * 4
