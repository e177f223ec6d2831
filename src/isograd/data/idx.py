"""The IDX file format, in which MNIST and its relatives come.

A file is two zero bytes, a byte for the dtype, a byte for the number of axes, each axis' size as a
big-endian uint32, then the values in C order, big-endian. Files may be compressed with gzip.

Nothing in a file is believed before it is checked: memory is allocated only for as much data as a
file of that length can hold.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import numpy as np

from isograd.core.errors import DataFormatError

__all__ = ["load_idx"]

Path_ = str | os.PathLike[str]

_DTYPES: Final = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_GZIP_MAGIC: Final = b"\x1f\x8b"
# DEFLATE codes at most 258 bytes in two bits, so no gzip file grows by more than this factor.
_MAX_EXPANSION: Final = 1032
_MAX_AXES: Final = 8
_CHUNK: Final = 1 << 20


def _fail(path: Path, problem: str) -> NoReturn:
    raise DataFormatError(f"load_idx: {path}: {problem}; fetch the file again")


def load_idx(path: Path_, /, *, max_bytes: int = 1 << 32) -> np.ndarray[Any, Any]:
    """Read an IDX file, compressed with gzip or not.

    Parameters
    ----------
    path : str or path
        The file. Compression is recognised by its first bytes, not by its name.
    max_bytes : int
        Refuse files whose values need more memory than this.

    Returns
    -------
    numpy.ndarray
        The values, of the file's shape, in native byte order: uint8, int8, int16, int32, float32 or
        float64.

    Raises
    ------
    DataFormatError
        If the file is not IDX, is truncated, continues after its data, is not valid gzip, or is
        larger than ``max_bytes``.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 9]))
    >>> load_idx(path).tolist()
    [5, 0, 9]
    """
    path = Path(path)
    with path.open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        compressed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        if not compressed:
            return _read(raw, path, size, max_bytes)
        try:
            with gzip.GzipFile(fileobj=raw) as unzipped:
                return _read(unzipped, path, size * _MAX_EXPANSION, max_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            _fail(path, f"the gzip stream is damaged ({error})")


def _read(
    file: BinaryIO | gzip.GzipFile, path: Path, available: int, max_bytes: int
) -> np.ndarray[Any, Any]:
    head = file.read(4)
    if len(head) < 4:
        _fail(path, f"the file ends after {len(head)} of the 4 bytes of an IDX header")
    if head[:2] != b"\0\0" or head[2] not in _DTYPES:
        _fail(path, f"the magic number 0x{head.hex()} is not that of an IDX file")
    axes = head[3]
    if not 1 <= axes <= _MAX_AXES:
        _fail(path, f"the header announces {axes} axes, where 1 to {_MAX_AXES} are possible")
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        _fail(path, f"the file ends inside the sizes of its {axes} axes")
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * axes, 4))
    dtype = np.dtype(_DTYPES[head[2]])
    total = math.prod(shape) * dtype.itemsize
    if math.prod(size or 1 for size in shape) * dtype.itemsize > max_bytes:
        raise DataFormatError(
            f"load_idx: {path}: shape {shape} of {dtype.name} needs more than "
            f"max_bytes={max_bytes}; raise max_bytes if the file is meant to be that large"
        )
    if total > available - 4 - 4 * axes:
        _fail(
            path,
            f"the header announces {total} bytes of values (shape {shape}), more than the file "
            "holds",
        )
    values = bytearray()
    while len(values) < total:
        chunk = file.read(min(_CHUNK, total - len(values)))
        if not chunk:
            _fail(
                path,
                f"the file ends after {len(values)} of {total} bytes of values (shape {shape})",
            )
        values += chunk
    if file.read(1):
        _fail(path, f"the file continues after its {total} bytes of values (shape {shape})")
    return (
        np.frombuffer(values, dtype=dtype)
        .astype(dtype.newbyteorder("="), copy=False)
        .reshape(shape)
    )
