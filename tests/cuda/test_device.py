"""Tensors on the GPU as users meet them: devices, training, and what a step costs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cupy
import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F


def test_tensors_go_there_and_back() -> None:
    x = ig.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = x.to("cuda")
    assert y.device is ig.device("cuda")
    assert isinstance(y.array, cupy.ndarray)
    assert (y @ y).to("cpu").tolist() == (x @ x).tolist()
    assert repr(y).endswith("device='cuda')")


def test_the_default_device_is_used(cuda: Any) -> None:
    assert ig.ones(2).device is ig.device("cuda")
    assert nn.Linear(2, 3).weight.device is ig.device("cuda")


def two_gpus() -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")


def test_derivatives_are_checked_on_a_second_gpu() -> None:
    two_gpus()
    x = ig.tensor([0.1, 0.7, -2.0], dtype="float64", device="cuda:1")
    assert ig.testing.gradcheck(lambda x: ig.sum(ig.tanh(x) ** 2), x)


def test_a_second_gpu_computes_in_its_own_memory() -> None:
    two_gpus()
    x = ig.arange(4, dtype="float32", device="cuda:1")
    out = ig.exp(x) + x
    assert out.device is ig.device("cuda:1")
    assert out.array.device.id == 1
    assert cupy.cuda.runtime.getDevice() == 0
    np.testing.assert_allclose(out.numpy(), np.exp(np.arange(4.0)) + np.arange(4.0), rtol=1e-6)
    with pytest.raises(ig.DeviceMismatchError, match=r'argument 1 is on cuda:1.*\.to\("cuda"\)'):
        ig.ones(4, device="cuda") + x
    assert x.to("cuda").device is ig.device("cuda")


def test_fast_products_are_tf32(cuda: Any) -> None:
    x = ig.full((1, 1), 1.0 + 2.0**-12)
    one = ig.ones((1, 1))
    assert (x @ one).item() == 1.0 + 2.0**-12
    compiled = ig.compile(lambda x: x @ one)
    for product in (lambda: x @ one, lambda: compiled(x)):
        with ig.numerics("fast"):
            assert product().item() == 1.0
        assert product().item() == 1.0 + 2.0**-12
    with pytest.raises(ValueError, match="the mode is 'quick'; pass 'strict' or 'fast'"):
        ig.numerics("quick")


def test_large_arrays_go_through_pinned_memory(cuda: Any, emulator_if_any: Any) -> None:
    values = np.random.default_rng(0).standard_normal((300, 301)).astype(np.float32)
    before = None if emulator_if_any is None else emulator_if_any.counts()
    found = [ig.tensor(values * n) for n in range(5)]
    if emulator_if_any is not None:
        assert emulator_if_any.counts().synchronisations == before.synchronisations
    for n, x in enumerate(found):
        assert np.array_equal(x.numpy(), values * n)


def test_batches_of_a_loader_go_there(cuda: Any) -> None:
    ig.set_default_device("cpu")
    values = np.arange(60000.0, dtype=np.float32).reshape(30, 2000)
    batches = ig.data.DataLoader(ig.data.TensorDataset(ig.tensor(values)), batch_size=10)
    found = [batch.to("cuda") for (batch,) in batches]
    assert np.array_equal(np.concatenate([x.numpy() for x in found]), values)


def test_work_goes_to_cupys_current_stream(cuda: Any) -> None:
    x = ig.eye(3) * 0.5
    right = (ig.exp(x) @ x).numpy()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        ig.exp(x) @ x  # fills the stream's pool
        stream.begin_capture()
        y = ig.exp(x) @ x
        graph = stream.end_capture()
        y.array.data.memset(0, y.nbytes)
        assert y.tolist() == [[0.0] * 3] * 3  # it was recorded, and not run
        graph.launch()
        np.testing.assert_array_equal(y.numpy(), right)
        compiled = ig.compile(lambda x: ig.exp(x) @ x)
        for _ in range(3):
            np.testing.assert_allclose(compiled(x).numpy(), right, rtol=1e-6)
    np.testing.assert_allclose(compiled(x).numpy(), right, rtol=1e-6)


def train(device: str, compiled: bool) -> tuple[list[float], np.ndarray[Any, Any]]:
    ig.set_default_device(device)
    try:
        ig.random.manual_seed(0)
        rng = np.random.default_rng(0)
        x = ig.tensor(rng.standard_normal((64, 8)).astype(np.float32))
        y = ig.tensor((rng.standard_normal((64, 8)) @ np.ones(8) > 0).astype(np.int64))
        model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 2))
        optimizer = optim.AdamW(model.parameters(), lr=0.02)

        def step(x: Any, y: Any) -> Any:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        run = ig.compile(step, state=(model, optimizer)) if compiled else step
        losses = [run(x, y).item() for _ in range(12)]
        return losses, model[0].weight.numpy()
    finally:
        ig.set_default_device("cpu")


@pytest.mark.parametrize(("where", "compiled"), [("cuda", False), ("cuda", True), ("cuda:1", True)])
def test_training_matches_the_cpu(where: str, compiled: bool) -> None:
    if where == "cuda:1":
        two_gpus()
    with ig.use_backend("numpy"):
        losses, weights = train("cpu", False)
    found, there = train(where, compiled)
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(found, losses, rtol=2e-4)
    np.testing.assert_allclose(there, weights, rtol=2e-2, atol=2e-4)


def test_a_small_convolutional_net_has_the_gradients_of_the_cpu() -> None:
    def gradients(device: str) -> list[np.ndarray[Any, Any]]:
        ig.set_default_device(device)
        try:
            ig.random.manual_seed(0)
            model = nn.Sequential(
                *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Flatten(), nn.LayerNorm(36), nn.Linear(36, 3)),
            )
            x = np.random.default_rng(0).standard_normal((5, 1, 6, 6)).astype(np.float32)
            F.cross_entropy(model(ig.tensor(x)), ig.arange(5) % 3).backward()
            return [p.grad.numpy() for p in model.parameters()]
        finally:
            ig.set_default_device("cpu")

    with ig.use_backend("numpy"):
        right = gradients("cpu")
    for found, wanted in zip(gradients("cuda"), right, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_cross_check_agrees(cuda: Any) -> None:
    from isograd.testing import cross_check

    def fn(x: Any, w: Any) -> Any:
        return ig.sum(ig.tanh(x @ w) ** 2)

    rng = np.random.default_rng(0)
    inputs = [ig.tensor(rng.standard_normal(s).astype(np.float32)) for s in ((5, 7), (7, 3))]
    assert cross_check(fn, *inputs, backends=["numpy", "cupy"]).ok


def test_an_eager_step_without_indices_never_waits(cuda: Any, emulator: Any) -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = ig.ones((4, 8)), ig.ones((4, 1))

    def step() -> None:
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()

    for _ in range(3):
        step()
    before = emulator.counts()
    emulator.log()
    step()
    after = emulator.counts()
    assert after.synchronisations == before.synchronisations
    assert after.allocations == before.allocations  # the pool serves them
    assert emulator.log().count("sgd_update") == 1  # all parameters at once
    assert after.launches - before.launches < 40


def test_the_origin_of_a_nan_is_found_there(cuda: Any) -> None:
    ig.set_default_device("cpu")
    x = ig.tensor([0.0, 4.0], device="cuda", requires_grad=True)
    found = ig.debug.nan_origin(lambda x: ig.where(x > 0, ig.sqrt(x), 0.0).sum(), x)
    assert (found.op, found.phase, found.kind) == ("sqrt", "backward", "nan")
    found = ig.debug.nan_origin(lambda x: ig.log(x.detach() - 1j).imag / 0.0, x)
    assert (found.op, found.kind) == ("div", "inf")


def test_a_network_on_two_devices_has_the_gradients_of_one() -> None:
    ig.random.manual_seed(0)
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    x = ig.random.normal((5, 3))

    def gradients(where: str) -> list[np.ndarray[Any, Any]]:
        here = ig.tanh(first.to(where)(x.to(where)))
        (second(here.to("cpu")) ** 2).sum().backward()
        found = [p.grad.numpy() for m in (first, second) for p in m.parameters()]
        for m in (first, second):
            m.zero_grad()
        return found

    for found, wanted in zip(gradients("cuda"), gradients("cpu"), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_threads_compute_side_by_side_on_their_devices() -> None:
    """Eager and compiled, a function of each thread's own and one that all share."""
    shared = ig.compile(lambda x: ig.exp(x * 0.01) @ x)
    count = min(2, cupy.cuda.runtime.getDeviceCount())

    def work(number: int) -> list[float]:
        x = ig.full((50,), float(number), device=f"cuda:{number % count}")
        own = ig.compile(lambda x: ig.sum(ig.exp(x * 0.01) * x))
        eager = [(ig.exp(x * 0.01) @ x).item() for _ in range(3)]
        return eager + [fn(x).item() for fn in (own, shared) for _ in range(3)]

    with ThreadPoolExecutor(6) as pool:
        for number, found in enumerate(pool.map(work, range(12))):
            np.testing.assert_allclose(found, 50 * number * np.exp(number * 0.01), rtol=1e-5)
