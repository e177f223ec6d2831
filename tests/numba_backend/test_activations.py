"""Elementwise kernels: every size, dtype and layout, gradients, edges, any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd.testing.tolerances import TABLE, compare
from isograd_numba import _elementwise
from isograd_numba._elementwise import SMALLEST, SMALLEST_FUSED, elementwise_kernels
from isograd_numpy.kernels import numpy_kernels

Array = Any

REFERENCE = numpy_kernels()
KERNELS = elementwise_kernels(REFERENCE)
DTYPES = ["float32", "float64"]
UNARY: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("exp", "expm1", "log", "log1p", "tanh", "erf")),
    *((name, {}) for name in ("relu", "sigmoid", "silu")),
    ("gelu", {"approximate": "none"}),
    ("gelu", {"approximate": "tanh"}),
    ("softplus", {"beta": 1.0, "threshold": 20.0}),
    ("softplus", {"beta": 0.5, "threshold": 1.0}),
]
BINARY: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("relu_grad", "sigmoid_grad", "tanh_grad", "silu_grad")),
    ("gelu_grad", {"approximate": "none"}),
    ("gelu_grad", {"approximate": "tanh"}),
]
SIZES = [0, 1, SMALLEST_FUSED - 1, SMALLEST_FUSED, SMALLEST - 1, *range(SMALLEST, SMALLEST + 18)]


def arguments(name: str, shape: Any, dtype: Any, rng: np.random.Generator) -> list[Array]:
    """Return arguments in the domain of a function; gradients of an output get an output."""
    x = rng.standard_normal(shape) * 3
    if name.startswith("log"):
        x = np.abs(x)
    if name in ("sigmoid_grad", "tanh_grad"):
        x = np.tanh(x)
    arrays = [rng.standard_normal(shape), x] if name.endswith("_grad") else [x]
    return [a.astype(dtype) for a in arrays]


def check(name: str, static: dict[str, Any], arrays: list[Array]) -> Array:
    """Compare with the NumPy kernel in float64, and errors with NumPy's; return the result."""
    before = [a.copy() for a in arrays]
    out = KERNELS[name](*arrays, **static)
    wide = [a.astype(np.float64) for a in arrays]
    exact = REFERENCE[name](*wide, **static)
    numpys = REFERENCE[name](*arrays, **static)
    # Near a zero of the derivative its terms cancel; their size is what rounding acts on.
    scale = np.abs(exact) + (np.abs(wide[0] * wide[1]) if len(wide) == 2 else 0.0)
    rule = TABLE["elementwise"]
    baseline = compare(numpys, exact, tolerance=rule, scale=scale).units
    result = compare(out, exact, tolerance=rule, scale=scale, baseline=baseline)
    assert result.ok, (name, static, result)
    assert out.dtype == arrays[0].dtype
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "static"), UNARY + BINARY)
def test_every_size(
    name: str, static: dict[str, Any], dtype: str, rng: np.random.Generator
) -> None:
    for size in SIZES:
        check(name, static, arguments(name, size, dtype, rng))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "static"), UNARY + BINARY)
def test_every_layout(
    name: str,
    static: dict[str, Any],
    dtype: str,
    rng: np.random.Generator,
    layouts: Callable[[Array], list[Array]],
) -> None:
    arrays = arguments(name, (7, 20, 11), dtype, rng)
    plain = KERNELS[name](*arrays, **static)
    views = [layouts(a) for a in arrays]
    for i, view in enumerate(views[0]):
        check(name, static, [view, *(other[i] for other in views[1:])])
        check(name, static, [view, *arrays[1:]])
        check(name, static, [*arrays[:-1], views[-1][i]])
        if np.array_equal(view, arrays[0]) and len(arrays) == 1:
            np.testing.assert_array_equal(KERNELS[name](view, **static), plain)


def test_a_permuted_array_keeps_its_layout(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 30, 20)).transpose(0, 2, 1)
    assert KERNELS["tanh"](x).strides == x.strides
    assert KERNELS["relu_grad"](x.copy("K"), x).strides == x.strides


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "static"), UNARY + BINARY)
def test_threads_do_not_change_bits(
    name: str,
    static: dict[str, Any],
    dtype: str,
    rng: np.random.Generator,
    for_any_threads: Callable[[Callable[[], Any]], Any],
) -> None:
    arrays = arguments(name, 3 * (1 << 16) + 5, dtype, rng)
    out = for_any_threads(lambda: KERNELS[name](*arrays, **static))
    head = KERNELS[name](*(a[:2048] for a in arrays), **static)
    np.testing.assert_array_equal(out[:2048], head)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "static"), UNARY + BINARY)
