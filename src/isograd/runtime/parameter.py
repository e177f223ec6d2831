"""Parameter: the one kind of tensor whose value can be exchanged."""

from __future__ import annotations

from typing import Any, Self

from isograd.core.config import modes
from isograd.core.errors import DeviceMismatchError, DTypeError, ShapeError
from isograd.runtime.batched import Batched, check_inside
from isograd.runtime.library import library
from isograd.runtime.tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A cell that holds a tensor: training rebinds it, and what was saved before stays as it was.

    Parameters
    ----------
    data
        A tensor, or anything that `isograd.tensor` takes. Copied.
    requires_grad
        Whether ``backward`` leaves a gradient.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.zeros(2))
    >>> p.assign_(ig.ones(2)).tolist()
    [1.0, 1.0]
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        source: Tensor = library.tensor(data.detach() if isinstance(data, Tensor) else data)
        super().__init__(source.array, source.aval, source.device)
        self.requires_grad_(requires_grad)

    def assign_(self, value: Tensor, /) -> Self:
        """Hold another value of the same shape, dtype and device. History is not taken over.

        Raises
        ------
        ShapeError, DTypeError, DeviceMismatchError
            If the value does not fit; the parameter is then unchanged.
        """
        if value.aval.shape != self.aval.shape:
            raise ShapeError(
                f"assign_: the parameter has shape {self.shape}, the value {value.shape}; pass one "
                "of the same shape"
            )
        if value.aval.dtype != self.aval.dtype:
            raise DTypeError(
                f"assign_: the parameter has dtype {self.dtype}, the value {value.dtype}; convert "
                "it with .astype"
            )
        if value.device is not self.device:
            raise DeviceMismatchError(
                f"assign_: the parameter is on {self.device}, the value on {value.device}; move it "
                "with .to"
            )
        if modes.trace is not None and self.array.__class__ is not Batched:
            check_inside(value, "assign_", "a parameter", "return the value, and assign it outside")
        self.array = value.array
        return self

    def rehouse_(self, value: Tensor, /) -> Self:
        """Hold a value of another dtype or device, as a module's ``to`` does, without gradient."""
        if value.aval.shape != self.aval.shape:
            raise ShapeError(
                f"rehouse_: the parameter has shape {self.shape}, the value {value.shape}; pass "
                "one of the same shape"
            )
        requires_grad = self.requires_grad
        self.array, self.aval, self.device, self.edge, self.grad = (
            value.array,
            value.aval,
            value.device,
            None,
            None,
        )
        return self.requires_grad_(requires_grad)

    def __setitem__(self, index: Any, value: Any, /) -> None:
        self.assign_(library.at(self.detach())[index].set(value))

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
