"""Derivative rules: rows of functions whose parameter names say what they need.

A row reads like the formula: ``lambda g, out: g * out`` is the rule of ``exp``. The first parameter
is the cotangent (or tangent); the others are found by name and decide what the tape saves:

- ``out``: the output
- an input's name (``x``, ``y``, ``indices``...): that input
- an input's name with ``_shape`` or ``_dtype``: only that
- keyword-only parameters: the primitive's static parameters

For primitives with any number of arrays, ``xs_shapes`` gives all shapes.

Complex numbers: the cotangent of z is dL/dRe(z) + i dL/dIm(z), so what a row multiplies by must be
conjugated on the way back, and not on the way forward. The engine does it: a pullback hands rows of
complex primitives what was saved conjugated. Rows are formulas with real coefficients, for which
``conj(f(z)) == f(conj(z))``. Only primitives that are marked as ``complex`` may be followed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from isograd.core.config import modes
from isograd.core.errors import NumericsWarning
from isograd.ir.graph import Var
from isograd.runtime.batched import Batched
from isograd.runtime.bind import bind
from isograd.runtime.library import library
from isograd.runtime.tape import Node, PrimitiveNode, SeveralNode
from isograd.runtime.tensor import Tensor

__all__ = ["Elementwise", "General", "Joint", "Linear", "Several", "Shared", "Variadic", "sum_to"]

Row = Callable[..., Any]
Fetch = Callable[[PrimitiveNode], Any]


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sum ``x`` down to ``shape``: the transpose of broadcasting ``shape`` to ``x.shape``."""
    if x.aval.shape == shape:
        return x
    extra = len(x.aval.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + i for i, n in enumerate(shape) if n == 1 and x.aval.shape[extra + i] != 1
    )
    return library.reshape(library.sum(x, axis=axes), shape)


class _CompiledRow:
    """A row with its parameters looked up once."""

    __slots__ = ("fetch", "fn", "inputs", "output", "static")

    def __init__(self, fn: Row, names: Sequence[str]) -> None:
        code = fn.__code__  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
        positional: tuple[str, ...] = code.co_varnames[1 : code.co_argcount]
        self.fn = fn
        self.static: tuple[str, ...] = code.co_varnames[
            code.co_argcount : code.co_argcount + code.co_kwonlyargcount
        ]
        self.output = "out" in positional
        self.inputs = tuple(names.index(name) for name in positional if name in names)
        self.fetch: tuple[Fetch, ...] = tuple(_fetcher(name, names) for name in positional)

    def __call__(self, g: Tensor, node: PrimitiveNode, back: bool = False) -> Any:
        args = [fetch(node) for fetch in self.fetch]
        if back and node.output_aval.dtype.kind == "c":
            args = [library.conj(x) if isinstance(x, Tensor) else x for x in args]
        if not self.static:
            return self.fn(g, *args)
        static = node.static
        return self.fn(g, *args, **{name: static[name] for name in self.static})


def _input(node: PrimitiveNode, index: int) -> Tensor:
    """Return a saved input as a tensor that is still connected to the tape."""
    return Tensor(node.saved()[index], node.input_avals[index], node.device, node.parents[index])


def _output(node: PrimitiveNode) -> Any:
    """Return the saved output, or the tuple of them, still connected to the tape."""
    node.saved()
    if isinstance(node, SeveralNode):
        known = zip(node.saved_output, node.output_avals(), strict=True)
        return tuple([Tensor(a, *of, (node, i)) for i, (a, of) in enumerate(known)])
    return Tensor(node.saved_output, node.output_aval, node.device, (node, 0))


def _fetcher(name: str, names: Sequence[str]) -> Fetch:
    if name == "out":
        return _output
    if name == "xs_shapes":
        return lambda node: [aval.shape for aval in node.input_avals]
    if name in names:
        index = names.index(name)
        return lambda node: _input(node, index)
    base, _, what = name.rpartition("_")
    index = names.index(base)
    if what == "shape":
        return lambda node: node.input_avals[index].shape
    assert what == "dtype", name
    return lambda node: node.input_avals[index].dtype


