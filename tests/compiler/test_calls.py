"""What people train with is compiled to loops and products, without calls of kernels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import isograd as ig
from isograd.backend.schedule import Apply

pytest.importorskip("numba", reason="the loops are native code, which Numba brings")

nn = ig.nn
#: Layers with the shape of their input.
LAYERS = {
    **{
        name: (getattr(nn, name), (4, 6))
        for name in (
            *("CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh"),
            *("LeakyReLU", "LogSigmoid", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU"),
            *("Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink"),
        )
    },
    "Softmax": (lambda: nn.Softmax(-1), (4, 6)),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), (4, 6)),
    "LayerNorm": (lambda: nn.LayerNorm(6), (4, 6)),
    "RMSNorm": (lambda: nn.RMSNorm(6), (4, 6)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), (4, 6)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 6), (3, 6, 5)),
    "Conv1d": (lambda: nn.Conv1d(6, 4, 3, padding=1, stride=2), (3, 6, 7)),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3, dilation=2), (2, 2, 6, 7)),
    "Conv2d of groups": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (2, 4, 6, 5)),
    "Conv2d of channels": (lambda: nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4), (2, 4, 6, 5)),
    "Conv3d of channels": (lambda: nn.Conv3d(2, 2, 2, groups=2), (2, 2, 3, 4, 3)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1), (2, 2, 4, 3)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, stride=2, padding=1), (2, 2, 6, 7)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, stride=2, padding=1), (2, 2, 6, 7)),
    "AvgPool2d without overlap": (lambda: nn.AvgPool2d(2), (2, 2, 7, 6)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(1), (2, 2, 6, 7)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2), (2, 2, 4, 3)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (2, 4, 3, 3)),
}
NUMBERS = (
    *("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "BCEWithLogitsLoss", "PoissonNLLLoss"),
    *("SoftMarginLoss", "BCELoss", "KLDivLoss"),
)
LABELS = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss")
OPTIMIZERS = (
    *("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "NAdam"),
    *("RAdam", "RMSprop", "Rprop", "SGD"),
)


def calls(run) -> Counter[str]:
    steps = run.programs[-1].schedule.steps
    return Counter(step.equation.prim.name for step in steps if isinstance(step, Apply))


def check(fn, args, state):
    """Compile a function, and see that it has no calls, and returns what it does uncompiled."""
    with ig.use_backend("numba"):
        run = ig.compile(fn, state=state)
        found = [t.numpy() for t in run(*args)]
        due = [t.numpy() for t in fn(*args)]
    assert not calls(run)
    for one, other in zip(found, due, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    make, shape = LAYERS[name]
    rng = np.random.default_rng(0)
    model = make().eval()  # so that running statistics stay as they are
    if name == "BatchNorm1d":
        model.running_mean = None
        model.running_var = None
    x = ig.tensor(rng.standard_normal(shape).astype("float32"))

    def fn(x):
        return ig.value_and_grad(lambda x: (model(x) ** 2).sum())(x)

    check(fn, [x], model)


@pytest.mark.parametrize("name", [*NUMBERS, *LABELS])
def test_losses(name):
    rng = np.random.default_rng(0)
    loss = getattr(nn, name)()
    x = ig.tensor(rng.uniform(0.1, 0.9, (5, 4)).astype("float32"))
    y = ig.tensor(rng.integers(0, 4, 5))
    if name in NUMBERS:
        y = ig.tensor(rng.uniform(0.1, 0.9, (5, 4)).astype("float32"))
    check(lambda x, y: ig.value_and_grad(lambda x: loss(x, y))(x), [x, y], ())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    rng = np.random.default_rng(0)
    x = ig.tensor(rng.standard_normal((4, 6)).astype("float32"))

    def trained(compiled):
        ig.manual_seed(0)
        model = nn.Linear(6, 3)
        optimizer = getattr(ig.optim, name)(model.parameters(), lr=1e-2)

        def step(x):
            optimizer.zero_grad()
            (model(x) ** 2).sum().backward()
            optimizer.step()

        run = ig.compile(step, state=(model, optimizer)) if compiled else step
        for _ in range(5):
            run(x)
        return [p.numpy() for p in model.parameters()], run

    with ig.use_backend("numba"):
        (found, run), (due, _) = trained(True), trained(False)
    assert not calls(run)
    for one, other in zip(found, due, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
