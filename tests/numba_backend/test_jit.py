"""Compiled kernels: what they accept, what they compute, what they refuse."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd_numba import _jit
from isograd_numba._jit import FLOATS, INDEX, by_dtype, compiled, inlined
from isograd_numba._signature import Argument, parse

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
OFFSET = by_dtype(float32=np.float32(0.25), float64=np.float64(0.5))


@inlined
def _shifted(x: Any) -> Any:
    return x * x + OFFSET


@compiled("T[::1], float64, T[::1]", T=FLOATS, grain=1000)
def _poly(start: int, stop: int, x: Any, scale: Any, out: Any) -> None:
    for i in range(start, stop):
        out[i] = _shifted(x[i]) * scale


@compiled("T[::1], T[::1], T[::1], T[::1]", T=FLOATS)
def _mul_add(start: int, stop: int, x: Any, y: Any, z: Any, out: Any) -> None:
    for i in range(start, stop):
        out[i] = x[i] * y[i] + z[i]


@compiled("float64[:, :], int64, T[::1], float64[:, ::1]", T=INDEX)
def _gather(start: int, stop: int, x: Any, column: int, rows: Any, out: Any) -> None:
    for i in range(start, stop):
        out[i, 0] = x[rows[i], column]
        out[i, 1] = 1.0 if math.isnan(out[i, 0]) else 0.0


def test_a_specialisation_for_each_dtype() -> None:
    for dtype, offset in ((F32, 0.25), (F64, 0.5)):
        x = np.linspace(-2, 2, 1237).astype(dtype)
        x.flags.writeable = False
        out = np.empty_like(x)
        _poly[dtype](x.size, x, 2.0, out)
        np.testing.assert_array_equal(out, ((x * x + dtype.type(offset)) * 2).astype(dtype))


def test_kernels_of_integers_take_signed_and_strided_arguments() -> None:
    x = np.arange(60.0).reshape(5, 12)[::-1, ::3].T
    x_nan = np.where(x == 1, np.nan, x)
    for dtype in INDEX:
        rows = np.array([3, 0, 1], dtype)
        out = np.empty((3, 2))
        _gather[np.dtype(dtype)](3, x, 4, rows, out)
        np.testing.assert_array_equal(out[:, 0], x[rows, 4])
        _gather[dtype](3, x_nan[:, ::-1], 1, rows, out)
        np.testing.assert_array_equal(out[:, 1], np.isnan(x_nan[:, ::-1][rows, 1]))


def test_an_unknown_dtype_is_a_readable_error() -> None:
    with pytest.raises(TypeError, match=r"_poly: no kernel for \('float16',\)"):
        _poly[np.dtype(np.float16)]


@pytest.mark.parametrize(
    ("x", "out"),
    [
        (np.zeros(4), np.zeros(4, F32)),
        (np.zeros((4, 1), F32), np.zeros(4, F32)),
        (np.zeros(8, F32)[::2], np.zeros(4, F32)),
        (np.zeros(4, F32), np.zeros(4, F32).astype(">f4")),
        (np.frombuffer(b"\0" * 17, np.uint8)[1:].view(F32), np.zeros(4, F32)),
        ([0.0] * 4, np.zeros(4, F32)),
        (np.ma.zeros(4, F32), np.zeros(4, F32)),
    ],
    ids=["dtype", "ndim", "strides", "byte order", "unaligned", "list", "subclass"],
)
def test_arguments_that_do_not_fit_raise_and_write_nothing(x: Any, out: Any) -> None:
    with pytest.raises(TypeError, match=r"poly\[float32\]: the arguments"):
        _poly[F32](4, x, 1.0, out)
    assert not np.any(out)


def test_scalars_that_do_not_fit_raise() -> None:
    x = np.ones(3, F32)
    with pytest.raises(TypeError, match="the arguments"):
        _poly[F32](3, x, x)
    with pytest.raises(TypeError, match="real number"):
        _poly[F32](3, x, "2", np.empty_like(x))
    with pytest.raises(OverflowError):
        _poly[F32](2**70, x, 1.0, np.empty_like(x))
    out = np.empty_like(x)
    _poly[F32](np.int64(3), x, np.float32(2), out)
    np.testing.assert_array_equal(out, np.full(3, 2.5, F32))


@pytest.mark.parametrize("n", [0, -1])
def test_no_items_write_nothing(n: int) -> None:
    out = np.full(3, 7, F32)
    _poly[F32](n, np.ones(3, F32), 1.0, out)
    np.testing.assert_array_equal(out, [7, 7, 7])


@pytest.mark.parametrize("dtype", [F32, F64])
def test_products_are_rounded_before_they_are_added(
    dtype: np.dtype[Any], rng: np.random.Generator
) -> None:
    """No silent FMA, in whole vectors or in the rest: every element has NumPy's bits."""
    x, y = (rng.standard_normal(1003).astype(dtype) for _ in range(2))
    z = -(x * y)
    out = np.empty_like(x)
    _mul_add[dtype](x.size, x, y, z, out)
    np.testing.assert_array_equal(out, np.zeros_like(x))
    z = rng.standard_normal(1003).astype(dtype)
    _mul_add[dtype](x.size, x, y, z, out)
    np.testing.assert_array_equal(out, x * y + z)


