"""Use an installed isograd: check what its wheel brought, then train something tiny.

python tools/smoke.py WHEEL
"""

import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F

PACKAGES = ("isograd", "isograd_numpy", "isograd_numba", "isograd_cupy")


def check_contents(wheel: str) -> None:
    """Check that the wheel has the four packages, their types, the licence, and nothing else."""
    names = zipfile.ZipFile(wheel).namelist()
    for package in PACKAGES:
        assert f"{package}/__init__.py" in names, package
        assert f"{package}/py.typed" in names, package
    assert "isograd_cupy/cu/common.cu" in names, "the CUDA sources are missing"
    assert any(name.endswith("licenses/LICENSE") for name in names), "the licence is missing"
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == set(PACKAGES), tops
    here = Path(ig.__file__).resolve()
    assert "site-packages" in here.parts, f"this is not the installed isograd: {here}"
    points = {point.name for point in entry_points(group="isograd.backends")}
    assert {"cpu.numpy", "cpu.numba", "cuda.cupy"} <= points, points


def train(backend: str) -> float:
    """Fit exclusive or and return the last loss."""
    with ig.use_backend(backend):
        ig.random.manual_seed(0)
        x = ig.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        y = ig.tensor([0, 1, 1, 0])
        model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return loss.item()


def main() -> None:
    """Run the checks; any that fails raises."""
    check_contents(sys.argv[1])
    records = ig.backends()
    for record in records:
        if record.available:
            loss = train(record.name)
            assert loss < 0.01, f"{record.name}: exclusive or is not learnt, loss {loss}"
            print(f"{record.device}.{record.name} {record.version}: loss {loss:.2e}")
        else:
            print(f"{record.device}.{record.name}: {record.reason}")
    assert {"numpy", "numba"} <= {record.name for record in records if record.available}


if __name__ == "__main__":
    main()
