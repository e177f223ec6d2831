"""autocast: products in 16 bits while a block runs."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from isograd.core.config import modes, switched
from isograd.core.dtypes import as_dtype, bfloat16, float16, is_half
from isograd.core.errors import DTypeError

__all__ = ["autocast"]


class autocast(contextlib.ContextDecorator):  # noqa: N801 - torch's name
    """Compute products of float32 tensors in 16 bits while the block runs.

    Linear maps, matrix products, convolutions and attention take their operands in ``dtype``; sums
    within them are in float32. Softmax and losses take theirs in float32. All else stays as it is.
    Parameters stay in float32, and so do their gradients. Run forward passes in the block, and
    ``backward`` behind it; a compiled function may be in the block, or contain it.

    Parameters
    ----------
    device_type : str
        ``"cpu"`` or ``"cuda"``.
    dtype : dtype, optional
        ``float16`` or ``bfloat16``; by default the second on ``"cpu"`` and the first on ``"cuda"``.
    enabled : bool
        With False, switch autocasting off in the block.

    Raises
    ------
    DTypeError
        If the dtype has not 16 bits, or bfloat16 is not installed.

    Notes
    -----
    P. Micikevicius et al.: Mixed precision training, 2018.

    Examples
    --------
    >>> import isograd as ig
    >>> with autocast("cpu", dtype=ig.float16):
    ...     product = ig.ones((2, 2)) @ ig.ones((2, 2))
    >>> product.dtype
    dtype('float16')
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True) -> None:
        wanted = as_dtype(dtype) if dtype is not None else float16
        if dtype is None and device_type == "cpu":
            found = bfloat16()
            if found is None and enabled:
                raise DTypeError(
                    "autocast: bfloat16 needs the package ml_dtypes; run pip install "
                    "'isograd[bfloat16]', or pass dtype=isograd.float16"
                )
            wanted = found or float16
        if not is_half(wanted):
            raise DTypeError(f"autocast: {wanted} has not 16 bits; pass float16 or bfloat16")
        self.device_type = device_type
        self.dtype = wanted if enabled else None
        self._entered: list[contextlib.AbstractContextManager[None]] = []

    def __enter__(self) -> autocast:
        plain = modes.numerics.partition(" with autocast")[0]
        named = plain if self.dtype is None else f"{plain} with autocast to {self.dtype}"
        block = switched(autocast=self.dtype, numerics=named)
        block.__enter__()
        self._entered.append(block)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.pop().__exit__(kind, error, trace)
