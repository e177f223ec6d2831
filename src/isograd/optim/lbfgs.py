"""L-BFGS: quasi-Newton steps from a few past gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from isograd.core.errors import ConcretizationError
from isograd.ops.convert import is_traced
from isograd.ops.creation import asarray, zeros_like
from isograd.ops.elementwise import abs as absolute
from isograd.ops.linear import vecdot
from isograd.ops.movement import concat
from isograd.optim.optimizer import Group, Optimizer, ParamsLike
from isograd.runtime.modes import enable_grad, no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """The limited-memory BFGS method, for functions that are the same at every call.

    Parameters
    ----------
    params : iterable of Parameter, or of one dict
        What to update; there can be one group only.
    lr : float
        The step's length before the line search, or instead of it.
    max_iter : int
        The most iterations of one call of `step`.
    max_eval : int, optional
        The most evaluations of one call; by default ``max_iter * 5 // 4``.
    tolerance_grad : float
        Stop when no entry of the gradient is larger.
    tolerance_change : float
        Stop when neither the loss nor the parameters change by more.
    history_size : int
        How many past steps are kept.
    line_search_fn : {None, "strong_wolfe"}
        Search along each direction for a step that satisfies the strong Wolfe conditions.

    Raises
    ------
    ValueError
        If there are several groups, or no such line search.

    Notes
    -----
    J. Nocedal, S. J. Wright: Numerical optimization, 2006, algorithms 3.5 and 7.4. How far it goes
    depends on the losses, so `step` cannot be compiled; what it calls can be.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor([3.0, -2.0], dtype=ig.float64))
    >>> optimizer = LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((p - ig.tensor([1.0, 5.0])) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    53.0
    >>> [round(value, 6) for value in p.tolist()]
    [1.0, 5.0]
    """

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults: Group = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                f"{self._name}: line_search_fn={group['line_search_fn']!r}; use None or "
                "'strong_wolfe'"
            )

    def add_param_group(self, group: Group, /) -> None:
        if self.param_groups:
            raise ValueError(f"{self._name}: there can be one parameter group; put all into it")
        super().add_param_group(group)

    def _new_state(self, param: Parameter, group: Group) -> dict[str, Any]:
        return {}

    def _import_state(
        self,
        param: Parameter,
        group: Group,
        stored: Mapping[str, Any],
        where: str,
        problems: list[str],
    ) -> dict[str, Any]:
        known = _Memory._fields
        problems += [f"unexpected: {name} of {where}" for name in stored if name not in known]
        state: dict[str, Any] = {}
        for name, value in stored.items():
            if name in ("d", "prev_flat_grad"):
                state[name] = _taken(value, param)
            elif name in ("old_dirs", "old_stps"):
                state[name] = [_taken(item, param) for item in value]
            elif name in ("ro", "al"):
                state[name] = [None if item is None else float(item) for item in value]
            else:
                state[name] = int(value) if name in ("func_evals", "n_iter") else float(value)
        return state

    # -- the parameters as one vector --------------------------------------------------------------

    def _gradient(self) -> Tensor:
        """Return all gradients as one vector; missing ones are zeros."""
        parts: list[Tensor] = []
        for param in self._all_params():
            grad = param.grad
            if grad is None:
                grad = zeros_like(param.detach())
            elif grad.aval != param.aval:
                raise self._misfit(param, grad)
            parts.append(grad.detach().reshape((-1,)))
        return concat(parts)

    def _move(self, start: list[Tensor], direction: Tensor, t: float) -> None:
        """Put the parameters ``t`` times the direction away from where they were."""
        offset = 0
        for param, value in zip(self._all_params(), start, strict=True):
            part = direction[offset : offset + param.size].reshape(param.shape)
            param.assign_(value + t * part)
            offset += param.size

    def _evaluate(
        self, closure: Callable[[], Any], start: list[Tensor], direction: Tensor, t: float
    ) -> _Point:
        """Return loss and gradient at ``t`` along the direction, and go back."""
        self._move(start, direction, t)
        loss, g = float(closure()), self._gradient()
        for param, value in zip(self._all_params(), start, strict=True):
            param.assign_(value)
        return _Point(t, loss, g, vecdot(g, direction).item())

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do up to ``max_iter`` iterations.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes them again, and returns the loss.

        Returns
        -------
        object
            What ``closure`` returned first.

        Raises
        ------
        TypeError
            If there is no closure.
        ConcretizationError
            In a compiled function.
        """
        if closure is None:
            raise TypeError(f"{self._name}.step: it evaluates the loss repeatedly; pass a closure")
        params = self._all_params()
        if any(is_traced(p) for p in params):
            raise ConcretizationError(
                f"{self._name}.step: the number of iterations depends on the losses, so it cannot "
                "be compiled; compile what the closure computes, and call step outside"
            )
        evaluate = enable_grad()(closure)
        with no_grad():
            return self._iterate(evaluate, params)

    def _iterate(self, closure: Callable[[], Any], params: list[Parameter]) -> Any:
        group = self.param_groups[0]
        lr, most_evals = float(group["lr"]), group["max_eval"]
        memory = _Memory(**{**_fresh(group["history_size"]), **self.state[params[0]]})
        first = closure()
        loss, g = float(first), self._gradient()
        evals, done = 1, _largest(g) <= group["tolerance_grad"]
        memory = memory._replace(func_evals=memory.func_evals + 1)
        iterations = 0
        while not done and iterations < group["max_iter"]:
            iterations += 1
            memory = memory.with_direction(g, group["history_size"])._replace(
                prev_flat_grad=g, prev_loss=loss
            )
            d = memory.d
            assert d is not None
            begin = min(1.0, 1.0 / absolute(g).sum().item()) if memory.n_iter == 1 else 1.0
            t, slope = begin * lr, vecdot(g, d).item()
            memory = memory._replace(t=t)
            if slope > -group["tolerance_change"]:
                break
            start, used = [p.detach() for p in params], 0
            if group["line_search_fn"] is not None:
                found, used = _search(
                    partial(self._evaluate, closure, start, d),
                    _Point(0.0, loss, g, slope),
                    t,
                    _largest(d),
                    group["tolerance_change"],
                    most_evals - evals,
                )
                t, loss, g, _ = found
                self._move(start, d, t)
            else:
                self._move(start, d, t)
                if iterations != group["max_iter"]:
                    loss, g, used = float(closure()), self._gradient(), 1
            evals += used
            memory = memory._replace(t=t, func_evals=memory.func_evals + used)
            done = (
                evals >= most_evals
                or _largest(g) <= group["tolerance_grad"]
                or _largest(d) * abs(t) <= group["tolerance_change"]
                or abs(loss - (memory.prev_loss or 0.0)) < group["tolerance_change"]
            )
        state = memory._asdict()
        if not memory.n_iter:
            state = {"func_evals": memory.func_evals, "n_iter": 0}
        elif memory.n_iter == 1:
            del state["al"]
        self.state[params[0]] = state
        return first


class _Point(NamedTuple):
    """A place along a direction: how far, the loss and gradient there, the slope."""

    t: float
    loss: float
    gradient: Tensor
    slope: float


class _Memory(NamedTuple):
    """What is kept between iterations, under torch's names."""

    func_evals: int
    n_iter: int
    d: Tensor | None
    t: float
    old_dirs: list[Tensor]
    old_stps: list[Tensor]
    ro: list[float]
    H_diag: float
    prev_flat_grad: Tensor | None
    prev_loss: float | None
    al: list[float | None]

    def with_direction(self, g: Tensor, size: int) -> _Memory:
        """Return the memory with the last step taken up, and the next direction."""
        if self.d is None or self.prev_flat_grad is None:
            return self._replace(n_iter=self.n_iter + 1, d=-g)
        changes, steps, ro, scale = list(self.old_dirs), list(self.old_stps), self.ro, self.H_diag
        change, moved = g - self.prev_flat_grad, self.d * self.t
        curvature = vecdot(change, moved).item()
        if curvature > 1e-10:
            keep = max(size - 1, 0)
            drop = max(len(steps) - keep, 0)
            changes, steps = [*changes[drop:], change], [*steps[drop:], moved]
            ro = [*ro[drop:], 1.0 / curvature]
            scale = curvature / vecdot(change, change).item()
        q, weights = -g, list(self.al)
        for i in reversed(range(len(steps))):
            weight = vecdot(steps[i], q).item() * ro[i]
            weights[i] = weight
            q = q - weight * changes[i]
        d = q * scale
        for i, step in enumerate(steps):
            d = d + ((weights[i] or 0.0) - vecdot(changes[i], d).item() * ro[i]) * step
        return self._replace(
            n_iter=self.n_iter + 1,
            d=d,
            old_dirs=changes,
            old_stps=steps,
            ro=ro,
            H_diag=scale,
            al=weights,
        )


def _fresh(size: int) -> dict[str, Any]:
    return {
        "func_evals": 0,
        "n_iter": 0,
        "d": None,
        "t": 0.0,
        "old_dirs": [],
        "old_stps": [],
        "ro": [],
        "H_diag": 1.0,
        "prev_flat_grad": None,
        "prev_loss": None,
        "al": [None] * size,
    }


def _taken(value: Any, param: Parameter) -> Tensor:
    return asarray(value).detach().astype(param.dtype).to(param.device)


def _largest(x: Tensor) -> float:
    return absolute(x).max().item() if x.size else 0.0


def _minimum_of_cubic(a: _Point, b: _Point, low: float, high: float) -> float:
    """Return where the cubic through two points with their slopes is least, within bounds."""
    if a.t > b.t:
        a, b = b, a
    mid = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = mid * mid - a.slope * b.slope
    if square < 0:
        return (low + high) / 2
    root = square**0.5
    best = b.t - (b.t - a.t) * ((b.slope + root - mid) / (b.slope - a.slope + 2 * root))
    return min(max(best, low), high)


_DECREASE, _CURVATURE = 1e-4, 0.9


def _search(
    at: Callable[[float], _Point],
    start: _Point,
    t: float,
    size: float,
    tolerance: float,
    most: int,
) -> tuple[_Point, int]:
    """Return a point that satisfies the strong Wolfe conditions, and the number of evaluations."""

    def too_high(point: _Point) -> bool:
        return point.loss > start.loss + _DECREASE * point.t * start.slope

    def flat(point: _Point) -> bool:
        return abs(point.slope) <= -_CURVATURE * start.slope

    previous, point, used, iterations = start, at(t), 1, 0
    while iterations < most:
        if too_high(point) or (iterations > 1 and point.loss >= previous.loss):
            break
        if flat(point):
            return point, used
        if point.slope >= 0:
            break
        least, largest = point.t + 0.01 * (point.t - previous.t), 10 * point.t
        previous, point = point, at(_minimum_of_cubic(previous, point, least, largest))
        used, iterations = used + 1, iterations + 1
    else:
        previous = start
    better, worse = (previous, point) if previous.loss <= point.loss else (point, previous)
    stuck = False
    while iterations < most:
        low, high = sorted((better.t, worse.t))
        if (high - low) * size < tolerance:
            break
        t = _minimum_of_cubic(better, worse, low, high)
        margin = 0.1 * (high - low)
        near = min(high - t, t - low) < margin
        if near and (stuck or t >= high or t <= low):
            t = high - margin if abs(t - high) < abs(t - low) else low + margin
            near = False
        stuck = near
        point = at(t)
        used, iterations = used + 1, iterations + 1
        if too_high(point) or point.loss >= better.loss:
            better, worse = (better, point) if better.loss <= point.loss else (point, better)
        else:
            if flat(point):
                return point, used
            if point.slope * (worse.t - better.t) >= 0:
                worse = better
            better = point
    return better, used
