"""A small training step with each kind of layer, beside PyTorch: where are we behind?

All run in one process on one thread, in turns, with Adam. Before that, networks start from the same
weights, and three steps of gradient descent must lead to the same losses and weights; Adam would
make large steps of gradients that are 0 but for rounding. Networks that draw random numbers are
compared in their mode of evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import common
import numpy as np

Array = Any
CLASSES = 10
WAYS = ("compiled", "eager", "torch")


class Case(NamedTuple):
    """A network: the shape of its input, of numbers or of indices below ``words``."""

    shape: tuple[int, ...]
    build: Callable[[Any], Any]
    words: int = 0


def _dense(*middle: str, **options: Any) -> Callable[[Any], Any]:
    """Return 64 - 64 - 10 with layers between, which are called with the options."""

    def build(nn: Any) -> Any:
        layers = [
            getattr(nn, name)(*((64,) if name in _WIDE else ()), **options) for name in middle
        ]
        return nn.Sequential(nn.Linear(64, 64), *layers, nn.Linear(64, CLASSES))

    return build


_WIDE = ("BatchNorm1d", "LayerNorm", "RMSNorm")


def _images(width: int, *layers: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return layers on images, the mean of each channel, and a linear layer."""

    def build(nn: Any) -> Any:
        made = [layer(nn) for layer in layers]
        tail = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))
        return nn.Sequential(*made, *tail)

    return build