class _Rows:
    """What rules of a fixed number of inputs share: a row (or None) for each input."""

    def __init__(self, *rows: Row | None, names: Sequence[str] = ("x", "y", "z")) -> None:
        self._rows = [None if row is None else _CompiledRow(row, names) for row in rows]
        self._saves: dict[tuple[bool, ...], tuple[tuple[int, ...], bool]] = {}

    def saves(self, tracked: tuple[bool, ...], /) -> tuple[tuple[int, ...], bool]:
        found = self._saves.get(tracked)
        if found is None:
            found = self._saves[tracked] = self._compute_saves(tracked)
        return found

    def _compute_saves(self, tracked: tuple[bool, ...]) -> tuple[tuple[int, ...], bool]:
        used = [row for row, t in zip(self._rows, tracked, strict=True) if t and row is not None]
        inputs = sorted({i for row in used for i in row.inputs})
        return tuple(inputs), any(row.output for row in used)

    def pullback(
        self, node: PrimitiveNode, cotangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        g = cotangents[0]
        assert g is not None
        out: list[Tensor | None] = []
        for row, parent, aval in zip(self._rows, node.parents, node.input_avals, strict=True):
            if parent is None or row is None:
                out.append(None)
            else:
                ct = self._apply(row, g, node, back=True)
                out.append(
                    ct if ct is None or ct.aval.shape == aval.shape else sum_to(ct, aval.shape)
                )
        return out

    def _apply(
        self, row: _CompiledRow, g: Tensor, node: PrimitiveNode, *, back: bool
    ) -> Tensor | None:
        return row(g, node, back)

    def pushforward(
        self, node: PrimitiveNode, tangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        return Node.pushforward(node, tangents)


class Elementwise(_Rows):
    """Rows of partial derivatives times ``g``.

    The Jacobian is diagonal, so a row serves both directions.
    """

    def _apply(
        self, row: _CompiledRow, g: Tensor, node: PrimitiveNode, *, back: bool
    ) -> Tensor | None:
        out = row(g, node, back)
        if out is None or not (modes.nan_safe or modes.lint):
            return out
        if modes.nan_safe:
            return library.where(library.equal(g, 0), library.zeros_like(g), out)
        _lint(g, out, node)
        return out

    def pushforward(
        self, node: PrimitiveNode, tangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        shape = node.output_aval.shape
        total: Tensor | None = None
        for row, t in zip(self._rows, tangents, strict=True):
            if t is None or row is None:
                continue
            # Rows may return g itself, so a tangent must have the shape that a cotangent would
            # have.
            wide = t if t.aval.shape == shape else library.broadcast_to(t, shape)
            term = self._apply(row, wide, node, back=False)
            if term is not None:
                total = term if total is None else library.add(total, term)
        return [total]


def _lint(g: Tensor, out: Tensor, node: PrimitiveNode) -> None:
    """Say which operation made NaN of a zero cotangent: the where-trap."""
    if node.prim.name == "where":
        modes.selects.append(node)
    with_nan = library.bitwise_and(library.equal(g, 0), library.isnan(out))
    while with_nan.array.__class__ is Batched:  # any of the examples
        with_nan = with_nan.array.value
    if with_nan.array.__class__ is Var:  # a program that is being made has no numbers yet
        return
    if bool(library.any(with_nan)):
        select = next((s for s in reversed(modes.selects) if _leads(s, node)), None)
        why = "usually because a `where` selects the other branch"
        if select is not None:
            why = f"since the `where` at {select.line} selects the other branch"
        warnings.warn(
            f"{node.describe()} at {node.line or '<unknown line>'}: a zero cotangent met an "
            f"infinite derivative and became NaN, {why}; make the argument safe inside the "
            "`where`, or pass nan_safe=True to backward or grad",
            NumericsWarning,
            stacklevel=2,
        )


def _leads(above: Node, below: Node) -> bool:
    """Tell whether a node was computed from another one."""
    todo, seen = [above], set[int]()
    while todo:
        node = todo.pop()
        if node is below:
            return True
        for edge in node.parents:
            # Nodes are numbered in the order in which they were made.
            if edge is not None and below.number <= edge[0].number and edge[0].number not in seen:
                seen.add(edge[0].number)
                todo.append(edge[0])
    return False


class Linear(_Rows):
    """Rows of transposes, for primitives that are linear in each differentiable input.

    The primitive is its own tangent rule. ``joint=True`` says that it is linear in all of them
    together (``scatter_add``), otherwise it is multilinear (``matmul``).
    """

    def __init__(
        self, *rows: Row | None, names: Sequence[str] = ("x", "y", "z"), joint: bool = False
    ) -> None:
        super().__init__(*rows, names=names)
        self._joint = joint

    def _compute_saves(self, tracked: tuple[bool, ...]) -> tuple[tuple[int, ...], bool]:
        inputs, output = super()._compute_saves(tracked)
        if self._joint:
            fixed = {i for i, row in enumerate(self._rows) if row is None}
            inputs = tuple(sorted({*inputs, *fixed}))
        return inputs, output

    def pushforward(
        self, node: PrimitiveNode, tangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        if self._joint:
            args = [
                _input(node, i) if row is None else (t if t is not None else _zeros(node, i))
                for i, (row, t) in enumerate(zip(self._rows, tangents, strict=True))
            ]
            return [bind(node.prim, *args, **node.static)]
        total: Tensor | None = None
        for i, t in enumerate(tangents):
            if t is None or self._rows[i] is None:
                continue
            args = [t if j == i else _input(node, j) for j in range(len(tangents))]
            term = bind(node.prim, *args, **node.static)
            total = term if total is None else library.add(total, term)
        return [total]


def _zeros(node: PrimitiveNode, index: int) -> Tensor:
    aval = node.input_avals[index]
    return library.zeros(aval.shape, dtype=aval.dtype, device=node.device)


class General(_Rows):
    """Rows of pullbacks; the tangent rule is had by transposing the pullback."""


class Several(_Rows):
    """Rows of pullbacks of a primitive with several outputs.

    ``g`` is the tuple of their cotangents, None for those that are not used, and ``out`` the tuple
    of outputs.
    """

    def pullback(
        self, node: PrimitiveNode, cotangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        g: Any = tuple(cotangents)
        return [
            None if parent is None or row is None else row(g, node)
            for row, parent in zip(self._rows, node.parents, strict=True)
        ]


class Shared(_Rows):
    """One row returns the cotangents of all inputs, None for constants: they share their work.

    For a primitive with several outputs ``g`` and ``out`` are those of `Several`.
    """

    def __init__(self, row: Row, *, names: Sequence[str]) -> None:
        super().__init__(*[row] * len(names), names=names)

    def pullback(
        self, node: PrimitiveNode, cotangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        g: Any = tuple(cotangents) if isinstance(node, SeveralNode) else cotangents[0]
        row = self._rows[0]
        assert row is not None
        parts = zip(row(g, node), node.parents, node.input_avals, strict=True)
        return [
            None if parent is None or ct is None else sum_to(ct, aval.shape)
            for ct, parent, aval in parts
        ]


class Joint:
    """One function of the cotangent and all inputs returns all cotangents, None for constants.

    For primitives whose cotangents share most of their work. With ``outputs``, for primitives with
    several outputs: the function gets the tuples of their cotangents (None for those that are not
    used) and of the outputs before the inputs.
    """

    def __init__(self, fn: Row, *, outputs: bool = False) -> None:
        self._fn = fn
        self._outputs = outputs

    def saves(self, tracked: tuple[bool, ...], /) -> tuple[tuple[int, ...], bool]:
        return tuple(range(len(tracked))), self._outputs

    def pullback(
        self, node: PrimitiveNode, cotangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        inputs = [_input(node, i) for i in range(len(node.input_avals))]
        known = (cotangents, _output(node)) if self._outputs else (cotangents[0],)
        found = self._fn(*known, *inputs, **node.static)
        return [
            None if parent is None else ct for parent, ct in zip(node.parents, found, strict=True)
        ]

    def pushforward(
        self, node: PrimitiveNode, tangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        return Node.pushforward(node, tangents)


class Variadic:
    """For any number of inputs, linear in all of them: one function returns all cotangents."""

    def __init__(self, fn: Row) -> None:
        self._row = _CompiledRow(fn, ())

    def saves(self, tracked: tuple[bool, ...], /) -> tuple[tuple[int, ...], bool]:
        return (), False

    def pullback(
        self, node: PrimitiveNode, cotangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        g = cotangents[0]
        assert g is not None
        return self._row(g, node)

    def pushforward(
        self, node: PrimitiveNode, tangents: Sequence[Tensor | None], /
    ) -> Sequence[Tensor | None]:
        args = [t if t is not None else _zeros(node, i) for i, t in enumerate(tangents)]
        return [bind(node.prim, *args, **node.static)]
