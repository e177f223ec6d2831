"""Ring 1: NVIDIA's compiler takes every kernel, for three generations of GPUs, without spills."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cuda_sources import compile_with_nvrtc, every_source

ARCHITECTURES = ("80", "90", "100")
#: In CI one generation gets everything, the others a dtype of each kind.
FULL = os.environ.get("ISOGRAD_CUDA_FULL") == "1"
SOME = ("float32", "bfloat16", "random")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_kernel_compiles_without_spills(
    emulator: Any, arch: str, record_property: Any
) -> None:
    made = every_source()
    if arch != "90" and not FULL:
        made = {name: kernels for name, kernels in made.items() if name.split()[-1] in SOME}
    with ThreadPoolExecutor(2) as pool:
        logs = pool.map(
            lambda kernels: compile_with_nvrtc(emulator.nvrtc.real, kernels.source, arch),
            made.values(),
        )
        wrong: list[str] = []
        count = 0
        for name, log in zip(made, logs, strict=True):
            found = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
            count += len(made[name].signatures)
            if (
                log.startswith("refused")
                or not found
                or any(a != "0" or b != "0" for a, b in found)
            ):
                wrong.append(f"{name}: {log[:1500]}")
    record_property("compiled", count)
    print(f"sm_{arch}: {count} kernels in {len(made)} modules")
    assert not wrong, "\n".join(wrong)


def test_a_source_that_is_wrong_is_refused(emulator: Any) -> None:
    log = compile_with_nvrtc(
        emulator.nvrtc.real, 'extern "C" __global__ void k(float* x) { x[0] = y; }', "90"
    )
    assert log.startswith("refused")
    assert '"y" is undefined' in log
