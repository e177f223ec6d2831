"""A tree of state in one file: numbers and texts as JSON, arrays beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from isograd.core.errors import DataFormatError, DTypeError
from isograd.io.atomic import PathLike, atomic_write
from isograd.io.npz import read_arrays, write_arrays
from isograd.ops.creation import asarray
from isograd.runtime.tensor import Tensor

__all__ = ["load_tree", "save_tree"]

_TREE: Final = "tree"


def save_tree(tree: Any, path: PathLike, /) -> None:
    """Write nested dicts, lists and tuples of tensors, arrays, numbers and texts to one npz file.

    Keys of dicts may be texts or numbers. What was read back is equal to the last bit, and of the
    same types. The file is replaced when all is written.

    Raises
    ------
    DTypeError
        If something else is in the tree.

    Examples
    --------
    >>> import isograd as ig, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "state.npz"
    >>> save_tree({"step": 3, 0: (ig.ones(2), None, 0.1)}, path)
    >>> load_tree(path)
    {'step': 3, 0: (tensor([1., 1.], dtype=float32), None, 0.1)}
    """
    arrays: dict[str, Any] = {}
    text = json.dumps(_encoded(tree, arrays, "the tree"))
    arrays[_TREE] = np.frombuffer(text.encode(), np.uint8)
    with atomic_write(path) as partial:
        write_arrays(arrays, partial)


def load_tree(path: PathLike, /, *, device: Any = None) -> Any:
    """Read what `save_tree` wrote.

    Raises
    ------
    DataFormatError
        If the file is damaged, or another kind of npz file.
    """
    path = Path(path)
    arrays = read_arrays(path)
    try:
        return _decoded(json.loads(arrays[_TREE].tobytes()), arrays, device)
    except (KeyError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise DataFormatError(
            f"load_tree: {path} holds no tree of state ({type(error).__name__}: {error}); pass a "
            "file that save_tree wrote"
        ) from error


# A node of the JSON is a number, text, bool or None, or [kind, content].


def _encoded(value: Any, arrays: dict[str, Any], where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return ["float", value.hex()]
    if isinstance(value, Tensor | np.ndarray | np.generic):
        arrays[str(len(arrays))] = value  # pyright: ignore[reportUnknownArgumentType]
        return ["tensor" if isinstance(value, Tensor) else "array", str(len(arrays) - 1)]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return [
            "dict",
            [
                [_encoded(k, arrays, where), _encoded(v, arrays, f"{where}, {k!r}")]
                for k, v in items
            ],
        ]
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        members = cast("list[Any]", value)
        return [kind, [_encoded(v, arrays, f"{where}, {i}") for i, v in enumerate(members)]]
    raise DTypeError(
        f"save_tree: {where} is a {type(value).__name__}; save tensors, arrays, numbers, texts, "
        "None, and dicts, lists and tuples of them"
    )


def _decoded(node: Any, arrays: Mapping[str, Any], device: Any) -> Any:
    if not isinstance(node, list):
        return node
    kind, content = cast("list[Any]", node)
    if kind == "float":
        return float.fromhex(content)
    if kind in ("tensor", "array"):
        return asarray(arrays[content], device=device) if kind == "tensor" else arrays[content]
    if kind == "dict":
        return {_decoded(k, arrays, device): _decoded(v, arrays, device) for k, v in content}
    members = [_decoded(item, arrays, device) for item in content]
    return {"list": list, "tuple": tuple}[kind](members)
