"""Who runs the workloads: isograd on each backend, eager and compiled, and its peers.

A contender is built for a workload and an optimizer. Its ``step`` makes one whole training step,
waits for it, and returns the loss; ``parameters`` gives the weights as NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import rules
from workloads import Workload

Array = Any

__all__ = ["CONTENDERS", "Contender", "MissingError", "build", "import_for", "imported"]


class MissingError(Exception):
    """A contender that cannot take part here; the message says why, or what to install."""


class Contender(NamedTuple):
    """A network with its optimizer, ready for its first step."""

    step: Callable[[], float]
    parameters: Callable[[], Mapping[str, Array]]


def _optimizer(optim: Any, optimizer: str, parameters: Any, rate: float) -> Any:
    """Make an optimizer from torch's classes or isograd's."""
    if optimizer == "adam":
        betas = (rules.BETA1, rules.BETA2)
        return optim.Adam(parameters, lr=rate, betas=betas, eps=rules.EPS)
    momentum = rules.MOMENTUM if optimizer == "sgd" else 0.0
    return optim.SGD(parameters, lr=rate, momentum=momentum)


def _isograd(workload: Workload, optimizer: str, *, backend: str, compiled: bool) -> Contender:
    import isograd as ig
    from isograd import nn, optim

    (record,) = [record for record in ig.backends() if record.name == backend]
    if not record.available:
        raise MissingError(f"isograd's backend {backend} is not available: see `isograd doctor`")
    chosen = ig.use_backend(backend)
    with chosen:
        try:
            model = workload.model(nn)
        except AttributeError as error:
            raise MissingError(f"isograd lacks a layer: {error}") from error
        model.load_state_dict({**model.state_dict(), **workload.parameters()})
        model = model.to(ig.device(record.device))
        chosen_optimizer = _optimizer(
            optim, optimizer, model.parameters(), workload.rates[optimizer]
        )
        batch = [ig.tensor(array, device=record.device) for array in workload.examples()]

    def step(*batch: Any) -> Any:
        loss = workload.loss(nn.functional, model, *batch)
        loss.backward()
        chosen_optimizer.step()
        chosen_optimizer.zero_grad()
        return loss

    if compiled:
        step = ig.compile(step, state=(model, chosen_optimizer))

    def run() -> float:
        with chosen:
            return step(*batch).item()

    return Contender(run, lambda: {name: p.numpy() for name, p in model.named_parameters()})


def _torch(
    workload: Workload,
    optimizer: str,
    *,
    compiled: bool = False,
    channels_last: bool = False,
    device: str = "cpu",
) -> Contender:
    torch = imported("torch")
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError(f"PyTorch without CUDA here: {torch.__version__} sees no GPU")
    torch.backends.cudnn.allow_tf32 = False  # as isograd, and torch's own products
    model = workload.model(torch.nn)
    if channels_last:
        if not any(p.ndim == 4 for p in model.parameters()):
            raise MissingError("a layout for convolutions, and the workload has none")
        model = model.to(memory_format=torch.channels_last)
    weights = {name: torch.from_numpy(a) for name, a in workload.parameters().items()}
    model.load_state_dict({**model.state_dict(), **weights})
    model = model.to(device)
    chosen = _optimizer(torch.optim, optimizer, model.parameters(), workload.rates[optimizer])
    batch = [torch.from_numpy(array).to(device) for array in workload.examples()]
    loss_of: Callable[..., Any] = partial(workload.loss, torch.nn.functional, model)
    update = chosen.step
    if compiled:
        loss_of, update = torch.compile(loss_of), torch.compile(update)

    def step() -> float:
        loss = loss_of(*batch)
        loss.backward()
        update()
        chosen.zero_grad()
        return loss.item()

    return Contender(
        step, lambda: {name: p.detach().cpu().numpy() for name, p in model.named_parameters()}
    )


def _jax(workload: Workload, optimizer: str) -> Contender:
    jax = imported("jax")
    xp = jax.numpy
    formula = workload.jax_formula or workload.formula
    rate = workload.rates[optimizer]

    def step_of(p: Any, slots: Any, t: Any, *batch: Any) -> Any:
        loss, g = jax.value_and_grad(partial(formula, xp))(p, *batch)
        return loss, *rules.updated(optimizer, p, g, slots, t + 1.0, rate), t + 1.0

    jitted = jax.jit(step_of, donate_argnums=(0, 1))
    p = {name: xp.asarray(array) for name, array in workload.parameters().items()}
    state = [p, rules.first_slots(optimizer, p, xp.zeros_like), xp.zeros((), xp.float32)]
    batch = [xp.asarray(array) for array in workload.examples()]

    def step() -> float:
        nonlocal state
        loss, *state = jitted(*state, *batch)
        return float(loss)  # waits for the whole program

    return Contender(step, lambda: {name: np.asarray(a) for name, a in state[0].items()})


def _autograd(workload: Workload, optimizer: str) -> Contender:
    autograd = imported("autograd")
    import autograd.numpy as xp

    value_and_grad = autograd.value_and_grad(partial(workload.formula, xp))
    p = workload.parameters()
    slots = rules.first_slots(optimizer, p, np.zeros_like)
    batch = workload.examples()
    t = 0

    def step() -> float:
        nonlocal p, slots, t
        t += 1
        loss, g = value_and_grad(p, *batch)
        p, slots = rules.updated(optimizer, p, g, slots, t, workload.rates[optimizer])
        return float(loss)

    return Contender(step, lambda: p)


def _mygrad(workload: Workload, optimizer: str) -> Contender:
    mygrad = imported("mygrad")
    p = {name: mygrad.tensor(array) for name, array in workload.parameters().items()}
    arrays = {name: q.data for name, q in p.items()}
    slots = rules.first_slots(optimizer, arrays, np.zeros_like)
    batch = workload.examples()
    rate = workload.rates[optimizer]
    t = 0

    def step() -> float:
        nonlocal slots, t
        t += 1
        loss = workload.formula(mygrad, p, *batch)
        loss.backward()
        arrays = {name: q.data for name, q in p.items()}
        g = {name: q.grad for name, q in p.items()}
        new, slots = rules.updated(optimizer, arrays, g, slots, t, rate)
        for name, q in p.items():
            q.data[...] = new[name]
            q.null_grad()
        return loss.item()

    return Contender(step, lambda: {name: q.data for name, q in p.items()})


CONTENDERS: Mapping[str, Callable[[Workload, str], Contender]] = {
    "isograd-numba-compiled": partial(_isograd, backend="numba", compiled=True),
    "isograd-numpy-compiled": partial(_isograd, backend="numpy", compiled=True),
    "isograd-cupy-compiled": partial(_isograd, backend="cupy", compiled=True),
    "isograd-numba": partial(_isograd, backend="numba", compiled=False),
    "isograd-numpy": partial(_isograd, backend="numpy", compiled=False),
    "isograd-cupy": partial(_isograd, backend="cupy", compiled=False),
    "jax": _jax,
    "torch": _torch,
    "torch-channels-last": partial(_torch, channels_last=True),
    "torch-compile": partial(_torch, compiled=True),
    "torch-cuda": partial(_torch, device="cuda"),
    "torch-cuda-compile": partial(_torch, compiled=True, device="cuda"),
    "autograd": _autograd,
    "mygrad": _mygrad,
}

#: What a contender imports; its memory is counted from there on.
_IMPORTS = {"jax": "jax", "torch": "torch", "autograd": "autograd.numpy", "mygrad": "mygrad"}


def imported(name: str) -> Any:
    """Import a peer, or say that it is missing."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingError(f"{name} is not installed: pip install {name}") from error


def import_for(contender: str) -> None:
    """Import what a contender is made of."""
    name = contender.partition("-")[0]
    if name == "isograd":
        import isograd.compiler
        import isograd.optim

        backend = contender.split("-")[1]
        if backend in [record.name for record in isograd.backends() if record.available]:
            with isograd.use_backend(backend):
                pass
            if backend == "numba":
                imported("numba")
    else:
        imported(_IMPORTS[name])


def build(contender: str, workload: Workload, optimizer: str) -> Contender:
    """Build a contender.

    Raises
    ------
    MissingError
        If it is not installed, or lacks what the workload needs.
    """
    return CONTENDERS[contender](workload, optimizer)
