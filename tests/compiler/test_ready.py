"""The short way through a compiled call, where state is updated in place: nobody may see it.

Each run with the short way is compared with the same one that always goes the long way: the same
code computes both, so they are equal bit for bit.
"""

from __future__ import annotations

import copy
import gc
import signal
import threading
import time

import numpy as np
import pytest

import isograd as ig
from isograd.backend.schedule import Apply
from isograd.compiler import ready

pytest.importorskip("numba", reason="state is updated in place by native code, which Numba brings")

F = ig.nn.functional


@pytest.fixture(autouse=True)
def _native():
    with ig.use_backend("numba"):
        yield


@pytest.fixture
def short_calls(monkeypatch):
    """Return a list that grows by one with each call that goes the short way."""
    found = []
    call = ready.Ready.__call__

    def counted(self, args):
        result = call(self, args)
        if result is not ready.MISSED:
            found.append(1)
        return result

    monkeypatch.setattr(ready.Ready, "__call__", counted)
    return found


OPTIMIZERS = {
    "momentum": lambda p: ig.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: ig.optim.Adam(p, lr=0.01),
}


class Rig:
    """A model in training; with ``calls``, its program calls kernels between its loops."""

    def __init__(self, optimizer, *, clears=True, calls=False):
        ig.manual_seed(1)
        self.model = ig.nn.Sequential(ig.nn.Linear(6, 5), ig.nn.Tanh(), ig.nn.Linear(5, 3))
        if calls:
            self.model.append(ig.nn.Dropout(0.25))
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        rng = np.random.default_rng(0)
        self.x = ig.tensor(rng.standard_normal((4, 6)).astype("float32"))
        self.y = ig.tensor(rng.integers(0, 3, 4))
        self.kept = []
        self.seen = []

        @ig.compile(state=(self.model, self.optimizer))
        def step(x, y):
            loss = F.cross_entropy(self.model(x), y)
            if calls:  # of a parameter, of an argument and of what was computed
                loss = loss + ig.sort(self.weight)[0].sum() + ig.sort(x)[:, 1].mean()
                loss = loss + ig.sort(self.model[2].weight * 2.0)[:, 0].mean()
            loss.backward()
            self.optimizer.step()
            if clears:
                self.optimizer.zero_grad()
            return loss

        self.step = step

    @property
    def weight(self):
        return self.model[0].weight

    def keep(self, thing):
        """Keep something, with what it is now."""
        self.kept.append(thing)
        self.seen.append(np.array(thing.numpy() if hasattr(thing, "numpy") else thing))

    def facts(self):
        values = [p.tolist() for p in self.model.parameters()]
        for p in self.model.parameters():
            slots = self.optimizer.state[p]
            values += [v.tolist() if isinstance(v, ig.Tensor) else v for v in slots.values()]
            values.append(None if p.grad is None else p.grad.tolist())
        return values

    def run(self, act, *, short, steps=9, when=5):
        """Train; before step ``when``, ``act`` does something to the rig."""
        losses = []
        for number in range(steps):
            if number == when:
                act(self)
            if not short:
                self.step._ready = None
            losses.append(self.step(self.x, self.y).item())
        return losses, self.facts()


def momentum(rig):
    slots = rig.optimizer.state[rig.weight]
    return next(v for v in slots.values() if isinstance(v, ig.Tensor) and v.ndim == 2)


def assign(rig):
    rig.weight.assign_(rig.weight.detach() * 0.5)


def load_model(rig):
    rig.model.load_state_dict({k: v * 0.5 for k, v in rig.model.state_dict().items()})


def load_optimizer(rig):
    rig.optimizer.load_state_dict(copy.deepcopy(rig.optimizer.state_dict()))


def save_and_load(rig):
    rig.saved = rig.model.state_dict(), rig.optimizer.state_dict()
    for _ in range(2):
        rig.step(rig.x, rig.y)
    rig.model.load_state_dict(rig.saved[0])
    rig.optimizer.load_state_dict(rig.saved[1])


def set_lr(rig):
    rig.optimizer.param_groups[0]["lr"] = 0.003


def scale_lr(rig):
    for group in rig.optimizer.param_groups:
        group["lr"] *= 0.5


def decay(rig):
    rig.optimizer.param_groups[0]["weight_decay"] = 0.1


