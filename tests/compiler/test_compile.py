"""Compiled functions give what the functions give, and their traps are errors.

On NumPy that is bit for bit: the same kernels run. Native code adds in orders of its own, so there
errors against float64 are compared, by the rule of the numerics page: at most four times the eager
one, beside a few roundings.
"""

import numpy as np
import pytest

import isograd as ig

F = ig.nn.functional


def f64(values):
    return ig.tensor(values, dtype="float64")


def digits_like(rng, n=16):
    x = ig.tensor(rng.standard_normal((n, 8)).astype("float32"))
    return x, ig.tensor(rng.integers(0, 3, n))


OPTIMIZERS = {
    "sgd": lambda p: ig.optim.SGD(p, lr=0.1),
    "momentum": lambda p: ig.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: ig.optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: ig.optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: ig.optim.AdamW(p, lr=0.01),
}


def check_errors(found, eager, right, *, roundings=8):
    """Compare the largest errors of whole arrays: a single element may be right by chance."""
    for got, plain, best in zip(found, eager, right, strict=True):
        got, plain, best = [np.asarray(a, np.float64) for a in (got, plain, best)]
        error, allowed = np.abs(got - best).max(), 4 * np.abs(plain - best).max()
        assert error <= allowed + roundings * np.finfo("float32").eps * np.abs(best).max()


def trained(make_optimizer, x, y, *, compiled, steps=5, dtype="float32"):
    ig.manual_seed(0)
    model = ig.nn.Sequential(
        ig.nn.Linear(8, 6), ig.nn.GELU(), ig.nn.Dropout(0.3), ig.nn.Linear(6, 3)
    )
    model.to(dtype)
    x = x.astype(dtype)
    optimizer = make_optimizer(model.parameters())

    def step(x, y):
        loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    run = ig.compile(step, state=(model, optimizer)) if compiled else step
    losses = []
    for number in range(steps):
        optimizer.param_groups[0]["lr"] *= 0.9
        if number == 3:
            x, y = x[:5], y[:5]  # a last batch of another shape
        losses.append(run(x, y).item())
    return losses, [p.tolist() for p in model.parameters()], run


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_steps_equal_eager_ones(backend, name, rng):
    x, y = digits_like(rng)
    losses, params, run = trained(OPTIMIZERS[name], x, y, compiled=True)
    eager = trained(OPTIMIZERS[name], x, y, compiled=False)[:2]
    if backend == "numpy":
        assert (losses, params) == eager
    else:
        # Each of the five steps rounds what it updates, and what it updates it with.
        right = trained(OPTIMIZERS[name], x, y, compiled=False, dtype="float64")[:2]
        check_errors([losses, *params], [eager[0], *eager[1]], [right[0], *right[1]], roundings=40)
    # One program for each shape: a learning rate that changes is an input.
    assert len(run.programs) == (2 if name not in ("momentum",) else 3)


def test_gradients_that_are_kept_accumulate():
    p = ig.nn.Parameter(f64([1.0, 2.0]))

    @ig.compile(state=p)
    def step(x):
        (p * p * x).sum().backward()

    step(f64(1.0))
    step(f64(10.0))
    assert p.grad.tolist() == [22.0, 44.0]
    assert p.tolist() == [1.0, 2.0]


def test_floats_are_inputs_and_as_flexible_as_outside():
    calls = []

    @ig.compile
    def scaled(x, factor):
        calls.append(1)
        return x * factor + factor * 2.0

    for dtype in ("float32", "float64", "float16"):
        for factor in (2.0, 0.1, -3.5):
            out = scaled(ig.ones(2, dtype=dtype), factor)
            plain = ig.ones(2, dtype=dtype) * factor + factor * 2.0
            assert out.dtype == plain.dtype
            assert out.tolist() == plain.tolist()
    assert len(calls) == 3
    assert scaled(ig.tensor([1, 2]), 0.5).tolist() == [1.5, 2.0]


def test_other_arguments_are_static():
    @ig.compile
    def power(x, n, *, names):
        for _ in range(n - 1):
            x = x * x
        return {names[0]: x, "n": n}

    assert power(f64(2.0), 2, names=("a",))["a"].item() == 4.0
    assert power(f64(2.0), 3, names=("a",))["a"].item() == 16.0
    assert power(f64(2.0), True, names=("b",))["n"] is True
    assert len(power.programs) == 3
    with pytest.raises(ig.DTypeError, match="set, which is no tensor and cannot be hashed"):
        power(f64(1.0), 1, names={"a"})


