"""Derivative rules of one's own, and trading memory for a second forward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from isograd.core.config import modes
from isograd.core.errors import AutodiffError, ShapeError
from isograd.core.pytree import tree_flatten, tree_map, tree_unflatten
from isograd.runtime.autodiff import alias, check_cotangent, pull_to
from isograd.runtime.level import FollowedInside, Level, current_level
from isograd.runtime.library import library
from isograd.runtime.tape import CustomNode, Edge, LeafNode, Node
from isograd.runtime.tensor import Tensor

__all__ = ["checkpoint", "custom_vjp"]


class custom_vjp:  # noqa: N801 - used as a decorator
    """Give a function a derivative rule of your own.

    Parameters
    ----------
    fn
        Takes tensors (and other arguments, which get no gradient), returns tensors or a tree of
        them.

    Raises
    ------
    AutodiffError
        When called while derivatives are followed before `defvjp` was called, or if the rule
        returns the wrong number of cotangents.
    ShapeError
        If the rule returns a cotangent of the wrong shape.

    Examples
    --------
    >>> import isograd as ig
    >>> @ig.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, ct: (ig.clip(ct, -1.0, 1.0),))
    >>> ig.grad(lambda x: clipped(x * 100.0).sum())(ig.tensor([1.0])).tolist()
    [100.0]
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        self._fwd: Callable[..., tuple[Any, Any]] | None = None
        self._bwd: Callable[..., Sequence[Any]] | None = None

    @property
    def _name(self) -> str:
        return getattr(self._fn, "__name__", "custom_vjp")

    def defvjp(
        self, fwd: Callable[..., tuple[Any, Any]], bwd: Callable[..., Sequence[Any]]
    ) -> None:
        """Set the rule.

        Parameters
        ----------
        fwd
            Takes the function's arguments, returns ``(output, residuals)``.
        bwd
            Takes ``(residuals, cotangent)``, returns a cotangent (or None for zero) for each
            argument.
        """
        self._fwd, self._bwd = fwd, bwd

    def __call__(self, *args: Any) -> Any:
        leaves, _ = tree_flatten(args)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        level = current_level()
        if level is not None and level.followed_outside(tensors):
            return self._for_all(level, args, tensors)
        if not modes.grad or all(t.edge is None for t in tensors):
            return self._fn(*args)
        out, residuals = self._rule()[0](*args)
        return self._recorded(args, tensors, out, residuals)

    def _rule(self) -> tuple[Callable[..., tuple[Any, Any]], Callable[..., Sequence[Any]]]:
        if self._fwd is None or self._bwd is None:
            raise AutodiffError(
                f"custom_vjp: {self._name!r} has no rule yet; call {self._name}.defvjp(fwd, bwd)"
            )
        return self._fwd, self._bwd

    def _recorded(
        self, args: tuple[Any, ...], tensors: Sequence[Tensor], out: Any, residuals: Any
    ) -> Any:
        """Return the output with a node on the tape that has the rule."""
        bwd = self._rule()[1]
        outs, out_structure = tree_flatten(out)

        def pullback(cotangents: Sequence[Tensor | None]) -> list[Tensor | None]:
            filled = [
                library.zeros(o.shape, dtype=o.dtype, device=o.device) if ct is None else ct
                for ct, o in zip(cotangents, detached, strict=True)
            ]
            back = bwd(residuals, tree_unflatten(out_structure, filled))
            return self._spread(args, back)

        detached = [o.detach() for o in outs]
        edges = tuple([t.edge for t in tensors])
        node = CustomNode(self._name, edges, detached, pullback, mappable=True)
        made = [Tensor(o.array, o.aval, o.device, (node, i)) for i, o in enumerate(detached)]
        return tree_unflatten(out_structure, made)

    def _for_all(self, level: Level, args: tuple[Any, ...], tensors: Sequence[Tensor]) -> Any:
        """Follow the rule outside of `isograd.vmap`: a rule for all examples, made of this one."""
        fwd, bwd = self._rule()
        opened = [level.open(t) for t in tensors]
        residuals: list[Any] = []
        structures: list[Any] = []

        def inside(values: Sequence[Tensor]) -> Any:
            flags = [mapped for _, mapped in opened]
            fresh = iter([level.wrap(v, m) for v, m in zip(values, flags, strict=True)])

            def renewed(leaf: Any) -> Any:
                return next(fresh) if isinstance(leaf, Tensor) else leaf

            return tree_map(renewed, args)

        def values_of(out: Any) -> tuple[Tensor, ...]:
            leaves, structure = tree_flatten(out)
            structures.append(structure)
            return tuple([level.front(leaf) for leaf in leaves])

        def primal(*values: Tensor) -> tuple[Tensor, ...]:
            with level.entered():
                out = self._fn(*inside(values))
            return values_of(out)

        def forward(*values: Tensor) -> tuple[Any, Any]:
            with level.entered():
                out, kept = fwd(*inside(values))
            residuals.append(kept)
            return values_of(out), kept

        def backward(kept: Any, cts: Sequence[Tensor]) -> list[Tensor | None]:
            with level.entered():
                inner = [level.wrap(ct, True) for ct in cts]
                back = bwd(kept, tree_unflatten(structures[0], inner))
                spread = self._spread(args, back)
            pairs = zip(spread, opened, strict=True)
            return [None if ct is None else level.gathered(ct, mapped) for ct, (_, mapped) in pairs]

        for_all = custom_vjp(functools.wraps(self._fn)(primal))
        for_all.defvjp(forward, backward)
        with level.left():
            made = for_all(*[value for value, _ in opened])
        out = tree_unflatten(structures[0], [level.wrap(o, True) for o in made])
        if not modes.grad or all(t.edge is None for t in tensors):
            return out
        return self._recorded(args, tensors, out, residuals[0])

    def _spread(self, args: tuple[Any, ...], back: Any) -> list[Tensor | None]:
        """Bring what the rule returned into the order of the tensors among the arguments."""
        given_count = len(back) if _is_sequence(back) else None
        if given_count != len(args):
            got = type(back).__name__ if given_count is None else f"{given_count} cotangents"
            raise AutodiffError(
                f"custom_vjp: the rule of {self._name!r} returned {got} for {len(args)} arguments; "
                "return a tuple with a cotangent or None for each"
            )
        spread: list[Tensor | None] = []
        for number, (arg, given) in enumerate(zip(args, back, strict=True)):
            leaves, arg_structure = tree_flatten(arg)
            cts: list[Any] = [None] * len(leaves)
            if given is not None:
                cts, given_structure = tree_flatten(given)
                if given_structure != arg_structure:
                    raise ShapeError(
                        f"custom_vjp: the rule of {self._name!r} returned a cotangent for argument "
                        f"{number} that is "
                        "built differently from the argument; return the same structure"
                    )
            for leaf, ct in zip(leaves, cts, strict=True):
                if isinstance(leaf, Tensor):
                    where = f"custom_vjp: argument {number} of {self._name!r}"
                    spread.append(None if ct is None else check_cotangent(where, leaf, ct))
        return spread


