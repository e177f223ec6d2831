"""Derivatives as functions of functions: grad, vjp, jvp, jacobian, hessian, hvp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from isograd.core.config import modes, switched
from isograd.core.errors import AutodiffError, DTypeError, ShapeError
from isograd.core.pytree import TreeDef, tree_flatten, tree_unflatten
from isograd.runtime.autodiff import (
    alias,
    check_cotangent,
    follows_outer,
    pull_to,
    push,
    reachable,
    unit_seed,
)
from isograd.runtime.level import active_levels, claiming
from isograd.runtime.library import library
from isograd.runtime.parameter import Parameter
from isograd.runtime.tape import Edge
from isograd.runtime.tensor import Tensor
from isograd.runtime.vmap import vmap

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Pullback = Callable[[Any], Any]


class _Argument(NamedTuple):
    """One differentiated argument: what to call with, and how to shape gradients like it."""

    value: Any
    leaves: list[Tensor]
    rebuild: Callable[[list[Any]], Any]


def _is_module(value: Any) -> bool:
    return hasattr(value, "named_parameters")


def _as_float_tensor(function: str, leaf: Any, where: str) -> Tensor:
    t: Tensor = leaf if isinstance(leaf, Tensor) else library.tensor(leaf)
    if t.dtype.kind not in "fVc":
        raise DTypeError(
            f"{function}: {where} has dtype {t.dtype}, which has no derivative; convert it with "
            ".astype(isograd.float32), or leave it out of argnums"
        )
    return t


def _argument(function: str, value: Any, where: str) -> _Argument:
    """Give each tensor of an argument a fresh name; a module's parameters stand for themselves."""
    if _is_module(value):
        named = [(name, p) for name, p in value.named_parameters() if p.requires_grad]
        names = tuple(name for name, _ in named)

        def by_name(items: list[Any]) -> Any:
            return dict(zip(names, items, strict=True))

        return _Argument(value, [p for _, p in named], by_name)
    flat, structure = tree_flatten(value)
    leaves = [_fresh(_as_float_tensor(function, leaf, where)) for leaf in flat]

    def in_structure(items: list[Any]) -> Any:
        return tree_unflatten(structure, items)

    return _Argument(in_structure(leaves), leaves, in_structure)


def _fresh(t: Tensor) -> Tensor:
    # A Parameter cannot be replaced inside the objects that hold it, so it stands for itself.
    return t if isinstance(t, Parameter) and t.requires_grad else alias(t)


def _edge(t: Tensor) -> Edge:
    assert t.edge is not None
    return t.edge


def _call_recorded(
    fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], leaves: Sequence[Tensor]
) -> Any:
    before = modes.grad, modes.followed
    followed = [_edge(leaf)[0] for leaf in leaves if isinstance(leaf, Parameter)]
    modes.grad, modes.followed = True, modes.followed.union(followed)
    try:
        return fn(*args, **kwargs)
    finally:
        modes.grad, modes.followed = before


def _outputs(function: str, out: Any) -> tuple[list[Tensor], TreeDef]:
    leaves, structure = tree_flatten(out)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise AutodiffError(
                f"{function}: the function returned {type(leaf).__name__}; return tensors, or "
                "tuples, lists and dicts of them"
            )
    return leaves, structure


