"""Watching kernels: a backend around the active one that says of each kernel where it was called.

Every operation, forward, backward or of an update, ends in a kernel of the backend, so a backend
that passes on what it is asked for sees all of them, and the engine needs no second mode.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from types import CodeType
from typing import Any, NamedTuple

import isograd as ig
from isograd.backend import Backend, Capabilities, Kernel
from isograd.core.config import modes, switched
from isograd.ir import Primitive
from isograd.nn import Module
from isograd.optim import Optimizer
from isograd.runtime.autodiff import pull
from isograd.runtime.registry import active
from isograd.runtime.tape import PrimitiveNode
from isograd.runtime.tensor import Tensor

__all__ = ["Call", "Place", "WatchedBackend", "watching"]

Array = Any

_INTERNAL = os.path.dirname(os.path.abspath(ig.__file__)) + os.sep
_PULL: CodeType = pull.__code__
_STEP: CodeType = Optimizer.step.__code__
_MODULE: CodeType = Module.__call__.__code__


class Place(str):
    """``file:line`` of the user's program, or empty, with the module and the phase that ran.

    Attributes
    ----------
    module : str
        The dotted name of the innermost module, or empty.
    phase : str
        ``"forward"``, ``"backward"`` or ``"update"``.
    of : str
        In a backward pass, the operation whose derivative is computed, or empty.
    origin : Place or None
        In a backward pass, where that operation was called.
    """

    __slots__ = ("module", "of", "origin", "phase")

    module: str
    phase: str
    of: str
    origin: Place | None

    def __new__(
        cls,
        line: str,
        module: str = "",
        phase: str = "forward",
        of: str = "",
        origin: Place | None = None,
    ) -> Place:
        made = super().__new__(cls, line)
        made.module, made.phase, made.of, made.origin = module, phase, of, origin
        return made


class Call(NamedTuple):
    """One kernel that ran.

    Attributes
    ----------
    op : str
        The primitive.
    static : mapping
        Its static parameters.
    inputs, outputs : tuple
        Arrays of the backend.
    place : Place
        Where it was called.
    to_host : callable
        Returns the values of one of the arrays as a NumPy array.
    """

    op: str
    static: Mapping[str, Any]
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    place: Place
    to_host: Callable[[Array], Array]


class WatchedBackend:
    """A backend that computes with another one and tells a function of every kernel that ran.

    Parameters
    ----------
    inner
        Who computes.
    seen
        Called with a `Call` after each kernel.
    where
        Returns the place of the kernel that is running.
    """

    def __init__(
        self, inner: Backend, seen: Callable[[Call], None], where: Callable[[], Place]
    ) -> None:
        self._inner = inner
        self._seen = seen
        self._where = where
        self.name = inner.name
        self.version = inner.version
        self.protocol_version = inner.protocol_version
        self.memory = inner.memory

    def kernel(self, name: str, /) -> Kernel | None:
        run = self._inner.kernel(name)
        primitive: Primitive = ig.ops.PRIMITIVES[name]
        if run is None:
            if primitive.decompose is None:
                return None
            run = _definition(primitive, self._inner)
        seen, where, as_array = self._seen, self._where, self.memory.as_array

        def watched(*arrays: Array, **static: Any) -> Any:
            out = run(*arrays, **static)
            # As arrays, so that who uses them later gets the same objects.
            outputs = tuple(map(as_array, out if primitive.multiple else (out,)))
            seen(Call(name, static, arrays, outputs, where(), self.memory.to_host))
            return outputs if primitive.multiple else outputs[0]

        return watched

    def capabilities(self) -> Capabilities:
        return self._inner.capabilities()

    def set_num_threads(self, count: int, /) -> None:
        self._inner.set_num_threads(count)

    def get_num_threads(self) -> int:
        return self._inner.get_num_threads()

    def describe(self) -> dict[str, str]:
        return self._inner.describe()


def _directly(kernel: Kernel, *arrays: Array, **static: Any) -> Any:
    return kernel(*arrays, **static)


def _definition(primitive: Primitive, inner: Backend) -> Kernel:
    """Return a fused primitive's decomposition as a kernel, so that it is seen as one operation."""

    def run(*arrays: Array, **static: Any) -> Any:
        from isograd.core import dtypes
        from isograd.core.devices import device
        from isograd.ir import Aval

        assert primitive.decompose is not None
        where = device(inner.memory.device_type)
        tensors = [Tensor(a, Aval(tuple(a.shape), dtypes.as_dtype(a.dtype)), where) for a in arrays]
        # The kernel runs inside the quiet context already, which cannot be entered twice.
        with ig.use_backend(inner), switched(grad=False, place=None, run=_directly):
            out = primitive.decompose(*tensors, **static)
        return tuple([t.array for t in out]) if primitive.multiple else out.array

    return run


