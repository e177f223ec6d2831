"""Adafactor: the second moment of a matrix kept as a row and a column."""

from __future__ import annotations

from typing import Any, Unpack

from isograd.core.dtypes import finfo, int64
from isograd.ops.creation import zeros
from isograd.ops.elementwise import maximum, minimum, rsqrt, sqrt, square
from isograd.ops.reductions import mean
from isograd.optim.optimizer import Group, Hints, ParamsLike, check_not_negative
from isograd.optim.rule import Numbers, RuleOptimizer, Slots, towards
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["Adafactor"]


class Adafactor(RuleOptimizer):
    """Steps scaled by a factored second moment, with memory of rows plus columns.

    The running mean ``V`` of the squared gradient, whose share of the new value is
    ``t**beta2_decay`` at step ``t``, is kept over rows and over columns of the last two axes. The
    step ``u = g / sqrt(V)`` is divided by ``max(1, rms(u) / d)`` and multiplied by ``max(eps[1],
    rms(p)) * min(lr, 1 / sqrt(t))``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        The largest relative step.
    beta2_decay : float
        As above, at most 0.
    eps : (float or None, float)
        The least value of ``sqrt(V)``, by default the dtype's machine epsilon, and that of the
        parameter's scale.
    d : float
        Clipping threshold, at least 1.
    weight_decay : float
        ``p`` shrinks by the factor ``1 - lr * weight_decay`` first.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is out of its range.

    Notes
    -----
    N. Shazeer, M. Stern: Adafactor: Adaptive learning rates with sublinear memory cost, 2018.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.ones((2, 3)))
    >>> optimizer = Adafactor([p], lr=0.25)
    >>> (p * 0.1).sum().backward()
    >>> optimizer.step()
    >>> p.tolist()[0]
    [0.75, 0.75, 0.75]
    """

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(
                lr=lr,
                beta2_decay=beta2_decay,
                eps=eps,
                d=d,
                weight_decay=weight_decay,
                maximize=maximize,
            ),
            **hints,
        )

    def _check_options(self, group: Group) -> None:
        least, scale = group["eps"]
        check_not_negative(
            self._name,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            **{"eps[0]": 0.0 if least is None else least, "eps[1]": scale},
        )
        if not group["beta2_decay"] <= 0:
            raise ValueError(f"{self._name}: beta2_decay={group['beta2_decay']}; use a number <= 0")
        if not group["d"] >= 1:
            raise ValueError(f"{self._name}: d={group['d']}; use a number >= 1")

    def _new_state(self, param: Parameter, group: Group) -> dict[str, Any]:
        shape = param.shape
        made: dict[str, tuple[int, ...]] = {"variance": shape}
        if len(shape) > 1:
            made = {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}
        return {
            "step": zeros((), dtype=int64, device=param.device),
            **{k: zeros(s, dtype=param.dtype, device=param.device) for k, s in made.items()},
        }

    def _numbers(self, t: Tensor, lr: Tensor, state: Slots, group: Group) -> Numbers:
        return {"share": t ** group["beta2_decay"], "rate": minimum(lr, 1 / sqrt(t))}

    def _decayed(self, p: Tensor, g: Tensor, lr: Tensor, group: Group) -> tuple[Tensor, Tensor]:
        return p, g  # the rule needs the parameter's scale from before

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        least, scale = group["eps"]
        least = float(finfo(p.dtype).eps) if least is None else least
        squares = square(g)
        if p.ndim > 1:
            rows = towards(state["row_var"], mean(squares, axis=-1, keepdims=True), n["share"])
            columns = towards(state["col_var"], mean(squares, axis=-2, keepdims=True), n["share"])
            slots = {"row_var": rows, "col_var": columns}
            variance = rows * columns / maximum(mean(rows, axis=-2, keepdims=True), least)
        else:
            variance = towards(state["variance"], squares, n["share"])
            slots = {"variance": variance}
        step = rsqrt(maximum(variance, least * least)) * g
        size = maximum(_rms(p), scale) * n["rate"]
        if group["weight_decay"]:
            p = p * (1 - n["lr"] * group["weight_decay"])
        return p - size / maximum(_rms(step) / group["d"], 1.0) * step, slots


def _rms(x: Tensor) -> Tensor:
    return sqrt(mean(square(x)))
