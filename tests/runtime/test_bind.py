import gc
import warnings
import weakref

import numpy as np
import pytest

import isograd as ig
from isograd.backend import xp_kernels
from isograd.core.config import modes
from isograd.runtime.tape import PrimitiveNode

ADD = ig.ops.PRIMITIVES["add"]


def other_device(name="mirror"):
    """A second device whose memory is NumPy's too."""
    from isograd_numpy import create

    cpu = create()

    class Memory(type(cpu.memory)):
        device_type = name

        def devices(self):
            return (ig.Device(name),)

    class Backend:
        version = "0"
        protocol_version = cpu.protocol_version
        memory = Memory()
        kernel = staticmethod(xp_kernels(np).get)

        def __init__(self):
            self.name = f"{name}-backend"

    return Backend()


def test_mixed_devices_name_function_devices_and_fix():
    with ig.use_backend(other_device()):
        a, b = ig.ones(2), ig.ones(2, device="mirror")
        with pytest.raises(ig.DeviceMismatchError) as caught:
            a - b
        moved = a.to("mirror") - b
    text = str(caught.value)
    assert text.startswith("subtract:")
    assert "argument 0 is on cpu" in text
    assert "argument 1 is on mirror" in text
    assert '.to("cpu")' in text
    assert moved.device is ig.device("mirror")
    with ig.use_backend(other_device()):
        assert moved.tolist() == [0.0, 0.0]


def test_derivatives_go_through_moves_between_devices():
    def loss(x):
        return (((x * x).to("mirror") ** 2).to("cpu") * x).sum()

    with ig.use_backend(other_device()):
        x = ig.tensor([1.0, -2.0])
        assert ig.grad(loss)(x).tolist() == [5.0, 80.0]
        assert ig.hessian(loss)(x).tolist() == [[20.0, 0.0], [0.0, -160.0]]
        assert ig.jvp(loss, (x,), (ig.ones(2),))[1].item() == 85.0
        leaf = ig.tensor([3.0], requires_grad=True)
        moved = leaf.to("mirror")
        assert not moved.is_leaf
        moved.sum().backward()
        assert (leaf.grad.tolist(), leaf.grad.device) == ([1.0], leaf.device)
        with ig.no_grad():
            assert not leaf.to("mirror").requires_grad


@pytest.mark.parametrize("inside", [ig.vmap, lambda fn: ig.compile(fn)])
def test_nothing_moves_inside_what_is_computed_on_one_device(inside):
    with (
        ig.use_backend(other_device()),
        pytest.raises(ig.ConcretizationError, match="to: functions are compiled and mapped for"),
    ):
        inside(lambda x: (x + 1.0).to("mirror"))(ig.ones(2))


def test_a_missing_core_kernel_is_a_readable_error():
    backend = other_device("bare")
    type(backend).kernel = lambda self, name: None
    with (
        ig.use_backend(backend),
        pytest.raises(ig.BackendUnavailableError, match=r"full: backend .* no kernel"),
    ):
        ig.bind(
            ig.ops.PRIMITIVES["full"],
            shape=(2,),
            value=1,
            dtype=ig.float32,
            device=ig.Device("bare"),
        )


def test_fused_primitives_run_through_their_decomposition_without_a_kernel():
    from isograd_numpy import create

    cpu = create()
    fused = {n for n, prim in ig.ops.PRIMITIVES.items() if prim.decompose is not None}

    class CoreOnly:
        name, version, memory = "core-only", "0", cpu.memory
        protocol_version = cpu.protocol_version

        def kernel(self, name):
            return None if name in fused else cpu.kernel(name)

    x = np.linspace(-3, 3, 7)
    with ig.use_backend(CoreOnly()):
        t = ig.tensor(x, requires_grad=True)
        y = ig.nn.functional.softmax(ig.nn.functional.gelu(t), dim=0)
        (y * y).sum().backward()
        core = t.grad.numpy()
    with ig.use_backend("numpy"):
        t = ig.tensor(x, requires_grad=True)
        y = ig.nn.functional.softmax(ig.nn.functional.gelu(t), dim=0)
        (y * y).sum().backward()
    np.testing.assert_allclose(core, t.grad.numpy(), rtol=1e-13)


def test_users_numpy_settings_are_neither_used_nor_changed():
    before = np.geterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(all="raise"):
            assert ig.log(ig.zeros(1)).item() == -np.inf
            assert np.isnan((ig.zeros(1) / ig.zeros(1)).item())
    assert np.geterr() == before
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        np.log(np.zeros(1))


def test_the_tape_saves_only_what_rules_name():
    x = ig.ones(3, dtype="float64").requires_grad_()
    constant = ig.full((3,), 2.0, dtype="float64")
    cases = {
        "add": (x + constant, {}, False),
        "mul": (x * constant, {1: constant.array}, False),
        "exp": (ig.exp(x), {}, True),
        "sin": (ig.sin(x), {0: x.array}, False),
        "sum": (x.sum(), {}, False),
    }
    for name, (out, saved, keeps_output) in cases.items():
        node = out.edge[0]
        assert isinstance(node, PrimitiveNode)
        assert node.prim.name == name
        assert {i: id(a) for i, a in node.saved_inputs.items()} == {
            i: id(a) for i, a in saved.items()
        }
        assert (node.saved_output is not None) == keeps_output


def test_a_dropped_graph_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        x = ig.ones(3).requires_grad_()
        y = ig.exp(ig.sin(x))
        node = weakref.ref(y)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_integers_results_are_not_recorded():
    x = ig.ones(3).requires_grad_()
    assert not x.astype("int32").requires_grad
    assert not (x > 0).requires_grad
    assert x.astype("float64").requires_grad


def test_a_kernel_that_fails_leaves_modes_alone():
    with pytest.raises(ig.IndexOutOfRangeError):
        ig.take(ig.ones(3), ig.tensor([7]))
    assert modes.grad
    assert (ig.ones(2) + 1).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("static", [{"axis": (0,), "keepdims": False}])
def test_bind_is_public(static):
    assert ig.bind(ig.ops.PRIMITIVES["sum"], ig.ones(3), **static).item() == 3.0
    with pytest.raises(ig.DTypeError, match="add: the arguments are"):
        ig.bind(ADD, ig.ones(2), ig.ones(2, dtype="float64"))


def test_numbers_are_put_where_the_condition_is():
    with ig.use_backend(other_device()):
        x = ig.tensor([[0.0, 0.0]], device="mirror", requires_grad=True)
        assert ig.where(x > 0, 0, 1.5).tolist() == [[1.5, 1.5]]
        ig.logsumexp(x, axis=1).sum().backward()
        ig.logaddexp(x, x).sum().backward()
        assert x.grad.tolist() == [[1.5, 1.5]]
