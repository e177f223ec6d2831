"""`nan_origin`: the first operation, forward or backward, that makes NaN or infinity."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.compiler import Compiled
from isograd.core import dtypes
from isograd.core.config import modes
from isograd.core.pytree import tree_flatten
from isograd.debug.watch import Call, Place, watching
from isograd.nn import Module
from isograd.runtime.autodiff import pull
from isograd.runtime.tensor import Tensor

__all__ = ["NanReport", "nan_origin"]

Array = Any

_WHERE_TRAP = (
    "a zero cotangent met an infinite derivative, usually because a `where` selects the other "
    "branch; make the argument safe inside the `where`, or pass nan_safe=True to backward or grad"
)


@dataclasses.dataclass(frozen=True)
class NanReport:
    """What `nan_origin` found; true when something is not finite. Print it.

    Attributes
    ----------
    op : str
        The operation that made the value; in a backward pass, the one whose derivative it is.
        ``"input"`` where NaN came in with an argument. Empty where all is finite.
    phase : str
        ``"forward"``, ``"backward"``, ``"update"`` or ``"input"``.
    line : str
        ``file:line`` of the user's program where that operation was called.
    module : str
        The dotted name of the module that called it, or empty.
    kind : str
        ``"nan"`` or ``"inf"``.
    kernel : str
        The primitive that made the value: another one than `op` in a backward pass.
    index : tuple of int
        The first such element of its output.
    operands : tuple of float
        The elements that it was made from, where the operation works element by element.
    infinity : NanReport or None
        For NaN made from an infinity: where that came from.
    selects : str
        For the ``where`` trap: the line of the ``where``.
    advice : str
        What to do, where that is known.
    """

    op: str = ""
    phase: str = ""
    line: str = ""
    module: str = ""
    kind: str = ""
    kernel: str = ""
    index: tuple[int, ...] = ()
    operands: tuple[float, ...] = ()
    infinity: NanReport | None = None
    selects: str = ""
    advice: str = ""

    @property
    def found(self) -> bool:
        """Whether a value is not finite."""
        return bool(self.op)

    def __bool__(self) -> bool:
        return self.found

    def __str__(self) -> str:
        if not self.found:
            return "nan_origin: every value is finite"
        name = {"nan": "NaN", "inf": "infinity"}[self.kind]
        where = f" in module {self.module}" if self.module else ""
        text = f"nan_origin: the first {name} is made by {self.op}, {self.phase}, at {self.line}"
        lines = [text + where]
        if self.op == "input":
            lines = [f"nan_origin: {self.line} holds {name}"]
        if self.operands:
            values = ", ".join(f"{x:.6g}" for x in self.operands)
            lines.append(f"  {self.kernel} of ({values}) at {list(self.index)}")
        if self.selects:
            lines.append(f"  the where is at {self.selects}")
        if self.infinity is not None:
            origin = self.infinity
            lines.append(f"  the infinity was made by {origin.op}, {origin.phase}: {origin.line}")
        if self.advice:
            lines.append(f"  {self.advice}")
        return "\n".join(lines)


class _Stop(BaseException):
    """Ends the run at the first NaN; no `except Exception` of the user's may hold it."""


