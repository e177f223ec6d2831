"""Standardising over axes, a block of threads for each row."""

from __future__ import annotations

from math import prod
from typing import Any, Final

from isograd.backend import Kernel
from isograd_cupy._launch import kernels
from isograd_cupy._layout import pack, result

__all__ = ["NORMALIZATION"]


def _over_rows(name: str) -> Kernel:
    """Make a kernel of arrays of one shape, whose axes are rows or inside of one."""

    def kernel(*arrays: Any, axis: tuple[int, ...], eps: float, centred: bool) -> Any:
        shape = arrays[0].shape
        out = result(0, shape, arrays[0].dtype)
        if not out.size:
            return out
        every = (*arrays, out)

        def layout(axes: list[int]) -> Any:
            found = [(shape[i], tuple([a.strides[i] // a.itemsize for a in every])) for i in axes]
            return pack([pair for pair in found if pair[0] != 1], len(every))

        outside = [i for i in range(len(shape)) if i not in axis]
        rows, n = prod([shape[i] for i in outside]), prod([shape[i] for i in axis])
        layouts = layout(outside), layout(sorted(axis))
        arguments = (*every, *layouts, rows, n, float(eps), int(centred))
        kernels("standardize", out.dtype).launch(name, arguments, (min(rows, 1 << 20),))
        return out

    return kernel


NORMALIZATION: Final[dict[str, Kernel]] = {
    name: _over_rows(name) for name in ("standardize", "standardize_grad")
}
