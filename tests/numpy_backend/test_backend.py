"""The backend object, its memory, and a backend of someone else's over the same kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
import isograd_numpy
from isograd.backend import (
    PROTOCOL_VERSION,
    Backend,
    BackendUnavailableError,
    Capabilities,
    Device,
    Kernel,
    Memory,
    xp_kernels,
)
from isograd_numpy import threads


@pytest.fixture
def backend() -> isograd_numpy.NumpyBackend:
    return isograd_numpy.create()


def test_it_follows_the_protocols(backend: isograd_numpy.NumpyBackend) -> None:
    assert isinstance(backend, Backend)
    assert isinstance(backend.memory, Memory)
    assert backend.protocol_version == PROTOCOL_VERSION
    assert (backend.name, backend.version) == ("numpy", np.__version__)


@pytest.mark.parametrize(
    ("name", "ufunc"), [("add", np.add), ("exp", np.exp), ("neg", np.negative), ("less", np.less)]
)
def test_elementwise_kernels_are_the_ufuncs(
    backend: isograd_numpy.NumpyBackend, name: str, ufunc: Any
) -> None:
    assert backend.kernel(name) is ufunc


def test_memory_copies_from_the_host() -> None:
    memory = isograd_numpy.create().memory
    cpu = Device("cpu")
    assert list(memory.devices()) == [cpu]
    given = np.asfortranarray(np.arange(6.0).reshape(2, 3))[:, ::-1]
    made = memory.from_host(given, cpu)
    assert made.flags.c_contiguous
    assert made.flags.aligned
    assert made.flags.owndata
    np.testing.assert_array_equal(made, given)
    given[...] = 0
    assert made.any()
    assert memory.to_host(made) is made
    swapped = memory.from_host(np.arange(3, dtype=">i4"), cpu)
    assert swapped.dtype == np.dtype(np.int32)
    assert swapped.dtype.isnative
    assert swapped.tolist() == [0, 1, 2]


def test_memory_makes_arrays() -> None:
    memory = isograd_numpy.create().memory
    empty = memory.empty((2, 0), np.dtype(np.int8), Device("cpu"))
    assert (empty.shape, empty.dtype) == ((2, 0), np.int8)
    scalar = memory.as_array(np.float32(2))
    assert isinstance(scalar, memory.array_type)
    assert (scalar.shape, scalar.dtype) == ((), np.float32)
    assert memory.as_array(empty) is empty
    memory.synchronize(Device("cpu"))


def test_capabilities(backend: isograd_numpy.NumpyBackend) -> None:
    found = backend.capabilities()
    assert isinstance(found, Capabilities)
    assert {np.dtype(np.bool_), np.dtype(np.float16), np.dtype(np.float64)} <= found.dtypes
    assert found.deterministic
    assert found.threads == threads.has_control()


def test_threads_can_be_set() -> None:
    pytest.importorskip("threadpoolctl")
    backend = isograd_numpy.create()
    before = backend.get_num_threads()
    try:
        backend.set_num_threads(1)
        assert backend.get_num_threads() == 1
    finally:
        backend.set_num_threads(before)
    facts = backend.describe()
    assert facts["numpy"] == np.__version__
    assert set(facts) >= {"blas", "blas threads"}


def test_without_threadpoolctl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_threadpoolctl", lambda: None)
    backend = isograd_numpy.create()
    backend.set_num_threads(1)
    assert backend.get_num_threads() >= 1
    found = backend.capabilities()
    assert not found.threads
    assert any("pip install threadpoolctl" in note for note in found.notes)
    assert backend.describe()["blas"]


class Borrowed:
    """A backend in a few lines: the generic kernels over a namespace."""

    name = "borrowed"
    version = "1"
    protocol_version = PROTOCOL_VERSION
    memory = isograd_numpy.create().memory

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._kernels = xp_kernels(np)

    def kernel(self, name: str, /) -> Kernel | None:
        self.used.add(name)
        return self._kernels.get(name)

    def capabilities(self) -> Capabilities:
        return Capabilities(dtypes=frozenset({np.dtype(np.float32)}))

    def set_num_threads(self, count: int, /) -> None:
        pass

    def get_num_threads(self) -> int:
        return 1

    def describe(self) -> dict[str, str]:
        return {}


def test_the_generic_kernels_make_a_backend() -> None:
    def loss(w: Any) -> Any:
        return ig.sum(ig.tanh(ig.matmul(x, w)))

    x = ig.tensor(np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32))
    w = ig.tensor(np.random.default_rng(1).standard_normal((4, 2)).astype(np.float32))
    mine = Borrowed()
    with ig.use_backend("numpy"):
        expected = ig.grad(loss)(w).numpy()
    with ig.use_backend(mine):
        out = ig.grad(loss)(w).numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-5)
    assert {"matmul", "tanh"} <= mine.used


def test_another_protocol_is_refused() -> None:
    mine = Borrowed()
    vars(mine)["protocol_version"] = PROTOCOL_VERSION + 1
    with pytest.raises(BackendUnavailableError, match="protocol"):
        ig.use_backend(mine)
