import numpy as np
import pytest

import isograd as ig
from isograd.core import dtypes


@pytest.mark.parametrize(
    ("a", "b", "joined"),
    [
        ("int8", "int32", "int32"),
        ("uint8", "int8", "int16"),
        ("int64", "float32", "float32"),
        ("bool", "uint8", "uint8"),
        ("float16", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("bool", "complex64", "complex64"),
        ("int64", "complex64", "complex64"),
        ("float16", "complex64", "complex64"),
        ("float64", "complex64", "complex128"),
        ("float32", "complex128", "complex128"),
        ("complex64", "complex128", "complex128"),
    ],
)
def test_dtypes_combine(a, b, joined):
    assert ig.result_type(a, b) == joined
    assert ig.result_type(b, a) == joined


def test_uint64_and_signed_integers_do_not_combine():
    with pytest.raises(ig.DTypeError, match="astype"):
        ig.result_type("uint64", "int8")


def test_half_types_combine_to_float32():
    pytest.importorskip("ml_dtypes")
    assert ig.result_type("float16", ig.bfloat16) == "float32"


def test_every_dtype_is_of_exactly_one_kind():
    kinds = ("bool", "signed integer", "unsigned integer", "real floating", "complex floating")
    for dtype in dtypes.all_dtypes():
        assert sum(ig.isdtype(dtype, kind) for kind in kinds) == 1, dtype


@pytest.mark.parametrize("bad", ["complex256", "object", "float99", "S3"])
def test_other_dtypes_are_refused_by_name(bad):
    with pytest.raises(ig.DTypeError, match="use one of"):
        dtypes.as_dtype(bad)


def test_foreign_byte_order_becomes_native():
    assert ig.tensor(np.arange(3, dtype=">i4")).tolist() == [0, 1, 2]


def test_the_default_dtype_decides_for_python_floats():
    ig.set_default_dtype("float64")
    try:
        assert ig.tensor([1.0]).dtype == ig.float64
        assert ig.zeros(2).dtype == ig.float64
        assert ig.tensor([1j]).dtype == ig.full((), 1j).dtype == ig.complex128
    finally:
        ig.set_default_dtype("float32")
    with pytest.raises(ig.DTypeError, match="int32"):
        ig.set_default_dtype("int32")


def test_limits():
    assert ig.finfo("float16").max == 65504
    assert ig.finfo("complex64").dtype == "float32"
    assert ig.finfo("complex128").eps == ig.finfo("float64").eps
    assert ig.iinfo("int16").min == -32768
    with pytest.raises(ig.DTypeError, match="iinfo"):
        ig.finfo("int8")
    with pytest.raises(ig.DTypeError, match="finfo"):
        ig.iinfo("float32")
