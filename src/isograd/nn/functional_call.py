"""Calling a module as a function of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isograd.core.errors import ShapeError, StateDictError
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters: Mapping[str, Tensor],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    /,
) -> Any:
    """Call a module with other tensors in place of some of its parameters and buffers.

    What was replaced is as before afterwards, whatever happens; a buffer that was not, keeps what
    ``forward`` assigned to it. Do not call the module from another thread meanwhile.

    Parameters
    ----------
    module : Module
        What to call.
    parameters : mapping of str to Tensor
        Replacements by dotted name; those not named stay. A shared parameter is replaced
        everywhere.
    args : tuple, or one argument
        Positional arguments.
    kwargs : mapping, optional
        Keyword arguments.

    Returns
    -------
    object
        What the module returned.

    Raises
    ------
    StateDictError
        If the module has nothing of some name.
    ShapeError
        If a replacement has another shape.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.Linear(2, 1, bias=False)
    >>> def loss(parameters):
    ...     return ig.nn.functional_call(layer, parameters, ig.ones((1, 2))).sum()
    >>> ig.grad(loss)({"weight": ig.zeros((1, 2))})["weight"].tolist()
    [[1.0, 1.0]]
    """
    places: dict[str, tuple[Module, str, Tensor]] = {}
    holders: dict[int, list[tuple[Module, str]]] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        own: list[tuple[str, Tensor]] = [
            *part.named_parameters(recurse=False),
            *part.named_buffers(recurse=False),
        ]
        for name, value in own:
            places[f"{path}.{name}" if path else name] = (part, name, value)
            holders.setdefault(id(value), []).append((part, name))
    swaps: list[tuple[Module, str, Tensor, Tensor]] = []
    for name, value in parameters.items():
        if name not in places:
            raise StateDictError(
                f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}; "
                "use the names of its state_dict()"
            )
        current = places[name][2]
        if value.shape != current.shape:
            raise ShapeError(
                f"functional_call: {name!r} has shape {value.shape}, in the module "
                f"{current.shape}; pass a tensor of the same shape"
            )
        swaps += [(part, attribute, current, value) for part, attribute in holders[id(current)]]
    # Through the attributes' dict: a replacement need not be a Parameter.
    try:
        for part, attribute, _, value in swaps:
            vars(part)[attribute] = value
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for part, attribute, current, _ in swaps:
            vars(part)[attribute] = current
