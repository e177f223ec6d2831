"""State of compiled steps is updated in place on CUDA, and nobody may see it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F


class Rig:
    """A model in training on the default device."""

    def __init__(self) -> None:
        ig.manual_seed(1)
        # A bias before the norm would have gradients that are 0 but for rounding.
        self.model = nn.Sequential(
            nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)
        )
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        rng = np.random.default_rng(0)
        self.x = ig.tensor(rng.standard_normal((4, 6)).astype(np.float32))
        self.y = ig.tensor(rng.integers(0, 3, 4))
        self.kept: list[tuple[Any, Any]] = []

        @ig.compile(state=(self.model, self.optimizer))
        def step(x: Any, y: Any) -> Any:
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            return loss

        self.step = step

    @property
    def weight(self) -> Any:
        return self.model[0].weight

    def keep(self, thing: Any) -> None:
        """Keep a tensor, with what it is now."""
        self.kept.append((thing, np.array(thing.numpy())))

    def run(self, act: Callable[[Rig], Any]) -> list[Any]:
        """Train; before the sixth step, ``act`` does something to the rig."""
        found: list[Any] = []
        for number in range(9):
            if number == 5:
                act(self)
            found.append(self.step(self.x, self.y).item())
        found += [t.numpy() for t in self.model.state_dict().values()]
        return found + [p.grad.numpy() for p in self.model.parameters()]


def _set_lr(rig: Rig) -> None:
    rig.optimizer.param_groups[0]["lr"] = 0.003


def _load(rig: Rig) -> None:
    saved = copy.deepcopy((rig.model.state_dict(), rig.optimizer.state_dict()))
    rig.step(rig.x, rig.y)
    rig.model.load_state_dict(saved[0])
    rig.optimizer.load_state_dict(saved[1])


def _eager_step(rig: Rig) -> None:
    rig.optimizer.zero_grad()
    F.cross_entropy(rig.model(rig.x), rig.y).backward()
    rig.optimizer.step()


ACTS: dict[str, Callable[[Rig], Any]] = {
    "nothing": lambda rig: None,
    "another weight": lambda rig: rig.weight.assign_(rig.weight.detach() * 0.5),
    "another rate": _set_lr,
    "all loaded": _load,
    "an eager step": _eager_step,
    "evaluation": lambda rig: (rig.model.eval(), rig.model(rig.x), rig.model.train()),
    "another batch": lambda rig: rig.step(rig.x[:3], rig.y[:3]),
    "a strided batch": lambda rig: setattr(rig, "x", ig.permute_dims(rig.x.mT + 0.0, (1, 0))),
    "a weight that is kept": lambda rig: rig.keep(rig.weight.detach()),
    "a view that is kept": lambda rig: rig.keep(rig.weight.detach()[1:, ::2]),
    "a slot that is kept": lambda rig: rig.keep(rig.optimizer.state[rig.weight]["exp_avg"]),
    "a gradient that is kept": lambda rig: rig.keep(rig.weight.grad),
    "a state dict that is kept": lambda rig: [rig.keep(t) for t in rig.model.state_dict().values()],
}


@pytest.mark.parametrize("name", ACTS)
def test_what_happens_between_steps_is_seen_and_what_is_kept_stays(name: str, cuda: Any) -> None:
    ig.set_default_device("cpu")
    with ig.use_backend("numpy"):
        due = Rig().run(ACTS[name])
    ig.set_default_device("cuda")
    rig = Rig()
    for found, right in zip(rig.run(ACTS[name]), due, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=2e-5)
    assert rig.step._ready is not None
    for thing, before in rig.kept:
        np.testing.assert_array_equal(thing.numpy(), before)


def test_a_step_copies_its_arguments_and_results_and_no_state(cuda: Any, emulator: Any) -> None:
    rig = Rig()
    for _ in range(4):
        rig.step(rig.x, rig.y)
    before = emulator.counts()
    rig.step(rig.x, rig.y)
    after = emulator.counts()
    assert after.allocations == before.allocations
    # Two arguments, the loss, and what was found of the labels.
    assert after.copies - before.copies <= 4
    # One graph up to the gradients, and one that updates, when the labels have been looked at.
    assert after.graph_launches - before.graph_launches == 2
    assert after.synchronisations - before.synchronisations == 1


def test_a_bad_label_leaves_all_state(cuda: Any) -> None:
    rig = Rig()
    for _ in range(5):
        rig.step(rig.x, rig.y)
    before = [t.numpy() for t in rig.model.state_dict().values()]
    for _ in range(2):
        with pytest.raises(IndexError, match="label 3 is out of range"):
            rig.step(rig.x, ig.tensor([0, 3, 1, 1]))
    for one, other in zip(rig.model.state_dict().values(), before, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)
    assert np.isfinite(rig.step(rig.x, rig.y).item())


def test_full_memory_leaves_all_state(cuda: Any, emulator: Any) -> None:
    rig = Rig()
    for _ in range(2):
        rig.step(rig.x, rig.y)
    before = rig.weight.numpy().copy()
    emulator.set_memory(emulator.counts().bytes_in_use)
    import cupy

    cupy.get_default_memory_pool().free_all_blocks()
    try:
        large = ig.compile(lambda x: x @ x)
        with pytest.raises(MemoryError):
            large(ig.ones((3000, 3000)))
    finally:
        emulator.set_memory(8 << 30)
    np.testing.assert_array_equal(rig.weight.numpy(), before)
    assert np.isfinite(rig.step(rig.x, rig.y).item())


def test_a_parameter_that_is_only_read_may_have_any_strides(cuda: Any) -> None:
    a = np.random.default_rng(3).standard_normal((4, 5)).astype(np.float32)
    p = nn.Parameter(ig.zeros((5, 4)), requires_grad=False)
    p.assign_(ig.permute_dims(ig.tensor(a), (1, 0)))
    q = nn.Parameter(ig.zeros((5, 4)))

    @ig.compile(state=(p, q))
    def step(x: Any) -> Any:
        q.assign_(q.detach() + x * p.detach())
        return p.detach() * 1.0

    for _ in range(6):
        out = step(ig.ones((5, 4)))
    assert step._ready is not None
    np.testing.assert_array_equal(out.numpy(), a.T)
    np.testing.assert_allclose(q.numpy(), 6 * a.T, rtol=1e-6)


def test_random_numbers_on_a_device_that_is_not_the_default() -> None:
    def losses(device: str) -> list[float]:
        ig.manual_seed(5)
        model = nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5)).to(device)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        @ig.compile(state=(model, optimizer))
        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (model(x) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        x = ig.ones((3, 6), device=device)
        return [step(x).item() for _ in range(6)]

    np.testing.assert_allclose(losses("cuda"), losses("cpu"), rtol=1e-5)
