"""Layers that are one function of the input, with options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = ["Applied"]


class Applied(Module):
    """Base class of layers that apply a function; what it takes beside the input are attributes."""

    _function: ClassVar[Callable[..., Any]]
    _options: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that the function takes after the input, in its order."""

    def forward(self, x: Tensor, /) -> Any:
        """Return what the layer's function makes of ``x``."""
        return type(self)._function(x, *[getattr(self, name) for name in self._options])

    def extra_repr(self) -> str:
        return self._shown(*self._options)

    def _shown(self, *names: str) -> str:
        return ", ".join([f"{name}={getattr(self, name)!r}" for name in names])
