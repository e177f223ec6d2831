"""Programs: a schedule with its code, ready to be called with arrays."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from isograd.backend import IndexOutOfRangeError, dtypes, program_index_error
from isograd.backend.schedule import Apply, Kernel, Loop, Param, Place, Product, Schedule
from isograd_numba import _cache, _link
from isograd_numba._interrupts import held_back
from isograd_numba._link import slot_offset
from isograd_numba._llvm import ir as _llvm_ir
from isograd_numba.codegen import product
from isograd_numba.codegen.driver import driver
from isograd_numba.codegen.loops import emit_loop, emit_tile, work_items
from isograd_numba.codegen.module import object_code

__all__ = ["Held", "NativeProgram", "code_for"]

Array = Any

GRAIN = 1 << 16  # elements, times what each costs, that are worth a thread
PIECE = 0.25  # seconds, by estimate, after which Python may look for interrupts
LONG = 1 << 16  # elements of a program from which the GIL is let go of

_addresses: dict[str, int] = {}
_lock = threading.RLock()


def _name(kernel: Kernel, *more: Any) -> str:
    return "k" + hashlib.sha256(repr((kernel, *more)).encode()).hexdigest()[:32]


def code_for(wanted: dict[str, Callable[[Any, str], None]], /) -> dict[str, int]:
    """Return the addresses of functions by name; those that are new are made, all at once.

    ``wanted[name](module, name)`` writes a function. What is made is kept on disk under the names.
    """
    with held_back(), _lock:
        new = sorted(name for name in wanted if name not in _addresses)
        if new:
            key = "steps-" + hashlib.sha256(" ".join(new).encode()).hexdigest()[:32]
            store = _cache.open_store()
            code = store.load(key)
            if code is None:
                module = _llvm_ir().Module("steps")
                for name in new:
                    wanted[name](module, name)
                code = object_code(module, new)
                store.save(key, code)
            _addresses.update(zip(new, _link.addresses(code, new), strict=True))
        return {name: _addresses[name] for name in wanted}


class NativeProgram:
    """Runs a schedule: native code for loops and products, kernels for what else there is.

    Attributes
    ----------
    schedule : Schedule
    """

    def __init__(self, schedule: Schedule, call: Callable[[Any], Callable[..., Any]]) -> None:
        self.schedule = schedule
        self._calls = {s: call(s.equation) for s in schedule.steps if isinstance(s, Apply)}
        self._execute = driver()
        self._names: dict[int, str] = {}
        self._wanted: dict[str, Callable[[Any, str], None]] = {}
        for number, step in enumerate(schedule.steps):
            if isinstance(step, Apply) or step.kernel is None:
                continue
            if isinstance(step, Loop):
                name = _name(step.kernel)
                self._wanted[name] = functools.partial(_write_loop, step.kernel)
            else:
                panel = product.panel(step.out.dtype)
                name = _name(step.kernel, step.axes, panel)
                self._wanted[name] = functools.partial(_write_tile, step.kernel, step.axes, panel)
            self._names[number] = name
        self._code = code_for(self._wanted)
        #: The order in which arrays are passed: outputs, inputs, constants, the arena.
        self.given = [*schedule.outputs, *schedule.inputs, *schedule.constants]
        self._position = {buffer: i for i, buffer in enumerate(self.given)}
        self.constants = [np.ascontiguousarray(a) for a in schedule.constants.values()]
        self._item = [dtypes.as_dtype(b.dtype).itemsize for b in schedule.buffers]
        self.made = [_made(schedule, i) for i in range(len(schedule.outputs))]
        self.segments = self._cut()
        self._works = sum(_work(s) for s in schedule.steps if not isinstance(s, Apply))
        #: One for each call that is under way; a list's pop and append are atomic.
        self._idle: list[_Instance] = []

    def _cut(self) -> list[tuple[int, int] | Apply]:
        """Return ranges of native steps, and the calls between them.

        A range lasts a fraction of a second, so that interrupts are seen between them; the last one
        has all the steps that write state, which are done together or not at all.
        """
        found: list[tuple[int, int] | Apply] = []
        first = count = 0
        cost = 0.0
        self.native: list[int] = []
        self.commit = len(self.schedule.steps)
        for number, step in enumerate(self.schedule.steps):
            if number == self.schedule.commit:
                self.commit = count
            if isinstance(step, Apply):
                if count > first:
                    found.append((first, count))
                found.append(step)
                first, cost = count, 0.0
                continue
            mine = _seconds(step)
            if cost + mine > PIECE and count > first and number <= self.schedule.commit:
                found.append((first, count))
                first, cost = count, 0.0
            cost += mine
            self.native.append(number)
            count += 1
        if self.schedule.commit >= len(self.schedule.steps):
            self.commit = count
        if count > first or not found:
            found.append((first, count))
        return found

    # -- calls -------------------------------------------------------------------------------------

    def hold(
        self,
        arrays: Mapping[int, Array],
        guards: Sequence[tuple[Any, int]],
        watches: Sequence[tuple[Any, str, Any]],
    ) -> Held:
        """Return the program with some inputs and outputs fixed; see `isograd.backend.Holding`."""
        return Held(self, arrays, guards, watches)

    @staticmethod
    def copied(array: Array) -> Array:
        """Return a C-contiguous copy of an array, for state that will be held."""
        return np.array(array, order="C")

    @staticmethod
    def fill(array: Array, number: float) -> None:
        """Write a number to an array that is held."""
        array.fill(number)

    def run(self, arguments: Sequence[Array], outputs: Sequence[Array | None] = ()) -> list[Array]:
        """Return the output arrays for input arrays.

        Parameters
        ----------
        arguments
            An array for each input.
        outputs
            For each distinct output an array to write it to, or None for a new one. An array may be
            that of the input which the schedule names as the output's donor.
        """
        made = [
            np.empty(shape, dtype) if given is None else given
            for (shape, dtype), given in zip(
                self.made, outputs or [None] * len(self.made), strict=True
            )
        ]
        try:
            instance = self._idle.pop()
        except IndexError:
            instance = _Instance(self)
        try:
            self._run(instance, [*made, *arguments, *self.constants, instance.arena])
        finally:
            self._idle.append(instance)
        return [made[i] for i, _ in self.schedule.returned]

    def _run(self, instance: _Instance, arrays: list[Array]) -> None:
        if self._calls:  # which see parts of arrays as they lie in memory
            arrays[:] = [_plain(a) for a in arrays]
        fresh: Sequence[Array] = arrays
        for segment in self.segments:
            if isinstance(segment, Apply):
                self._apply(segment, arrays)
                continue
            result = self._execute(instance.plan, *segment, *fresh[:-1])
            if result == 1:
                arrays[:] = [_plain(a) for a in arrays]
                result = self._execute(instance.plan, *segment, *arrays[:-1])
            fresh = ()
            if result:
                raise self.out_of_range(instance)

    # -- for reports -------------------------------------------------------------------------------

    @property
    def scratch(self) -> int:
        """Bytes that products need for the parts of matrices that they copy."""
        return max(map(_scratch, self.schedule.steps), default=0)

    def source(self, step: int, /) -> str:
        """Return the LLVM instructions for the kernel of a step, as they were written."""
        name = self._names[step]
        module = _llvm_ir().Module(name)
        self._wanted[name](module, name)
        return str(module)

    def times(self, arguments: Sequence[Array], /) -> list[float]:
        """Run on some inputs, step by step, and return the seconds of each step."""
        made = [np.empty(shape, dtype) for shape, dtype in self.made]
        instance = _Instance(self)
        arrays = [_plain(a) for a in [*made, *arguments, *self.constants, instance.arena]]
        found: list[float] = []
        count = 0
        for step in self.schedule.steps:
            start = time.perf_counter()
            if isinstance(step, Apply):
                self._apply(step, arrays)
            else:
                if self._execute(instance.plan, count, count + 1, *arrays[:-1]):
                    raise self.out_of_range(instance)
                count += 1
            found.append(time.perf_counter() - start)
        return found

    # -- calls of kernels --------------------------------------------------------------------------

    def _apply(self, step: Apply, arrays: list[Array]) -> None:
        inputs = [self._view(p, arrays) for p in step.inputs]
        self.call_kernel(step, inputs, [self._view(p, arrays) for p in step.outputs])

    def call_kernel(self, step: Apply, inputs: list[Array], outputs: list[Array]) -> None:
        """Run the kernel of a step, and copy its results to where they belong."""
        made = self._calls[step](*inputs)
        parts = made if step.equation.prim.multiple else (made,)
        for place, part in zip(outputs, parts, strict=True):
            place[...] = part

    def _view(self, place: Place, arrays: list[Array]) -> Array:
        position = self._position.get(place.buffer)
        if position is None:
            return self.view(place, arrays[-1], self.schedule.offsets[place.buffer])
        return self.view(place, arrays[position])

    def view(self, place: Place, base: Array, start: int = 0) -> Array:
        """Return a place as an array over memory in which its buffer starts at a byte."""
        if 0 in place.shape:
            return np.empty(place.shape, dtypes.as_dtype(place.dtype))
        item = self._item[place.buffer]
        memory = base.reshape(-1).view(np.uint8)  # not every dtype can be a buffer
        steps = [s * item for s in place.strides]
        offset = start + place.offset * item
        return np.ndarray(place.shape, dtypes.as_dtype(place.dtype), memory, offset, steps)

    def out_of_range(self, instance: _Instance) -> IndexOutOfRangeError:
        number = int(np.flatnonzero(instance.status[::2])[0])
        index = int(instance.status[2 * number + 1])
        instance.status[:] = 0
        equation, size = instance.checks[number]
        return program_index_error(equation, index, size)


class _Instance:
    """Memory and tables for one call at a time."""

    def __init__(
        self,
        program: NativeProgram,
        fixed: Mapping[int, Array] | None = None,
        guards: Sequence[tuple[Any, int]] = (),
        watches: Sequence[tuple[Any, str, Any]] = (),
    ) -> None:
        self.program = program
        schedule = program.schedule
        #: Addresses of arrays that are the same in all calls, and the positions of the others.
        self.fixed = {} if fixed is None else {b: a.ctypes.data for b, a in fixed.items()}
        self.guards = [number for one, count in guards for number in (id(one), count)]
        self.watches = [
            number
            for one, name, value in watches
            for number in (id(one) + slot_offset(one.__class__, name), id(value))
        ]
        given = [b for b in program.given if b not in self.fixed]
        self.position = {buffer: i for i, buffer in enumerate(given)}
        self.checks: list[tuple[Any, int]] = []
        self.scratch = schedule.arena
        self.arena = _aligned(schedule.arena + program.scratch)
        #: Kinds and values, until all are known; then they get their addresses.
        self.slots: list[tuple[str, Any]] = []
        self.patches: list[tuple[int, int, int]] = []
        self.records: list[tuple[int, int, int, int]] = []
        self.base: int = self.arena.ctypes.data
        for number in program.native:
            self._record(number, schedule.steps[number])
        self.status = np.zeros(2 * max(1, len(self.checks)), np.int64)
        self._link()

    def _slot(self, kind: str, value: Any) -> None:
        self.slots.append((kind, value))

    def _param(self, param: Param) -> None:
        program = self.program
        offset = param.offset * program._item[param.buffer]  # pyright: ignore[reportPrivateUsage]
        if param.buffer in self.fixed:
            self._slot("number", self.fixed[param.buffer] + offset)
        elif param.buffer in self.position:
            self._slot("patch", (self.position[param.buffer], offset))
        else:
            self._slot("number", self.base + program.schedule.offsets[param.buffer] + offset)

    def _record(self, number: int, step: Any) -> None:
        program = self.program
        name = program._names.get(number)  # pyright: ignore[reportPrivateUsage]
        code = program._code[name] if name else 0  # pyright: ignore[reportPrivateUsage]
        start = len(self.slots)
        if step.kernel is not None:
            for param in step.params:
                self._param(param)
        if isinstance(step, Loop):
            wraps = [n for n in step.kernel.nodes if n.op == "wrap"]
            if wraps:
                self._slot("status", len(self.checks))
                for node, equation in zip(wraps, step.checks, strict=True):
                    self.checks.append((equation, node.static[0]))
            items = work_items(step.kernel)
            useful = min(items, max(1, _work(step) // GRAIN))
            self.records.append((code, start, items, useful))
            return
        shape = product.layout(step)
        assert shape is not None
        first = len(self.slots)
        for place in (step.x, step.y, step.out):
            self._param(Param(place.buffer, place.offset))
        self._slot("number", self.base + self.scratch)
        for value in shape.numbers:
            self._slot("number", value)
        self._slot("number", code)
        self._slot("slot", start)
        self.records.append((product.step(step.out.dtype), first, shape.shares, shape.shares))

    def _link(self) -> None:
        slots = np.zeros(max(1, len(self.slots)), np.int64)
        at = slots.ctypes.data
        patches: list[tuple[int, int, int]] = []
        for i, (kind, value) in enumerate(self.slots):
            if kind == "number":
                slots[i] = value
            elif kind == "slot":
                slots[i] = at + 8 * value
            elif kind == "status":
                slots[i] = self.status.ctypes.data + 16 * value
            else:
                patches.append((value[0], at + 8 * i, value[1]))
        table = np.array([(f, at + 8 * s, n, u) for f, s, n, u in self.records], np.int64)
        moved = np.array(patches, np.int64)
        release = self.program._works >= LONG  # pyright: ignore[reportPrivateUsage]
        numbers = [
            table.ctypes.data, moved.ctypes.data, len(patches), self.status.ctypes.data,
            len(self.checks), self.program.commit, int(release),
        ]  # fmt: skip
        guards = np.array(self.guards, np.int64)
        watches = np.array(self.watches, np.int64)
        numbers += [guards.ctypes.data, len(self.guards) // 2]
        numbers += [watches.ctypes.data, len(self.watches) // 2]
        words = np.array(numbers, np.int64)
        self.plan: int = words.ctypes.data
        self._kept = (slots, table, moved, words, guards, watches)


class Held:
    """A program whose state stays where it is from call to call.

    ``call(*arrays)`` takes arrays for the outputs and inputs that are not fixed, in order, and
    returns True; or False, with nothing done, where it cannot run so.
    """

    #: Makes an array of unspecified values.
    empty: Any = staticmethod(np.empty)

    def __init__(
        self,
        program: NativeProgram,
        arrays: Mapping[int, Array],
        guards: Sequence[tuple[Any, int]],
        watches: Sequence[tuple[Any, str, Any]],
    ) -> None:
        schedule = program.schedule
        fixed = {buffer: _plain(array) for buffer, array in arrays.items()}
        fixed |= dict(zip(schedule.constants, program.constants, strict=True))
        self._instance = _Instance(program, fixed, guards, watches)
        # The guarded ones are kept by whoever counts the references to them.
        guarded = {id(one) for one, _ in guards}
        self._kept = [a for a in fixed.values() if id(a) not in guarded]
        self._program = program
        self._execute = driver()
        first, *rest = program.segments
        # A native range comes first, since it looks at guards and watches.
        native = (0, 0) if isinstance(first, Apply) else first
        self._first = functools.partial(self._execute, self._instance.plan, *native)
        self._rest = program.segments if isinstance(first, Apply) else rest
        self._views = {
            place: self._fixed_view(place)
            for step in self._rest
            if isinstance(step, Apply)
            for place in (*step.inputs, *step.outputs)
            if place.buffer not in self._instance.position
        }
        #: Kernels of updates among the steps that write state, which are done together.
        self._whole = any(isinstance(s, Apply) for s in schedule.steps[schedule.commit :])
        self._lock = threading.Lock()
        self.outputs = [program.made[i] for i, b in enumerate(schedule.outputs) if b not in arrays]

    def call(self, *arrays: Array) -> bool:
        """Run with these arrays."""
        if not self._lock.acquire(False):
            return False
        try:
            if self._whole:
                with held_back():
                    result = self._run(arrays)
            else:
                result = self._run(arrays)
        finally:
            self._lock.release()
        if result == 2:
            raise self._program.out_of_range(self._instance)
        return result == 0

    def _run(self, arrays: tuple[Array, ...]) -> int:
        result = self._first(*arrays)
        for segment in self._rest:
            if result:
                break
            if isinstance(segment, Apply):
                inputs = [self._view(p, arrays) for p in segment.inputs]
                outputs = [self._view(p, arrays) for p in segment.outputs]
                self._program.call_kernel(segment, inputs, outputs)
            else:
                result = self._execute(self._instance.plan, *segment)
        return result

    def _view(self, place: Place, arrays: tuple[Array, ...]) -> Array:
        fixed = self._views.get(place)
        if fixed is not None:
            return fixed
        return self._program.view(place, arrays[self._instance.position[place.buffer]])

    def _fixed_view(self, place: Place) -> Array:
        """Return a view by address: one of the array would count as a reference to it."""
        schedule, address = self._program.schedule, self._instance.fixed.get(place.buffer)
        if address is None:
            offset = schedule.offsets[place.buffer]
            return self._program.view(place, self._instance.arena, offset)
        dtype = dtypes.as_dtype(place.dtype)
        size = schedule.buffers[place.buffer].size * dtype.itemsize
        memory: Any = (ctypes.c_uint8 * size).from_address(address)
        return self._program.view(place, np.frombuffer(memory, np.uint8))


def _write_loop(kernel: Kernel, module: Any, name: str) -> None:
    emit_loop(module, name, kernel)


def _write_tile(kernel: Kernel, axes: tuple[int, int], panel: int, module: Any, name: str) -> None:
    emit_tile(module, name, kernel, axes, panel)


def _scratch(step: Any) -> int:
    if not isinstance(step, Product):
        return 0
    shape = product.layout(step)
    assert shape is not None
    return product.scratch_bytes(step.out.dtype) * shape.shares


def _seconds(step: Any) -> float:
    """Estimate how long a step takes, without knowing the machine."""
    return _work(step) * (2e-11 if isinstance(step, Product) else 1e-9)


def _work(step: Any) -> int:
    """Estimate the work of a step, in simple operations on an element."""
    if isinstance(step, Product):
        k = len(step.x.shape) - 1 - step.blocks
        return math.prod(step.x.shape[k:]) * math.prod(step.out.shape)
    size = math.prod(step.kernel.shape)
    costs = [_COST.get(n.op, 1) for n in step.kernel.nodes]
    return size * max(1, sum(costs) // 2)


_COST: Final = {
    "const": 0,
    "index": 0,
    "exp": 8,
    "log": 8,
    "sigmoid": 10,
    "tanh": 12,
    "erf": 12,
    "gelu": 16,
    "gelu_grad": 16,
    "sin": 20,
    "cos": 20,
    "pow": 40,
}


def _made(schedule: Schedule, number: int) -> tuple[tuple[int, ...], Any]:
    buffer = schedule.buffers[schedule.outputs[number]]
    shape = next(s for i, s in schedule.returned if i == number)
    return shape, dtypes.as_dtype(buffer.dtype)


def _aligned(size: int) -> Array:
    """Return bytes whose address is a multiple of 64."""
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + max(size, 1)]


def _plain(array: Array) -> Array:
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C")