def evaluate(rig):
    rig.model.eval()


def there_and_back(rig):
    rig.model.eval()
    rig.model(rig.x)
    rig.model.train()


def freeze(rig):
    rig.weight.requires_grad_(False)


def other_batch(rig):
    rig.step(rig.x[:2], rig.y[:2])


def strided_batch(rig):
    rig.x = ig.tensor(rig.x.numpy().T.copy()).mT


def eager_step(rig):
    loss = F.cross_entropy(rig.model(rig.x), rig.y)
    loss.backward()
    rig.optimizer.step()
    rig.optimizer.zero_grad()


def seed(rig):
    ig.manual_seed(7)


def replace_layer(rig):
    rig.model[2].bias = ig.nn.Parameter(ig.ones(3))
    rig.optimizer.add_param_group({"params": [rig.model[2].bias]})


ACTS = [
    assign,
    load_model,
    load_optimizer,
    save_and_load,
    set_lr,
    scale_lr,
    decay,
    evaluate,
    there_and_back,
    freeze,
    other_batch,
    strided_batch,
    eager_step,
    seed,
    replace_layer,
]


CALLS = pytest.mark.parametrize("calls", [False, True], ids=["loops", "calls"])


@CALLS
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_most_calls_go_the_short_way(optimizer, calls, short_calls):
    rig = Rig(optimizer, calls=calls)
    rig.run(lambda rig: None, short=True)
    assert len(short_calls) >= 5
    steps = rig.step.programs[-1].schedule.steps
    assert any(isinstance(step, Apply) for step in steps) == calls


@CALLS
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_what_happens_between_calls_is_not_missed(act, calls, short_calls):
    due = Rig("adam", calls=calls).run(act, short=False)
    short_calls.clear()
    rig = Rig("adam", calls=calls)
    assert rig.run(act, short=True) == due
    assert len(short_calls) >= 2


KEEPERS = {
    "a detached parameter": lambda rig: rig.keep(rig.weight.detach()),
    "its numbers": lambda rig: rig.keep(rig.weight.numpy()),
    "a part of its numbers": lambda rig: rig.keep(rig.weight.numpy()[1:, ::2]),
    "asarray": lambda rig: rig.keep(np.asarray(rig.weight)),
    "a view": lambda rig: rig.keep(rig.weight.detach().mT),
    "an element": lambda rig: rig.keep(rig.weight.detach()[0, 1:]),
    "a slot": lambda rig: rig.keep(momentum(rig)),
    "the numbers of a slot": lambda rig: rig.keep(momentum(rig).numpy()),
    "a view of a slot": lambda rig: rig.keep(momentum(rig).mT),
    "the state of the model": lambda rig: [rig.keep(t) for t in rig.model.state_dict().values()],
    "the state of the optimizer": lambda rig: [
        rig.keep(t)
        for slots in rig.optimizer.state_dict()["state"].values()
        for t in slots.values()
        if isinstance(t, ig.Tensor)
    ],
    "a shallow copy of the slots": lambda rig: [
        rig.keep(t)
        for t in dict(rig.optimizer.state[rig.weight]).values()
        if isinstance(t, ig.Tensor)
    ],
    "a closure": lambda rig: (lambda t: rig.keep(t))(rig.weight.detach()),
}


@CALLS
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", KEEPERS)
def test_what_is_kept_never_changes(name, optimizer, calls):
    act = KEEPERS[name]
    due = Rig(optimizer, calls=calls).run(act, short=False)
    rig = Rig(optimizer, calls=calls)
    assert rig.run(act, short=True) == due
    assert rig.kept
    for thing, seen in zip(rig.kept, rig.seen, strict=True):
        now = np.array(thing.numpy() if hasattr(thing, "numpy") else thing)
        np.testing.assert_array_equal(now, seen)


@pytest.mark.parametrize("name", KEEPERS)
def test_what_is_kept_before_the_first_call_never_changes(name):
    rig = Rig("momentum")
    for _ in range(2):
        eager_step(rig)
    KEEPERS[name](rig)
    for _ in range(6):
        rig.step(rig.x, rig.y)
    for thing, seen in zip(rig.kept, rig.seen, strict=True):
        now = np.array(thing.numpy() if hasattr(thing, "numpy") else thing)
        np.testing.assert_array_equal(now, seen)


