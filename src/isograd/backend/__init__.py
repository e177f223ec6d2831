"""Everything that the author of a backend may import.

A backend is an object that follows `Backend`, made by a function that an entry point of the group
``isograd.backends`` names. `xp_kernels` gives it a kernel of every primitive over any namespace of
the Python array API standard; it overrides what its library does better.
"""

from isograd.backend.indices import check_indices, check_labels, program_index_error
from isograd.backend.protocols import (
    PROTOCOL_VERSION,
    Array,
    Backend,
    Capabilities,
    Executable,
    Held,
    Holding,
    Inspectable,
    Kernel,
    Lowering,
    Memory,
)
from isograd.backend.schedule import Schedule
from isograd.backend.xp import xp_kernels
from isograd.core import dtypes
from isograd.core.config import numerics_mode
from isograd.core.devices import Device
from isograd.core.errors import BackendUnavailableError, DeviceLostError, IndexOutOfRangeError

__all__ = [
    "PROTOCOL_VERSION",
    "Array",
    "Backend",
    "BackendUnavailableError",
    "Capabilities",
    "Device",
    "DeviceLostError",
    "Executable",
    "Held",
    "Holding",
    "IndexOutOfRangeError",
    "Inspectable",
    "Kernel",
    "Lowering",
    "Memory",
    "Schedule",
    "check_indices",
    "check_labels",
    "dtypes",
    "numerics_mode",
    "program_index_error",
    "xp_kernels",
]
