"""Calling a module as a function of its parameters, and several modules of one kind at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isograd.core.errors import ShapeError, StateDictError
from isograd.nn.module import Module
from isograd.ops.movement import stack
from isograd.runtime.tensor import Tensor

__all__ = ["functional_call", "stack_module_state"]


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


def stack_module_state(models: Sequence[Module], /) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the parameters and buffers of several modules of one kind, each name's stacked.

    With `isograd.vmap` and `functional_call` the modules are then called together. What is
    returned has no history, and may be trained as it is.

    Parameters
    ----------
    models : sequence of Module
        At least one; all with the same names and shapes, and in the same mode.

    Returns
    -------
    parameters, buffers : dict
        By dotted name, with a new first axis for the modules.

    Raises
    ------
    StateDictError
        If there are no modules, or they differ in their class, mode, names or shapes.

    Examples
    --------
    >>> import isograd as ig
    >>> models = [ig.nn.Linear(3, 2) for _ in range(5)]
    >>> parameters, _ = ig.nn.stack_module_state(models)
    >>> parameters["weight"].shape
    (5, 2, 3)
    >>> def call(parameters, x):
    ...     return ig.nn.functional_call(models[0], parameters, x)
    >>> ig.vmap(call, in_axes=(0, None))(parameters, ig.ones(3)).shape
    (5, 2)
    """
    if not models:
        raise StateDictError("stack_module_state: there are no modules; pass at least one")
    first = models[0]
    for number, model in enumerate(models):
        if type(model) is not type(first) or model.training != first.training:
            raise StateDictError(
                f"stack_module_state: module {number} is a {_kind(model)}, the first a "
                f"{_kind(first)}; pass modules of one kind and mode"
            )
    return (
        _stacked([dict(model.named_parameters()) for model in models]),
        _stacked([dict(model.named_buffers()) for model in models]),
    )


def _kind(model: Module) -> str:
    return f"{type(model).__name__} in {'training' if model.training else 'evaluation'}"


def _stacked(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    wanted = {name: value.aval for name, value in states[0].items()}
    for number, state in enumerate(states):
        found = {name: value.aval for name, value in state.items()}
        if found != wanted:
            name = next(n for n in [*wanted, *found] if found.get(n) != wanted.get(n))
            raise StateDictError(
                f"stack_module_state: {name!r} is {found.get(name, 'missing')} in module {number}, "
                f"and {wanted.get(name, 'missing')} in the first; pass modules of one kind"
            )
    return {name: stack([state[name].detach() for state in states]) for name in wanted}
