"""The header of a safetensors file, read and checked before anything is allocated for it.

A file is the length of a JSON text as a little-endian uint64, the text, and the bytes of all
tensors, one after the other. The text has for each tensor its dtype, shape and range of bytes.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, cast

from isograd.core.dtypes import DType, as_dtype
from isograd.core.errors import DataFormatError

__all__ = ["DTYPES", "Entry", "read_header"]

DTYPES: Final = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_MAX_HEADER: Final = 100_000_000


class Entry(NamedTuple):
    """What a header says of a tensor."""

    dtype: DType
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the tensors of a safetensors file by name, and its metadata.

    Raises
    ------
    DataFormatError
        If the header is cut off, is no JSON, or does not fit the file: ranges that overlap, leave
        gaps, or are longer or shorter than shape and dtype say, or than the file is.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(8)
        if len(head) < 8:
            _fail(path, f"the file ends after {len(head)} of the 8 bytes of the header's length")
        length = int.from_bytes(head, "little")
        if length > min(size - 8, _MAX_HEADER):
            _fail(
                path,
                f"the header is said to be {length} bytes long, of a file of {size} bytes "
                f"(and {_MAX_HEADER} at most)",
            )
        text = file.read(length)
    try:
        header: Any = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        _fail(path, f"the header is not JSON ({error})")
    if not isinstance(header, dict):
        _fail(path, f"the header is a {type(header).__name__}, not an object")
    named = cast("dict[str, Any]", header)
    metadata = named.pop("__metadata__", {})
    if not _is_text(metadata):
        _fail(path, "__metadata__ is not an object of texts")
    entries = {name: _entry(path, name, value) for name, value in named.items()}
    _check_ranges(path, entries, size - 8 - length)
    return entries, metadata


def _fail(path: Path, problem: str) -> NoReturn:
    raise DataFormatError(f"safetensors: {path}: {problem}; fetch or save the file again")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(item, str)
        for item in value.values()  # pyright: ignore[reportUnknownVariableType]
    )


def _entry(path: Path, name: str, value: Any) -> Entry:
    try:
        code: Any = value["dtype"]
        sizes: Any = value["shape"]
        start, stop = value["data_offsets"]
    except (TypeError, KeyError, ValueError):
        _fail(path, f"{name!r} lacks its dtype, shape or data_offsets")
    if code not in DTYPES:
        _fail(path, f"{name!r} has the dtype {code!r}, which isograd does not have")
    shape = cast("list[Any]", sizes if isinstance(sizes, list) else [None])
    if not all(type(n) is int and n >= 0 for n in (*shape, start, stop)):
        _fail(path, f"{name!r} has the shape {sizes} at {[start, stop]}; sizes are integers >= 0")
    dtype = as_dtype(DTYPES[code])
    wanted = math.prod(shape) * dtype.itemsize
    if stop - start != wanted:
        _fail(
            path,
            f"{name!r} takes {stop - start} bytes, but {code} of shape {tuple(shape)} is "
            f"{wanted} bytes",
        )
    return Entry(dtype, tuple(shape), start, stop)


def _check_ranges(path: Path, entries: dict[str, Entry], available: int) -> None:
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            _fail(path, f"{name!r} begins at byte {entry.start} of the data, not at {end}")
        end = entry.stop
    if end != available:
        _fail(path, f"the header describes {end} bytes of data, the file has {available}")
