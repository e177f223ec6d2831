"""Control flow: loops and choices that compile to one piece, and run step by step otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.config import modes
from isograd.core.errors import DeviceMismatchError, DTypeError, ShapeError
from isograd.core.pytree import TreeDef, tree_flatten, tree_unflatten
from isograd.ops.arithmetic import not_equal
from isograd.ops.convert import as_tensor, cast, is_traced
from isograd.ops.creation import zeros
from isograd.ops.movement import stack
from isograd.ops.random import snapshot
from isograd.runtime.autodiff import alias
from isograd.runtime.modes import no_grad
from isograd.runtime.tape import CustomNode
from isograd.runtime.tensor import Tensor

__all__ = ["cond", "run_steps", "scan"]


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    /,
    init: Any,
    xs: Any = None,
    *,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Apply ``f`` to the slices of ``xs`` in turn, and hand something on from step to step.

    In a compiled function the loop is one equation, however long it is, and so is its derivative.
    That keeps the carry of each step and what matrix products make, and computes the rest of a step
    again when it goes back through it. Otherwise the loop runs as it is written.

    Parameters
    ----------
    f
        Called as ``f(carry, x)``, returns ``(carry, y)``. The carry it returns must be like the one
        it takes: the same structure, shapes and dtypes. It may use other tensors, such as
        parameters, and draw random numbers.
    init
        The first carry: a tensor, or a tree of tensors.
    xs
        A tensor, or a tree of tensors, that are sliced along their first axis. None: ``f`` gets
        None in each of ``length`` steps.
    length
        The number of steps; needed if ``xs`` has no tensors. With 0 steps, ``f`` is called once, on
        zeros, to find out what it returns.
    reverse
        Whether to begin with the last slice. Results are stacked in the order of ``xs`` all the
        same.

    Returns
    -------
    carry
        The last carry.
    ys
        All ``y``, stacked along a new first axis.

    Raises
    ------
    ShapeError
        If the tensors of ``xs`` differ in length, or the carry changes its structure or shape.
    DTypeError
        If the carry changes its dtype, or a leaf is no tensor.

    Examples
    --------
    >>> import isograd as ig
    >>> def decayed(total, x):
    ...     total = 0.5 * total + x
    ...     return total, total
    >>> last, totals = ig.scan(decayed, ig.tensor(0.0), ig.tensor([4.0, 2.0, 1.0]))
    >>> last.item(), totals.tolist()
    (3.0, [4.0, 4.0, 3.0])
    """
    flat, carry_structure = tree_flatten(init)
    carry = [_leaf("scan", leaf, "init") for leaf in flat]
    flat, x_structure = tree_flatten(xs)
    sliced = [_leaf("scan", leaf, "xs") for leaf in flat]
    count = _length(sliced, length)
    structures: list[TreeDef] = []

    def step(carries: list[Tensor], slices: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        made = f(tree_unflatten(carry_structure, carries), tree_unflatten(x_structure, slices))
        if not isinstance(made, tuple) or len(made) != 2:  # pyright: ignore[reportUnnecessaryIsInstance, reportUnnecessaryComparison]
            raise ShapeError(
                f"scan: f returned {type(made).__name__}; return a pair, the carry and what is "
                "stacked (None for nothing)"
            )
        new, structure = tree_flatten(made[0])
        if structure != carry_structure:
            raise ShapeError(
                "scan: f returned a carry that is built differently from the one it takes: "
                f"{made[0]!r} for {init!r}; return the same structure"
            )
        new = [_leaf("scan", leaf, "the carry") for leaf in new]
        for number, (a, b) in enumerate(zip(carries, new, strict=True)):
            _check_same("scan", f"leaf {number} of the carry", ("goes in", a), ("comes out", b))
        parts, structure = tree_flatten(made[1])
        structures.append(structure)
        return new, [_leaf("scan", leaf, "what f returned") for leaf in parts]

    if count == 0:
        with no_grad(), snapshot()():
            probes = [_zeros(t.shape, t) for t in carry], [_zeros(t.shape[1:], t) for t in sliced]
            parts = step(*probes)[1]
        stacks = [_zeros((0, *t.shape), t) for t in parts]
    elif modes.trace is not None:
        carry, stacks = modes.trace.scan(step, carry, sliced, count, reverse)
    else:
        carry, stacks = run_steps(step, carry, sliced, count, reverse)
    return tree_unflatten(carry_structure, carry), tree_unflatten(structures[-1], stacks)


def run_steps(
    step: Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], list[Tensor]]],
    carry: list[Tensor],
    xs: Sequence[Tensor],
    length: int,
    reverse: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    """Run the loop step by step."""
    columns = [_slices(x) for x in xs]
    rows: list[list[Tensor]] = [[] for _ in range(length)]
    for i in range(length - 1, -1, -1) if reverse else range(length):
        carry, rows[i] = step([_renamed(t) for t in carry], [column[i] for column in columns])
    # Carries get their cotangents after stacks do, as in the compiled loop.
    carry = [_renamed(t) for t in carry]
    return carry, [stack(list(column)) for column in zip(*rows, strict=True)]


def _renamed(t: Tensor) -> Tensor:
    """Return a carry under a name of its own, so that what a step sends back is summed first."""
    return alias(t) if modes.grad and t.edge is not None else t.detach()


