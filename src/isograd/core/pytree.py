"""Nested containers of leaves: tuples, lists, dicts, named tuples, None, and registered classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

__all__ = [
    "TreeDef",
    "register_pytree",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_spread",
    "tree_unflatten",
]


class TreeDef(NamedTuple):
    """The structure of a tree without its leaves: hashable, and comparable with ``==``."""

    kind: type | None
    data: Any = None
    children: tuple[TreeDef, ...] = ()


class _Registration(NamedTuple):
    flatten: Callable[[Any], tuple[Iterable[Any], Any]]
    unflatten: Callable[[Any, list[Any]], Any]


_LEAF = TreeDef(None)


def _flatten_sequence(tree: Any) -> tuple[Iterable[Any], None]:
    return tree, None


def _flatten_dict(tree: Any) -> tuple[Iterable[Any], tuple[Any, ...]]:
    return tree.values(), tuple(tree)


def _flatten_none(tree: Any) -> tuple[Iterable[Any], None]:
    return (), None


def _to_tuple(data: Any, items: list[Any]) -> Any:
    return tuple(items)


def _to_list(data: Any, items: list[Any]) -> Any:
    return items


def _to_dict(data: Any, items: list[Any]) -> Any:
    return dict(zip(data, items, strict=True))


def _to_none(data: Any, items: list[Any]) -> Any:
    return None


_REGISTRY: dict[type, _Registration] = {
    tuple: _Registration(_flatten_sequence, _to_tuple),
    list: _Registration(_flatten_sequence, _to_list),
    dict: _Registration(_flatten_dict, _to_dict),
    type(None): _Registration(_flatten_none, _to_none),
}


def register_pytree(
    cls: type,
    flatten: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten: Callable[[Any, list[Any]], Any],
) -> None:
    """Make ``cls`` a container whose parts are visited.

    Parameters
    ----------
    cls
        The class; subclasses are not included.
    flatten
        Returns the children and a hashable description of the rest.
    unflatten
        Rebuilds an object from that description and a list of children.

    Raises
    ------
    ValueError
        If the class is registered already.
    """
    if cls in _REGISTRY:
        raise ValueError(
            f"register_pytree: {cls.__name__} is registered already; register a class once"
        )
    _REGISTRY[cls] = _Registration(flatten, unflatten)


def _is_named_tuple(cls: Any) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")  # pyright: ignore[reportUnknownArgumentType]


def _registration(tree: Any) -> _Registration | None:
    cls: Any = type(tree)  # pyright: ignore[reportUnknownVariableType]
    found = _REGISTRY.get(cls)
    if found is None and _is_named_tuple(cls):

        def rebuild(data: Any, items: list[Any]) -> Any:
            return cls(*items)

        return _Registration(_flatten_sequence, rebuild)
    return found


def tree_flatten(tree: Any, /) -> tuple[list[Any], TreeDef]:
    """Split a tree into its leaves, in order, and its structure.

    Examples
    --------
    >>> leaves, structure = tree_flatten({"w": 1, "b": (2, 3)})
    >>> leaves
    [1, 2, 3]
    """
    leaves: list[Any] = []
    return leaves, _flatten_into(tree, leaves)


def _flatten_into(tree: Any, leaves: list[Any]) -> TreeDef:
    registration = _registration(tree)
    if registration is None:
        leaves.append(tree)
        return _LEAF
    children, data = registration.flatten(tree)
    return TreeDef(type(tree), data, tuple(_flatten_into(child, leaves) for child in children))


def tree_unflatten(structure: TreeDef, leaves: Iterable[Any], /) -> Any:
    """Rebuild a tree from its structure and leaves."""
    return _unflatten_from(structure, iter(leaves))


def _unflatten_from(structure: TreeDef, leaves: Iterator[Any]) -> Any:
    if structure.kind is None:
        return next(leaves)
    children = [_unflatten_from(child, leaves) for child in structure.children]
    registration = _REGISTRY.get(structure.kind)
    if registration is None:
        return structure.kind(*children)
    return registration.unflatten(structure.data, children)


def tree_leaves(tree: Any, /) -> list[Any]:
    """Return the leaves of a tree, in order."""
    return tree_flatten(tree)[0]


def tree_map(fn: Callable[..., Any], tree: Any, /, *rest: Any) -> Any:
    """Apply ``fn`` to corresponding leaves of trees of one structure.

    Raises
    ------
    ValueError
        If the structures differ.

    Examples
    --------
    >>> tree_map(lambda a, b: a + b, {"w": 1}, {"w": 10})
    {'w': 11}
    """
    leaves, structure = tree_flatten(tree)
    columns = [leaves]
    for index, other in enumerate(rest, start=2):
        other_leaves, other_structure = tree_flatten(other)
        if other_structure != structure:
            raise ValueError(
                f"tree_map: tree {index} is built differently from the first; pass trees of one "
                "structure"
            )
        columns.append(other_leaves)
    return tree_unflatten(structure, [fn(*row) for row in zip(*columns, strict=True)])


def tree_spread(prefix: Any, structure: TreeDef, is_leaf: Callable[[Any], bool], /) -> list[Any]:
    """Return for each leaf of a structure the leaf that a tree which may end earlier has above it.

    Parameters
    ----------
    prefix
        Built like the structure, except that a leaf may stand for a whole part of it.
    structure
        What `tree_flatten` returned.
    is_leaf
        Tells whether a part of ``prefix`` is a leaf.

    Raises
    ------
    ValueError
        If the two are built differently.

    Examples
    --------
    >>> structure = tree_flatten(({"w": 1, "b": 2}, 3))[1]
    >>> tree_spread((0, None), structure, lambda x: x is None or isinstance(x, int))
    [0, 0, None]
    """
    if is_leaf(prefix):
        return [prefix] * _count(structure)
    found = _flatten_into_children(prefix)
    if found is None:
        raise ValueError(f"{prefix!r} is neither a leaf nor a container")
    children, data = found
    kind: Any = type(prefix)  # pyright: ignore[reportUnknownVariableType]
    if kind is structure.kind is dict and set(data) == set(structure.data):
        by_name = dict(zip(data, children, strict=True))
        children = [by_name[key] for key in structure.data]
    elif (kind, data) != (structure.kind, structure.data):
        raise ValueError(f"{prefix!r} is built differently")
    if len(children) != len(structure.children):
        raise ValueError(f"{prefix!r} has {len(children)} parts for {len(structure.children)}")
    pairs = zip(children, structure.children, strict=True)
    return [leaf for part, below in pairs for leaf in tree_spread(part, below, is_leaf)]


def _count(structure: TreeDef) -> int:
    return 1 if structure.kind is None else sum(map(_count, structure.children))


def _flatten_into_children(tree: Any) -> tuple[list[Any], Any] | None:
    registration = _registration(tree)
    if registration is None:
        return None
    children, data = registration.flatten(tree)
    return list(children), data