def test_trees_and_numpy_arrays_come_and_go():
    @ig.compile
    def fn(tree):
        return [tree["a"] + tree["b"][0], None, "text"], (tree["a"],)

    out = fn({"a": f64([1.0]), "b": (np.array([2.0]),)})
    assert out[0][0].tolist() == [3.0]
    assert out[0][1:] == [None, "text"]
    assert out[1][0].tolist() == [1.0]


def test_train_and_eval_are_different_programs():
    model = ig.nn.Dropout(0.5)
    run = ig.compile(model, state=model)
    x = ig.ones(100)
    assert (run(x).numpy() == 0).any()
    model.eval()
    assert run(x).tolist() == [1.0] * 100
    model.train()
    assert (run(x).numpy() == 0).any()
    assert len(run.programs) == 2


def test_random_numbers_go_on_between_calls_and_equal_eager_ones():
    @ig.compile
    def draw():
        return ig.random.normal(3), ig.random.uniform(2), ig.random.integers(10, shape=4)

    def run(fn):
        ig.manual_seed(3)
        return [[t.tolist() for t in fn()] for _ in range(3)]

    assert run(draw) == run(lambda: draw._fn())
    generator = ig.Generator(5)
    own = ig.compile(lambda: ig.random.uniform(2, generator=generator))
    assert own().tolist() != own().tolist()
    assert generator.stream == 2
    assert len(draw.programs) == 1


def test_modes_are_part_of_the_key():
    fn = ig.compile(lambda x: x * 2.0)
    x = f64([1.0]).requires_grad_()
    assert fn(x).requires_grad
    with ig.no_grad():
        assert not fn(x).requires_grad


def test_derivatives_go_through_from_outside(backend, rng):
    model = ig.nn.Sequential(ig.nn.Linear(4, 5), ig.nn.Tanh(), ig.nn.Linear(5, 1))
    x = ig.tensor(rng.standard_normal((3, 4)).astype("float32"), requires_grad=True)

    def gradients(run, x=x):
        model.zero_grad()
        x.grad = None
        (run(x) ** 2).sum().backward()
        return [x.grad.tolist(), *[p.grad.tolist() for p in model.parameters()]]

    found, eager = gradients(ig.compile(model, state=model)), gradients(model)
    if backend == "numpy":
        assert found == eager
    else:
        model.to("float64")
        wide = x.detach().astype("float64").requires_grad_()
        check_errors(found, eager, gradients(model, wide))


def test_derivatives_of_any_order_and_direction():
    fn = ig.compile(lambda x: ig.sin(x) * x)
    plain = lambda x: ig.sin(x) * x  # noqa: E731
    x, t = f64(0.7), f64(1.0)
    assert ig.grad(fn)(x).item() == ig.grad(plain)(x).item()
    assert ig.grad(ig.grad(fn))(x).item() == pytest.approx(ig.grad(ig.grad(plain))(x).item())
    assert ig.jvp(fn, (x,), (t,))[1].item() == pytest.approx(ig.grad(plain)(x).item(), rel=1e-14)
    inside = ig.compile(lambda x: ig.grad(ig.grad(plain))(x))
    assert inside(x).item() == ig.grad(ig.grad(plain))(x).item()


def test_what_changes_between_a_call_and_its_backward_pass_stays(backend):
    p = ig.nn.Parameter(f64([1.0, 2.0]))
    optimizer = ig.optim.SGD([p], lr=0.1)
    weighted = ig.compile(lambda x: (p * p * x).sum(), state=(p, optimizer), backend=backend)
    p.grad = f64([7.0, 7.0])
    loss = weighted(f64([3.0, 4.0]))
    optimizer.zero_grad()
    p.assign_(f64([5.0, 6.0]))
    optimizer.param_groups[0]["lr"] = 0.5
    loss.backward()
    assert p.tolist() == [5.0, 6.0]
    assert p.grad.tolist() == [6.0, 16.0]  # of the values that the call saw
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_backward_inside_reaches_arguments():
    @ig.compile
    def fn(x):
        (x * x).sum().backward()

    x = f64([1.0, 2.0]).requires_grad_()
    fn(x)
    fn(x)
    assert x.grad.tolist() == [4.0, 8.0]


def test_one_tensor_may_be_two_arguments():
    @ig.compile
    def fn(x, y):
        (2.0 * x + 3.0 * y).sum().backward()

    x = f64([1.0, 2.0]).requires_grad_()
    fn(x, x)
    assert x.grad.tolist() == [5.0, 5.0]


def test_compiled_functions_nest_and_custom_rules_work():
    @ig.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (x, None), lambda _, ct: (ig.clip(ct, -1.0, 1.0),))
    inner = ig.compile(lambda x: clipped(x * 100.0))
    outer = ig.compile(lambda x: ig.grad(lambda v: inner(v).sum())(x))
    assert outer(f64([1.0])).tolist() == [100.0]
    assert inner.programs == []
    wide = ig.compile(ig.checkpoint(lambda x: ig.exp(ig.sin(x))))
    assert ig.grad(lambda x: wide(x).sum())(f64([0.0])).tolist() == [1.0]