def test_a_gradient_that_is_kept_never_changes():
    def act(rig):
        rig.keep(rig.weight.grad)

    due = Rig("momentum", clears=False).run(act, short=False)
    rig = Rig("momentum", clears=False)
    assert rig.run(act, short=True) == due
    np.testing.assert_array_equal(rig.kept[0].numpy(), rig.seen[0])


def test_gradients_that_a_call_makes_are_an_input_of_the_next():
    """The first of some batches finds no gradients, and the others add theirs."""

    def accumulated(wrap):
        ig.manual_seed(3)
        model = ig.nn.Linear(4, 3)
        optimizer = ig.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        @wrap(model)
        def add_gradients(x):
            loss = (model(x) ** 2).sum()
            loss.backward()
            return loss

        losses = []
        for _ in range(4):
            losses += [add_gradients(ig.random.normal((5, 4))).item() for _ in range(3)]
            optimizer.step()
            optimizer.zero_grad()
        return losses

    eager = accumulated(lambda model: lambda fn: fn)
    compiled = accumulated(lambda model: ig.compile(state=model))
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)


def test_results_never_change():
    p = ig.nn.Parameter(ig.ones(3))

    @ig.compile(state=p)
    def step(x):
        p.assign_(p.detach() + x)
        return p.detach() * 2.0, p.detach()

    x = ig.ones(3)
    results = [step(x) for _ in range(6)]
    assert [r[0].tolist() for r in results] == [[2.0 * n] * 3 for n in range(2, 8)]
    assert [r[1].tolist() for r in results] == [[1.0 * n] * 3 for n in range(2, 8)]


def test_a_backward_pass_that_waits_sees_the_old_parameter():
    rig = Rig("momentum")
    for _ in range(5):
        rig.step(rig.x, rig.y)
    w, x = rig.weight, rig.x.detach().requires_grad_()
    due = ((x @ w.detach().mT) * 1.0).sum()
    waiting = (x @ w.mT).sum()
    before = np.array(w.numpy())
    for _ in range(3):
        rig.step(rig.x, rig.y)
    waiting.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.tile(before.sum(axis=0), (4, 1)), rtol=1e-6)
    assert due.item() == pytest.approx(waiting.item())


def test_state_as_an_argument_is_read_before_it_is_written(short_calls):
    p = ig.nn.Parameter(ig.tensor([1.0, 2.0, 3.0]))

    @ig.compile(state=p)
    def step(x):
        p.assign_(p.detach() + ig.flip(x))

    value = np.array([1.0, 2.0, 3.0])
    for _ in range(6):
        step(p.detach())
        value = value + value[::-1]
    assert p.tolist() == value.tolist()


def test_a_parameter_that_is_only_read_may_have_any_strides(short_calls):
    rng = np.random.default_rng(3)
    a = rng.standard_normal((4, 4)).astype("float32")
    p = ig.nn.Parameter(ig.zeros((4, 4)), requires_grad=False)
    p.assign_(ig.tensor(a).mT)
    q = ig.nn.Parameter(ig.zeros((4, 4)))

    @ig.compile(state=(p, q))
    def step(x):
        q.assign_(q.detach() + x * p.detach())
        return p.detach() * 1.0

    x = ig.ones((4, 4))
    for _ in range(6):
        out = step(x)
    assert short_calls
    np.testing.assert_array_equal(out.numpy(), a.T)
    np.testing.assert_allclose(q.numpy(), 6 * a.T, rtol=1e-6)


def test_calls_with_random_numbers_go_on_with_their_streams(short_calls):
    def losses(compiled):
        ig.manual_seed(5)
        model = ig.nn.Sequential(ig.nn.Linear(6, 5), ig.nn.Dropout(0.5))
        optimizer = ig.optim.SGD(model.parameters(), lr=0.1)

        def step(x):
            loss = (model(x) ** 2).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        run = ig.compile(step, state=(model, optimizer)) if compiled else step
        return [run(ig.ones((3, 6))).item() for _ in range(6)]

    assert losses(True) == pytest.approx(losses(False), rel=1e-5)


