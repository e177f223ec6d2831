"""Compiled programs: loops in CUDA C, products by cuBLAS, captured as one CUDA graph."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final

import cupy
import numpy as np

from isograd.backend import DeviceLostError, IndexOutOfRangeError, Kernel, Schedule, dtypes
from isograd.backend.schedule import REDUCTIONS, Apply, Loop, Place, Product
from isograd_cupy import _render
from isograd_cupy._checks import Check, collecting, deferred, settle
from isograd_cupy._contraction import matmul_into
from isograd_cupy._debug import debugging
from isograd_cupy._elementwise import contiguous, copy_into
from isograd_cupy._failures import translate
from isograd_cupy._held import Held
from isograd_cupy._layout import empty, placed, view

__all__ = ["CudaLowering", "CudaProgram"]

#: Fused primitives whose kernels beat their definitions; elementwise ones become part of loops.
_KERNELS: Final = frozenset(
    {
        *("softmax", "softmax_grad", "log_softmax", "log_softmax_grad", "logsumexp"),
        *("cross_entropy", "cross_entropy_grad", "random_normal", "dropout"),
        *("sgd_update", "adam_update", "conv", "conv_input_grad", "conv_weight_grad"),
        *("max_pool", "max_pool_indices", "max_pool_grad", "window_sum", "window_spread"),
        *("standardize", "standardize_grad", "attention", "attention_grad"),
    }
)
_ELEMENTWISE: Final = frozenset(
    {
        *("relu", "relu_grad", "sigmoid", "sigmoid_grad", "tanh_grad", "silu", "silu_grad"),
        *("gelu", "gelu_grad", "softplus"),
    }
)
#: Bytes for numbers that are converted, and for the pool's rounding.
_SPARE: Final = 4096


class CudaLowering:
    """Chooses what becomes part of loops: elementwise operations, and reductions of them."""

    def keeps(self, equation: Any, /) -> bool:
        """Tell whether a fused primitive stays whole."""
        name = equation.prim.name
        return name in _KERNELS or name in _ELEMENTWISE

    def renders(self, equation: Any, /) -> bool:
        """Tell whether an equation becomes part of a loop; a matmul, whether it is a product."""
        kinds = [v.aval.dtype for v in (*equation.inputs, *equation.outputs)]
        if equation.prim.name == "matmul":
            return kinds[0].kind not in "biu"
        if equation.prim.name in REDUCTIONS and _terms(equation) > _render.MOST_TERMS:
            return False
        return bool(kinds) and _render.speaks(equation.prim.name, kinds, dict(equation.static))

    def load(self, schedule: Schedule, call: Callable[[Any], Kernel], /) -> CudaProgram:
        """Make a schedule callable."""
        return CudaProgram(schedule, call)


def _terms(equation: Any) -> int:
    """Return how many terms each result of a reduction has."""
    shape, axes = equation.inputs[0].aval.shape, equation.static["axis"]
    return math.prod([shape[i] for i in axes])


class CudaProgram:
    """Runs a schedule. Its memory is allocated at the first call, and its arena only then.

    The first call also runs every step, and records them all as one CUDA graph, which later calls
    replay. Where something cannot be recorded, such as a branch that the host takes, the steps are
    launched one by one, and a warning says why. A program inside another, such as the body of a
    loop, becomes a part of that one's graph. Indices are checked after the run and before anything
    is returned, so a call that raises changes no state. Where state is written in place, steps that
    do so are a graph of their own, launched when indices have been looked at; see `hold`.

    Attributes
    ----------
    schedule : Schedule
    captured : bool
        Whether calls replay a graph.
    """

    def __init__(self, schedule: Schedule, call: Callable[[Any], Kernel]) -> None:
        self.schedule = schedule
        self.captured = False
        self._calls: dict[int, Kernel] = {}
        self._numbers: dict[Any, int] = {}
        self._at: Any = None
        for number, step in enumerate(schedule.steps):
            if isinstance(step, Apply):
                self._calls[number] = call(step.equation)
            elif step.kernel is not None:
                self._numbers.setdefault(step.kernel, len(self._numbers))
        self._loops = _render.render(list(self._numbers))
        self._module = _render.module_of(self._loops) if self._loops else None
        #: False once something could not be recorded.
        self._records = True
        self._lock = threading.Lock()
        self._begin({})

    def _begin(self, fixed: Mapping[int, Any]) -> None:
        """Begin without memory, except for buffers that lie where they are told."""
        self._fixed = fixed
        self._memory: list[Any] = []
        self._kept: dict[Any, Any] = {}
        self._graphs: list[Any] = []
        self._is_new = True
        self.captured = False
        self._checks: list[Check] = []
        self._flags: Any = None
        # From CuPy's pool, so that its limit holds and its unused blocks serve.
        self._pool = cupy.cuda.MemoryPool(cupy.get_default_memory_pool().malloc)

    def hold(
        self,
        arrays: Mapping[int, Any],
        guards: Sequence[tuple[Any, int]],
        watches: Sequence[tuple[Any, str, Any]],
    ) -> Held:
        """Return the program with some inputs and outputs fixed; see `isograd.backend.Holding`."""
        twin = copy.copy(self)
        twin._lock = threading.Lock()
        # Memory without the arrays, since references to these are counted. What is written is
        # contiguous, and what is only read never changes, so that a copy will do.
        found = {b: a if a.flags.c_contiguous else self.copied(a) for b, a in arrays.items()}
        fixed = {b: cupy.ndarray((a.size,), a.dtype, a.data) for b, a in found.items()}
        twin._begin(fixed)
        return Held(twin, guards, watches)

    @staticmethod
    def copied(array: Any) -> Any:
        """Return a C-contiguous copy of an array, for state that will be held."""
        with array.device:
            return copy_into(cupy.ndarray(array.shape, array.dtype), array)

    @staticmethod
    def fill(array: Any, number: float) -> None:
        """Write a number to an array that is held."""
        with array.device:
            array.fill(number)

    @property
    def fresh(self) -> list[tuple[tuple[int, ...], Any]]:
        """The shapes and dtypes of the outputs that are not fixed."""
        found = dict(self.schedule.returned)
        return [
            (found[i], dtypes.as_dtype(self.schedule.buffers[b].dtype))
            for i, b in enumerate(self.schedule.outputs)
            if b not in self._fixed
        ]

    @property
    def module(self) -> str:
        """The CUDA C of the whole program, as it is compiled."""
        return "" if self._module is None else self._module.source

    @property
    def scratch(self) -> int:
        """Bytes beside the arena: what steps allocated that are kernels of single operations."""
        return self._pool.total_bytes()

    def source(self, step: int, /) -> str:
        """Return the CUDA C that was written for the kernel of a step."""
        found = self.schedule.steps[step]
        if isinstance(found, Apply) or found.kernel is None:
            return ""
        return self._loops[self._numbers[found.kernel]].text

    def times(self, arguments: Sequence[Any], /) -> list[float]:
        """Run step by step, waiting after each, and return the seconds of each step.

        Inputs are copied before, so state is not written.
        """
        with self._lock, cupy.cuda.Device(self.where(arguments)), deferred(self._kept):
            self._take(arguments)
            wait, found = cupy.cuda.runtime.deviceSynchronize, list[float]()
            for number, step in enumerate(self.schedule.steps):
                wait()
                start = time.perf_counter()
                self._launch(number, step)
                wait()
                found.append(time.perf_counter() - start)
            return found

    def run(self, arguments: Sequence[Any], /) -> list[Any]:
        """Return an array for each output, given one for each input."""
        with self._ran(arguments) as sources:
            made = [_written(empty(flat.shape, flat.dtype), flat) for flat in sources]
        return [made[i].reshape(shape) for i, shape in self.schedule.returned]

    def run_into(self, made: Sequence[Any], arguments: Sequence[Any], /) -> None:
        """Write the outputs that are not fixed to new arrays, given inputs that are not."""
        with self._ran(arguments) as sources:
            for out, flat in zip(made, sources, strict=True):
                _written(out, flat)

    @contextlib.contextmanager
    def _ran(self, arguments: Sequence[Any]) -> Generator[list[Any]]:
        """Run, and lend the memory of the outputs that are not fixed."""
        what, size = "a compiled program", self.schedule.arena
        with self._lock, translate(what, self.where(arguments), f"an arena of {size:,} bytes"):
            try:
                self._run(arguments)
                yield [self._memory[b] for b in self.schedule.outputs if b not in self._fixed]
            except MemoryError:
                self._forget()
                raise

    def where(self, arguments: Sequence[Any] = ()) -> int:
        """Return the number of the device that a call is for."""
        known = next(iter((*arguments, *self._fixed.values())), None)
        return cupy.cuda.runtime.getDevice() if known is None else known.device.id

    def _run(self, arguments: Sequence[Any]) -> None:
        self._take(arguments)
        if collecting():
            for check in self._launch_range(0, len(self.schedule.steps)):
                settle(*check)
        elif self._is_new:
            self._record()
            self._is_new = False
        elif self._graphs:
            first, *rest = self._graphs
            first.launch()
            self._settle()
            for graph in rest:
                graph.launch()
        else:
            self._launch_all()

    def _forget(self) -> None:
        """Give all memory back; the next call begins anew."""
        pool = self._pool
        self._begin(self._fixed)
        pool.free_all_blocks()

    def _take(self, arguments: Sequence[Any]) -> None:
        """Copy the arguments to where the program reads them."""
        if not self._memory:
            self._memory = self._allocate()
        wanted = [b for b in self.schedule.inputs if b not in self._fixed]
        for buffer, array in zip(wanted, arguments, strict=True):
            _fill(self._memory[buffer], array)

    def _allocate(self) -> list[Any]:
        """Return a flat array for each buffer; outputs lie where their donors are."""
        schedule = self.schedule
        arena = empty((max(schedule.arena, 1),), np.dtype(np.uint8))
        memory: list[Any] = []
        for number, buffer in enumerate(schedule.buffers):
            dtype = dtypes.as_dtype(buffer.dtype)
            if number in self._fixed:
                memory.append(self._fixed[number])
            elif number in schedule.constants:
                memory.append(contiguous(schedule.constants[number]).reshape((-1,)))
            elif number in schedule.donors:
                memory.append(memory[schedule.donors[number]])
            elif number in schedule.offsets:
                at = arena.data + schedule.offsets[number]
                memory.append(cupy.ndarray((buffer.size,), dtype, at))
            else:
                memory.append(empty((buffer.size,), dtype))
        return memory

    def _record(self) -> None:
        """Run every step once, then record them as a graph if they can be.

        The pool is the program's own: what the graph's steps allocate stays theirs.
        """
        cupy.cuda.get_current_stream().synchronize()
        stream = cupy.cuda.Stream(non_blocking=True)
        with cupy.cuda.using_allocator(self._pool.malloc), stream:
            self._launch_all()
            stream.synchronize()
            ranges = self._ranges()
            self._checks, self._flags = [], None  # their memory is wanted again
            # Debugging waits after each launch, as a recording cannot.
            if debugging() or not self._records:
                return
            try:
                self._graphs = [self._captured(stream, *steps) for steps in ranges]
                self.captured = True
            except BaseException as error:
                if not isinstance(error, RuntimeError) or isinstance(error, DeviceLostError):
                    raise
                self._records = False
                self._warn(error)

    def _captured(self, stream: Any, start: int, stop: int) -> Any:
        stream.begin_capture()
        try:
            checks = self._launch_range(start, stop)
            if start == 0:
                self._note(checks)
            return stream.end_capture()
        except BaseException:
            _end_capture(stream)
            raise

    def _ranges(self) -> list[tuple[int, int]]:
        """Return the ranges of steps between which indices are looked at."""
        commit, count = self.schedule.commit, len(self.schedule.steps)
        split = self._fixed and self._checks and commit < count
        return [(0, commit), (commit, count)] if split else [(0, count)]

    def _warn(self, error: Exception) -> None:
        step = self._at
        name = step.equation.prim.name if isinstance(step, Apply) else "a loop or a product"
        line = "" if step is None or step.line is None else f", {step.line}"
        warnings.warn(
            f"a compiled program cannot be recorded as a CUDA graph, so its "
            f"{len(self.schedule.steps)} steps are launched one by one: {name}{line}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )

    def _launch_all(self) -> None:
        """Launch every step; those that write state in place when indices have been looked at."""
        commit = self.schedule.commit if self._fixed else len(self.schedule.steps)
        self._note(self._launch_range(0, commit))
        self._settle()
        self._reserve(commit)
        self._launch_range(commit, len(self.schedule.steps))

    def _reserve(self, commit: int) -> None:
        """Let the pool have what updates of state allocate: memory cannot end among them."""
        late = [step for step in self.schedule.steps[commit:] if isinstance(step, Apply)]
        given = [self._view(place) for step in late for place in step.inputs]
        copied = [a.nbytes + _SPARE for a in given if not a.flags.c_contiguous]
        if late:
            empty((sum(copied, _SPARE),), np.dtype(np.uint8))

    def _launch_range(self, start: int, stop: int) -> list[Check]:
        """Launch steps; return the checks of indices that they leave open."""
        with deferred(self._kept) as checks:
            for number in range(start, stop):
                self._at = self.schedule.steps[number]
                self._launch(number, self._at)
            return checks

    def _note(self, checks: list[Check]) -> None:
        """Gather what checks found, to be read in one transfer."""
        self._checks = checks
        self._flags = None
        if checks:
            self._flags = empty((len(checks),), np.dtype(np.int64))
            for i, check in enumerate(checks):
                copy_into(self._flags[i : i + 1], check.wrong)

    def _launch(self, number: int, step: Any) -> None:
        if isinstance(step, Apply):
            outs = [self._view(p) for p in step.outputs]
            with placed([] if step.equation.prim.control else outs):
                made = self._calls[number](*[self._view(p) for p in step.inputs])
            parts = made if step.equation.prim.multiple or made.__class__ is tuple else (made,)
            for out, part in zip(outs, parts, strict=True):
                if part is not out:
                    copy_into(out, part)
            return
        if isinstance(step, Product):
            assert not step.blocks
            matmul_into(self._view(step.out), self._view(step.x), self._view(step.y))
        assert isinstance(step, Loop | Product)
        if step.kernel is not None and self._module is not None:
            arrays = [self._memory[p.buffer][p.offset :] for p in step.params]
            loop = self._loops[self._numbers[step.kernel]]
            self._module.launch(loop.name, arrays, loop.grid, loop.block)

    def _view(self, place: Place) -> Any:
        flat = self._memory[place.buffer]
        size = flat.itemsize
        return view(flat, place.shape, [s * size for s in place.strides], place.offset * size)

    def _settle(self) -> None:
        """Raise for an index that was out of range; only then is the device waited for."""
        if self._flags is None:
            return
        for first, check in zip(self._flags.get().tolist(), self._checks, strict=True):
            if first < check.size:
                check.explain()  # which is silent where a loop has gone on to other indices
                raise IndexOutOfRangeError(
                    f"a compiled program: index or label {first} of the {check.size} that one step "
                    "of a loop takes is out of range; run it without compile to see which"
                )


def _end_capture(stream: Any) -> None:
    with contextlib.suppress(RuntimeError):
        stream.end_capture()


def _fill(flat: Any, array: Any) -> None:
    """Copy an argument to where the program reads it."""
    if not flat.size:
        return
    if array.flags.c_contiguous:
        flat.data.copy_from_device_async(array.data, flat.nbytes)
    else:
        copy_into(flat.reshape(array.shape), array)


def _written(out: Any, flat: Any) -> Any:
    if out.size:
        out.data.copy_from_device_async(flat.data, out.nbytes)
    return out
