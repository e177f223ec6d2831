"""Writing a file so that its name never stands for half of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

__all__ = ["PathLike", "atomic_write", "sync_folder"]

PathLike = str | os.PathLike[str]

#: Temporary files have this in their names, so that who lists a folder can leave them out.
TEMPORARY = ".partial-"


@contextlib.contextmanager
def atomic_write(path: PathLike, /) -> Generator[Path]:
    """Give a temporary path to write to; take it to ``path`` when the block ends without error.

    The file's bytes are on the disk before it gets its name, and the name before the block ends. So
    whatever happens, ``path`` is what it was or all of the new file, and after the block it is the
    new one even if the power fails. A killed process can leave the temporary file, which has
    ``.partial-`` in its name.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_write(path) as partial:
    ...     _ = partial.write_text("all of it")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('all of it', 1)
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}{TEMPORARY}", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        _sync(partial, os.O_RDWR)
        partial.chmod(0o666 & ~_umask())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows does not offer this."""
    if os.name != "nt":
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
