"""One `vmap` while its function runs: it takes operations down for all examples at once.

`bind` hands every application to the active level, as it does to a trace. A tensor made inside has
the shape of one example; in place of an array it holds a `Batched`, whose value is a tensor of the
level outside with an axis of examples in front. Applying a primitive inside means applying its row
in the table of `isograd.ops.batching` to the values, outside. So a derivative taken inside follows
edges of the tensors, one taken outside edges of the values, and neither sees the other's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from isograd.core.config import modes
from isograd.core.errors import NonMappableError
from isograd.core.frames import user_line
from isograd.ir import Aval, Primitive
from isograd.runtime.batched import Batched, has_history
from isograd.runtime.bind import bind
from isograd.runtime.library import library
from isograd.runtime.tape import LeafNode
from isograd.runtime.tensor import Tensor

if TYPE_CHECKING:
    from isograd.core.devices import Device
    from isograd.runtime.tape import Node

__all__ = [
    "Application",
    "Batching",
    "FollowedInside",
    "Level",
    "active_levels",
    "claiming",
    "current_level",
]


class Application(NamedTuple):
    """An application of a primitive to the values of all examples.

    Attributes
    ----------
    prim : Primitive
    operands : list of Tensor
        Values outside the level.
    mapped : list of bool
        Of each operand whether its first axis runs over the examples.
    static : dict
        The parameters as they are for one example.
    size : int
        The number of examples.
    spread : bool
        Whether a random key among the operands draws other numbers for each example.
    """

    prim: Primitive
    operands: list[Tensor]
    mapped: list[bool]
    static: dict[str, Any]
    size: int
    spread: bool

    def front(self, index: int) -> Tensor:
        """Return an operand with the axis of examples in front, repeated if all share it."""
        x = self.operands[index]
        if self.mapped[index]:
            return x
        return library.broadcast_to(x, (self.size, *x.shape))

    def fronts(self) -> list[Tensor]:
        """Return all operands with the axis of examples in front."""
        return [self.front(i) for i in range(len(self.operands))]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape that an operand has for one example."""
        shape = self.operands[index].aval.shape
        return shape[1:] if self.mapped[index] else shape

    def bind(self, *operands: Tensor, **changed: Any) -> Any:
        """Apply the primitive, with some of its parameters changed."""
        static = {**self.static, **changed} if changed else self.static
        return bind(self.prim, *operands, **static)


class Batching(NamedTuple):
    """How a primitive is applied to all examples at once.

    Attributes
    ----------
    rule : callable or None
        From an `Application` to the output, or a tuple of outputs, with the axis of examples in
        front; or ``NotImplemented``, to go through the decomposition. None for primitives without
        tensor arguments.
    draws : bool
        Whether the result depends on a random key, so that it is mapped if the key is spread.
    """

    rule: Callable[[Application], Any] | None
    draws: bool = False


class FollowedInside(Exception):  # noqa: N818 - a signal, not an error
    """A derivative inside leads through what was to be computed outside as a whole."""


