"""What a compiled training step launches: no copies of results, and one update."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from workloads import cnn, gpt, lstm, mlp

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "cuda_without_a_gpu.md"
#: A name, the workload, and smaller sizes, which change no launch but the passes of a sort.
WORKLOADS = {
    "MLP": (mlp, "DIGITS", {}),
    "CNN": (cnn, "WORKLOAD", {"BATCH": 2}),
    "GPT": (gpt, "WORKLOAD", {"BATCH": 2, "CONTEXT": 16}),
    "LSTM, 5 steps": (lstm, "WORKLOAD", {"BATCH": 2, "STEPS": 5}),
}


class _Made(NamedTuple):
    step: Any
    batch: list[Any]
    model: Any
    optimizer: Any

    @property
    def native(self) -> Any:
        return self.step.programs[0].native


def _made(workload: Any, optimizer: Any = optim.Adam, **options: Any) -> _Made:
    ig.random.manual_seed(0)
    model = workload.model(nn)
    updates = optimizer(model.parameters(), lr=0.01, **options)
    batch = [ig.tensor(array) for array in workload.batch(np.random.default_rng(0))]

    @ig.compile(state=(model, updates))
    def step(*batch: Any) -> Any:
        loss = workload.loss(F, model, *batch)
        loss.backward()
        updates.step()
        updates.zero_grad()
        return loss

    for _ in range(4):  # from the third one on, state is written in place
        step(*batch)
    return _Made(step, batch, model, updates)


@pytest.mark.parametrize("name", WORKLOADS)
def test_launches_of_a_step_are_those_of_the_page(
    name: str, cuda: Any, emulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, workload, sizes = WORKLOADS[name]
    for key, value in sizes.items():
        monkeypatch.setattr(module, key, value)
    made = _made(getattr(module, workload))
    before, _ = emulator.counts(), emulator.log()
    made.step(*made.batch)
    after = emulator.counts()
    # Labels are looked at between what computes and what writes state.
    assert (after.graph_launches - before.graph_launches, emulator.log()) == (2, [])
    assert after.allocations == before.allocations
    copies = after.copies - before.copies
    # Each argument, the loss, and what checks found.
    assert copies == len(made.batch) + 2
    made.native._launch_all()
    launched, products = Counter(emulator.log()), emulator.counts().products - after.products
    assert launched["adam_update"] == -(-len(list(made.model.parameters())) // 32)
    row = f"| {name} | {launched.total()} | {products} | {copies} |"
    assert row in PAGE.read_text("utf-8"), row


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(optim.SGD, {}), (optim.SGD, {"momentum": 0.9, "nesterov": True}), (optim.AdamW, {})],
)
def test_state_is_updated_where_it_is(
    optimizer: Any, options: dict[str, Any], cuda: Any, emulator: Any
) -> None:
    made = _made(mlp.DIGITS, optimizer, **options)
    kept = made.model[0].weight.detach()
    values = kept.numpy().copy()
    losses = [made.step(*made.batch).item() for _ in range(3)]
    assert np.array_equal(kept.numpy(), values)  # what others refer to is never written
    emulator.log()
    made.native._launch_all()
    log = Counter(emulator.log())
    assert log["map_copy"] == 3  # a gradient that is broadcast, and what two checks found
    ig.random.manual_seed(0)
    ig.set_default_device("cpu")
    with ig.use_backend("numpy"):
        wanted = _made(mlp.DIGITS, optimizer, **options)
        right = [wanted.step(*wanted.batch).item() for _ in range(3)]
    np.testing.assert_allclose(losses, right, rtol=1e-5)


def test_a_parameter_that_is_read_otherwise_is_not_overwritten_early(cuda: Any) -> None:
    def run() -> list[float]:
        a, b = nn.Parameter(ig.tensor([1.0, 2.0, 3.0])), nn.Parameter(ig.tensor([4.0, 5.0, 6.0]))
        updates = optim.SGD([a, b], lr=0.1, momentum=0.5)

        @ig.compile(state=(updates,))
        def step() -> Any:
            loss = ig.sum(a * b)
            a.grad, b.grad = b.detach(), a.detach()
            updates.step()
            updates.zero_grad()
            return loss

        return [step().item() for _ in range(4)]

    found = run()
    ig.set_default_device("cpu")
    with ig.use_backend("numpy"):
        np.testing.assert_allclose(found, run(), rtol=1e-5)


def test_state_from_elsewhere_is_taken_in(cuda: Any) -> None:
    made, other = _made(mlp.DIGITS), _made(mlp.DIGITS)
    saved = {name: value.numpy().copy() for name, value in made.model.state_dict().items()}
    right = [made.step(*made.batch).item() for _ in range(2)]
    for _ in range(3):
        other.step(*other.batch)
    # The first weight alone is of another block than the rest.
    first = next(iter(saved))
    other.model.load_state_dict({**other.model.state_dict(), first: ig.tensor(saved[first] * 2.0)})
    assert other.step(*other.batch).item() != right[0]
    other = _made(mlp.DIGITS)
    other.model.load_state_dict({name: ig.tensor(value) for name, value in saved.items()})
    assert [other.step(*other.batch).item() for _ in range(2)] == right
