"""Indexing against NumPy: the same reading, the same shapes, the same refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isograd as ig

SHAPE = (4, 3, 5)
X = np.arange(60.0).reshape(SHAPE)

_integers = {n: st.integers(-n, n - 1) for n in SHAPE}


def _slices(n):
    bound = st.none() | st.integers(-n - 2, n + 2)
    return st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, 3, -1, -2]))


def _arrays(n):
    one = st.lists(_integers[n], min_size=0, max_size=3).map(lambda v: np.array(v, np.int64))
    two = st.lists(_integers[n], min_size=1, max_size=1).map(lambda v: np.array([v], np.int64))
    return one | two


@st.composite
def indices(draw):
    """An index of up to one entry for each axis, with None and ... sprinkled in."""
    entries = []
    for n in SHAPE[: draw(st.integers(0, 3))]:
        mask = st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)
        entries.append(draw(_integers[n] | _slices(n) | _arrays(n) | mask))
    for extra in (None, Ellipsis):
        if draw(st.booleans()):
            # An ellipsis shifts the entries behind it to other axes, so it goes to the end.
            entries.insert(
                draw(st.integers(0, len(entries))) if extra is None else len(entries), extra
            )
    return tuple(entries)


@given(indices())
def test_reading_is_numpys(index):
    t = ig.tensor(X, requires_grad=True)
    try:
        expected = X[index]
    except IndexError:
        with pytest.raises((IndexError, ValueError)):
            t[index]
        return
    out = t[index]
    np.testing.assert_array_equal(out.numpy(), expected)
    weights = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    if out.size:
        (out * ig.tensor(weights)).sum().backward()
        gradient = np.zeros(SHAPE)
        np.add.at(gradient, index, weights)
        np.testing.assert_array_equal(t.grad.numpy(), gradient)


@given(indices())
def test_updates_are_numpys(index):
    try:
        read = X[index]
    except IndexError:
        return
    value = np.arange(1.0, read.size + 1).reshape(read.shape)
    added = X.copy()
    np.add.at(added, index, value)
    np.testing.assert_array_equal(ig.tensor(X).at[index].add(value).numpy(), added)
    placed = X.copy()
    placed[index] = value
    np.testing.assert_array_equal(ig.tensor(X).at[index].set(value).numpy(), placed)


def test_duplicates_accumulate_and_the_last_one_is_set(backend):
    x = ig.tensor([1.0, 2.0], requires_grad=True)
    x[[0, 0, 1]].sum().backward()
    assert x.grad.tolist() == [2.0, 1.0]
    v = ig.tensor([10.0, 20.0, 30.0], requires_grad=True)
    out = ig.zeros(2).at[[0, 0, 1]].set(v)
    assert out.tolist() == [20.0, 30.0]
    out.sum().backward()
    assert v.grad.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (7, "index 7 is out of range for axis 0 with size 4"),
        ((0, -4), "index -4 is out of range for axis 1 with size 3"),
        ([0, 9], "index 9 is out of range for axis 0 with size 4"),
        (([0, 1], [0, 5]), "index 5 is out of range for axis 1 with size 3"),
    ],
)
def test_indices_out_of_range_name_axis_size_and_index(backend, index, words):
    with pytest.raises(ig.IndexOutOfRangeError, match=words):
        ig.tensor(X)[index]
    with pytest.raises(ig.IndexOutOfRangeError, match=words if isinstance(index, int) else None):
        ig.tensor(X).at[index].set(0.0)


def test_other_indices_are_refused():
    t = ig.tensor(X)
    for index, error in [
        (1.5, ig.DTypeError),
        ("a", ig.DTypeError),
        ((0, 0, 0, 0), ig.ShapeError),
        ((..., 0, ...), ig.ShapeError),
        (np.ones(7, bool), ig.ShapeError),
    ]:
        with pytest.raises(error, match=r"x\[\.\.\.\]"):
            t[index]


def test_updates_of_another_dtype_take_that_of_the_tensor():
    t = ig.tensor([1, 2, 3])
    assert t.at[0].set(7.9).tolist() == [7, 2, 3]
    assert t.at[1:].multiply(10).tolist() == [1, 20, 30]
    assert t.at[0].get().item() == 1