class Level:
    """The examples of one `vmap`.

    Parameters
    ----------
    size
        How many there are.
    randomness
        ``"error"``, ``"different"`` or ``"same"``.
    """

    def __init__(self, size: int, randomness: str) -> None:
        self.size = size
        self.randomness = randomness
        #: Who takes operations on the values down; None: they run.
        self.outer: Any = None
        #: Whether operations on the values are recorded.
        self.grad = True
        #: Whether the function is running.
        self.active = False
        #: The number of the tape's next node; leaves that are made inside have greater ones.
        self.began = LeafNode().number
        #: Leaves that a derivative inside is taken with respect to, although they are outside.
        self.claimed: set[Node] = set()

    # -- in and out --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def entered(self) -> Generator[None]:
        """Let the level take operations down while the block runs; may be entered again."""
        before = self.outer, self.grad, self.active
        self.outer, self.grad, self.active = modes.trace, modes.grad, True
        modes.trace = self
        try:
            yield
        finally:
            modes.trace, modes.grad = self.outer, self.grad
            self.outer, self.grad, self.active = before

    @contextlib.contextmanager
    def left(self) -> Generator[None]:
        """Be outside of the level while the block runs."""
        before = modes.trace, modes.grad
        modes.trace, modes.grad = self.outer, self.grad
        try:
            yield
        finally:
            modes.trace, modes.grad = before

    def wrap(self, value: Tensor, mapped: bool, spread: bool = False) -> Tensor:
        """Return the tensor inside that stands for a value outside."""
        aval = value.aval
        inner = Aval(aval.shape[1:], aval.dtype) if mapped else aval
        return Tensor(Batched(value, self, mapped, spread), inner, value.device)

    def lift(self, t: Tensor) -> Tensor:
        """Return a tensor as one of this level; all examples share what comes from outside."""
        return t if self.owns(t) else self.wrap(t, False)

    def owns(self, t: Tensor) -> bool:
        """Tell whether a tensor was made inside this level."""
        return t.array.__class__ is Batched and t.array.level is self

    def open(self, t: Tensor) -> tuple[Tensor, bool]:
        """Return the value outside of a tensor inside, and whether it is mapped."""
        if self.owns(t):
            return t.array.value, t.array.mapped
        return self._outside(t), False

    def front(self, t: Tensor) -> Tensor:
        """Return the value of a tensor for all examples, repeated if they share it."""
        value, mapped = self.open(t)
        return value if mapped else library.broadcast_to(value, (self.size, *value.shape))

    def gathered(self, ct: Tensor, mapped: bool) -> Tensor:
        """Return the cotangent outside of a value: the sum of all examples' if they share it."""
        return self.front(ct) if mapped else library.sum(self.front(ct), axis=0)

    def followed_outside(self, tensors: Iterable[Tensor]) -> bool:
        """Tell whether derivatives that are taken outside follow any of the tensors."""
        return self.grad and any(has_history(self.open(t)[0]) for t in tensors)

    def one_by_one(
        self, fn: Callable[[list[Tensor | None]], Sequence[Tensor | None]], ts: Sequence[Any]
    ) -> list[Tensor | None]:
        """Call a function of tensors outside once for each example, and put results together."""
        opened = [None if t is None else self.open(t) for t in ts]

        def one(index: int, given: tuple[Tensor, bool] | None) -> Tensor | None:
            if given is None or not given[1]:
                return None if given is None else given[0]
            value = given[0]
            if self.size:
                return value[index]
            return library.zeros(value.shape[1:], dtype=value.dtype, device=value.device)

        with self.left():
            rows = [fn([one(k, g) for g in opened]) for k in range(max(self.size, 1))]
            stacks = [
                None if column[0] is None else library.stack(list(column))[: self.size]
                for column in zip(*rows, strict=True)
            ]
        return [None if t is None else self.wrap(t, True) for t in stacks]

    def _outside(self, t: Tensor) -> Tensor:
        held = t.array
        if held.__class__ is Batched and not held.level.active:
            held.level.refuse_leak()
        if t.edge is not None and t.edge[0] in self.claimed:
            return t.detach()
        return t

    def follows(self, tensors: Iterable[Tensor]) -> bool:
        """Tell whether a derivative that is taken inside leads through any of the tensors."""
        if not modes.grad:
            return False
        seen: set[Node] = set()
        todo = [t.edge[0] for t in tensors if t.edge is not None]
        while todo:
            node = todo.pop()
            if node in self.claimed or (node.number > self.began and isinstance(node, LeafNode)):
                return True
            if node.number > self.began and node not in seen:
                seen.add(node)
                todo.extend([parent[0] for parent in node.parents if parent is not None])
        return False

    # -- operations --------------------------------------------------------------------------------

    def stage(
        self,
        prim: Primitive,
        tensors: Sequence[Tensor],
        static: dict[str, Any],
        avals: Any,
        device: Device,
    ) -> Any:
        """Apply a primitive to all examples; return what the result, or each of them, holds."""
        operands: list[Tensor] = []
        mapped: list[bool] = []
        spread = False
        for t in tensors:
            held = t.array
            if held.__class__ is Batched and held.level is self:
                operands.append(held.value)
                mapped.append(held.mapped)
                spread = spread or held.spread
            else:
                operands.append(self._outside(t))
                mapped.append(False)
        row: Batching | None = prim.batching
        before = modes.grad
        modes.trace, modes.grad = self.outer, self.grad
        try:
            if True in mapped or (spread and row is not None and row.draws):
                call = Application(prim, operands, mapped, static, self.size, spread)
                return self._all(call, row, tensors)
            out = bind(prim, *operands, **static)
        finally:
            modes.trace, modes.grad = self, before
        if prim.multiple:
            return tuple([Batched(part, self, False, spread) for part in out])
        return Batched(out, self, False, spread)

    def _all(self, call: Application, row: Batching | None, tensors: Sequence[Tensor]) -> Any:
        """Apply a primitive where an argument, or what is drawn, differs between examples."""
        prim = call.prim
        out: Any = NotImplemented if row is None or row.rule is None else row.rule(call)
        if out is NotImplemented:
            if prim.decompose is None:
                raise NonMappableError(
                    f"vmap: the primitive {prim.name!r}, applied at {user_line()}, has no rule for "
                    "many examples at once; add its row to isograd.ops.batching, or write the "
                    "function in other operations"
                )
            modes.trace, modes.grad = self, False
            out = prim.decompose(*tensors, **call.static)
            return tuple([t.array for t in out]) if prim.multiple else out.array
        if prim.multiple:
            return tuple([Batched(part, self, True) for part in out])
        return Batched(out, self, True)

    def draw(self, generator: Any, device: Device) -> Tensor:
        """Return the next key of a random generator, by the level's policy."""
        if self.randomness == "error":
            raise NonMappableError(
                f"vmap: random numbers are drawn at {user_line()}, and it is not said whether "
                'examples share them; pass randomness="different" or randomness="same" to vmap'
            )
        with self.left():
            key = generator.key(device)
        return self.wrap(key, False, spread=self.randomness == "different")

    def scan(self, *args: Any) -> tuple[list[Tensor], list[Tensor]]:
        """Run a loop; see `isograd.ops.batching.control`."""
        return library.batched_scan(self, *args)

    def cond(self, *args: Any) -> list[Tensor]:
        """Choose; see `isograd.ops.batching.control`."""
        return library.batched_cond(self, *args)

    # -- what is refused ---------------------------------------------------------------------------

    def check_declared(self, owner: Any, what: str) -> None:
        """Ask who is outside whether state may be used."""
        if self.outer is not None:
            self.outer.check_declared(owner, what)

    def visit(self, module: Any) -> None:
        """Tell who is outside that a module is called."""
        if self.outer is not None:
            self.outer.visit(module)

    def refuse_leak(self) -> NoReturn:
        """Raise, since a tensor made inside is used where the level is not active."""
        raise NonMappableError(
            f"vmap: a tensor made inside a function that vmap mapped is used outside of it, at "
            f"{user_line()}; return it from the function"
        )


def current_level() -> Level | None:
    """Return the innermost level, if operations go to one."""
    return modes.trace if isinstance(modes.trace, Level) else None


def active_levels(within: Any = None) -> list[Level]:
    """Return the levels that operations go through, the innermost first, as far as ``within``."""
    found: list[Level] = []
    taker = modes.trace
    while isinstance(taker, Level) and taker is not within:
        found.append(taker)
        taker = taker.outer
    return found


@contextlib.contextmanager
def claiming(leaves: Iterable[Tensor]) -> Generator[None]:
    """Take derivatives with respect to leaves that are outside of the level, as inside.

    While the block runs, the values of the examples have no history that leads to them.
    """
    level = current_level()
    if level is None:
        yield
        return
    outside = {t.edge[0] for t in leaves if t.edge is not None and not level.owns(t)}
    added = outside - level.claimed
    level.claimed |= added
    try:
        yield
    finally:
        level.claimed -= added
