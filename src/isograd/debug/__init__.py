"""Finding out what a program did: which operation first made NaN, and every kernel that ran.

- `nan_origin`: the first operation, forward or backward, that makes a value that is not finite
- `watching`: each kernel's inputs and outputs, with the user's line and the module
"""

from __future__ import annotations

from isograd.debug.nan import NanReport, nan_origin
from isograd.debug.watch import Call, Place, watching

__all__ = ["Call", "NanReport", "Place", "nan_origin", "watching"]