def _is_sequence(value: Any) -> bool:
    return isinstance(value, tuple | list)


def checkpoint(fn: Callable[..., Any], /) -> Callable[..., Any]:
    """Save only the arguments of ``fn``, and run it again in the backward pass.

    Random numbers are drawn again from the same state, and tensors that ``fn`` finds outside its
    arguments, a module's parameters for example, get their gradients too.

    Raises
    ------
    AutodiffError
        In backward, if a parameter that ``fn`` uses was rebound since the forward pass.

    Examples
    --------
    >>> import isograd as ig
    >>> wide = ig.checkpoint(lambda x: ig.exp(ig.sin(x)))
    >>> ig.grad(lambda x: wide(x).sum())(ig.tensor([0.0])).tolist()
    [1.0]
    """

    @functools.wraps(fn)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not modes.grad:
            return fn(*args, **kwargs)
        leaves, structure = tree_flatten((args, kwargs))
        level = current_level()
        if level is not None:
            tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
            if level.followed_outside(tensors) and not level.follows(tensors):
                try:
                    return _checkpoint_for_all(level, fn, leaves, structure)
                except FollowedInside:  # through what the function closes over
                    pass
        where = [
            i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.edge is not None
        ]
        for i in where:  # a parameter among the arguments may be rebound before backward
            leaves[i] = Tensor(leaves[i].array, leaves[i].aval, leaves[i].device, leaves[i].edge)
        replay = library.random_snapshot()

        def run() -> tuple[list[Tensor], list[Edge], Any]:
            fresh = list(leaves)
            for i in where:
                fresh[i] = alias(leaves[i])
            new_args, new_kwargs = tree_unflatten(structure, fresh)
            out = fn(*new_args, **new_kwargs)
            outs, out_structure = tree_flatten(out)
            return outs, [fresh[i].edge for i in where], out_structure

        before = _latest_node()
        outs, inner, out_structure = run()
        # What fn reached beyond its arguments was on the tape before it ran.
        outer = _captured(outs, frozenset(edge[0] for edge in inner), before)
        values = [_value_of(node) for node, _ in outer]
        del inner

        def pullback(cotangents: Sequence[Tensor | None]) -> list[Tensor | None]:
            for (node, _), value in zip(outer, values, strict=True):
                if _value_of(node) is not value:
                    raise AutodiffError(
                        "checkpoint: a parameter was rebound between forward and backward, so the "
                        "second forward "
                        "pass would differ; call backward before the optimizer's step"
                    )
            before, modes.grad = modes.grad, True
            try:
                with replay():
                    again, edges, _ = run()
            finally:
                modes.grad = before
            pairs = [
                (o.edge, ct) for o, ct in zip(again, cotangents, strict=True) if ct is not None
            ]
            return pull_to(pairs, [*edges, *outer], record=before)

        node = CustomNode(
            "checkpoint",
            (*[leaves[i].edge for i in where], *outer),
            [o.detach() for o in outs],
            pullback,
            mappable=True,
        )
        if not where and not outer:
            return tree_unflatten(out_structure, outs)
        made = [Tensor(o.array, o.aval, o.device, (node, i)) for i, o in enumerate(outs)]
        return tree_unflatten(out_structure, made)

    return checkpointed


