"""Layers that learn the size of their input from the first batch, or from the state they load."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

from isograd.nn.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from isograd.nn.linear import Linear
from isograd.nn.module import Module
from isograd.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from isograd.ops.convert import is_traced
from isograd.runtime.tensor import Tensor

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
]


# As torch has it: these two are False in `InstanceNorm2d` itself.
_TRACKED = MappingProxyType({"affine": True, "track_running_stats": True})


class _Lazy(Module):
    """A layer without parameters yet, which becomes one of the class ``_of``."""

    _of: ClassVar[type[Module]]
    _input_axis: ClassVar[int]  # whose length in the input is the layer's first argument
    _state_axis: ClassVar[int]  # whose length in the weight is that; times groups, if there are

    _defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})  # where they are not `_of`'s

    def __init_subclass__(cls) -> None:
        rest = list(inspect.signature(cls._of).parameters.values())[1:]
        rest = [p.replace(default=cls._defaults.get(p.name, p.default)) for p in rest]
        cls.__signature__ = inspect.Signature(rest)  # pyright: ignore[reportAttributeAccessIssue]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        try:
            self._arguments = inspect.signature(type(self)).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        self._loading = self.register_load_state_dict_pre_hook(_Lazy._become_what_is_loaded)

    def forward(self, x: Tensor, /) -> Any:
        """Become the layer that fits the input, and apply it."""
        self.initialize_parameters(x)
        return self.forward(x)  # of the class that it now is

    def initialize_parameters(self, x: Tensor, /) -> None:
        """Become the layer that fits the input, without applying it."""
        if is_traced(x):
            self._refuse("cannot make them while it is compiled")
        self._become(x.shape[self._input_axis])

    def has_uninitialized_params(self) -> bool:
        """Return True; once the layer has its parameters, it has no such method."""
        return True

    def _become(self, size: int) -> None:
        given = self._arguments
        build: Any = self._of
        made: Module = build(size, **{**self._defaults, **given.arguments})
        self._loading.remove()
        del self._arguments, self._loading
        self.__class__ = self._of  # pyright: ignore[reportAttributeAccessIssue]
        for name, value in vars(made).items():
            setattr(self, name, value)

    def _become_what_is_loaded(self, state: Mapping[str, Any], prefix: str, *details: Any) -> None:
        """Take the size from a state dict that is about to be loaded."""
        weight = state.get(f"{prefix}weight", state.get(f"{prefix}running_mean"))
        if weight is not None:
            groups = self._arguments.arguments.get("groups", 1) if self._state_axis else 1
            self._become(weight.shape[self._state_axis] * groups)

    def _refuse(self, problem: str) -> NoReturn:
        raise ValueError(
            f"{type(self).__name__}: the layer has no parameters yet, and {problem}; call the "
            "model with a batch first"
        )

    def _own_parameters(self) -> NoReturn:
        self._refuse("an optimizer or a state dict without them would miss them")

    def extra_repr(self) -> str:
        return ", ".join([f"{k}={v!r}" for k, v in self._arguments.arguments.items()])


class LazyLinear(_Lazy):
    """`Linear` whose ``in_features`` is that of the first batch; the other arguments are the same.

    Until a batch was seen there are no parameters, and asking for them, as an optimizer does,
    raises. `isograd.nn.Module.load_state_dict` makes them too.

    Examples
    --------
    >>> import isograd as ig
    >>> model = ig.nn.Sequential(ig.nn.Flatten(), ig.nn.LazyLinear(10))
    >>> model(ig.ones((2, 3, 4))).shape
    (2, 10)
    >>> model[1]
    Linear(in_features=12, out_features=10, bias=True)
    """

    _of, _input_axis, _state_axis = Linear, -1, 1


class LazyConv1d(_Lazy):
    """`Conv1d` whose ``in_channels`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = Conv1d, -2, 1


class LazyConv2d(_Lazy):
    """`Conv2d` whose ``in_channels`` is that of the first batch; see `LazyLinear`.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.LazyConv2d(8, 3, padding=1)
    >>> layer(ig.ones((1, 3, 5, 5))).shape, layer.weight.shape
    ((1, 8, 5, 5), (8, 3, 3, 3))
    """

    _of, _input_axis, _state_axis = Conv2d, -3, 1


class LazyConv3d(_Lazy):
    """`Conv3d` whose ``in_channels`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = Conv3d, -4, 1


class LazyConvTranspose1d(_Lazy):
    """`ConvTranspose1d` whose ``in_channels`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = ConvTranspose1d, -2, 0


class LazyConvTranspose2d(_Lazy):
    """`ConvTranspose2d` whose ``in_channels`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = ConvTranspose2d, -3, 0


class LazyConvTranspose3d(_Lazy):
    """`ConvTranspose3d` whose ``in_channels`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = ConvTranspose3d, -4, 0


class LazyBatchNorm1d(_Lazy):
    """`BatchNorm1d` whose ``num_features`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = BatchNorm1d, 1, 0


class LazyBatchNorm2d(_Lazy):
    """`BatchNorm2d` whose ``num_features`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = BatchNorm2d, 1, 0


class LazyBatchNorm3d(_Lazy):
    """`BatchNorm3d` whose ``num_features`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = BatchNorm3d, 1, 0


class LazyInstanceNorm1d(_Lazy):
    """`InstanceNorm1d` whose ``num_features`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = InstanceNorm1d, -2, 0
    _defaults = _TRACKED


class LazyInstanceNorm2d(_Lazy):
    """`InstanceNorm2d` whose ``num_features`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = InstanceNorm2d, -3, 0
    _defaults = _TRACKED


class LazyInstanceNorm3d(_Lazy):
    """`InstanceNorm3d` whose ``num_features`` is that of the first batch; see `LazyLinear`."""

    _of, _input_axis, _state_axis = InstanceNorm3d, -4, 0
    _defaults = _TRACKED
