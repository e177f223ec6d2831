"""Tensors and the rest of Python: memory, copies, pickles, numbers, text."""

import array
import copy
import pickle
import sys
import weakref
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.core.dtypes import bfloat16

HAS_BFLOAT16 = bfloat16() is not None
HALF = "bfloat16" if HAS_BFLOAT16 else "float16"
FLAGGED = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


class Producer:
    """An array of another library: its capsules, and what it was asked for."""

    def __init__(self, array, device=(1, 0), versioned=True):
        self.array, self.device, self.versioned = array, device, versioned
        self.asked = []

    def __dlpack__(self, **kwargs):
        if not self.versioned and kwargs:
            raise TypeError("no keywords")
        self.asked.append(kwargs)
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.device


LAYOUTS = {
    "C order": np.arange(6.0).reshape(2, 3),
    "Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "reversed": np.arange(6.0)[::-1],
    "strided": np.arange(12.0)[::3],
    "zero stride": np.broadcast_to(np.arange(3.0), (2, 3)).copy(order="K"),
    "no elements": np.zeros((0, 3)),
    "no axes": np.array(5.0),
    "bool": np.array([True, False]),
    "int8": np.array([1, -2], np.int8),
    "uint64": np.array([2**63], np.uint64),
    "float16": np.array([0.1], np.float16),
}


# -- DLPack ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_come_in_and_go_out(name):
    source = LAYOUTS[name]
    t = ig.from_dlpack(source)
    np.testing.assert_array_equal(t.numpy(), source)
    assert (t.shape, t.dtype) == (source.shape, source.dtype)
    assert not np.shares_memory(t.numpy(), source)
    out = np.from_dlpack(t)
    np.testing.assert_array_equal(out, source)
    assert out.dtype == source.dtype


@pytest.mark.parametrize("versioned", [True, False])
def test_arrays_of_old_and_new_producers_are_copied(versioned):
    source = np.arange(3.0)
    t = ig.from_dlpack(Producer(source, versioned=versioned))
    source[0] = 9.0
    assert t.tolist() == [0.0, 1.0, 2.0]
    assert ig.tensor(Producer(source)).tolist() == ig.asarray(Producer(source)).tolist()
    assert ig.tensor(Producer(source), dtype="float32", requires_grad=True).dtype == ig.float32


def test_views_come_in_with_their_strides():
    t = ig.tensor(np.arange(12.0).reshape(3, 4))
    for view in (t.T, t[::-1, ::2], ig.broadcast_to(t[0], (2, 4)), t[:0]):
        np.testing.assert_array_equal(np.from_dlpack(view), view.numpy())
        np.testing.assert_array_equal(ig.from_dlpack(np.from_dlpack(view)).numpy(), view.numpy())


def test_what_is_exported_is_a_copy_unless_it_is_read_only():
    t = ig.tensor([1.0, 2.0])
    for copied in (None, True) if FLAGGED else (None,):
        out = np.from_dlpack(Producer(t)) if copied is None else np.from_dlpack(t, copy=True)
        assert not np.shares_memory(out, t.numpy())
        if FLAGGED:  # before, NumPy took all for read-only
            out[0] = 9.0
            assert t.tolist() == [1.0, 2.0]
    capsule = t.__dlpack__()  # for those who do not know of read-only memory
    assert "dltensor" in repr(capsule)
    assert "versioned" not in repr(capsule)


