"""Debugging: with ``ISOGRAD_CUDA_DEBUG=1`` every launch is waited for, so that errors name it.

CUDA reports what a kernel did wrong at some later call. In this mode nothing is later.
"""

from __future__ import annotations

import os

import cupy

__all__ = ["debugging", "launched"]


class _Settings:
    debug = os.environ.get("ISOGRAD_CUDA_DEBUG") == "1"


def debugging() -> bool:
    """Tell whether every launch is waited for."""
    return _Settings.debug


def launched(what: str, /) -> None:
    """Wait for what was launched, if debugging.

    Raises
    ------
    RuntimeError
        With the name of what failed.
    """
    if _Settings.debug:
        try:
            cupy.cuda.runtime.deviceSynchronize()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise RuntimeError(f"{what} failed on the GPU: {error}") from error
