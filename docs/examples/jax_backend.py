"""A backend whose arrays are JAX's, from the kernels over the array API."""

import jax
import jax.numpy as jnp
import numpy as np

from isograd.backend import PROTOCOL_VERSION, Capabilities, Device, dtypes, xp_kernels

jax.config.update("jax_enable_x64", True)

# On the CPU, XLA takes subnormal numbers for zero, in comparisons too, and loses NaN in minima.
FROM_NUMPY = (
    *("square", "floor", "ceil", "trunc", "round", "exp", "expm1", "log", "log1p", "log2"),
    *("log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("asinh", "acosh", "atanh", "erf", "erfc", "erfinv", "lgamma", "digamma", "polygamma"),
    *("sign", "add", "sub", "mul", "div", "pow", "maximum", "minimum", "floor_divide"),
    *("remainder", "atan2", "hypot", "logaddexp", "nextafter", "equal", "not_equal", "less"),
    *("less_equal", "greater", "greater_equal", "relu", "relu_grad", "sigmoid"),
    *("astype", "sigmoid_grad", "tanh_grad", "silu", "silu_grad", "gelu", "gelu_grad", "softplus"),
    *("matmul", "max", "min", "cumprod"),
)


class JaxMemory:
    """The memory of the device ``jax``."""

    device_type = "jax"
    array_type = type(jnp.zeros(()))

    def devices(self):
        return [Device("jax")]

    def from_host(self, array, device):
        return jax.device_put(np.array(array))  # jnp.asarray compiles a copy for each shape

    def to_host(self, array):
        return np.asarray(array)

    def empty(self, shape, dtype, device):
        return jax.device_put(np.zeros(shape, dtype))

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
        host = xp_kernels(np)
        self._kernels.update({name: self._through_numpy(host[name]) for name in FROM_NUMPY})

    def _through_numpy(self, kernel):
        memory, device = self.memory, Device("jax")

        def run(*arrays, **static):
            out = kernel(*(memory.to_host(x) for x in arrays), **static)
            return memory.from_host(np.asarray(out), device)

        return run

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
