"""Gradients limited in norm or in value."""

from __future__ import annotations

from collections.abc import Iterable

from isograd.core.errors import AutodiffError, ConcretizationError
from isograd.ops.convert import cast, is_traced
from isograd.ops.creation import zeros
from isograd.ops.elementwise import clip, isfinite
from isograd.ops.movement import stack
from isograd.ops.reductions import vector_norm
from isograd.runtime.modes import no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]

Parameters = Parameter | Iterable[Parameter]


def _with_gradients(parameters: Parameters) -> list[tuple[Parameter, Tensor]]:
    params = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    return [(param, param.grad) for param in params if param.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Return the norm of tensors as if they were one vector.

    Parameters
    ----------
    tensors : Tensor, or iterable of Tensor
        Floating-point.
    norm_type : float
        The order, ``inf`` for the largest absolute value.
    error_if_nonfinite : bool
        Raise where the norm is infinite or NaN.

    Raises
    ------
    AutodiffError
        If the norm is not finite and ``error_if_nonfinite``.
    ConcretizationError
        If that is asked for in a compiled function.

    Examples
    --------
    >>> import isograd as ig
    >>> get_total_norm([ig.tensor([3.0]), ig.tensor([4.0])]).item()
    5.0
    """
    return _total("get_total_norm", tensors, norm_type, error_if_nonfinite)


def _total(
    function: str, tensors: Tensor | Iterable[Tensor], norm_type: float, strict: bool
) -> Tensor:
    parts = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not parts:
        return zeros(())
    norms = [vector_norm(part, ord=norm_type) for part in parts if part.size]
    if not norms:
        return zeros((), dtype=parts[0].dtype, device=parts[0].device)
    widest = max((norm.dtype for norm in norms), key=lambda dtype: dtype.itemsize)
    device = norms[0].device
    total = vector_norm(stack([cast(n, widest).to(device) for n in norms]), ord=norm_type)
    if strict:
        if is_traced(total):
            raise ConcretizationError(
                f"{function}: error_if_nonfinite looks at a value while compiling; leave it out, "
                "and look at the norm that is returned"
            )
        if not isfinite(total).item():
            raise AutodiffError(
                f"{function}: the total norm of order {norm_type} is {total.item()}, nothing was "
                "changed; look for the first gradient that is not finite"
            )
    return total


def clip_grads_with_norm_(parameters: Parameters, max_norm: float, total_norm: Tensor) -> None:
    """Scale gradients by ``max_norm / (total_norm + 1e-6)`` where that is less than 1.

    Parameters
    ----------
    parameters : Parameter, or iterable of Parameter
        Those without gradient are left alone.
    max_norm : float
        The largest norm that is left alone.
    total_norm : Tensor
        What `get_total_norm` returned.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.zeros(1))
    >>> p.grad = ig.tensor([4.0])
    >>> clip_grads_with_norm_(p, 1.0, ig.tensor(4.0))
    >>> round(p.grad.item(), 4)
    1.0
    """
    with no_grad():
        factor = clip(max_norm / (total_norm + 1e-6), None, 1.0)
        for param, grad in _with_gradients(parameters):
            param.grad = grad * cast(factor.to(grad.device), grad.dtype)


def clip_grad_norm_(
    parameters: Parameters,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale gradients so that their norm, taken over all of them, is at most ``max_norm``.

    Parameters
    ----------
    parameters : Parameter, or iterable of Parameter
        Those without gradient do not count.
    max_norm : float
        The largest norm.
    norm_type : float
        The order, ``inf`` for the largest absolute value.
    error_if_nonfinite : bool
        Raise where the norm is infinite or NaN, with the gradients as they were.

    Returns
    -------
    Tensor
        The norm before.

    Raises
    ------
    AutodiffError
        If the norm is not finite and ``error_if_nonfinite``.
    ConcretizationError
        If that is asked for in a compiled function.

    Notes
    -----
    R. Pascanu, T. Mikolov, Y. Bengio: On the difficulty of training recurrent neural networks,
    2013.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.zeros(2))
    >>> p.grad = ig.tensor([3.0, 4.0])
    >>> clip_grad_norm_([p], max_norm=1.0).item()
    5.0
    >>> [round(value, 4) for value in p.grad.tolist()]
    [0.6, 0.8]
    """
    params = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    with no_grad():
        grads = [grad for _, grad in _with_gradients(params)]
        total = _total("clip_grad_norm_", grads, norm_type, error_if_nonfinite)
        clip_grads_with_norm_(params, max_norm, total)
    return total


def clip_grad_value_(parameters: Parameters, clip_value: float) -> None:
    """Limit each entry of the gradients to ``[-clip_value, clip_value]``.

    Parameters
    ----------
    parameters : Parameter, or iterable of Parameter
        Those without gradient are left alone.
    clip_value : float
        The largest absolute value.

    Raises
    ------
    ValueError
        If ``clip_value`` is negative.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.zeros(2))
    >>> p.grad = ig.tensor([0.5, -4.0])
    >>> clip_grad_value_(p, 1.0)
    >>> p.grad.tolist()
    [0.5, -1.0]
    """
    if clip_value < 0:
        raise ValueError(f"clip_grad_value_: clip_value={clip_value} is negative; use one >= 0")
    with no_grad():
        for param, grad in _with_gradients(parameters):
            param.grad = clip(grad, -clip_value, clip_value)
