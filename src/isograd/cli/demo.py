"""``isograd demo``: a classifier of digits, trained eager and compiled on every backend."""

from __future__ import annotations

import dataclasses
import math
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import isograd
from isograd import nn, optim
from isograd.cli._console import (
    Bar,
    bounds_text,
    choose_backends,
    finite,
    new_table,
    output,
    verdict,
    write_json,
)
from isograd.data import DataLoader, TensorDataset, load_digits
from isograd.testing import CrossCheckEntry, cross_check

__all__ = ["BackendResult", "Training", "build", "compare_gradients", "measure", "run", "train"]

SIZES = (64, 64, 10)
BATCH_SIZE = 32
LEARNING_RATE = 0.003
WANTED_ACCURACY = 0.95


@dataclasses.dataclass(frozen=True)
class Training:
    """One training of the model, eager or compiled.

    Attributes
    ----------
    step_us : float
        Median time of a training step, microseconds.
    first_step_ms : float
        Time of the first step, with whatever is compiled or loaded in it, milliseconds.
    loss : float
        Mean loss of the last epoch.
    accuracy : float
        Fraction of the test images that are classified correctly.
    """

    step_us: float
    first_step_ms: float
    loss: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class BackendResult:
    """What one backend did.

    Attributes
    ----------
    gradient_error : float
        The largest error of a gradient against float64, in units of its bound; at most 1 is good.
    worst : str
        The parameter where it is.
    eager, compiled : Training
        The same training, operation by operation and as one program.
    """

    backend: str
    device: str
    version: str
    gradient_error: float
    worst: str
    eager: Training
    compiled: Training

    @property
    def gradients_agree(self) -> bool:
        """Whether every gradient is within its bound."""
        return self.gradient_error <= 1.0

    @property
    def accuracy(self) -> float:
        """The lower one of the two accuracies."""
        return min(self.eager.accuracy, self.compiled.accuracy)

    @property
    def speedup(self) -> float:
        """How many times faster a compiled step is than an eager one."""
        return self.eager.step_us / self.compiled.step_us

    @property
    def passed(self) -> bool:
        """Whether the gradients agree and the classifier has learned both times."""
        return self.gradients_agree and self.accuracy >= WANTED_ACCURACY


def run(*, backends: Sequence[str] | None, epochs: int, seed: int, json_file: Path | None) -> int:
    """Compare gradients, train, print a table; return the exit status."""
    names = choose_backends(backends)
    console = output()
    console.print(
        f"Digits classifier {'-'.join(map(str, SIZES))}, batch size {BATCH_SIZE}, Adam, float32, "
        f"{epochs} epochs, seed {seed}."
    )
    steps = epochs * math.ceil(len(load_digits(flatten=True)[0]) / BATCH_SIZE)
    with Bar("comparing gradients", total=len(names) * (2 * steps + 1)) as bar:
        worst = compare_gradients(names, seed)
        bar.advance(len(names))
        results = [measure(name, worst[name], epochs, seed, bar) for name in names]

    table = new_table("backend", "eager", "compiled", "faster", "accuracy", "gradient error", "")
    for result in results:
        table.add_row(
            result.backend,
            f"{result.eager.step_us:.0f} us",
            f"{result.compiled.step_us:.0f} us",
            f"{result.speedup:.1f}x",
            f"{result.accuracy:.4f}",
            bounds_text(result.gradient_error),
            verdict(result.passed),
        )
    console.print(table)
    console.print(
        "Times are medians of a training step: operation by operation, and as one compiled "
        "program, with how many times faster that is. The accuracy is of the test images, the "
        "lower one of the two."
    )
    console.print(
        "Gradient error: the largest difference to the float64 reference, in units of what float32 "
        "rounding explains. At most 1 is agreement."
    )
    for line in _complaints(results):
        console.print(line)
    passed = all(result.passed for result in results)
    if passed:
        console.print(_praise(results))
    if json_file is not None:
        write_json(json_file, _as_json(results, epochs=epochs, seed=seed, passed=passed))
    return 0 if passed else 1


def build(seed: int) -> nn.Sequential:
    """Return the untrained model: the same bits on every backend."""
    isograd.random.manual_seed(seed)
    inputs, hidden, outputs = SIZES
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def measure(name: str, worst: CrossCheckEntry, epochs: int, seed: int, bar: Bar) -> BackendResult:
    """Train the model on one backend twice: eager, and compiled."""
    record = next(record for record in isograd.backends() if record.name == name)
    bar.say(f"training on {name}")
    eager = train(name, epochs, seed, bar)
    bar.say(f"training on {name}, compiled")
    return BackendResult(
        backend=name,
        device=record.device,
        version=record.version,
        gradient_error=worst.error,
        worst=worst.name,
        eager=eager,
        compiled=train(name, epochs, seed, bar, compiled=True),
    )


