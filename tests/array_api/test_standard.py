"""Every name of the standard: it is there with its signature, or missing for a reason."""

from __future__ import annotations

import math

import numpy as np
import pytest

import isograd as ig
from isograd.core import dtypes
from isograd.testing import array_api

#: Two dtypes of which neither holds the other's numbers, where there are two.
HALVES = ("float16", "bfloat16") if dtypes.bfloat16() is not None else ("float16", "float32")
FOUND = [row for row in array_api.ROWS if row.found() is not None]


@pytest.mark.parametrize("row", FOUND, ids=lambda row: row.name)
def test_the_signature_takes_what_the_standard_allows(row: array_api.Row) -> None:
    assert array_api.misfits(row) == []


def test_a_signature_that_does_not_fit_is_seen() -> None:
    assert array_api.misfits(array_api.Row("x", "abs", "(x1, /, *, axis=None)")) == [
        "there is no axis"
    ]
    assert array_api.misfits(array_api.Row("x", "sum", "(x, axis, /, *, keepdims=True)")) == [
        "axis cannot be passed as argument 1",
        "keepdims is False by default, not True",
    ]


def test_every_name_is_there() -> None:
    missing = [row.name for row in array_api.ROWS if row.found() is None]
    missing += [name for name in array_api.CONSTANTS if not hasattr(ig, name)]
    missing += [name for name in array_api.DTYPES if not hasattr(ig, name)]
    missing += [name for name in array_api.METHODS if not hasattr(ig.Tensor, name)]
    assert missing == []
    assert not [name for name in array_api.ATTRIBUTES if not hasattr(ig.Tensor, name)]


LINALG = [row for row in array_api.ROWS if row.name.startswith("linalg.")]
#: Arguments of functions of more than one matrix.
OTHERS = {"solve": 2, "matmul": 2, "tensordot": 2, "vecdot": 2}


@pytest.mark.parametrize("row", LINALG, ids=lambda row: row.name)
def test_the_list_says_which_functions_refuse_complex_matrices(row: array_api.Row) -> None:
    z = ig.tensor(np.array([[2.0, 1.0j], [-1.0j, 3.0]]))
    vector = ig.tensor(np.array([1.0, 2.0j, 3.0]))
    name = row.name.partition(".")[2]
    args = {"outer": (vector, vector), "cross": (vector, vector), "matrix_power": (z, 3)}
    given = args.get(name, (z,) * OTHERS.get(name, 1))
    limit = array_api.limit_of(row.name)
    line = next(t for t in array_api.list_as_markdown().split("\n") if f"`{row.name}`" in t)
    if limit is None:
        row.found()(*given)
        assert line.endswith("| yes |")
    else:
        with pytest.raises(ig.DTypeError, match="real numbers"):
            row.found()(*given)
        assert limit in line


def test_numbers() -> None:
    assert (ig.e, ig.pi, ig.inf, ig.newaxis) == (math.e, math.pi, math.inf, None)
    assert math.isnan(ig.nan)


# -- what a namespace is asked ---------------------------------------------------------------------


def test_the_namespace_of_a_tensor_is_isograd() -> None:
    x = ig.ones(2)
    assert x.__array_namespace__() is ig
    assert x.__array_namespace__(api_version="2024.12") is ig
    assert ig.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match=r"does not follow version '2019\.01'"):
        x.__array_namespace__(api_version="2019.01")


