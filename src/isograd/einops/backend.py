"""What einops asks of a framework."""

# einops has no types.
# pyright: reportMissingTypeStubs=false, reportPrivateImportUsage=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from einops._backends import AbstractBackend

from isograd.core.dtypes import is_floating
from isograd.ops import movement, reductions
from isograd.ops.creation import arange, tensor
from isograd.runtime.library import library
from isograd.runtime.tensor import Tensor

__all__ = ["IsogradBackend"]


class IsogradBackend(AbstractBackend):
    """Tensors, for einops; it finds this class once the module is imported."""

    framework_name = "isograd"

    def is_appropriate_type(self, tensor: Any) -> bool:
        """Tell whether a value is a tensor."""
        return isinstance(tensor, Tensor)

    def from_numpy(self, x: np.ndarray[Any, Any]) -> Tensor:
        """Return an array as a tensor; floats require gradients, as those of einops for torch."""
        return tensor(x, requires_grad=is_floating(x.dtype))

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        """Return a tensor as an array."""
        return x.detach().to("cpu").numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        """Return integers from start up to stop."""
        return arange(start, stop)

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Return the axes in another order."""
        return movement.permute_dims(x, axes)

    def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
        """Reduce over axes by the function of that name."""
        return getattr(reductions, operation)(x, axis=tuple(axes))

    def stack_on_zeroth_dimension(self, tensors: Sequence[Tensor]) -> Tensor:
        """Stack tensors."""
        return movement.stack(tensors)

    def add_axes(self, x: Tensor, n_axes: int, pos2len: Mapping[int, int]) -> Tensor:
        """Return the tensor repeated along new axes, which are views until they are needed."""
        x = movement.expand_dims(x, axis=tuple(pos2len))
        return movement.broadcast_to(x, [pos2len.get(i, n) for i, n in enumerate(x.shape)])

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        """Join tensors along an axis."""
        return movement.concat(tensors, axis=axis)

    def is_float_type(self, x: Tensor) -> bool:
        """Tell whether a tensor holds floats."""
        return is_floating(x.dtype)

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        """Sum products of elements."""
        return library.einsum(pattern, *x)
