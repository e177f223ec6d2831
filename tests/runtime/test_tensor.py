import copy
import pickle

import numpy as np
import pytest

import isograd as ig


def test_tensor_copies_and_chooses_dtypes():
    source = np.arange(3)
    t = ig.tensor(source)
    source[0] = 9
    assert t.tolist() == [0, 1, 2]
    assert ig.tensor([1.0]).dtype == ig.float32
    assert ig.tensor([1]).dtype == ig.int64
    assert ig.tensor([True]).dtype == ig.bool
    assert ig.tensor(np.ones(1)).dtype == ig.float64
    assert ig.tensor([[ig.tensor(1.0), 2.0]]).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("data", "dtype", "error", "words"),
    [
        ([[1, 2], [3]], None, ig.ShapeError, "ragged"),
        (["a"], None, ig.DTypeError, "booleans, integers, floats or complex"),
        ([1j], "float32", ig.DTypeError, "imaginary part would be lost"),
        ([300], "uint8", ig.DTypeError, "do not fit into uint8"),
        (object(), None, ig.DTypeError, "object"),
        ([1.0], "float99", ig.DTypeError, "use one of"),
    ],
)
def test_what_is_no_tensor_is_refused(data, dtype, error, words):
    with pytest.raises(error, match=words):
        ig.tensor(data, dtype=dtype)


def test_unknown_devices_are_refused():
    with pytest.raises(ig.UnknownDeviceError, match=r"'gpu' is served by no backend; use one of"):
        ig.tensor([1.0], device="gpu")
    with pytest.raises(ig.UnknownDeviceError, match="does not exist here"):
        ig.tensor([1.0], device="cpu:3")


def test_values_cannot_be_changed_through_numpy():
    t = ig.ones(3)
    assert not t.numpy().flags.writeable
    assert not np.asarray(t).flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        t.numpy()[0] = 5
    assert np.array(t, copy=True).flags.writeable
    assert np.asarray(t, dtype=np.float64).dtype == np.float64


def test_asarray_shares_only_what_nobody_can_write():
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    assert ig.asarray(frozen, copy=False).array is frozen
    with pytest.raises(ValueError, match=r"flags.writeable = False"):
        ig.asarray(np.arange(3.0), copy=False)
    t = ig.ones(2)
    assert ig.asarray(t) is t
    assert ig.asarray(t, copy=True) is not t
    with pytest.raises(ValueError, match="copy"):
        ig.asarray(t, dtype="float64", copy=False)


def test_numbers_take_the_dtype_beside_them():
    half = ig.tensor([1.0], dtype="float16")
    assert (half * 2.5).dtype == ig.float16
    assert (half * np.float64(2.5)).dtype == ig.float16
    assert (ig.tensor([1], dtype="uint8") + 1).dtype == ig.uint8
    assert (ig.tensor([1]) + 0.5).dtype == ig.float32
    assert (ig.tensor([True]) + 1).dtype == ig.int64
    assert (1 / ig.tensor([4])).tolist() == [0.25]
    with pytest.raises(ig.DTypeError, match="300 does not fit into uint8"):
        ig.tensor([1], dtype="uint8") + 300
    # Equal numbers of other signs and classes are other constants.
    assert np.signbit((ig.tensor([0.0]) * -0.0).numpy()).all()
    assert np.copysign(1.0, (ig.tensor([-0.0]) + 0.0).item()) == 1.0


def test_numpy_arrays_stand_on_either_side():
    a, t = np.array([1.0, 2.0]), ig.tensor([3.0, 4.0], dtype="float64")
    assert isinstance(a * t, ig.Tensor)
    assert (a * t).tolist() == (t * a).tolist() == [3.0, 8.0]


def test_truth_numbers_and_lengths():
    assert bool(ig.tensor([1]))
    assert float(ig.tensor(2.5)) == 2.5
    assert [10, 20][ig.tensor(1)] == 20
    assert len(ig.zeros((3, 2))) == 3
    with pytest.raises(ig.ShapeError, match=r"shape \(2,\) is ambiguous"):
        bool(ig.zeros(2))
    with pytest.raises(ig.DTypeError, match="only an integer tensor"):
        [1][ig.tensor(0.0)]
    with pytest.raises(TypeError, match="no axes"):
        len(ig.tensor(1))
    with pytest.raises(ig.ShapeError, match="item"):
        ig.zeros(2).item()


def test_attributes_that_are_facts_cannot_be_set():
    t = ig.zeros(2)
    for name in ("shape", "dtype", "ndim", "size"):
        with pytest.raises(AttributeError):
            setattr(t, name, 1)


def test_copies_and_pickles():
    t = ig.tensor([1.0, 2.0], requires_grad=True)
    p = ig.nn.Parameter(ig.ones(2), requires_grad=False)
    for made in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert made.tolist() == [1.0, 2.0]
        assert made.requires_grad
        assert made is not t
    for made in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert isinstance(made, ig.nn.Parameter)
        assert not made.requires_grad
    with pytest.raises(ig.AutodiffError, match="detach"):
        copy.deepcopy(t * 2)


def test_repr_is_short_and_says_what_matters():
    x = ig.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], dtype=float32, requires_grad=True)"
    assert "made_by='mul'" in repr(x * x)
    assert len(repr(ig.zeros(10**6))) < 200
    assert repr(ig.zeros((0, 3))) == "tensor([], shape=(0, 3), dtype=float32)"
    assert f"{ig.tensor(1.5):.2f}" == "1.50"


def test_parameters_refuse_what_does_not_fit():
    p = ig.nn.Parameter(ig.ones(2))
    for value, error in [
        (ig.ones(3), ig.ShapeError),
        (ig.ones(2, dtype="float64"), ig.DTypeError),
    ]:
        with pytest.raises(error, match="assign_"):
            p.assign_(value)
    assert p.tolist() == [1.0, 1.0]
    p[0] = 5.0
    assert p.tolist() == [5.0, 1.0]
    assert p.requires_grad
