"""A stand-alone test of one operation that fails: small, with its numbers written out."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.testing.differ.layout import Layout, layout_of, placed
from isograd.testing.differ.run import Operation
from isograd.testing.differ.shrink import literal
from isograd.testing.differ.sides import SECONDS, worker_of
from isograd.testing.differ.targets import Side, parse_side
from isograd.testing.differ.verdict import bounds_of

__all__ = ["array", "fails", "rerun", "source", "write"]

Array = Any

_WRITTEN_OUT = 64


def rerun(
    op: str,
    static: Mapping[str, Any],
    inputs: Sequence[Array],
    side: str,
    *,
    layouts: Mapping[int, Layout] | None = None,
    times: int = 1,
    seconds: float | None = None,
) -> tuple[Array, ...]:
    """Run one operation on a side, and return its outputs.

    Parameters
    ----------
    op, static, inputs
        A primitive, its static parameters, and arrays.
    side
        As on the command line of ``isograd diff``.
    layouts
        How inputs lie in memory, by number; in C order when not given.
    times
        How often it is tried, twice each, to see results that change.
    seconds
        How long a process of its own may take for it, since it may crash or hang; in this one when
        None.

    Raises
    ------
    AssertionError
        If it raises, crashes, writes its inputs, or gives different results.
    """
    laid = [
        placed(np.asarray(x), layouts[i]) if layouts and i in layouts else np.asarray(x)
        for i, x in enumerate(inputs)
    ]
    operation = Operation(op, static, tuple(laid), ())
    isolated = seconds is not None
    with worker_of(parse_side(side), seconds or SECONDS, isolated=isolated) as worker:
        replays = [worker.replay(operation) for _ in range(times)]
    for replay in replays:
        if replay.error:
            raise AssertionError(f"{op} on {side}: {replay.error}; correct the backend's kernel")
    return replays[-1].outputs


def array(text: str, dtype: str, shape: Sequence[int]) -> Array:
    """Return an array that was packed into text, as reproducers hold large ones."""
    raw = zlib.decompress(base64.b85decode(text))
    return np.frombuffer(raw, dtypes.as_dtype(dtype)).reshape(tuple(shape)).copy()


def _written(x: Array) -> str:
    x = np.asarray(x)
    name, shape = x.dtype.name, x.shape
    packs = name == "bfloat16" or dtypes.is_complex(x.dtype)
    if x.size and not packs and np.all(x == x.flat[0]):
        return f"np.full({shape!r}, {_scalar(x.flat[0])}, {name!r})"
    if x.size <= _WRITTEN_OUT and not packs:
        values = ", ".join(_scalar(v) for v in x.flat)
        return f"np.array([{values}], {name!r}).reshape({shape!r})"
    packed = base64.b85encode(zlib.compress(np.ascontiguousarray(x).tobytes(), 9)).decode()
    lines = "\n".join(f"        {packed[i : i + 88]!r}" for i in range(0, len(packed), 88))
    return f"array(\n{lines},\n        {name!r}, {shape!r},\n    )"


def _scalar(value: Any) -> str:
    plain = value.item()
    if isinstance(plain, float) and not np.isfinite(plain):
        return (
            f"np.{plain}"
            if plain == plain and plain > 0
            else ("-np.inf" if plain < 0 else "np.nan")
        )
    return repr(plain)


def source(
    operation: Operation,
    side: Side,
    text: str,
    *,
    outputs: Sequence[int],
    times: int = 1,
    seconds: float | None = None,
) -> str:
    """Return the test as Python text.

    Parameters
    ----------
    operation
        A failing operation; its outputs do not matter.
    side
        Who fails.
    text
        What is said about it.
    outputs
        The outputs that are wrong.
    times
        How often it must be tried.
    seconds
        How long it may take, where it must run in a process of its own.
    """
    right, bounds = bounds_of(operation)
    name = f"test_{operation.op}_{operation.phase}"
    layouts = {i: layout_of(x) for i, x in enumerate(operation.inputs)}
    layouts = {i: tuple(v) for i, v in layouts.items() if v != Layout(tuple(range(len(v.order))))}
    said = "\n".join(line.replace("\\", "/").replace('"""', "'''") for line in text.splitlines())
    lines = [
        f'"""{said}\n\nWritten by `isograd diff`; run it with pytest, or with Python.\n"""',
        "",
        *_path(side),
        "import numpy as np",
        "",
        "from isograd.testing.differ import Layout, array, rerun",
        "",
        "",
        f"def {name}():",
        "    inputs = [",
        *(f"        {_written(x)}," for x in operation.inputs),
        "    ]",
        f"    static = {literal({k: v for k, v in operation.static.items() if k != 'device'})}",
    ]
    given = ", ".join(f"{i}: Layout{v!r}" for i, v in layouts.items())
    call = f"rerun({operation.op!r}, static, inputs, {side.text!r}, layouts={{{given}}}"
    more = "" if seconds is None else f", seconds={seconds!r}"
    lines.append(f"    outputs = {call}, times={times}{more})")
    for i in outputs:
        want, bound = right[i], bounds[i]
        lines += [
            f"    right = {_written(want)}  # in float64",
            f"    bound = {_written(bound)}",
            f"    out = outputs[{i}]",
            '    with np.errstate(all="ignore"):',
            "        near = (abs(out.astype(right.dtype) - right) <= bound) | (out == right)",
            "    near |= (out != out) & (right != right)",
            "    wrong = np.argwhere(~near)[:8].tolist()",
            '    assert not wrong, f"wrong at {wrong}: {out} where {right} is right"',
        ]
    lines += ["", "", 'if __name__ == "__main__":', f"    {name}()", ""]
    return "\n".join(lines)


def _path(side: Side) -> list[str]:
    """Return what makes the factory's module importable from anywhere."""
    module = side.source.partition(":")[0] if ":" in side.source else ""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or "site-packages" in file:
        return []
    root = os.path.abspath(file)
    for _ in range(module.count(".") + 1 + (Path(file).name == "__init__.py")):
        root = os.path.dirname(root)
    return ["import sys", "", f"sys.path.insert(0, {root!r})", ""]


def write(folder: Path, operation: Operation, side: Side, text: str, **how: Any) -> Path:
    """Write the test, as `source` returns it, into a folder, and return the file."""
    file = folder / f"test_{operation.op}_{operation.phase}.py"
    file.write_text(source(operation, side, text, **how), encoding="utf-8")
    return file


def fails(file: Path, seconds: float, python: str = "") -> bool:
    """Tell whether a test fails that runs in a new process; one that does not end does."""
    command = [python or sys.executable, str(file)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode == 1
