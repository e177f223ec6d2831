"""What users do wrong, and what goes wrong by itself: every error says so, and work goes on."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F
from isograd_cupy import _debug, _program

# -- devices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda x, o: o + x, "add: arguments are on different devices: argument 0 is on {}"),
        (lambda x, o: x @ ig.permute_dims(o, (1, 0)), "matmul: .* argument 1 is on {}"),
        (lambda x, o: ig.concat([x, x, o]), "concat: .* argument 2 is on {}"),
        (lambda x, o: ig.where(x > 0, x, o), "where: .* argument 2 is on {}"),
        (lambda x, o: ig.take(x, ig.astype(o[0], "int64"), axis=0), "take: .* 1 is on {}"),
        (lambda x, o: F.cross_entropy(x, ig.astype(o[:, 0], "int64")), "cross_entropy: .* {}"),
        (lambda x, o: x.at[0].set(o[0]), "argument . is on {}"),
        (lambda x, o: nn.Linear(2, 2)(x - x + o if o is x else o), "linear: .* 0 is on {}"),
        (lambda x, o: ig.compile(lambda x, o: x + o)(x, o), "add: .* argument 1 is on {}"),
    ],
)
@pytest.mark.parametrize("where", ["cpu", "cuda:1"])
def test_arguments_on_another_device_are_refused(
    where: str, call: Any, argument: str, cuda: Any
) -> None:
    if where != "cpu" and cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")
    x, other = ig.ones((2, 2)), ig.ones((2, 2), device=where)
    with pytest.raises(ig.DeviceMismatchError, match=argument.format(where)):
        call(x, other)
    assert (x.tolist(), other.tolist()) == ([[1.0, 1.0]] * 2,) * 2


def test_an_optimizer_refuses_gradients_from_elsewhere(cuda: Any) -> None:
    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.numpy().copy()
    model.weight.grad, model.bias.grad = ig.ones((2, 2), device="cpu"), ig.ones(2)
    with pytest.raises(ig.IsogradError, match=r"float32\[2, 2\] on cpu, its parameter .* on cuda"):
        optimizer.step()
    assert np.array_equal(model.weight.numpy(), before)


def test_a_gpu_that_is_not_there_is_named() -> None:
    for ask in (lambda: ig.ones(2, device="cuda:9"), lambda: ig.synchronize("cuda:9")):
        with pytest.raises(ig.UnknownDeviceError, match="'cuda:9' does not exist here; use one of"):
            ask()


def test_waiting_is_for_the_device_that_is_named(cuda: Any, emulator: Any) -> None:
    before = emulator.counts().synchronisations
    for where in (None, "cuda", ig.device("cuda:1")):
        ig.synchronize(where)
    assert emulator.counts().synchronisations == before + 3
    ig.synchronize("cpu")
    assert emulator.counts().synchronisations == before + 3


# -- arrays of the host ----------------------------------------------------------------------------


def test_arrays_of_numpy_are_numbers_and_tensors_of_the_cpu_are_not(cuda: Any) -> None:
    x = ig.ones((3, 2))
    for made in (x + np.ones(2, np.float32), np.ones(2, np.float32) + x):
        assert (made.device, made.tolist()) == (x.device, [[2.0, 2.0]] * 3)
    assert ig.take(x, np.array([2]), axis=0).device is x.device
    with pytest.raises(
        TypeError, match=r"cross_entropy: argument 1 is a ndarray.*isograd\.asarray"
    ):
        F.cross_entropy(x, np.array([0, 1, 0]))  # pyright: ignore[reportArgumentType]


# -- indices ---------------------------------------------------------------------------------------

INDEXED = {
    "take": lambda x, i: ig.take(x, i, axis=0),
    "getitem": lambda x, i: x[i],
    "gather": lambda x, i: ig.gather(x, 0, i[:, None]),
    "take_along_axis": lambda x, i: ig.take_along_axis(x, i[:, None], axis=0),
    "scatter": lambda x, i: ig.scatter(x, 0, i[:, None], ig.ones((2, 1), device=x.device)),
    "scatter_add": lambda x, i: ig.scatter_add(x, 0, i[:, None], ig.ones((2, 1), device=x.device)),
    "index_select": lambda x, i: ig.index_select(x, 0, i),
    "index_add": lambda x, i: ig.index_add(x, 0, i, ig.ones((2, 3), device=x.device)),
    "at.set": lambda x, i: x.at[i].set(2.0),
    "at.add": lambda x, i: x.at[i].add(2.0),
    "embedding": lambda x, i: F.embedding(i, x),
    "embedding_bag": lambda x, i: F.embedding_bag(i[None], x),
    "embedding's gradient": lambda x, i: ig.grad(lambda x: F.embedding(i, x).sum())(x),
    "cross_entropy": lambda x, i: F.cross_entropy(x[:2], i),
    "nll_loss": lambda x, i: F.nll_loss(x[:2], i),
    "one_hot": lambda x, i: F.one_hot(i, 3),
    "segment_sum": lambda x, i: ig.segment_sum(x[:2], i, 3),
}
#: Those that count from the end, as NumPy does.
FROM_THE_END = set(INDEXED) - {"cross_entropy", "nll_loss", "one_hot", "segment_sum"}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", INDEXED)
def test_an_index_out_of_range_is_an_error_and_changes_nothing(
    name: str, compiled: bool, cuda: Any
) -> None:
    fn = ig.compile(INDEXED[name]) if compiled else INDEXED[name]
    x = ig.ones((3, 3))
    good = ig.tensor([0, 2])
    right = INDEXED[name](x.to("cpu"), good.to("cpu"))
    for wrong in ([0, 3], [3, 3], [0, -4], [2**40, 0], *([[0, -1]] * (name not in FROM_THE_END))):
        for _ in range(2):  # compiled, the first call records and the second replays
            with pytest.raises(IndexError, match=r"(index|label|class) -?\d+ is out of range for"):
                fn(x, ig.tensor(wrong))
        np.testing.assert_array_equal(fn(x, good).numpy(), right.numpy())
    assert x.tolist() == [[1.0] * 3] * 3


# -- full memory -----------------------------------------------------------------------------------


@pytest.fixture
def small_memory(cuda: Any, emulator: Any) -> Iterator[None]:
    gc.collect()  # frames of errors hold arrays
    cupy.get_default_memory_pool().free_all_blocks()
    emulator.set_memory(64 << 20)
    yield
    emulator.set_memory(8 << 30)


FULL = r"{}: the memory of cuda:0 is full: Out of memory allocating [\d,]+ bytes .*Arguments: {}"


def test_full_memory_names_the_operation_and_leaves_room(small_memory: None) -> None:
    x = ig.ones((1 << 20, 4))
    with pytest.raises(MemoryError, match=FULL.format("exp", r"float32\[1048576, 4\]")) as e:
        held = [ig.exp(x) for _ in range(9)]
    assert "allocating 16,777,216 bytes" in str(e.value)
    assert (
        "bytes are in use by arrays, the largest of them: float32[1048576, 4] (16,777,216"
        in str(e.value)
    )
    assert "Use a smaller batch" in str(e.value)
    held = [ig.exp(x[:1000]) for _ in range(9)]
    assert len(held) == 9


def test_full_memory_is_told_where_arrays_come_in(small_memory: None) -> None:
    values = np.ones((5 << 20, 4), np.float32)
    with pytest.raises(MemoryError, match=FULL.format("copying from the CPU", r"float32\[5242880")):
        ig.tensor(values)
    with pytest.raises(MemoryError, match=FULL.format("full", r"\(5242880, 4\)")):
        ig.zeros(values.shape)
    theirs = ig.zeros((10 << 20,))
    with pytest.raises(MemoryError, match=FULL.format("copying", r"float32\[10485760\]")):
        ig.from_dlpack(theirs.array)
    assert ig.tensor(values[:9]).shape == (9, 4)


def test_full_memory_in_a_gradient_leaves_no_half_of_it(small_memory: None, emulator: Any) -> None:
    x = ig.ones((1 << 20,)).requires_grad_()
    loss = ig.sum(ig.sin(x) * ig.cos(x))
    emulator.set_memory(emulator.counts().bytes_in_use)
    with pytest.raises(MemoryError, match=r"the memory of cuda:0 is full"):
        loss.backward()
    assert x.grad is None
    del loss
    small = ig.ones((1 << 10, 4)).requires_grad_()
    ig.sum(ig.sin(small) * ig.cos(small)).backward()
    assert small.grad.shape == small.shape


def test_a_program_that_does_not_fit_gives_its_memory_back(small_memory: None) -> None:
    compiled, x = ig.compile(lambda x: ig.sort(x * 2.0) + 1.0), ig.ones(1 << 21)
    with pytest.raises(MemoryError, match=FULL.format("argsort", r"float32\[2097152\]")):
        compiled(x)  # its arena fits, what it needs to sort does not
    gc.collect()
    assert cupy.get_default_memory_pool().used_bytes() < x.nbytes + (1 << 20)
    for _ in range(3):
        assert compiled(x[:100]).tolist() == [3.0] * 100
    with pytest.raises(MemoryError, match=r"a compiled program: .*an arena of [\d,]+ bytes"):
        ig.compile(lambda x: (x[:, None] * x).sum(0) @ (x[:, None] - x))(ig.ones(8000))


def test_programs_use_what_the_pool_has_free(small_memory: None, emulator: Any) -> None:
    x = ig.ones(1 << 19)
    spare = ig.zeros(3 << 20), ig.zeros(9 << 20)  # CuPy keeps one of them for each stream
    del spare
    emulator.set_memory(emulator.counts().bytes_in_use)
    assert ig.compile(lambda x: ig.sort(x * 2.0))(x).sum().item() == 2 * x.size


def test_a_limit_of_the_pool_holds_for_programs_too(cuda: Any) -> None:
    pool = cupy.get_default_memory_pool()
    before = pool.get_limit()
    gc.collect()
    pool.free_all_blocks()
    x = ig.ones(1 << 16)
    pool.set_limit(size=pool.total_bytes() + (3 << 19))
    try:
        with pytest.raises(MemoryError, match=r"full: the memory of cuda:0 .*limit set to: \d"):
            ig.ones(1 << 20, dtype="float64")
        with pytest.raises(MemoryError, match=r"argsort: .*limit set to"):
            ig.compile(lambda x: ig.sort(x * 2.0))(x)
    finally:
        pool.set_limit(size=before)


def test_memory_that_cannot_be_pinned_is_copied_all_the_same(cuda: Any, monkeypatch: Any) -> None:
    def refuse(size: int) -> Any:
        raise cupy.cuda.runtime.CUDARuntimeError(2)

    monkeypatch.setattr(cupy.cuda, "alloc_pinned_memory", refuse)
    values = np.arange(1 << 16, dtype=np.float32)
    assert np.array_equal(ig.tensor(values).numpy(), values)


# -- recordings ------------------------------------------------------------------------------------


def test_an_error_inside_a_recording_of_ones_own_leaves_the_stream_usable(cuda: Any) -> None:
    x, indices = ig.ones((3, 2)), ig.zeros(1, dtype="int64")
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        ig.take(x, indices, axis=0)  # compiles, and fills the stream's pool
        stream.begin_capture()
        try:
            # Looking at the indices waits for the device, which a capture forbids.
            with pytest.raises(RuntimeError, match="capturing"):
                ig.take(x, indices, axis=0)
        finally:
            with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
                stream.end_capture()
        assert (x + x).tolist() == [[2.0, 2.0]] * 3
    assert (x + x).tolist() == [[2.0, 2.0]] * 3


def test_a_program_cannot_begin_in_a_recording_of_ones_own(cuda: Any) -> None:
    compiled, x = ig.compile(lambda x: ig.exp(x) @ x), ig.eye(3)
    right = (ig.exp(x) @ x).numpy()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="StreamCapture"):
            compiled(x)
        with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
            stream.end_capture()
        for _ in range(2):
            np.testing.assert_allclose(compiled(x).numpy(), right, rtol=1e-6)


@pytest.mark.parametrize(
    "error", [MemoryError, TypeError, KeyboardInterrupt, ig.DeviceLostError, RuntimeError]
)
def test_an_error_while_a_program_is_recorded_ends_the_recording(
    error: type, cuda: Any, monkeypatch: Any
) -> None:
    launch, recording = _program.CudaProgram._launch, [True]

    def fail(program: Any, number: int, step: Any) -> None:
        if recording[0] and cupy.cuda.get_current_stream().is_capturing():
            raise error("by the test")
        launch(program, number, step)

    monkeypatch.setattr(_program.CudaProgram, "_launch", fail)
    compiled, x = ig.compile(lambda x: ig.exp(x) @ x), ig.eye(3)
    right = (ig.exp(x) @ x).numpy()
    if error is RuntimeError:  # what CUDA cannot record is launched step by step
        with pytest.warns(RuntimeWarning, match="cannot be recorded as a CUDA graph.*by the test"):
            np.testing.assert_allclose(compiled(x).numpy(), right, rtol=1e-6)
    else:
        with pytest.raises(error, match="by the test"):
            compiled(x)
    assert (x + x).tolist() == (2 * x).tolist()  # nothing is being recorded any more
    recording[0] = False
    for _ in range(2):
        np.testing.assert_allclose(compiled(x).numpy(), right, rtol=1e-6)
    assert compiled.programs[0].native.captured == (error is not RuntimeError)


# -- devices that are lost -------------------------------------------------------------------------

LOST = (
    r"{}: the GPU cuda:0 is lost: .*Until the process is started anew .*; tensors on the CPU go on"
)


def test_every_call_on_a_lost_device_says_so_and_the_cpu_goes_on(cuda: Any, emulator: Any) -> None:
    x, big = ig.eye(3), np.ones(1 << 16)
    compiled = ig.compile(lambda x: ig.exp(x) @ x)
    compiled(x)
    theirs = cupy.ndarray((2,), np.float32)
    calls = {
        "add": lambda: x + x,
        "matmul": lambda: x @ x,
        "full": lambda: ig.zeros(1000),
        "copying to the CPU": x.numpy,
        "copying from the CPU": lambda: ig.tensor([1.0, 2.0]),
        "copying": lambda: ig.from_dlpack(theirs),
        "synchronize": lambda: ig.synchronize("cuda"),
        "a compiled program": lambda: compiled(x),
    }
    emulator.lose_device(700)
    try:
        for _ in range(2):
            for name, call in calls.items():
                with pytest.raises(ig.DeviceLostError, match=LOST.format(name)) as e:
                    call()
                assert isinstance(e.value, RuntimeError)
            with pytest.raises(ig.DeviceLostError, match=LOST.format("copying from the CPU")):
                ig.tensor(big)  # through pinned memory
            with pytest.raises(ig.DeviceLostError):
                print(x)
            with pytest.raises(ig.DeviceLostError):
                ig.compile(lambda x: ig.sin(x) @ x)(x)
            here = ig.ones(3, device="cpu").requires_grad_()
            (here * here).sum().backward()
            assert here.grad.tolist() == [2.0] * 3
    finally:
        emulator.lose_device(0)
    assert (x + x).tolist() == (2.0 * x).tolist()
    np.testing.assert_allclose(compiled(x).numpy(), (ig.exp(x) @ x).numpy(), rtol=1e-6)


def test_other_errors_of_cuda_are_as_cupy_raises_them(cuda: Any, emulator: Any) -> None:
    x = ig.ones(3)
    emulator.lose_device(1)  # an invalid value, which leaves the device as it is
    try:
        with pytest.raises(cupy.cuda.driver.CUDADriverError, match="INVALID_VALUE"):
            x + x
        with pytest.raises(RuntimeError, match=r"matmul: cuBLAS answers with status 13 for shape"):
            x @ x
    finally:
        emulator.lose_device(0)


def test_an_error_comes_late_but_for_debugging(cuda: Any, emulator: Any, monkeypatch: Any) -> None:
    x = ig.ones(3)
    emulator.fail_late(700)
    out = x + x
    with pytest.raises(ig.DeviceLostError, match="before may be the cause: run with ISOGRAD"):
        ig.synchronize(out.device)
    emulator.fail_late(700)
    out = x + x
    with pytest.raises(ig.DeviceLostError, match="copying to the CPU: the GPU cuda:0 is lost"):
        out[0].item()
    monkeypatch.setattr(_debug._Settings, "debug", True)
    emulator.fail_late(700)
    with pytest.raises(RuntimeError, match="kernel map_add failed on the GPU"):
        x + x
    emulator.fail_late(700)
    with pytest.raises(RuntimeError, match=r"cuBLAS's product of shape \(1, 1, 3\) failed"):
        x @ x
    compiled = ig.compile(lambda x: ig.exp(x) @ x)
    assert compiled(x).item() == compiled(x).item()
    assert not compiled.programs[0].native.captured
