"""Initialisers, with torch's names and formulas: each rebinds a parameter, and returns it."""

from __future__ import annotations

import math
from typing import Any, Literal

from isograd.core.errors import ShapeError
from isograd.ops import random
from isograd.ops.creation import full
from isograd.runtime.parameter import Parameter

__all__ = [
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

FanMode = Literal["fan_in", "fan_out"]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which a nonlinearity's input weights are scaled up to keep the variance.

    Parameters
    ----------
    nonlinearity : str
        ``"linear"``, ``"conv1d"`` to ``"conv3d"``, ``"conv_transpose1d"`` to
        ``"conv_transpose3d"``, ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"leaky_relu"`` or
        ``"selu"``.
    param : float, optional
        The negative slope of ``"leaky_relu"``; 0.01 unless given.

    Raises
    ------
    ValueError
        If the nonlinearity is not one of these.

    Examples
    --------
    >>> round(calculate_gain("relu"), 4)
    1.4142
    """
    if nonlinearity in ("linear", "sigmoid") or nonlinearity.startswith("conv"):
        return 1.0
    slope = 0.01 if param is None else param
    gains = {
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 0.75,
    }
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: there is no gain for {nonlinearity!r}; use one of linear, sigmoid, "
            f"conv1d, {', '.join(gains)}"
        )
    return gains[nonlinearity]


def uniform_(
    tensor: Parameter, a: float = 0.0, b: float = 1.0, *, generator: Any = None
) -> Parameter:
    """Draw evenly from ``[a, b)``.

    Examples
    --------
    >>> import isograd as ig
    >>> p = uniform_(ig.nn.Parameter(ig.zeros(100)), -2.0, -1.0)
    >>> bool((p < -1).all())
    True
    """
    return tensor.assign_(
        random.uniform(
            tensor.shape,
            low=a,
            high=b,
            dtype=tensor.dtype,
            device=tensor.device,
            generator=generator,
        )
    )


def normal_(
    tensor: Parameter, mean: float = 0.0, std: float = 1.0, *, generator: Any = None
) -> Parameter:
    """Draw from the normal distribution of this mean and standard deviation."""
    return tensor.assign_(
        random.normal(
            tensor.shape,
            mean=mean,
            std=std,
            dtype=tensor.dtype,
            device=tensor.device,
            generator=generator,
        )
    )


def constant_(tensor: Parameter, val: float) -> Parameter:
    """Make every value ``val``."""
    return tensor.assign_(full(tensor.shape, val, dtype=tensor.dtype, device=tensor.device))


def zeros_(tensor: Parameter) -> Parameter:
    """Make every value 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Parameter) -> Parameter:
    """Make every value 1."""
    return constant_(tensor, 1.0)


def _fans(function: str, tensor: Parameter) -> tuple[int, int]:
    """Return an output's number of inputs, and the reverse, for a weight (out, in, *window)."""
    if tensor.ndim < 2:
        raise ShapeError(
            f"{function}: a weight of shape {tensor.shape} has no fan-in and fan-out; use one of "
            "two or more axes"
        )
    outputs, inputs, *window = tensor.shape
    field = math.prod(window)
    return inputs * field, outputs * field


def xavier_uniform_(tensor: Parameter, gain: float = 1.0, *, generator: Any = None) -> Parameter:
    """Draw evenly from ``[-a, a)``, where ``a = gain * sqrt(6 / (fan_in + fan_out))``.

    Raises
    ------
    ShapeError
        If the tensor has fewer than two axes.

    Notes
    -----
    X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks,
    2010.
    """
    bound = math.sqrt(3.0) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound, generator=generator)


def xavier_normal_(tensor: Parameter, gain: float = 1.0, *, generator: Any = None) -> Parameter:
    """Draw from the normal distribution, ``std = gain * sqrt(2 / (fan_in + fan_out))``.

    Raises
    ------
    ShapeError
        If the tensor has fewer than two axes.
    """
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain), generator=generator)


def _xavier_std(function: str, tensor: Parameter, gain: float) -> float:
    return gain * math.sqrt(2.0 / max(1, sum(_fans(function, tensor))))


def kaiming_uniform_(
    tensor: Parameter,
    a: float = 0.0,
    mode: FanMode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Any = None,
) -> Parameter:
    """Draw evenly from ``[-b, b)``, where ``b = gain * sqrt(3 / fan)``.

    Parameters
    ----------
    tensor : Parameter
        A weight of shape ``(out, in, *window)``.
    a : float
        The negative slope where ``nonlinearity`` is ``"leaky_relu"``.
    mode : {"fan_in", "fan_out"}
        Whether the variance is kept on the way forward or backward.
    nonlinearity : str
        What `calculate_gain` takes.
    generator : Generator, optional
        The source of randomness; the global one unless given.

    Raises
    ------
    ShapeError
        If the tensor has fewer than two axes.
    ValueError
        If ``mode`` or ``nonlinearity`` is unknown.

    Notes
    -----
    K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers, 2015.

    Examples
    --------
    >>> import isograd as ig
    >>> weight = kaiming_uniform_(ig.nn.Parameter(ig.zeros((4, 3))), nonlinearity="relu")
    >>> bool((abs(weight) <= 2**0.5).all())
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator=generator)


def kaiming_normal_(
    tensor: Parameter,
    a: float = 0.0,
    mode: FanMode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Any = None,
) -> Parameter:
    """Draw from the normal distribution, ``std = gain / sqrt(fan)``.

    Parameters and errors are those of `kaiming_uniform_`.
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator=generator)


def _kaiming_std(function: str, tensor: Parameter, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{function}: there is no mode {mode!r}; use 'fan_in' or 'fan_out'")
    fan = _fans(function, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fan))
