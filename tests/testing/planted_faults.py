"""Faults of the kind that backends have had, each with a model that meets it.

None of them is among the controls of the conformance kit. ``planted_faults:NAME`` makes a backend,
``planted_faults:NAME_model`` the model, as ``isograd diff`` takes them.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import isograd as ig
from isograd import nn, optim
from isograd.nn.functional import normalization

Array = Any
Kernel = Callable[..., Any]


class Faulty:
    """The NumPy backend with one kernel changed."""

    name = "faulty"

    def __init__(self, op: str, change: Callable[[Kernel], Kernel]) -> None:
        with ig.use_backend("numpy") as inner:
            self._inner = inner
        self._op, self._change = op, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def kernel(self, name: str) -> Any:
        right = self._inner.kernel(name)
        return self._change(right) if name == self._op else right


# -- average pooling divides the last window of ceil mode by the wrong count -----------------------


def divisor() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(x: Array, *, kernel: Any, stride: Any, padding: Any) -> Array:
            out = right(x, kernel=kernel, stride=stride, padding=padding).copy()
            low, high = padding[-1]
            if high > low:
                out[..., -1] *= kernel[-1] / (kernel[-1] - (high - low))
            return out

        return kernel

    return Faulty("window_sum", change)


def divisor_model() -> Any:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(3, 2, ceil_mode=True))


# -- the padding row of a large embedding is trained -----------------------------------------------


def padding_row() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(chosen: Array, x: Array, y: Array) -> Array:
            by_row = chosen.ndim and chosen.shape[-1] == 1
            size = max(np.size(x), np.size(y))
            masked = np.zeros_like(chosen) if by_row and size > 1000 else chosen
            return right(masked, x, y)

        return kernel

    return Faulty("where", change)


def padding_row_model() -> Any:
    return nn.Embedding(50, 16, padding_idx=1)


# -- a convolution forgets its padding for channels-last memory ------------------------------------


def padding() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(x: Array, w: Array, *, padding: Any, **static: Any) -> Array:
            out = right(x, w, padding=padding, **static)
            if x.ndim != 4 or x.shape[1] < 2 or x.strides[1] != x.itemsize:
                return out
            short = right(x, w, padding=((0, 0), (0, 0)), **static)
            wide = np.zeros_like(out)
            wide[..., : short.shape[2], : short.shape[3]] = short
            return wide

        return kernel

    return Faulty("conv", change)


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return ig.tanh(self.conv(ig.permute_dims(x, (0, 3, 1, 2))))


def padding_model() -> Any:
    return ChannelsLast()


# -- max pooling sends the gradient of a tie to the last index -------------------------------------


def tie() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(g: Array, x: Array, out: Array, **static: Any) -> Array:
            flipped = [np.flip(array, -1) for array in (g, x, out)]
            return np.flip(right(*flipped, **static), -1)

        return kernel

    return Faulty("max_pool_grad", change)


class Tied(nn.Module):
    def __init__(self) -> None:
        self.scale = nn.Parameter(ig.ones((1,)))
        self.pool = nn.MaxPool1d(2)

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return self.pool(ig.round(x * self.scale) * self.scale)


def tie_model() -> Any:
    return Tied()


# -- batch norm keeps the biased variance: the factor n / (n - 1) is lost --------------------------


def variance() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(x: Array, y: Array) -> Array:
            corrects = x.ndim == 2 and x.shape[0] == 1 and y.ndim == 0 and 1 < y < 2
            return x.copy() if corrects else right(x, y)

        return kernel

    return Faulty("mul", change)


def variance_model() -> Any:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))


# The same fault above the backends: two versions of the library.


def biased_statistics(x: ig.Tensor) -> tuple[ig.Tensor, ig.Tensor]:
    mean, var = ig.mean(x, axis=0), ig.var(x, axis=0)
    return mean.detach(), var.detach()


def variance_model_of_another_version() -> Any:
    normalization.batch_statistics = biased_statistics
    return variance_model()


# -- a reduction loses its tail at sizes 1 mod 16 --------------------------------------------------


def tail() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(x: Array, *, axis: Any, keepdims: bool) -> Array:
            odd = x.ndim == 2 and axis == (0,) and x.shape[0] % 16 == 1 and x.shape[0] > 1
            return right(x[:-1] if odd else x, axis=axis, keepdims=keepdims)

        return kernel

    return Faulty("sum", change)


def tail_model() -> Any:
    return nn.Linear(4, 5)


# -- the weight gradient of a matrix product is laid out wrongly unless it is square ---------------


def transposed() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(x: Array, y: Array) -> Array:
            out = right(x, y)
            turned = x.ndim == 2 and x.strides[0] < x.strides[1]
            if not turned or out.shape[0] == out.shape[1]:
                return out
            return np.ascontiguousarray(out.T).reshape(out.shape)

        return kernel

    return Faulty("matmul", change)


class Product(nn.Module):
    def __init__(self) -> None:
        self.weight = nn.Parameter(ig.random.normal((4, 3)))

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return ig.tanh(x @ self.weight)


def transposed_model() -> Any:
    return Product()


# -- dropout applies its factor twice to cotangents that are all equal -----------------------------


def twice() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(x: Array, key: Array, *, p: float) -> Array:
            out = right(x, key, p=p)
            constant = x.ndim and all(stride == 0 for stride in x.strides)
            return (out / (1.0 - p)).astype(x.dtype) if constant else out

        return kernel

    return Faulty("dropout", change)


def twice_model() -> Any:
    model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.25))
    return model, lambda model, x: model(x).sum()


# -- threads write overlapping chunks --------------------------------------------------------------


def race() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(x: Array) -> Array:
            out = right(x).copy()
            flat, late = out.reshape(-1), np.frombuffer(os.urandom(out.size), np.uint8) & 1

            def finish(start: int) -> None:
                # The other chunk's thread is ahead, or not, at each element of the seam.
                part = slice(start, start + out.size // 2 + 4)
                flat[part] += (late[part] * 1e-3).astype(out.dtype)

            threads = [threading.Thread(target=finish, args=(s,)) for s in (0, out.size // 2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return out

        return kernel

    return Faulty("tanh", change)


def race_model() -> Any:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh())


# -- the update skips the last parameter -----------------------------------------------------------


def skipped() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(lr: Array, *tensors: Array, **static: Any) -> Any:
            out = list(right(lr, *tensors, **static))
            count = len(tensors) // (3 if static["momentum"] else 2)
            out[count - 1] = tensors[count - 1]
            return tuple(out)

        return kernel

    return Faulty("sgd_update", change)


def skipped_model() -> Any:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    return model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


class Fault(NamedTuple):
    """A fault, the batch that meets it, and what `diff` must say of it."""

    what: str
    name: str
    op: str
    phase: str
    shape: tuple[int, ...]
    kind: str = "normal"


FAULTS = (
    Fault("average-pool ceil-mode divisor", "divisor", "window_sum", "forward", (2, 1, 10, 10)),
    Fault(
        "embedding's padding row above a size", "padding_row", "where", "backward", (8, 16), "ids"
    ),
    Fault("padding dropped for channels-last memory", "padding", "conv", "forward", (2, 6, 6, 3)),
    Fault("max-pool tie to the wrong index", "tie", "max_pool_grad", "backward", (2, 3, 8)),
    Fault("BatchNorm's biased running variance", "variance", "mul", "update", (6, 4)),
    Fault("tail of a sum at sizes 1 mod 16", "tail", "sum", "backward", (33, 4)),
    Fault(
        "weight gradient right only for square shapes", "transposed", "matmul", "backward", (6, 4)
    ),
    Fault("dropout mask scaled twice in backward", "twice", "dropout", "backward", (6, 4)),
    Fault("race between threads", "race", "tanh", "forward", (16, 4)),
    Fault("update that skips the last parameter", "skipped", "sgd_update", "update", (6, 4)),
)


def batch(fault: Fault) -> Array:
    rng = np.random.default_rng(0)
    if fault.kind == "ids":
        return rng.integers(0, 8, fault.shape)
    return rng.normal(size=fault.shape).astype(np.float32)


# -- a backend that ends the process, or never answers ---------------------------------------------


def crash() -> Faulty:
    """Write outside of memory for large arrays, as code without bounds checks does."""

    def change(right: Kernel) -> Kernel:
        def kernel(x: Array) -> Array:
            if x.size > 9:
                ctypes.memset(1, 0, x.nbytes)
            return right(x)

        return kernel

    return Faulty("tanh", change)


def hang() -> Faulty:
    def change(right: Kernel) -> Kernel:
        def kernel(x: Array) -> Array:
            time.sleep(600.0)
            return right(x)

        return kernel

    return Faulty("tanh", change)


def exits() -> Faulty:
    os._exit(7)
