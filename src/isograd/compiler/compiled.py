"""`isograd.compile`: functions of tensors that run as programs."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isograd.compiler.calls import Call, Leaf, difference, distinct, take_apart
from isograd.compiler.cells import (
    NumberCell,
    PlainSlots,
    cells_of,
    complete,
    module_facts,
    owners_of,
    static_facts,
)
from isograd.compiler.program import Program
from isograd.compiler.ready import MISSED, Ready, make_ready
from isograd.compiler.trace import Trace
from isograd.core.config import modes
from isograd.core.devices import Device
from isograd.core.errors import CompileWarning
from isograd.core.frames import warn_user
from isograd.core.pytree import TreeDef, tree_flatten, tree_unflatten
from isograd.ir.graph import Var
from isograd.ops.creation import zeros_like
from isograd.runtime.autodiff import pull_to
from isograd.runtime.registry import use_backend
from isograd.runtime.tape import CustomNode, Edge
from isograd.runtime.tensor import Tensor

if TYPE_CHECKING:
    from isograd.compiler.explain import Explanation

__all__ = ["Compiled", "compile"]


@dataclass
class _Entry:
    """A traced function with what is needed to call it.

    Attributes
    ----------
    program
        What runs.
    structure, returned
        The structure of what the function returned, and for each leaf of it its place among the
        program's outputs, or the value itself.
    written
        Numbers of cells with the places of their new values; None where a cell was emptied.
    plain
        Numbers of what optimizers remember beside tensors, with new values.
    gradients
        Numbers of tensor arguments with the places of the gradients that ``backward`` left there.
    draws
        Random generators with the number of streams that a call takes, and the key's device.
    open
        Which returned leaves an outer backward pass can go through.
    ran
        Whether it has run before.
    fresh
        For places of outputs that are new in each call, their numbers among these; see `Ready`.
    """

    program: Program
    structure: TreeDef
    returned: list[tuple[int | None, Any]]
    written: list[tuple[int, int | None]]
    plain: list[tuple[int, Any]]
    gradients: list[tuple[int, int]]
    draws: list[tuple[Any, int, Device]]
    open: tuple[bool, ...]
    ran: bool = False
    fresh: dict[int, int] = field(default_factory=dict[int, int])


def compile(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    state: Any = (),
    backend: Any = None,
    max_traces: int = 16,
) -> Any:
    """Turn a function of tensors into a program, traced once for each kind of call.

    Parameters
    ----------
    fn
        Takes and returns tensors, or trees of them. Other arguments are static: they must be
        hashable, and each value makes another program; except floats, which are inputs. The
        function must depend on nothing that changes between calls other than its arguments,
        ``state`` and random generators.
    state
        What the function reads and changes beside its arguments: modules, optimizers, parameters,
        or tuples, lists and dicts of these.
    backend
        A backend's name or object to run on; None is the one that is chosen at the call.
    max_traces
        How many programs may be made before a warning names the argument that keeps changing.

    Returns
    -------
    callable
        Called like ``fn``. Without ``fn``, a decorator. Where ``ISOGRAD_DISABLE_COMPILE=1`` is set
        it runs ``fn`` itself.

    Raises
    ------
    UndeclaredStateError
        When called, if the function uses a parameter, a module with buffers or an optimizer that
        ``state`` does not have.
    ConcretizationError
        When called, if the function asks for the number in a tensor.
    DTypeError
        When called, if a static argument cannot be hashed.

    Examples
    --------
    >>> import isograd as ig
    >>> model = ig.nn.Linear(2, 1)
    >>> optimizer = ig.optim.SGD(model.parameters(), lr=0.1)
    >>> @ig.compile(state=(model, optimizer))
    ... def step(x, y):
    ...     loss = ig.nn.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    ...     return loss
    >>> x, y = ig.ones((4, 2)), ig.ones((4, 1))
    >>> first = step(x, y)
    >>> bool(first >= step(x, y))
    True
    """
    if fn is None:
        return functools.partial(compile, state=state, backend=backend, max_traces=max_traces)
    return Compiled(fn, state, backend, max_traces)


class Compiled:
    """What `compile` returns."""

    def __init__(self, fn: Callable[..., Any], state: Any, backend: Any, max_traces: int) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        self._state = state
        self._backend = backend
        self._max_traces = max_traces
        self._entries: dict[Any, _Entry] = {}
        self._backwards: dict[Any, Program] = {}
        self._last_leaves: tuple[Leaf, ...] | None = None
        self._ready: Ready | None = None
        #: Undeclared modules that were called while tracing: by key, those of each program.
        self._visited: dict[Any, list[tuple[Any, ...]]] = {}
        self._disabled = os.environ.get("ISOGRAD_DISABLE_COMPILE") == "1"

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return getattr(self._fn, "__qualname__", type(self._fn).__name__)

    @property
    def programs(self) -> list[Program]:
        """The programs that were made so far, the oldest first."""
        return [entry.program for entry in self._entries.values()]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Inside another trace the function is part of that program.
        if modes.trace is not None or self._disabled:
            return self._fn(*args, **kwargs)
        if modes.lint:  # which looks at the numbers of each operation
            with contextlib.nullcontext() if self._backend is None else use_backend(self._backend):
                return self._fn(*args, **kwargs)
        if self._backend is not None:
            with use_backend(self._backend):
                return self._call(args, kwargs)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._ready is not None and not kwargs:
            result = self._ready(args)
            if result is not MISSED:
                return result
        entry, key, call = self._found(args, kwargs)
        result = self._run(entry, key, call)
        self._ready = None
        # What has run twice will run again: then it is worth moving the state.
        if entry.ran:
            again = take_apart(self.name, args, kwargs, self._state)
            # What the call left, such as gradients where there were none, may want another program.
            if self._key(again) == key[:-1]:
                self._ready = make_ready(entry, again, args, kwargs, self._state)
        entry.ran = True
        return result

    def explain(self, *args: Any, timings: bool = False, **kwargs: Any) -> Explanation:
        """Return a report of the program for these arguments; it is traced if need be, not run.

        Parameters
        ----------
        *args, **kwargs
            As for a call. Without any, the report has the programs that were made so far; where
            there are none, that of a call without arguments.
        timings
            Also measure how long each step takes, on copies of what the arguments and the
            state hold.

        Returns
        -------
        Explanation
            ``print`` it, or write it with ``save("report.html")``. Nothing in it refers to your
            arrays, and neither the state nor random generators are changed.

        Raises
        ------
        TypeError
            If the function cannot be called with these arguments.

        Examples
        --------
        >>> import isograd as ig
        >>> scale = ig.compile(lambda x: 2.0 * (x + x))
        >>> "add" in str(scale.explain(ig.ones(3)))
        True
        """
        from isograd.compiler.explain import check_arguments, explain

        found, call = list(self._entries.items()), None
        with contextlib.nullcontext() if self._backend is None else use_backend(self._backend):
            if args or kwargs or timings or not found:
                check_arguments(self.name, self._fn, args, kwargs)
                entry, key, call = self._found(args, kwargs)
                found = [(key, entry)]
            cells = list(distinct(cells_of(self._state)))
            return explain(self.name, self._fn, cells, found, self._backwards, call, timings)

    def _found(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Entry, Any, Call]:
        """Return the program of a call, traced if there is none, with its key."""
        call = take_apart(self.name, args, kwargs, self._state)
        base = self._key(call)
        known = self._visited.setdefault(base, [])
        for modules in known:
            key = (*base, _facts(modules))
            if key in self._entries:
                return self._entries[key], key, call
        if complete(self._state):
            return self._found(args, kwargs)
        self._note_retrace(call.leaves)
        entry, modules = self._trace(call)
        if modules not in known:
            known.append(modules)
        key = (*base, _facts(modules))
        self._entries[key] = entry
        return entry, key, call

    def _key(self, call: Call) -> Any:
        """Return what a program for a call depends on, beside tensors' values and other modules."""
        return (
            call.leaves,
            call.structure,
            tuple([None if t is None else (t.aval, t.device) for t in call.held]),
            call.shared,
            static_facts(self._state),
            (modes.grad, modes.nan_safe, modes.numerics, call.table().backend),
        )

    def _note_retrace(self, leaves: tuple[Leaf, ...]) -> None:
        if self._last_leaves is not None and len(self._entries) == self._max_traces:
            warn_user(
                f"compile: {self.name} is traced for the {len(self._entries) + 1}th time, since "
                f"{difference(self._last_leaves, leaves)}; make it a tensor of one shape, or "
                "raise max_traces",
                CompileWarning,
            )
        self._last_leaves = leaves

    # -- tracing -----------------------------------------------------------------------------------

    def _trace(self, call: Call) -> tuple[_Entry, tuple[Any, ...]]:
        """Return the program of a call, and undeclared modules by which it was decided."""
        trace = Trace()
        trace.declared = frozenset(owners_of(self._state))
        plain = PlainSlots(self._state)
        outputs: dict[Var, int] = {}

        def place_of(t: Tensor) -> int:
            return outputs.setdefault(trace.var_of(t.detach()), len(outputs))

        try:
            with trace:
                args, kwargs, symbols = call.symbolic(trace)
                before = call.put_symbols(trace)
                outs, structure = tree_flatten(self._fn(*args, **kwargs))
                returned: list[tuple[int | None, Any]] = [
                    (place_of(out), None) if isinstance(out, Tensor) else (None, out)
                    for out in outs
                ]
                written: list[tuple[int, int | None]] = []
                for number, (cell, old) in enumerate(zip(call.cells, before, strict=True)):
                    now = cell.read()
                    if now is None:
                        if old is not None:
                            written.append((number, None))
                    elif now.array is not old:
                        written.append((number, place_of(now)))
                gradients = [
                    (number, place_of(symbol.grad))
                    for number, symbol in enumerate(symbols)
                    if symbol.grad is not None
                ]
                is_open = tuple([isinstance(o, Tensor) and _is_open(o.edge) for o in outs])
                changed = plain.changes()
        finally:
            call.put_back()
            plain.put_back()
        trace.graph.outputs = list(outputs)
        trace.check_complete()
        draws = [(g, count, key.device) for g, (key, count) in trace.draws.items()]
        program = Program(trace.graph, call.table(), donors=call.donors(written))
        entry = _Entry(program, structure, returned, written, changed, gradients, draws, is_open)
        return entry, tuple(trace.visited.values())

    # -- running -----------------------------------------------------------------------------------

    def _run(self, entry: _Entry, key: Any, call: Call) -> Any:
        inputs = [t.array for t in call.tensors]
        inputs += [
            t.array for i, t in enumerate(call.held) if t is not None and call.shared[i] == i
        ]
        inputs += [g.take(count, device).array for g, count, device in entry.draws]
        arrays = entry.program.run(inputs)
        variables = entry.program.graph.outputs
        made = [Tensor(a, v.aval, v.device) for a, v in zip(arrays, variables, strict=True)]
        # Nothing is changed before the whole program has run.
        self._take_over(entry, call, made)
        leaves = [
            other
            if place is None
            else Tensor(made[place].array, made[place].aval, made[place].device)
            for place, other in entry.returned
        ]
        if modes.grad and any(entry.open):
            self._connect(entry, key, call, inputs, leaves)
        return tree_unflatten(entry.structure, leaves)

    def _take_over(self, entry: _Entry, call: Call, made: list[Tensor]) -> None:
        """Give cells their new values: all, or none where an interrupt arrives meanwhile."""
        plain = PlainSlots(self._state) if entry.plain else None
        leaves = [call.tensors[number] for number, _ in entry.gradients]
        gradients = [leaf.grad for leaf in leaves]
        try:
            for number, place in entry.written:
                cell = call.cells[number]
                value = None if place is None else made[place]
                cell.write(
                    value.item() if value is not None and isinstance(cell, NumberCell) else value
                )
            if plain is not None:
                plain.change(entry.plain)
            for leaf, (_, place) in zip(leaves, entry.gradients, strict=True):
                leaf.grad = made[place] if leaf.grad is None else leaf.grad + made[place]
        except BaseException:
            call.put_back()
            if plain is not None:
                plain.put_back()
            for leaf, old in zip(leaves, gradients, strict=True):
                leaf.grad = old
            raise

    # -- derivatives from outside ------------------------------------------------------------------

    def _connect(
        self, entry: _Entry, key: Any, call: Call, inputs: list[Any], leaves: list[Any]
    ) -> None:
        """Give what was returned a node on the tape; its pullback is a program as well."""
        sources = call.sources()
        edges = tuple([t.edge for t in sources])
        outs = [leaf for leaf, is_open in zip(leaves, entry.open, strict=True) if is_open]
        drawn = [generator.state_dict() for generator, _, _ in entry.draws]

        def pullback(cotangents: Sequence[Tensor | None]) -> list[Tensor | None]:
            if modes.grad:
                with _drawing_again(entry.draws, drawn):
                    return self._pullback_by_operations(entry, call, cotangents)
            given = tuple([ct is not None for ct in cotangents])
            program = self._backwards.get((key, given))
            if program is None:
                program = self._backwards[key, given] = self._trace_backward(entry, call, given)
            arrays = program.run(inputs + [ct.array for ct in cotangents if ct is not None])
            return [Tensor(a, t.aval, t.device) for a, t in zip(arrays, sources, strict=True)]

        node = CustomNode(f"compiled {self.name}", edges, outs, pullback)
        for index, out in enumerate(outs):
            out.edge = (node, index)

    def _trace_backward(self, entry: _Entry, call: Call, given: tuple[bool, ...]) -> Program:
        trace = Trace()
        trace.declared = frozenset(owners_of(self._state))
        plain = PlainSlots(self._state)
        now = call.now()  # the state may have changed since the call, and keeps that
        grad_before, modes.grad = modes.grad, True
        try:
            call.put_back()
            with trace:
                args, kwargs, symbols = call.symbolic(trace)
                call.put_symbols(trace)
                outs = tree_flatten(self._fn(*args, **kwargs))[0]
                chosen = [o for o, is_open in zip(outs, entry.open, strict=True) if is_open]
                # Random keys have become inputs by now; cotangents come after them.
                pairs = [
                    (o.edge, trace.input(o.aval, o.device, "cotangent"))
                    for o, is_given in zip(chosen, given, strict=True)
                    if is_given
                ]
                likes = [s for s in symbols if s.edge is not None]
                likes += call.followed()
                wanted: list[Edge] = [like.edge for like in likes if like.edge is not None]
                pulled = pull_to(pairs, wanted, record=False)
                trace.graph.outputs = [
                    trace.var_of(zeros_like(like.detach()) if ct is None else ct)
                    for ct, like in zip(pulled, likes, strict=True)
                ]
        finally:
            modes.grad = grad_before
            now.put_back()
            plain.put_back()
        trace.check_complete()
        return Program(trace.graph, call.table())

    def _pullback_by_operations(
        self, entry: _Entry, call: Call, cotangents: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        """Pull back operation by operation, so that the result can be differentiated again."""
        fresh = [Tensor(t.array, t.aval, t.device, t.edge) for t in call.tensors]
        flat = iter(fresh)
        values = [leaf.value[1] if leaf.kind == "static" else next(flat) for leaf in call.leaves]
        args, kwargs = tree_unflatten(call.structure, values)
        now = call.now()  # the call has changed the state already
        try:
            outs = tree_flatten(self._fn(*args, **kwargs))[0]
        finally:
            now.put_back()
        chosen = [o for o, is_open in zip(outs, entry.open, strict=True) if is_open]
        pairs = [(o.edge, ct) for o, ct in zip(chosen, cotangents, strict=True) if ct is not None]
        wanted = [t.edge for t in call.sources() if t.edge is not None]
        return pull_to(pairs, wanted, record=True)


@contextlib.contextmanager
def _drawing_again(draws: Sequence[Any], after: Sequence[Any]) -> Generator[None]:
    """Let generators draw again what they drew before they had these states."""
    now = [generator.state_dict() for generator, _, _ in draws]
    try:
        for (generator, count, device), state in zip(draws, after, strict=True):
            generator.load_state_dict(state)
            generator.take(-count, device)
        yield
    finally:
        for (generator, _, _), state in zip(draws, now, strict=True):
            generator.load_state_dict(state)


def _facts(modules: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([module_facts(module) for module in modules])


def _is_open(edge: Edge | None) -> bool:
    """Tell whether a backward pass can still go through an edge: none inside the function did."""
    return edge is not None and not edge[0].released
