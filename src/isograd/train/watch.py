"""Watching for losses that are not finite, and finding out where they came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isograd.core.errors import NonFiniteError
from isograd.core.pytree import tree_map
from isograd.debug import NanReport, nan_origin
from isograd.io.train_state import TrainState
from isograd.ops.creation import tensor
from isograd.runtime.tensor import Tensor

__all__ = ["NanWatch"]


class NanWatch:
    """Remembers the last two steps, so that a failing one can be taken again.

    Parameters
    ----------
    step : callable
        The step, not compiled: takes batches, updates the model.
    parts : dict
        What the step changes.
    copies : bool
        Whether states must be copied, since a compiled step may write over the old ones.
    """

    def __init__(self, step: Callable[..., Any], parts: dict[str, Any], *, copies: bool) -> None:
        self._step = step
        self._state = TrainState(**parts)
        self._copies = copies
        self._last: list[tuple[Any, Sequence[Any]]] = []

    def before(self, batches: Sequence[Any]) -> None:
        """Note the state before a step."""
        state = self._state.state_dict()
        self._last = [
            *self._last[-1:],
            (tree_map(_copy, state) if self._copies else state, batches),
        ]

    def fail(self, value: float, number: int) -> None:
        """Take the failing step again, operation by operation, and raise with what it shows.

        The training is left in the state before the step that went wrong.
        """
        found: NanReport | None = None
        for state, batches in reversed(self._last):
            self._state.load_state_dict(state)
            found = nan_origin(self._step, *batches)
            self._state.load_state_dict(state)
            self._state.parts["optimizer"].zero_grad()
            # Nothing makes NaN where parameters are NaN already: then the step before made them so.
            if found:
                break
        raise NonFiniteError(
            f"fit: the loss of step {number} is {value}; model and optimizer are as before the "
            f"step that went wrong\n{found}\nChange what it names, clip gradients, or lower lr"
        )


def _copy(leaf: Any) -> Any:
    return tensor(leaf, device=leaf.device) if isinstance(leaf, Tensor) else leaf
