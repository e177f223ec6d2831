"""Pooling layers: each applies the function of `isograd.nn.functional` that its docstring names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from isograd.nn import functional as F
from isograd.nn.applied import Applied
from isograd.nn.functional._windows import Ints, each
from isograd.nn.functional.adaptive_pooling import Sizes
from isograd.runtime.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _Strided(Applied):
    """Base class of those whose window moves by its own length unless ``stride`` is given."""

    _options = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding


class _MaxPool(_Strided):
    _options = (*_Strided._options, "dilation", "ceil_mode", "return_indices")

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return self._shown(*self._options[:-1])


class MaxPool1d(_MaxPool):
    """Apply `functional.max_pool1d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.MaxPool1d(2)(ig.tensor([[1.0, 3.0, 2.0, 5.0]])).tolist()
    [[3.0, 5.0]]
    """

    _function = F.max_pool1d


class MaxPool2d(_MaxPool):
    """Apply `functional.max_pool2d`, which says what the arguments are.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.MaxPool2d(2)(ig.ones((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    _function = F.max_pool2d


class MaxPool3d(_MaxPool):
    """Apply `functional.max_pool3d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.MaxPool3d(2)(ig.ones((1, 3, 4, 4, 4))).shape
    (1, 3, 2, 2, 2)
    """

    _function = F.max_pool3d


class _MaxUnpool(_Strided):
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Tensor, indices: Tensor, /, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """Return maxima put back to where they were."""
        return type(self)._function(
            x, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool1d(_MaxUnpool):
    """Apply `functional.max_unpool1d`."""

    _function = F.max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """Apply `functional.max_unpool2d`, which says what the arguments are.

    Examples
    --------
    >>> import isograd as ig
    >>> pooled = ig.nn.MaxPool2d(2, return_indices=True)(ig.ones((1, 1, 4, 4)))
    >>> ig.nn.MaxUnpool2d(2)(*pooled).shape
    (1, 1, 4, 4)
    """

    _function = F.max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """Apply `functional.max_unpool3d`."""

    _function = F.max_unpool3d


class _AvgPool(_Strided):
    _options = (*_Strided._options, "ceil_mode", "count_include_pad")

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def extra_repr(self) -> str:
        return self._shown(*_Strided._options)


class AvgPool1d(_AvgPool):
    """Apply `functional.avg_pool1d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.AvgPool1d(2)(ig.tensor([[1.0, 3.0, 2.0, 6.0]])).tolist()
    [[2.0, 4.0]]
    """

    _function = F.avg_pool1d

    def extra_repr(self) -> str:
        numbers = [(n, getattr(self, n)) for n in _Strided._options]
        return ", ".join([f"{k}={(n,) if isinstance(n, int) else tuple(n)}" for k, n in numbers])


class _DivisorPool(_AvgPool):
    _options = (*_AvgPool._options, "divisor_override")

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override


class AvgPool2d(_DivisorPool):
    """Apply `functional.avg_pool2d`, which says what the arguments are.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.AvgPool2d(2)(ig.ones((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    _function = F.avg_pool2d


class AvgPool3d(_DivisorPool):
    """Apply `functional.avg_pool3d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.AvgPool3d(2)(ig.ones((1, 3, 4, 4, 4))).shape
    (1, 3, 2, 2, 2)
    """

    _function = F.avg_pool3d


class _LPPool(Applied):
    _options = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode


class LPPool1d(_LPPool):
    """Apply `functional.lp_pool1d`."""

    _function = F.lp_pool1d


class LPPool2d(_LPPool):
    """Apply `functional.lp_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.LPPool2d(2, 2)(ig.ones((1, 2, 2))).tolist()
    [[[2.0]]]
    """

    _function = F.lp_pool2d


class LPPool3d(_LPPool):
    """Apply `functional.lp_pool3d`."""

    _function = F.lp_pool3d


class _AdaptiveAvgPool(Applied):
    _options = ("output_size",)

    def __init__(self, output_size: Sizes) -> None:
        super().__init__()
        self.output_size = output_size


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Apply `functional.adaptive_avg_pool1d`."""

    _function = F.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Apply `functional.adaptive_avg_pool2d`, which says what the argument is.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.AdaptiveAvgPool2d(1)(ig.ones((1, 3, 8, 8))).shape
    (1, 3, 1, 1)
    """

    _function = F.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Apply `functional.adaptive_avg_pool3d`."""

    _function = F.adaptive_avg_pool3d


class _AdaptiveMaxPool(Applied):
    _options = ("output_size", "return_indices")

    def __init__(self, output_size: Sizes, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return self._shown("output_size")


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Apply `functional.adaptive_max_pool1d`."""

    _function = F.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Apply `functional.adaptive_max_pool2d`, which says what the arguments are.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.AdaptiveMaxPool2d((2, 3))(ig.ones((1, 3, 7, 7))).shape
    (1, 3, 2, 3)
    """

    _function = F.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Apply `functional.adaptive_max_pool3d`."""

    _function = F.adaptive_max_pool3d


class _FractionalMaxPool(Applied):
    _options = ("kernel_size", "output_size", "output_ratio", "return_indices", "_random_samples")
    _axes: ClassVar[int]
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{name}: pass either output_size or output_ratio")
        self.kernel_size = each(name, "kernel_size", kernel_size, self._axes)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = output_size
        self.output_ratio = output_ratio

    def extra_repr(self) -> str:
        return ""


class FractionalMaxPool2d(_FractionalMaxPool):
    """Apply `functional.fractional_max_pool2d`, which says what the arguments are.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.FractionalMaxPool2d(2, output_size=5)(ig.ones((1, 3, 9, 9))).shape
    (1, 3, 5, 5)
    """

    _function = F.fractional_max_pool2d
    _axes = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Apply `functional.fractional_max_pool3d`."""

    _function = F.fractional_max_pool3d
    _axes = 3
