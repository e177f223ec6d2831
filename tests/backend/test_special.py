"""The special functions against 40 digits, and where they are infinite, zero or not a number."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import mpmath
import numpy as np
import pytest

import isograd as ig
from isograd.backend.gamma import cotangent_polynomial

EPS = 2.0**-52


def _lgamma(x: Any) -> Any:
    return mpmath.re(mpmath.loggamma(x)) if x > 0 else mpmath.log(abs(mpmath.gamma(x)))


def _polygamma(n: int) -> Callable[[Any], Any]:
    return lambda x: mpmath.psi(n, x)


def errors(function: Any, right: Any, slope: Any, xs: np.ndarray) -> np.ndarray:
    """Return errors in units of rounding the result, and x where there is a slope."""
    values = function(ig.tensor(xs)).tolist()
    out: list[float] = []
    with mpmath.workdps(40):
        for x, value in zip(xs.tolist(), values, strict=True):
            exact = right(mpmath.mpf(x))
            scale = abs(exact) + (abs(x * slope(mpmath.mpf(x))) if slope else 0)
            out.append(float(abs(mpmath.mpf(value) - exact) / scale) / EPS)
    return np.array(out)


def positive(rng: np.random.Generator) -> np.ndarray:
    root = 1.4616321449683622
    return np.concatenate(
        [
            rng.uniform(0.0, 12.0, 250),
            np.exp(rng.uniform(-40.0, 40.0, 100)),
            *(point + rng.uniform(-1e-3, 1e-3, 20) for point in (1.0, 2.0, root)),
            [0.5, 1.2, 1.5, 1.7, 2.5, 10.0, np.nextafter(1.5, 0), 1 + EPS, 2 - EPS, root],
        ]
    )


def negative(rng: np.random.Generator) -> np.ndarray:
    return -np.concatenate([rng.uniform(0.0, 15.0, 250), np.exp(rng.uniform(-40.0, 4.0, 60))])


ACCURATE: tuple[tuple[str, Any, Any, Any, float], ...] = (
    ("lgamma", ig.lgamma, _lgamma, mpmath.digamma, 4.0),
    ("digamma", ig.digamma, mpmath.digamma, _polygamma(1), 4.0),
    *(
        (f"polygamma {n}", lambda x, n=n: ig.polygamma(n, x), _polygamma(n), _polygamma(n + 1), 6.0)
        for n in (1, 2, 3, 6)
    ),
)


@pytest.mark.parametrize(("name", "function", "right", "slope", "most"), ACCURATE)
def test_gamma_functions_have_all_digits(
    name: str, function: Any, right: Any, slope: Any, most: float, rng: np.random.Generator
) -> None:
    assert errors(function, right, None, positive(rng)).max() < most
    assert errors(function, right, slope, negative(rng)).max() < 8.0


def test_erfinv_has_all_digits(rng: np.random.Generator) -> None:
    xs = np.concatenate(
        [
            rng.uniform(-1.0, 1.0, 300),
            1.0 - np.exp(rng.uniform(-36.0, 0.0, 100)),
            np.exp(rng.uniform(-700.0, 0.0, 100)),
            [0.85, np.nextafter(0.85, 1), 1.0 - EPS / 2],
        ]
    )
    assert errors(ig.erfinv, mpmath.erfinv, None, xs).max() < 4.0


def test_erfc_has_all_digits(rng: np.random.Generator) -> None:
    xs = np.concatenate([rng.uniform(-6.0, 26.0, 400), [0.46875, 4.0, 1e-300]])
    assert errors(ig.erfc, mpmath.erfc, None, xs).max() < 6.0


@pytest.mark.parametrize("name", ["lgamma", "digamma", "erfinv"])
def test_float32_is_rounded_once(name: str, rng: np.random.Generator) -> None:
    x = rng.uniform(-0.99, 0.99, 4000).astype(np.float32)
    function = getattr(ig, name)
    wide = function(ig.tensor(x.astype(np.float64))).numpy().astype(np.float32)
    np.testing.assert_array_equal(function(ig.tensor(x)).numpy(), wide)


POINTS = [0.0, -0.0, 1.0, 2.0, -1.0, -2.0, inf, -inf, nan]
EDGES = {
    "lgamma": (ig.lgamma, [inf, inf, 0.0, 0.0, inf, inf, inf, inf, nan]),
    "digamma": (
        ig.digamma,
        [-inf, inf, -0.5772156649015329, 0.42278433509846713, nan, nan, inf, nan, nan],
    ),
    "trigamma": (
        lambda x: ig.polygamma(1, x),
        [inf, inf, np.pi**2 / 6, np.pi**2 / 6 - 1, inf, inf, 0.0, nan, nan],
    ),
    "tetragamma": (
        lambda x: ig.polygamma(2, x),
        [-inf, inf, -2.4041138063191886, -0.4041138063191886, nan, nan, -0.0, nan, nan],
    ),
    "erfc": (
        ig.erfc,
        [
            *(1.0, 1.0, 0.15729920705028513, 0.004677734981047266),
            *(1.8427007929497148, 1.9953222650189528, 0.0, 2.0, nan),
        ],
    ),
    "erfinv": (ig.erfinv, [0.0, -0.0, inf, nan, -inf, nan, nan, nan, nan]),
    "sinc": (ig.sinc, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, nan, nan, nan]),
    "exp2": (ig.exp2, [1.0, 1.0, 2.0, 4.0, 0.5, 0.25, inf, 0.0, nan]),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", EDGES)
def test_poles_infinities_and_zeros(name: str, dtype: str, backend: str) -> None:
    function, right = EDGES[name]
    x = ig.tensor(np.array(POINTS), dtype=dtype)
    rtol = 4 * np.finfo(dtype).eps
    for call in (function, ig.compile(function)):
        value = call(x).numpy()
        np.testing.assert_allclose(value, right, rtol=rtol, atol=0)
        if name not in ("sinc", "lgamma"):
            zero = np.array(right) == 0
            np.testing.assert_array_equal(
                np.signbit(value[zero]), np.signbit(np.array(right)[zero])
            )


def test_a_product_with_a_logarithm_is_0_at_0(backend: str) -> None:
    x = ig.tensor([0.0, 0.0, 0.0, 0.0, 2.0], requires_grad=True)
    y = ig.tensor([0.0, 2.0, -1.0, inf, 1.0], requires_grad=True)
    out = ig.xlogy(x, y)
    np.testing.assert_array_equal(out.numpy(), np.zeros(5))
    out.sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [0, np.log(2), 0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(y.grad.numpy(), [0, 0, 0, 0, 2])
    assert np.isnan(ig.xlogy(ig.tensor(0.0), nan).item())


def test_sinc_is_smooth_at_0(backend: str) -> None:
    x = ig.tensor(np.array([0.0, 1e-9, 0.25, 0.5, 1.0]))
    slope = ig.grad(lambda t: ig.sinc(t).sum())
    right = [0.0, -(np.pi**2) / 3 * 1e-9, -0.7728381398822338, -4 / np.pi, -1.0]
    np.testing.assert_allclose(slope(x).numpy(), right, rtol=1e-12)
    bend = ig.grad(lambda t: slope(t).sum())(x).numpy()
    np.testing.assert_allclose(bend[:2], -(np.pi**2) / 3, rtol=1e-12)


def test_what_is_left_out_has_no_derivative(backend: str) -> None:
    x = ig.tensor([1.0, nan, 3.0, 4.0])
    for function, right in (
        (ig.nansum, [1, 0, 1, 1]),
        (ig.nanmean, [1 / 3, 0, 1 / 3, 1 / 3]),
        (ig.nanmax, [0, 0, 0, 1]),
        (ig.nanmin, [1, 0, 0, 0]),
        (lambda t: ig.nanvar(t), [-10 / 9, 0, 2 / 9, 8 / 9]),
        (lambda t: ig.nan_to_num(t).sum(), [1, 0, 1, 1]),
    ):
        np.testing.assert_allclose(ig.grad(function)(x).numpy(), right, rtol=1e-6)
    np.testing.assert_array_equal(ig.grad(ig.nanstd)(ig.tensor([2.0, nan, 2.0])).numpy(), [0, 0, 0])


def test_reductions_of_nothing_but_nan() -> None:
    x = ig.tensor([[nan, nan], [1.0, nan]])
    assert ig.nansum(x, axis=1).tolist() == [0.0, 1.0]
    for function in (ig.nanmean, ig.nanmax, ig.nanmin):
        np.testing.assert_array_equal(function(x, axis=1).numpy(), [nan, 1.0])
    np.testing.assert_array_equal(ig.nanvar(x, axis=1, correction=1).numpy(), [nan, nan])


def test_the_median_sends_its_gradient_to_what_was_chosen(backend: str) -> None:
    slope = ig.grad(lambda t: ig.median(t))
    assert slope(ig.tensor([5.0, 1.0, 3.0])).tolist() == [0.0, 0.0, 1.0]
    assert slope(ig.tensor([5.0, 1.0, 3.0, 4.0])).tolist() == [0.0, 0.0, 0.5, 0.5]
    assert slope(ig.tensor([2.0, 2.0, 2.0])).tolist() == [0.0, 1.0, 0.0]
    assert np.isnan(ig.median(ig.tensor([1.0, nan, 2.0])).item())


def test_orders_that_do_not_exist() -> None:
    for n in (-1, 1.5):
        with pytest.raises(ValueError, match="polygamma: n is"):
            ig.polygamma(n, ig.ones(1))  # type: ignore[arg-type]
    assert ig.polygamma(0, ig.ones(1)).tolist() == ig.digamma(ig.ones(1)).tolist()


def test_derivatives_of_the_cotangent() -> None:
    assert cotangent_polynomial(1) == (-1.0, 0.0, -1.0)
    assert cotangent_polynomial(3) == (-2.0, 0.0, -8.0, 0.0, -6.0)


# -- torch -----------------------------------------------------------------------------------------

AGAINST_TORCH = {
    "erfc": (lambda f, x: f.erfc(x), (-2.0, 2.0)),
    "erfinv": (lambda f, x: f.erfinv(x), (-0.9, 0.9)),
    "lgamma": (lambda f, x: f.lgamma(x), (0.2, 6.0)),
    "digamma": (lambda f, x: f.digamma(x), (0.2, 6.0)),
    "trigamma": (lambda f, x: f.polygamma(1, x), (0.2, 6.0)),
    "xlogy": (lambda f, x: f.xlogy(x, x * x + 0.5), (0.1, 3.0)),
    "sinc": (lambda f, x: f.sinc(x), (-3.0, 3.0)),
    "exp2": (lambda f, x: f.exp2(x), (-3.0, 3.0)),
    "logaddexp2": (lambda f, x: f.logaddexp2(x, 1.0 - x), (-3.0, 3.0)),
    "nan_to_num": (lambda f, x: f.nan_to_num(x) ** 2, (-3.0, 3.0)),
    "nansum": (lambda f, x: f.nansum(x * x), (-3.0, 3.0)),
    "deg2rad": (lambda f, x: f.deg2rad(x) ** 2, (-3.0, 3.0)),
    "rad2deg": (lambda f, x: f.rad2deg(x) ** 2, (-3.0, 3.0)),
    "diff": (lambda f, x: f.diff(x, n=2) ** 2, (-3.0, 3.0)),
    "hstack": (lambda f, x: f.hstack([x, 2.0 * x]) ** 2, (-3.0, 3.0)),
    "vstack": (lambda f, x: f.vstack([x, 2.0 * x]) ** 2, (-3.0, 3.0)),
    "column_stack": (lambda f, x: f.column_stack([x, x * x]) ** 2, (-3.0, 3.0)),
    "swapaxes": (lambda f, x: f.swapaxes(f.reshape(x, (4, 10)), 0, 1) ** 2, (-3.0, 3.0)),
    "log softmax, long hand": (lambda f, x: x - f.logaddexp2(x, f.exp2(x)), (-2.0, 2.0)),
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", AGAINST_TORCH)
def test_values_and_two_derivatives_are_as_in_torch(
    name: str, rng: np.random.Generator, backend: str
) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    call, (low, high) = AGAINST_TORCH[name]
    host = rng.uniform(low, high, 40)
    t = torch.tensor(host, requires_grad=True)
    value = call(torch, t)
    (first,) = torch.autograd.grad(value.sum(), t, create_graph=True)
    (second,) = torch.autograd.grad((first * torch.cos(t)).sum(), t, allow_unused=True)
    x = ig.tensor(host)
    slope = ig.grad(lambda u: call(ig, u).sum())
    bend = ig.grad(lambda u: (slope(u) * ig.cos(u)).sum())
    # torch's trigamma has nine digits.
    rtol = 1e-8 if "gamma" in name else 1e-11
    np.testing.assert_allclose(call(ig, x).numpy(), value.detach().numpy(), rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(slope(x).numpy(), first.detach().numpy(), rtol=rtol, atol=1e-10)
    if second is not None:
        np.testing.assert_allclose(bend(x).numpy(), second.numpy(), rtol=1e-8, atol=1e-8)
