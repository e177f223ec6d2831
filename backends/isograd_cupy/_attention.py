"""Attention by tiles: no scores are kept, so memory grows with the length and not its square."""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_cupy._elementwise import contiguous
from isograd_cupy._launch import STRUCTS, Kernels, kernels
from isograd_cupy._layout import broadcast, compute_type, empty, pack, result
from isograd_cupy._sources import fill

__all__ = ["ATTENTION", "attention_module"]

_SIDE: Final = 32  # rows and columns of a tile
_WIDE: Final = 64  # elements of a result that a block makes for each row
_MOST: Final = 65535
_COMPUTE: Final = {"float": np.dtype(np.float32), "double": np.dtype(np.float64)}


def attention_module(dtype: np.dtype[Any], mask: np.dtype[Any], /) -> Kernels:
    """Return the kernels for a dtype of the arrays and one of the mask."""
    return kernels("attention", dtype, M=mask.name)


class _Call:
    """One attention: what its kernels have in common."""

    def __init__(
        self, q: Any, k: Any, v: Any, mask: Any | None, causal: bool, scale: float
    ) -> None:
        batch = q.shape[:-2]
        self.entries, self.dtype = prod(batch), q.dtype
        self.rows = q.shape[-2]
        self.columns, self.outer = v.shape[-2:]
        given = q if mask is None else broadcast(mask, (*batch, self.rows, self.columns))
        self.arrays = (q, k, v, given)
        axes = [
            (n, tuple([a.strides[i] // a.itemsize for a in self.arrays]))
            for i, n in enumerate(batch)
            if n != 1
        ]
        facts = np.zeros((), STRUCTS["Attention"])
        facts["rows"], facts["columns"], facts["outer"] = self.rows, self.columns, self.outer
        facts["inner"], facts["scale"] = q.shape[-1], scale
        facts["causal"], facts["masked"] = causal, mask is not None
        for name, array in zip(("q", "k", "v", "mask"), self.arrays, strict=True):
            facts[name] = [s // array.itemsize for s in array.strides[-2:]]
        self._more = (pack(axes, 4), facts, self.entries)
        self._module = attention_module(q.dtype, given.dtype)

    def launch(self, name: str, tiled: int, width: int, *more: Any) -> None:
        """Launch blocks for tiles of so many rows or columns, and parts of so many elements."""
        grid = (-(-tiled // _SIDE), -(-width // _WIDE), min(self.entries, _MOST))
        self._module.launch(name, (*self.arrays, *more, *self._more), grid)


def _attention(
    q: Any, k: Any, v: Any, mask: Any | None = None, *, causal: bool, scale: float
) -> Any:
    out = result(0, (*q.shape[:-1], v.shape[-1]), q.dtype)
    if not out.size or not k.shape[-2]:
        return fill(out, 0)
    call = _Call(q, k, v, mask, causal, scale)
    call.launch("attention", call.rows, call.outer, out)
    return out


def _attention_grad(
    g: Any, q: Any, k: Any, v: Any, mask: Any | None = None, *, causal: bool, scale: float
) -> tuple[Any, Any, Any]:
    found = [result(i, a.shape, a.dtype) for i, a in enumerate((q, k, v))]
    if not g.size or not k.shape[-2]:
        return tuple([fill(a, 0) for a in found])  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
    call = _Call(q, k, v, mask, causal, scale)
    wide = _COMPUTE[compute_type(q.dtype)]
    facts = [empty((call.entries, call.rows), wide) for _ in range(3)]
    seed = contiguous(g)
    call.launch("attention_rows", call.rows, 1, seed, *facts)
    of_q, of_k, of_v = found
    call.launch("attention_grad_q", call.rows, q.shape[-1], seed, *facts, of_q)
    width = max(q.shape[-1], call.outer)
    call.launch("attention_grad_kv", call.columns, width, seed, *facts, of_k, of_v)
    return of_q, of_k, of_v


ATTENTION: Final[dict[str, Kernel]] = {"attention": _attention, "attention_grad": _attention_grad}
