"""Object code of kernels on disk, private to the user, keyed by what it was made from.

The folder is ``numba`` below ISOGRAD_CACHE_DIR or below the user's cache folder. Because its files
are run as code, the folder must belong to the user and be writable by nobody else; otherwise, and
where it cannot be read or written, kernels are compiled again in each process.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
import tempfile
import time
import warnings
from importlib import metadata
from pathlib import Path

__all__ = ["Store", "default_folder", "environment", "open_store"]

_MAGIC = b"isograd kernel 1\n"
_MAKERS = ("_compile.py", "_entry.py", "_math.py", "_signature.py", "_tile.py")
_STALE_SECONDS = 60 * 24 * 3600


def default_folder() -> Path:
    """Return the folder for isograd's caches: ISOGRAD_CACHE_DIR, or the user's cache folder.

    Raises
    ------
    RuntimeError
        Where the user's home cannot be determined.
    """
    chosen = os.environ.get("ISOGRAD_CACHE_DIR")
    if chosen:
        return Path(chosen).absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "isograd"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "isograd"
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "isograd"


@functools.cache
def environment() -> str:
    """Digest everything but a kernel's own text that its object code depends on."""
    from isograd_numba._llvm import binding

    digest = hashlib.sha256(_MAGIC)
    for package in ("numba", "llvmlite", "numpy", "isograd"):
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            version = "none"
        digest.update(f"{package} {version}\n".encode())
    digest.update(f"{sys.version} {sys.platform} {sys.maxsize} {object.__basicsize__}\n".encode())
    llvm = binding()
    digest.update(f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()}\n".encode())
    digest.update(llvm.get_host_cpu_features().flatten().encode())
    for name in sorted(n for n in os.environ if n.startswith("NUMBA_")):
        digest.update(f"{name}={os.environ[name]}\n".encode())
    here = Path(__file__)
    for path in [*map(here.with_name, _MAKERS), *sorted(here.parent.glob("codegen/*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _prepare(folder: Path) -> str:
    """Create a private folder; return why it cannot be used, or ""."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = os.lstat(folder)
    except OSError as error:
        return f"{folder} cannot be used ({error.strerror or error})"
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is a symbolic link or not a folder"
    if sys.platform != "win32":
        if status.st_uid != os.geteuid():
            return f"{folder} belongs to another user (id {status.st_uid})"
        if status.st_mode & 0o022:
            return f"{folder} is writable by other users (run `chmod go-w {folder}`)"
    return ""


class Store:
    """Object code by key, in a folder or nowhere.

    Attributes
    ----------
    problem
        Why nothing is kept on disk or can be written there, or "".
    """

    def __init__(self, base: Path | None) -> None:
        self.folder: Path | None = None
        self.problem = "the user's home folder is unknown"
        self._pruned = False
        if base is None:
            return
        self.problem = _prepare(base) or _prepare(base / "numba")
        if not self.problem:
            self.folder = base / "numba"
        elif "cannot be used" not in self.problem:
            warnings.warn(
                f"isograd: {self.problem}, so compiled kernels are kept in memory only; "
                "set ISOGRAD_CACHE_DIR to a private folder",
                RuntimeWarning,
                stacklevel=2,
            )

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{environment()[:16]}-{key}.o"

    def load(self, key: str, /) -> bytes | None:
        """Return the object code kept under a key; None where there is none that is whole."""
        path = self._path(key)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        head, code = content[: len(_MAGIC) + 32], content[len(_MAGIC) + 32 :]
        return code if head == _MAGIC + hashlib.sha256(code).digest() else None

    def save(self, key: str, code: bytes, /) -> None:
        """Keep object code under a key; a failure is noted in ``problem``."""
        path = self._path(key)
        if path is None:
            return
        temporary = None
        try:
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
            with os.fdopen(descriptor, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(code).digest() + code)
            os.replace(temporary, path)
            self._prune()
        except OSError as error:
            self.problem = f"{path.parent} cannot be written ({error.strerror or error})"
        finally:
            if temporary is not None and os.path.exists(temporary):
                os.unlink(temporary)

    def _prune(self) -> None:
        """Once per process, remove what other environments have not written for two months."""
        if self._pruned or self.folder is None:
            return
        self._pruned = True
        for path in self.folder.iterdir():
            foreign = not path.name.startswith(environment()[:16])
            if foreign and path.stat().st_mtime < time.time() - _STALE_SECONDS:
                path.unlink(missing_ok=True)

    def describe(self) -> str:
        """Say where kernels are kept and how many are there, or why they are not kept."""
        if self.folder is None:
            return f"memory only: {self.problem}"
        count = sum(1 for _ in self.folder.glob("*.o"))
        return f"{self.folder} ({count} kernels)" + (f"; {self.problem}" if self.problem else "")


@functools.cache
def _store(chosen: str | None) -> Store:
    try:
        return Store(default_folder())
    except RuntimeError:
        return Store(None)


def open_store() -> Store:
    """Return this process's store for the present ISOGRAD_CACHE_DIR."""
    return _store(os.environ.get("ISOGRAD_CACHE_DIR"))