def nan_origin(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> NanReport:
    """Run a function, and its derivative, and name the first operation that makes NaN.

    Parameters
    ----------
    fn
        A function or module. It may call ``backward`` and an optimizer's ``step`` itself; where it
        only returns tensors, they are differentiated with cotangents of 1. A compiled function runs
        eagerly. The run ends at the first NaN, before the update that would have spread it.
    *args, **kwargs
        What it is called with.

    Returns
    -------
    NanReport
        The first NaN that no operand had. Where there is none, the first infinity. Gradients of
        parameters are left alone unless `fn` changes them, and so is the random state.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([0.0, 4.0], requires_grad=True)
    >>> found = nan_origin(lambda x: ig.where(x > 0, ig.sqrt(x), 0.0).sum(), x)
    >>> found.op, found.phase, found.kind
    ('sqrt', 'backward', 'nan')
    """
    leaves = tree_flatten((args, kwargs))[0]
    modules = [leaf for leaf in (fn, *leaves) if isinstance(leaf, Module)]
    for name, value in _named_values(fn, args, kwargs):
        if isinstance(value, Tensor | np.ndarray) and _bad(np.asarray(_host(value)), np.isnan):
            return NanReport("input", "input", name, kind="nan")
    watcher = _Watcher()
    target: Any = inspect.unwrap(fn) if isinstance(fn, Compiled) else fn
    state = ig.random.default_generator.state_dict()
    try:
        with watching(watcher.see, modules=modules), ig.enable_grad():
            out = target(*args, **kwargs)
            if not watcher.went_back:
                _pull_ones([leaf for leaf in tree_flatten(out)[0] if isinstance(leaf, Tensor)])
    except _Stop:
        pass
    finally:
        ig.random.default_generator.load_state_dict(state)
    return watcher.report()


def _named_values(fn: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
    named: list[tuple[str, Any]] = []
    places = [("the module", fn), *((f"argument {i}", arg) for i, arg in enumerate(args))]
    places += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for where, value in places:
        for leaf in tree_flatten(value)[0]:
            if isinstance(leaf, Module):
                named += [(f"{where}, parameter {name}", p) for name, p in leaf.named_parameters()]
            else:
                named.append((where, leaf))
    return named


def _host(value: Any) -> Array:
    return value.numpy() if isinstance(value, Tensor) else value


def _pull_ones(outs: Sequence[Tensor]) -> None:
    """Send cotangents of 1 back without leaving gradients at leaves."""
    pairs = [(out.edge, ig.ones_like(out.detach())) for out in outs if out.edge is not None]
    if pairs:
        pull(pairs)


def _bad(array: Array, test: Callable[[Array], Array]) -> bool:
    return dtypes.is_inexact(array.dtype) and bool(np.any(test(_wide(array))))


def _wide(array: Array) -> Array:
    return array.astype(np.float32) if dtypes.is_half(array.dtype) else array


class _Watcher:
    """Looks at every output; stops at the first NaN, remembers infinities."""

    def __init__(self) -> None:
        self.went_back = False
        self._calls: list[Call] = []
        self._makers: dict[int, Call] = {}
        self._first_infinity: tuple[Call, Array] | None = None
        self._nan: tuple[Call, Array] | None = None

    def see(self, call: Call) -> None:
        self.went_back = self.went_back or call.place.phase == "backward"
        self._calls.append(call)
        nan_came = any(_bad(x, np.isnan) for x in map(call.to_host, call.inputs))
        nan_left = next((x for x in map(call.to_host, call.outputs) if _bad(x, np.isnan)), None)
        if self._nan is not None and self._settled(call, nan_came, nan_left is not None):
            raise _Stop
        if nan_left is not None and not nan_came:
            self._nan = self._nan or (call, nan_left)
            # Under nan_safe a rule's last step puts zeros in place of its NaN.
            if not (modes.nan_safe and call.place.phase == "backward"):
                raise _Stop
        self._note_infinities(call)

    def _settled(self, call: Call, nan_came: bool, nan_left: bool) -> bool:
        """Tell whether NaN left the rule that made it; forget it where it was replaced."""
        assert self._nan is not None
        if call.place.origin is not self._nan[0].place.origin and nan_came:
            return True
        if call.op == "where" and nan_came and not nan_left:
            self._nan = None
        return False

    def _note_infinities(self, call: Call) -> None:
        for array in call.outputs:
            host = call.to_host(array)
            if not _bad(host, np.isinf):
                continue
            passed = [self._makers[id(x)] for x in call.inputs if id(x) in self._makers]
            self._makers[id(array)] = passed[0] if passed else call
            if not any(_bad(x, np.isinf) for x in map(call.to_host, call.inputs)):
                self._first_infinity = self._first_infinity or (call, host)

    def report(self) -> NanReport:
        if self._nan is not None:
            return self._explain_nan(*self._nan)
        if self._first_infinity is not None:
            return self._describe(*self._first_infinity, kind="inf")
        return NanReport()

    def _explain_nan(self, call: Call, host: Array) -> NanReport:
        found = self._describe(call, host, kind="nan")
        source = next((self._makers[id(x)] for x in call.inputs if id(x) in self._makers), None)
        if source is not None:
            # The maker's own output, not one that only passed the infinity on.
            out = next(x for x in map(source.to_host, source.outputs) if _bad(x, np.isinf))
            found = dataclasses.replace(found, infinity=self._describe(source, out, kind="inf"))
        # 0 * inf, or 0 / 0 where the derivative is a quotient.
        if found.phase == "backward" and 0.0 in found.operands:
            found = dataclasses.replace(
                found, selects=self._selecting(call.place.origin), advice=_WHERE_TRAP
            )
        return found

    def _describe(self, call: Call, host: Array, *, kind: str) -> NanReport:
        test = np.isnan if kind == "nan" else np.isinf
        index = tuple(int(i) for i in np.argwhere(test(_wide(host)))[0])
        operands: tuple[float, ...] = ()
        arrays = [call.to_host(x) for x in call.inputs]
        if arrays and all(dtypes.is_floating(x.dtype) for x in arrays):
            try:
                spread = [np.broadcast_to(x, host.shape) for x in arrays]
            except ValueError:  # not an operation on corresponding elements
                spread = []
            operands = tuple(float(x[index]) for x in spread)
        place: Place = call.place
        op = place.of or call.op
        return NanReport(
            op, place.phase, str(place) or "<unknown>", place.module, kind, call.op, index, operands
        )

    def _selecting(self, origin: Place | None) -> str:
        """Return the line of the first ``where`` that an operation's output leads to."""
        reached: set[int] = set()
        for call in self._calls:
            if call.place is origin or any(id(x) in reached for x in call.inputs):
                if call.op == "where":
                    return str(call.place)
                reached.update(id(x) for x in call.outputs)
        return ""
