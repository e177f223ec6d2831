"""Layers that are matrices, nothing, or a change of shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from isograd.core.errors import ShapeError
from isograd.nn import functional, init
from isograd.nn.module import Module, Parameter
from isograd.ops.convert import axis_of
from isograd.ops.creation import empty
from isograd.runtime.tensor import Tensor

__all__ = ["Bilinear", "Flatten", "Identity", "Linear", "Unflatten"]


class Identity(Module):
    """Return the input. Arguments are accepted and ignored, so that it can take any layer's place.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Identity(54, unused=True)(ig.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor, /) -> Tensor:
        """Return ``x``."""
        return x


class Linear(Module):
    """Apply ``y = x @ weight.T + bias``.

    Weights and bias start uniform on ``[-k, k)`` with ``k = 1 / sqrt(in_features)``.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis before and after.
    bias : bool
        Whether to add a bias.
    device : device, optional
        Where the parameters live.
    dtype : dtype, optional
        Their dtype; float32 unless changed with ``set_default_dtype``.

    Attributes
    ----------
    weight : Parameter
        Shape ``(out_features, in_features)``.
    bias : Parameter or None
        Shape ``(out_features,)``.

    Raises
    ------
    ValueError
        If a size is negative.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.Linear(3, 2)
    >>> layer(ig.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in_features < 0 or out_features < 0:
            raise ValueError(
                f"Linear: sizes in_features={in_features}, out_features={out_features} include a "
                "negative one; use sizes >= 0"
            )
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty((out_features, in_features), dtype=dtype, device=device))
        self.bias = Parameter(empty((out_features,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights and bias."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, /) -> Tensor:
        """Map ``(..., in_features)`` to ``(..., out_features)``."""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class Bilinear(Module):
    """Apply `functional.bilinear`: ``y[k] = x1 @ weight[k] @ x2 + bias[k]``.

    Weights and bias start uniform on ``[-k, k)`` with ``k = 1 / sqrt(in1_features)``.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
        Sizes of the last axes of both inputs and of the output.
    bias : bool
        Whether to add a bias.
    device, dtype : optional
        Where the parameters live, and their dtype.

    Attributes
    ----------
    weight : Parameter
        Shape ``(out_features, in1_features, in2_features)``.
    bias : Parameter or None
        Shape ``(out_features,)``.

    Raises
    ------
    ValueError
        If ``in1_features`` is below 1.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Bilinear(2, 3, 4)(ig.ones((5, 2)), ig.ones((5, 3))).shape
    (5, 4)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features < 1:
            raise ValueError(f"Bilinear: in1_features={in1_features}; use at least 1")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.bias = Parameter(empty((out_features,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights and bias."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x1: Tensor, x2: Tensor, /) -> Tensor:
        """Map ``(..., in1_features)`` and ``(..., in2_features)`` to ``(..., out_features)``."""
        return functional.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Flatten(Module):
    """Make axes ``start_dim`` to ``end_dim`` one axis.

    Parameters
    ----------
    start_dim, end_dim : int
        First and last axis to join; negative ones count from the end.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Flatten()(ig.zeros((2, 1, 8, 8))).shape
    (2, 64)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor, /) -> Tensor:
        """Return ``x`` with the axes joined."""
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Make axis ``dim`` several axes; one length may be -1.

    Parameters
    ----------
    dim : int
        The axis; a negative one counts from the end.
    unflattened_size : sequence of int
        The lengths that it is divided into.

    Raises
    ------
    ShapeError
        If the lengths do not fit the axis.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Unflatten(1, (2, 3))(ig.zeros((4, 6))).shape
    (4, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, x: Tensor, /) -> Tensor:
        """Return ``x`` with the axis divided."""
        axis = axis_of("Unflatten", self.dim, x.ndim)
        sizes = list(self.unflattened_size)
        rest = math.prod([n for n in sizes if n != -1])
        if sizes.count(-1) == 1 and rest and x.shape[axis] % rest == 0:
            sizes[sizes.index(-1)] = x.shape[axis] // rest
        if math.prod(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
            raise ShapeError(
                f"Unflatten: axis {axis} of {x.shape} does not divide into "
                f"{self.unflattened_size}; use lengths whose product is {x.shape[axis]}"
            )
        return x.reshape((*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