def test_two_optimizers_may_begin_with_one_learning_rate_and_change_apart(short_calls):
    def trained(compiled):
        ps = [ig.nn.Parameter(ig.ones(3)) for _ in range(2)]
        optimizers = [ig.optim.SGD([p], lr=0.1) for p in ps]

        def step(x):
            for p, optimizer in zip(ps, optimizers, strict=True):
                optimizer.zero_grad()
                (p * p * x).sum().backward()
                optimizer.step()

        run = ig.compile(step, state=(ps, optimizers)) if compiled else step
        for number in range(8):
            if number == 5:
                optimizers[1].param_groups[0]["lr"] = 0.01
            run(ig.ones(3))
        return [p.tolist() for p in ps], run

    (found, run), (due, _) = trained(True), trained(False)
    np.testing.assert_allclose(found, due, rtol=1e-6)
    assert len(short_calls) >= 4
    assert len(run.programs) == 2  # without gradients at first, and with those that are there


def test_other_models_may_be_trained_meanwhile(short_calls):
    rig = Rig("adam")
    other = ig.nn.Sequential(ig.nn.Linear(6, 3), ig.nn.BatchNorm1d(3))
    optimizer = ig.optim.Adam(other.parameters())
    for number in range(8):
        rig.step(rig.x, rig.y)
        optimizer.zero_grad()
        F.cross_entropy(other(rig.x), rig.y).backward()
        optimizer.step()
        if number == 3:  # the first step gave the optimizer what it remembers
            short_calls.clear()
    assert len(short_calls) == 4


def test_parameters_of_16_bits_are_updated_through_kernels(short_calls):
    def trained(short):
        ig.manual_seed(0)
        model = ig.nn.Linear(6, 3).half()
        optimizer = ig.optim.Adam(model.parameters(), lr=0.01)

        @ig.compile(state=(model, optimizer))
        def step(x):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optimizer.step()

        x = ig.tensor(np.random.default_rng(0).standard_normal((4, 6)).astype("float16"))
        for _ in range(6):
            if not short:
                step._ready = None
            step(x)
        assert any(isinstance(s, Apply) for s in step.programs[-1].schedule.steps)
        return [p.tolist() for p in model.parameters()]

    due = trained(False)
    short_calls.clear()
    assert trained(True) == due
    assert len(short_calls) >= 3


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_index_out_of_range_leaves_all_state(optimizer, short_calls):
    rig = Rig(optimizer)
    for _ in range(4):
        rig.step(rig.x, rig.y)
    assert short_calls
    before = rig.facts()
    bad = ig.tensor([0, 1, 2, 7])
    for _ in range(3):
        with pytest.raises(IndexError, match=r"7.*3"):
            rig.step(rig.x, bad)
        assert rig.facts() == before
    count = len(short_calls)
    rig.step(rig.x, rig.y)
    assert rig.facts() != before
    assert len(short_calls) == count + 1


def test_an_update_by_gathered_values_is_all_or_nothing(short_calls):
    p = ig.nn.Parameter(ig.ones((400, 2)))

    @ig.compile(state=p)
    def step(t, i):
        p.assign_(p.detach() * 0.5 + t[i])

    t, i = ig.ones((9, 2)), np.zeros(400, dtype="int64")
    for _ in range(4):
        step(t, ig.tensor(i))
    assert short_calls
    before = p.tolist()
    i[-1] = 9
    with pytest.raises(IndexError):
        step(t, ig.tensor(i))
    assert p.tolist() == before


def test_a_kernel_that_fails_leaves_all_state(short_calls):
    p = ig.nn.Parameter(ig.ones((3, 3)))
    q = ig.nn.Parameter(ig.ones((3, 3)))

    @ig.compile(state=(p, q))
    def step(x):
        p.assign_(p.detach() + 1.0)
        q.assign_(ig.linalg.cholesky(x + 0.0 * p.detach()))

    eye = ig.eye(3)
    for _ in range(4):
        step(eye)
    assert short_calls
    assert q.tolist() == eye.tolist()
    before = p.tolist()
    with pytest.raises(ig.LinAlgError):
        step(-eye)
    assert (p.tolist(), q.tolist()) == (before, eye.tolist())
    count = len(short_calls)
    step(eye * 4.0)
    assert len(short_calls) == count + 1
    assert q.tolist() == (eye * 2.0).tolist()


