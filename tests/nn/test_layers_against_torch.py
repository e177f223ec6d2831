"""Layers and losses against torch: names, shapes, outputs, all gradients, same weights."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

pytestmark = pytest.mark.oracle

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}

#: Layers in which torch rounds a constant to float32, whatever the dtype.
ROUNDED = ("CELU", "Hardsigmoid")

# (layer, its arguments, the input's shape)
LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Linear", (5, 3), {}, (4, 5)),
    ("Linear", (5, 3), {"bias": False}, (4, 5)),
    ("Linear", (5, 3), {}, (5,)),
    ("Linear", (5, 1), {}, (2, 3, 4, 5)),
    ("Linear", (5, 3), {"bias": False}, (2, 0, 5)),
    ("Linear", (5, 3), {}, (0, 5)),
    ("Linear", (1, 3), {}, (7, 1)),
    ("Identity", (1, 2), {}, (3, 2)),
    ("Sigmoid", (), {}, (3, 50)),
    ("Tanh", (), {}, (3, 50)),
    ("ReLU", (), {}, (3, 50)),
    ("ReLU", (), {"inplace": True}, (4,)),
    ("GELU", (), {}, (3, 50)),
    ("GELU", ("tanh",), {}, (3, 50)),
    ("SiLU", (), {}, (3, 50)),
    ("ReLU6", (), {}, (3, 50)),
    ("Hardtanh", (), {}, (3, 50)),
    ("Hardtanh", (-0.5, 2.0), {"inplace": True}, (3, 50)),
    ("Hardsigmoid", (), {}, (3, 50)),
    ("Hardswish", (), {}, (3, 50)),
    ("ELU", (), {}, (3, 50)),
    ("ELU", (0.3, True), {}, (3, 50)),
    ("ELU", (), {"alpha": -0.5}, (3, 50)),
    ("SELU", (), {}, (3, 50)),
    ("CELU", (), {}, (3, 50)),
    ("CELU", (0.3,), {}, (3, 50)),
    ("LeakyReLU", (), {}, (3, 50)),
    ("LeakyReLU", (0.3, True), {}, (3, 50)),
    ("PReLU", (), {}, (3, 50)),
    ("PReLU", (4,), {"init": 0.1}, (3, 4, 2, 3)),
    ("PReLU", (4,), {}, (3, 4)),
    ("PReLU", (), {}, (5,)),
    ("RReLU", (), {}, (3, 50)),
    ("RReLU", (0.1, 0.2), {"inplace": True}, (3, 50)),
    ("GLU", (), {}, (3, 50)),
    ("GLU", (1,), {}, (3, 4, 5)),
    ("Mish", (), {}, (3, 50)),
    ("LogSigmoid", (), {}, (3, 50)),
    ("Hardshrink", (), {}, (3, 50)),
    ("Hardshrink", (1.5,), {}, (3, 50)),
    ("Softshrink", (), {}, (3, 50)),
    ("Softshrink", (1.5,), {}, (3, 50)),
    ("Softsign", (), {}, (3, 50)),
    ("Tanhshrink", (), {}, (3, 50)),
    ("Threshold", (0.5, -2.0), {}, (3, 50)),
    ("Threshold", (0.5, 2.0, True), {}, (3, 50)),
    ("Softmin", (1,), {}, (3, 4, 5)),
    ("Softmax2d", (), {}, (2, 3, 4, 5)),
    ("Softmax2d", (), {}, (3, 4, 5)),
    ("Softplus", (), {}, (3, 50)),
    ("Softplus", (2.5, 3.0), {}, (3, 50)),
    ("Softmax", (1,), {}, (3, 4, 5)),
    ("Softmax", (), {"dim": -1}, (3, 4)),
    ("Softmax", (0,), {}, (4,)),
    ("LogSoftmax", (1,), {}, (3, 4, 5)),
    ("LogSoftmax", (-3,), {}, (3, 4, 5)),
    ("Flatten", (), {}, (2, 3, 4, 5)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
    ("Flatten", (2,), {"end_dim": -1}, (2, 3, 4, 5)),
    ("Flatten", (), {}, (0, 3, 4)),
    ("Dropout", (0.3,), {}, (20,)),
]
IDS = [f"{name}-{args}-{kwargs}-{shape}" for name, args, kwargs, shape in LAYERS]


def to_torch(array: Any, grad: bool = False) -> Any:
    return torch.tensor(np.asarray(array), requires_grad=grad)


def pair(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], dtype: str
) -> tuple[nn.Module, Any]:
    """Return our layer and torch's, with torch's weights in both."""
    theirs = getattr(torch.nn, name)(*args, **kwargs).to(getattr(torch, dtype))
    ours = getattr(nn, name)(*args, **kwargs).to(dtype)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def assert_close(ours: Any, theirs: Any, dtype: str, bound: float | None = None) -> None:
    assert ours.shape == tuple(theirs.shape)
    assert ours.dtype.name == dtype
    bound = TOLERANCE[dtype] if bound is None else bound
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=bound, atol=bound)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS, ids=IDS)
def test_layer(
    backend: str,
    rng: np.random.Generator,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    shape: tuple[int, ...],
    dtype: str,
) -> None:
    bound = TOLERANCE["float32" if name in ROUNDED else dtype]
    ours, theirs = pair(name, args, kwargs, dtype)
    ours.eval(), theirs.eval()
    assert repr(ours).lower() == repr(theirs).lower()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    values = (3 * rng.normal(size=shape)).astype(dtype)
    x, x_torch = ig.tensor(values, requires_grad=True), to_torch(values, grad=True)
    out = ours(x)
    out_torch = theirs(x_torch * 1)  # in-place layers must not change a leaf
    assert_close(out, out_torch, dtype, bound)
    seed = rng.normal(size=out.shape).astype(dtype)
    (out * ig.tensor(seed)).sum().backward()
    (out_torch * to_torch(seed)).sum().backward()
    assert_close(x.grad, x_torch.grad, dtype, bound)
    for (key, p), (key_torch, p_torch) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert key == key_torch
        assert_close(p.grad, p_torch.grad, dtype)


@pytest.mark.parametrize("name", sorted({name for name, *_ in LAYERS}))
def test_arguments_have_the_names_and_defaults_of_torch(name: str) -> None:
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = dict(inspect.signature(getattr(torch.nn, name)).parameters)
    if list(theirs) == ["args", "kwargs"] and not ours:  # those of torch's Module
        theirs = {}
    for obsolete in ("min_value", "max_value"):
        theirs.pop(obsolete, None)
    assert list(ours) == list(theirs)
    for key, parameter in ours.items():
        if name not in (
            "Softmax",
            "Softmin",
            "LogSoftmax",
        ):  # dim has no default here: torch's is deprecated
            assert parameter.default == theirs[key].default, key


def test_a_model_takes_over_the_weights_of_torch(backend: str, rng: np.random.Generator) -> None:
    def build(lib: Any) -> Any:
        return lib.Sequential(
            lib.Linear(6, 8),
            lib.GELU(),
            lib.Sequential(lib.Linear(8, 8), lib.Tanh()),
            lib.Linear(8, 3),
        )

    ours, theirs = build(nn), build(torch.nn)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = rng.normal(size=(10, 6)).astype("f4")
    assert_close(ours(ig.tensor(x)), theirs(to_torch(x)), "float32")


# -- losses ----------------------------------------------------------------------------------------

REDUCTIONS = ["mean", "sum", "none"]


def compare_losses(
    dtype: str,
    loss: Any,
    loss_torch: Any,
    inputs: list[np.ndarray[Any, Any]],
    constants: list[np.ndarray[Any, Any]],
) -> None:
    """Compare values and the gradients of floating-point inputs."""
    xs = [ig.tensor(x, requires_grad=True) for x in inputs]
    xs_torch = [to_torch(x, grad=True) for x in inputs]
    out = loss(*xs, *[ig.tensor(c) for c in constants])
    out_torch = loss_torch(*xs_torch, *[to_torch(c) for c in constants])
    assert_close(out, out_torch, dtype)
    seed = np.linspace(0.5, 2.0, out.size).reshape(out.shape).astype(dtype)
    out.backward(ig.tensor(seed))
    out_torch.backward(to_torch(seed))
    for x, x_torch in zip(xs, xs_torch, strict=True):
        assert_close(x.grad, x_torch.grad, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ["MSELoss", "L1Loss"])
@pytest.mark.parametrize("shape", [(4, 3), (5,), (), (2, 3, 4)])
def test_regression_losses(
    backend: str, rng: np.random.Generator, name: str, shape: tuple[int, ...], dtype: str
) -> None:
    inputs = [np.asarray(rng.normal(size=shape)).astype(dtype) for _ in range(2)]
    for reduction in REDUCTIONS:
        compare_losses(
            dtype,
            getattr(nn, name)(reduction=reduction),
            getattr(torch.nn, name)(reduction=reduction),
            inputs,
            [],
        )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 4), (4,), (3, 4, 5), (2, 4, 3, 2), (1, 1)])
@pytest.mark.parametrize("ignore_index", [-100, 1, 9])
def test_cross_entropy_of_labels(
    backend: str,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    weighted: bool,
    smoothing: float,
    ignore_index: int,
    dtype: str,
) -> None:
    axis = 0 if len(shape) == 1 else 1
    classes = shape[axis]
    labels = rng.integers(0, classes, size=shape[:axis] + shape[axis + 1 :])
    if ignore_index != 1 and labels.size > 1:
        labels.flat[0] = ignore_index
    if ignore_index == 1 and (labels == 1).all():
        labels = np.zeros_like(labels)
    weight = rng.uniform(0.5, 2, size=classes).astype(dtype) if weighted else None
    for reduction in REDUCTIONS:
        options = {
            "ignore_index": ignore_index,
            "reduction": reduction,
            "label_smoothing": smoothing,
        }
        compare_losses(
            dtype,
            nn.CrossEntropyLoss(None if weight is None else ig.tensor(weight), **options),
            torch.nn.CrossEntropyLoss(None if weight is None else to_torch(weight), **options),
            [(3 * rng.normal(size=shape)).astype(dtype)],
            [labels],
        )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 4), (4,), (3, 4, 5)])
def test_cross_entropy_of_probabilities(
    backend: str,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    weighted: bool,
    smoothing: float,
    dtype: str,
) -> None:
    axis = 0 if len(shape) == 1 else 1
    target = rng.uniform(size=shape)
    target = (target / target.sum(axis=axis, keepdims=True)).astype(dtype)
    weight = rng.uniform(0.5, 2, size=shape[axis]).astype(dtype) if weighted else None
    for reduction in REDUCTIONS:
        options = {"reduction": reduction, "label_smoothing": smoothing}
        compare_losses(
            dtype,
            nn.CrossEntropyLoss(None if weight is None else ig.tensor(weight), **options),
            torch.nn.CrossEntropyLoss(None if weight is None else to_torch(weight), **options),
            [(3 * rng.normal(size=shape)).astype(dtype), target],
            [],
        )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 4), (4,), (3, 4, 5)])
@pytest.mark.parametrize("ignore_index", [-100, 0])
def test_nll_loss(
    backend: str,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    weighted: bool,
    ignore_index: int,
    dtype: str,
) -> None:
    axis = 0 if len(shape) == 1 else 1
    labels = np.asarray(rng.integers(1, shape[axis], size=shape[:axis] + shape[axis + 1 :]))
    if labels.size > 1:
        labels.flat[-1] = ignore_index
    weight = rng.uniform(0.5, 2, size=shape[axis]).astype(dtype) if weighted else None
    for reduction in REDUCTIONS:
        options = {"ignore_index": ignore_index, "reduction": reduction}
        compare_losses(
            dtype,
            nn.NLLLoss(None if weight is None else ig.tensor(weight), **options),
            torch.nn.NLLLoss(None if weight is None else to_torch(weight), **options),
            [np.asarray(-rng.uniform(0, 5, size=shape)).astype(dtype)],
            [labels],
        )


def test_class_weights_are_in_the_state_as_in_torch() -> None:
    ours = nn.CrossEntropyLoss(ig.ones(3))
    assert list(ours.state_dict()) == list(torch.nn.CrossEntropyLoss(torch.ones(3)).state_dict())
    assert list(nn.NLLLoss().state_dict()) == list(torch.nn.NLLLoss().state_dict()) == []


@pytest.mark.parametrize("num_classes", [-1, 5])
def test_one_hot(backend: str, num_classes: int) -> None:
    labels = np.array([[0, 2], [3, 1]])
    ours = nn.functional.one_hot(ig.tensor(labels), num_classes)
    theirs = torch.nn.functional.one_hot(to_torch(labels), num_classes)
    assert ours.dtype == ig.int64
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
