"""The groups of a conformance run: what each demands of a backend, and the cells it yields."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import isograd as ig
from isograd.backend import PROTOCOL_VERSION, Backend
from isograd.core import dtypes
from isograd.testing.case import Case, case_of
from isograd.testing.edge_checks import check_row
from isograd.testing.edge_policy import EDGE_ROWS, EdgeRow
from isograd.testing.execute import call, on_device_of
from isograd.testing.harness import applies, check_op
from isograd.testing.op_db import OP_DB, OpSpec, Sample
from isograd.testing.raised import told
from isograd.testing.report import Cell

__all__ = ["GROUPS", "MANDATORY_DTYPES", "Group", "run_group"]

Array = Any

MANDATORY_DTYPES = ("float64", "float32", "int64", "int32", "uint8", "uint64", "bool")
"""Dtypes that every backend must have, whatever it says of its capabilities."""

RANDOM = ("random_bits", "random_normal", "dropout")
"""Operations that draw from a key."""

SIZES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1023, 1025, 4097)
"""Lengths on both sides of what loops are unrolled, vectorised and split by."""

Run = Callable[[Backend, OpSpec, Sequence[str]], Iterable[Cell]]


class Group(NamedTuple):
    """What one part of the kit demands.

    Attributes
    ----------
    name : str
        Its name.
    demands : str
        What a backend must do, in a sentence.
    run : callable
        Checks one operation of the table.
    applies : callable
        Tells whether the group says anything about an operation.
    """

    name: str
    demands: str
    run: Run
    applies: Callable[[OpSpec], bool]


def _generated(name: str, check: str, demands: str, *, random: bool | None = None) -> Group:
    def run(backend: Backend, spec: OpSpec, wanted: Sequence[str]) -> Iterable[Cell]:
        return check_op(spec, check, backend, wanted)

    def says(spec: OpSpec) -> bool:
        is_random = spec.name in RANDOM
        return applies(spec, check) and (random is None or random == is_random)

    return Group(name, demands, run, says)


#: Operations that have no result where there are no elements.
_NOT_EMPTY = frozenset({"max", "min", "argmax", "argmin", "rfft"})


def _sizes(backend: Backend, spec: OpSpec, wanted: Sequence[str]) -> Iterable[Cell]:
    for dtype in wanted:
        if dtype not in spec.dtypes:
            continue
        case = case_of(spec, dtype)
        base = _flat_sample(case)
        if base is None:
            continue
        yield _sizes_cell(backend, case, base)


def _flat_sample(case: Case) -> Sample | None:
    """Return a sample whose arguments all are rows of one length, which can be repeated."""
    for sample in case.samples:
        shapes = {np.shape(x) for x in sample.args}
        if len(shapes) == 1 and len(next(iter(shapes))) == 1 and np.size(sample.args[0]) > 1:
            length = np.size(sample.args[0])
            if not any(_mentions(v, length) for v in sample.kwargs.values()):
                return sample
    return None


def _mentions(value: Any, length: int) -> bool:
    """Tell whether a static argument may depend on the length."""
    if isinstance(value, tuple):
        return any(_mentions(part, length) for part in value)  # pyright: ignore[reportUnknownVariableType]
    return type(value) is int and abs(value) > 1


def _sizes_cell(backend: Backend, case: Case, base: Sample) -> Cell:
    spec, worst, where, message, count = case.spec, 0.0, "", "", 0
    with on_device_of(backend) as active:
        for n in SIZES:
            if n == 0 and spec.name in _NOT_EMPTY:
                continue
            args = tuple(np.resize(x, n).astype(x.dtype) for x in base.args)
            sample = Sample(args, base.kwargs, label=f"length {n}")
            count += 1
            try:
                values = call(spec.fn, args, base.kwargs)
                found = case.judge(values, args, sample, case.reference(args, sample), 2.0)
                error, said = found.largest, found.message
            except Exception as raised:  # a cell must say what happened, whatever it was
                error, said = math.inf, told(raised)
            if error > worst:
                worst, where, message = error, str(sample), said
    verdict = "fail" if message else "pass"
    return Cell(
        spec.name, "sizes", active.name, case.dtype.name, verdict, worst, where, message, count
    )


def _is_primitive(spec: OpSpec) -> bool:
    return spec.primitive


def _can_be_long(spec: OpSpec) -> bool:
    return spec.primitive and spec.name not in RANDOM


def _complete(backend: Backend, spec: OpSpec, wanted: Sequence[str]) -> Iterable[Cell]:
    primitive = ig.ops.PRIMITIVES[spec.name]
    message = ""
    try:
        kernel = backend.kernel(spec.name)
        if kernel is None and primitive.decompose is None:
            message = "this core primitive has no kernel, and there is no other way to compute it"
        elif kernel is not None and not callable(kernel):
            message = f"the kernel is {type(kernel).__name__}, which cannot be called"
    except Exception as error:
        message = f"asking for the kernel raised {told(error)}"
    verdict = "fail" if message else "pass"
    yield Cell(spec.name, "complete", backend.name, "*", verdict, message=message, count=1)


def _edges(backend: Backend, row: EdgeRow, wanted: Sequence[str]) -> Iterator[Cell]:
    for dtype in ("float64", "float32"):
        if dtype in wanted:
            yield check_row(row, backend, dtype)


def _protocol(backend: Backend) -> Iterator[Cell]:
    def cell(what: str, message: str) -> Cell:
        verdict = "fail" if message else "pass"
        return Cell(what, "protocol", backend.name, "*", verdict, message=message, count=1)

    version = backend.protocol_version
    yield cell(
        "protocol_version",
        "" if version == PROTOCOL_VERSION else f"{version} where {PROTOCOL_VERSION} is spoken",
    )
    has = {dtype.name for dtype in backend.capabilities().dtypes}
    lacking = [name for name in MANDATORY_DTYPES if name not in has]
    yield cell("capabilities", f"mandatory dtypes are not listed: {lacking}" if lacking else "")
    memory = backend.memory
    for name in MANDATORY_DTYPES:
        yield cell(f"memory, {name}", _kept(memory, np.arange(6).reshape(2, 3).astype(name)))
    before = backend.get_num_threads()
    try:
        backend.set_num_threads(1)
        one = backend.get_num_threads()
        threads = backend.capabilities().threads
        yield cell("threads", f"{one} threads after asking for 1" if threads and one != 1 else "")
    finally:
        backend.set_num_threads(before)
    facts: Any = backend.describe()
    yield cell("describe", "" if isinstance(facts, dict) else f"returned {type(facts).__name__}")


def _kept(memory: Any, array: Array) -> str:
    """Say what a trip to the memory and back changes."""
    try:
        device = memory.devices()[0]
        native = memory.from_host(array, device)
        back = np.asarray(memory.to_host(native))
        if back.dtype != array.dtype or not np.array_equal(back, array):
            return f"{array.dtype} came back as {back.dtype} {back.tolist()}"
        empty = memory.empty((2, 3), array.dtype, device)
        host = np.asarray(memory.to_host(empty))
        if host.shape != (2, 3) or dtypes.as_dtype(host.dtype) != array.dtype:
            return f"empty made {host.dtype}{host.shape}"
        zero = memory.as_array(memory.from_host(array[0, 0], device))
        if np.asarray(memory.to_host(zero)).shape != ():
            return "a 0-d array came back with axes"
        memory.synchronize(device)
    except Exception as error:
        return told(error)
    return ""


GROUPS: Mapping[str, Group] = {
    group.name: group
    for group in (
        Group(
            "complete",
            "has a kernel of every core primitive",
            _complete,
            _is_primitive,
        ),
        _generated("values", "forward", "computes what the float64 reference does", random=False),
        _generated("types", "inference", "returns the shapes and dtypes that are inferred"),
        _generated("extremes", "extreme", "treats NaN, infinities and signed zeros as IEEE does"),
        _generated("layouts", "layouts", "heeds strides, negative and zero ones too"),
        Group(
            "sizes",
            "is right on both sides of sizes at which code paths change",
            _sizes,
            _can_be_long,
        ),
        _generated("gradients", "backends", "has the reference backend's gradients, and bits"),
        _generated("compiled", "compiled", "is as right in compiled programs"),
        _generated("derivatives", "gradient", "agrees with numeric derivatives of the reference"),
        _generated("second order", "second", "has right second derivatives"),
        _generated("tangents", "jvp", "has tangents that are adjoint to its cotangents"),
        _generated("definitions", "fused", "computes decompositions of fused primitives"),
        _generated("errors", "errors", "refuses bad calls, indices out of range above all"),
        _generated("refusals", "dtypes", "leaves dtypes that an operation refuses alone"),
        _generated("purity", "purity", "keeps its inputs, and has no state between calls"),
        _generated("threads", "threads", "gives the same bits on any number of threads"),
        _generated("random", "forward", "draws the same bits from a key", random=True),
    )
}
"""Every group of operations; the groups ``protocol`` and ``edges`` concern a backend as a whole."""

WHOLE: Mapping[str, str] = {
    "protocol": "keeps arrays, lists mandatory dtypes, says how many threads it uses",
    "edges": "follows every row of the edge policy",
}
"""Groups that are not about one operation, with what they demand."""


def group_names() -> tuple[str, ...]:
    """Return the names of all groups.

    Examples
    --------
    >>> group_names()[0]
    'protocol'
    """
    return (*WHOLE, *GROUPS)


def operations_of(group: str) -> tuple[str, ...]:
    """Return the operations that a group checks, the rows of ``edges``, or ``("*",)``."""
    if group == "protocol":
        return ("*",)
    if group == "edges":
        return tuple(row.case for row in EDGE_ROWS)
    names = (spec.name for spec in OP_DB if GROUPS[group].applies(spec))
    return tuple(dict.fromkeys(names))


def wanted_dtypes(backend: Backend) -> tuple[str, ...]:
    """Return the mandatory dtypes, and the optional ones that a backend says it has."""
    extra = ("float16", "bfloat16", "complex64", "complex128")
    optional = [name for name in extra if _has(backend, name)]
    return (*MANDATORY_DTYPES, *optional)


def _has(backend: Backend, name: str) -> bool:
    return name in {dtype.name for dtype in backend.capabilities().dtypes}


def run_group(
    backend: Backend, group: str, ops: Sequence[str] | None = None
) -> Iterator[tuple[str, list[Cell]]]:
    """Run a group on a backend; yield each operation with its cells, those of all its rows.

    Parameters
    ----------
    backend
        The backend.
    group
        One of `group_names`.
    ops
        The operations, or the rows of ``edges``; None for all that the group checks.

    Examples
    --------
    >>> import isograd as ig
    >>> with ig.use_backend("numpy") as backend:
    ...     [(op, cells)] = run_group(backend, "complete", ["add"])
    >>> op, cells[0].verdict
    ('add', 'pass')
    """
    wanted = wanted_dtypes(backend)
    if group == "protocol":
        yield "*", list(_protocol(backend))
    elif group == "edges":
        for row in EDGE_ROWS:
            if ops is None or row.case in ops:
                yield row.case, list(_edges(backend, row, wanted))
    else:
        found = GROUPS[group]
        for name in operations_of(group) if ops is None else ops:
            rows = [spec for spec in OP_DB if spec.name == name and found.applies(spec)]
            yield name, [cell for spec in rows for cell in found.run(backend, spec, wanted)]
