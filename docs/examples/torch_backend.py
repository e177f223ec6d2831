"""A backend whose arrays are PyTorch's, from the kernels over the array API."""

import array_api_compat.torch as xp
import numpy as np
import torch

from isograd.backend import PROTOCOL_VERSION, Capabilities, Device, dtypes, xp_kernels

NAMES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")


class TorchMemory:
    """The memory of the device ``torch``."""

    device_type = "torch"
    array_type = torch.Tensor

    def devices(self):
        return [Device("torch")]

    def from_host(self, array, device):
        return torch.from_numpy(np.array(array, order="C"))

    def to_host(self, array):
        return array.numpy()

    def empty(self, shape, dtype, device):
        return torch.empty(shape, dtype=getattr(torch, dtype.name))

    def synchronize(self, device):
        """PyTorch on the CPU is synchronous."""

    def as_array(self, value):
        return value if isinstance(value, torch.Tensor) else torch.as_tensor(value)


class TorchBackend:
    """Computes with PyTorch on the CPU."""

    name = "torch"
    version = torch.__version__
    protocol_version = PROTOCOL_VERSION

    def __init__(self):
        self.memory = TorchMemory()
        self._kernels = xp_kernels(xp)

    def kernel(self, name):
        return self._kernels.get(name)

    def capabilities(self):
        return Capabilities(dtypes=frozenset(dtypes.as_dtype(name) for name in NAMES))

    def set_num_threads(self, count):
        torch.set_num_threads(count)

    def get_num_threads(self):
        return torch.get_num_threads()

    def describe(self):
        return {"torch": torch.__version__}


def create():
    return TorchBackend()