def _checkpoint_for_all(
    level: Level, fn: Callable[..., Any], leaves: Sequence[Any], structure: Any
) -> Any:
    """Save only the values of arguments outside of `isograd.vmap`."""
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    opened = [level.open(leaves[i]) for i in places]
    structures: list[Any] = []

    def over_all(*values: Tensor) -> list[Tensor]:
        fresh = list(leaves)
        for i, value, (_, mapped) in zip(places, values, opened, strict=True):
            fresh[i] = level.wrap(value, mapped)
        args, kwargs = tree_unflatten(structure, fresh)
        with level.entered():
            outs, out_structure = tree_flatten(fn(*args, **kwargs))
            if level.follows(outs):
                raise FollowedInside
        structures.append(out_structure)
        return [level.front(out) for out in outs]

    with level.left():
        made = checkpoint(over_all)(*[value for value, _ in opened])
    return tree_unflatten(structures[0], [level.wrap(out, True) for out in made])


def _latest_node() -> int:
    return LeafNode().number


def _captured(outs: Sequence[Tensor], inner: frozenset[Node], before: int) -> list[Edge]:
    """Return the edges by which the tape of ``outs`` leaves what was recorded after ``before``."""
    found: dict[Edge, None] = {}
    seen: set[Node] = set()
    todo = [o.edge for o in outs if o.edge is not None]
    while todo:
        edge = todo.pop()
        node = edge[0]
        if node in inner:
            continue
        if node.number < before:
            found[edge] = None
        elif node not in seen:
            seen.add(node)
            todo.extend([parent for parent in node.parents if parent is not None])
    return list(found)


def _value_of(node: Node) -> Any:
    """Return the array that a leaf's tensor holds now, to notice when it is rebound."""
    tensor = node.tensor() if isinstance(node, LeafNode) else None
    return None if tensor is None else tensor.array
