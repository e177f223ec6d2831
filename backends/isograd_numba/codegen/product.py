"""Products in programs: the register tiles of `isograd_numba._tile`, with a kernel on each part.

One function serves all products of a dtype. It takes sizes, strides in bytes and addresses, so
nothing is compiled for a new shape. When a part of the output is complete it is still in the
first-level cache, and a function that the program brings runs on it there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from isograd.backend.schedule import Product
from isograd_numba import _threads
from isograd_numba._jit import emitted, step_address
from isograd_numba._llvm import ir as _llvm_ir
from isograd_numba._matmul import DEPTH, DIRECT, PADDING, REREAD, block_rows
from isograd_numba._tile import Shape, emit_pack, emit_row, emit_strip, shape_for

__all__ = ["PARAMETERS", "Layout", "layout", "panel", "scratch_bytes", "step"]

PER_THREAD: Final = 1 << 20  # multiplications that are worth a thread
PARAMETERS: Final = 31


def panel(dtype: str, /) -> int:
    """Return the columns of a panel: parts of an output begin at multiples of it."""
    return shape_for(dtype).columns


def scratch_bytes(dtype: str, /) -> int:
    """Return the memory that each share of a product needs."""
    shape = shape_for(dtype)
    rows = block_rows(shape.itemsize)
    return (DEPTH * shape.columns + rows * (DEPTH + PADDING)) * shape.itemsize


def emit_call(builder: Any, function: Any, *arguments: Any) -> None:
    """Call the function at an address with the address of its arguments, and numbers."""
    ir = _llvm_ir()
    word = ir.IntType(64)
    parameters = [word.as_pointer(), *[word] * (len(arguments) - 1)]
    kind = ir.FunctionType(ir.VoidType(), parameters)
    pointer = builder.inttoptr(function, kind.as_pointer())
    builder.call(pointer, [builder.inttoptr(arguments[0], word.as_pointer()), *arguments[1:]])


@functools.cache
def step(dtype: str, /) -> int:
    """Return the address of the function of products."""
    shape = shape_for(dtype)
    strip = emitted(emit_strip, shape, parameters=12)
    pack = emitted(emit_pack, shape, parameters=7)
    multiply_row = emitted(emit_row, shape, parameters=10)
    finish = emitted(emit_call, parameters=7)
    columns, item, block, reread = shape.columns, shape.itemsize, DEPTH, REREAD
    direct_rows = DIRECT * shape.rows[0]
    panel_step, row_step = columns * item, (DEPTH + PADDING) * item
    share_bytes = scratch_bytes(dtype)

    def product(
        start: int, stop: int, x: int, y: int, out: int, scratch: int,
        rows: int, depth: int, width: int, x_row: int, x_column: int, y_row: int, y_column: int,
        matrices: int, inner: int, innermost: int,
        x_outer: int, x_inner: int, x_innermost: int, y_outer: int, y_inner: int, y_innermost: int,
        blocks: int, sub_blocks: int, x_block: int, x_sub: int, y_block: int, y_sub: int,
        shares: int, row_parts: int, column_parts: int, function: int, arguments: int,
    ) -> None:  # fmt: skip
        """Run shares [start, stop) of the parts: (matrix of the batch, rows, panels of columns)."""
        panels = (width + columns - 1) // columns
        parts = matrices * row_parts * column_parts
        packed_y = scratch + start * share_bytes
        packed_x = packed_y + block * panel_step
        for part in range(parts * start // shares, parts * stop // shares):
            matrix = part // (row_parts * column_parts)
            row_part = part // column_parts % row_parts
            column_part = part % column_parts
            first, last = rows * row_part // row_parts, rows * (row_part + 1) // row_parts
            first_panel = panels * column_part // column_parts
            last_panel = panels * (column_part + 1) // column_parts
            count = last_panel - first_panel
            direct = y_column == item and last - first <= direct_rows
            packs_x = x_row != item and last - first > 1 and count >= reread
            outer_index = matrix // (inner * innermost)
            inner_index, innermost_index = matrix // innermost % inner, matrix % innermost
            a_start = (
                x
                + first * x_row
                + (outer_index * x_outer + inner_index * x_inner + innermost_index * x_innermost)
            )
            b_start = y + (
                outer_index * y_outer + inner_index * y_inner + innermost_index * y_innermost
            )
            c_start = out + (matrix * rows + first) * width * item
            for step in range(blocks * sub_blocks * ((depth + block - 1) // block)):
                piece = step // ((depth + block - 1) // block)
                k = step % ((depth + block - 1) // block) * block
                length = min(block, depth - k)
                whole_block, sub_block = piece // sub_blocks, piece % sub_blocks
                a_block = a_start + whole_block * x_block + sub_block * x_sub
                b_block = b_start + whole_block * y_block + sub_block * y_sub
                ends = function != 0 and k + block >= depth and piece + 1 == blocks * sub_blocks
                a, a_row, a_column = a_block + k * x_column, x_row, x_column
                if packs_x:
                    pack(a, x_row, x_column, packed_x, row_step, last - first, length)
                    a, a_row, a_column = packed_x, row_step, item
                first_column, last_column = first_panel * columns, min(width, last_panel * columns)
                if last - first == 1:
                    done = multiply_row(
                        a, a_column, b_block + k * y_row + first_column * y_column, y_row, y_column,
                        c_start + first_column * item, length, step, 0, last_column - first_column,
                    )  # fmt: skip
                    if ends and done > 0:
                        finish(
                            function, arguments, matrix, first, last, first_column,
                            first_column + done,
                        )  # fmt: skip
                    first_column += done
                for n in range(first_column, last_column, columns):
                    wide = min(columns, width - n)
                    b, b_row = b_block + k * y_row + n * y_column, y_row
                    if not direct or wide < columns:
                        pack(b, y_row, y_column, packed_y, panel_step, length, wide)
                        b, b_row = packed_y, panel_step
                    strip(
                        a, a_row, a_column, b, b_row, c_start + n * item, width * item,
                        length, step, wide, 0, last - first,
                    )  # fmt: skip
                    if ends:
                        finish(function, arguments, matrix, first, last, n, n + wide)

    return step_address(product, PARAMETERS)


class Layout:
    """How a product is laid out and cut: everything but addresses.

    Attributes
    ----------
    numbers : list of int
        The parameters from ``rows`` to ``column_parts``.
    shares : int
        Work items, which threads share.
    """

    def __init__(self, numbers: list[int], shares: int) -> None:
        self.numbers = numbers
        self.shares = shares


def layout(product: Product, /) -> Layout | None:
    """Return how to run a product; None where its batch has too many axes to be run here."""
    x, y, out = product.x, product.y, product.out
    item = np.dtype(out.dtype).itemsize
    batch, count = out.shape[:-2], product.blocks
    k = len(x.shape) - 1 - count
    steps = [
        _batch_strides(x.shape[: k - 1], x.strides[: k - 1], batch),
        _batch_strides(y.shape[: -2 - count], y.strides[: -2 - count], batch),
    ]
    axes = _joined(batch, steps)
    inner = len(y.shape) - 2 - count
    sums = _joined(x.shape[k:], [list(x.strides[k:]), list(y.strides[inner:-1])])
    sums = sums or [(1, x.strides[-1], y.strides[-2])]
    depth, x_column, y_row = sums.pop()
    if len(axes) > 3 or len(sums) > 2:
        return None
    axes = [(1, 0, 0)] * (3 - len(axes)) + axes
    sums = [(1, 0, 0)] * (2 - len(sums)) + sums
    matrices, work = math.prod(batch), math.prod(x.shape[k:])
    rows, width = out.shape[-2:]
    shares, row_parts, column_parts = _parts(rows, width, matrices, work, shape_for(out.dtype))
    numbers = [rows, depth, width, x.strides[k - 1] * item, x_column * item]
    numbers += [y_row * item, y.strides[-1] * item]
    numbers += [matrices, axes[1][0], axes[2][0]]
    numbers += [a[1] * item for a in axes] + [a[2] * item for a in axes]
    numbers += [sums[0][0], sums[1][0]]
    numbers += [b[1] * item for b in sums] + [b[2] * item for b in sums]
    numbers += [shares, row_parts, column_parts]
    return Layout(numbers, shares)


def _batch_strides(shape: Sequence[int], strides: Sequence[int], batch: Sequence[int]) -> list[int]:
    missing = len(batch) - len(shape)
    spread = [s if n != 1 else 0 for n, s in zip(shape, strides, strict=True)]
    return [0] * missing + spread


def _joined(batch: Sequence[int], steps: list[list[int]]) -> list[tuple[int, int, int]]:
    """Return the batch axes with both strides, neighbours joined where memory allows."""
    axes: list[tuple[int, int, int]] = []
    for n, a, b in zip(batch, *steps, strict=True):
        if n == 1:
            continue
        if axes and axes[-1][1] == a * n and axes[-1][2] == b * n:
            axes[-1] = (axes[-1][0] * n, a, b)
        else:
            axes.append((n, a, b))
    return axes


def _parts(rows: int, width: int, matrices: int, depth: int, shape: Shape) -> tuple[int, int, int]:
    """Return how many shares, parts of the rows and parts of the columns a product is cut into.

    No result depends on this: an element of the output is always the sum over k in one order.
    """
    work = rows * width * matrices * depth
    shares = min(_threads.get_num_threads(), max(1, work // PER_THREAD))
    row_parts = -(-rows // block_rows(shape.itemsize))
    if matrices * row_parts % shares == 0 or matrices >= 4 * shares:
        return shares, row_parts, 1
    panels = -(-width // shape.columns)
    if rows < width and (panels % shares == 0 or panels >= 4 * shares):
        return shares, row_parts, shares
    return shares, shares * -(-row_parts // shares), 1
