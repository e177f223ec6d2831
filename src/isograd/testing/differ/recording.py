"""Recordings: a run in one safetensors file, with everything else as JSON in its header.

Nothing in a recording is run when it is read. Every claim of the header is checked against the
file's length before anything is allocated, and what is allocated never is larger than the file.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.core.devices import Device, device
from isograd.core.errors import IsogradError
from isograd.io.header import DTYPES
from isograd.testing.differ.layout import Layout, layout_of, placed
from isograd.testing.differ.run import Operation, Run

__all__ = [
    "FORMAT",
    "RecordingError",
    "packed",
    "read_recording",
    "unpacked",
    "write_recording",
]

Array = Any

FORMAT = 1
"""Version of the recordings that are written here."""

_KEY = "isograd.recording"
_MAX_HEADER = 100 << 20
_SPARE = 1 << 20
_NAMES = {**DTYPES, "C128": "complex128"}  # which safetensors lacks
_CODES = {name: code for code, name in _NAMES.items()}


class RecordingError(IsogradError, ValueError):
    """A recording that cannot be written or read.

    Mistake: reading a file that was cut off while it was copied.
    Fix: copy it again, or record the run again with ``isograd record``.
    """


# -- writing ---------------------------------------------------------------------------------------


def write_recording(run: Run, file: Path | str) -> None:
    """Write a run to one file.

    Raises
    ------
    RecordingError
        If an operation has a static parameter that JSON cannot hold, or the file cannot be written.

    Examples
    --------
    >>> import isograd as ig, tempfile, pathlib
    >>> from isograd.testing.differ import read_recording, record
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "run.safetensors"
    >>> write_recording(record("numpy", lambda: ig.sin, np.ones(2)), file)
    >>> read_recording(file).operations[0].op
    'sin'
    """
    chunks = _chunks(run)
    text = next(chunks)
    try:
        with open(file, "wb") as out:
            out.write(text)
            out.writelines(chunks)
    except OSError as error:
        raise RecordingError(f"record: cannot write {str(file)!r}: {error.strerror}") from error


def packed(run: Run) -> bytes:
    """Return what `write_recording` writes."""
    return b"".join(_chunks(run))


def _chunks(run: Run) -> Iterator[bytes]:
    """Yield the header, and then the arrays."""
    arrays: dict[int, tuple[str, Array]] = {}

    def named(x: Array) -> str:
        return arrays.setdefault(id(x), (f"a{len(arrays)}", x))[0]

    operations = [
        {
            "op": o.op,
            "static": {k: _encoded(v, o.op) for k, v in o.static.items()},
            "inputs": [[named(x), *_encoded_layout(x)] for x in o.inputs],
            "outputs": [named(x) for x in o.outputs],
            "phase": o.phase,
            "line": o.line,
            "module": o.module,
            "of": o.of,
            "names": list(o.names),
            "target": o.target,
        }
        for o in run.operations
    ]
    content = {
        "format": FORMAT,
        "side": run.side,
        "facts": dict(run.facts),
        "operations": operations,
        "state": {name: named(x) for name, x in run.state.items()},
    }
    header: dict[str, Any] = {"__metadata__": {_KEY: json.dumps(content)}}
    offset = 0
    for name, x in arrays.values():
        header[name] = {
            "dtype": _CODES[dtypes.as_dtype(x.dtype).name],
            "shape": list(x.shape),
            "data_offsets": [offset, offset + x.nbytes],
        }
        offset += x.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for _, x in arrays.values():
        yield np.ascontiguousarray(x).tobytes()


def _encoded_layout(x: Array) -> list[Any]:
    found = layout_of(x)
    return [list(found.order), list(found.backwards), list(found.repeated), found.gaps]


def _encoded(value: Any, op: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, tuple | list):
        return {"tuple": [_encoded(v, op) for v in value]}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, Device):
        return {"device": str(value)}
    if isinstance(value, np.generic):
        return _encoded(value.item(), op)
    raise RecordingError(
        f"record: {op} has a parameter of {type(value).__name__}, which a recording cannot hold; "
        "compare the backends in one process instead"
    )


# -- reading ---------------------------------------------------------------------------------------


def read_recording(file: Path | str) -> Run:
    """Read what `write_recording` wrote. Nothing in the file is run.

    Raises
    ------
    RecordingError
        If the file is no recording, of another version, cut off, or claims what it does not hold.
    """
    path = Path(file)

    def refuse(why: str) -> RecordingError:
        return RecordingError(f"read_recording: {str(path)!r} {why}; record the run again")

    try:
        with path.open("rb") as source:
            size = path.stat().st_size
            run = _read(source, size, refuse)
    except OSError as error:
        raise RecordingError(
            f"read_recording: cannot read {str(path)!r}: {error.strerror}; check the name"
        ) from error
    for number, operation in enumerate(run.operations):
        if why := _not_possible(operation, size):
            raise refuse(f"has an operation {number}, {operation.op}, that {why}")
    return run


def _not_possible(operation: Operation, size: int) -> str:
    """Say why an operation cannot have been recorded, for running it might take any memory."""
    try:
        due = operation.due()
    except Exception as error:  # whatever it says of arguments that do not belong together
        return f"does not take what it is given ({type(error).__name__}: {error})"
    needed = sum(math.prod(aval.shape) * dtypes.as_dtype(aval.dtype).itemsize for aval in due)
    # A faulty kernel may have made less than it should have, but not that much less.
    if needed > 2 * size + _SPARE:
        return f"makes {needed} bytes, which the file of {size} bytes does not hold"
    return ""


def unpacked(raw: bytes) -> Run:
    """Read what `packed` returned."""

    def refuse(why: str) -> RecordingError:
        return RecordingError(f"diff: what the other process sent {why}")

    return _read(io.BytesIO(raw), len(raw), refuse)


def _read(source: IO[bytes], size: int, refuse: Callable[[str], RecordingError]) -> Run:
    try:
        length = int.from_bytes(source.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise refuse(f"is cut off, or no recording: its header claims {length} bytes")
        header = _object(json.loads(source.read(length)))
        data = source.read()
        content = _object(json.loads(_object(header.pop("__metadata__", {})).get(_KEY, "")))
        if content.get("format") != FORMAT:
            version = repr(content.get("format"))[:40]
            raise refuse(f"is of format {version}, this isograd reads {FORMAT}")
        arrays = {str(name): _array(_object(entry), data) for name, entry in header.items()}
        operations = tuple(_operation(_object(o), arrays) for o in _list(content["operations"]))
        facts = {str(k): str(v) for k, v in _object(content["facts"]).items()}
        state = {str(k): arrays[name] for k, name in _object(content["state"]).items()}
        return Run(str(content["side"]), operations, facts, state)
    except RecordingError:
        raise
    except (_ClaimError, KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise refuse(f"is no recording: {type(error).__name__}: {error}") from error


class _ClaimError(Exception):
    """A header that claims what the file does not hold."""


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _ClaimError(f"{type(value).__name__} where an object is due")
    return cast("dict[str, Any]", value)


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise _ClaimError(f"{type(values).__name__} where a list is due")
    return cast("list[Any]", values)


def _ints(values: Any) -> list[int]:
    if any(type(v) is not int for v in _list(values)):
        raise _ClaimError("a list of integers is due")
    return cast("list[int]", values)


def _array(entry: Mapping[str, Any], data: bytes) -> Array:
    dtype = dtypes.as_dtype(_NAMES[entry["dtype"]])
    shape = _ints(entry["shape"])
    begin, end = _ints(entry["data_offsets"])
    if not 0 <= begin <= end <= len(data) or any(n < 0 for n in shape) or len(shape) > 32:
        raise _ClaimError(
            f"an array from byte {begin} to {end} of {len(data)}: the file is cut off"
        )
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise _ClaimError(f"an array of shape {shape} in {end - begin} bytes")
    return np.frombuffer(data, dtype, math.prod(shape), begin).reshape(shape)


def _operation(o: Mapping[str, Any], arrays: Mapping[str, Array]) -> Operation:
    op = str(o["op"])
    if op not in ig.ops.PRIMITIVES:
        raise _ClaimError(f"there is no operation {op!r} in this version")
    inputs: list[Array] = []
    for name, order, backwards, repeated, gaps in o["inputs"]:
        x = arrays[name]
        layout = Layout(
            tuple(_ints(order)), tuple(_ints(backwards)), tuple(_ints(repeated)), gaps is True
        )
        if sorted(layout.order) != list(range(x.ndim)):
            raise _ClaimError(f"axes {order} of an array with {x.ndim}")
        inputs.append(placed(x, layout))
    return Operation(
        op,
        {str(k): _decoded(v) for k, v in _object(o["static"]).items()},
        tuple(inputs),
        tuple(arrays[name] for name in o["outputs"]),
        str(o["phase"]),
        str(o["line"]),
        str(o["module"]),
        str(o["of"]),
        tuple(str(name) for name in o["names"]),
        str(o["target"]),
    )


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        ((kind, inner),) = cast("dict[str, Any]", value).items()
        if kind == "tuple":
            return tuple(_decoded(v) for v in inner)
        if kind == "dtype":
            return dtypes.as_dtype(str(inner))
        if kind == "device":
            return device(str(inner))
        if kind == "float" and inner in ("inf", "-inf", "nan"):
            return float(inner)
        raise _ClaimError(f"a parameter of kind {kind!r}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise _ClaimError(f"a parameter of {type(value).__name__}")