def test_edge_values_are_those_of_the_reference(
    name: str, static: dict[str, Any], dtype: str
) -> None:
    tiny = float(np.finfo(dtype).smallest_subnormal)
    edges = [0.0, -0.0, tiny, -tiny, 1.0, -1.0, 30.0, -30.0, 1e3, -1e3, np.inf, -np.inf, np.nan]
    x = np.resize(np.array(edges, dtype), 13 * 101)
    arrays = [np.ones_like(x), x] if name.endswith("_grad") else [x]
    with np.errstate(all="ignore"):
        out = KERNELS[name](*arrays, **static)
        expected = REFERENCE[name](*arrays, **static)
        np.testing.assert_allclose(
            out, expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=4 * tiny
        )
    if name.startswith("relu"):
        np.testing.assert_array_equal(
            np.signbit(out[out == 0]), np.signbit(expected[expected == 0])
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_stable_far_from_zero(dtype: str) -> None:
    x = np.resize(np.array([1000.0, -1000.0], dtype), 2048)
    np.testing.assert_array_equal(KERNELS["sigmoid"](x)[:2], [1, 0])
    np.testing.assert_array_equal(KERNELS["silu"](x)[:2], [1000, 0])
    np.testing.assert_array_equal(KERNELS["softplus"](x, beta=1.0, threshold=1e9)[:2], [1000, 0])


def test_relu_keeps_nan_and_has_gradient_zero_at_zero() -> None:
    x = np.resize(np.array([np.nan, -0.0, 0.0, -2.0, 3.0], np.float32), 500)
    out = KERNELS["relu"](x)[:5]
    np.testing.assert_array_equal(out, [np.nan, 0, 0, 0, 3])
    assert not np.signbit(out[1])
    gradient = KERNELS["relu_grad"](np.full(500, np.inf, np.float32), x)[:5]
    np.testing.assert_array_equal(gradient, [np.inf, 0, 0, 0, np.inf])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["relu", "relu_grad", "sigmoid_grad", "tanh_grad"])
def test_what_ieee_fixes_has_numpys_bits(name: str, dtype: str, rng: np.random.Generator) -> None:
    arrays = arguments(name, 5000, dtype, rng)
    x = KERNELS[name](*arrays)
    expected = REFERENCE[name](*arrays)
    if name in ("relu", "relu_grad"):
        np.testing.assert_array_equal(x, expected)
    else:  # NumPy's kernel multiplies in another order
        np.testing.assert_allclose(x, expected, rtol=2 * np.finfo(dtype).eps)


def test_other_dtypes_and_small_arrays_go_to_the_reference() -> None:
    calls: list[str] = []

    def spy(name: str) -> Callable[..., Array]:
        def kernel(*arrays: Array, **static: Any) -> Array:
            calls.append(name)
            return REFERENCE[name](*arrays, **static)

        return kernel

    kernels = elementwise_kernels({name: spy(name) for name in REFERENCE})
    half = np.linspace(-3, 3, 4096).astype(np.float16)
    swapped = np.linspace(-3, 3, 4096).astype(">f4")
    assert kernels["exp"](half).dtype == np.float16
    np.testing.assert_allclose(kernels["exp"](swapped), np.exp(swapped), rtol=1e-6)
    kernels["gelu"](np.ones(3), approximate="none")
    assert calls == ["exp", "exp", "gelu"]
    kernels["gelu"](np.ones(SMALLEST_FUSED), approximate="none")
    kernels["exp"](np.ones(SMALLEST))
    assert len(calls) == 3


def test_no_compilation_for_small_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_elementwise, "_GELU", {})
    assert KERNELS["gelu"](np.ones(SMALLEST_FUSED - 1), approximate="none").size
    with pytest.raises(KeyError):
        KERNELS["gelu"](np.ones(SMALLEST_FUSED), approximate="none")
