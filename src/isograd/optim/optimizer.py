"""Optimizer: parameter groups, state, and updates that happen entirely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypedDict, Unpack, cast

from isograd.core.config import modes
from isograd.core.dtypes import is_complex
from isograd.core.errors import (
    DeviceMismatchError,
    DTypeError,
    IsogradError,
    ShapeError,
    StateDictError,
)
from isograd.core.watched import WatchedDict, changes
from isograd.ops.creation import asarray, zeros_like
from isograd.runtime.modes import enable_grad, no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = [
    "Group",
    "Hints",
    "Optimizer",
    "ParamsLike",
    "Updates",
    "check_betas",
    "check_not_negative",
    "is_on",
]

Group = dict[str, Any]
ParamsLike = Iterable[Parameter] | Iterable[tuple[str, Parameter]] | Iterable[Group]

#: New values of parameters, and new state for each.
Updates = list[tuple[Parameter, Tensor, dict[str, Any]]]


class Hints(TypedDict, total=False):
    """Arguments by which torch's users choose among its implementations.

    They are accepted, and have no effect: here there is one implementation, which updates many
    parameters in one call, and takes part in compiled functions.
    """

    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool


def check_not_negative(function: str, **values: Any) -> None:
    """Raise unless each argument is a number >= 0."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{function}: {name}={value} is not a number >= 0; use one that is")


def is_on(option: Any) -> bool:
    """Tell whether an option has an effect: a number that is not 0, or one that varies.

    In a compiled step a momentum that a scheduler cycles is a tensor.
    """
    return isinstance(option, Tensor) or bool(option)


