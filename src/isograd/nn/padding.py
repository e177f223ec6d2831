"""Padding as layers: each applies `functional.pad` to the last one, two or three axes."""

from __future__ import annotations

from collections.abc import Sequence

from isograd.core.errors import ShapeError
from isograd.nn import functional as F
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Base class of the layers; the padding is one number, or two for each axis, the last first."""

    _axes = 0
    _mode = "constant"

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        name, wanted = type(self).__name__, 2 * self._axes
        widths = (padding,) * wanted if isinstance(padding, int) else tuple(padding)
        if len(widths) != wanted:
            raise ValueError(
                f"{name}: padding={widths} has {len(widths)} numbers; pass one, or {wanted}"
            )
        self.padding = widths

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.pad` of ``x``.

        Raises
        ------
        ShapeError
            If the input has not one or two axes more than are padded.
        """
        if x.ndim not in (self._axes + 1, self._axes + 2):
            raise ShapeError(
                f"{type(self).__name__}: the input has shape {x.shape}; give it "
                f"{self._axes + 1} or {self._axes + 2} axes"
            )
        return F.pad(x, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Base class of the layers that pad with a number."""

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.pad` of ``x`` with the number."""
        return F.pad(x, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pad the last axis with a number."""

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """Pad the last two axes with a number."""

    _axes = 2


class ConstantPad3d(_ConstantPad):
    """Pad the last three axes with a number."""

    _axes = 3


class ZeroPad1d(_Pad):
    """Pad the last axis with zeros."""

    _axes = 1


class ZeroPad2d(_Pad):
    """Pad the last two axes with zeros."""

    _axes = 2


class ZeroPad3d(_Pad):
    """Pad the last three axes with zeros."""

    _axes = 3


class ReflectionPad1d(_Pad):
    """Pad the last axis with its elements mirrored at the first and last."""

    _axes = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """Pad the last two axes with its elements mirrored at the first and last."""

    _axes = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """Pad the last three axes with its elements mirrored at the first and last."""

    _axes = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """Pad the last axis with its first and last elements."""

    _axes = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """Pad the last two axes with its first and last elements."""

    _axes = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """Pad the last three axes with its first and last elements."""

    _axes = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    """Pad the last axis with the elements of the other end."""

    _axes = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    """Pad the last two axes with the elements of the other end."""

    _axes = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    """Pad the last three axes with the elements of the other end."""

    _axes = 3
    _mode = "circular"
