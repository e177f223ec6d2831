"""A module's weights in a safetensors file."""

from __future__ import annotations

from collections.abc import Callable

from isograd.core.dtypes import DType, is_floating
from isograd.core.errors import StateDictError
from isograd.io.atomic import PathLike
from isograd.io.safetensors import open_safetensors, save_safetensors
from isograd.nn.module import Module
from isograd.nn.state import IncompatibleKeys, slots_of
from isograd.runtime.tensor import Tensor

__all__ = ["load_model", "save_model"]


def save_model(
    model: Module,
    path: PathLike,
    /,
    *,
    metadata: dict[str, str] | None = None,
    max_shard_bytes: int | None = None,
) -> None:
    """Write a module's state dict to a safetensors file, or with ``max_shard_bytes`` to a folder.

    A tensor under several names is saved under each.
    """
    save_safetensors(model.state_dict(), path, metadata=metadata, max_shard_bytes=max_shard_bytes)


def load_model(
    model: Module,
    path: PathLike,
    /,
    *,
    strict: bool = True,
    rename: Callable[[str], str | None] | None = None,
    convert: bool = False,
) -> IncompatibleKeys:
    """Read a module's parameters and buffers from safetensors, all or nothing.

    Parameters
    ----------
    model : Module
        What to load into.
    path : str or path
        As in `open_safetensors`.
    strict : bool
        Whether names that only one side has are an error. Wrong shapes and dtypes always are.
    rename : callable, optional
        From a name in the file to one in the module; None leaves the tensor out.
    convert : bool
        Convert floating-point tensors to the module's dtypes, instead of calling a difference an
        error.

    Returns
    -------
    IncompatibleKeys
        Names that only one side has; both lists are empty where ``strict``.

    Raises
    ------
    StateDictError
        If something does not fit. One message lists all of it, and nothing is loaded.
    DataFormatError
        If a file is damaged.

    Examples
    --------
    >>> import isograd as ig, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "linear.safetensors"
    >>> save_model(ig.nn.Linear(3, 2), path)
    >>> load_model(ig.nn.Linear(3, 2), path)
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    file = open_safetensors(path)
    names: dict[str, str] = {}
    for name in file:
        new = name if rename is None else rename(name)
        if new in names:
            raise StateDictError(
                f"load_model: {names[new]!r} and {name!r} are both renamed to {new!r}; give each "
                "a name of its own"
            )
        if new is not None:
            names[new] = name
    slots = slots_of(model)
    state = {
        new: file[name].astype(_wanted(file.entries[name].dtype, slots.get(new), convert))
        for new, name in names.items()
    }
    return model.load_state_dict(state, strict)


def _wanted(dtype: DType, slot: tuple[Module, Tensor] | None, convert: bool) -> DType:
    if slot is None or not convert or not (is_floating(dtype) and is_floating(slot[1].dtype)):
        return dtype
    return slot[1].dtype
