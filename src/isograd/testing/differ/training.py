"""One training step of a user's model: what it is made of, and how it is run."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

import isograd as ig
from isograd.backend import Backend
from isograd.core import dtypes
from isograd.core.pytree import tree_flatten
from isograd.nn import Module
from isograd.optim import Optimizer
from isograd.testing.differ.targets import TargetError, load
from isograd.testing.execute import on_device_of, outputs
from isograd.testing.raised import told

__all__ = ["Training", "packed_inputs", "read_inputs"]

Array = Any
Build = Callable[[], Any]


def read_inputs(file: Path | str | IO[bytes]) -> tuple[Array, ...]:
    """Read a batch from ``.npz`` (its arrays in the order in which they were saved) or ``.npy``.

    Raises
    ------
    TargetError
        If the file cannot be read, or holds Python objects.
    """
    try:
        found = np.load(file, allow_pickle=False)
        return tuple(found[name] for name in found.files) if hasattr(found, "files") else (found,)
    except Exception as error:
        # NumPy takes every other file for a pickle, and advises to load that.
        why = "it is no .npz or .npy of numbers" if "pickle" in str(error) else str(error)
        raise TargetError(
            f"diff: cannot read {str(file)!r}: {why}; write the batch with numpy.savez(file, "
            "x=x, y=y)"
        ) from error


def packed_inputs(inputs: Sequence[Any]) -> bytes:
    """Return a batch as `read_inputs` reads it."""
    out = io.BytesIO()
    np.savez(out, *map(np.asarray, inputs))
    return out.getvalue()


class Training:
    """A model with its loss and optimizer, made anew by ``build``.

    Parameters
    ----------
    build
        ``pkg.mod:build`` or a function without arguments. It returns a module or a function of the
        inputs, alone or in a tuple with an optimizer, and a loss: a function of the model and the
        inputs. Without a loss, the model's output is contracted with fixed numbers.
    inputs
        Arrays. Floating-point ones are given the model's dtype.
    dtype
        A floating dtype for model and inputs; the model's own when None.
    seed
        Where `isograd.random` starts before the model is built, and again before it is run.
    backend
        Who will compute: model and inputs are put on its device.

    Attributes
    ----------
    dtype, own_dtype : dtype or None
        In which it runs, and in which it would run unless told otherwise.

    Raises
    ------
    TargetError
        If `build` raises, or returns something else.
    """

    def __init__(
        self,
        build: str | Build,
        inputs: Sequence[Array],
        dtype: Any = None,
        seed: int = 0,
        backend: Backend | None = None,
    ) -> None:
        name = build if isinstance(build, str) else getattr(build, "__qualname__", "build")
        make: Build = load(build) if isinstance(build, str) else build
        self.seed = seed
        self._device = "cpu" if backend is None else backend.memory.device_type
        ig.random.manual_seed(seed)
        try:
            with contextlib.nullcontext() if backend is None else on_device_of(backend):
                made: Any = make()
        except Exception as error:
            raise TargetError(
                f"diff: {name} raised {told(error)}; it is "
                "called without arguments, and returns the model"
            ) from error
        parts: list[Any] = [*outputs(made)]
        self.optimizer: Any = next((p for p in parts if isinstance(p, Optimizer)), None)
        functions = [p for p in parts if callable(p) and not isinstance(p, Optimizer)]
        if not functions or len(functions) > 2:
            raise TargetError(
                f"diff: {name} returned {type(made).__name__}; return a module or a function, or "
                "a tuple of it with an optimizer and a loss(model, *inputs)"
            )
        self.model: Any = functions[0]
        self._loss: Any = functions[1] if len(functions) == 2 else None
        own = [p.dtype for p in self.parameters.values()]
        given = [dtypes.as_dtype(d) for x in inputs if dtypes.is_floating(d := np.asarray(x).dtype)]
        self.own_dtype: Any = next(iter([*own, *given]), None)
        self._set_dtype(dtype)
        with contextlib.nullcontext() if backend is None else on_device_of(backend):
            self.inputs = [self._prepared(x) for x in inputs]

    def _set_dtype(self, dtype: Any) -> None:
        own = [p.dtype for p in self.parameters.values()]
        self.dtype = dtypes.as_dtype(dtype) if dtype is not None else None
        if self.dtype is None:
            self.dtype = own[0] if own else None
        elif any(d != self.dtype for d in own):
            self.model.to(self.dtype)
            for slots in () if self.optimizer is None else self.optimizer.state.values():
                for slot, value in slots.items():
                    if isinstance(value, ig.Tensor) and value.dtype == own[0]:
                        slots[slot] = value.astype(self.dtype)

    @property
    def modules(self) -> list[Module]:
        """The model, if it is a module."""
        return [self.model] if isinstance(self.model, Module) else []

    @property
    def parameters(self) -> dict[str, Any]:
        """The model's parameters by name."""
        return {name: p for module in self.modules for name, p in module.named_parameters()}

    @property
    def buffers(self) -> dict[str, Any]:
        """The model's buffers by name."""
        return {name: b for module in self.modules for name, b in module.named_buffers()}

    def _prepared(self, value: Any) -> Any:
        x = ig.asarray(value.numpy() if isinstance(value, ig.Tensor) else value)
        x = x.to(self._device)
        if not dtypes.is_floating(x.dtype):
            return x
        if self.dtype is not None:
            x = x.astype(self.dtype)
        return x if self.modules else x.detach().requires_grad_(True)

    # -- running -----------------------------------------------------------------------------------

    def loss(self) -> Any:
        """Run the model and return the loss."""
        return self.loss_of(self.model, self.inputs)

    def loss_of(self, model: Any, inputs: Sequence[Any]) -> Any:
        """Return the loss of a model like this one on given inputs."""
        if self._loss is not None:
            return self._loss(model, *inputs)
        outs = [
            out
            for out in tree_flatten(model(*inputs))[0]
            if isinstance(out, ig.Tensor) and dtypes.is_floating(out.dtype)
        ]
        if not outs:
            raise TargetError("diff: the model returned no floating-point tensor; return one")
        if len(outs) == 1 and outs[0].shape == ():
            return outs[0]
        rng = np.random.default_rng(0)
        total: Any = None
        for out in outs:
            # Sixteenths, which every dtype holds.
            ct = rng.integers(8, 17, out.shape) / 16.0 * rng.choice((-1.0, 1.0), out.shape)
            term = (out * ig.asarray(ct, device=out.device).astype(out.dtype)).sum()
            total = term if total is None else total + term
        return total

    def step(self) -> Any:
        """Run forward, backward and, if there is an optimizer, the update; return the loss."""
        ig.random.manual_seed(self.seed)
        loss = self.loss()
        if not isinstance(loss, ig.Tensor):
            raise TargetError(
                f"diff: the loss is {type(loss).__name__}; return a tensor of one element"
            )
        if loss.requires_grad:
            loss.backward()
            if self.optimizer is not None:
                self.optimizer.step()
        return loss

    @contextlib.contextmanager
    def explained(self, what: str) -> Any:
        """Say which part failed where the model itself raises."""
        try:
            yield
        except TargetError:
            raise
        except Exception as error:
            advice = "" if self.inputs else "; there are no inputs, so name a file: --input FILE"
            raise TargetError(f"diff: {what} raised {told(error)}{advice}") from error