@pytest.mark.skipif(not FLAGGED, reason="NumPy 2.1 is the first to mark memory as read-only")
def test_sharing_is_for_those_who_ask_and_heed_that_it_is_read_only():
    t = ig.tensor([1.0, 2.0])
    shared = np.from_dlpack(t, copy=False)
    assert np.shares_memory(shared, t.numpy())
    assert not shared.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        shared[0] = 9.0
    with pytest.raises(BufferError, match=r"read-only, which needs max_version=\(1, 0\)"):
        t.__dlpack__(copy=False)
    # What is shared outlives the tensor, and then goes.
    held = weakref.ref(t)
    del t
    assert held() is None
    assert shared.tolist() == [1.0, 2.0]
    t = ig.from_dlpack(Producer(shared), copy=False)
    assert np.shares_memory(t.numpy(), shared)
    with pytest.raises(BufferError, match="marked as read-only"):
        ig.from_dlpack(Producer(np.ones(2)), copy=False)
    # A read-only view of what its owner can write is not enough.
    view = np.ones(2)[:]
    view.flags.writeable = False
    with pytest.raises(BufferError, match="marked as read-only"):
        ig.from_dlpack(view, copy=False)
    view = np.ones(2)
    view.flags.writeable = False
    assert ig.from_dlpack(view, copy=False).tolist() == [1.0, 1.0]


def test_half_precision_of_the_other_kind_goes_both_ways():
    t = ig.tensor([1.5, -2.0], dtype=HALF)
    capsules = Producer(t, device=t.__dlpack_device__())
    back = ig.from_dlpack(capsules)
    assert back.dtype == t.dtype
    assert back.tolist() == [1.5, -2.0]


def test_exports_that_cannot_be_right_are_refused():
    t = ig.tensor([1.0])
    for kwargs, words in [
        ({"dl_device": (2, 0)}, r"on cpu, and device \(2, 0\) is asked for; move it"),
        ({"stream": 1}, "stream is 1"),
        ({"copy": False, "max_version": (0, 8)}, "max_version"),
    ]:
        with pytest.raises(BufferError, match=rf"__dlpack__: .*{words}"):
            t.__dlpack__(**kwargs)
    assert t.__dlpack_device__() == (1, 0)
    assert ig.from_dlpack(Producer(t, device=(3, 0))).tolist() == [1.0]  # pinned memory
    followed = ig.tensor([1.0], requires_grad=True)
    for export in (np.from_dlpack, ig.from_dlpack):
        with pytest.raises(BufferError, match=r"requires gradients.*\.detach\(\)"):
            export(followed)
    for use in (lambda x: np.from_dlpack(x), lambda x: ig.from_dlpack(Producer(x))):
        with pytest.raises(ig.ConcretizationError):
            ig.compile(use)(t)


def test_imports_that_cannot_be_right_are_refused():
    with pytest.raises(ig.DTypeError, match="list has no __dlpack__"):
        ig.from_dlpack([1.0])
    with pytest.raises(BufferError, match="on a Metal device"):
        ig.from_dlpack(Producer(np.ones(1), device=(8, 0)))
    with pytest.raises(BufferError, match="type 99"):
        ig.from_dlpack(Producer(np.ones(1), device=(99, 0)))
    with pytest.raises(ig.UnknownDeviceError):
        ig.from_dlpack(np.ones(1), device="cpu:7")


def test_tensors_come_in_as_they_are():
    t = ig.tensor([1.0])
    assert ig.from_dlpack(t) is t
    assert ig.from_dlpack(t, device="cpu", copy=False) is t
    assert ig.from_dlpack(t, copy=True) is not t


# -- memory ----------------------------------------------------------------------------------------


def test_arrays_of_numpy_are_read_only_views_or_copies():
    t = ig.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert not np.asarray(t).flags.writeable
    assert np.array(t).flags.writeable
    assert not np.shares_memory(np.array(t), t.numpy())
    assert np.asarray(t, dtype="float64").flags.writeable
    with pytest.raises(ValueError, match="only by copying"):
        np.asarray(t, dtype="float64", copy=False)


def test_buffers_are_read_only():
    t = ig.tensor([[1, 2], [3, 4]], dtype="int32")
    view = t.__buffer__(0)
    assert (view.format, view.shape, view.readonly) == ("i", (2, 2), True)
    assert view.tolist() == t.tolist()
    if HAS_BFLOAT16:  # which Python has no letter for
        with pytest.raises(ValueError, match="dtype 'E'"):
            ig.tensor([1.0], dtype=HALF).__buffer__(0)
    if sys.version_info >= (3, 12):
        assert memoryview(t).tolist() == t.tolist()
        assert bytes(t) == t.numpy().tobytes()


