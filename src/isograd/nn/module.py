"""Module: parameters, buffers and submodules under names, found by looking at attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from isograd.core.config import modes
from isograd.core.devices import Device
from isograd.core.dtypes import as_dtype, complex64, is_complex, is_floating, result_type
from isograd.core.errors import DTypeError
from isograd.core.frames import warn_user
from isograd.core.watched import changes
from isograd.nn.hooks import Hooked
from isograd.nn.state import IncompatibleKeys, collect_state, load_state
from isograd.ops.creation import zeros_like
from isograd.runtime.batched import Batched, check_inside
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["Buffer", "IncompatibleKeys", "Module", "Parameter"]


class Buffer(NamedTuple):
    """A tensor that becomes a buffer of the module it is assigned to, under the attribute's name.

    Parameters
    ----------
    data : Tensor or None
        The first value; the attribute is this tensor, and is rebound to update it.
    persistent : bool
        Whether it belongs to the state dict.

    Examples
    --------
    >>> import isograd as ig
    >>> module = ig.nn.Module()
    >>> module.count = ig.nn.Buffer(ig.zeros(2))
    >>> module.count = module.count + 1
    >>> module.state_dict()["count"].tolist()
    [1.0, 1.0]
    """

    data: Tensor | None = None
    persistent: bool = True


class Module(Hooked):
    """Base class of layers and models: subclasses make their parts, and define ``forward``.

    Attributes that are a `Parameter` or a `Module` are found under their attribute's name, so there
    is nothing to register; ``super().__init__()`` may be called, and does nothing.

    Attributes
    ----------
    training : bool
        Whether layers such as `Dropout` behave as in training. Changed by `train` and `eval`.

    Examples
    --------
    >>> import isograd as ig
    >>> from isograd import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self) -> None:
    ...         self.factor = nn.Parameter(ig.ones(3))
    ...
    ...     def forward(self, x: ig.Tensor) -> ig.Tensor:
    ...         return x * self.factor
    >>> model = nn.Sequential(Scale(), nn.Linear(3, 1))
    >>> [name for name, _ in model.named_parameters()]
    ['0.factor', '1.weight', '1.bias']
    """

    training: bool = True

    # Each buffer, and whether it belongs to the state dict. Replaced, never changed in place.
    _buffers: Mapping[str, bool] = MappingProxyType({})

    # Attributes that are functions of others, as a normalised weight. Replaced as well.
    _computed: Mapping[str, Callable[[Any], Tensor]] = MappingProxyType({})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output. Call the module itself rather than this."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward; define it in the subclass"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if modes.trace is not None:
            if self._buffers and self._own_buffers():
                modes.trace.check_declared(self, f"a buffer of {type(self).__name__}")
            modes.trace.visit(self)
        if self._hooks:
            return self._call_hooked(args, kwargs)
        return self.forward(*args, **kwargs)

    def __delattr__(self, name: str) -> None:
        changes.structure += 1
        object.__delattr__(self, name)

    if not TYPE_CHECKING:  # a checker would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            compute = self._computed.get(name)
            if compute is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return compute(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Buffer):
            self._buffers = {**self._buffers, name: value.persistent}
            value = value.data
        before = self.__dict__.get(name)
        if isinstance(before, Tensor) and isinstance(value, Tensor) and name in self._buffers:
            changes.numbers += 1
        elif before is not value:
            changes.structure += 1
        if (
            isinstance(before, Parameter)
            and isinstance(value, Tensor)
            and not isinstance(value, Parameter)
        ):
            raise TypeError(
                f"{type(self).__name__}: {name!r} is a Parameter, and a plain Tensor would take "
                f"it out of the model; write module.{name}.assign_(value), or assign a Parameter"
            )
        if name in self._buffers and not (value is None or isinstance(value, Tensor)):
            raise TypeError(
                f"{type(self).__name__}: {name!r} is a buffer, got {type(value).__name__}; "
                "assign a Tensor or None"
            )
        if modes.trace is not None and name in self._buffers and isinstance(value, Tensor):
            self._check_buffer(name, before, value)
        object.__setattr__(self, name, value)

    def _check_buffer(self, name: str, before: Any, value: Tensor) -> None:
        """Refuse to leave in a buffer what belongs to the examples of a `isograd.vmap`."""
        if isinstance(before, Tensor) and before.array.__class__ is not Batched:
            check_inside(
                value,
                type(self).__name__,
                f"the buffer {name!r}",
                "call eval() on the module, or pass its buffers to isograd.nn.functional_call",
            )

    # -- making parts ------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None, /) -> None:
        """Make ``param`` the attribute ``name``; None stands for a parameter that is left out.

        Raises
        ------
        TypeError
            If ``param`` is neither a Parameter nor None.
        ValueError
            If ``name`` is empty, has a dot, or is taken.
        """
        _check_kind("register_parameter", name, param, Parameter, "wrap it in nn.Parameter")
        self._check_name("register_parameter", name)
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, /, persistent: bool = True) -> None:
        """Make ``tensor`` the attribute ``name``: state that is not trained, as a running mean.

        Parameters
        ----------
        name : str
            The attribute's name.
        tensor : Tensor or None
            The first value; rebind the attribute to update it.
        persistent : bool
            Whether the buffer belongs to the state dict.

        Raises
        ------
        TypeError
            If ``tensor`` is neither a Tensor nor None.
        ValueError
            If ``name`` is empty, has a dot, or is taken.

        Examples
        --------
        >>> import isograd as ig
        >>> module = ig.nn.Module()
        >>> module.register_buffer("count", ig.zeros(()))
        >>> module.count = module.count + 1
        >>> module.state_dict()["count"].item()
        1.0
        """
        _check_kind("register_buffer", name, tensor, Tensor, "make it one with isograd.tensor")
        self._check_name("register_buffer", name)
        self._buffers = {**self._buffers, name: persistent}
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module | None, /) -> None:
        """Make ``module`` the attribute ``name``.

        Raises
        ------
        TypeError
            If ``module`` is neither a Module nor None.
        ValueError
            If ``name`` is empty, has a dot, or is taken by something that is not a module.
        """
        _check_kind("add_module", name, module, Module, "pass an instance of one")
        if not isinstance(self.__dict__.get(name), Module):
            self._check_name("add_module", name)
        setattr(self, name, module)

    register_module = add_module

    def _check_name(self, function: str, name: str) -> None:
        if not name or "." in name:
            raise ValueError(
                f"{function}: {name!r} cannot name an attribute; use a name without dots"
            )
        if hasattr(self, name):
            raise ValueError(
                f"{function}: {type(self).__name__} has a {name!r} already; choose another name"
            )

    # -- finding parts -----------------------------------------------------------------------------

    def _own_modules(self) -> list[tuple[str, Module]]:
        return [(name, value) for name, value in self.__dict__.items() if isinstance(value, Module)]

    def _own_parameters(self) -> list[tuple[str, Parameter]]:
        return [
            (name, value) for name, value in self.__dict__.items() if isinstance(value, Parameter)
        ]

    def _own_buffers(self, *, persistent_only: bool = False) -> list[tuple[str, Tensor]]:
        found = [
            (name, self.__dict__.get(name))
            for name, persistent in self._buffers.items()
            if persistent or not persistent_only
        ]
        return [(name, value) for name, value in found if isinstance(value, Tensor)]

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Iterate over this module, named ``prefix``, and all below it, with dotted names."""
        seen: set[Module] = set() if memo is None else memo
        if remove_duplicate and self in seen:
            return
        seen.add(self)
        yield prefix, self
        dotted = f"{prefix}." if prefix else ""
        for name, child in self._own_modules():
            yield from child.named_modules(seen, dotted + name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Iterate over this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Iterate over the modules directly below, each once, with their names."""
        seen: set[int] = set()
        for name, module in self._own_modules():
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Iterate over the modules directly below, each once."""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Iterate over parameters with dotted names; a shared one comes once, under its first."""
        return self._named(
            lambda module: module._own_parameters(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Iterate over the parameters, each once.

        Modules in a plain list, tuple or dict are not found, which is warned of, unless the name of
        the attribute begins with an underscore.
        """
        if recurse:
            self._warn_of_hidden()
        return (param for _, param in self.named_parameters(recurse=recurse))

    def _warn_of_hidden(self) -> None:
        modules = list(self.modules())
        held: list[tuple[Module, str, Any]] = [
            (module, name, value) for module in modules for name, value in vars(module).items()
        ]
        for module, name, value in held:
            if name.startswith("_") or type(value) not in (list, tuple, dict):
                continue
            items: Any = value.values() if hasattr(value, "values") else value
            if any(isinstance(item, Module) and item not in modules for item in items):
                warn_user(
                    f"parameters: {type(module).__name__}.{name} is a {type(value).__name__} with "
                    "modules, whose parameters are not found; make it an nn.ModuleList or "
                    "nn.ModuleDict, or begin its name with an underscore",
                    UserWarning,
                )

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Iterate over the buffers with their dotted names."""
        return self._named(lambda module: module._own_buffers(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Iterate over the buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(
        self,
        own: Callable[[Module], list[tuple[str, Any]]],
        prefix: str,
        recurse: bool,
        remove_duplicate: bool,
    ) -> Iterator[tuple[str, Any]]:
        modules = (
            self.named_modules(None, prefix, remove_duplicate)
            if recurse
            else iter([(prefix, self)])
        )
        seen: set[int] = set()
        for path, module in modules:
            dotted = f"{path}." if path else ""
            for name, value in own(module):
                if remove_duplicate and id(value) in seen:
                    continue
                seen.add(id(value))
                yield dotted + name, value

    def get_submodule(self, target: str, /) -> Module:
        """Return the module with this dotted name; ``""`` is the module itself.

        Raises
        ------
        AttributeError
            If there is none.
        """
        module = self
        for name in target.split(".") if target else []:
            child = module.__dict__.get(name)
            if not isinstance(child, Module):
                raise AttributeError(
                    f"get_submodule: {type(module).__name__} has no submodule {name!r} (of "
                    f"{target!r}); named_modules() lists the names"
                )
            module = child
        return module

    def get_parameter(self, target: str, /) -> Parameter:
        """Return the parameter with this dotted name.

        Raises
        ------
        AttributeError
            If there is none.
        """
        path, _, name = target.rpartition(".")
        param = self.get_submodule(path).__dict__.get(name)
        if not isinstance(param, Parameter):
            raise AttributeError(
                f"get_parameter: there is no parameter {target!r}; named_parameters() lists the "
                "names"
            )
        return param

    def get_buffer(self, target: str, /) -> Tensor:
        """Return the buffer with this dotted name.

        Raises
        ------
        AttributeError
            If there is none.
        """
        path, _, name = target.rpartition(".")
        buffers = dict(self.get_submodule(path)._own_buffers())
        if name not in buffers:
            raise AttributeError(
                f"get_buffer: there is no buffer {target!r}; named_buffers() lists the names"
            )
        return buffers[name]

    # -- state -------------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "") -> dict[str, Tensor]:
        """Return parameters and persistent buffers by dotted name, as torch names them.

        The tensors are the values of now, without history: training later rebinds the parameters
        and leaves these alone.

        Examples
        --------
        >>> import isograd as ig
        >>> {name: t.shape for name, t in ig.nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        return collect_state(self, prefix)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], /, strict: bool = True
    ) -> IncompatibleKeys:
        """Take over parameters and buffers by name, all or nothing.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
            As `state_dict` returns it. Values are moved to the device of what they replace.
        strict : bool
            Whether names that only one side has are an error. Wrong shapes and dtypes always are.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``; both empty where ``strict``.

        Raises
        ------
        StateDictError
            If something does not fit. One message lists all of it, and nothing is loaded.
        """
        return load_state(self, state_dict, strict)

    # -- changing all parts ------------------------------------------------------------------------

    def apply(self, fn: Callable[[Module], Any], /) -> Self:
        """Call ``fn`` with every module below this one, then with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, or with ``mode=False`` to evaluation."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode: no dropout, and the like."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Choose whether ``backward`` leaves gradients on the parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters, or with ``set_to_none=False`` make them zeros."""
        for param in self.parameters():
            if param.grad is not None:
                param.grad = None if set_to_none else zeros_like(param.grad)

    def to(self, *targets: Any, device: Any = None, dtype: Any = None) -> Self:
        """Move parameters and buffers to a device, convert the floating-point ones, or both.

        Complex ones become complex64, or complex128 for float64.

        Parameters stay the same objects, so an optimizer keeps them; make it afterwards all the
        same, since its own state is not converted. Gradients are dropped.

        Parameters
        ----------
        *targets : Device, str or dtype
            A device (``"cpu"``), a dtype (``isograd.float64``), or both.
        device, dtype
            The same by keyword.

        Raises
        ------
        DTypeError
            If the dtype is not floating-point.

        Examples
        --------
        >>> import isograd as ig
        >>> ig.nn.Linear(2, 1).to(ig.float64).weight.dtype
        dtype('float64')
        """
        for target in targets:
            if _is_device(target):
                device = target
            else:
                dtype = target
        if dtype is not None:
            dtype = as_dtype(dtype)
            if not is_floating(dtype):
                raise DTypeError(
                    f"to: a module cannot be converted to {dtype}; use a floating-point dtype, as "
                    "float32"
                )

        def convert(value: Tensor) -> Tensor:
            value = value.detach()
            if dtype is not None and is_complex(value.dtype):
                value = value.astype(result_type(dtype, complex64))
            elif dtype is not None and is_floating(value.dtype):
                value = value.astype(dtype)
            return value if device is None else value.to(device)

        for param in list(self.parameters()):
            param.rehouse_(convert(param))
        for module in self.modules():
            for name, buffer in module._own_buffers():
                setattr(module, name, convert(buffer))
        return self

    def cpu(self) -> Self:
        """Move parameters and buffers to the host."""
        return self.to(device="cpu")

    def cuda(self, index: int | None = None, /) -> Self:
        """Move parameters and buffers to a CUDA device."""
        return self.to(device="cuda" if index is None else f"cuda:{index}")

    def half(self) -> Self:
        """Convert floating-point parameters and buffers to float16."""
        return self.to(dtype="float16")

    def bfloat16(self) -> Self:
        """Convert floating-point parameters and buffers to bfloat16."""
        return self.to(dtype="bfloat16")

    def float(self) -> Self:
        """Convert floating-point parameters and buffers to float32."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """Convert floating-point parameters and buffers to float64."""
        return self.to(dtype="float64")

    # -- printing ----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return what stands in the parentheses of the module's ``repr``."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({name}): {module!r}" for name, module in self._own_modules()]
        if not children:
            return f"{type(self).__name__}({extra})"
        lines = "\n".join([extra, *children] if extra else children).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {lines}\n)"


def _check_kind(function: str, name: str, value: object, kind: type, advice: str) -> None:
    if not (value is None or isinstance(value, kind)):
        given = type(value).__name__
        raise TypeError(f"{function}: {name!r} is a {given}, not a {kind.__name__}; {advice}")


def _is_device(target: Any) -> bool:
    if isinstance(target, str):
        return target.partition(":")[0] not in ("bfloat16", "float16", "float32", "float64")
    return isinstance(target, Device)
