"""Training in any order of events: a compiled twin stays where the eager one is."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import isograd as ig
from isograd import nn, optim

OPTIMIZERS = {
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    "groups": lambda p: optim.Adam([{"params": p[:1], "lr": 0.02}, {"params": p[1:]}], lr=0.01),
}
SIZES = st.sampled_from((4, 4, 6))
TIMES = st.integers(1, 4)  # state is moved from the third call of a program on


class Twin:
    """A model in training, whose steps are compiled or not."""

    def __init__(self, optimizer, compiled):
        ig.random.manual_seed(5)
        self.model = model = nn.Sequential(
            nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Dropout(0.25), nn.Linear(4, 2)
        ).to(ig.float64)
        self.parameters = list(model.parameters())
        self.optimizer = chosen = OPTIMIZERS[optimizer](self.parameters)
        self.scheduler = optim.lr_scheduler.StepLR(chosen, step_size=2, gamma=0.7)
        self.saved = None
        self.held = []

        def backward(x, y):
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        def step(x, y):
            loss = backward(x, y)
            chosen.step()
            chosen.zero_grad()
            return loss

        def step_and_show(x, y):
            chosen.zero_grad()
            loss = backward(x, y)
            chosen.step()
            return loss, self.parameters

        def update():
            norm = nn.utils.clip_grad_norm_(self.parameters, 0.5)
            chosen.step()
            return norm

        self.eager = {f.__name__: f for f in (backward, step, step_and_show, update)}
        self.steps = self.eager
        if compiled:
            state = (model, chosen)
            self.steps = {name: ig.compile(f, state=state) for name, f in self.eager.items()}

    def hold(self):
        tensors = [t for p in self.parameters for t in (p.detach(), p.grad) if t is not None]
        self.held += [(t, t.numpy().copy()) for t in tensors]

    def save(self):
        self.saved = self.model.state_dict(), self.optimizer.state_dict()

    def load(self):
        if self.saved is not None:
            self.model.load_state_dict(self.saved[0])
            self.optimizer.load_state_dict(self.saved[1])

    def numbers(self):
        """Return all that training has made, by name."""
        found = {name: value.numpy() for name, value in self.model.state_dict().items()}
        for k, p in enumerate(self.parameters):
            found[f"gradient of {k}"] = np.zeros(0) if p.grad is None else p.grad.numpy()
        for k, slots in self.optimizer.state_dict()["state"].items():
            found |= {f"{name} of {k}": np.asarray(value) for name, value in slots.items()}
        return found


class Histories(RuleBasedStateMachine):
    """Events that a user may bring about between steps, in whatever order."""

    @initialize(optimizer=st.sampled_from(sorted(OPTIMIZERS)))
    def begin(self, optimizer):
        self.rng = np.random.default_rng(0)
        self.twins = [Twin(optimizer, compiled) for compiled in (False, True)]

    def both(self, event):
        """Let an event come to both twins, with the same random numbers and results."""
        seed, results = int(self.rng.integers(1000)), []
        for twin in self.twins:
            ig.random.manual_seed(seed)
            results.append([t.detach().numpy() for t in ig.tree_flatten(event(twin))[0]])
        for right, found in zip(*results, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-7, atol=1e-10)

    def batch(self, size):
        return [ig.tensor(self.rng.standard_normal((size, n))) for n in (3, 2)]

    @rule(name=st.sampled_from(("step", "backward", "step_and_show")), size=SIZES, times=TIMES)
    def train(self, name, size, times):
        for _ in range(times):
            batch = self.batch(size)
            self.both(lambda twin, batch=batch: twin.steps[name](*batch))

    @rule(name=st.sampled_from(("step", "backward")), size=SIZES)
    def train_eagerly(self, name, size):
        batch = self.batch(size)
        self.both(lambda twin: twin.eager[name](*batch))

    @precondition(lambda self: self.twins[0].parameters[-1].grad is not None)
    @rule(times=TIMES)
    def update(self, times):
        for _ in range(times):
            self.both(lambda twin: twin.steps["update"]())

    @rule(to_none=st.booleans())
    def clear(self, to_none):
        self.both(lambda twin: twin.optimizer.zero_grad(set_to_none=to_none))

    @rule(training=st.booleans())
    def switch(self, training):
        self.both(lambda twin: twin.model.train(training) and None)

    @rule(required=st.booleans())
    def freeze(self, required):
        self.both(lambda twin: twin.parameters[0].requires_grad_(required))

    @rule(event=st.sampled_from(("hold", "save", "load")))
    def happens(self, event):
        self.both(lambda twin: getattr(twin, event)())

    @rule()
    def schedule(self):
        self.both(lambda twin: twin.scheduler.step())

    @invariant()
    def twins_are_alike(self):
        right, found = (twin.numbers() for twin in self.twins)
        assert right.keys() == found.keys()
        for name, value in right.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-7, atol=1e-10, err_msg=name)

    @invariant()
    def nobody_sees_a_tensor_change(self):
        for twin in self.twins:
            for tensor, was in twin.held:
                np.testing.assert_array_equal(tensor.numpy(), was)


def test_a_compiled_twin_stays_where_the_eager_one_is(backend):
    run_state_machine_as_test(
        Histories, settings=settings(max_examples=30, stateful_step_count=40, deadline=None)
    )
