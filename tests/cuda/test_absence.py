"""Real CuPy on a machine without a driver, and programs that do not ask for CUDA."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

HERE = {name: value for name, value in os.environ.items() if name != "ISOGRAD_CUDA_EMULATOR"}


def run(script: str) -> str:
    """Run a script with this Python, without the emulator."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_cuda_without_a_driver_is_one_clear_error(emulator: Any) -> None:
    script = """
import isograd as ig
try:
    ig.ones(2, device="cuda")
except ig.BackendUnavailableError as error:
    print(error)
for ask in (lambda: ig.set_default_device("cuda:1"), lambda: ig.ones(2).to("cuda")):
    try:
        ask()
    except ig.BackendUnavailableError as error:
        print("again")
print((ig.ones(2) + 1).tolist(), [r.reason for r in ig.backends() if r.name == "cupy"])
"""
    if "CUDA works" in run(
        "import cupy; print('CUDA works' if cupy.cuda.is_available() else 'it does not')"
    ):
        pytest.skip("there is a GPU here")
    first, *rest = run(script).splitlines()
    assert first.startswith("device 'cuda' has no backend that can run here; cupy: CuPy 14.2.0")
    assert "finds no working CUDA driver (cudaErr" in first
    assert "install NVIDIA's driver and see that nvidia-smi lists a GPU, or use dev" in first
    assert rest[:2] == ["again"] * 2
    assert rest[2].startswith('[2.0, 2.0] ["CuPy 14.2.0 finds no working CUDA driver')


def test_the_cpu_never_imports_cupy(emulator: Any) -> None:
    """It is installed here, so that an import would succeed."""
    script = """
import sys
import isograd as ig
from isograd import nn, optim

model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.1), nn.Linear(4, 2))
optimizer = optim.AdamW(model.parameters())

def step(x, y):
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss

for fn in (step, ig.compile(step, state=(model, optimizer))):
    fn(ig.random.normal((5, 3)), ig.arange(5) % 2).item()
with ig.use_backend("numpy"):
    ig.vmap(ig.grad(lambda x: ig.sum(x * x)))(ig.ones((2, 3)))
ig.synchronize()
ig.from_dlpack(ig.ones(3).numpy())
roots = {name.partition(".")[0] for name in sys.modules}
assert roots.isdisjoint({"cupy", "cupy_backends", "isograd_cupy"}), roots
print("done")
"""
    assert run(script) == "done\n"
