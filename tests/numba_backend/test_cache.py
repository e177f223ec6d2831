"""The disk cache of kernels: private, whole or not used, never in the way."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

from isograd_numba import _cache
from isograd_numba._cache import Store

posix = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are of POSIX")


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    assert store.load("key") is None
    store.save("key", b"code")
    assert store.load("key") == b"code"
    assert Store(tmp_path / "cache").load("key") == b"code"
    assert store.load("other") is None
    assert store.describe() == f"{tmp_path / 'cache' / 'numba'} (1 kernels)"


@posix
def test_the_folder_is_private(tmp_path: Path) -> None:
    Store(tmp_path / "cache").save("key", b"code")
    for path in (tmp_path / "cache", *(tmp_path / "cache").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["", "cut", "flip", "magic", "empty"])
def test_a_damaged_file_is_not_used_and_is_replaced(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path / "cache")
    store.save("key", b"some code")
    (file,) = (tmp_path / "cache" / "numba").iterdir()
    content = bytearray(file.read_bytes())
    if damage == "cut":
        del content[-2:]
    elif damage == "flip":
        content[-1] ^= 1
    elif damage == "magic":
        content[0] ^= 1
    elif damage == "empty":
        content.clear()
    file.write_bytes(content)
    assert (store.load("key") is None) == bool(damage)
    store.save("key", b"some code")
    assert store.load("key") == b"some code"


def _open_or_writable(folder: Path) -> str:
    folder.mkdir()
    folder.chmod(0o777)
    return "writable by other users"


def _inner_writable(folder: Path) -> str:
    (folder / "numba").mkdir(parents=True)
    (folder / "numba").chmod(0o720)
    return "writable by other users"


def _link(folder: Path) -> str:
    (folder.parent / "target").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "target")
    return "symbolic link"


def _inner_link(folder: Path) -> str:
    (folder.parent / "target").mkdir(mode=0o700)
    folder.mkdir(mode=0o700)
    (folder / "numba").symlink_to(folder.parent / "target")
    return "symbolic link"


@posix
@pytest.mark.parametrize("make", [_open_or_writable, _inner_writable, _link, _inner_link])
def test_a_folder_that_others_could_write_is_not_used(tmp_path: Path, make: Any) -> None:
    reason = make(tmp_path / "cache")
    with pytest.warns(RuntimeWarning, match=f"{reason}.*set ISOGRAD_CACHE_DIR") as caught:
        store = Store(tmp_path / "cache")
    assert len(caught) == 1
    store.save("key", b"code")
    assert store.load("key") is None
    assert store.describe().startswith("memory only: ")
    assert not list(tmp_path.rglob("*.o"))


@posix
def test_a_folder_of_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert Store(tmp_path / "cache").folder is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "cache")
    store.save("key", b"code")
    assert store.load("key") is None
    assert "cannot be used" in store.describe()


def test_a_full_disk_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "cache")

    def full(*args: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", full)
        store.save("key", b"code")
    assert store.load("key") is None
    assert "No space left" in store.describe()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        store.save("key", b"code")
    assert store.load("key") is None
    assert not list((tmp_path / "cache" / "numba").iterdir())


def test_an_unknown_home_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ISOGRAD_CACHE_DIR", raising=False)
    monkeypatch.setattr(_cache, "default_folder", unknown)
    _cache._store.cache_clear()
    try:
        assert _cache.open_store().describe() == "memory only: the user's home folder is unknown"
    finally:
        _cache._store.cache_clear()


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOGRAD_CACHE_DIR", str(tmp_path / "mine"))
    assert _cache.default_folder() == tmp_path / "mine"
    assert _cache.open_store().folder == tmp_path / "mine" / "numba"
    monkeypatch.delenv("ISOGRAD_CACHE_DIR")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert _cache.default_folder() == tmp_path / "xdg" / "isograd"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert _cache.default_folder() == tmp_path / "home" / ".cache" / "isograd"


def test_the_environment_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = _cache.environment.__wrapped__
    before = digest()
    assert digest() == before
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert digest() != before


def test_what_other_environments_left_is_removed_in_time(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "numba"
    store = Store(tmp_path / "cache")
    own, old, recent = (folder / f"{name}-key.o" for name in (_cache.environment()[:16], "a", "b"))
    for path in (own, old, recent):
        path.write_bytes(b"")
    for path in (own, old):
        os.utime(path, (time.time() - 90 * 24 * 3600,) * 2)
    store.save("another", b"code")
    assert own.exists()
    assert recent.exists()
    assert not old.exists()


_PROGRAM = """
import sys
import numpy as np
from isograd_numba._jit import compiled, statistics

@compiled("float64[::1]")
def count(start, stop, out):
    for i in range(start, stop):
        out[i] += i

out = np.ones(5)
count[()](5, out)
assert out.tolist() == [1, 2, 3, 4, 5], out
print(statistics.compiled, statistics.loaded, "numba" in sys.modules)
"""


def test_a_second_process_loads_kernels_without_numba(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_PROGRAM)
    environment = {**os.environ, "ISOGRAD_CACHE_DIR": str(tmp_path / "cache")}

    def run() -> list[str]:
        command = [sys.executable, str(tmp_path / "program.py")]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert run() == ["1", "0", "True"]
    assert run() == ["0", "1", "False"]
    (file,) = (tmp_path / "cache" / "numba").iterdir()
    whole = _cache._MAGIC + hashlib.sha256(b"no object code").digest() + b"no object code"
    for damaged in (file.read_bytes()[:-100], whole):
        file.write_bytes(damaged)
        assert run() == ["1", "0", "True"]
    assert run() == ["0", "1", "False"]
