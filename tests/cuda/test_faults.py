"""Faults planted in the kernels, and the ring that catches each."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
import pytest

from isograd_cupy import _launch
from isograd_cupy._layout import LINEAR, pack

ORDERS = (0, 1, 5, 77)


def altered(name: str, old: str, new: str, types: dict[str, str], **filled: str) -> Any:
    """Return the kernels of a file in which some text is replaced."""
    text = _launch.read(name)
    for key, value in filled.items():
        text = text.replace(f"@{key}@", value)
    assert old in text
    return _launch.Kernels(text.replace(old, new), types)


def over_orders(emulator: Any, call: Any) -> list[np.ndarray[Any, Any]]:
    try:
        found: list[np.ndarray[Any, Any]] = []
        for order in ORDERS:
            emulator.set_order(order)
            found.append(call())
        return found
    finally:
        emulator.set_order(0)


FLOAT = {"T": "float", "A": "float"}
X = np.random.default_rng(0).standard_normal((40, 96)).astype(np.float32)


def column_sums(old: str, new: str) -> Any:
    kernels = altered("reduce", old, new, {"T": "float"}, COMBINE="a + b")
    x, out = cupy.asarray(X), cupy.empty(96, np.float32)
    kept, inside = pack([(96, (1,))], 1), pack([(40, (96,))], 1)
    kernels.launch("reduce_columns", (x, out, kept, inside, 96, 40, 1), (3, 1), (32, 32))
    return out.get()


def test_the_kernel_itself_passes(emulator: Any) -> None:
    for found in over_orders(emulator, lambda: column_sums("__syncthreads();", "__syncthreads();")):
        np.testing.assert_allclose(found, X.sum(0), rtol=1e-4, atol=1e-4)


def test_a_removed_barrier_is_caught_by_the_orders(emulator: Any) -> None:
    """Ring 2: threads in another order read what is not written yet."""
    barrier = "    }\n    __syncthreads();\n    for (int o = 16"
    found = over_orders(
        emulator, lambda: column_sums(barrier, barrier.replace("__syncthreads();", ""))
    )
    right = [np.allclose(f, X.sum(0), rtol=1e-4, atol=1e-4) for f in found]
    assert not all(right)


def test_a_barrier_that_some_threads_skip_is_caught(emulator: Any) -> None:
    """Ring 2: the emulator reports it."""
    old = "  int lane = threadIdx.y;\n"
    with pytest.raises(cupy.cuda.driver.CUDADriverError, match="LAUNCH_FAILED"):
        column_sums(old, old + "  if (threadIdx.x > 20) return;\n")


def test_a_tail_off_by_one_is_caught_by_poison(emulator: Any) -> None:
    """Ring 2: what a kernel forgets to write stays NaN, since fresh memory is poisoned."""
    types = {"T": "float", "A": "float"}
    kernels = altered(
        "sources", "i < n; i += index_step()) {", "i < n - 1; i += index_step()) {", types
    )
    out = cupy.ndarray((1000,), np.float32)
    cupy.cuda.runtime.memset(out.data.ptr, 0xFF, out.nbytes)
    kernels.over("fill", (out, 1.0, LINEAR, 1000), 1000)
    assert np.isnan(out.get()).sum() == 1


def test_a_missing_padding_check_is_caught_by_values(emulator: Any) -> None:
    """Ring 3: windows that do not exist are added."""
    windows = np.zeros((), _launch.STRUCTS["Windows"])
    windows["rank"] = 1
    facts = {"size": 7, "count": 3, "kernel": 3, "stride": 2, "dilation": 1}
    for key, value in facts.items():
        windows[key][0] = value
    y = np.arange(1.0, 10.0, dtype=np.float32)  # three windows of three
    right = np.array([1, 2, 3 + 4, 5, 6 + 7, 8, 9], np.float32)
    for condition, same in (("number < w.count[d]", True), ("number <= w.count[d]", False)):
        kernels = altered("fold", "number < w.count[d]", condition, FLOAT)
        out = cupy.empty(7, np.float32)
        padded = cupy.asarray(np.concatenate([y, np.full(3, 100, np.float32)]))
        kernels.over("fold", (padded, out, windows, 7), 7)
        assert np.array_equal(out.get(), right) == same


def test_a_wrong_divisor_is_caught_by_values(emulator: Any) -> None:
    """Ring 3: label smoothing that divides by one class less."""
    labels = cupy.asarray(np.arange(40))

    def loss(new: str) -> Any:
        kernels = altered("softmax", "/ (T)n);", new, FLOAT)
        out = cupy.empty(40, np.float32)
        arguments = (cupy.asarray(X), labels, out, 40, 96, -100, 0.1)
        kernels.launch("cross_entropy", arguments, (40,))
        return out.get()

    log_p = X - np.log(np.exp(X.astype(np.float64)).sum(1, keepdims=True))
    right = -0.9 * log_p[np.arange(40), np.arange(40)] - 0.1 * log_p.mean(1)
    np.testing.assert_allclose(loss("/ (T)n);"), right, rtol=1e-5)
    assert not np.allclose(loss("/ (T)(n - 1));"), right, rtol=1e-5)


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
    """The launcher: nothing is launched."""
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
