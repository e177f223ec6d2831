"""Known traps of compiled functions: each is an error that says what to do, or harmless."""

from __future__ import annotations

import errno
import os
import signal

import numpy as np
import pytest

import isograd as ig

F = ig.nn.functional


class Interrupted(BaseException):
    """Stands in for KeyboardInterrupt, which pytest would take for itself."""


# -- undeclared state ------------------------------------------------------------------------------


def test_an_undeclared_model_is_refused(backend):
    model = ig.nn.Linear(2, 2)
    with pytest.raises(ig.UndeclaredStateError, match=r"test_traps.py:\d+.*state=\(model"):
        ig.compile(lambda x: model(x))(ig.ones((1, 2)))


def test_an_undeclared_parameter_in_a_closure_is_refused():
    p = ig.nn.Parameter(ig.ones(3))
    with pytest.raises(ig.UndeclaredStateError, match="parameter of shape"):
        ig.compile(lambda x: x * p)(ig.ones(3))


def test_an_undeclared_buffer_is_refused_read_or_written():
    norm = ig.nn.BatchNorm1d(3, affine=False)
    before = norm.running_mean
    run = ig.compile(lambda x: norm(x))
    for training in (True, False):
        norm.train(training)
        with pytest.raises(ig.UndeclaredStateError, match="a buffer of BatchNorm1d is used at"):
            run(ig.ones((4, 3)))
        assert norm.running_mean is before
    declared = ig.compile(lambda x: norm(x), state=norm)
    assert declared(ig.ones((4, 3))).shape == (4, 3)


def test_a_loss_without_weights_needs_no_declaration_and_with_them_it_does(backend):
    model, loss = ig.nn.Linear(2, 3), ig.nn.CrossEntropyLoss()
    run = ig.compile(lambda x, y: loss(model(x), y), state=model)
    x, y = ig.ones((4, 2)), ig.tensor([0, 1, 2, 2])
    for _ in range(4):
        found = run(x, y)
    assert found.item() == pytest.approx(loss(model(x), y).item(), rel=1e-6)
    loss.weight = ig.tensor([1.0, 2.0, 3.0])
    with pytest.raises(ig.UndeclaredStateError, match="a buffer of CrossEntropyLoss is used at"):
        run(x, y)
    both = ig.compile(lambda x, y: loss(model(x), y), state=(model, loss))
    for _ in range(4):
        assert both(x, y).item() == pytest.approx(loss(model(x), y).item(), rel=1e-6)
        loss.weight = loss.weight * 2.0 + ig.arange(3)
    loss.weight = None
    assert both(x, y).item() == pytest.approx(found.item(), rel=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: ig.optim.SGD(p, lr=0.1),
        lambda p: ig.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: ig.optim.Adam(p),
    ],
)
def test_an_undeclared_optimizer_is_refused_before_it_changes(make):
    p = ig.nn.Parameter(ig.ones(3))
    optimizer = make([p])

    @ig.compile(state=p)
    def step(x):
        (p * x).sum().backward()
        optimizer.step()

    before = str(optimizer.state_dict())
    with pytest.raises(ig.UndeclaredStateError, match=r"(SGD|Adam) is used at .*test_traps.py"):
        step(ig.ones(3))
    assert str(optimizer.state_dict()) == before
    assert p.tolist() == [1.0, 1.0, 1.0]
    assert p.grad is None


