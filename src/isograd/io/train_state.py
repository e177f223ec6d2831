"""Everything that a training needs to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from isograd.core.errors import StateDictError
from isograd.ops.random import default_generator

__all__ = ["TrainState"]

_RANDOM: Final = "random"


class TrainState:
    """The parts of a training, saved and restored together: all or nothing.

    The state of the default random generator is always one of them.

    Parameters
    ----------
    **parts
        What has ``state_dict`` and ``load_state_dict``: model, optimizer, scheduler, loader (whose
        state is the position in the epoch), scaler, generators, averages.

    Raises
    ------
    TypeError
        If a part lacks one of the two methods.

    Examples
    --------
    >>> import isograd as ig
    >>> model = ig.nn.Linear(2, 1)
    >>> state = TrainState(model=model, optimizer=ig.optim.Adam(model.parameters()))
    >>> list(state.state_dict())
    ['model', 'optimizer', 'random']
    """

    def __init__(self, **parts: Any) -> None:
        for name, part in parts.items():
            if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
                raise TypeError(
                    f"TrainState: {name!r} is a {type(part).__name__}, without state_dict and "
                    "load_state_dict; leave it out, or give it both"
                )
        self.parts: dict[str, Any] = {**parts, _RANDOM: default_generator}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every part."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Take over the state of every part, all or nothing.

        Raises
        ------
        StateDictError
            If a part is missing, or its state does not fit. One message lists what is wrong with
            every part, and nothing is loaded.
        """
        problems = [f"missing: {name}" for name in self.parts if name not in state_dict]
        problems += [f"unexpected: {name}" for name in state_dict if name not in self.parts]
        before = self.state_dict()
        loaded: list[str] = []
        try:
            for name, part in self.parts.items():
                if name in state_dict:
                    loaded.append(name)
                    try:
                        part.load_state_dict(state_dict[name])
                    except (ValueError, TypeError, KeyError) as error:
                        problems.append(f"{name}: {error}")
            if problems:
                lines = "\n  ".join(line.replace("\n", "\n  ") for line in problems)
                raise StateDictError(
                    f"load_state_dict: the state does not fit this TrainState, nothing was "
                    f"loaded:\n  {lines}\nBuild all parts as they were saved"
                )
        except BaseException:
            for name in loaded:
                self.parts[name].load_state_dict(before[name])
            raise
