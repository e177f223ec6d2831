"""Indexing against NumPy: the same reading, the same updates, the same refusals."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isograd as ig

SHAPE = (4, 3, 5)
X = np.arange(60.0).reshape(SHAPE)

_integers = {n: st.integers(-n, n - 1) for n in SHAPE}


def _slices(n):
    bound = st.none() | st.integers(-n - 2, n + 2)
    return st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, 3, -1, -2]))


@st.composite
def indices(draw, *, masks=True):
    """An index of any kind: entries for some axes, ``None``, one ``...``, arrays that broadcast."""
    wide = draw(st.sampled_from([(), (1,), (2,), (0,), (3, 1), (1, 2), (2, 3)]))
    entries, axis = [], 0
    while axis < draw(st.integers(0, 3)):
        n = SHAPE[axis]
        kind = draw(st.sampled_from(["int", "slice", "array", "list"] + ["mask", "masks"] * masks))
        if kind == "masks" and (axis > 1 or wide not in ((), (1,))):
            kind = "array"
        match kind:
            case "int":
                entries.append(draw(_integers[n]))
            case "slice":
                entries.append(draw(_slices(n)))
            case "mask":
                chosen = draw(st.lists(st.booleans(), min_size=n, max_size=n))
                entries.append(np.array(chosen))
            case "masks":
                bits = draw(st.integers(0, 2**12 - 1))
                flat = np.array([bits >> i & 1 for i in range(n * SHAPE[axis + 1])], bool)
                entries.append(flat.reshape(n, SHAPE[axis + 1]))
                axis += 1
            case _:
                # Any shape that broadcasts to the one chosen: lengths of 1, axes left out.
                shape = tuple(draw(st.sampled_from([k, 1])) if k else 0 for k in wide)
                size = int(np.prod(shape))
                numbers = draw(st.lists(_integers[n], min_size=size, max_size=size))
                array = np.array(numbers, np.int64).reshape(shape)
                entries.append(array.tolist() if kind == "list" and array.size else array)
        axis += 1
    for _ in range(draw(st.integers(0, 2))):
        entries.insert(draw(st.integers(0, len(entries))), None)
    if draw(st.integers(0, 3)) == 0:
        entries.insert(draw(st.integers(0, len(entries))), Ellipsis)
    if masks and draw(st.integers(0, 9)) == 0:
        entries.append(draw(st.booleans()))
    return tuple(entries)


def _numpys(index):
    """Return what NumPy reads, or None where it, or isograd alone, refuses."""
    try:
        read = X[index]
    except IndexError:
        return None
    if read.size == 0:
        try:
            ig.tensor(X)[index]
        except ig.IndexOutOfRangeError:  # which NumPy does not look for where it reads nothing
            return None
    return read


def _updates(index, value):
    """Return what NumPy makes of each update."""
    right = {}
    for name, ufunc in [
        ("add", np.add),
        ("subtract", np.subtract),
        ("multiply", np.multiply),
        ("divide", np.divide),
        ("max", np.maximum),
        ("min", np.minimum),
    ]:
        right[name] = X.copy()
        ufunc.at(right[name], index, value)
    right["set"] = X.copy()
    right["set"][index] = value
    return right


@settings(max_examples=120)
@given(indices())
def test_reading_is_numpys_and_derivatives_scatter_ones(index):
    expected = _numpys(index)
    for backend in ("numpy", ig.get_backend("cpu").name):
        with ig.use_backend(backend):
            t = ig.tensor(X, requires_grad=True)
            if expected is None:
                with pytest.raises((IndexError, ValueError)):
                    t[index]
                continue
            out = t[index]
            np.testing.assert_array_equal(out.numpy(), expected)
            assert out.shape == expected.shape
            weights = np.arange(1.0, expected.size + 1).reshape(expected.shape)
            (out * ig.tensor(weights)).sum().backward()
            gradient = np.zeros(SHAPE)
            np.add.at(gradient, index, weights)
            np.testing.assert_array_equal(t.grad.numpy(), gradient)


@settings(max_examples=120)
@given(indices())
def test_updates_are_numpys(index):
    read = _numpys(index)
    if read is None:
        return
    value = np.arange(2.0, read.size + 2).reshape(read.shape) * 7
    for name, right in _updates(index, value).items():
        found = getattr(ig.tensor(X).at[index], name)(ig.tensor(value)).numpy()
        np.testing.assert_allclose(found, right, rtol=1e-13, err_msg=name)
        if name in ("set", "add", "subtract", "max", "min"):
            np.testing.assert_array_equal(found, right, err_msg=name)


@settings(max_examples=60)
@given(indices())
def test_derivatives_of_updates(index):
    read = _numpys(index)
    if read is None:
        return
    x, v = ig.tensor(X, requires_grad=True), ig.tensor(np.ones(read.shape), requires_grad=True)
    weights = np.arange(1.0, 61.0).reshape(SHAPE)
    (x.at[index].add(v) * ig.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), weights)
    np.testing.assert_array_equal(v.grad.numpy(), weights[index])
    x.grad = v.grad = None
    (x.at[index].set(v) * ig.tensor(weights)).sum().backward()
    untouched = weights.copy()
    untouched[index] = 0
    np.testing.assert_array_equal(x.grad.numpy(), untouched)
    # The last of duplicates was kept: the one whose number is found there.
    numbers = np.full(SHAPE, -1)
    numbers[index] = np.arange(read.size).reshape(read.shape)
    last = numbers[index] == np.arange(read.size).reshape(read.shape)
    np.testing.assert_array_equal(v.grad.numpy(), np.where(last, weights[index], 0))


@settings(max_examples=30)
@given(indices(masks=False))
def test_compiled_indexing_with_indices_that_are_arguments(index):
    """On the reference backend: it has no code to generate for each of them."""
    expected = _numpys(index)
    if expected is None:
        return
    places = [i for i, item in enumerate(index) if isinstance(item, np.ndarray)]
    value = np.arange(2.0, expected.size + 2).reshape(expected.shape)

    def run(x, v, *arrays):
        entries = list(index)
        for place, array in zip(places, arrays, strict=True):
            entries[place] = array
        entries = tuple(entries)
        return x[entries], x.at[entries].set(v), x.at[entries].add(v), x.at[entries].max(v)

    right = _updates(index, value)
    with ig.use_backend("numpy"):
        arrays = [ig.tensor(index[i]) for i in places]
        found = ig.compile(run)(ig.tensor(X), ig.tensor(value), *arrays)
    for out, wanted in zip(
        found, (expected, right["set"], right["add"], right["max"]), strict=True
    ):
        np.testing.assert_array_equal(out.numpy(), wanted)


@pytest.mark.parametrize(
    "index",
    [
        (0, slice(None), [1, 2]),
        ([0, 3, 0], slice(None), [4, -1, 4]),
        (slice(None), [[2], [0]], [0, 1]),
        (slice(None, None, -2), 1, slice(None, None, -1)),
        (slice(None), X[0] > 7),
        (None, [1, 1], Ellipsis, 0),
        X > 30,
    ],
    ids=str,
)
def test_compiled_indexing_equals_eager(backend, index):
    x, v = ig.tensor(X, dtype="float32"), ig.tensor(X[index], dtype="float32") * 2

    def run(x, v):
        def loss(x, v):
            out = x.at[index].add(v).at[index].multiply(v)
            return (out * out).sum() + (x[index] * v).sum()

        return ig.grad(loss, argnums=(0, 1))(x, v)

    for found, right in zip(ig.compile(run)(x, v), run(x, v), strict=True):
        np.testing.assert_allclose(found.numpy(), right.numpy(), rtol=1e-6)


def test_duplicates_accumulate_and_the_last_one_is_set(backend):
    x = ig.tensor([1.0, 2.0], requires_grad=True)
    x[[0, 0, 1]].sum().backward()
    assert x.grad.tolist() == [2.0, 1.0]
    v = ig.tensor([10.0, 20.0, 30.0], requires_grad=True)
    out = ig.zeros(2).at[[0, 0, 1]].set(v)
    assert out.tolist() == [20.0, 30.0]
    out.sum().backward()
    assert v.grad.tolist() == [0.0, 1.0, 1.0]


def test_duplicates_multiply_in_turn_and_share_what_ties(backend):
    v = ig.tensor([2.0, 0.0, 3.0], requires_grad=True)
    out = ig.ones(2).at[[1, 1, 1]].multiply(v)
    out.sum().backward()
    assert out.tolist() == [1.0, 0.0]
    assert v.grad.tolist() == [0.0, 6.0, 0.0]
    x = ig.tensor([1.0, 2.0], requires_grad=True)
    v = ig.tensor([2.0, 2.0, 3.0], requires_grad=True)
    out = x.at[[1, 1, 0]].max(v)
    out.sum().backward()
    assert out.tolist() == [3.0, 2.0]
    third = np.float32(1) / 3
    assert x.grad.tolist() == [0.0, third]
    assert v.grad.tolist() == [third, third, 1.0]
    nan = ig.zeros(2).at[[0, 0]].max(ig.tensor([float("nan"), 1.0]))
    assert ig.isnan(nan).tolist() == [True, False]


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (7, "index 7 is out of range for axis 0 with size 4"),
        ((0, -4), "index -4 is out of range for axis 1 with size 3"),
        ([0, 9], "index 9 is out of range for axis 0 with size 4"),
        (([0, 1], [0, 5]), "index 5 is out of range for axis 1 with size 3"),
        ((0, [0, 5]), "index 5 is out of range for axis 1 with size 3"),
    ],
)
def test_indices_out_of_range_name_axis_size_and_index(backend, index, words):
    x = ig.tensor(X)
    with pytest.raises(ig.IndexOutOfRangeError, match=words):
        x[index]
    for method in ("set", "add", "multiply", "max"):
        with pytest.raises(ig.IndexOutOfRangeError, match=words):
            getattr(x.at[index], method)(1.0)
    np.testing.assert_array_equal(x.numpy(), X)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_indices_that_are_arguments_are_checked_when_they_come(backend, axis):
    n = SHAPE[axis]

    def read(x, i, j):
        return x[(slice(None),) * axis + (i,)], x[i, j]

    def write(x, i, j):
        return x.at[(slice(None),) * axis + (i,)].add(1.0), x.at[i, :, j].set(0.0)

    x, ok = ig.tensor(X), ig.tensor([0, -1])
    for fn in (ig.compile(read), ig.compile(write)):
        fn(x, ok, ok)
        for wrong in (n, -n - 1):
            with pytest.raises(ig.IndexOutOfRangeError, match=str(wrong)):
                fn(x, ig.tensor([0, wrong]), ok)
    np.testing.assert_array_equal(x.numpy(), X)


def test_indices_of_several_axes_name_the_index_when_compiled(backend):
    read = ig.compile(lambda x, i, j: x[i, j])
    with pytest.raises(ig.IndexOutOfRangeError, match=r"index 5 is out of range.* with size 3"):
        read(ig.tensor(X), ig.tensor([0, 1]), ig.tensor([0, 5]))


def test_other_indices_are_refused():
    t = ig.tensor(X)
    for index, error, words in [
        (1.5, ig.DTypeError, "float64"),
        ("a", ig.DTypeError, "<U1"),
        (ig.tensor([0.5]), ig.DTypeError, "float32"),
        ((0, 0, 0, 0), ig.ShapeError, "4 indices"),
        ((..., 0, ...), ig.ShapeError, "several"),
        (np.ones(7, bool), ig.ShapeError, r"\(7,\)"),
        (np.ones((4, 2), bool), ig.ShapeError, r"\(4, 2\)"),
        (slice(0.5, None), ig.DTypeError, "no integers"),
        (slice(None, None, 0), ig.ShapeError, "step 0"),
        ([[0], [1, 2]], ig.ShapeError, "ragged"),
    ]:
        for use in (lambda i: t[i], lambda i: t.at[i].set(0.0)):
            with pytest.raises(error, match=rf"x\[\.\.\.\].*{words}"):
                use(index)
    with pytest.raises(ig.ShapeError, match=r"value of shape \(2,\) does not fit into the \(5,\)"):
        t.at[0, 0].set([1.0, 2.0])


def test_updates_of_another_dtype_take_that_of_the_tensor():
    t = ig.tensor([1, 2, 3])
    assert t.at[0].set(7.9).tolist() == [7, 2, 3]
    assert t.at[1:].multiply(10).tolist() == [1, 20, 30]
    assert t.at[0].get().item() == 1
    # A number is rounded once, to the dtype of the tensor.
    assert ig.zeros(1, dtype="float64").at[0].set(0.1).item() == 0.1
    assert ig.zeros(1, dtype="float64").at[:].add([0.1]).item() == 0.1
    with pytest.raises(ig.DTypeError, match=r"x\.at: divide"):
        t.at[0].divide(2)
    with pytest.raises(ig.DTypeError, match="do not fit into uint8"):
        ig.zeros(1, dtype="uint8").at[0].set(300)


# -- masks -----------------------------------------------------------------------------------------


def test_updates_at_a_mask_that_is_not_known_yet(backend):
    x = ig.tensor([[1.0, -2.0], [-3.0, 4.0]])
    row = ig.tensor([10.0, 20.0])

    def run(x, row):
        return (
            x.at[x < 0].set(0.0),
            x.at[x < 0].multiply(-1),
            x.at[x[:, 0] > 0].add(row),
            x.at[:, x[0] > 0].max(2.0),
        )

    right = [[[1, 0], [0, 4]], [[1, 2], [3, 4]], [[11, 18], [-3, 4]], [[2, -2], [2, 4]]]
    for found in (run(x, row), ig.compile(run)(x, row)):
        assert [t.tolist() for t in found] == right


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (lambda x: x[x > 0], r"x\[mask\].*where\(mask, x, fill\)"),
        (lambda x: x.at[x > 0].set(x[:2]), r"x\[mask\].*x\.at\[mask\]\.set"),
        (lambda x: ig.nonzero(x), "nonzero.*use where"),
        (lambda x: ig.argwhere(x), "argwhere.*use where"),
        (lambda x: ig.flatnonzero(x), "flatnonzero.*use where"),
        (lambda x: ig.unique_all(x), "unique_all.*use sort"),
        (lambda x: ig.unique_values(x), "unique_values.*use sort"),
        (lambda x: ig.unique_counts(x), "unique_counts.*use sort"),
        (lambda x: ig.unique_inverse(x), "unique_inverse.*use sort"),
        (lambda x: ig.bincount(x.astype("int64")), "bincount.*segment_sum"),
        (lambda x: ig.segment_sum(x, x.astype("int64")), "segment_sum.*num_segments"),
    ],
)
def test_shapes_that_depend_on_data_are_refused_with_line_and_alternative(fn, words):
    x = ig.tensor([1.0, 0.0, 2.0])
    fn(x)
    line = rf"{__file__}:{fn.__code__.co_firstlineno}"
    with pytest.raises(ig.ConcretizationError, match=words) as caught:
        ig.compile(fn)(x)
    assert line in str(caught.value)


def test_masks_that_are_known_can_be_read_when_compiled(backend):
    mask = np.array([True, False, True])
    double = ig.compile(lambda x: x[mask] * 2 + x[ig.tensor(mask)])
    assert double(ig.tensor([1.0, 2.0, 3.0])).tolist() == [3.0, 9.0]


# -- x[i] = v --------------------------------------------------------------------------------------


def test_assignment_rebinds_the_name_and_keeps_what_was_saved():
    x = ig.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1.0
    z = y * y
    y[0] = 5.0
    assert y.tolist() == [5.0, 2.0]
    z.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [2.0, 4.0]
    x.grad = None
    (y * y).sum().backward()
    assert x.grad.tolist() == [0.0, 4.0]


def test_assignment_shows_in_every_name_of_the_object_and_in_nothing_else():
    x = ig.zeros((2, 2))
    same, view = x, x[0]
    x[0, 0] = 1.0
    x[1] += ig.tensor([2.0, 3.0])
    assert same.tolist() == [[1.0, 0.0], [2.0, 3.0]]
    assert view.tolist() == [0.0, 0.0]
    x[x > 1] = 0
    assert x.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    shallow = copy.copy(x)
    shallow[0] = 7.0
    assert x.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_assignment_to_a_leaf_that_requires_gradients_advises():
    x = ig.zeros(2, dtype="float64").requires_grad_()
    with pytest.raises(ig.AutodiffError, match=r"write y = x\.at\[i\]\.set\(v\)"):
        x[0] = 1.0
    assert x.tolist() == [0.0, 0.0]


def test_assignment_out_of_range_changes_nothing(backend):
    x = ig.zeros(2)
    with pytest.raises(ig.IndexOutOfRangeError):
        x[ig.tensor([0, 2])] = 1.0
    assert x.tolist() == [0.0, 0.0]


def test_assignment_inside_a_compiled_function(backend):
    @ig.compile
    def run(x):
        y = x + 0.0
        y[1:] = 7.0
        y[y < 0] = 0.0
        return y

    assert run(ig.tensor([-1.0, 2.0, 3.0])).tolist() == [0.0, 7.0, 7.0]

    @ig.compile
    def argument(x):
        x[0] = 1.0
        return x

    with pytest.raises(ig.UndeclaredStateError, match=rf"argument.*{__file__}.*at\[i\]\.set"):
        argument(ig.zeros(2))