def check_betas(function: str, betas: Any) -> None:
    """Raise unless ``betas`` are two numbers in [0, 1)."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"{function}: betas={betas}; use two numbers in [0, 1)")


class Optimizer:
    """Base class of optimizers: subclasses define ``_new_state`` and ``_update``.

    Attributes
    ----------
    param_groups : list of dict
        Each has ``params`` and the options for them; change options, as ``lr``, in place.
    state : dict
        What is remembered for each parameter. It exists from the start, not from the first step on.
    """

    #: A tensor in the state of a parameter, of its shape and dtype.
    _slot: str = ""

    #: 0-d tensors in the state, which parameters with one history share: they are updated together.
    _counters: tuple[str, ...] = ()

    #: Options that must not be negative, where there are such.
    _not_negative: tuple[str, ...] = ("lr", "eps", "weight_decay")

    def __init__(self, params: ParamsLike, defaults: Group, **hints: Unpack[Hints]) -> None:
        for name in hints.keys() - Hints.__annotations__.keys():
            raise TypeError(f"{self._name}: there is no argument {name!r}; help() lists them")
        if hints.get("differentiable"):
            raise ValueError(
                f"{self._name}: steps are not recorded, so differentiable=True is not possible; "
                "write the update in functions, and differentiate those"
            )
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Parameter, dict[str, Any]] = {}
        if isinstance(params, Tensor):
            raise TypeError(f"{self._name}: params is one tensor; pass a list, [p]")
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError(f"{self._name}: there are no parameters; pass model.parameters()")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    # -- what subclasses define --------------------------------------------------------------------

    def _check_options(self, group: Group) -> None:
        """Raise ValueError for options that make no sense."""
        check_not_negative(self._name, **{k: group[k] for k in self._not_negative if k in group})
        if "betas" in group:
            check_betas(self._name, group["betas"])

    def _new_state(self, param: Parameter, group: Group) -> dict[str, Any]:
        """Return the state of a parameter before its first step."""
        raise NotImplementedError(f"{self._name} has no _new_state; define it in the subclass")

    def _update(self, params: list[Parameter], grads: list[Tensor], group: Group) -> Updates:
        """Return new values and state for parameters of one bucket; change nothing."""
        raise NotImplementedError(f"{self._name} has no _update; define it in the subclass")

    # -- what users call ---------------------------------------------------------------------------

    def add_param_group(self, group: Group, /) -> None:
        """Add parameters with options of their own; missing options get the defaults.

        Parameters
        ----------
        group : dict
            ``params``, a parameter or an iterable of parameters or of pairs of a name and a
            parameter, and options. Names are kept as ``param_names``.

        Raises
        ------
        TypeError, DTypeError
            If something is not a Parameter, or is complex.
        ValueError
            If a parameter is there already, or an option makes no sense.
        """
        given = group.get("params", ())
        params: list[Any] = [given] if isinstance(given, Tensor) else list(given)
        names: list[Any] = [item[0] for item in params if isinstance(item, tuple)]
        if names:
            if len(names) != len(params):
                raise ValueError(
                    f"{self._name}: {len(names)} of {len(params)} parameters have a name; name all "
                    "or none"
                )
            params = [param for _, param in params]
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for i, param in enumerate(params):
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"{self._name}: parameter {i} is a {type(param).__name__}; only an "
                    "nn.Parameter can be updated, wrap the tensor in one"
                )
            if is_complex(param.dtype):
                raise DTypeError(
                    f"{self._name}: parameter {i} is {param.aval}, but optimizers update real "
                    "numbers; keep its parts in real parameters, and join them with "
                    "isograd.complex where they are used"
                )
            if id(param) in known:
                raise ValueError(
                    f"{self._name}: parameter {i} of shape {param.shape} is there twice; pass "
                    "each once"
                )
            known.add(id(param))
        options = {k: v for k, v in group.items() if k != "params"}
        if names:
            options["param_names"] = names
        made: Group = WatchedDict({"params": params, **self.defaults, **options})
        self._check_options(made)
        changes.structure += 1
        self.param_groups.append(made)
        for param in params:
            self.state[param] = WatchedDict(self._new_state(param, made))
        self._share_counters()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with ``set_to_none=False`` make them zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    param.grad = None if set_to_none else zeros_like(param.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        All new values are computed before the first parameter is rebound, so an error leaves
        everything as it was.

        Parameters
        ----------
        closure : callable, optional
            Computes the gradients again and returns the loss; called first, with recording on.

        Returns
        -------
        object
            What ``closure`` returned, or None.

        Raises
        ------
        ShapeError, DTypeError, DeviceMismatchError
            If a gradient or the state does not fit its parameter.
        """
        if modes.trace is not None:
            modes.trace.check_declared(self.param_groups, type(self).__name__)
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            updates = [
                update
                for group in self.param_groups
                for params, grads in self._buckets(group)
                for update in self._update(params, grads, group)
            ]
        for param, value, state in updates:
            param.assign_(value)
            self.state[param].update(state)
        return loss

    def complete_state(self) -> bool:
        """Give parameters that have no state theirs, and tell whether there were any.

        Such is SGD's when a momentum is switched on: a step then begins with zeros, and one that
        is compiled must find them.
        """
        found = False
        for group in self.param_groups:
            for param in group["params"]:
                if not self.state[param]:
                    self.state[param].update(self._new_state(param, group))
                    found |= bool(self.state[param])
        return found

    def _buckets(self, group: Group) -> Iterator[tuple[list[Parameter], list[Tensor]]]:
        """Yield parameters that have gradients, and these, by dtype, device and `_key`."""
        buckets: dict[Any, tuple[list[Parameter], list[Tensor]]] = {}
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            if grad.aval != param.aval or grad.device is not param.device:
                raise self._misfit(param, grad)
            slot = self._witness(param)
            if slot is not None and (slot.dtype != param.dtype or slot.device is not param.device):
                raise self._stale(param, slot)
            params, grads = buckets.setdefault(
                (param.dtype, id(param.device), self._key(param, group)), ([], [])
            )
            params.append(param)
            grads.append(grad)
        yield from buckets.values()

    def _key(self, param: Parameter, group: Group) -> Any:
        """Return what parameters updated together have in common, beside dtype and device."""
        return id(self.state[param][self._counters[0]]) if self._counters else None

    def _witness(self, param: Parameter) -> Tensor | None:
        """Return a tensor of the state that must be of the parameter's dtype, on its device."""
        return self.state[param].get(self._slot)

    def _share_counters(self) -> None:
        """Make equal counters one tensor, so that their parameters are updated together."""
        shared: dict[Any, list[Tensor]] = {}
        for state in self.state.values():
            counters: list[Tensor] = [state[name] for name in self._counters if name in state]
            key = tuple([(counter.item(), counter.device) for counter in counters])
            state.update(zip(self._counters, shared.setdefault(key, counters), strict=False))

    def _stale(self, param: Parameter, slot: Tensor) -> IsogradError:
        kind = DeviceMismatchError if slot.device is not param.device else DTypeError
        return kind(
            f"{self._name}.step: a parameter is {_text(param)}, its state {_text(slot)}, nothing "
            "was updated; make the optimizer after model.to, and load this one's state_dict into it"
        )

    def _misfit(self, param: Parameter, grad: Tensor) -> IsogradError:
        kind = DeviceMismatchError
        if grad.shape != param.shape:
            kind = ShapeError
        elif grad.dtype != param.dtype:
            kind = DTypeError
        return kind(
            f"{self._name}.step: a gradient is {_text(grad)}, its parameter {_text(param)}, "
            "nothing was updated; assign a gradient that fits, or None"
        )

    # -- state -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return state and options in torch's layout, with parameters numbered in order.

        Returns
        -------
        dict
            ``{"state": {number: {name: tensor}}, "param_groups": [{..., "params": [number,
            ...]}]}``.
        """
        numbers = {id(p): i for i, p in enumerate(self._all_params())}
        state = {numbers[id(p)]: self._export_state(p) for p in self._all_params()}
        groups = [
            {
                **{k: v for k, v in group.items() if k != "params"},
                "params": [numbers[id(p)] for p in group["params"]],
            }
            for group in self.param_groups
        ]
        return {"state": {i: slots for i, slots in state.items() if slots}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Take over what `state_dict` returned, here or in torch, all or nothing.

        Raises
        ------
        StateDictError
            If groups or state do not fit; one message lists all of it, and nothing is loaded.
        ValueError
            If an option makes no sense.
        """
        groups: list[Group] = list(state_dict.get("param_groups", ()))
        sizes, wanted = (
            [len(g["params"]) for g in groups],
            [len(g["params"]) for g in self.param_groups],
        )
        if sizes != wanted:
            raise StateDictError(
                f"load_state_dict: the state has groups of {sizes} parameters, the optimizer of "
                f"{wanted}, nothing was loaded; build the optimizer with the same groups"
            )
        merged = [
            {
                **own,
                **{k: _option(v) for k, v in given.items() if k not in ("params", "param_names")},
            }
            for own, given in zip(self.param_groups, groups, strict=True)
        ]
        for group in merged:
            self._check_options(group)
        numbers = [number for group in groups for number in group["params"]]
        stored = cast("Mapping[Any, Mapping[str, Any]]", state_dict.get("state", {}))
        problems = [
            f"unexpected: state of parameter {number}" for number in stored if number not in numbers
        ]
        state: dict[Parameter, dict[str, Any]] = {}
        owners = [group for group in merged for _ in group["params"]]
        for number, param, group in zip(numbers, self._all_params(), owners, strict=True):
            state[param] = self._import_state(
                param, group, stored.get(number, {}), f"parameter {number}", problems
            )
        if problems:
            lines = "\n  ".join(problems)
            raise StateDictError(
                f"load_state_dict: the state does not fit {self._name}, nothing was loaded:\n  "
                f"{lines}\nBuild model and optimizer as they were saved"
            )
        changes.structure += 1
        self.param_groups = [WatchedDict(group) for group in merged]
        self.state = {param: WatchedDict(slots) for param, slots in state.items()}
        self._share_counters()

    def _all_params(self) -> list[Parameter]:
        return [p for group in self.param_groups for p in group["params"]]

    def _export_state(self, param: Parameter) -> dict[str, Any]:
        return dict(self.state[param])

    def _import_state(
        self,
        param: Parameter,
        group: Group,
        stored: Mapping[str, Any],
        where: str,
        problems: list[str],
    ) -> dict[str, Any]:
        """Return new state for a parameter, and add to ``problems`` what does not fit."""
        state = self._new_state(param, group)
        stored = {name: value for name, value in stored.items() if value is not None}
        if not stored:
            return state
        slots = {name: slot for name, slot in state.items() if isinstance(slot, Tensor)}
        problems += [f"unexpected: {name} of {where}" for name in stored if name not in slots]
        for name, fresh in slots.items():
            if name not in stored:
                problems.append(f"missing: {name} of {where}")
                continue
            try:
                value = asarray(stored[name])
            except (TypeError, ValueError):
                problems.append(
                    f"not a tensor: {name} of {where} is a {type(stored[name]).__name__}"
                )
                continue
            if value.shape != fresh.shape:
                problems.append(
                    f"shape of {name} of {where}: {value.shape} in the state, {fresh.shape} here"
                )
            state[name] = value.detach().astype(fresh.dtype).to(fresh.device)
        return state

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _text(t: Tensor) -> str:
    return f"{t.dtype.name}{list(t.shape)} on {t.device}"


def _option(value: Any) -> Any:
    """Return an option, as a number where another framework stored it as a 0-d tensor."""
    return value.item() if hasattr(value, "item") else value
