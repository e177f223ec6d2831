"""`vmap`: a function of one example made into one of many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from isograd.core.errors import NonMappableError, ShapeError
from isograd.core.pytree import TreeDef, tree_flatten, tree_spread, tree_unflatten
from isograd.runtime.level import Level
from isograd.runtime.library import library
from isograd.runtime.tensor import Tensor

__all__ = ["vmap"]

Axis = int | None


def vmap(
    fn: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    *,
    axis_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """Turn a function of one example into one that takes and returns many, computed together.

    The function is called once. What it computes for each example is what a loop over them would
    compute, up to rounding. It can be nested in itself, in derivatives and in `isograd.compile`,
    and they in it.

    Parameters
    ----------
    fn
        Takes tensors, trees of them and anything else; returns tensors or a tree of them. Inside,
        tensors have the shape of one example.
    in_axes
        Which axis of each positional argument runs over the examples: an integer, None for an
        argument that all examples share, or a tuple of these with one for each argument. In the
        place of an integer there may be a tree of them, built like the argument or its upper part.
        Arguments that are no tensors, such as modules, need None. Of keyword arguments, tensors are
        mapped along their first axis, and everything else is passed on.
    out_axes
        Where the axis of examples is in what is returned: an integer, or a tree of them. None for
        what is the same for all examples, which then gets no axis.
    axis_size
        The number of examples; needed if nothing is mapped.
    randomness
        What drawing random numbers inside does: ``"error"``, ``"different"`` numbers for each
        example, or the ``"same"``.

    Returns
    -------
    callable
        Called like ``fn``.

    Raises
    ------
    ShapeError
        When called, if axes do not fit arguments or results, or their lengths differ.
    NonMappableError
        When called, if the function draws random numbers and ``randomness`` is ``"error"``, or
        returns what is mapped where ``out_axes`` is None.
    ConcretizationError
        When called, if the function asks for the number in a mapped tensor: ``if x > 0``,
        ``x.item()``, ``x.numpy()``, or a shape that depends on it, such as ``x[x > 0]``.
    AutodiffError
        When called, if the function puts a mapped tensor into a parameter or tensor that was there
        before.

    Examples
    --------
    >>> import isograd as ig
    >>> rows, v = ig.tensor([[1.0, 2.0], [3.0, 4.0]]), ig.tensor([10.0, 1.0])
    >>> ig.vmap(ig.matmul, in_axes=(0, None))(rows, v).tolist()
    [12.0, 34.0]

    The gradient for each example of a batch:

    >>> w, xs, ys = ig.tensor([1.0, 1.0]), ig.ones((2, 2)), ig.tensor([0.0, 5.0])
    >>> loss = lambda w, x, y: (x @ w - y) ** 2
    >>> ig.vmap(ig.grad(loss), in_axes=(None, 0, 0))(w, xs, ys).tolist()
    [[4.0, 4.0], [-6.0, -6.0]]
    """
    if randomness not in ("error", "different", "same"):
        raise ValueError(f"vmap: randomness is {randomness!r}; pass 'error', 'different' or 'same'")
    if not callable(fn):
        raise TypeError(f"vmap: fn is a {type(fn).__name__}; pass a function")

    @functools.wraps(fn)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        parts = [*_positional(args, in_axes), *_keywords(kwargs)]
        size = _size([part for leaves in parts for part in leaves.parts], axis_size)
        level = Level(size, randomness)
        inner = [leaves.wrapped(level) for leaves in parts]
        with level.entered():
            out = fn(*inner[: len(args)], **dict(zip(kwargs, inner[len(args) :], strict=True)))
        return _returned(level, out, out_axes)

    return mapped


class _Part(NamedTuple):
    """A leaf of an argument, with its axis of examples."""

    where: str
    leaf: Any
    axis: Axis


class _Argument(NamedTuple):
    """An argument taken apart."""

    parts: list[_Part]
    structure: TreeDef

    def wrapped(self, level: Level) -> Any:
        """Return the argument as it is inside."""
        return tree_unflatten(self.structure, [_inside(level, part) for part in self.parts])


def _inside(level: Level, part: _Part) -> Any:
    leaf = part.leaf
    if part.axis is None:
        return level.lift(leaf) if isinstance(leaf, Tensor) else leaf
    return level.wrap(_moved(leaf, part.axis, 0), True)


def _moved(x: Tensor, source: int, place: int) -> Tensor:
    return x if source == place else library.moveaxis(x, source, place)


def _is_axis(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _positional(args: tuple[Any, ...], in_axes: Any) -> list[_Argument]:
    axes: list[Any] = [in_axes] * len(args) if _is_axis(in_axes) else _listed(in_axes)
    if len(axes) != len(args):
        raise ShapeError(
            f"vmap: in_axes {tuple(axes)} has {len(axes)} entries for {len(args)} positional "
            "arguments; give one for each"
        )
    return [
        _argument(f"argument {i}", arg, axis)
        for i, (arg, axis) in enumerate(zip(args, axes, strict=True))
    ]


def _listed(in_axes: Any) -> list[Any]:
    if not isinstance(in_axes, tuple | list):
        raise TypeError(
            f"vmap: in_axes is {in_axes!r}; pass an integer, None, or a tuple with one of them for "
            "each positional argument"
        )
    return list(in_axes)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _keywords(kwargs: dict[str, Any]) -> list[_Argument]:
    made: list[_Argument] = []
    for name, value in kwargs.items():
        leaves, structure = tree_flatten(value)
        where = f"keyword argument {name}"
        parts = [
            _mapped(where, leaf, 0) if isinstance(leaf, Tensor) else _Part(where, leaf, None)
            for leaf in leaves
        ]
        made.append(_Argument(parts, structure))
    return made


def _argument(where: str, value: Any, axes: Any) -> _Argument:
    leaves, structure = tree_flatten(value)
    try:
        spread = tree_spread(axes, structure, _is_axis)
    except ValueError as error:
        raise ShapeError(
            f"vmap: in_axes has {axes!r} for {where}, but {error}; build it like the argument, or "
            "pass one integer or None for all of it"
        ) from None
    return _Argument(
        [_mapped(where, leaf, axis) for leaf, axis in zip(leaves, spread, strict=True)], structure
    )


def _mapped(where: str, leaf: Any, axis: Axis) -> _Part:
    """Check that a leaf has an axis to map."""
    if axis is None:
        return _Part(where, leaf, None)
    if isinstance(leaf, np.ndarray | np.generic):
        leaf = library.tensor(leaf)
    if not isinstance(leaf, Tensor):
        raise NonMappableError(
            f"vmap: {where} has a leaf of {type(leaf).__name__}, which has no axis {axis} to map; "
            "put None in its place in in_axes"
        )
    if not -leaf.ndim <= axis < leaf.ndim:
        raise ShapeError(
            f"vmap: {where} has shape {leaf.shape}, so it has no axis {axis} to map; change "
            "in_axes, or put None there to share it"
        )
    return _Part(where, leaf, axis % leaf.ndim)


def _size(parts: Sequence[_Part], axis_size: int | None) -> int:
    """Return the number of examples, or raise."""
    found = [(part, part.leaf.shape[part.axis]) for part in parts if part.axis is not None]
    sizes = {size for _, size in found}
    if axis_size is not None:
        sizes.add(axis_size.__index__())
    if not sizes:
        raise ShapeError(
            "vmap: no argument is mapped, so the number of examples is unknown; give one an axis "
            "in in_axes, or pass axis_size"
        )
    if len(sizes) > 1:
        listed = [f"{part.where} has {size} along axis {part.axis}" for part, size in found]
        listed += [] if axis_size is None else [f"axis_size is {axis_size}"]
        raise ShapeError(
            f"vmap: the numbers of examples differ: {', '.join(listed)}; make them equal, or "
            "change in_axes"
        )
    size = sizes.pop()
    if size < 0:
        raise ShapeError(f"vmap: axis_size is {axis_size}; pass at least 0")
    return size


def _returned(level: Level, out: Any, out_axes: Any) -> Any:
    """Give results their axis of examples."""
    leaves, structure = tree_flatten(out)
    try:
        axes = tree_spread(out_axes, structure, _is_axis)
    except ValueError as error:
        raise ShapeError(
            f"vmap: out_axes is {out_axes!r} for what the function returned, but {error}; build it "
            "like the result, or pass one integer or None for all of it"
        ) from None
    return tree_unflatten(
        structure,
        [_result(level, leaf, axis) for leaf, axis in zip(leaves, axes, strict=True)],
    )


def _result(level: Level, leaf: Any, axis: Axis) -> Tensor:
    t: Tensor = leaf if isinstance(leaf, Tensor) else _as_tensor(leaf)
    value, mapped = level.open(t)
    if axis is None:
        if mapped:
            raise NonMappableError(
                f"vmap: out_axes is None for a result of shape {t.shape} that differs between "
                "examples; pass the axis that is to run over them"
            )
        return value
    if not -t.ndim - 1 <= axis <= t.ndim:
        raise ShapeError(
            f"vmap: out_axes is {axis} for a result of shape {t.shape}, which gets one axis more; "
            f"use one in [{-t.ndim - 1}, {t.ndim}]"
        )
    place = axis % (t.ndim + 1)
    if mapped:
        return _moved(value, 0, place)
    wide = library.expand_dims(value, axis=place)
    return library.broadcast_to(wide, (*t.shape[:place], level.size, *t.shape[place:]))


def _as_tensor(leaf: Any) -> Tensor:
    if isinstance(leaf, bool | int | float | np.ndarray | np.generic):
        return library.tensor(leaf)
    raise NonMappableError(
        f"vmap: the function returned {type(leaf).__name__}; return tensors, or tuples, lists and "
        "dicts of them"
    )
