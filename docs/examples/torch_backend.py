"""A backend whose arrays are PyTorch's, from the kernels over the array API."""

import array_api_compat.torch as xp
import numpy as np
import torch

from isograd.backend import PROTOCOL_VERSION, Capabilities, Device, dtypes, xp_kernels

# PyTorch's own round some square roots wrongly, overflow too early, lose small numbers or the sign
# of zero, lack unsigned dtypes, or leave more of a matrix's NaN or rounding in a result.
FROM_NUMPY = (
    *(
        "sqrt",
        "sinh",
        "cosh",
        "erf",
        "remainder",
        "flip",
        "greater_equal",
        "dropout",
        "random_normal",
    ),
    *("bitwise_left_shift", "bitwise_right_shift"),
    *("cholesky", "eigh", "eigvalsh", "svd", "svdvals", "pinv", "lstsq"),
)


class TorchMemory:
    """The memory of the device ``torch``."""

    device_type = "torch"
    array_type = torch.Tensor

    def devices(self):
        return [Device("torch")]

    def from_host(self, array, device):
        array = np.array(array, order="C")
        if array.dtype.name == "bfloat16":
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    def to_host(self, array):
        if array.dtype == torch.bfloat16:
            bits = array.contiguous().view(torch.int16).numpy()
            return bits.view(dtypes.as_dtype("bfloat16"))
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
        host = xp_kernels(np)
        self._kernels.update({name: self._through_numpy(host[name]) for name in FROM_NUMPY})

    def _through_numpy(self, kernel):
        memory, device = self.memory, Device("torch")

        def run(*arrays, **static):
            out = kernel(*(memory.to_host(x) for x in arrays), **static)
            if isinstance(out, tuple):
                return tuple(memory.from_host(np.asarray(part), device) for part in out)
            return memory.from_host(np.asarray(out), device)

        return run

    def kernel(self, name):
        return self._kernels.get(name)

    def capabilities(self):
        return Capabilities(dtypes=frozenset(dtypes.real_dtypes()))

    def set_num_threads(self, count):
        """Do nothing: results of PyTorch depend on the number of its threads."""

    def get_num_threads(self):
        return 1

    def describe(self):
        return {"torch": torch.__version__}


def create():
    return TorchBackend()
