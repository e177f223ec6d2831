"""The scalar functions: their stated bounds over dense samples, and every edge value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd_numba import _math
from isograd_numba._elementwise import _unary

mpmath = pytest.importorskip("mpmath")
special = pytest.importorskip("scipy.special")

Array = Any


def _sigmoid(x: Array) -> Array:
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


@dataclass(frozen=True)
class Case:
    """One function: its references, the bound that its docstring states, and where that holds."""

    single: Callable[[Array], Array]
    exact: Callable[[Any], Any]
    ulp: float
    low: float = -np.inf
    low64: float = -np.inf


def _mp_cdf(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def _mp_gelu_tanh(x: Any) -> Any:
    z = mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)
    return x / (1 + mpmath.exp(-2 * z))


CASES = {
    "exp": Case(np.exp, mpmath.exp, 1.1),
    "expm1": Case(np.expm1, mpmath.expm1, 1.8),
    "tanh": Case(np.tanh, mpmath.tanh, 2.6),
    "sigmoid": Case(_sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), 2.8),
    "silu": Case(lambda x: x * _sigmoid(x), lambda x: x / (1 + mpmath.exp(-x)), 3.4, -86, -700),
    "softplus": Case(
        lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
        lambda x: mpmath.log1p(mpmath.exp(x)),
        2.6,
    ),
    "log": Case(np.log, mpmath.log, 0.9, 0.0, 0.0),
    "log1p": Case(np.log1p, mpmath.log1p, 0.9, -1.0, -1.0),
    "erf": Case(special.erf, mpmath.erf, 1.5),
    "gauss": Case(lambda x: np.exp(-x * x / 2), lambda x: mpmath.exp(-x * x / 2), 1.3),
    "gelu": Case(lambda x: x * special.ndtr(x), lambda x: x * _mp_cdf(x), 6.5, -12, -37),
    "gelu_tanh": Case(
        lambda x: x * _sigmoid(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)),
        _mp_gelu_tanh,
        8.0,
        -1.0,
        -1.0,
    ),
}


@functools.cache
def _kernel(name: str) -> Any:
    return _unary(getattr(_math, name), 1 << 13)


def evaluate(name: str, x: Array) -> Array:
    """Apply a function to each number of a contiguous array, compiled."""
    out = np.empty_like(x)
    _kernel(name)[x.dtype](x.size, x, out)
    return out


@pytest.mark.parametrize("name", CASES)
def test_float32_is_within_its_bound_over_the_whole_range(name: str) -> None:
    rng = np.random.default_rng(0)
    every = np.arange(0, 2**32, 6007, dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = (rng.standard_normal(100_000) * 3, rng.uniform(-110, 110, 100_000))
    x = np.concatenate([every[np.isfinite(every)], *(part.astype(np.float32) for part in usual)])
    case = CASES[name]
    x = x[x > case.low]
    out = evaluate(name, x).astype(np.float64)
    with np.errstate(all="ignore"):
        reference = case.single(x.astype(np.float64))
        in_range = np.abs(reference) < np.finfo(np.float32).max
        exponent = np.maximum(np.frexp(reference)[1] - 1, -126)
        error = np.where(in_range, np.abs(out - reference) / np.exp2(exponent - 23.0), 0.0)
        beyond = out == reference.astype(np.float32)
    assert np.max(error) <= case.ulp, x[np.argmax(error)]
    assert np.all(in_range | beyond)


@pytest.mark.parametrize("name", CASES)
def test_float64_is_within_its_bound(name: str) -> None:
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], 150)
    x = np.concatenate(
        [
            rng.standard_normal(300) * 3,
            rng.uniform(-60, 60, 150),
            rng.uniform(-745, 709, 150),
            np.exp2(rng.uniform(-1074, 9, 150)) * signs,
            rng.uniform(-2, 2, 300),
        ]
    )
    case = CASES[name]
    x = x[x > case.low64]
    out = evaluate(name, x)
    with mpmath.workdps(45):
        for number, value in zip(x.tolist(), out.tolist(), strict=True):
            reference = case.exact(mpmath.mpf(number))
            exponent = max(int(mpmath.frexp(reference)[1]) - 1, -1022)
            unit = mpmath.ldexp(1, exponent - 52)
            assert abs(mpmath.mpf(value) - reference) <= case.ulp * unit, number


INF, NAN = np.inf, np.nan
POINTS = [0.0, -0.0, INF, -INF, NAN]
EDGES: dict[str, list[float]] = {
    "exp": [1.0, 1.0, INF, 0.0, NAN],
    "expm1": [0.0, -0.0, INF, -1.0, NAN],
    "tanh": [0.0, -0.0, 1.0, -1.0, NAN],
    "sigmoid": [0.5, 0.5, 1.0, 0.0, NAN],
    "silu": [0.0, -0.0, INF, NAN, NAN],
    "softplus": [np.log(2.0), np.log(2.0), INF, 0.0, NAN],
    "log": [-INF, -INF, INF, NAN, NAN],
    "log1p": [0.0, -0.0, INF, NAN, NAN],
    "erf": [0.0, -0.0, 1.0, -1.0, NAN],
    "gauss": [1.0, 1.0, 0.0, 0.0, NAN],
    "gelu": [0.0, -0.0, INF, NAN, NAN],
    "gelu_tanh": [0.0, -0.0, INF, NAN, NAN],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EDGES)
def test_zeros_infinities_and_nan(name: str, dtype: str) -> None:
    # More points than a vector register holds, and a rest that does not fill one.
    x = np.resize(np.array(POINTS, dtype), 37)
    expected = np.resize(np.array(EDGES[name], dtype), 37)
    out = evaluate(name, x)
    np.testing.assert_array_equal(out, expected)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(out[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exp_overflows_and_underflows_where_it_should(dtype: str) -> None:
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        for edge in (
            np.log(np.longdouble(info.max)),
            np.log(np.longdouble(info.smallest_subnormal)),
        ):
            x = np.asarray(edge, dtype) + np.arange(-40, 41).astype(dtype) * np.spacing(
                np.asarray(edge, dtype)
            )
            out, reference = evaluate("exp", x), np.exp(x.astype(np.longdouble))
            finite = reference < info.max
            np.testing.assert_array_equal(np.isinf(out), ~finite)
            near = np.abs(out[finite] - reference[finite])
            unit = np.spacing(np.minimum(reference[finite], info.max).astype(dtype))
            assert np.all(near <= 1.1 * unit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["tanh", "expm1", "log1p", "erf"])
def test_subnormal_arguments_are_kept(name: str, dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.arange(-40, 41).astype(dtype) * info.smallest_subnormal
    factor = 2 / np.sqrt(np.pi) if name == "erf" else 1.0
    expected = np.rint(np.arange(-40, 41) * factor).astype(dtype) * info.smallest_subnormal
    assert np.max(np.abs(evaluate(name, x) - expected)) <= info.smallest_subnormal


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithms_of_subnormal_numbers_and_below_the_domain(dtype: str) -> None:
    info = np.finfo(dtype)
    tiny = np.array([1, 2, 3, 1000], dtype) * info.smallest_subnormal
    expected = [float(mpmath.log(mpmath.mpf(float(t)))) for t in tiny]
    np.testing.assert_allclose(evaluate("log", tiny), expected, rtol=2 * info.eps)
    below = np.array([-info.smallest_subnormal, -1.0, -INF], dtype)
    assert np.all(np.isnan(evaluate("log", below)))
    np.testing.assert_array_equal(
        evaluate("log1p", np.array([-1.0, -1.5, -INF], dtype)), [-INF, NAN, NAN]
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["gelu_slope", "gelu_tanh_slope", "silu_slope"])
def test_slopes_are_derivatives(name: str, dtype: str) -> None:
    x = np.linspace(-20, 20, 401).astype(dtype)
    function = CASES[name.removesuffix("_slope")].exact
    with mpmath.workdps(40):
        reference = [float(mpmath.diff(function, mpmath.mpf(float(v)))) for v in x]
    scale = 1 + np.abs(x)
    error = np.abs(evaluate(name, x) - np.array(reference))
    assert np.all(error <= 4 * np.finfo(dtype).eps * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slopes_far_out_are_one_and_zero(dtype: str) -> None:
    x = np.array([50.0, 1000.0, 1e20, 1e30], dtype)
    for name in ("gelu_slope", "gelu_tanh_slope", "silu_slope"):
        np.testing.assert_array_equal(evaluate(name, x), np.ones(4, dtype))
        np.testing.assert_array_equal(np.abs(evaluate(name, -x * 20)), np.zeros(4, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scalar_and_vector_code_give_the_same_bits(dtype: str, rng: np.random.Generator) -> None:
    x = (rng.standard_normal(67) * 5).astype(dtype)
    for name in CASES:
        whole = evaluate(name, np.abs(x))
        one_by_one = [evaluate(name, np.abs(x[i : i + 1]))[0] for i in range(x.size)]
        np.testing.assert_array_equal(whole, one_by_one)