class _Finder:
    """Finds the place of what is running, from the Python stack."""

    def __init__(self, modules: Sequence[Module], within: CodeType | None) -> None:
        self._within = within
        self._names: dict[int, str] = {}
        for root in modules:
            for name, module in root.named_modules():
                self._names.setdefault(id(module), name or type(root).__name__)
        self._backward_began = self._stepped = False

    def __call__(self) -> Place:
        frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage] - the only way to the stack
        line, module, phase = "", "", ""
        node: Any = None
        while frame is not None and frame.f_code is not self._within:
            code = frame.f_code
            if code is _PULL and not phase:
                # A line that was found below is one of a rule that the user wrote.
                phase, self._backward_began = "backward", True
                node = None if line else frame.f_locals.get("node")
            elif code is _STEP and not phase:
                phase, self._stepped = "update", True
            elif code is _MODULE and not module:
                owner = frame.f_locals["self"]
                module = self._names.get(id(owner), type(owner).__name__)
            elif not line and not code.co_filename.startswith(_INTERNAL):
                line = f"{code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
        if module and not phase and self._stepped:  # the next batch
            self._backward_began = self._stepped = False
        phase = phase or ("update" if self._backward_began else "forward")
        origin = node.line if isinstance(node, PrimitiveNode) else None
        of = "" if node is None else node.describe()
        if isinstance(origin, Place):
            return Place(origin, origin.module, phase, of, origin)
        return Place(line, module, phase, of)


@contextlib.contextmanager
def watching(
    seen: Callable[[Call], None],
    *,
    modules: Sequence[Module] = (),
    backend: Any = None,
    within: CodeType | None = None,
) -> Generator[None]:
    """Call a function after every kernel that runs in the block, in the current thread.

    Parameters
    ----------
    seen
        Called with a `Call`. The arrays are the backend's own: do not write them.
    modules
        Modules whose parts give places their names.
    backend
        A backend or its name; those that are active, one for each type of device, when None.
    within
        The code of a function whose callers are not looked at for the user's line.

    Examples
    --------
    >>> import isograd as ig
    >>> calls = []
    >>> with watching(calls.append):
    ...     _ = ig.tensor([1.0, 2.0]) * 3.0
    >>> [call.op for call in calls]
    ['mul']
    """
    find = _Finder(modules, within)
    last: list[Place] = []

    def where() -> Place:
        last[:] = [find()]
        return last[0]

    def kept() -> str:
        # The operation that is being recorded is the one whose kernel ran last.
        return last[0] if last else "<unknown>"

    with contextlib.ExitStack() as stack:
        if backend is not None:
            stack.enter_context(ig.use_backend(backend))
        for kind in _active_kinds() if backend is None else [_device_of(backend)]:
            watched = WatchedBackend(ig.get_backend(kind), seen, where)
            stack.enter_context(ig.use_backend(watched))
        stack.enter_context(switched(place=kept))
        yield


def _active_kinds() -> list[str]:
    """Return the types of devices that something computes for."""
    return sorted({"cpu", *modes.backends, *[t.memory.device_type for t in active()]})


def _device_of(backend: Any) -> str:
    if not isinstance(backend, str):
        return backend.memory.device_type
    records = {record.name: record.device for record in ig.backends()}
    return records.get(backend.rpartition(".")[2], "cpu")