def test_inspection() -> None:
    info = ig.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": True,
        "data-dependent shapes": True,
        "max dimensions": 64,
    }
    assert info.default_device() == ig.device("cpu")
    assert info.default_device() in info.devices()
    assert info.default_dtypes()["real floating"] == ig.float32
    assert info.default_dtypes(device="cpu")["indexing"] == ig.int64
    assert set(info.dtypes(kind="integral")) == {
        *("int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
    }
    assert set(info.dtypes(kind=("bool", "real floating"))) == {"bool", "float32", "float64"}
    assert set(info.dtypes(kind="complex floating")) == {"complex64", "complex128"}
    assert info.default_dtypes()["complex floating"] == ig.complex64
    assert set(info.dtypes()) >= {"bool", "int8", "float32"}
    for name, dtype in info.dtypes().items():
        assert ig.zeros(2, dtype=dtype).dtype == dtype == getattr(ig, name)


def test_as_many_axes_as_promised() -> None:
    x = ig.ones((1,) * ig.__array_namespace_info__().capabilities()["max dimensions"])
    assert (x + x).ndim == 64


def test_limits_are_python_numbers() -> None:
    info = ig.finfo(ig.ones(1, dtype="float64"))
    assert type(info.eps) is type(info.max) is type(info.smallest_normal) is float
    assert (info.bits, info.eps, info.dtype) == (64, 2.0**-52, ig.float64)
    assert info.tiny == info.smallest_normal == np.finfo(np.float64).tiny
    limits = ig.iinfo("uint8")
    assert (limits.bits, limits.max, limits.min, limits.dtype) == (8, 255, 0, ig.uint8)


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ((ig.int8, ig.uint8), "int16"),
        ((ig.float32, 1), "float32"),
        ((ig.float32, 2.5), "float32"),
        ((ig.int8, 2.5), "float32"),
        ((ig.bool, 1), "int64"),
        ((ig.bool, True), "bool"),
        ((ig.float64, 1j), "complex128"),
        ((ig.complex64, 2.5), "complex64"),
        ((3, ig.int16, ig.int8), "int16"),
        (HALVES, "float32"),
    ],
)
def test_result_type(arguments: tuple[object, ...], result: str) -> None:
    assert ig.result_type(*arguments) == result


def test_result_type_needs_a_dtype() -> None:
    with pytest.raises(ig.DTypeError, match="result_type: there is no tensor and no dtype"):
        ig.result_type(1, 2.5)


def test_can_cast() -> None:
    assert ig.can_cast(ig.ones(1), ig.float64)
    assert not ig.can_cast(ig.float64, ig.float32)
    assert not ig.can_cast(ig.float32, ig.int64)
    assert not ig.can_cast(ig.uint64, ig.int64)
    assert ig.can_cast("uint8", "int16")


# -- what numbers a tensor is ----------------------------------------------------------------------


def test_conversions_to_python() -> None:
    assert complex(ig.tensor(2.5)) == 2.5 + 0j
    assert [10, 20, 30][ig.tensor(1)] == 20
    assert bool(ig.tensor(0.0)) is False
    assert int(ig.tensor(3.7)) == 3
    for convert in (complex, float, int, bool):
        with pytest.raises(ig.ShapeError, match=r"shape \(2,\)"):
            convert(ig.ones(2))


def test_in_place_operators_bind_the_name_anew() -> None:
    x = y = ig.tensor([1.0, 2.0])
    x += 1
    x *= ig.tensor([2.0, 3.0])
    x -= 1.0
    x **= 2
    x /= 2.0
    assert (x.tolist(), y.tolist()) == ([4.5, 32.0], [1.0, 2.0])
    n = m = ig.tensor([5, 6])
    n //= 2
    n %= 2
    n <<= 3
    n |= 1
    n ^= 3
    n &= 30
    n >>= 1
    assert (n.tolist(), m.tolist()) == ([1, 5], [5, 6])


def test_astype_and_asarray() -> None:
    x = ig.tensor([1.5, 2.5])
    assert ig.astype(x, "int64", device="cpu").tolist() == [1, 2]
    assert x.astype("float64", copy=False).dtype == "float64"
    assert ig.asarray(x) is x
    assert ig.asarray(x, copy=True) is not x
    with pytest.raises(ValueError, match="copy"):
        ig.asarray(x, dtype="int64", copy=False)


def test_a_copy_of_a_leaf_can_be_assigned_to_and_gradients_arrive() -> None:
    x = ig.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = ig.asarray(x, copy=True)
    y[0] = 5.0
    (y * y).sum().backward()
    assert x.tolist() == [1.0, 2.0, 3.0]
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 4.0, 6.0]
