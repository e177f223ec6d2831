"""The backend object: what it offers, when it says that it cannot run."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

import isograd_numba
from isograd.backend import Backend, BackendUnavailableError, Memory
from isograd_numba import _link, backend
from isograd_numpy.kernels import numpy_kernels


@pytest.fixture(scope="module")
def numba_backend() -> Any:
    return isograd_numba.create()


def test_it_follows_the_protocols(numba_backend: Any) -> None:
    assert isinstance(numba_backend, Backend)
    assert isinstance(numba_backend.memory, Memory)
    assert numba_backend.version == metadata.version("numba")


def test_it_has_a_kernel_wherever_numpy_has_one(numba_backend: Any) -> None:
    own, numpys = [], []
    for name, kernel in numpy_kernels().items():
        found = numba_backend.kernel(name)
        assert callable(found), name
        module = getattr(found, "__module__", None) or ""
        (own if module.startswith("isograd_numba") else numpys).append(name)
        del kernel
    assert "matmul" in own
    assert "add" in numpys
    assert numba_backend.kernel("no such primitive") is None


def test_the_number_of_threads(numba_backend: Any) -> None:
    before = numba_backend.get_num_threads()
    try:
        numba_backend.set_num_threads(1)
        assert numba_backend.get_num_threads() == 1
    finally:
        numba_backend.set_num_threads(before)
    assert numba_backend.get_num_threads() == before


def test_capabilities(numba_backend: Any) -> None:
    capabilities = numba_backend.capabilities()
    assert capabilities.deterministic
    assert np.dtype(np.float32) in capabilities.dtypes


def test_describe_says_what_doctor_prints(numba_backend: Any) -> None:
    facts = numba_backend.describe()
    assert {"numba", "llvmlite", "threading layer", "threads", "cpu", "kernel cache"} <= set(facts)
    assert all(isinstance(value, str) and value for value in facts.values())


def test_a_missing_numba_is_a_readable_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find_spec", lambda name: None if name == "numba" else object())
    with pytest.raises(BackendUnavailableError, match=r"pip install isograd\[numba\]"):
        isograd_numba.create()


@pytest.mark.parametrize(
    ("requirement", "fits"),
    [
        ("numpy<1.27,>=1.22", False),
        ("numpy<3,>=1.22", True),
        ("numpy>=1.22", True),
        ("numpydoc<1", True),
    ],
)
def test_a_numba_for_another_numpy_is_a_readable_reason(
    requirement: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["llvmlite>=0.4", requirement])
    if fits:
        backend.check_available()
    else:
        with pytest.raises(BackendUnavailableError, match="does not support NumPy"):
            backend.check_available()


def test_an_unknown_layout_of_arrays_is_a_readable_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _link.layout_is_known()
    monkeypatch.setattr(_link, "layout_is_known", lambda: False)
    with pytest.raises(BackendUnavailableError, match="laid out in an unknown way"):
        isograd_numba.create()
