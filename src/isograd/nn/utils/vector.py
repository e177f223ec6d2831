"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from isograd.core.errors import ShapeError
from isograd.ops.movement import concat, reshape
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return the elements of all tensors, one after the other, as one vector.

    Examples
    --------
    >>> import isograd as ig
    >>> parameters_to_vector(ig.nn.Linear(2, 1).parameters()).shape
    (3,)
    """
    return concat([reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Parameter]) -> None:
    """Give parameters their values from a vector, all or nothing.

    Raises
    ------
    ShapeError
        If the vector has another number of elements than the parameters.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.Linear(2, 1)
    >>> vector_to_parameters(ig.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    params = list(parameters)
    total = sum(p.size for p in params)
    if vec.shape != (total,):
        raise ShapeError(
            f"vector_to_parameters: the vector has shape {vec.shape}, the parameters hold "
            f"{total} elements; pass one of shape ({total},)"
        )
    values: list[Tensor] = []
    start = 0
    for param in params:
        part = vec[start : start + param.size].detach()
        values.append(reshape(part, param.shape).astype(param.dtype))
        start += param.size
    for param, value in zip(params, values, strict=True):
        param.assign_(value)
