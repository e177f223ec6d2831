"""Update rules of one parameter, in plain arithmetic on arrays: what all contenders must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Array = Any
#: ``rule(p, g, slots, t, rate)`` returns the new parameter and slots at step ``t``, from 1 on.
Rule = Callable[[Array, Array, tuple[Array, ...], Any, float], tuple[Array, tuple[Array, ...]]]

MOMENTUM = 0.9
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def _plain(p: Array, g: Array, slots: tuple[Array, ...], t: Any, rate: float) -> Any:
    return p - rate * g, ()


def _sgd(p: Array, g: Array, slots: tuple[Array, ...], t: Any, rate: float) -> Any:
    velocity = MOMENTUM * slots[0] + g
    return p - rate * velocity, (velocity,)


def _adam(p: Array, g: Array, slots: tuple[Array, ...], t: Any, rate: float) -> Any:
    m = BETA1 * slots[0] + (1.0 - BETA1) * g
    v = BETA2 * slots[1] + (1.0 - BETA2) * g * g
    root = (v / (1.0 - BETA2**t)) ** 0.5
    return p - rate / (1.0 - BETA1**t) * m / (root + EPS), (m, v)


#: Rules with the number of their slots, which begin as zeros.
RULES: Mapping[str, tuple[Rule, int]] = {"plain": (_plain, 0), "sgd": (_sgd, 1), "adam": (_adam, 2)}


def updated(
    optimizer: str, p: dict[str, Array], g: dict[str, Array], slots: Any, t: Any, rate: float
) -> tuple[dict[str, Array], dict[str, tuple[Array, ...]]]:
    """Apply a rule to every parameter."""
    rule, _ = RULES[optimizer]
    made = {name: rule(p[name], g[name], slots[name], t, rate) for name in p}
    return {name: new for name, (new, _) in made.items()}, {
        name: kept for name, (_, kept) in made.items()
    }


def first_slots(optimizer: str, p: dict[str, Array], zeros_like: Callable[[Array], Array]) -> Any:
    """Return the slots before the first step."""
    _, count = RULES[optimizer]
    return {name: tuple(zeros_like(value) for _ in range(count)) for name, value in p.items()}
