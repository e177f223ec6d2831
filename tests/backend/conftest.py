"""Run the cases of a primitive on every set of kernels that is installed.

A case is a dictionary: ``inputs`` (shapes of random arrays, or arrays), ``expected`` (a function of
float64 arrays), and, where they matter, ``static``, ``dtypes``, ``low`` and ``high`` of the random
numbers, ``exact``, and ``scale``, by which the tolerance is multiplied.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pytest

import isograd_numpy
from isograd.backend import Kernel, xp_kernels


class Library(NamedTuple):
    """One set of kernels, and the way to and from its arrays."""

    name: str
    kernel: Callable[[str], Kernel | None]
    array: Callable[[np.ndarray], Any]
    host: Callable[[Any], np.ndarray]


@cache
def library(name: str) -> Library:
    if name == "isograd_numpy":
        return Library(name, isograd_numpy.create().kernel, np.asarray, np.asarray)
    if name == "numpy":
        return Library(name, xp_kernels(np).get, np.asarray, np.asarray)
    torch = importlib.import_module("torch")
    table = xp_kernels(importlib.import_module("array_api_compat.torch"))

    def from_numpy(array: np.ndarray) -> Any:
        # torch has no negative strides.
        return torch.from_numpy(np.array(array) if min(array.strides, default=0) < 0 else array)

    return Library(name, table.get, from_numpy, lambda array: array.numpy())


NEEDS = {
    "numpy": ("numpy",),
    "isograd_numpy": ("numpy",),
    "torch": ("torch", "array_api_compat"),
}
#: test_namespaces.py has the one visible skip of what is missing.
LIBRARIES = [name for name, needs in NEEDS.items() if all(find_spec(need) for need in needs)]


@pytest.fixture(params=LIBRARIES)
def lib(request: pytest.FixtureRequest) -> Library:
    return library(request.param)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Run as the engine runs kernels: without NumPy's floating-point warnings."""
    with np.errstate(all="ignore"):
        yield


def in_order(array: np.ndarray) -> np.ndarray:
    return array


def transposed(array: np.ndarray) -> np.ndarray:
    return np.array(array.T, order="C").T


def backwards(array: np.ndarray) -> np.ndarray:
    turn = (slice(None, None, -1),) * array.ndim
    return array[turn].copy()[turn]


def spread(array: np.ndarray) -> np.ndarray:
    out = np.zeros([2 * n + 1 for n in array.shape], array.dtype)
    cells = tuple([slice(1, None, 2)] * array.ndim)
    out[cells] = array
    return out[cells]


def repeated(array: np.ndarray) -> np.ndarray:
    """Put the first element everywhere, with strides of zero."""
    if array.size == 0:
        return array
    return np.broadcast_to(array[(slice(0, 1),) * array.ndim], array.shape)


LAYOUTS = (in_order, transposed, backwards, spread, repeated)


def inputs_of(case: dict[str, Any], dtype: Any, rng: np.random.Generator) -> list[np.ndarray]:
    made: list[np.ndarray] = []
    for spec in case["inputs"]:
        if isinstance(spec, np.ndarray):
            made.append(spec)
        elif np.dtype(dtype).kind == "f":
            numbers = rng.uniform(case.get("low", -3.0), case.get("high", 3.0), spec)
            made.append(np.asarray(numbers).astype(dtype))
        else:
            low, high = (0, 2) if dtype == np.bool_ else (case.get("low", -3), case.get("high", 4))
            made.append(np.asarray(rng.integers(low, high, spec)).astype(dtype))
    return made


def close(out: np.ndarray, expected: np.ndarray, case: dict[str, Any]) -> bool:
    if case.get("exact") or out.dtype.kind != "f":
        return np.array_equal(out, expected.astype(out.dtype), equal_nan=out.dtype.kind == "f")
    slack = 8 * float(np.finfo(out.dtype).eps) * case.get("scale", 1.0)
    return np.allclose(out, expected, rtol=slack, atol=slack, equal_nan=True)


def _dtype_of(case: dict[str, Any], arrays: list[np.ndarray], expected: np.ndarray) -> Any:
    """Return what the result must have: the dtype of the first floats, or the case's word."""
    if "dtype" in case:
        return case["dtype"]
    if expected.dtype == np.bool_:
        return np.dtype(np.bool_)
    return arrays[0].dtype


@pytest.fixture
def agree(lib: Library) -> Callable[[str, list[dict[str, Any]]], None]:
    """Return a check of all cases of one primitive, in all their dtypes and memory layouts."""

    def check(primitive: str, cases: list[dict[str, Any]]) -> None:
        kernel = lib.kernel(primitive)
        assert kernel is not None
        rng = np.random.default_rng(0)
        layouts = LAYOUTS if "numpy" in lib.name else LAYOUTS[:2]
        for case in cases:
            static = case.get("static", {})
            for dtype in case.get("dtypes", (np.float16, np.float32, np.float64)):
                for layout in layouts if case["inputs"] else layouts[:1]:
                    arrays = [layout(array) for array in inputs_of(case, dtype, rng)]
                    before = [array.copy() for array in arrays]
                    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in before]
                    expected = np.asarray(case["expected"](*wide, **static))
                    out = lib.host(kernel(*map(lib.array, arrays), **static))
                    wanted = (expected.shape, _dtype_of(case, arrays, expected))
                    if (
                        (out.shape, out.dtype) != wanted
                        or not close(out, expected, case)
                        or not all(map(np.array_equal, arrays, before))
                    ):
                        pytest.fail(
                            f"{primitive} {static} of {before} in {layout.__name__}\n"
                            f"gave {out!r}\nnot  {expected!r} of {wanted}"
                        )

    return check
