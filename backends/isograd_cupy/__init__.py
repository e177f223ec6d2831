"""The place of the CUDA backend: it lets ``isograd doctor`` say why there is no ``cuda``."""

from __future__ import annotations

from typing import NoReturn

from isograd.backend import BackendUnavailableError

__all__ = ["create"]


def create() -> NoReturn:
    """Raise the reason: this release computes on the CPU only.

    Raises
    ------
    BackendUnavailableError
        Always.
    """
    raise BackendUnavailableError(
        "this release has no CUDA backend yet (a later one will need isograd[cuda12] or "
        "isograd[cuda13]); use device='cpu'"
    )
