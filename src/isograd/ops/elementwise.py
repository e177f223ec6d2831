"""All elementwise functions in one namespace."""

from isograd.ops import arithmetic, math
from isograd.ops.arithmetic import *  # noqa: F403
from isograd.ops.math import *  # noqa: F403

__all__ = arithmetic.__all__ + math.__all__  # pyright: ignore[reportUnsupportedDunderAll]