def _slices(x: Tensor) -> list[Tensor]:
    """Return the slices along the first axis; their cotangents are stacked, not added up."""
    value = x.detach()
    parts = [value[i] for i in range(x.shape[0])]
    if x.edge is None or not modes.grad:
        return parts

    def pullback(cotangents: Sequence[Tensor | None]) -> list[Tensor]:
        pairs = zip(parts, cotangents, strict=True)
        return [stack([_zeros(part.shape, part) if ct is None else ct for part, ct in pairs])]

    node = CustomNode("scan", (x.edge,), parts, pullback, mappable=True)
    return [Tensor(t.array, t.aval, t.device, (node, i)) for i, t in enumerate(parts)]


def cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    /,
    *operands: Any,
) -> Any:
    """Call one of two functions.

    In a compiled function both are traced, and one of them runs; a ``pred`` that is a Python number
    is decided while tracing. Random numbers cannot be drawn in branches then.

    Parameters
    ----------
    pred
        One bool: a tensor of shape ``()``, or a Python number; other numbers are true unless 0.
    true_fn, false_fn
        Called as ``true_fn(*operands)``. They may use other tensors, such as parameters. What they
        return must be alike: the same structure, shapes and dtypes.
    *operands
        Anything.

    Returns
    -------
    Tensor or tree of Tensor
        What the function returned that was called.

    Raises
    ------
    ShapeError
        If ``pred`` is not one element; in a compiled function also if the branches differ in
        structure or shape.
    DTypeError
        If a leaf is no tensor; in a compiled function also if the branches differ in dtype.

    Examples
    --------
    >>> import isograd as ig
    >>> halve_or_grow = ig.compile(
    ...     lambda n: ig.cond(n % 2 == 0, lambda n: n // 2, lambda n: 3 * n + 1, n)
    ... )
    >>> [halve_or_grow(ig.tensor(n)).item() for n in (6, 7)]
    [3, 22]
    """
    t = _leaf("cond", pred, "pred")
    if t.shape != ():
        raise ShapeError(
            f"cond: pred has shape {t.shape}; pass one element, reduced with isograd.any or all"
        )
    if not is_traced(t):
        leaves, structure = _outputs((true_fn if bool(t) else false_fn)(*operands))
        return tree_unflatten(structure, leaves)
    results: list[tuple[list[Tensor], TreeDef]] = []

    def traced(fn: Callable[..., Any]) -> Callable[[], list[Tensor]]:
        def run() -> list[Tensor]:
            results.append(_outputs(fn(*operands)))
            if len(results) == 2:
                _check_branches(*results)
            return results[-1][0]

        return run

    chooser = t if t.dtype == dtypes.bool else not_equal(t, 0)
    made = modes.trace.cond(chooser.detach(), [traced(true_fn), traced(false_fn)])
    return tree_unflatten(results[0][1], made)


def _outputs(made: Any) -> tuple[list[Tensor], TreeDef]:
    flat, structure = tree_flatten(made)
    return [_leaf("cond", leaf, "what a branch returned") for leaf in flat], structure


def _check_branches(
    first: tuple[list[Tensor], TreeDef], second: tuple[list[Tensor], TreeDef]
) -> None:
    if first[1] != second[1]:
        raise ShapeError(
            "cond: the branches return trees that are built differently: "
            f"{tree_unflatten(first[1], [t.aval for t in first[0]])!r} if true, "
            f"{tree_unflatten(second[1], [t.aval for t in second[0]])!r} if false; return the same "
            "structure"
        )
    for number, (a, b) in enumerate(zip(first[0], second[0], strict=True)):
        _check_same(
            "cond", f"leaf {number} of the result", ("is returned if true", a), ("if false", b)
        )


def _check_same(
    function: str, what: str, first: tuple[str, Tensor], second: tuple[str, Tensor]
) -> None:
    """Raise unless two tensors have one shape and dtype, and are on one device."""
    (how, a), (how_else, b) = first, second
    if a.aval.shape != b.aval.shape:
        raise ShapeError(
            f"{function}: {what} {how} as {a.aval} and {how_else} as {b.aval}; make the shapes "
            "equal, for example with broadcast_to or reshape"
        )
    if a.aval.dtype != b.aval.dtype:
        raise DTypeError(
            f"{function}: {what} {how} as {a.aval} and {how_else} as {b.aval}; convert one of them "
            "with .astype"
        )
    if a.device is not b.device:
        raise DeviceMismatchError(
            f"{function}: {what} {how} on {a.device} and {how_else} on {b.device}; move one of "
            "them with .to"
        )


def _leaf(function: str, leaf: Any, where: str) -> Tensor:
    """Return a leaf of a tree as a tensor; Python numbers have the dtype they have alone."""
    if not isinstance(leaf, Tensor | bool | int | float | np.ndarray | np.generic):
        raise DTypeError(
            f"{function}: {where} has a leaf of {type(leaf).__name__}; use tensors and numbers"
        )
    t = as_tensor(function, leaf)
    return cast(t, dtypes.default_float()) if is_traced(t) and t.array.weak else t


def _length(xs: Sequence[Tensor], length: int | None) -> int:
    """Return the number of steps, or raise."""
    shapes = [t.shape for t in xs]
    if any(not shape for shape in shapes):
        raise ShapeError(
            f"scan: xs has tensors of shapes {shapes}; all need a first axis to slice along"
        )
    counts = {shape[0] for shape in shapes}
    if length is not None:
        counts.add(length.__index__())
    if not counts:
        raise ShapeError("scan: xs has no tensors; pass the number of steps: length=10")
    if len(counts) > 1 or min(counts) < 0:
        raise ShapeError(
            f"scan: xs has tensors of shapes {shapes}, and length is {length}; make the first axes "
            "and the length equal"
        )
    return counts.pop()


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return zeros(shape, dtype=like.dtype, device=like.device)
