"""GradScaler: losses scaled up so that small gradients do not vanish in float16."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from isograd.core.dtypes import float32, int64, is_half
from isograd.core.errors import DTypeError, StateDictError
from isograd.core.pytree import tree_map
from isograd.nn.module import Module
from isograd.ops.convert import cast, is_traced
from isograd.ops.creation import tensor
from isograd.ops.elementwise import isfinite, logical_not, logical_or, where
from isograd.ops.reductions import all as all_of
from isograd.runtime.modes import no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["GradScaler"]


class _Seen(NamedTuple):
    """What happened to an optimizer since the last update."""

    found_inf: Tensor
    stepped: bool


class GradScaler(Module):
    """Scale losses, unscale gradients, and skip steps whose gradients are not finite.

    The scale shrinks by ``backoff_factor`` after a skipped step, and grows by ``growth_factor``
    after ``growth_interval`` steps in a row that were not. In compiled functions declare it in
    ``state``, with the model and the optimizer.

    Parameters
    ----------
    device : str
        Where the scale lives.
    init_scale : float
        The first scale.
    growth_factor, backoff_factor : float
        As above; above 1, and below 1.
    growth_interval : int
        As above.
    enabled : bool
        With False, do nothing but step.

    Raises
    ------
    ValueError
        If a factor is on the wrong side of 1.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.ones(1))
    >>> sgd = ig.optim.SGD([p], lr=1.0)
    >>> scaler = GradScaler(init_scale=8.0)
    >>> p.grad = ig.tensor([float("inf")])
    >>> scaler.step(sgd)
    >>> scaler.update()
    >>> p.tolist(), scaler.get_scale()
    ([1.0], 4.0)
    """

    scale_value: Tensor
    growth_tracker: Tensor

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__()
        if not growth_factor > 1:
            raise ValueError(f"GradScaler: growth_factor={growth_factor}; use a number above 1")
        if not backoff_factor < 1:
            raise ValueError(f"GradScaler: backoff_factor={backoff_factor}; use one below 1")
        self.growth_factor = growth_factor
        self.backoff_factor = backoff_factor
        self.growth_interval = growth_interval
        self.enabled = enabled
        self.register_buffer("scale_value", tensor(init_scale, dtype=float32, device=device))
        self.register_buffer("growth_tracker", tensor(0, dtype=int64, device=device))
        self._seen: dict[int, _Seen] = {}

    def scale(self, outputs: Any, /) -> Any:
        """Return losses, a tensor or a tree of them, times the scale.

        Halves are scaled in float32, since the scale may not fit into float16.
        """
        if not self.enabled:
            return outputs

        def scaled(loss: Tensor) -> Tensor:
            wide = cast(loss, float32) if is_half(loss.dtype) else loss
            return wide * cast(self.scale_value.to(loss.device), wide.dtype)

        return tree_map(scaled, outputs)

    def unscale_(self, optimizer: Any, /) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, as for clipping them.

        Raises
        ------
        RuntimeError
            If that was done already since the last `update`.
        DTypeError
            If a gradient is float16, which the unscaled gradient may not fit into.
        """
        if not self.enabled:
            return
        if id(optimizer) in self._seen:
            raise RuntimeError(
                "GradScaler.unscale_: gradients of this optimizer were unscaled already; call it "
                "once between two updates"
            )
        params = [p for group in optimizer.param_groups for p in group["params"]]
        grads: list[tuple[Parameter, Tensor]] = [
            (param, param.grad) for param in params if param.grad is not None
        ]
        found = tensor(False, device=self.scale_value.device)
        with no_grad():
            unscaled: list[tuple[Parameter, Tensor]] = []
            for param, grad in grads:
                if is_half(grad.dtype):
                    raise DTypeError(
                        f"GradScaler.unscale_: a gradient is {grad.dtype}, in which small ones "
                        "vanish; keep parameters in float32, and compute in 16 bits with autocast"
                    )
                # The scale is a power of 2 as a rule, so that the quotient is exact.
                grad = grad / cast(self.scale_value.to(grad.device), grad.dtype)
                bad = logical_not(all_of(isfinite(grad))).to(found.device)
                found = logical_or(found, bad)
                unscaled.append((param, grad))
            for param, grad in unscaled:
                param.grad = grad
        self._seen[id(optimizer)] = _Seen(found, False)

    def step(self, optimizer: Any, /) -> Any:
        """Unscale gradients if that was not done, and step unless one is not finite.

        Returns
        -------
        object
            What the optimizer's ``step`` returned; None where it was skipped.

        Raises
        ------
        RuntimeError
            If the optimizer was stepped already since the last `update`.
        """
        if not self.enabled:
            return optimizer.step()
        if id(optimizer) not in self._seen:
            self.unscale_(optimizer)
        found, stepped = self._seen[id(optimizer)]
        if stepped:
            raise RuntimeError(
                "GradScaler.step: this optimizer was stepped already; call update first"
            )
        self._seen[id(optimizer)] = _Seen(found, True)
        if is_traced(found):
            return self._step_where(logical_not(found), optimizer)
        return None if found.item() else optimizer.step()

    def _step_where(self, finite: Tensor, optimizer: Any) -> Any:
        """Step, and take back all of it where gradients are not finite."""
        params: list[Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
        values = [param.detach() for param in params]
        states = [dict(optimizer.state[param]) for param in params]
        result = optimizer.step()
        for param, value, state in zip(params, values, states, strict=True):
            param.assign_(where(finite, param.detach(), value))
            slots = optimizer.state[param]
            for name, before in state.items():
                if isinstance(before, Tensor):
                    slots[name] = where(finite, slots[name], before)
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to what happened since the last update, or set it.

        Raises
        ------
        RuntimeError
            If nothing was unscaled since.
        """
        if not self.enabled:
            return
        if new_scale is not None:
            fresh = new_scale if isinstance(new_scale, Tensor) else tensor(float(new_scale))
            self.scale_value = cast(fresh.detach().to(self.scale_value.device), float32)
        elif not self._seen:
            raise RuntimeError(
                "GradScaler.update: no optimizer was stepped since the last update; call step first"
            )
        else:
            found = tensor(False, device=self.scale_value.device)
            for seen in self._seen.values():
                found = logical_or(found, seen.found_inf)
            count = self.growth_tracker + 1
            grows = count == self.growth_interval
            grown = self.scale_value * self.growth_factor
            grown = where(isfinite(grown), grown, self.scale_value)
            kept = where(grows, grown, self.scale_value)
            self.scale_value = where(found, self.scale_value * self.backoff_factor, kept)
            self.growth_tracker = where(logical_or(found, grows), 0, count)
        self._seen = {}

    def get_scale(self) -> float:
        """Return the scale, 1 if not enabled."""
        return self.scale_value.item() if self.enabled else 1.0

    def is_enabled(self) -> bool:
        """Tell whether it does anything."""
        return self.enabled

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return scale, factors and counter in torch's layout; nothing if not enabled."""
        if not self.enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "_growth_tracker": self.growth_tracker.item(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], /, *_: Any, **__: Any) -> Any:
        """Take over what `state_dict` returned, here or in torch, all or nothing.

        Raises
        ------
        StateDictError
            If entries are missing or unexpected, or the scale is no finite number.
        """
        if not self.enabled:
            return
        own = self.state_dict()
        problems = [f"missing: {key}" for key in own if key not in state_dict]
        problems += [f"unexpected: {key}" for key in state_dict if key not in own]
        if not problems and not math.isfinite(float(state_dict["scale"])):
            problems = [f"scale: {state_dict['scale']} is not finite"]
        if problems:
            lines = "\n  ".join(problems)
            raise StateDictError(
                "load_state_dict: the state does not fit GradScaler, nothing was loaded:\n  "
                f"{lines}\nPass what a GradScaler's state_dict returned"
            )
        device = self.scale_value.device
        self.growth_factor = float(state_dict["growth_factor"])
        self.backoff_factor = float(state_dict["backoff_factor"])
        self.growth_interval = int(state_dict["growth_interval"])
        self.scale_value = tensor(float(state_dict["scale"]), dtype=float32, device=device)
        tracker = int(state_dict["_growth_tracker"])
        self.growth_tracker = tensor(tracker, dtype=int64, device=device)
