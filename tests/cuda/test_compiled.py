"""Compiled programs: values, one graph launch for a step, errors, and what cannot be recorded."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
import pytest
from cuda_sources import compile_with_nvrtc

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F
from isograd.testing.case import case_of
from isograd.testing.execute import call
from isograd.testing.op_db import OP_DB, OpSpec

FULL = os.environ.get("ISOGRAD_CUDA_FULL") == "1"

FUNCTIONS = {
    "elementwise": lambda x: ig.where(x > 0, ig.exp(x) / 3.0, ig.tanh(x)) ** 2,
    "integers": lambda x: ig.astype(x * 100.0, ig.int32) // 7 + ig.arange(7, dtype="int32"),
    "casts": lambda x: ig.astype(ig.astype(ig.abs(x) * 50.0, ig.uint8), ig.float64) + 0.5,
    "views": lambda x: ig.concat([x[:, ::-2], ig.permute_dims(x, (1, 0))[:5, :4]], axis=1),
    "reductions": lambda x: ig.sum(x * x, axis=1) + ig.max(x, axis=0)[:5] - ig.mean(x),
    "halves": lambda x: ig.astype(ig.astype(x, ig.float16) * 3.0 + 1.0, ig.float32),
    "activations": lambda x: F.gelu(x) + F.silu(x) * F.softplus(x) - F.relu(x),
    "softmax": lambda x: F.log_softmax(x @ ig.permute_dims(x, (1, 0)), dim=1),
    "batched products": lambda x: ig.matmul(x[:, :, None], x[:, None, :]) @ ig.ones((7, 2)),
    "empty": lambda x: ig.sum(x[:0], axis=0) + ig.exp(x[:0]).sum(),
    "gradient": ig.grad(lambda x: ig.sum(ig.sin(x) * ig.cumulative_sum(x, axis=1))),
    "windows": lambda x: F.max_pool1d(x[:, None], 3, 2) + F.avg_pool1d(x[:, None], 3, 2),
    "complex": lambda x: ig.exp(ig.complex(x, 0.5)) / (2.0 - 1j * x) + ig.sum(ig.imag(x * 1j)),
    "spectra": lambda x: ig.fft.irfft2(ig.fft.rfft2(x) * (1.0 + 0.5j), s=(5, 7)),
    "gradient through a spectrum": ig.grad(lambda x: ig.sum(ig.abs(ig.fft.fft(x + 1j, axis=0)))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_programs_compute_what_numpy_does(name: str, cuda: Any, emulator_if_any: Any) -> None:
    values = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    ig.set_default_device("cpu")
    with ig.use_backend("numpy"):
        right = [FUNCTIONS[name](ig.tensor(v)).numpy() for v in (values, values * 2)]
    ig.set_default_device("cuda")
    compiled = ig.compile(FUNCTIONS[name])
    for v, wanted in zip((values, values * 2, values), (*right, right[0]), strict=True):
        found = compiled(ig.tensor(v)).numpy()
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=3e-5, atol=3e-6)
    program = compiled.programs[0].native
    assert program.captured
    if emulator_if_any is not None:  # NVIDIA's compiler must take what was written, too
        log = compile_with_nvrtc(emulator_if_any.nvrtc.real, program.module, "90")
        assert "bytes spill" in log or not program.module, log


def test_parts_of_arrays_without_elements(cuda: Any) -> None:
    """They have no address that one could count from."""

    @ig.compile
    def parts(x: Any) -> Any:
        return ig.concat([ig.sort(x[:, 1:]), x], axis=1)

    assert parts(ig.zeros((0, 3))).shape == (0, 5)


#: Reductions in programs, and the form of the loop that does all of each.
FORMS = {
    "rows": (lambda x: ig.exp(x - ig.max(x, axis=1, keepdims=True)), (40, 50), "short_rows"),
    "norm": (lambda x: x - ig.sum(x * x, axis=1, keepdims=True) / 3.0, (40, 33), "short_rows"),
    "results only": (lambda x: ig.sum(ig.abs(x), axis=1) * 2.0, (40, 7), "short_rows"),
    "long rows": (lambda x: ig.sum(ig.exp(x), axis=1) - ig.min(x, axis=1), (70, 2500), "long_rows"),
    "columns": (lambda x: ig.sum(x * x, axis=0) - 1.0, (50, 70), "columns"),
    "of columns": (lambda x: x / (1.0 + ig.max(ig.abs(x), axis=0)), (33, 40), "columns"),
    "tests": (lambda x: ig.any(ig.isnan(x), axis=1) | ig.all(x > 0, axis=1), (40, 9), "short_rows"),
    "integers": (lambda x: ig.sum(ig.astype(x > 0, ig.int64), axis=1), (40, 70), "short_rows"),
    "middle": (lambda x: ig.max(ig.reshape(x, (8, 5, 40)) * 2.0, axis=1), (40, 40), "columns"),
}


@pytest.mark.parametrize("name", FORMS)
def test_reductions_are_loops_with_what_they_are_of(name: str, cuda: Any) -> None:
    fn, shape, form = FORMS[name]
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    values[1, 2] = np.nan
    ig.set_default_device("cpu")
    with ig.use_backend("numpy"):
        right = fn(ig.tensor(values)).numpy()
    ig.set_default_device("cuda")
    compiled = ig.compile(fn)
    for _ in range(2):
        np.testing.assert_allclose(compiled(ig.tensor(values)).numpy(), right, rtol=2e-5, atol=2e-5)
    program = compiled.programs[0].native
    assert form in {loop.name.rpartition("_")[0] for loop in program._loops}
    assert len(program.schedule.steps) <= 2


def test_the_report_has_the_cuda_source_and_times(cuda: Any) -> None:
    compiled = ig.compile(lambda x: ig.sum(ig.exp(x), axis=1) @ x)
    compiled(ig.ones((3, 3)))
    text = compiled.explain().to_text(source=True)
    assert "__global__ void short_rows_0(float* p0, float* p1)" in text
    assert "exp_0_float32" in text


def test_a_loop_of_a_program_is_part_of_its_graph(cuda: Any, emulator: Any) -> None:
    def fn(x: Any, rows: Any) -> Any:
        def body(h: Any, i: Any) -> Any:
            h = ig.tanh(h @ x) + ig.take(x, i, axis=0)
            return h, h

        return ig.scan(body, ig.ones(3), rows)[0]

    compiled, x = ig.compile(fn), ig.eye(3) * 0.5
    rows = ig.tensor([0, 2, 1])
    first = compiled(x, rows).numpy()
    before = emulator.counts().graph_launches
    np.testing.assert_array_equal(compiled(x, rows).numpy(), first)
    assert emulator.counts().graph_launches == before + 1
    with pytest.raises(IndexError, match="one step of a loop takes is out of range"):
        compiled(x, ig.tensor([0, 3, 1]))


def test_arguments_of_any_strides(cuda: Any) -> None:
    compiled = ig.compile(lambda x: x * 2.0)
    x = ig.tensor(np.arange(12.0).reshape(3, 4))
    assert compiled(ig.permute_dims(x, (1, 0))).tolist() == (x.numpy().T * 2).tolist()
    assert compiled(ig.permute_dims(x + 1.0, (1, 0))).tolist() == ((x.numpy() + 1).T * 2).tolist()


def _step(labels: bool) -> tuple[Any, Any, Any]:
    ig.random.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = optim.AdamW(model.parameters(), lr=0.01)

    @ig.compile(state=(model, optimizer))
    def step(x: Any, y: Any) -> Any:
        out = model(x)
        loss = F.cross_entropy(out, y) if labels else F.mse_loss(out, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step, model, optimizer


@pytest.mark.parametrize("labels", [False, True])
def test_a_step_is_one_graph_launch(labels: bool, cuda: Any, emulator: Any) -> None:
    step, _, _ = _step(labels)
    x = ig.ones((4, 8))
    y = ig.arange(4) % 3 if labels else ig.ones((4, 3))
    first = step(x, y).item()
    for _ in range(4):
        step(x, y)
    before = emulator.counts()
    emulator.log()
    last = step(x, y)
    after = emulator.counts()
    assert emulator.log() == []  # no kernel is launched outside the graph
    # Labels are checked on the device, and the answer is waited for once, before the graph that
    # updates state in place.
    assert after.graph_launches - before.graph_launches == 1 + labels
    assert after.products == before.products
    assert after.allocations == before.allocations
    assert after.synchronisations - before.synchronisations == int(labels)
    assert last.item() < first


def test_a_label_out_of_range_changes_nothing(cuda: Any) -> None:
    step, model, _ = _step(True)
    x, good = ig.ones((4, 8)), ig.arange(4) % 3
    bad = ig.tensor([0, 1, 3, 2])
    with pytest.raises(IndexError, match="label 3 is out of range for 3 classes"):
        step(x, bad)
    step(x, good)
    step(x, good)
    weight = model[0].weight.numpy().copy()
    with pytest.raises(IndexError, match="label 3 is out of range for 3 classes"):
        step(x, bad)
    assert np.array_equal(model[0].weight.numpy(), weight)
    assert np.isfinite(step(x, good).item())


def test_what_the_host_decides_is_launched_step_by_step(cuda: Any) -> None:
    compiled = ig.compile(lambda x: ig.cond(ig.sum(x) > 0, lambda x: x * 2.0, lambda x: x - 1.0, x))
    with pytest.warns(
        RuntimeWarning, match="cannot be recorded as a CUDA graph.*: cond, .*test_co"
    ):
        compiled(ig.ones(3))
    for _ in range(2):  # one warning was enough
        assert compiled(ig.ones(3)).tolist() == [2.0] * 3
        assert compiled(-ig.ones(3)).tolist() == [-2.0] * 3
    assert not compiled.programs[0].native.captured


def test_programs_on_two_gpus_have_memory_of_their_own() -> None:
    compiled = ig.compile(lambda x: ig.exp(x) @ x)
    for where in ("cuda", "cuda:1", "cuda"):
        if ig.device(where) not in ig.get_backend("cuda").memory.devices():
            pytest.skip("there is one GPU")
        out = compiled(ig.ones((2, 2), device=where))
        assert out.device is ig.device(where)
        np.testing.assert_allclose(out.numpy(), np.full((2, 2), 2 * np.e), rtol=1e-6)


#: In CI every sixth row of the table.
ROWS = [spec for spec in OP_DB if spec.samples is not None][:: 1 if FULL else 6]


@pytest.mark.parametrize("spec", ROWS, ids=lambda spec: spec.name)
def test_rows_of_the_table_compiled(spec: OpSpec, cuda: Any) -> None:
    case = case_of(spec, "float32" if "float32" in spec.dtypes else spec.dtypes[0])
    for sample in case.compilable[:2]:
        compiled = ig.compile(functools.partial(spec.fn, **sample.kwargs))
        try:
            found = call(compiled, sample.args, {})
        except ig.ConcretizationError as error:  # what the compiler answers on any backend
            if "shape of its result depends on numbers" not in str(error):
                raise
            return
        eager = call(spec.fn, sample.args, sample.kwargs)
        for value, wanted in zip(found, eager, strict=True):
            assert (value.shape, value.dtype) == (wanted.shape, wanted.dtype)
        units = case.baseline(sample) if not case.rule.exact else 0.0
        judged = case.judge(found, sample.args, sample, case.expected(sample), units)
        assert judged.ok, f"{sample}: {judged.message}"
