"""Ring 1: NVIDIA's compiler takes every kernel, for three generations of GPUs and both modes."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cuda_sources import compile_with_nvrtc, every_source

import isograd as ig
from isograd_cupy._compile import OPTIONS

#: In CI one generation gets everything, the others a dtype of each kind, and one the mode `fast`.
FULL = os.environ.get("ISOGRAD_CUDA_FULL") == "1"
SOME = ("float32", "bfloat16", "random")
TARGETS = [("80", "fast"), ("90", "strict"), ("100", "strict")]
ALL_TARGETS = list(itertools.product(("80", "90", "100"), OPTIONS))


def check(work: Iterable[tuple[str, str, str, str]], emulator: Any) -> int:
    """Compile (name, source, architecture, mode) each; return how many kernels these have."""
    work = list(work)
    with ThreadPoolExecutor(2) as pool:
        logs = list(pool.map(lambda one: compile_with_nvrtc(emulator.nvrtc.real, *one[1:]), work))
    wrong: list[str] = []
    for (name, _, arch, mode), log in zip(work, logs, strict=True):
        found = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
        if log.startswith("refused") or not found or any((a, b) != ("0", "0") for a, b in found):
            wrong.append(f"{name}, sm_{arch}, {mode}: {log[:1500]}")
    assert not wrong, "\n".join(wrong)
    return sum(source.count('extern "C" __global__') for _, source, _, _ in work)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("arch", "mode"), ALL_TARGETS if FULL else TARGETS)
def test_every_kernel_compiles_without_spills(
    emulator: Any, arch: str, mode: str, record_property: Any
) -> None:
    made = every_source()
    if (arch, mode) != ("90", "strict") and not FULL:
        made = {name: kernels for name, kernels in made.items() if name.split()[-1] in SOME}
    work = [(name, kernels.source, arch, mode) for name, kernels in made.items()]
    record_property("compiled", check(work, emulator))


@pytest.mark.timeout(1800)
@pytest.mark.last
def test_what_was_executed_compiles_too(emulator: Any, cuda: Any, record_property: Any) -> None:
    """Programs, mostly: their texts are written for them. They have different targets in turn.

    All are compiled in both modes with ``--full``, and otherwise in one of them.
    """
    ig.compile(lambda x: ig.exp(x) + ig.sum(x))(ig.ones((3, 3)))  # for when this runs alone
    known = {kernels.source for kernels in every_source().values()}
    texts = [text for text in emulator.nvrtc.sources if text not in known]
    assert any("exp_0_float32" in text for text in texts)
    targets = [[target] for target in TARGETS]
    if FULL:
        archs = ("80", "90", "100")
        targets = [[(archs[i], "strict"), (archs[i - 1], "fast")] for i in range(3)]
    work = [
        (text[-500:], text, arch, mode)
        for number, text in enumerate(texts)
        for arch, mode in targets[number % len(targets)]
    ]
    record_property("compiled", check(work, emulator))


def test_a_source_that_is_wrong_is_refused(emulator: Any) -> None:
    log = compile_with_nvrtc(
        emulator.nvrtc.real, 'extern "C" __global__ void k(float* x) { x[0] = y; }', "90"
    )
    assert log.startswith("refused")
    assert '"y" is undefined' in log
