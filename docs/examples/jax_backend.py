"""A backend whose arrays are JAX's, from the kernels over the array API."""

import jax
import jax.numpy as jnp
import numpy as np

from isograd.backend import PROTOCOL_VERSION, Capabilities, Device, dtypes, xp_kernels

jax.config.update("jax_enable_x64", True)


class JaxMemory:
    """The memory of the device ``jax``."""

    device_type = "jax"
    array_type = type(jnp.zeros(()))

    def devices(self):
        return [Device("jax")]

    def from_host(self, array, device):
        return jnp.asarray(np.array(array))

    def to_host(self, array):
        return np.asarray(array)

    def empty(self, shape, dtype, device):
        return jnp.zeros(shape, dtype)

    def synchronize(self, device):
        jax.effects_barrier()

    def as_array(self, value):
        return value if isinstance(value, self.array_type) else jnp.asarray(value)


class JaxBackend:
    """Computes with JAX, one operation at a time."""

    name = "jax"
    version = jax.__version__
    protocol_version = PROTOCOL_VERSION

    def __init__(self):
        self.memory = JaxMemory()
        self._kernels = xp_kernels(jnp)

    def kernel(self, name):
        return self._kernels.get(name)

    def capabilities(self):
        return Capabilities(dtypes=frozenset(dtypes.real_dtypes()))

    def set_num_threads(self, count):
        """JAX chooses by itself."""

    def get_num_threads(self):
        return 1

    def describe(self):
        return {"jax": jax.__version__}


def create():
    return JaxBackend()
