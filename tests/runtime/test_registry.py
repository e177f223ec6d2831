import os
import subprocess
import sys

import pytest

import isograd as ig
from isograd.runtime import registry


@pytest.fixture
def clean_registry():
    yield
    for name in list(registry._registered):
        if name[1].startswith("test-"):
            del registry._registered[name]
            registry._tables.pop(name, None)
            registry._failures.pop(name, None)
            registry._chosen.pop(name[0], None)


def numpy_like(name, protocol=None):
    from isograd_numpy import create

    backend = create()
    backend.name = name
    if protocol is not None:
        backend.protocol_version = protocol
    return backend


def test_backends_are_listed_with_reasons():
    records = {r.name: r for r in ig.backends()}
    assert records["numpy"].available
    assert records["numpy"].device == "cpu"
    cupy = records["cupy"]
    assert cupy.device == "cuda"
    assert cupy.available or "device='cpu'" in cupy.reason


def test_use_backend_is_a_block_a_decorator_and_nests():
    @ig.use_backend("numpy")
    def which():
        return ig.get_backend().name

    assert which() == "numpy"
    outer = ig.get_backend().name
    with ig.use_backend("numpy") as backend:
        assert ig.get_backend() is backend
        with ig.use_backend(numpy_like("test-other")):
            assert ig.get_backend().name == "test-other"
        assert ig.get_backend() is backend
    assert ig.get_backend().name == outer


def test_unknown_backends_name_the_known(clean_registry):
    with pytest.raises(ig.UnknownDeviceError, match=r"no backend 'jax'; choose one of .*numpy"):
        ig.use_backend("jax")


def test_another_protocol_is_refused(clean_registry):
    with pytest.raises(ig.BackendUnavailableError, match="protocol version 99"):
        ig.register_backend(numpy_like("test-old", protocol=99))


def test_registered_backends_can_be_used_by_name(clean_registry):
    ig.register_backend(numpy_like("test-mine"))
    with ig.use_backend("test-mine"):
        assert (ig.ones(2) * 2).tolist() == [2.0, 2.0]
    assert "test-mine" in [r.name for r in ig.backends()]


def test_threads_must_be_at_least_one():
    before = ig.get_num_threads()
    with pytest.raises(ValueError, match="count is 0"):
        ig.set_num_threads(0)
    assert ig.get_num_threads() == before


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [("numpy", 0, "numpy"), ("nonsense", 1, "no backend 'nonsense'")],
)
def test_the_environment_chooses_the_backend(value, code, words):
    script = "import isograd as ig; ig.ones(1); print(ig.get_backend().name)"
    env = {**os.environ, "ISOGRAD_BACKEND": value}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
