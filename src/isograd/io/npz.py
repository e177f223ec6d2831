"""Arrays in NumPy's npz files, without pickle: nothing in a file is run, or believed unchecked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from isograd.core.dtypes import as_dtype
from isograd.core.errors import DataFormatError, DTypeError
from isograd.io.atomic import PathLike, atomic_write
from isograd.ops.creation import asarray
from isograd.runtime.tensor import Tensor

__all__ = ["load_npz", "read_arrays", "save_npz", "write_arrays"]

#: bfloat16 is no dtype of NumPy's: its bits are saved, under a name that says so.
_BITS: Final = ":bfloat16"
# DEFLATE codes at most 258 bytes in two bits, so nothing grows by more than this factor.
_MAX_EXPANSION: Final = 1032


def save_npz(tensors: Mapping[str, Any], path: PathLike, /) -> None:
    """Write tensors to an npz file, which ``numpy.load`` reads as well.

    Parameters
    ----------
    tensors : mapping of str to Tensor or array
        What to save. bfloat16 is saved as the uint16 of its bits, under its name with
        ``":bfloat16"``.
    path : str or path
        The file. It is replaced when all is written.

    Raises
    ------
    DTypeError
        If an array holds Python objects.

    Examples
    --------
    >>> import isograd as ig, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.npz"
    >>> save_npz({"x": ig.ones(2)}, path)
    >>> load_npz(path)["x"].tolist()
    [1.0, 1.0]
    """
    with atomic_write(path) as partial:
        write_arrays(tensors, partial)


def write_arrays(tensors: Mapping[str, Any], path: Path) -> None:
    """Write tensors to a new npz file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, value in tensors.items():
            array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
            if array.dtype.hasobject:
                raise DTypeError(f"save_npz: {name!r} holds Python objects; save arrays of numbers")
            if array.dtype.name == "bfloat16":
                name, array = name + _BITS, array.view(np.uint16)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_npz(path: PathLike, /, *, device: Any = None) -> dict[str, Tensor]:
    """Read tensors from an npz file.

    Parameters
    ----------
    path : str or path
        As `save_npz` or ``numpy.savez`` wrote it.
    device : device, optional
        Where the tensors shall live.

    Raises
    ------
    DataFormatError
        If the file is damaged, holds Python objects, or a header promises more than the file holds.
        Headers are checked before anything is allocated.
    """
    return {name: asarray(a, device=device) for name, a in read_arrays(Path(path)).items()}


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of an npz file by name, each read-only."""
    size = os.path.getsize(path)
    try:
        with zipfile.ZipFile(path) as archive:
            found = [_member(archive, info, path, size) for info in archive.infolist()]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        _fail(path, f"the archive is damaged ({error})")
    return dict(found)


def _fail(path: Path, problem: str) -> NoReturn:
    raise DataFormatError(f"load_npz: {path}: {problem}; save or fetch the file again")


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, size: int
) -> tuple[str, np.ndarray[Any, Any]]:
    name = info.filename.removesuffix(".npy")
    if info.compress_size > size or info.file_size > info.compress_size * _MAX_EXPANSION + 64:
        _fail(path, f"{name!r} is said to be {info.file_size} bytes long, more than it can be")
    with archive.open(info) as member:
        try:
            version = np.lib.format.read_magic(member)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran_order, dtype = read(member)
        except (ValueError, KeyError, SyntaxError, TypeError) as error:
            _fail(path, f"{name!r} has no header of an array ({error})")
        wanted = prod(shape) * dtype.itemsize
        if dtype.hasobject or dtype.names is not None:
            _fail(path, f"{name!r} has the dtype {dtype}, where numbers are expected")
        if min(shape, default=0) < 0 or wanted > info.file_size:
            _fail(
                path,
                f"{name!r} is said to have shape {shape} of {dtype}, {wanted} bytes, and takes "
                f"{info.file_size}",
            )
        data = member.read()
    if len(data) != wanted:
        _fail(path, f"{name!r} has {len(data)} of {wanted} bytes (shape {shape} of {dtype})")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    array = array.astype(dtype.newbyteorder("="), copy=False)
    if name.endswith(_BITS) and array.dtype == np.uint16:
        name, array = name.removesuffix(_BITS), array.view(as_dtype("bfloat16"))
    array.flags.writeable = False
    return name, array
