"""Gradients of several batches added up to that of one large batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isograd.core.dtypes import float64
from isograd.nn.module import Module
from isograd.ops.convert import cast, is_traced
from isograd.ops.creation import asarray, tensor
from isograd.ops.elementwise import where
from isograd.runtime.modes import no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["GradientAccumulator"]


class GradientAccumulator(Module):
    """Add up gradients of batches of unequal weight, and take their mean.

    The mean of the batches' mean losses is not the mean over all tokens where batches have unequal
    numbers of them. So each batch's mean loss is multiplied by its number of tokens, and what was
    added up is divided by their sum. In compiled functions declare it in ``state``.

    Parameters
    ----------
    parameters : iterable of Parameter
        Whose gradients are added up; empty at the start.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(2.0))
    >>> accumulator = GradientAccumulator([p])
    >>> for batch in (ig.tensor([1.0]), ig.tensor([3.0, 5.0, 7.0])):
    ...     accumulator.backward((p * batch).mean(), weight=batch.size)
    >>> accumulator.finish().item()
    4.0
    >>> p.grad.item()
    4.0
    """

    total: Tensor

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        super().__init__()
        self._params = list(parameters)
        where_to = self._params[0].device if self._params else None
        self.register_buffer("total", tensor(0.0, dtype=float64, device=where_to))

    def backward(self, loss: Tensor, weight: Any = 1.0) -> None:
        """Add the gradient of a mean loss, times its weight.

        Parameters
        ----------
        loss : Tensor
            A mean, 0-d.
        weight : float or Tensor
            What it is the mean of: the number of tokens, or the sum of their weights.
        """
        amount = asarray(weight, device=loss.device).detach()
        (loss * cast(amount, loss.dtype)).backward()
        self.total = self.total + cast(amount, float64).to(self.total.device)

    def finish(self) -> Tensor:
        """Divide the gradients by the sum of the weights, which is returned, and start anew.

        With a sum of 0 the gradients, which are 0 as well, stay as they are.

        Raises
        ------
        ValueError
            If the sum is negative or not a number.
        """
        total = self.total
        if not is_traced(total) and not total.item() >= 0:
            raise ValueError(
                f"GradientAccumulator.finish: the weights add up to {total.item()}; pass weights "
                ">= 0"
            )
        with no_grad():
            divisor = where(total == 0, 1.0, total)
            for param in self._params:
                if param.grad is not None:
                    param.grad = param.grad / cast(divisor.to(param.device), param.grad.dtype)
            self.total = total * 0.0
        return total
