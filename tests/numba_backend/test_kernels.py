"""Compiled kernels against float64, at sizes on both sides of every threshold, for any threads."""

import numpy as np
import pytest

import isograd as ig

pytest.importorskip("numba")

SIZES = (0, 1, 15, 16, 17, 127, 128, 129, 1023, 1024, 1025, 70_001)
UNARY = ("exp", "log", "tanh", "erf", "relu", "sigmoid", "silu", "gelu", "softplus")
STATIC = {"gelu": {"approximate": "none"}, "softplus": {"beta": 1.0, "threshold": 20.0}}


def apply(backend, name, *arrays, **static):
    with ig.use_backend(backend):
        tensors = [ig.tensor(a) for a in arrays]
        return ig.bind(ig.ops.PRIMITIVES[name], *tensors, **static).numpy()


def bounded(got, plain, exact):
    """Tell whether the error is within four times NumPy's and a few units of rounding."""
    eps = np.finfo(got.dtype).eps
    scale = np.abs(exact) + np.finfo(got.dtype).tiny
    allowed = 4 * np.abs(plain - exact) + 8 * eps * scale
    return bool((np.abs(got - exact) <= allowed).all())


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_one_array(name, dtype, rng):
    for n in SIZES:
        x = rng.standard_normal(n).astype(dtype) * 3
        if name == "log":
            x = np.abs(x) + np.asarray(1e-3, dtype)
        static = STATIC.get(name, {})
        got = apply("numba", name, x, **static)
        plain = apply("numpy", name, x, **static)
        exact = apply("numpy", name, x.astype("float64"), **static)
        assert got.dtype == x.dtype
        assert bounded(got, plain, exact), (name, n)


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "gelu", "relu", "softplus", "silu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values_are_numpys(name, dtype):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1000.0, -1000.0, 1e-40, -1e-40], dtype)
    x = np.resize(special, 4096)
    static = STATIC.get(name, {})
    np.testing.assert_allclose(
        apply("numba", name, x, **static), apply("numpy", name, x, **static), rtol=1e-6, atol=1e-44
    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 10), (64, 10), (257, 33), (5, 2049)])
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_along_either_axis(name, shape, axis, rng):
    x = (rng.standard_normal(shape) * 5).astype("float32")
    got = apply("numba", name, x, axis=axis)
    plain = apply("numpy", name, x, axis=axis)
    exact = apply("numpy", name, x.astype("float64"), axis=axis)
    scale = np.abs(exact) + (0 if name == "softmax" else 1)
    allowed = 4 * np.abs(plain - exact) + 8 * np.sqrt(shape[axis]) * np.finfo("f4").eps * scale
    assert (np.abs(got - exact) <= allowed).all()


@pytest.mark.parametrize("shape", [(1,), (1024,), (1025,), (70_001,), (300, 77), (77, 300)])
def test_sums_do_not_depend_on_threads(shape, rng):
    x = rng.standard_normal(shape).astype("float32")
    before = ig.get_num_threads()
    axes = [tuple(range(x.ndim)), (0,), (x.ndim - 1,)]
    try:
        for axis in axes:
            results = []
            for threads in (1, 2):
                with ig.use_backend("numba"):
                    ig.set_num_threads(threads)
                results.append(apply("numba", "sum", x, axis=axis, keepdims=False))
            np.testing.assert_array_equal(results[0], results[1])
            exact = x.astype("float64").sum(axis)
            scale = np.abs(x.astype("float64")).sum(axis)
            terms = x.size // max(exact.size, 1)
            assert (np.abs(results[0] - exact) <= 4 * np.sqrt(terms) * 6e-8 * scale).all()
    finally:
        ig.set_num_threads(before)


@pytest.mark.parametrize("name", ["sigmoid", "exp"])
def test_any_strides(name, rng):
    base = rng.standard_normal((130, 140)).astype("float32")
    views = {
        "transposed": base.T,
        "reversed": base[::-1, ::-1],
        "strided": base[::2, ::3],
        "zero-stride": np.broadcast_to(base[:1], base.shape),
    }
    with ig.use_backend("numba"):
        kernel = ig.get_backend("cpu").kernel(name)
    for label, view in views.items():
        np.testing.assert_array_equal(kernel(view), kernel(np.ascontiguousarray(view)), label)