def _filled(cotangents: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    return [
        library.zeros(t.shape, dtype=t.dtype, device=t.device) if ct is None else ct
        for ct, t in zip(cotangents, like, strict=True)
    ]


def _closed(t: Tensor, record: bool) -> Tensor:
    """Hide the inner history of a result unless an outer derivative follows it."""
    return t if record else t.detach()


def vjp(fn: Callable[..., Any], /, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Run ``fn`` and return its output with a function that pulls cotangents back.

    Parameters
    ----------
    fn
        Takes ``primals``, returns tensors or a tree of them.
    *primals
        Floating-point tensors, trees of them, or modules.
    has_aux
        Whether ``fn`` returns a pair whose second part is passed through.

    Returns
    -------
    out
        What ``fn`` returned.
    vjp_fn : callable
        Takes a cotangent of ``out``'s structure, returns a tuple with a cotangent for each primal.
        May be called any number of times.
    aux
        Only if ``has_aux``.

    Raises
    ------
    DTypeError
        If a primal is not floating-point.
    ShapeError, DTypeError, DeviceMismatchError
        From ``vjp_fn``, if a cotangent does not fit.

    Examples
    --------
    >>> import isograd as ig
    >>> y, pull = ig.vjp(ig.sin, ig.tensor(0.0))
    >>> pull(ig.tensor(2.0))[0].item()
    2.0
    """
    arguments = [_argument("vjp", p, f"primal {i}") for i, p in enumerate(primals)]
    leaves = [leaf for a in arguments for leaf in a.leaves]
    home = modes.trace
    with claiming(leaves):
        result = _call_recorded(fn, [a.value for a in arguments], {}, leaves)
    result, aux = result if has_aux else (result, None)
    outs, structure = _outputs("vjp", result)
    wanted = [_edge(leaf) for leaf in leaves]

    def vjp_fn(ct: Any) -> tuple[Any, ...]:
        given, given_structure = tree_flatten(ct)
        if given_structure != structure:
            raise ShapeError(
                "vjp: the cotangent is built differently from the output; pass the same structure"
            )
        cts = [check_cotangent("vjp", out, c) for out, c in zip(outs, given, strict=True)]
        pairs = [(out.edge, c) for out, c in zip(outs, cts, strict=True)]
        with claiming(leaves):
            pulled = pull_to(pairs, wanted, levels=active_levels(home))
        items = iter(_filled(pulled, leaves))
        return tuple([a.rebuild([next(items) for _ in a.leaves]) for a in arguments])

    record = _follows_outer(outs, wanted)
    shown = tree_unflatten(structure, [_closed(out, record) for out in outs])
    return (shown, vjp_fn, aux) if has_aux else (shown, vjp_fn)


def _follows_outer(outs: Sequence[Tensor], wanted: Sequence[Edge]) -> bool:
    stop = frozenset(edge[0] for edge in wanted)
    return modes.grad and follows_outer(reachable([out.edge for out in outs], stop), stop)


def value_and_grad(
    fn: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    nan_safe: bool = False,
    create_graph: bool = False,
) -> Callable[..., tuple[Any, Any]]:
    """Turn ``fn`` into a function that returns its value and its gradient.

    Parameters
    ----------
    fn
        Returns a tensor of one element (and, if ``has_aux``, anything else beside it in a pair).
    argnums
        Which positional arguments to differentiate: floating-point tensors, trees of them, or
        modules.
    has_aux
        Whether ``fn`` returns ``(value, aux)``; the new function then returns ``((value, aux),
        gradient)``.
    nan_safe
        Whether zero cotangents stay zero where a derivative is infinite or NaN, as under
        `isograd.nan_safe`.
    create_graph
        Whether results by parameters and modules keep their history, so that ``backward()`` can
        go through them. By tensors that require gradients they always do, and inside another
        transform as well.

    Returns
    -------
    callable
        Returns ``(value, gradient)``. The gradient has the form of the argument, ``{name:
        gradient}`` for a module; for several ``argnums`` it is a tuple.

    Raises
    ------
    AutodiffError
        When called, if ``fn`` does not return one element.
    DTypeError
        When called, if a differentiated argument is not floating-point.

    Examples
    --------
    >>> import isograd as ig
    >>> value, slope = ig.value_and_grad(lambda x: (x**2).sum())(ig.tensor([1.0, 3.0]))
    >>> value.item(), slope.tolist()
    (10.0, [2.0, 6.0])
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(fn)
    def value_and_grad_fn(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        full = list(args)
        arguments: list[_Argument] = []
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise AutodiffError(
                    f"grad: argnums names argument {number}, but there are {len(args)} positional "
                    "arguments; pass what is differentiated by position"
                )
            argument = _argument("grad", args[number], f"argument {number}")
            full[number] = argument.value
            arguments.append(argument)
        leaves = [leaf for a in arguments for leaf in a.leaves]
        with claiming(leaves):
            result = _call_recorded(fn, full, kwargs, leaves)
        value, aux = result if has_aux else (result, None)
        if isinstance(value, Tensor) and value.dtype.kind == "c":
            raise AutodiffError(
                f"grad: the function returned {value.aval}, but a gradient is that of a real loss; "
                "return isograd.real, imag or abs of it, or use vjp"
            )
        if not isinstance(value, Tensor) or value.size != 1 or value.dtype.kind not in "fV":
            got = f"{value.aval}" if isinstance(value, Tensor) else type(value).__name__
            raise AutodiffError(
                f"grad: the function returned {got}, not one floating-point element; reduce it to "
                "a scalar, or use jacobian or vjp"
            )
        wanted = [_edge(leaf) for leaf in leaves]
        record = (create_graph and modes.grad) or _follows_outer([value], wanted)
        with claiming(leaves), switched(nan_safe=nan_safe or modes.nan_safe):
            pulled = pull_to([(value.edge, unit_seed(value))], wanted, record=record)
        items = iter(_filled(pulled, leaves))
        gradients = tuple([a.rebuild([next(items) for _ in a.leaves]) for a in arguments])
        shown = _closed(value, record)
        return (shown, aux) if has_aux else shown, gradients[0] if isinstance(
            argnums, int
        ) else gradients

    return value_and_grad_fn


def grad(
    fn: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    nan_safe: bool = False,
    create_graph: bool = False,
) -> Callable[..., Any]:
    """Turn ``fn`` into a function that returns its gradient; nests to any order.

    Parameters, errors: as `value_and_grad`. With ``has_aux`` the function returns ``(gradient,
    aux)``.

    Examples
    --------
    >>> import isograd as ig
    >>> third = ig.grad(ig.grad(ig.grad(lambda x: x**4)))
    >>> third(ig.tensor(2.0)).item()
    48.0
    >>> ig.grad(lambda x: ig.where(x > 0, ig.sqrt(x), 0.0), nan_safe=True)(ig.tensor(0.0)).item()
    0.0
    """
    both = value_and_grad(fn, argnums, has_aux, nan_safe=nan_safe, create_graph=create_graph)

    @functools.wraps(fn)
    def grad_fn(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_fn


def _check_sequences(function: str, primals: Any, tangents: Any) -> None:
    """Raise for a tensor where its rows would be taken for arguments."""
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise TypeError(
                f"{function}: {name} is a {type(given).__name__}; pass a tuple with one entry for "
                "each argument, such as (x,)"
            )


def jvp(
    fn: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], /
) -> tuple[Any, Any]:
    """Run ``fn`` and push tangents forward through it.

    Parameters
    ----------
    fn
        Takes ``primals``, returns tensors or a tree of them.
    primals, tangents
        Sequences of equal structure: floating-point tensors or trees of them.

    Returns
    -------
    out, out_tangent
        What ``fn`` returned, and its directional derivative, in the same structure.

    Raises
    ------
    ShapeError, DTypeError
        If tangents do not fit primals.

    Examples
    --------
    >>> import isograd as ig
    >>> y, dy = ig.jvp(lambda x: x**3, (ig.tensor(2.0),), (ig.tensor(1.0),))
    >>> y.item(), dy.item()
    (8.0, 12.0)
    """
    _check_sequences("jvp", primals, tangents)
    if len(primals) != len(tangents):
        raise ShapeError(
            f"jvp: there are {len(primals)} primals and {len(tangents)} tangents; pass one for each"
        )
    arguments = [_argument("jvp", p, f"primal {i}") for i, p in enumerate(primals)]
    leaves = [leaf for a in arguments for leaf in a.leaves]
    given: list[Any] = []
    for argument, tangent in zip(arguments, tangents, strict=True):
        items, structure = tree_flatten(tangent)
        expected = tree_flatten(argument.rebuild(list(argument.leaves)))[1]
        if structure != expected:
            raise ShapeError(
                "jvp: a tangent is built differently from its primal; pass the same structure"
            )
        given.extend(items)
    ts = [
        check_cotangent("jvp", leaf, t, "tangent", "primal")
        for leaf, t in zip(leaves, given, strict=True)
    ]
    with claiming(leaves):
        outs, structure = _outputs(
            "jvp", _call_recorded(fn, [a.value for a in arguments], {}, leaves)
        )
        wanted = [_edge(leaf) for leaf in leaves]
        record = modes.grad and (
            any(t.edge is not None for t in ts) or _follows_outer(outs, wanted)
        )
        pushed = push(
            [out.edge for out in outs],
            {edge[0]: [t] for edge, t in zip(wanted, ts, strict=True)},
            record=record,
        )
    return (
        tree_unflatten(structure, [_closed(out, record) for out in outs]),
        tree_unflatten(structure, _filled(pushed, outs)),
    )


def jacobian(fn: Callable[..., Any], argnums: int = 0) -> Callable[..., Tensor]:
    """Turn ``fn`` into a function that returns its Jacobian with respect to one tensor argument.

    Parameters
    ----------
    fn
        Returns one floating-point tensor, of shape ``out``.
    argnums
        The argument, a floating-point tensor of shape ``in``.

    Returns
    -------
    callable
        Returns a tensor of shape ``(*out, *in)``. One backward pass computes the rows together,
        so it needs the memory of as many as the output has elements.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.jacobian(lambda x: x * x)(ig.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @functools.wraps(fn)
    def jacobian_fn(*args: Any, **kwargs: Any) -> Tensor:
        def of_one(x: Any) -> Any:
            full = list(args)
            full[argnums] = x
            return fn(*full, **kwargs)

        x = _as_float_tensor("jacobian", args[argnums], f"argument {argnums}")
        out, pull = vjp(of_one, x)
        if not isinstance(out, Tensor):
            raise AutodiffError("jacobian: the function returned several tensors; return one")
        if out.dtype.kind == "c":
            raise AutodiffError(
                f"jacobian: the function returned {out.aval}, whose derivative has parts in two "
                "directions; return isograd.view_as_real of it, or use vjp or jvp"
            )
        basis: Tensor = library.eye(out.size, dtype=out.dtype, device=out.device)
        (rows,) = vmap(pull)(library.reshape(basis, (out.size, *out.shape)))
        return library.reshape(rows, (*out.shape, *x.shape))

    return jacobian_fn


def hessian(fn: Callable[..., Any], argnums: int = 0) -> Callable[..., Tensor]:
    """Turn a scalar function into one that returns its Hessian, of shape ``(*in, *in)``.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.hessian(lambda x: (x**3).sum())(ig.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacobian(grad(fn, argnums), argnums)


def hvp(
    fn: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], /
) -> tuple[Any, Any]:
    """Return the gradient of a scalar function and its Hessian times ``tangents``.

    Forward over reverse (Pearlmutter, "Fast exact multiplication by the Hessian", 1994).

    Returns
    -------
    gradient, product
        Tuples with one entry per primal.

    Examples
    --------
    >>> import isograd as ig
    >>> x, t = ig.tensor([1.0, 2.0]), ig.tensor([1.0, 1.0])
    >>> _, (hv,) = ig.hvp(lambda x: (x**3).sum(), (x,), (t,))
    >>> hv.tolist()
    [6.0, 12.0]
    """
    _check_sequences("hvp", primals, tangents)
    return jvp(grad(fn, tuple(range(len(primals)))), primals, tangents)
