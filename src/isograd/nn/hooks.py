"""Hooks: functions of the user's that a module calls around its passes and its state.

Their signatures are torch's, so hooks written for torch's modules work here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Literal, NamedTuple, Self, cast

from isograd.core.dtypes import is_inexact
from isograd.core.errors import AutodiffError
from isograd.core.pytree import tree_flatten, tree_unflatten
from isograd.core.watched import changes
from isograd.runtime.custom import custom_vjp
from isograd.runtime.tensor import Tensor

__all__ = ["Hooked", "RemovableHandle"]

Kind = Literal[
    "forward_pre",
    "forward",
    "backward_pre",
    "backward",
    "state_dict_pre",
    "state_dict",
    "load_state_dict_pre",
    "load_state_dict",
]

_next_key = itertools.count().__next__


class _Hook(NamedTuple):
    """A function, and how it is called."""

    fn: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


class RemovableHandle:
    """What registering a hook returns: `remove` takes the hook away, as leaving a ``with`` does.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.ReLU()
    >>> with layer.register_forward_hook(lambda module, args, out: out * 10.0):
    ...     inside = layer(ig.ones(1)).item()
    >>> inside, layer(ig.ones(1)).item()
    (10.0, 1.0)
    """

    def __init__(self, hooks: dict[int, _Hook], key: int) -> None:
        self._hooks = hooks
        self._key = key

    def remove(self) -> None:
        """Take the hook away; again does nothing."""
        self._hooks.pop(self._key, None)
        changes.structure += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


class Hooked:
    """What `Module` knows of hooks."""

    # By kind, then by number in order of calls. An instance makes its own when one is registered.
    _hooks: Mapping[str, dict[int, _Hook]] = MappingProxyType({})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output."""
        raise NotImplementedError

    # -- registering -------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``.

        Parameters
        ----------
        hook : callable
            Returns None, or other arguments for ``forward``: a tuple, or the only one.
        prepend : bool
            Call it before the hooks that are there, not after them.
        with_kwargs : bool
            Call ``hook(module, args, kwargs)``, which returns None or ``(args, kwargs)``.

        Returns
        -------
        RemovableHandle
        """
        return self._hook("forward_pre", _Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``.

        Parameters
        ----------
        hook : callable
            Returns None, or another output.
        prepend : bool
            Call it before the hooks that are there, not after them.
        with_kwargs : bool
            Call ``hook(module, args, kwargs, output)``.
        always_call : bool
            Call it with the output None where ``forward`` or another hook raised, too.

        Returns
        -------
        RemovableHandle

        Examples
        --------
        >>> import isograd as ig
        >>> model = ig.nn.Sequential(ig.nn.Linear(3, 2), ig.nn.ReLU())
        >>> shapes = []
        >>> _ = model[0].register_forward_hook(lambda m, args, out: shapes.append(out.shape))
        >>> _ = model(ig.ones((5, 3)))
        >>> shapes
        [(5, 2)]
        """
        return self._hook("forward", _Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the gradients of the outputs are known.

        ``grad_output`` is a tuple. The hook returns None, or other gradients to go back with.
        """
        return self._hook("backward_pre", _Hook(hook), prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when both gradients are known.

        Both are tuples: of the positional arguments, with None for one that needs no gradient, and
        of the outputs. The hook returns None, or another ``grad_input``.

        Examples
        --------
        >>> import isograd as ig
        >>> layer, norms = ig.nn.Tanh(), []
        >>> _ = layer.register_full_backward_hook(lambda m, gi, go: norms.append(gi[0].tolist()))
        >>> x = ig.tensor([0.0, 0.0], requires_grad=True)
        >>> layer(x).sum().backward()
        >>> norms
        [[1.0, 1.0]]
        """
        return self._hook("backward", _Hook(hook), prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before this module's part of `state_dict`."""
        return self._hook("state_dict_pre", _Hook(hook))

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)``, which may change the state.

        ``prefix`` stands before this module's names; ``local_metadata`` is empty here.
        """
        return self._hook("state_dict", _Hook(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call a hook before `load_state_dict` looks at this module's part of the state.

        It is called as ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` and may change ``state_dict``, which is a copy, and add to
        the lists.

        Examples
        --------
        >>> import isograd as ig
        >>> layer = ig.nn.Linear(1, 1, bias=False)
        >>> def rename(module, state, prefix, *_):
        ...     state[prefix + "weight"] = state.pop(prefix + "kernel")
        >>> _ = layer.register_load_state_dict_pre_hook(rename)
        >>> _ = layer.load_state_dict({"kernel": ig.ones((1, 1))})
        >>> layer.weight.item()
        1.0
        """
        return self._hook("load_state_dict_pre", _Hook(hook))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after `load_state_dict` has loaded.

        Clearing its lists accepts the names that only one side has; loading raises for what is
        left where ``strict``. Hooks are called before anything is loaded.
        """
        return self._hook("load_state_dict", _Hook(hook))

    def _hook(self, kind: Kind, hook: _Hook, prepend: bool = False) -> RemovableHandle:
        if not callable(hook.fn):
            raise TypeError(
                f"{type(self).__name__}: a hook is a {type(hook.fn).__name__}; pass a function"
            )
        if "_hooks" not in self.__dict__:
            object.__setattr__(self, "_hooks", {})
        own: Any = self._hooks
        hooks: dict[int, _Hook] = own.setdefault(kind, {})
        key = _next_key()
        before = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[key] = hook
        hooks.update(before)
        changes.structure += 1
        return RemovableHandle(hooks, key)

    def hook_keys(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Return the kinds of hooks that there are, and the number that each hook got."""
        return tuple([(kind, tuple(hooks)) for kind, hooks in self._hooks.items()])

    def _hooks_of(self, kind: Kind) -> list[_Hook]:
        return list(self._hooks.get(kind, {}).values())

    # -- calling -----------------------------------------------------------------------------------

    def _call_hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run ``forward`` between its hooks."""
        called: set[int] = set()
        try:
            for hook in self._hooks_of("forward_pre"):
                args, kwargs = _changed_arguments(self, hook, args, kwargs)
            backward = _Backward(self)
            args = backward.enter(args)
            out = backward.leave(self.forward(*args, **kwargs))
            for hook in self._hooks_of("forward"):
                called.add(id(hook.fn))
                extra = (kwargs,) if hook.with_kwargs else ()
                changed = hook.fn(self, args, *extra, out)
                out = out if changed is None else changed
            return out
        except BaseException:
            for hook in self._hooks_of("forward"):
                if hook.always_call and id(hook.fn) not in called:
                    hook.fn(self, args, *((kwargs,) if hook.with_kwargs else ()), None)
            raise


def _changed_arguments(
    module: Hooked, hook: _Hook, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    changed: Any = hook.fn(module, args, kwargs) if hook.with_kwargs else hook.fn(module, args)
    if changed is None:
        return args, kwargs
    several = cast("tuple[Any, ...]", changed) if isinstance(changed, tuple) else (changed,)
    if not hook.with_kwargs:
        return several, kwargs
    if len(several) != 2:
        raise TypeError(
            f"{type(module).__name__}: a forward pre-hook with kwargs returned {len(several)} "
            "values; return None or (args, kwargs)"
        )
    return several[0], several[1]


class _Backward:
    """Puts identities around a module whose pullbacks call the backward hooks."""

    def __init__(self, module: Hooked) -> None:
        self._module = module
        self._hooks = module._hooks_of("backward")  # pyright: ignore[reportPrivateUsage]
        self._pre = module._hooks_of("backward_pre")  # pyright: ignore[reportPrivateUsage]
        self._followed: list[int] = []
        self._count = 0
        self._grad_output: tuple[Tensor | None, ...] = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self._hooks:
            return args
        self._count = len(args)
        self._followed = [i for i, arg in enumerate(args) if _is_followed(arg)]
        if not self._followed:
            return args
        taps = _identity([args[i] for i in self._followed], self._input_gradients)
        changed = list(args)
        for i, tap in zip(self._followed, taps, strict=True):
            changed[i] = tap
        return tuple(changed)

    def leave(self, out: Any) -> Any:
        if not (self._hooks or self._pre):
            return out
        leaves, structure = tree_flatten(out)
        followed = [i for i, leaf in enumerate(leaves) if _is_followed(leaf)]
        if not followed:
            return out
        taps = _identity(
            [leaves[i] for i in followed],
            lambda cts: self._output_gradients(cts, followed, len(leaves)),
        )
        for i, tap in zip(followed, taps, strict=True):
            leaves[i] = tap
        return tree_unflatten(structure, leaves)

    def _output_gradients(
        self, cts: Sequence[Tensor], followed: list[int], count: int
    ) -> list[Tensor]:
        grads: list[Tensor | None] = [None] * count
        for i, ct in zip(followed, cts, strict=True):
            grads[i] = ct
        self._grad_output = tuple(grads)
        for hook in self._pre:
            changed = hook.fn(self._module, self._grad_output)
            if changed is not None:
                self._grad_output = self._checked(changed, count, "backward pre-hook")
        if not self._followed:
            for hook in self._hooks:
                hook.fn(self._module, (None,) * self._count, self._grad_output)
        return [self._grad_output[i] for i in followed]  # pyright: ignore[reportReturnType]

    def _input_gradients(self, cts: Sequence[Tensor]) -> list[Tensor]:
        grads: list[Tensor | None] = [None] * self._count
        for i, ct in zip(self._followed, cts, strict=True):
            grads[i] = ct
        grad_input = tuple(grads)
        for hook in self._hooks:
            changed = hook.fn(self._module, grad_input, self._grad_output)
            if changed is not None:
                grad_input = self._checked(changed, self._count, "backward hook")
        return [grad_input[i] for i in self._followed]  # pyright: ignore[reportReturnType]

    def _checked(self, changed: Any, count: int, kind: str) -> tuple[Tensor | None, ...]:
        given = cast("tuple[Any, ...]", changed) if isinstance(changed, tuple) else (changed,)
        if len(given) != count:
            raise AutodiffError(
                f"{type(self._module).__name__}: a {kind} returned {len(given)} gradients where "
                f"there are {count}; return a tuple with one for each, or None"
            )
        return given


def _is_followed(value: Any) -> bool:
    return isinstance(value, Tensor) and value.edge is not None and is_inexact(value.dtype)


def _identity(
    tensors: Sequence[Tensor], pullback: Callable[[Sequence[Tensor]], Sequence[Tensor]]
) -> Sequence[Tensor]:
    """Return the tensors, connected so that their cotangents go through ``pullback``."""
    if not tensors:
        return tensors

    def forward(*xs: Tensor) -> tuple[tuple[Tensor, ...], None]:
        return xs, None

    def backward(_: None, cts: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(pullback(cts))

    tap = custom_vjp(lambda *xs: xs)
    tap.defvjp(forward, backward)
    return tap(*tensors)