def test_buffers_say_what_they_hold():
    assert ig.tensor(array.array("d", [0.1, 2.0])).tolist() == [0.1, 2.0]
    assert ig.asarray(memoryview(np.array([1, 2], np.int16))).dtype == ig.int16
    assert ig.tensor(bytearray(b"ab")).dtype == ig.uint8


def test_only_tensors_on_gpus_have_their_interface():
    assert not hasattr(ig.ones(2), "__cuda_array_interface__")
    with pytest.raises(AttributeError, match=r'write x\.to\("cuda"\)\.__cuda_array_interface__'):
        ig.ones(2).__cuda_array_interface__  # noqa: B018

    class OnGPU:
        __cuda_array_interface__ = {"shape": (2,), "data": (1024, False), "version": 3}  # noqa: RUF012

    t = ig.Tensor(OnGPU(), ig.ones(2).aval, ig.device("cuda:0"))
    assert t.__cuda_array_interface__ == {"shape": (2,), "data": (1024, True), "version": 3}


def test_what_others_hold_is_never_overwritten_by_compiled_training():
    """State is updated where it is, and only there: not in memory that somebody else looks at."""
    model = nn.Linear(3, 2)
    optimizer = ig.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @ig.compile(state=(model, optimizer))
    def step(x):
        loss = (model(x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def slot():
        return next(iter(optimizer.state[model.weight].values()))

    exports = {
        "numpy": lambda t: t.numpy(),
        "__array__": np.asarray,
        "a view of a view": lambda t: np.asarray(t)[1:].T,
        "buffer": lambda t: t.__buffer__(0),
        "detach": lambda t: t.detach(),
        "view": lambda t: t.detach().T,
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
    }
    if FLAGGED:
        exports["dlpack"] = lambda t: np.from_dlpack(t.detach(), copy=False)
        exports["capsule"] = lambda t: _Taken(t.detach().__dlpack__(copy=False, max_version=(1, 0)))
    x = ig.tensor([[1.0, 2.0, 3.0]])
    for _ in range(3):
        step(x)
    for name, export in exports.items():
        for source in (model.weight, slot()):
            held = export(source)
            before = source.numpy().copy()
            for _ in range(3):
                step(x)
            if name == "capsule":
                held = np.from_dlpack(held)
            seen = np.asarray(held.detach() if isinstance(held, ig.Tensor) else held)
            right = before[1:].T if name == "a view of a view" else before
            right = before.T if name == "view" else right
            np.testing.assert_array_equal(seen, right, err_msg=name)
            del held, seen
    assert not np.array_equal(model.weight.numpy(), before)


class _Taken:
    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


# -- copies and pickles ----------------------------------------------------------------------------


def _made():
    ig.manual_seed(3)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model.tied = model[0].weight
    model.half = nn.Parameter(ig.ones(2, dtype=HALF), requires_grad=False)
    return model


def _remake(how, value):
    return copy.deepcopy(value) if how == "deepcopy" else pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_modules_are_copied_with_what_they_share(how):
    model = _made()
    model.eval()
    made = _remake(how, model)
    assert made[0].weight is made.tied
    assert made[0].weight is not model[0].weight
    assert list(made.state_dict()) == list(model.state_dict())
    for name, value in model.state_dict().items():
        found = made.state_dict()[name]
        assert (found.dtype, found.device) == (value.dtype, value.device)
        np.testing.assert_array_equal(found.numpy(), value.numpy())
    assert not made.half.requires_grad
    assert made[0].weight.requires_grad
    assert not made[1].training
    made[0].weight[0] = 7.0
    assert model[0].weight.numpy()[0, 0] != 7.0
    assert made.tied.numpy()[0, 0] == 7.0


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_optimizers_are_copied_with_their_state(how):
    def trained(model, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (model(ig.tensor([[1.0, 2.0], [0.5, -1.0]])) ** 2).sum().backward()
            optimizer.step()
        return model.weight.numpy()

    model = nn.Linear(2, 2)
    optimizer = ig.optim.Adam(model.parameters(), lr=0.1)
    trained(model, optimizer, 2)
    made, made_optimizer = _remake(how, (model, optimizer))
    before = model.weight.numpy().copy()
    there = trained(made, made_optimizer, 2)
    np.testing.assert_array_equal(model.weight.numpy(), before)
    np.testing.assert_array_equal(there, trained(model, optimizer, 2))


def test_deep_copies_have_the_gradient_and_pickles_do_not():
    for leaf in (ig.tensor([1.0], requires_grad=True), nn.Parameter(ig.ones(1))):
        (leaf * 3).sum().backward()
        assert copy.deepcopy(leaf).grad.tolist() == [3.0]
        assert pickle.loads(pickle.dumps(leaf)).grad is None
        assert copy.copy(leaf).grad is None
        assert type(copy.copy(leaf)) is type(leaf)


def test_shallow_copies_of_results_keep_their_history():
    x = ig.tensor([2.0], requires_grad=True)
    y = copy.copy(x * x)
    y.sum().backward()
    assert x.grad.tolist() == [4.0]
    assert copy.copy(x).is_leaf
    for refused in (copy.deepcopy, pickle.dumps):
        with pytest.raises(ig.AutodiffError, match=r"an operation made this.*\.detach\(\)"):
            refused(x * x)
        with pytest.raises(ig.ConcretizationError):
            ig.compile(lambda t, refused=refused: refused(t) and t)(ig.ones(1))


def _described(model, t):
    """Run in another process: what arrived there."""
    with ig.no_grad():
        out = model(ig.ones((4, 2)))
    same = model[0].weight is model.tied
    return out, t, (str(t.device), t.requires_grad, type(t).__name__, same)


def test_tensors_and_modules_go_to_spawned_workers_and_back():
    model = _made().eval()
    t = nn.Parameter(ig.tensor([1.5, -2.0], dtype=HALF), requires_grad=False)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        out, back, facts = pool.submit(_described, model, t).result(timeout=120)
    assert facts == ("cpu", False, "Parameter", True)
    assert back.dtype == t.dtype
    assert back.tolist() == [1.5, -2.0]
    with ig.no_grad():
        np.testing.assert_array_equal(out.numpy(), model(ig.ones((4, 2))).numpy())


def test_a_pickle_of_a_device_that_is_not_here_says_so():
    made = ig.ones(1).__reduce__()
    function, (kind, host, _, grad) = made
    with pytest.raises(ig.UnknownDeviceError, match="tpu"):
        function(kind, host, "tpu:3", grad)


# -- numbers ---------------------------------------------------------------------------------------


def test_elements_are_found_by_number():
    t = ig.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert t.item(1, 0) == t.item(2) == t.item(-2) == 3.0
    assert ig.tensor([5]).item() == 5
    assert type(ig.tensor(1.5, dtype=HALF).item()) is float
    with pytest.raises(ig.IndexOutOfRangeError, match="item: index 4 is out of range"):
        t.item(4)
    with pytest.raises(ig.ShapeError, match=r"item: 3 indices .* \(2, 2\)"):
        t.item(0, 0, 0)
    with pytest.raises(ig.ShapeError, match=r"item: the tensor has shape \(2, 2\)"):
        t.item()


def test_membership_and_walking():
    t = ig.tensor([[1.0, float("nan")], [3.0, 4.0]])
    assert 3.0 in t
    assert float("nan") not in t
    assert [row.shape for row in t] == [(2,), (2,)]
    with pytest.raises(TypeError, match="iter: the tensor has no axes"):
        iter(ig.tensor(1.0))
    x = ig.tensor([2.0, 3.0], requires_grad=True)
    first, second = x
    (first * second).backward()
    assert x.grad.tolist() == [3.0, 2.0]


@pytest.mark.parametrize(
    "use",
    [
        bool,
        int,
        float,
        lambda x: [1][x],
        lambda x: 1.0 in x,
        lambda x: x.item(0),
        lambda x: f"{x:d}",
    ],
)
def test_numbers_of_symbols_are_refused(use):
    def fn(x):
        use(x.sum())
        return x

    with pytest.raises(ig.ConcretizationError, match="has no numbers yet"):
        ig.compile(fn)(ig.tensor([1]))


def test_truth_is_of_one_element():
    assert not ig.tensor([[0.0]])
    assert ig.tensor(float("nan"))
    for empty in (ig.zeros(0), ig.zeros((2, 0))):
        with pytest.raises(ig.ShapeError, match="ambiguous"):
            bool(empty)


def test_tensors_are_keys_by_identity():
    a, b = ig.ones(1), ig.ones(1)
    assert {a: 1, b: 2}[a] == 1
    assert hash(a) != hash(b)


# -- NumPy's operators -----------------------------------------------------------------------------


def test_numpy_leaves_operators_to_tensors_and_refuses_its_own_functions():
    x = ig.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    for out in (np.ones(2) + x, np.float64(2) * x, np.ones((2, 2)) @ x, np.ones(2) < x):
        assert isinstance(out, ig.Tensor)
    (np.array([3.0, 4.0]) * x).sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]
    for refused in (np.exp, lambda t: np.add(np.ones(2), t)):
        with pytest.raises(TypeError, match="does not support ufuncs"):
            refused(x)
    host = np.ones(2)
    with pytest.raises(TypeError, match="does not support ufuncs"):
        host += x


@pytest.mark.parametrize(
    "reduce", [np.mean, np.sum, np.std, np.var, np.max, np.min, np.prod, np.any, np.all, np.argmax]
)
def test_other_functions_of_numpy_take_tensors_as_arrays(reduce):
    x = ig.tensor([[1.0, 2.0], [4.0, 8.0]], dtype="float64", requires_grad=True)
    for arguments in ({}, {"axis": 0}):
        out = reduce(x, **arguments)
        assert not isinstance(out, ig.Tensor)
        np.testing.assert_array_equal(out, reduce(x.numpy(), **arguments))
    out = np.stack([x, np.ones((2, 2))], axis=-1)
    assert type(out) is np.ndarray
    assert out.shape == (2, 2, 2)
    with pytest.raises(ig.ConcretizationError, match="has no numbers yet"):
        ig.compile(lambda t: reduce(t))(ig.ones(3))


# -- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ig.tensor(1.5), "tensor(1.5, dtype=float32)"),
        (lambda: ig.tensor([1, 2]), "tensor([1, 2], dtype=int64)"),
        (lambda: ig.tensor([True]), "tensor([ True], dtype=bool)"),
        (lambda: ig.tensor([1.5], dtype=HALF), f"tensor([1.5], dtype={HALF})"),
        (
            lambda: ig.tensor([[1.0, float("nan")], [float("inf"), -0.0]]),
            "tensor([[ 1., nan],\n        [inf, -0.]], dtype=float32)",
        ),
        (
            lambda: ig.arange(1000),
            "tensor([  0,   1,   2, ..., 997, 998, 999], shape=(1000,), dtype=int64)",
        ),
        (lambda: ig.zeros((2, 0)), "tensor([], shape=(2, 0), dtype=float32)"),
        (
            lambda: ig.tensor([1.0], requires_grad=True) * 2,
            "tensor([2.], dtype=float32, made_by='mul')",
        ),
        (
            lambda: nn.Parameter(ig.ones(1)),
            "Parameter containing:\ntensor([1.], dtype=float32, requires_grad=True)",
        ),
    ],
)
def test_text_is_short_and_says_what_matters(make, text):
    assert repr(make()) == str(make()) == f"{make()}" == text


def test_text_follows_numpys_print_options():
    with np.printoptions(precision=2):
        assert repr(ig.tensor([1 / 3])) == "tensor([0.33], dtype=float32)"


def test_formats_are_for_one_number():
    assert f"{ig.tensor([2.5]):.2f}" == "2.50"
    assert f"{ig.tensor(7):03d}" == "007"
    with pytest.raises(ig.ShapeError, match=r"format: '\.2f' is for one number.*\(2,\)"):
        format(ig.ones(2), ".2f")
