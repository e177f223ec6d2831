"""Random programs, with the derivatives they ask for, mapped over examples: equal to a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.testing import fuzz as fz
from isograd.testing.fuzz.noise import Noise

SIZE, NOISES, BLOCK = 3, 4, 20


def _loop(program: fz.Program, fn: Callable[..., Any], examples: list[list[Any]]) -> list[Any]:
    rows: list[list[Any]] = []
    for xs in examples:
        ig.manual_seed(program.seed)
        rows.append([out.numpy() for out in fn(*xs)])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def _mapped(program: fz.Program, fn: Callable[..., Any], examples: list[list[Any]]) -> list[Any]:
    axes = [0 if isinstance(x, ig.Tensor) else None for x in examples[0]]
    columns = zip(axes, zip(*examples, strict=True), strict=True)
    args = [column[0] if axis is None else ig.stack(column) for axis, column in columns]
    ig.manual_seed(program.seed)
    over_all = ig.vmap(fn, tuple(axes), axis_size=SIZE, randomness="same")
    return [out.numpy() for out in over_all(*args)]


def _wrong(program: fz.Program) -> list[str]:
    examples = [program.arguments(variant) for variant in range(SIZE)]
    for xs in examples[1:]:  # what is no tensor is the same for all
        xs[:] = [a if isinstance(a, ig.Tensor) else b for a, b in zip(xs, examples[0], strict=True)]
    fn = program.derived()
    due, got = _loop(program, fn, examples), _mapped(program, fn, examples)
    noisy: list[list[Any]] = []
    for number in range(NOISES):
        noise = Noise(number, everywhere=bool(program.derivative))
        noisy.append(_loop(program, program.derived(noise), examples))
        if not noise.used:
            noisy.clear()
            break
    return [
        f"program {program.seed}, {program.labels()[n]}: {message}"
        for n, (value, reference) in enumerate(zip(got, due, strict=True))
        if (
            message := fz.judge(
                value, reference, pair="backends", noisy=[result[n] for result in noisy]
            )
        )
    ]


@pytest.mark.parametrize("first", range(0, 160, BLOCK))
def test_random_programs(first: int) -> None:
    programs = [fz.generate(seed) for seed in range(first, first + BLOCK)]
    assert [message for program in programs for message in _wrong(program)] == []