def train(name: str, epochs: int, seed: int, bar: Bar, *, compiled: bool = False) -> Training:
    """Train the model on one backend and measure it."""
    record = next(record for record in isograd.backends() if record.name == name)
    with isograd.use_backend(name):
        train, test = load_digits(flatten=True, device=record.device)
        model = build(seed).to(isograd.device(record.device))
        adam = optim.Adam(model.parameters(), lr=LEARNING_RATE)

        def step(images: isograd.Tensor, labels: isograd.Tensor) -> isograd.Tensor:
            adam.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            adam.step()
            return loss

        run = isograd.compile(step, state=(model, adam)) if compiled else step
        loader = DataLoader(train, batch_size=BATCH_SIZE, shuffle=True, seed=seed)
        durations: list[float] = []
        losses: list[float] = []
        for _ in range(epochs):
            losses.clear()
            for images, labels in loader:
                start = time.perf_counter()
                loss = run(images, labels)
                isograd.synchronize(loss.device)
                durations.append(time.perf_counter() - start)
                losses.append(loss.item())
                bar.advance()
        accuracy = _accuracy(model, test)
    return Training(
        step_us=statistics.median(durations) * 1e6,
        first_step_ms=durations[0] * 1e3,
        loss=statistics.fmean(losses),
        accuracy=accuracy,
    )


def compare_gradients(names: Sequence[Any], seed: int) -> dict[str, CrossCheckEntry]:
    """Return each backend's worst gradient of the untrained model, on one batch."""
    images, labels = load_digits(flatten=True)[0][:BATCH_SIZE]

    def loss_of(model: nn.Module, images: isograd.Tensor) -> isograd.Tensor:
        return nn.functional.cross_entropy(model(images), labels)

    worst: dict[str, CrossCheckEntry] = {}
    for entry in cross_check(loss_of, build(seed), images, backends=names).entries:
        best = worst.get(entry.backend)
        if entry.kind == "gradient" and (best is None or _rank(entry) > _rank(best)):
            worst[entry.backend] = entry
    return worst


def _rank(entry: CrossCheckEntry) -> tuple[bool, float]:
    """Order entries by how bad they are, also where the error is NaN."""
    return (not entry.ok, entry.error)


def _accuracy(model: nn.Module, test: TensorDataset) -> float:
    images, labels = test[:]
    with isograd.no_grad():
        answers = isograd.argmax(model(images), axis=1)
    return isograd.mean(isograd.astype(answers == labels, isograd.float64)).item()


def _complaints(results: Sequence[BackendResult]) -> list[str]:
    lines: list[str] = []
    for result in results:
        if not result.gradients_agree:
            lines.append(
                f"{result.backend}: the gradient of {result.worst} is "
                f"{bounds_text(result.gradient_error)} bounds away from the float64 reference; run "
                f"`isograd check --backend {result.backend}` to find the operation"
            )
        if result.accuracy < WANTED_ACCURACY:
            lines.append(
                f"{result.backend}: test accuracy {result.accuracy:.4f} is below "
                f"{WANTED_ACCURACY}; train for more epochs"
            )
    return lines


def _praise(results: Sequence[BackendResult]) -> str:
    if len(results) == 1:
        return f"The gradients on {results[0].backend} agree with the float64 reference."
    names = ", ".join(result.backend for result in results[:-1])
    return (
        f"{names} and {results[-1].backend} agree with the float64 reference and with each other."
    )


def _as_json(
    results: Sequence[BackendResult], *, epochs: int, seed: int, passed: bool
) -> dict[str, Any]:
    return {
        "command": "demo",
        "isograd": isograd.__version__,
        "python": platform.python_version(),
        "model": "-".join(map(str, SIZES)),
        "dtype": "float32",
        "batch_size": BATCH_SIZE,
        "epochs": epochs,
        "seed": seed,
        "wanted_accuracy": WANTED_ACCURACY,
        "passed": passed,
        "backends": [_result_as_json(result) for result in results],
    }


def _result_as_json(result: BackendResult) -> dict[str, Any]:
    facts = dataclasses.asdict(result)
    trainings = {
        name: {key: finite(value) for key, value in facts.pop(name).items()}
        for name in ("eager", "compiled")
    }
    return {
        **{key: finite(value) for key, value in facts.items()},
        **trainings,
        "accuracy": finite(result.accuracy),
        "speedup": finite(result.speedup),
        "gradients_agree": result.gradients_agree,
        "passed": result.passed,
    }