def _last(name: str) -> Callable[[Any], Any]:
    """Return a recurrent layer, and a linear one on its last output."""

    def build(nn: Any) -> Any:
        class Last(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = getattr(nn, name)(16, 32, batch_first=True)
                self.head = nn.Linear(32, CLASSES)

            def forward(self, x: Any) -> Any:
                return self.head(self.layer(x)[0][:, -1])

        return Last()

    return build


def _encoder(dropout: float) -> Callable[[Any], Any]:
    def build(nn: Any) -> Any:
        return nn.Sequential(
            nn.TransformerEncoderLayer(32, 4, 64, dropout=dropout, batch_first=True),
            nn.Flatten(),
            nn.Linear(32 * 32, CLASSES),
        )

    return build


def _conv(*args: int, **options: Any) -> Callable[[Any], Any]:
    return lambda nn: nn.Conv2d(*args, **options)


def _relu(nn: Any) -> Any:
    return nn.ReLU()


_ROW, _IMAGE, _SEQUENCE = (32, 64), (16, 16, 16, 16), (16, 20, 16)

CASES: dict[str, Case] = {
    **{
        name: Case(_ROW, _dense(name))
        for name in (
            *("ReLU", "GELU", "ELU", "Mish", "Softplus", "PReLU", "BatchNorm1d", "LayerNorm"),
            *("RMSNorm", "Dropout"),
        )
    },
    "Softmax": Case(_ROW, _dense("Softmax", dim=-1)),
    "Embedding": Case(
        (32, 16),
        lambda nn: nn.Sequential(nn.Embedding(100, 16), nn.Flatten(), nn.Linear(256, CLASSES)),
        words=100,
    ),
    "Conv1d": Case(
        (16, 8, 64),
        lambda nn: nn.Sequential(
            nn.Conv1d(8, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Flatten(),
            nn.Linear(16 * 32, CLASSES),
        ),
    ),
    "Conv2d": Case(_IMAGE, _images(16, _conv(16, 16, 3, padding=1), _relu)),
    "Conv2d, stride 2": Case(_IMAGE, _images(16, _conv(16, 16, 3, stride=2, padding=1), _relu)),
    "Conv2d, 4 groups": Case(_IMAGE, _images(16, _conv(16, 16, 3, padding=1, groups=4), _relu)),
    "Conv2d, depthwise": Case(_IMAGE, _images(16, _conv(16, 16, 3, padding=1, groups=16), _relu)),
    "Conv2d, depthwise 7 x 7": Case(
        _IMAGE, _images(16, _conv(16, 16, 7, padding=3, groups=16), _relu)
    ),
    "ConvTranspose2d": Case(
        _IMAGE, _images(8, lambda nn: nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), _relu)
    ),
    "MaxPool2d": Case(_IMAGE, _images(16, _conv(16, 16, 1), lambda nn: nn.MaxPool2d(2))),
    "AvgPool2d": Case(_IMAGE, _images(16, _conv(16, 16, 1), lambda nn: nn.AvgPool2d(2))),
    "BatchNorm2d": Case(_IMAGE, _images(16, _conv(16, 16, 1), lambda nn: nn.BatchNorm2d(16))),
    "GroupNorm": Case(_IMAGE, _images(16, _conv(16, 16, 1), lambda nn: nn.GroupNorm(4, 16))),
    "Upsample": Case(_IMAGE, _images(16, _conv(16, 16, 1), lambda nn: nn.Upsample(scale_factor=2))),
    "RNN": Case(_SEQUENCE, _last("RNN")),
    "GRU": Case(_SEQUENCE, _last("GRU")),
    "LSTM": Case(_SEQUENCE, _last("LSTM")),
    "TransformerEncoderLayer": Case((8, 32, 32), _encoder(0.0)),
    "TransformerEncoderLayer, dropout": Case((8, 32, 32), _encoder(0.1)),
}
RANDOM = ("Dropout", "TransformerEncoderLayer, dropout")


class DiffersError(Exception):
    """A network whose step differs from PyTorch's."""


def steps_of(name: str, optimizer: str) -> dict[str, tuple[Callable[[], float], Any]]:
    """Return for each way of `WAYS` a training step, which returns the loss, and its network."""
    import torch

    import isograd as ig

    case = CASES[name]
    rng = np.random.default_rng(0)
    x: Array = (
        rng.integers(0, case.words, case.shape)
        if case.words
        else rng.standard_normal(case.shape).astype(np.float32)
    )
    y = rng.integers(0, CLASSES, case.shape[0])
    torch.manual_seed(0)
    peer = case.build(torch.nn)
    weights = {key: value.detach().numpy().copy() for key, value in peer.state_dict().items()}
    steps = {"torch": (_step(torch, peer, optimizer, torch.tensor(x), torch.tensor(y)), peer)}
    for way in ("compiled", "eager"):
        model = case.build(ig.nn)
        model.load_state_dict({key: ig.tensor(value) for key, value in weights.items()})
        batch = ig.tensor(x), ig.tensor(y)
        steps[way] = (_step(ig, model, optimizer, *batch, compiled=way == "compiled"), model)
    return {way: steps[way] for way in WAYS}


def _step(
    library: Any, model: Any, optimizer: str, x: Any, y: Any, *, compiled: bool = False
) -> Callable[[], float]:
    updates = getattr(library.optim, optimizer)(model.parameters(), lr=1e-2)

    def step(x: Any, y: Any) -> Any:
        updates.zero_grad()
        loss = library.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        updates.step()
        return loss

    run = library.compile(step, state=(model, updates)) if compiled else step
    return lambda: run(x, y).item()


def check(name: str) -> None:
    """See that a step changes isograd's networks as it changes PyTorch's.

    Raises
    ------
    DiffersError
        If it does not.
    """
    found = steps_of(name, "SGD")
    for _, model in found.values():
        model.train(name not in RANDOM)
    losses = {way: [step() for _ in range(3)] for way, (step, _) in found.items()}
    due = found["torch"][1].state_dict()
    for way in ("compiled", "eager"):
        far = np.abs(np.subtract(losses[way], losses["torch"])).max()
        if far > 1e-4:
            raise DiffersError(f"{name}, {way}: losses {losses[way]}, PyTorch's {losses['torch']}")
        for key, value in found[way][1].state_dict().items():
            if not np.allclose(value.numpy(), due[key].numpy(), rtol=1e-4, atol=1e-5):
                raise DiffersError(f"{name}, {way}: {key} is not PyTorch's after three steps")


def measure(
    names: Sequence[str], *, quick: bool, say: Callable[[str], None]
) -> tuple[dict[str, Any], list[str]]:
    """Return microseconds of a step by network and way, and lines of a report."""
    try:
        import torch
    except ImportError:
        return {}, ["## Layers", "", "missing: PyTorch; pip install torch"]
    import isograd as ig

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    with ig.use_backend("numba") as backend:
        before = backend.get_num_threads()
        backend.set_num_threads(1)
        for name in names:
            say(f"layers: {name}")
            try:
                check(name)
            except DiffersError as error:
                results[name] = {"failed": str(error)}
                say(f"  {error}")
                continue
            calls = {way: step for way, (step, _) in steps_of(name, "Adam").items()}
            timings = common.in_turns(calls, rounds=5 if quick else 25, inner=5, warmup=4)
            results[name] = {way: timing.median for way, timing in timings.items()}
        backend.set_num_threads(before)
    torch.set_num_threads(threads)
    return results, _lines(results)


def _lines(results: dict[str, Any]) -> list[str]:
    rows: list[list[str]] = []
    notes: list[str] = []
    for name, found in results.items():
        if "failed" in found:
            notes.append(f"\nfailed: {found['failed']}")
            continue
        factors = [f"{found['torch'] / found[way]:.2f}" for way in ("compiled", "eager")]
        rows.append([name, *[f"{found[way]:.0f}" for way in WAYS], *factors])
    head = ["with", "compiled, us", "eager, us", "PyTorch, us", "compiled is faster", "eager is"]
    return [
        "## Layers",
        "",
        "A training step of a small network with Adam, on one thread: medians. The first three "
        "steps agree with PyTorch's.",
        "",
        *common.markdown_table(head, rows),
        *notes,
    ]
