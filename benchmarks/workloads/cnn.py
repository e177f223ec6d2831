"""A small convolutional network for images of 28 x 28."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.base import Array, Parameters, Workload, affine, cross_entropy, linear

BATCH = 64
SIDE = 28
_EPS = 1e-5


def _batch(rng: np.random.Generator) -> tuple[Array, ...]:
    return (
        rng.normal(size=(BATCH, 1, SIDE, SIDE)).astype(np.float32),
        rng.integers(0, 10, BATCH),
    )


def _model(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def _convolved(xp: Any, x: Array, weight: Array, bias: Array) -> Array:
    """Convolve rows of channels, 3 x 3, as nine products of shifted images."""
    height, width = x.shape[1:3]
    wide = xp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "constant")
    return bias + sum(
        wide[:, i : i + height, j : j + width] @ weight[:, :, i, j].T
        for i in range(3)
        for j in range(3)
    )


def _block(xp: Any, p: Parameters, first: int, out: Array) -> Array:
    """Return batch norm, ReLU and pooling of channels-last images."""
    centred = out - xp.mean(out, axis=(0, 1, 2))
    variance = xp.mean(centred**2, axis=(0, 1, 2))
    scale = p[f"{first + 1}.weight"] / xp.sqrt(variance + _EPS)
    positive = xp.maximum(centred * scale + p[f"{first + 1}.bias"], 0.0)
    n, height, width, channels = positive.shape
    windows = xp.reshape(positive, (n, height // 2, 2, width // 2, 2, channels))
    return xp.max(windows, axis=(2, 4))


def _head(xp: Any, p: Parameters, x: Array, labels: Array) -> Array:
    flat = xp.reshape(xp.transpose(x, (0, 3, 1, 2)), (BATCH, -1))
    return cross_entropy(xp, affine(p, "11", xp.maximum(affine(p, "9", flat), 0.0)), labels)


def _formula(xp: Any, p: Parameters, images: Array, labels: Array) -> Array:
    x = xp.transpose(images, (0, 2, 3, 1))
    for first in (0, 4):
        out = _convolved(xp, x, p[f"{first}.weight"], p[f"{first}.bias"])
        x = _block(xp, p, first, out)
    return _head(xp, p, x, labels)


def _jax_formula(xp: Any, p: Parameters, images: Array, labels: Array) -> Array:
    """Convolve with XLA, channels last; running statistics are left out, in its favour."""
    from jax import lax

    x = xp.transpose(images, (0, 2, 3, 1))
    for first in (0, 4):
        weight = xp.transpose(p[f"{first}.weight"], (2, 3, 1, 0))
        out = lax.conv_general_dilated(
            x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = _block(xp, p, first, out + p[f"{first}.bias"])
    return _head(xp, p, x, labels)


def _conv_shapes(name: str, inputs: int, outputs: int) -> dict[str, Any]:
    bound = (9 * inputs) ** -0.5
    return {
        f"{name}.weight": ((outputs, inputs, 3, 3), bound),
        f"{name}.bias": ((outputs,), bound),
    }


def _norm_shapes(name: str, channels: int) -> dict[str, Any]:
    return {f"{name}.weight": ((channels,), "ones"), f"{name}.bias": ((channels,), "zeros")}


WORKLOAD = Workload(
    title="conv 32 - BN - ReLU - pool - conv 64 - BN - ReLU - pool - 128 - 10, 28 x 28, batch 64",
    optimizer="adam",
    rates={"sgd": 0.02, "adam": 0.001},
    shapes={
        **_conv_shapes("0", 1, 32),
        **_norm_shapes("1", 32),
        **_conv_shapes("4", 32, 64),
        **_norm_shapes("5", 64),
        **linear("9", 64 * 7 * 7, 128),
        **linear("11", 128, 10),
    },
    batch=_batch,
    model=_model,
    loss=lambda F, model, x, labels: F.cross_entropy(model(x), labels),
    formula=_formula,
    gemm_flops=2.0
    * BATCH
    * (
        2 * SIDE**2 * 9 * 32
        + 3 * (SIDE // 2) ** 2 * 9 * 32 * 64
        + 3 * 64 * 7 * 7 * 128
        + 3 * 128 * 10
    ),
    jax_formula=_jax_formula,
)