def test_an_exception_leaves_all_state(short_calls):
    rig = Rig("adam")
    for _ in range(5):
        rig.step(rig.x, rig.y)
    before = rig.facts()
    with pytest.raises(ig.IsogradError):
        rig.step(rig.x[:, :2], rig.y)  # a shape that does not fit, found while it is traced
    assert rig.facts() == before
    count = len(short_calls)
    for _ in range(3):
        rig.step(rig.x, rig.y)
    assert len(short_calls) > count


class _Interrupted(BaseException):
    """Stands in for KeyboardInterrupt, which pytest would take for itself."""


@pytest.mark.parametrize("at", range(6))
def test_an_interrupt_while_state_is_exchanged_leaves_all_of_it(at, monkeypatch):
    from isograd.compiler.cells import ItemCell, ValueCell

    rig = Rig("momentum")
    for _ in range(3):  # one for the trace of the first step, one for that of the others
        rig.step(rig.x, rig.y)
    before = rig.facts()
    count = [0]

    def interrupting(write):
        def wrapped(self, value):
            count[0] += 1
            if count[0] == at + 1:
                raise _Interrupted
            write(self, value)

        return wrapped

    with monkeypatch.context() as patched:
        for cell in (ValueCell, ItemCell):
            patched.setattr(cell, "write", interrupting(cell.write))
        rig.step._ready = None
        with pytest.raises(_Interrupted):
            rig.step(rig.x, rig.y)
    assert rig.facts() == before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers of POSIX")
def test_an_interrupt_at_any_time_leaves_whole_steps():
    p = ig.nn.Parameter(ig.zeros((64, 64)))
    q = ig.nn.Parameter(ig.zeros(5))

    @ig.compile(state=(p, q))
    def step(x):
        for _ in range(3):
            x = ig.tanh(x @ x)
        p.assign_(p.detach() + 1.0 + 0.0 * x)
        q.assign_(q.detach() + 1.0)
        return x

    x = ig.ones((64, 64)) * 0.01
    for _ in range(3):  # compiling holds back SIGINT, but not the signal that stands in for it
        step(x)

    def stop(*_):
        raise _Interrupted

    old = signal.signal(signal.SIGALRM, stop)
    gc.disable()  # what is raised inside a callback of the collector is lost
    try:
        for number in range(40):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.00007 * number)
                until = time.monotonic() + 5.0
                while time.monotonic() < until:
                    step(x)
            except _Interrupted:
                pass
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            values = {*p.numpy().ravel().tolist(), *q.tolist()}
            assert len(values) == 1, f"half a step is visible: {values}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)
        gc.enable()


# -- threads ---------------------------------------------------------------------------------------


def in_threads(*functions):
    errors = []

    def guarded(fn):
        try:
            with ig.use_backend("numba"):  # a backend is chosen for a thread
                fn()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(fn,)) for fn in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_two_threads_may_call_what_only_reads_state():
    model = ig.nn.Linear(64, 64)
    run = ig.compile(lambda x: ig.tanh(model(x)), state=model)
    inputs = [ig.ones((32, 64)) * 0.1, ig.ones((32, 64)) * -0.2]
    with ig.no_grad():
        due = [run(x).tolist() for x in inputs]

    def calls(x, right):
        with ig.no_grad():
            for _ in range(100):
                assert run(x).tolist() == right

    in_threads(*[lambda x=x, r=r: calls(x, r) for x, r in zip(inputs, due, strict=True)])


def test_two_threads_may_train_two_models():
    rigs = [Rig("adam"), Rig("momentum")]
    due = [rig.run(lambda rig: None, short=True, steps=60) for rig in rigs]
    again = [Rig("adam"), Rig("momentum")]
    got = [None, None]

    def train(number):
        got[number] = again[number].run(lambda rig: None, short=True, steps=60)

    in_threads(lambda: train(0), lambda: train(1))
    assert got == due


def test_a_call_inside_a_call_of_another_thread_goes_the_long_way():
    p = ig.nn.Parameter(ig.zeros(1 << 18))

    @ig.compile(state=p)
    def step(x):
        p.assign_(p.detach() + x)

    x = ig.ones(1 << 18)

    def train():
        for _ in range(50):
            step(x)

    in_threads(train, train)
    # Steps of one thread may be lost to the other, as in eager code; none is half done.
    values = set(np.unique(p.numpy()).tolist())
    assert max(values) <= 100
    assert all(v == int(v) for v in values)
