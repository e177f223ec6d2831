"""``isograd doctor``."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

import isograd
from isograd.cli import _facts
from isograd.cli.app import app
from isograd.runtime import registry
from isograd.testing.edge_policy import EDGE_ROWS

HEADINGS = ("Versions", "Machine", "Backends", "BLAS", "Threads", "Caches", "Modes", "Environment")


def doctor(*arguments: str, width: int = 80) -> str:
    result = CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.output
    return result.output


def facts() -> dict[str, Any]:
    return json.loads(doctor("--json"))


def test_text_has_every_section_and_every_backend() -> None:
    text = doctor()
    for heading in HEADINGS:
        assert any(line.startswith(heading) for line in text.splitlines()), heading
    for record in isograd.backends():
        assert record.name in text
    assert np.__version__ in text


def test_text_fits_a_narrow_terminal() -> None:
    text = doctor(width=44)
    assert max(map(len, text.splitlines())) <= 44
    assert platform.python_version() in text


def test_json_agrees_with_the_library() -> None:
    found = facts()
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["python"] == platform.python_version()
    assert found["threads"]["isograd.get_num_threads()"] == isograd.get_num_threads()
    listed = {(b["name"], b["device"]): b for b in found["backends"]}
    assert set(listed) == {(r.name, r.device) for r in isograd.backends()}
    for record in isograd.backends():
        entry = listed[record.name, record.device]
        assert entry["available"] is record.available
        assert entry["reason"] == record.reason
    assert sum(b["default"] for b in found["backends"] if b["device"] == "cpu") == 1
    assert found["modes"]["numerics"] == "strict"
    assert found["modes"]["default dtype"] == "float32"
    assert found["blas"]


def test_a_missing_backend_comes_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    record = isograd.backends()[0]._replace(
        name="abacus", available=False, reason="beads are missing; pip install beads", version=""
    )
    monkeypatch.setattr(isograd, "backends", lambda: [record])
    text = doctor()
    assert "abacus on cpu: not available" in text
    assert "pip install beads" in text


def test_variables_that_matter_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("UNRELATED_THING", "1")
    environment = facts()["environment"]
    assert environment["OPENBLAS_CORETYPE"] == "Haswell"
    assert "UNRELATED_THING" not in environment


def test_without_threadpoolctl_the_build_of_numpy_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    (blas,) = _facts.collect()["blas"]
    assert "pip install threadpoolctl" in blas["kernel"]
    assert blas["threads"] is None


def test_a_cache_folder_is_shown_with_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir(mode=0o700)
    backend = _facts.BackendFacts(
        name="toy",
        device="cpu",
        default=False,
        available=True,
        version="1",
        reason="",
        details={"cache": f"{folder} (3 kernels)", "kernels": "3 loaded"},
    )
    (cache,) = _facts.caches_of([backend])
    assert cache == {"owner": "toy", "state": f"{folder} (3 kernels)", "mode": "0700"}
    folder.rmdir()
    (cache,) = _facts.caches_of([backend])
    assert cache["mode"] == ""


def test_as_a_process_it_prints_json_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isograd.cli", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["versions"]["numpy"] == np.__version__
    assert done.stderr == ""


def test_edge_policy_prints_every_row() -> None:
    text = doctor("--edge-policy", width=100)
    for row in EDGE_ROWS:
        assert row.case.split()[0] in text
    printed = json.loads(doctor("--edge-policy", "--json"))
    assert [row["case"] for row in printed["rows"]] == [row.case for row in EDGE_ROWS]
    assert set(printed["policies"]) >= {row["policy"] for row in printed["rows"]} - {""}


@pytest.mark.parametrize(
    ("devices", "line"),
    [
        (None, "pip install 'isograd[cuda13]', or 'isograd[cuda12]' for a driver of CUDA 12"),
        (OSError("cudaErrorNoDevice"), "(cudaErrorNoDevice); install NVIDIA's driver and see that"),
        (0, "there is no CUDA device here; use device='cpu'"),
    ],
)
def test_what_cuda_lacks_comes_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, devices: Any, line: str
) -> None:
    """CuPy, a driver, or a GPU is missing."""

    def count() -> int:
        if isinstance(devices, OSError):
            raise devices
        return devices

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=OSError)
    fake = SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", None if devices is None else fake)
    monkeypatch.setattr(registry, "_failures", {})
    others = {key: table for key, table in registry._tables.items() if key[0] != "cuda"}
    monkeypatch.setattr(registry, "_tables", others)
    text = " ".join(doctor().split())
    assert "cupy on cuda: not available" in text
    assert line in text