def test_indexing_and_one_hot_check_what_they_cannot_see():
    fn = ig.compile(lambda x, i, j: (x[i], x[i, j], x.at[i].add(1.0), ig.one_hot(j, 4)))
    x = f64(np.arange(12.0).reshape(3, 4))
    i, j = ig.tensor([0, -1]), ig.tensor([3, 0])
    plain = (x[i], x[i, j], x.at[i].add(1.0), ig.one_hot(j, 4))
    for got, expected in zip(fn(x, i, j), plain, strict=True):
        assert got.tolist() == expected.tolist()
    for bad_i, bad_j in (([0, 5], [0, 0]), ([0, 0], [0, 4]), ([0, 0], [0, -9])):
        with pytest.raises(ig.IndexOutOfRangeError):
            fn(x, ig.tensor(bad_i), ig.tensor(bad_j))


# -- traps -----------------------------------------------------------------------------------------


def test_undeclared_parameters_are_refused_with_the_line():
    model = ig.nn.Linear(2, 2)
    with pytest.raises(ig.UndeclaredStateError, match=r"test_compile.py:\d+.*state=\(model"):
        ig.compile(lambda x: model(x))(ig.ones((1, 2)))


@pytest.mark.parametrize(
    "use",
    [bool, float, int, lambda t: t.item(), lambda t: t.numpy(), np.asarray, lambda t: t.tolist()],
)
def test_numbers_of_symbols_are_refused_with_the_line(use):
    with pytest.raises(ig.ConcretizationError, match=r"test_compile.py:\d+.*isograd.where"):
        ig.compile(lambda x: use((x * 2.0).sum()))(f64([1.0]))


def test_an_exception_inside_restores_everything():
    model = ig.nn.Linear(2, 2)
    optimizer = ig.optim.Adam(model.parameters())
    (model(ig.ones((1, 2)))).sum().backward()
    before = [(p.tolist(), p.grad.tolist()) for p in model.parameters()]
    state = optimizer.state_dict()

    @ig.compile(state=(model, optimizer))
    def step(x):
        model(x).sum().backward()
        optimizer.step()
        raise RuntimeError("stop")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="stop"):
            step(ig.ones((1, 2)))
    assert before == [(p.tolist(), p.grad.tolist()) for p in model.parameters()]
    assert optimizer.state_dict()["state"][0]["step"].item() == 0
    assert optimizer.param_groups[0]["lr"] == state["param_groups"][0]["lr"]
    assert isinstance(optimizer.param_groups[0]["lr"], float)
    assert (model(ig.ones((1, 2))) * 0).tolist() == [[0.0, 0.0]]


def test_a_failing_kernel_changes_nothing():
    p = ig.nn.Parameter(f64([1.0, 2.0]))

    @ig.compile(state=p)
    def step(i):
        p.assign_(p.detach() * 2.0)
        return p.detach()[i]

    with pytest.raises(ig.IndexOutOfRangeError):
        step(ig.tensor([9]))
    assert p.tolist() == [1.0, 2.0]
    assert step(ig.tensor([0])).tolist() == [2.0]
    assert p.tolist() == [2.0, 4.0]


def test_symbols_that_escape_say_so():
    kept = []
    ig.compile(lambda x: kept.append(x * 2.0))(f64([1.0]))
    with pytest.raises(ig.ConcretizationError, match="has no numbers"):
        kept[0] + 1.0
    assert "made at" in repr(kept[0])


def test_many_traces_warn_and_name_the_argument():
    fn = ig.compile(lambda x: x * 2.0, max_traces=3)
    for n in range(1, 4):
        fn(ig.ones(n))
    with pytest.warns(
        ig.CompileWarning, match=r"argument 0 changed from float32\[3\].*float32\[4\]"
    ):
        fn(ig.ones(4))


def test_state_of_an_unknown_kind_is_refused():
    with pytest.raises(ig.DTypeError, match="state holds int"):
        ig.compile(lambda x: x, state=3)(f64(1.0))


def test_compilation_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("ISOGRAD_DISABLE_COMPILE", "1")
    fn = ig.compile(lambda x: x.item())
    assert fn(f64(2.0)) == 2.0


def test_results_do_not_share_what_a_later_call_changes():
    p = ig.nn.Parameter(f64([1.0]))

    @ig.compile(state=p)
    def step():
        p.assign_(p.detach() + 1.0)
        return p.detach()

    results = [step() for _ in range(3)]
    assert [r.item() for r in results] == [2.0, 3.0, 4.0]
