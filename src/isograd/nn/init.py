"""Initialisers, with torch's names and formulas: each rebinds a parameter, and returns it."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from isograd.backend.normal import normal_from_uniform
from isograd.core.errors import ShapeError
from isograd.ops import random
from isograd.ops.creation import asarray, full
from isograd.runtime.parameter import Parameter

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
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


def uniform_(tensor: Parameter, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Parameter:
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
    tensor: Parameter, mean: float = 0.0, std: float = 1.0, generator: Any = None
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


def xavier_uniform_(tensor: Parameter, gain: float = 1.0, generator: Any = None) -> Parameter:
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


def xavier_normal_(tensor: Parameter, gain: float = 1.0, generator: Any = None) -> Parameter:
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


def _assign(tensor: Parameter, values: np.ndarray[Any, Any]) -> Parameter:
    return tensor.assign_(asarray(values, dtype=tensor.dtype, device=tensor.device))


def _check_axes(function: str, tensor: Parameter, allowed: tuple[int, ...]) -> None:
    if tensor.ndim not in allowed:
        raise ShapeError(
            f"{function}: a tensor of shape {tensor.shape} has {tensor.ndim} axes; use one of "
            f"{' or '.join(map(str, allowed))}"
        )


def trunc_normal_(
    tensor: Parameter,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Parameter:
    """Draw from the normal distribution, limited to ``[a, b]``, which are no multiples of ``std``.

    Raises
    ------
    ValueError
        If ``a`` is not below ``b``, or these are more than 8 ``std`` to one side of the mean.

    Examples
    --------
    >>> import isograd as ig
    >>> p = trunc_normal_(ig.nn.Parameter(ig.zeros(100)), std=0.02, a=-0.04, b=0.04)
    >>> bool((abs(p) <= 0.04).all())
    True
    """
    low, high = [math.erf((end - mean) / std / math.sqrt(2.0)) / 2 for end in (a, b)]
    if not a < b or low == high:
        raise ValueError(
            f"trunc_normal_: between a={a} and b={b} there is nothing of a normal distribution of "
            f"mean={mean} and std={std}; use bounds around the mean"
        )
    q = random.uniform(tensor.shape, dtype="float64", generator=generator).numpy()
    normal = normal_from_uniform(np, np.clip(low + q * (high - low), -0.5 + 1e-16, 0.5 - 1e-16))
    return _assign(tensor, np.clip(mean + std * normal, a, b))


def eye_(tensor: Parameter) -> Parameter:
    """Make a matrix 1 on its diagonal and 0 elsewhere.

    Raises
    ------
    ShapeError
        If the tensor has not two axes.
    """
    _check_axes("eye_", tensor, (2,))
    return _assign(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Parameter, groups: int = 1) -> Parameter:
    """Make a convolution's weight pass on its input's channels, as far as there are as many.

    Raises
    ------
    ShapeError
        If the tensor has not three to five axes.
    ValueError
        If ``groups`` does not divide the output channels.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.Conv1d(2, 2, 3, padding=1, bias=False)
    >>> _ = dirac_(layer.weight)
    >>> layer(ig.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    _check_axes("dirac_", tensor, (3, 4, 5))
    outputs, inputs, *window = tensor.shape
    if outputs % groups:
        raise ValueError(
            f"dirac_: groups={groups} does not divide {outputs} output channels; use a divisor"
        )
    values = np.zeros(tensor.shape)
    size = outputs // groups
    middle = tuple([n // 2 for n in window])
    for channel in range(min(size, inputs)):
        for group in range(groups):
            values[(group * size + channel, channel, *middle)] = 1.0
    return _assign(tensor, values)


def orthogonal_(tensor: Parameter, gain: float = 1.0, generator: Any = None) -> Parameter:
    """Draw an orthogonal matrix evenly, times ``gain``; axes after the first count as one.

    Rows are orthogonal where there are fewer of them than columns, columns otherwise.

    Raises
    ------
    ShapeError
        If the tensor has fewer than two axes.

    Notes
    -----
    A. Saxe and others: Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks, 2013.

    Examples
    --------
    >>> import isograd as ig
    >>> w = orthogonal_(ig.nn.Parameter(ig.zeros((2, 3), dtype=ig.float64)))
    >>> bool((abs(w @ w.T - ig.eye(2)) < 1e-12).all())
    True
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"orthogonal_: a tensor of shape {tensor.shape} is no matrix; use two or more axes"
        )
    if not tensor.size:
        return tensor
    shape = (tensor.shape[0], tensor.size // tensor.shape[0])
    normal = random.normal(shape, dtype="float64", generator=generator).numpy()
    q, r = np.linalg.qr(normal if shape[0] >= shape[1] else normal.T)
    q = q * np.sign(np.diagonal(r))  # without which the draw would not be even
    q = q if shape[0] >= shape[1] else q.T
    return _assign(tensor, gain * q.reshape(tensor.shape))


def sparse_(
    tensor: Parameter, sparsity: float, std: float = 0.01, generator: Any = None
) -> Parameter:
    """Draw a matrix from the normal distribution; a share of each column, drawn as well, is 0.

    Raises
    ------
    ShapeError
        If the tensor has not two axes.
    ValueError
        If ``sparsity`` is not in [0, 1].
    """
    _check_axes("sparse_", tensor, (2,))
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity={sparsity} is no share; use 0 to 1")
    normal_(tensor, 0.0, std, generator=generator)
    order = random.uniform(tensor.shape, dtype="float64", generator=generator).numpy()
    rank = np.argsort(np.argsort(order, axis=0), axis=0)
    return _assign(
        tensor, np.where(rank < math.ceil(sparsity * tensor.shape[0]), 0, tensor.numpy())
    )
