"""Spectral normalisation: a weight divided by its largest singular value."""

from __future__ import annotations

from typing import Any, TypeVar

from isograd.nn.hooks import RemovableHandle
from isograd.nn.module import Module
from isograd.nn.utils.computed import plain_parameter, set_computed, unset_computed
from isograd.ops.convert import axis_of
from isograd.ops.elementwise import maximum
from isograd.ops.linear import matmul, vecdot
from isograd.ops.movement import permute_dims, reshape
from isograd.ops.random import normal
from isograd.ops.reductions import vector_norm
from isograd.runtime.modes import no_grad
from isograd.runtime.tensor import Tensor

__all__ = ["remove_spectral_norm", "spectral_norm"]

M = TypeVar("M", bound=Module)


class _Spectral:
    """Computes ``W / (u W v)``; as a hook, brings u and v nearer to the singular vectors."""

    def __init__(self, name: str, iterations: int, eps: float, dim: int) -> None:
        self.name = name
        self.handle: RemovableHandle | None = None
        self._iterations = iterations
        self._eps = eps
        self._dim = dim

    def matrix(self, weight: Tensor) -> Tensor:
        rest = [i for i in range(weight.ndim) if i != self._dim]
        turned = permute_dims(weight, (self._dim, *rest)) if self._dim else weight
        return reshape(turned, (turned.shape[0], -1))

    def unit(self, x: Tensor) -> Tensor:
        return x / maximum(vector_norm(x), self._eps)

    def _vector(self, module: Any, part: str) -> Tensor:
        return getattr(module, f"{self.name}_{part}")

    def __call__(self, module: Any) -> Tensor:
        weight: Tensor = getattr(module, f"{self.name}_orig")
        u, v = self._vector(module, "u"), self._vector(module, "v")
        return weight / vecdot(u, matmul(self.matrix(weight), v))

    def iterate(self, module: Any, args: Any) -> None:
        """Do what comes before each forward pass in training: power iterations."""
        del args
        if not module.training:
            return
        with no_grad():
            matrix = self.matrix(getattr(module, f"{self.name}_orig"))
            u, v = self._vector(module, "u"), self._vector(module, "v")
            for _ in range(self._iterations):
                v = self.unit(matmul(u, matrix))
                u = self.unit(matmul(matrix, v))
        setattr(module, f"{self.name}_u", u.detach())
        setattr(module, f"{self.name}_v", v.detach())


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide a weight by an estimate of its largest singular value.

    The estimate is that of power iteration, continued at each call in training (Miyato et al.,
    "Spectral Normalization for Generative Adversarial Networks", 2018). The parameter becomes
    ``weight_orig``, with buffers ``weight_u`` and ``weight_v``, as ``torch.nn.utils.spectral_norm``
    names them; ``weight`` is computed whenever it is read.

    Parameters
    ----------
    module : Module
        Changed in place. Make the optimizer afterwards.
    name : str
        Of the parameter.
    n_power_iterations : int
        Iterations for each call in training.
    eps : float
        The least length that a vector is divided by.
    dim : int, optional
        The axis that becomes the rows of the matrix: 1 for transposed convolutions, 0 for all
        others unless given.

    Returns
    -------
    Module
        The same module.

    Raises
    ------
    ValueError
        If there is no such parameter, it is normalised already, or ``n_power_iterations`` is not
        positive.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = spectral_norm(ig.nn.Linear(1, 1, bias=False))
    >>> abs(layer(ig.ones((1, 1))).item()), list(layer.state_dict())
    (1.0, ['weight_orig', 'weight_u', 'weight_v'])
    """
    if n_power_iterations < 1:
        raise ValueError(
            f"spectral_norm: n_power_iterations={n_power_iterations} is not positive; use at "
            "least 1"
        )
    weight = plain_parameter("spectral_norm", module, name)
    if dim is None:
        dim = int(type(module).__name__.startswith("ConvTranspose"))
    compute = _Spectral(name, n_power_iterations, eps, axis_of("spectral_norm", dim, weight.ndim))
    rows, columns = compute.matrix(weight.detach()).shape
    set_computed(module, name, compute)
    module.register_parameter(f"{name}_orig", weight)
    for part, size in (("u", rows), ("v", columns)):
        drawn = normal((size,), dtype=weight.dtype, device=weight.device)
        module.register_buffer(f"{name}_{part}", compute.unit(drawn))
    compute.handle = module.register_forward_pre_hook(compute.iterate)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make a weight that `spectral_norm` replaced one parameter again, of its present value.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = remove_spectral_norm(spectral_norm(ig.nn.Linear(3, 2)))
    >>> list(layer.state_dict())
    ['bias', 'weight']
    """
    compute = unset_computed("remove_spectral_norm", module, name, _Spectral)
    compute.handle.remove()
    delattr(module, f"{name}_orig")
    for part in "uv":
        delattr(module, f"{name}_{part}")
        module._buffers = {  # pyright: ignore[reportPrivateUsage]
            k: v
            for k, v in module._buffers.items()  # pyright: ignore[reportPrivateUsage]
            if k != f"{name}_{part}"
        }
    return module
