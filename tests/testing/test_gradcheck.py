"""gradcheck: it passes what is right, finds what is wrong, and says what it would have seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.testing import GradientError, gradcheck

F = ig.nn.functional


def with_derivative(fn: Callable[..., Any], forward: Callable[..., Any], backward: Any) -> Any:
    made = ig.custom_vjp(fn)
    made.defvjp(forward, backward)
    return made


def random(rng: np.random.Generator, *shape: int) -> ig.Tensor:
    return ig.tensor(rng.normal(size=shape))


@pytest.mark.parametrize(
    "fn",
    [
        ig.exp,
        F.sigmoid,
        lambda x: ig.sum(x),
        lambda x: ig.matmul(x, ig.matrix_transpose(x)),
        lambda x: (ig.sin(x), {"more": [x * x]}),
        lambda x: ig.logsumexp(x, axis=1),
        lambda x: x[1] * x[0, 1],
        lambda x: 1e6 * x**3,
        lambda x: 1e-9 * ig.cos(x),
    ],
)
def test_right_gradients_pass(fn: Any, rng: np.random.Generator, backend: str) -> None:
    report = gradcheck(fn, random(rng, 3, 4))
    assert report.ok
    assert bool(report)
    assert report.size == 12
    assert report.detection_limit < 1e-4
    assert report.failures == ()


def test_several_arguments_trees_and_constants(rng: np.random.Generator) -> None:
    def loss(weights: dict[str, ig.Tensor], x: np.ndarray, labels: ig.Tensor) -> ig.Tensor:
        scores = ig.matmul(ig.asarray(x), weights["w"]) + weights["b"]
        return F.cross_entropy(scores, labels)

    weights = {"w": random(rng, 3, 4), "b": random(rng, 4)}
    labels = ig.tensor([0, 3])
    report = gradcheck(loss, weights, rng.normal(size=(2, 3)), labels)
    assert report.ok
    assert report.size == 12 + 4 + 6


def test_a_module_is_checked_with_its_parameters_and_left_as_it_was(backend: str) -> None:
    model = ig.nn.Sequential(ig.nn.Linear(4, 5), ig.nn.Tanh(), ig.nn.Linear(5, 3))
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    x = ig.random.normal((6, 4))
    report = gradcheck(lambda m, x, y: F.cross_entropy(m(x), y), model, x, ig.arange(6) % 3)
    assert report.ok
    assert report.size == 4 * 5 + 5 + 5 * 3 + 3 + 24
    assert gradcheck(model, x).size == report.size
    for name, parameter in model.named_parameters():
        assert parameter.dtype == ig.float32
        assert parameter.grad is None
        np.testing.assert_array_equal(parameter.numpy(), before[name])


def test_the_sigmoid_formula_applied_to_an_activated_value(rng: np.random.Generator) -> None:
    planted = with_derivative(
        F.sigmoid,
        lambda z: (F.sigmoid(z), F.sigmoid(z)),
        lambda a, g: (g * F.sigmoid(a) * (1.0 - F.sigmoid(a)),),
    )
    z = random(rng, 4, 3)
    report = gradcheck(planted, z, raise_exception=False)
    assert not report.ok
    (failure,) = report.failures
    assert failure.what == "gradient"
    assert failure.argument == "argument 0"
    # The worst coordinate: the two formulas differ most where the unit is most saturated.
    s = 1.0 / (1.0 + np.exp(-z.numpy()))
    right, wrong = s * (1 - s), 1 / (2 + np.exp(s) + np.exp(-s))
    assert failure.at == z.numpy()[failure.index]
    ratio = failure.analytic / failure.numeric
    np.testing.assert_allclose(ratio, (wrong / right)[failure.index], rtol=1e-8)


def test_a_mean_differentiated_as_a_sum(rng: np.random.Generator) -> None:
    planted = with_derivative(
        lambda a, y: ig.mean((a - y) ** 2),
        lambda a, y: (ig.mean((a - y) ** 2), a - y),
        lambda d, g: (g * 2.0 * d, g * -2.0 * d),
    )
    a, y = random(rng, 8, 4), random(rng, 8, 4)
    report = gradcheck(planted, a, y, raise_exception=False)
    assert not report.ok
    (failure,) = report.failures
    np.testing.assert_allclose(failure.analytic / failure.numeric, 32.0, rtol=1e-9)


@pytest.mark.parametrize("place", [0, 123, 999])
@pytest.mark.parametrize("fn", [ig.sin, lambda x: ig.exp(x) * 3.0], ids=["sin", "exp"])
def test_one_coordinate_of_a_thousand_off_by_a_ten_thousandth(
    fn: Any, place: int, rng: np.random.Generator
) -> None:
    off = np.ones(1000)
    off[place] += 1e-4

    def backward(x: ig.Tensor, g: ig.Tensor) -> tuple[ig.Tensor]:
        return (ig.vjp(fn, x)[1](g)[0] * ig.tensor(off),)

    planted = with_derivative(fn, lambda x: (fn(x), x), backward)
    x = random(rng, 1000)
    assert gradcheck(fn, x).detection_limit < 1e-4
    report = gradcheck(planted, x, raise_exception=False)
    assert not report.ok
    assert report.failures[0].index == (place,)
    np.testing.assert_allclose(
        report.failures[0].analytic / report.failures[0].numeric, 1.0001, rtol=1e-6
    )


def test_one_weight_of_a_thousand_off_by_a_ten_thousandth(rng: np.random.Generator) -> None:
    """A loss is one number, in which a thousand derivatives of all sizes are added up."""
    x, y = random(rng, 20, 24), ig.tensor(rng.integers(0, 8, 20))
    weight = random(rng, 40, 25)

    def loss(w: ig.Tensor) -> ig.Tensor:
        return F.cross_entropy(ig.tanh(x @ w[:, :24].T)[:, :8] + ig.tanh(w[:8, 24]), y)

    used = ig.grad(loss)(weight).numpy() != 0
    limit = gradcheck(loss, weight).detection_limit
    assert limit < 1e-4
    for place in rng.choice(np.flatnonzero(used), 6, replace=False):
        off = np.ones(1000)
        off[place] += 1e-4
        factor = ig.tensor(off.reshape(40, 25))
        planted = with_derivative(
            loss, lambda w: (loss(w), w), lambda w, g, f=factor: (ig.vjp(loss, w)[1](g)[0] * f,)
        )
        report = gradcheck(planted, weight, raise_exception=False)
        assert [f.index for f in report.failures] == [(place // 25, place % 25)]


def test_more_directions_see_more_of_a_large_model(rng: np.random.Generator) -> None:
    model = ig.nn.Sequential(ig.nn.Linear(100, 300), ig.nn.Tanh(), ig.nn.Linear(300, 5))
    x = random(rng, 8, 100)
    few, many = (
        gradcheck(lambda m: ig.mean(m(x) ** 2), model, budget=budget, dtypes=())
        for budget in (0, 32)
    )
    assert (few.directions, few.size) == (4, 100 * 300 + 300 + 300 * 5 + 5)
    assert many.directions > 4
    assert many.detection_limit < 0.2 * few.detection_limit
    assert many.limits[0].name == "argument 0 0.weight"
    assert all(limit.seen > 0.99 and limit.typical < 1e-5 for limit in many.limits)
    assert "in the median one" in str(many)
    assert "budget=0" in few.rerun


def test_the_detection_limit_is_honest(rng: np.random.Generator) -> None:
    """An error just above the limit is found, in the coordinate that is hardest to see."""
    x = random(rng, 12)
    limit = gradcheck(ig.tanh, x).detection_limit
    for place in range(12):
        off = np.ones(12)
        off[place] += 2.0 * limit
        planted = with_derivative(
            ig.tanh,
            lambda x: (ig.tanh(x), x),
            lambda x, g, off=off: (ig.vjp(ig.tanh, x)[1](g)[0] * ig.tensor(off),),
        )
        assert not gradcheck(planted, x, raise_exception=False).ok, place


def test_a_compiled_module_is_checked_with_its_parameters(rng: np.random.Generator) -> None:
    layers = ig.nn.Linear(3, 4), ig.nn.BatchNorm1d(4), ig.nn.Dropout(0.5), ig.nn.Tanh()
    model = ig.nn.Sequential(*layers)
    report = gradcheck(ig.compile(model, state=model), random(rng, 6, 3), dtypes=())
    names = ["0.weight", "0.bias", "1.weight", "1.bias", "argument 0"]
    assert [limit.name for limit in report.limits] == names


@pytest.mark.parametrize("seed", range(8))
def test_no_error_above_the_limit_of_its_own_report_passes(seed: int) -> None:
    """Also where the two derivatives already differ by nearly as much as they may."""
    rng = np.random.default_rng(seed)
    x = ig.tensor(rng.normal(size=10))
    planted = np.ones(10)
    fn = with_derivative(
        lambda x: ig.log(ig.square(x).sum()),
        lambda x: (ig.log(ig.square(x).sum()), x),
        lambda x, ct: (ct * 2.0 * x / ig.square(x).sum() * ig.tensor(planted, dtype=ct.dtype),),
    )
    limit = gradcheck(fn, x, dtypes=(), seed=seed).detection_limit
    for place in range(10):
        for error in (1.02 * limit, -1.02 * limit):
            planted[:] = 1.0
            planted[place] += error
            report = gradcheck(fn, x, dtypes=(), seed=seed, raise_exception=False)
            assert not report.ok or report.detection_limit > 1.01 * limit


def test_a_limit_that_is_bad_is_stated(rng: np.random.Generator) -> None:
    """Rounding noise in the function hides small errors; the report says how large."""
    noisy = lambda x: (x * 1.0 + 1e8) - 1e8  # noqa: E731
    report = gradcheck(noisy, random(rng, 5))
    assert report.ok
    assert 1e-9 < report.detection_limit < 1e-2


def test_a_kink_is_named_and_the_rest_still_checked() -> None:
    x = ig.tensor([0.0, 1.0, -2.0, 0.0])
    report = gradcheck(F.relu, x)
    assert report.kinks == ("argument 0 [0]", "argument 0 [3]")
    assert "kinks" in str(report)
    assert report.detection_limit < 1e-6

    planted = with_derivative(F.relu, lambda x: (F.relu(x), x), lambda x, g: (g * (x > -5.0),))
    report = gradcheck(planted, x, raise_exception=False)
    assert [failure.index for failure in report.failures] == [(2,)]


def test_a_gradient_outside_the_slopes_of_a_kink_fails() -> None:
    planted = with_derivative(
        ig.abs, lambda x: (ig.abs(x), x), lambda x, g: (g * ig.where(x == 0, 3.0, ig.sign(x)),)
    )
    report = gradcheck(planted, ig.tensor([0.0, 1.0]), raise_exception=False)
    assert report.failures[0].what == "subgradient"
    assert "slopes" in report.failures[0].message


def test_a_kink_that_is_near_but_not_at_the_point_is_no_kink() -> None:
    report = gradcheck(F.relu, ig.tensor([1e-3, -1e-3, 0.5]))
    assert report.ok
    assert report.kinks == ()


def tied(x: ig.Tensor) -> ig.Tensor:
    """Kinks on which nothing changes, for they cancel: 0 everywhere, and the rules say 1."""
    both = ig.stack([x, ig.zeros_like(x)])
    return ig.max(both, axis=0) - ig.maximum(ig.zeros_like(x), x) + ig.sin(x)


def test_nobody_is_blamed_where_kinks_cancel_or_lie_close() -> None:
    report = gradcheck(tied, ig.zeros(3))
    assert report.ok, str(report)
    images = np.zeros((4, 1, 10, 10))
    images[:, :, 3:6, 4:7] = np.random.default_rng(0).uniform(size=(4, 1, 3, 3))
    net = ig.nn.Sequential(
        ig.nn.Sequential(ig.nn.Conv2d(1, 4, 3, padding=1), ig.nn.BatchNorm2d(4)),
        ig.nn.Sequential(ig.nn.ReLU(), ig.nn.MaxPool2d(2)),
        ig.nn.Sequential(ig.nn.Flatten(), ig.nn.Linear(100, 3)),
    )
    for seed in range(3):
        report = gradcheck(net, ig.tensor(images), seed=seed)
        assert report.ok, str(report)
        assert "kinks or ties" in " ".join(report.notes)
        seen = {limit.name: limit for limit in report.limits}
        assert seen["2.1.weight"].typical < 1e-4
        # What batch norm takes away again has no derivative.
        assert "next to it" in str(seen["0.0.bias"])


def test_faults_are_found_among_kinks(plant: Any) -> None:
    backend = plant("conv_weight_grad", lambda right: lambda *xs, **s: right(*xs, **s) * 1.0001)
    net = ig.nn.Sequential(ig.nn.Conv2d(1, 4, 3), ig.nn.ReLU(), ig.nn.MaxPool2d(2))
    report = gradcheck(net, ig.zeros((2, 1, 8, 8)) + 1.0, backend=backend, raise_exception=False)
    assert [failure.argument for failure in report.failures] == ["0.weight"]


def test_a_tangent_that_is_not_adjoint_is_found(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    right = ig.jvp

    def wrong(fn: Any, primals: Any, tangents: Any) -> Any:
        return right(fn, primals, tuple(t * (1.0 + 1e-6) for t in tangents))

    monkeypatch.setattr(ig, "jvp", wrong)
    report = gradcheck(ig.sin, random(rng, 3), raise_exception=False)
    assert report.failures[0].what == "adjointness"


def test_a_gradient_that_is_nan_is_located() -> None:
    planted = with_derivative(ig.sin, lambda x: (ig.sin(x), x), lambda x, g: (g / (x - 1.0),))
    report = gradcheck(planted, ig.tensor([0.5, 1.0]), raise_exception=False)
    assert report.failures[0].index == (1,)
    assert "not finite" in str(report)


def test_a_failure_raises_with_all_that_is_needed_to_repeat_it(rng: np.random.Generator) -> None:
    planted = with_derivative(ig.sin, lambda x: (ig.sin(x), x), lambda x, g: (g * x,))
    with pytest.raises(GradientError) as caught:
        gradcheck(planted, ig.tensor([[0.5, 1.0]]), seed=3)
    assert "inf" not in str(caught.value)
    for part in ("argument 0 of shape (1, 2)", "element [0, ", "analytic", "numeric", "seed=3"):
        assert part in str(caught.value)
    assert isinstance(caught.value, AssertionError)


def test_the_same_seed_gives_the_same_report(rng: np.random.Generator) -> None:
    x = random(rng, 4)
    assert gradcheck(ig.exp, x, seed=1) == gradcheck(ig.exp, x, seed=1)
    assert gradcheck(ig.exp, x, seed=1) != gradcheck(ig.exp, x, seed=2)


def test_random_numbers_inside_are_the_same_in_every_call() -> None:
    ig.random.manual_seed(5)
    state = ig.random.default_generator.state_dict()
    assert gradcheck(lambda x: F.dropout(x, 0.5), ig.tensor([1.0, 2.0, 3.0, 4.0])).ok
    assert ig.random.default_generator.state_dict() == state


def test_what_cannot_be_checked_is_said() -> None:
    calls = iter(range(10**6))
    report = gradcheck(lambda x: x + float(next(calls)), ig.tensor([1.0]), raise_exception=False)
    assert "deterministic" in report.failures[0].message
    report = gradcheck(ig.log, ig.tensor([1.0, -1.0]), raise_exception=False)
    assert "not finite" in report.failures[0].message
    with pytest.raises(ig.AutodiffError, match="nothing is differentiable"):
        gradcheck(ig.exp, ig.tensor([1, 2]))
    with pytest.raises(ig.AutodiffError, match="floating-point tensor"):
        gradcheck(lambda x: ig.argmax(x), ig.tensor([1.0, 2.0]))


def test_what_goes_up_and_down_within_every_step_says_nothing(rng: np.random.Generator) -> None:
    report = gradcheck(lambda x: ig.sin(x * 1e6) + ig.cos(x * 1e10), random(rng, 40))
    assert report.ok
    assert report.detection_limit == np.inf
    assert "does not settle" in str(report)


@pytest.mark.parametrize("seed", range(12))
def test_steps_that_are_too_long_accuse_nobody_and_hide_nothing(seed: int) -> None:
    def waves(x: ig.Tensor) -> ig.Tensor:
        return ig.sin(1e8 * x)

    wrong = ig.custom_vjp(waves)
    wrong.defvjp(lambda x: (waves(x), x), lambda x, ct: (1.01e8 * ig.cos(1e8 * x) * ct,))
    x = 1e-8 * np.random.default_rng(seed).standard_normal(5)
    assert gradcheck(waves, x, seed=seed).ok
    report = gradcheck(wrong, x, seed=seed, raise_exception=False)
    assert not report.ok or report.detection_limit > 0.01


def test_a_singular_point_says_nothing_and_says_so() -> None:
    """The slope of the root at 0 is infinite: no numeric derivative settles there."""

    def signed_root(x: ig.Tensor) -> ig.Tensor:
        safe = ig.where(x == 0, 1.0, ig.abs(x))
        return ig.where(x == 0, 0.0, ig.sqrt(safe)) * ig.sign(x)

    report = gradcheck(signed_root, ig.tensor([0.0]))
    assert report.detection_limit == np.inf
    assert "nothing is shown" in str(report)


def test_kernels_of_float32_are_compared_with_the_float64_gradient(
    rng: np.random.Generator, plant: Any
) -> None:
    def only_narrow(right: Any) -> Any:
        return lambda g, out: right(g, out) * (1.001 if g.dtype == np.float32 else 1.0)

    backend = plant("tanh_grad", only_narrow)
    x = random(rng, 3, 4)
    report = gradcheck(ig.tanh, x, backend=backend, raise_exception=False)
    assert [failure.what for failure in report.failures] == ["float32 gradient"]
    assert "the float64 gradient" in str(report)
    assert "backend='planted'" in report.rerun
    assert gradcheck(ig.tanh, x, backend=backend, dtypes=()).ok
    assert gradcheck(ig.tanh, x, dtypes=("float32", "float16")).ok


def test_what_float32_cannot_run_and_kinks_are_noted(rng: np.random.Generator) -> None:
    wide = ig.tensor(rng.normal(size=(3,)))

    def mixes(x: ig.Tensor) -> ig.Tensor:
        if x.dtype != ig.float64:
            raise ig.DTypeError("mixes: float64 only; pass float64")
        return (x * wide).sum()

    assert "float64 only" in " ".join(gradcheck(mixes, random(rng, 3)).notes)
    assert "near a kink" in " ".join(gradcheck(ig.abs, ig.tensor([0.0, 1.0])).notes)


def test_compiled_functions_are_checked(rng: np.random.Generator, backend: str) -> None:
    assert gradcheck(ig.compile(lambda x: ig.tanh(x * x)), random(rng, 3, 4)).ok