def test_state_in_containers_is_declared():
    model = ig.nn.Sequential(ig.nn.Linear(3, 3), ig.nn.BatchNorm1d(3))
    optimizer = ig.optim.SGD(model.parameters(), lr=0.1)

    @ig.compile(state={"models": [model], "rest": (optimizer,)})
    def step(x):
        model(x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    count = model[1].num_batches_tracked.item()
    step(ig.tensor(np.random.default_rng(0).standard_normal((4, 3)).astype("float32")))
    assert model[1].num_batches_tracked.item() == count + 1


# -- data-dependent Python -------------------------------------------------------------------------


def branch(x):
    return x if x.sum() > 0 else -x


def loop(x):
    while x.sum() < 100:
        x = x * 2
    return x


def count(x):
    return [x for _ in range(x.astype("int64").sum())]


def choose(x):
    return [x, -x][x.astype("int64").sum()]


def member(x):
    return x.sum() in [1.0, 2.0]


@pytest.mark.parametrize(
    "fn",
    [
        branch,
        loop,
        count,
        choose,
        member,
        lambda x: sorted([x[0], x[1]]),
        lambda x: f"{x.sum():.2f}",
        lambda x: x[x > 0],
        lambda x: ig.nonzero(x),
        lambda x: round(x.sum().item()),
        lambda x: np.asarray(x) + 1,
        lambda x: x.sum() and x,
        lambda x: {x.sum().item(): x},
    ],
)
def test_python_that_needs_numbers_is_refused_with_the_line(fn):
    with pytest.raises(ig.ConcretizationError, match=r"made at .*test_traps.py:\d+"):
        ig.compile(fn)(ig.ones(2))
    # Nothing of the trace is left.
    assert ig.compile(lambda x: x + 1)(ig.ones(2)).tolist() == [2.0, 2.0]


# -- side effects ----------------------------------------------------------------------------------


def test_side_effects_happen_once_for_each_trace():
    seen = []

    @ig.compile
    def fn(x):
        seen.append(x.shape)
        return x * 2

    for n in (2, 2, 3, 2, 3):
        fn(ig.ones(n))
    assert seen == [(2,), (3,)]


def test_a_tensor_that_escapes_has_no_numbers_and_says_where_it_was_made():
    kept = {}

    class Model(ig.nn.Module):
        def forward(self, x):
            self.last = x * 2
            kept["here"] = self.last
            return self.last + 1

    model = Model()
    assert ig.compile(model, state=model)(ig.ones(2)).tolist() == [3.0, 3.0]
    for use in (lambda t: t.numpy(), lambda t: t + 1, lambda t: t.tolist(), ig.sum):
        with pytest.raises(ig.ConcretizationError, match=r"test_traps.py:\d+"):
            use(kept["here"])
        with pytest.raises(ig.ConcretizationError, match="or return it"):
            use(model.last)
    # It also says so inside of another function.
    for fn in (lambda x: x + kept["here"], lambda x: kept["here"]):
        with pytest.raises(ig.ConcretizationError, match=r"test_traps.py:\d+"):
            ig.compile(fn)(ig.ones(2))


def test_arguments_that_the_function_changes_are_not_the_callers():
    def change(x, items):
        y = x + 0.0
        y[0] = 5.0
        items.append(y)
        return y

    x, items = ig.ones(3), [ig.ones(1)]
    assert ig.compile(change)(x, items).tolist() == [5.0, 1.0, 1.0]
    assert x.tolist() == [1.0, 1.0, 1.0]
    assert len(items) == 1


def test_assigning_to_an_element_of_an_argument_is_refused():
    def change(x):
        x[0] = 5.0
        return x

    x = ig.ones(3)
    with pytest.raises(ig.UndeclaredStateError, match=r"test_traps.py:\d+.*x.at\[i\].set"):
        ig.compile(change)(x)
    assert x.tolist() == [1.0, 1.0, 1.0]


# -- captured arrays -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 1 << 16])
@pytest.mark.parametrize(
    "wrap", [lambda a: a, ig.tensor, ig.asarray], ids=["array", "tensor", "as"]
)
def test_captured_arrays_are_what_they_were_when_traced(backend, wrap, size):
    a = np.ones(size)
    captured = wrap(a)
    fn = ig.compile(lambda x: x + captured)
    x = ig.zeros(size, dtype="float64")
    first = fn(x)
    a[:] = 7.0
    for _ in range(3):
        assert set(fn(x).tolist()) == {1.0}
    assert set(first.tolist()) == {1.0}


def test_arrays_that_were_arguments_may_change_afterwards(backend):
    fn = ig.compile(lambda x: (x, x.mT, x + 0.0))
    a = np.ones((2, 2))
    results = fn(a)
    a[:] = 7.0
    assert all(set(np.ravel(r.numpy())) == {1.0} for r in results)


# -- static arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [{1, 2}, bytearray(b"x"), type("T", (), {"__hash__": None})()])
def test_arguments_that_cannot_be_hashed_are_refused_by_name(value):
    with pytest.raises(ig.DTypeError, match=f"{type(value).__name__}, which is no tensor"):
        ig.compile(lambda x, option: x)(ig.ones(1), value)


def test_equal_statics_of_other_types_are_other_programs():
    fn = ig.compile(lambda x, n: (x * n, type(n).__name__))
    assert [fn(ig.ones(1), n)[1] for n in (1, True, "1" == "1", 1)] == [
        "int",
        "bool",
        "bool",
        "int",
    ]
    assert len(fn.programs) == 2


# -- interrupts and disks --------------------------------------------------------------------------


def test_an_interrupted_trace_leaves_everything(backend):
    model = ig.nn.Linear(2, 2)
    optimizer = ig.optim.Adam(model.parameters())
    interrupts = [True]

    @ig.compile(state=(model, optimizer))
    def step(x):
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if interrupts:
            raise interrupts.pop() and Interrupted
        return loss

    before = [p.tolist() for p in model.parameters()], str(optimizer.state_dict())
    with pytest.raises(Interrupted):
        step(ig.ones((1, 2)))
    assert ([p.tolist() for p in model.parameters()], str(optimizer.state_dict())) == before
    first = step(ig.ones((1, 2)))
    assert step(ig.ones((1, 2))).item() < first.item()


@pytest.fixture
def numba_cache(tmp_path, monkeypatch):
    """Give the Numba backend a folder of its own, and forget what it has compiled."""
    pytest.importorskip("numba", reason="only the Numba backend keeps code on disk")
    from isograd_numba.codegen import program

    monkeypatch.setenv("ISOGRAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(program, "_addresses", {})
    with ig.use_backend("numba"):
        yield tmp_path / "cache" / "numba"


def test_an_interrupted_compilation_is_done_again(numba_cache, monkeypatch):
    from isograd_numba.codegen import program

    make, interrupts = program.object_code, [True]

    def interrupted(module, names):
        if interrupts:
            interrupts.pop()
            raise Interrupted
        return make(module, names)

    monkeypatch.setattr(program, "object_code", interrupted)
    fn = ig.compile(lambda x: ig.exp(x) * 3.0 - 1.0)
    with pytest.raises(Interrupted):
        fn(ig.zeros(3))
    assert fn(ig.zeros(3)).tolist() == [2.0, 2.0, 2.0]
    assert len(fn.programs) == 1


def test_an_interrupt_waits_until_code_is_made(numba_cache, monkeypatch):
    from isograd_numba.codegen import program

    make, made = program.object_code, []

    def interrupted(module, names):
        signal.raise_signal(signal.SIGINT)
        made.append(make(module, names))
        return made[-1]

    def stop(*_):
        raise Interrupted

    monkeypatch.setattr(program, "object_code", interrupted)
    fn = ig.compile(lambda x: ig.exp(x) * 7.0 - 1.0)
    old = signal.signal(signal.SIGINT, stop)
    try:
        with pytest.raises(Interrupted):
            fn(ig.zeros(3))
        assert len(made) == 1
        assert signal.getsignal(signal.SIGINT) is stop
        # What was made is not made again.
        assert fn(ig.zeros(3)).tolist() == [6.0, 6.0, 6.0]
        assert len(made) == 1
    finally:
        signal.signal(signal.SIGINT, old)


@pytest.mark.parametrize("failure", [Interrupted(), OSError(errno.ENOSPC, "No space left")])
def test_a_disk_that_fails_while_code_is_written_leaves_no_parts(numba_cache, monkeypatch, failure):
    def fail(*_):
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        fn = ig.compile(lambda x: ig.exp(x) * 5.0 - 1.0)
        if isinstance(failure, Interrupted):
            with pytest.raises(Interrupted):
                fn(ig.zeros(3))
        else:
            assert fn(ig.zeros(3)).tolist() == [4.0, 4.0, 4.0]
    assert list(numba_cache.iterdir()) == []
    assert fn(ig.zeros(3)).tolist() == [4.0, 4.0, 4.0]


# -- modules that decide by more than tensors ------------------------------------------------------


def test_a_module_that_nobody_declared_still_switches_between_train_and_eval(backend):
    drop = ig.nn.Sequential(ig.nn.Dropout(0.5))
    fn = ig.compile(lambda x: drop(x) + 0.0)
    x = ig.ones(1000)
    for _ in range(2):
        for training in (True, False, True):
            drop.train(training)
            for _ in range(3):  # the last one may go a shorter way
                assert (fn(x).numpy() == 1.0).all() != training
    assert len(fn.programs) <= 3


@pytest.mark.parametrize("declared", [True, False])
def test_hooks_that_come_and_go_are_seen(backend, declared):
    layer = ig.nn.ReLU()
    fn = ig.compile(lambda x: layer(x) + 0.0, state=layer if declared else ())
    x = ig.ones(2)
    for _ in range(3):
        assert fn(x).tolist() == [1.0, 1.0]
    with layer.register_forward_hook(lambda module, args, out: out * 3.0):
        for _ in range(3):
            assert fn(x).tolist() == [3.0, 3.0]
    assert fn(x).tolist() == [1.0, 1.0]
    with layer.register_forward_pre_hook(lambda module, args: args[0] * 5.0):
        assert fn(x).tolist() == [5.0, 5.0]


def test_modules_in_loops_and_maps_are_seen_too(backend):
    drop = ig.nn.Dropout(0.5)
    looped = ig.compile(lambda xs: ig.scan(lambda c, x: (drop(x) + 0.0 * c, None), xs[0], xs)[0])
    mapped = ig.compile(ig.vmap(lambda x: drop(x), randomness="different"))
    xs = ig.ones((3, 500))
    for fn in (looped, mapped):
        for training in (True, False, True):
            drop.train(training)
            assert (fn(xs).numpy() == 1.0).all() != training


def test_derivatives_of_a_call_see_its_random_numbers_and_change_no_state(backend):
    """A tangent, or a second derivative, runs the function once more."""
    model = ig.nn.Sequential(ig.nn.BatchNorm1d(3), ig.nn.Dropout(0.5))
    norm, x = model[0], ig.random.normal((40, 3))
    seed = ig.random.default_generator.state_dict()
    for run in (model, ig.compile(model, state=model)):
        ig.random.default_generator.load_state_dict(seed)
        before = norm.running_mean.numpy().copy()
        out, tangent = ig.jvp(run, (x,), (ig.ones_like(x) + x,))
        left = ig.random.uniform(())
        count = int(norm.num_batches_tracked)
        if run is model:
            wanted = out, tangent, left, norm.running_mean.numpy() - before * 0.9
            norm.running_mean = ig.tensor(before)
            assert count == 1
    np.testing.assert_allclose(out.numpy(), wanted[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(tangent.numpy(), wanted[1].numpy(), atol=1e-5)
    assert left.item() == wanted[2].item()
    np.testing.assert_allclose(norm.running_mean.numpy() - before * 0.9, wanted[3], atol=1e-6)
    assert count == 2


def test_a_module_that_is_made_inside_is_no_reason_to_trace_again(backend):
    fn = ig.compile(lambda x: ig.nn.ReLU()(x) + 0.0)
    for _ in range(4):
        assert fn(ig.ones(3)).tolist() == [1.0] * 3
        assert fn(ig.ones(4)).tolist() == [1.0] * 4
    assert len(fn.programs) == 2