def test_nan_inf_and_signed_zero_are_kept() -> None:
    x = np.array([np.nan, np.inf, -0.0, 5e-324, -np.inf] * 9)
    one, out = np.ones_like(x), np.empty_like(x)
    _mul_add[F64](x.size, x, one, np.full_like(x, -0.0), out)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(np.signbit(out), np.signbit(x))


@pytest.mark.parametrize("flag", ["fast", "nnan", "ninf"])
def test_flags_that_break_nan_or_inf_are_refused(flag: str) -> None:
    with pytest.raises(ValueError, match=flag):
        compiled("T[::1]", flags={"contract", flag}, T=FLOATS)


def _print(function: Any, dtype: str = "float32") -> str:
    import hashlib

    digest = hashlib.sha256()
    _jit._fingerprint(function, dtype, digest)
    return digest.hexdigest()


def test_the_key_depends_on_everything_that_a_kernel_names() -> None:
    def make(constant: Any, helper: Any) -> Any:
        def kernel(start: int, stop: int, out: Any) -> None:
            for i in range(start, stop):
                out[i] = helper(out[i]) + constant

        return kernel

    twice = inlined(lambda x: x + x)
    thrice = inlined(lambda x: x + x + x)
    keys = {
        _print(make(1.0, twice)),
        _print(make(2.0, twice)),
        _print(make(1.0, thrice)),
        _print(make(np.float32(1), twice)),
        _print(make(OFFSET, twice), "float32"),
        _print(make(OFFSET, twice), "float64"),
        _print(make(np.arange(3), twice)),
        _print(make(np.arange(4), twice)),
    }
    assert len(keys) == 8
    assert _print(make(1.0, twice)) in keys


def test_a_kernel_cannot_reach_through_a_module_of_ours() -> None:
    """Its functions would not be resolved, nor be part of the key."""

    def kernel(start: int, stop: int, out: Any) -> None:
        out[start] = _jit.FLOATS

    with pytest.raises(TypeError, match="import what it uses of _jit by its own name"):
        _print(kernel)


def test_signatures() -> None:
    assert parse("T[:, ::1], int64, float64[:]", {"T": "float32"}) == [
        Argument("float32", 2, contiguous=True),
        Argument("int64", None, contiguous=True),
        Argument("float64", 1, contiguous=False),
    ]
    with pytest.raises(ValueError, match="cannot read"):
        parse("T[", {"T": "float32"})


def test_importing_and_creating_the_backend_does_not_import_numba() -> None:
    program = (
        "import sys, isograd_numba; backend = isograd_numba.create(); backend.kernel('matmul');"
        "sys.exit(sum(name in sys.modules for name in ('numba', 'llvmlite')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
