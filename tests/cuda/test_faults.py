"""Faults planted in the kernels, the ring that catches each, and the page that lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cupy
import numpy as np
import pytest
from planting import Detector, guard, orders, spills, table, values, written
from test_names import wrong_uses

from isograd_cupy import _launch
from isograd_cupy._layout import LINEAR

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "cuda_without_a_gpu.md"


class Fault(NamedTuple):
    """What is planted, who catches it, and the text that is replaced."""

    what: str
    caught: str
    detect: Detector
    old: str
    new: str


_TREE = "    }\n    __syncthreads();\n    for (int o = 16"
_LOADED = "    __syncthreads();\n    for (int k = 0; k < DEPTH"
_ORDERS, _TABLE = "2: results differ with the order of threads", "3: a cell of the op table"
FAULTS = [
    Fault(
        "a removed barrier in the sum of columns",
        _ORDERS,
        orders("sum of columns"),
        _TREE,
        _TREE.replace("    __syncthreads();\n", ""),
    ),
    Fault(
        "a removed barrier after loading the tiles of a convolution",
        _ORDERS,
        orders("convolution"),
        _LOADED,
        _LOADED.replace("    __syncthreads();\n", ""),
    ),
    Fault(
        "a removed barrier before a program's warps combine their parts",
        _ORDERS,
        orders("compiled long rows"),
        "    __syncthreads();\n    for (int c = lane",
        "    for (int c = lane",
    ),
    Fault(
        "a barrier that some threads skip by an early return",
        "2: the emulator reports it",
        orders("sum of columns"),
        "  int lane = threadIdx.y;\n  long long output",
        "  if (threadIdx.x > 20) return;\n  int lane = threadIdx.y;\n  long long output",
    ),
    Fault(
        "a sum by atomic additions",
        _ORDERS,
        orders("gradient of take"),
        "if (p > 0 && rows[p - 1] == rows[p]) continue;",
        "atomicAdd(out + (lead * size + rows[p]) * trailing + t,"
        " updates[(lead * count + order[p]) * trailing + t]); continue;",
    ),
    Fault(
        "a tail off by one: the last element is not written",
        "2: poisoned memory stays NaN",
        written("gelu of one column"),
        "i < n; i += index_step()) {\n    long long at[2]",
        "i < n - 1; i += index_step()) {\n    long long at[2]",
    ),
    Fault(
        "a tail off by one: one element too many is written",
        "2: a guard page ends the process",
        guard("maxima of windows"),
        "i < n; i += index_step()) {\n    const T* channel",
        "i < n + 1; i += index_step()) {\n    const T* channel",
    ),
    Fault(
        "shared memory that is read before it is written",
        "2: poisoned memory stays NaN",
        written("layer norm"),
        "part[threadIdx.x] = value;",
        "if (threadIdx.x < 70) part[threadIdx.x] = value;",
    ),
    Fault(
        "a missing check of the padding in a convolution",
        _TABLE,
        table("conv"),
        "inside = inside && at >= 0 && at < w.size[d];\n    out += at * scale;",
        "inside = inside && at < w.size[d];\n    out += (at < 0 ? 0 : at) * scale;",
    ),
    Fault(
        "windows beyond the padding when gradients are folded",
        _TABLE,
        table("fold"),
        "number < w.count[d];\n        window",
        "number <= w.count[d];\n        window",
    ),
    Fault(
        "a wrong divisor in label smoothing",
        _TABLE,
        table("cross_entropy"),
        "/ (T)n);",
        "/ (T)(n - 1));",
    ),
    Fault(
        "a wrong divisor in the variance of a norm",
        _TABLE,
        table("standardize"),
        "A root = sqrt(square / (A)n",
        "A root = sqrt(square / (A)(n - 1)",
    ),
    Fault(
        "the diagonal hidden in causal attention",
        _TABLE,
        table("attention"),
        "c > r",
        "c >= r",
    ),
    Fault(
        "old sums that a new maximum does not scale in attention",
        "3: a result far from NumPy's",
        values("attention"),
        "sum[n] = sum[n] * factors[(threadIdx.x >> 6) + 4 * n];",
        "sum[n] = sum[n];",
    ),
    Fault(
        "a Fourier transform that is not divided by its length",
        _TABLE,
        table("fft"),
        "z.re * (R)factor, z.im * (R)factor",
        "z.re, z.im",
    ),
    Fault(
        "the wrong side of the branch cut of complex inverse functions",
        "3: a result far from NumPy's",
        values("complex sides of cuts"),
        "a = sqrt_of(Wide(1.0 - z.re, -z.im))",
        "a = sqrt_of(Wide(1.0 - z.re, 0.0 - z.im))",
    ),
    Fault(
        "imaginary parts of complex numbers that are not passed between lanes",
        "3: a result far from NumPy's",
        values("complex rows"),
        "im = from_lane(z.im, o);",
        "im = from_lane(z.re, o);",
    ),
    Fault(
        "a removed barrier after rows are exchanged in elimination",
        _ORDERS,
        orders("elimination"),
        "      __syncthreads();\n      T pivot = a[k * n + k];\n      if (pivot == T(0))",
        "      T pivot = a[k * n + k];\n      if (pivot == T(0))",
    ),
    Fault(
        "rows that are not rotated with their columns",
        _TABLE,
        table("eigh"),
        "rotate(a + j * n + p, a + j * n + q, sine[k], half[k]);",
        "",
    ),
    Fault(
        "a singular matrix that is not noted",
        _TABLE,
        table("inv", "errors"),
        "a[k * n + chosen] == T(0) && !info[b]",
        "false",
    ),
    Fault(
        "a kernel that spills registers",
        "1: NVIDIA's compiler says so",
        spills("conv 2d float32"),
        'extern "C" __global__ void conv(',
        'extern "C" __global__ void __launch_bounds__(256, 8) conv(',
    ),
    Fault(
        "a name that CUDA does not have",
        "1: NVIDIA's compiler refuses it",
        spills("pool float32"),
        "top = value;",
        "top = std::max(top, value);",
    ),
]
#: What the launcher refuses, and what else is caught without changing a kernel.
OTHERS = [
    ("an untyped, missing or surplus argument", "the launcher, before anything is launched"),
    ("a host array, or one of another dtype or GPU", "the launcher, before anything is launched"),
    ("a call of CuPy that its signature does not take", "4: the signature is read"),
    ("a step that waits for the device", "3: the emulator's counters"),
]


def lines() -> list[str]:
    """Return the table of the page."""
    rows = [(fault.what, fault.caught) for fault in FAULTS] + OTHERS
    return ["| fault | caught by ring |", "|---|---|", *[f"| {a} | {b} |" for a, b in rows]]


def test_the_page_lists_the_faults() -> None:
    text = "\n".join(lines())
    assert text in PAGE.read_text(encoding="utf-8"), f"{PAGE} should have the table\n{text}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_is_caught_and_the_kernel_passes(fault: Fault, emulator: Any) -> None:
    assert fault.detect(fault.old, fault.old, emulator) == ""
    assert fault.detect(fault.old, fault.new, emulator) != ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: (a[0], 1, *a[2:]), "argument value: double is wanted, not 1"),
        (lambda a: a[:-1], "takes 4 arguments"),
        (lambda a: (*a, 3), "takes 4 arguments"),
        (lambda a: (*a[:3], 2.0), "argument n: long long is wanted, not 2.0"),
        (lambda a: (*a[:3], True), "argument n: long long is wanted, not True"),
        (lambda a: (*a[:3], 2**63), "argument n: long long is wanted"),
        (lambda a: (np.zeros(4, np.float32), *a[1:]), "an array on the device is wanted"),
        (lambda a: (a[0].astype(np.float64), *a[1:]), "dtype float32 is wanted, not float64"),
        (lambda a: (*a[:2], 0, a[3]), "a Layout is wanted, not 0"),
    ],
)
def test_untyped_arguments_are_refused_before_the_launch(
    change: Any, message: str, emulator: Any
) -> None:
    """Nothing is launched."""
    kernels = _launch.kernels("sources", np.dtype(np.float32))
    arguments = change((cupy.zeros(4, np.float32), 1.0, LINEAR, 4))
    before = emulator.counts().launches
    with pytest.raises(TypeError, match="kernel fill") as caught:
        kernels.over("fill", arguments, 4)
    assert message in str(caught.value)
    assert emulator.counts().launches == before


def test_an_array_of_another_gpu_is_refused() -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")
    with cupy.cuda.Device(1):
        other = cupy.zeros(4, np.float32)
    kernels = _launch.kernels("sources", np.dtype(np.float32))
    with pytest.raises(TypeError, match="it is on device 1, the kernel runs on 0"):
        kernels.over("fill", (other, 1.0, LINEAR, 4), 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cupy.cuda.runtime.memcpyAsync(to, at, n)", "memcpyAsync takes (5, 5)"),
        ("cupy.cuda.runtime.copy_it(to)", "cupy.cuda.runtime.copy_it does not exist"),
        ("cupy.cuda.alloc_pinned_memory(*sizes)", "alloc_pinned_memory(*...) hides its count"),
    ],
)
def test_a_wrong_use_of_cupy_is_caught(text: str, message: str, emulator: Any) -> None:
    assert wrong_uses({"good.py": "cupy.cuda.alloc_pinned_memory(n)"}, emulator)[1] == []
    (wrong,) = wrong_uses({"bad.py": text}, emulator)[1]
    assert message in wrong


def test_a_step_that_waits_is_counted(emulator: Any) -> None:
    x = cupy.zeros(4, np.float32)
    before = emulator.counts().synchronisations
    assert float(x[0]) == 0.0
    assert emulator.counts().synchronisations > before
