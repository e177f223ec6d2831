"""Verdicts on extreme models: a right backend is never accused, and a small fault never missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.testing import available_backends, cross_check, diff
from isograd.testing.rounding import RoundingBackend, rounding_scales

Array = Any
F = nn.functional


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


class Deep(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(40)])

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        for layer in self.layers:
            x = x + ig.tanh(layer(x))
        return x


def pooled() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    )


def ragged(x: ig.Tensor) -> ig.Tensor:
    whole = ig.round(x)
    weights = ig.arange(whole.shape[1], dtype=x.dtype)
    return ig.max(whole, axis=1).sum() + (ig.sort(whole, axis=1) * weights).sum()


def hilbert(n: int) -> Array:
    place = np.arange(n)
    return (1.0 / (place[:, None] + place + 1.0)).astype(np.float32)


def returns(fn: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: fn


EXTREME = {
    "very deep": (Deep, [normal(4, 8)]),
    "many terms": (returns(lambda x: ig.var(x) + ig.mean(x)), [normal(300_000) + 1e4]),
    "terms that cancel": (
        returns(lambda x: ig.concat([x, -x], axis=1) @ ig.concat([x, x], axis=1).T),
        [normal(16, 1000)],
    ),
    "partial sums that overflow": (
        returns(lambda x, y: (x * 1e20) @ (y * 1e18)),
        [normal(16, 200), normal(200, 16)],
    ),
    "tiny numbers": (returns(lambda x: (x * 1e-20) @ (x * 1e-20).T), [normal(16, 200)]),
    "ties": (returns(ragged), [normal(20, 50)]),
    "a constant batch": (pooled, [np.zeros((2, 3, 8, 8), np.float32)]),
    "a far mean": (lambda: nn.BatchNorm1d(16), [normal(64, 16) + 1e4]),
    "next to singular": (returns(ig.linalg.solve), [hilbert(8), normal(8, 2)]),
    "saturated": (returns(lambda x: F.softmax(x * 1e30, 1)), [normal(10, 100)]),
    "special numbers": (
        returns(lambda x: 1.0 / x + ig.exp(x) * x),
        [np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-40, 1.0], np.float32)],
    ),
}
SIDES = [
    ("numpy", "numpy+float16"),
    *((a, b) for b in available_backends() for a in ("numpy", "numpy+float64")),
    *((b, f"{b}+compiled") for b in available_backends()),
    *((f"numpy+{d}", f"{b}+{d}") for b in available_backends() for d in ("float16", "bfloat16")),
]


@pytest.mark.parametrize("sides", SIDES, ids="-".join)
@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.filterwarnings("ignore")
def test_nobody_is_accused(name: str, sides: tuple[str, str]) -> None:
    if "bfloat16" in sides[0]:
        pytest.importorskip("ml_dtypes", reason="bfloat16 is a dtype of ml-dtypes")
    build, inputs = EXTREME[name]
    report = diff(*sides, build, *inputs)
    assert report.ok, str(report)
    assert report.counts["ill-conditioned"] <= 2, str(report)


def last_row(right: Any) -> Any:
    def kernel(x: Array, y: Array) -> Array:
        out = right(x, y).copy()
        out[..., -1, :] *= np.asarray(1.001, out.dtype)
        return out

    return kernel


def slightly(right: Any) -> Any:
    return lambda x: right(x) * np.float32(1.0 + 2e-6)


def in_float16(right: Any) -> Any:
    return lambda x, **static: right(x.astype(np.float16), **static).astype(x.dtype)


@pytest.mark.parametrize(
    ("op", "change", "build", "inputs", "said"),
    [
        ("matmul", last_row, lambda: lambda x, y: x @ y, [normal(64, 50), normal(50, 30)], "63"),
        ("sum", in_float16, lambda: lambda x: ig.sum(x, axis=1), [normal(20, 100)], ""),
        (
            "exp",
            lambda f: lambda x: f(x) * np.float32(1 + 2e-6),
            lambda: ig.exp,
            [normal(9)],
            "all",
        ),
    ],
)
def test_small_faults_are_found(
    op: str, change: Any, build: Any, inputs: Any, said: str, plant: Any
) -> None:
    first = diff("numpy", plant(op, change), build, *inputs).first
    assert first is not None
    assert (first.operation.op, first.verdict.verdict) == (op, "candidate wrong")
    assert said in first.verdict.pattern


def test_sums_in_16_bits_are_found(plant: Any) -> None:
    """In units of 16 bits, a bound that grows like the root of the terms hides a tenth."""

    def change(right: Any) -> Any:
        def kernel(x: Array, y: Array) -> Array:
            out = np.zeros((x.shape[0], y.shape[1]), x.dtype)
            for k in range(x.shape[1]):
                out += x[:, k : k + 1] * y[k]
            return out

        return kernel

    x, y = np.abs(normal(3, 4096)).astype(np.float16), np.abs(normal(4096, 2)).astype(np.float16)
    first = diff("numpy", plant("matmul", change), returns(lambda a, b: a @ b), x, y).first
    assert first is not None
    assert (first.operation.op, first.verdict.verdict) == ("matmul", "candidate wrong")
    assert first.verdict.error > 0.05 * first.verdict.right


def test_the_dtype_of_the_model_is_that_of_the_other_side(plant: Any) -> None:
    """Where only the reference is told to use float64, the candidate computes as it would."""

    def only_narrow(right: Any) -> Any:
        return lambda x: right(x) * (1.01 if x.dtype == np.float32 else 1.0)

    faulty = plant("tanh", only_narrow)
    report = diff(
        "numpy+float64", faulty, lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh()), normal(5, 4)
    )
    assert report.first is not None
    assert report.first.operation.inputs[0].dtype == np.float32


def test_what_has_no_half_precision_is_compared_in_the_dtype_it_ran_in() -> None:
    matrix = np.eye(3, dtype=np.float32) * 2.0
    report = diff("numpy", "numpy+float16", lambda: ig.linalg.inv, matrix)
    assert report.ok, str(report)


# -- rounding --------------------------------------------------------------------------------------


def test_a_gradient_that_is_zero_for_all_inputs_has_the_scale_of_what_cancels() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2))
    report = cross_check(model, ig.tensor(normal(8, 1, 6, 6)), dtypes=["float32", "float64"])
    assert report.ok, str(report)


def test_gradients_that_underflow_are_nobodys_fault() -> None:
    tiny = cross_check(lambda x: (x * 1e-25) @ (x.T * 1e-20), ig.tensor(normal(16, 200)))
    assert tiny.ok, str(tiny)


def test_a_fault_is_not_lost_in_the_scale_of_rounding(plant: Any) -> None:
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 4))
    small = plant("tanh_grad", lambda right: lambda g, out: right(g, out) * np.float32(1.0005))
    report = cross_check(model, ig.tensor(normal(16, 64)), backends=["numpy", small])
    wrong = {entry.name for entry in report.entries if not entry.ok}
    assert wrong == {"0.weight", "0.bias", "argument 0"}


def test_equal_numbers_are_rounded_alike_and_short_ones_not_at_all() -> None:
    with ig.use_backend("numpy") as inner:
        rounding = RoundingBackend(inner)
    rounding.begin(bits=10, seed=0, mirrored=False)
    x = np.array([1 / 3, 1 / 3, 0.5, 0.0, -np.inf, np.nan, 3.0, 1 / 3 + 2.0**-54])
    found = rounding.rounded(x)
    assert found[0] == found[1] == found[7] != x[0]
    np.testing.assert_array_equal(found[2:7], x[2:7])
    rounding.begin(bits=10, seed=0, mirrored=True)
    other = rounding.rounded(x)
    assert abs(other[0] - found[0]) == 2.0**-11
    assert min(other[0], found[0]) < x[0] < max(other[0], found[0])
    assert rounding.rounded(x.astype(np.float32)).dtype == np.float32
    assert rounding.rounded(x + 1j).dtype == np.complex128
    # Below the normal numbers, the least one is the unit.
    rounding.begin(bits=10, seed=0, mirrored=False, least=0.25)
    np.testing.assert_array_equal(rounding.rounded(np.array([0.0, 0.5, -0.75])), [0.0, 0.5, -0.75])
    assert rounding.rounded(np.array([0.3]))[0] in (0.25, 0.5)


def test_scales_are_those_of_single_roundings() -> None:
    with ig.use_backend("numpy") as inner:
        pass

    def run(xs: Any, backend: Any) -> list[Array]:
        with ig.use_backend(backend):
            x = ig.tensor(xs[0])
            return [((x + 1000.0) - 1000.0).numpy(), (x * 2.0).numpy()]

    x = np.random.default_rng(0).uniform(1.0, 2.0, 1000)
    lost, kept = rounding_scales(run, [x], run([x], inner), backend=inner, dtype="float32")
    assert 100.0 < np.median(lost) < 2000.0
    assert np.all(kept < 10.0)


def test_a_zero_that_most_roundings_leave_is_no_fault_of_a_program() -> None:
    """Roundings that by chance leave the deviations of equal numbers at 0 tell nothing."""
    pytest.importorskip("numba", reason="needs the order of Numba's sums")
    report = diff(
        "numba",
        "numba+compiled",
        returns(lambda x: ig.std(x * 0 + 3.3, axis=0).sum()),
        normal(40, 3),
    )
    assert report.ok, str(report)
