"""`vmap` beside derivatives, loops, choices, rules of one's own, and itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig


def f64(values: Any, **options: Any) -> ig.Tensor:
    return ig.tensor(values, dtype="float64", **options)


def grid(*shape: int) -> ig.Tensor:
    return f64(np.random.default_rng(0).normal(size=shape))


def close(a: ig.Tensor, b: ig.Tensor) -> None:
    assert a.shape == b.shape
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-12)


def looped(fn: Any, *xs: ig.Tensor) -> ig.Tensor:
    return ig.stack([fn(*[x[i] for x in xs]) for i in range(xs[0].shape[0])])


def curve(x: ig.Tensor) -> ig.Tensor:
    return (ig.sin(x) * ig.cumulative_sum(x, axis=0)).sum() ** 2


def test_gradients_inside(backend):
    x = grid(4, 3)
    close(ig.vmap(ig.grad(curve))(x), looped(ig.grad(curve), x))
    assert not ig.vmap(ig.grad(curve))(x).requires_grad


def test_gradients_outside(backend):
    x = grid(4, 3)
    close(
        ig.grad(lambda x: ig.vmap(curve)(x).sum())(x),
        ig.grad(lambda x: looped(curve, x).sum())(x),
    )


def test_gradients_inside_and_outside():
    x = grid(4, 3)
    close(
        ig.grad(lambda x: (ig.vmap(ig.grad(curve))(x) ** 2).sum())(x),
        ig.grad(lambda x: (looped(ig.grad(curve), x) ** 2).sum())(x),
    )


def test_tangents_inside_and_outside():
    x, t = grid(4, 3), grid(4, 3)[::-1]

    def push(x: ig.Tensor, t: ig.Tensor) -> ig.Tensor:
        return ig.jvp(curve, (x,), (t,))[1]

    close(ig.vmap(push)(x, t), looped(push, x, t))
    close(ig.jvp(ig.vmap(curve), (x,), (t,))[1], looped(push, x, t))


def test_hessians_and_jacobians(backend):
    x = grid(4, 3)
    close(ig.vmap(ig.hessian(curve))(x), looped(ig.hessian(curve), x))

    def each(x: ig.Tensor) -> ig.Tensor:
        return ig.grad(lambda x: curve(x) * x[0])(x)

    by_rows = ig.stack([ig.grad(lambda x, i=i: each(x)[i])(x[0]) for i in range(3)])
    close(ig.jacobian(each)(x[0]), by_rows)


def test_jacobian_of_what_is_empty_or_compiled():
    assert ig.jacobian(lambda x: x[:0])(grid(3)).shape == (0, 3)
    assert ig.jacobian(lambda x: x * 2.0)(grid(0)).shape == (0, 0)
    x = grid(3)
    close(ig.jacobian(ig.compile(ig.sin))(x), ig.jacobian(ig.sin)(x))
    assert ig.jacobian(ig.compile(lambda x: x[:0]))(x).shape == (0, 3)


def test_a_pulled_back_basis_has_no_history():
    x = grid(3)
    out, pull = ig.vjp(ig.sin, x)
    (rows,) = ig.vmap(pull)(ig.eye(3, dtype="float64"))
    close(rows, ig.jacobian(ig.sin)(x))
    assert not rows.requires_grad
    assert not out.requires_grad


def test_a_jacobian_can_be_differentiated():
    x = grid(3)
    third = ig.jacobian(ig.jacobian(ig.grad(curve)))(x)
    by_grad = ig.grad(lambda x: ig.grad(lambda x: ig.grad(curve)(x)[0])(x)[1])(x)
    close(third[0, 1], by_grad)


def test_history_of_a_closed_over_leaf(backend):
    w, x = f64([2.0, 3.0, 4.0], requires_grad=True), grid(4, 3)
    ig.vmap(lambda x: (w * ig.sin(x)).sum())(x).sum().backward()
    close(w.grad, ig.sin(x).sum(axis=0))


def test_no_grad_inside_holds_outside():
    def half(x: ig.Tensor) -> ig.Tensor:
        with ig.no_grad():
            fixed = ig.sin(x)
            with ig.enable_grad():
                free = x * 2.0
        return (fixed * free).sum()

    x = grid(4, 3)
    close(
        ig.grad(lambda x: ig.vmap(half)(x).sum())(x),
        ig.grad(lambda x: looped(half, x).sum())(x),
    )


def test_nested():
    x, y = grid(4, 3), grid(5, 3)

    def pair(a: ig.Tensor, b: ig.Tensor) -> ig.Tensor:
        return ig.sin(a) @ b

    both = ig.vmap(ig.vmap(pair, (None, 0)), (0, None))
    close(both(x, y), ig.sin(x) @ y.T)
    close(
        ig.grad(lambda x: (both(x, y) ** 2).sum())(x),
        ig.grad(lambda x: ((ig.sin(x) @ y.T) ** 2).sum())(x),
    )
    inner = ig.vmap(ig.vmap(ig.grad(lambda a, b: pair(a, b) ** 2), (None, 0)), (0, None))
    close(inner(x, y), 2 * (ig.sin(x) @ y.T)[..., None] * ig.cos(x)[:, None] * y)


def test_compiled(backend):
    x = grid(4, 3)
    per_example = ig.compile(lambda x: ig.vmap(ig.grad(curve))(x))
    close(per_example(x), looped(ig.grad(curve), x))
    close(ig.vmap(ig.compile(curve))(x), looped(curve, x))
    close(ig.grad(lambda x: ig.compile(ig.vmap(curve))(x).sum())(x), looped(ig.grad(curve), x))


@ig.custom_vjp
def odd(x: ig.Tensor, w: ig.Tensor) -> ig.Tensor:
    return ig.sin(x) * w


# Deliberately not the derivative, so that it shows whether the rule was followed.
odd.defvjp(
    lambda x, w: (ig.sin(x) * w, (x, w)), lambda kept, ct: (5.0 * ct * kept[1], (7.0 * ct).sum())
)


@pytest.mark.parametrize("argnum", [0, 1])
def test_rules_of_ones_own(argnum: int) -> None:
    x, w = grid(4, 3), f64(2.0)

    def inside(x: ig.Tensor, w: ig.Tensor) -> ig.Tensor:
        return ig.vmap(lambda x: (odd(x, w) ** 2).sum())(x).sum()

    def loop(x: ig.Tensor, w: ig.Tensor) -> ig.Tensor:
        return looped(lambda x: (odd(x, w) ** 2).sum(), x).sum()

    close(ig.grad(inside, argnum)(x, w), ig.grad(loop, argnum)(x, w))

    def both(map_over: Any, x: ig.Tensor, w: ig.Tensor) -> ig.Tensor:
        def one(x: ig.Tensor) -> ig.Tensor:
            value, slope = ig.value_and_grad(lambda x: (odd(x, w) ** 2).sum())(x)
            return value + (slope**2).sum()

        return map_over(one, x).sum()

    def mapped(one: Any, x: ig.Tensor) -> ig.Tensor:
        return ig.vmap(one)(x)

    close(
        ig.grad(lambda x, w: both(mapped, x, w), argnum)(x, w),
        ig.grad(lambda x, w: both(looped, x, w), argnum)(x, w),
    )


def test_checkpoint():
    x = grid(4, 3)
    kept = ig.checkpoint(lambda x: ig.exp(ig.sin(x)).sum())
    close(ig.vmap(ig.grad(kept))(x), looped(ig.grad(kept), x))
    close(ig.grad(lambda x: ig.vmap(kept)(x).sum())(x), looped(ig.grad(kept), x))
    close(ig.jacobian(ig.checkpoint(ig.sin))(x[0]), ig.jacobian(ig.sin)(x[0]))


def test_checkpoint_saves_memory_outside():
    w, x = f64([2.0, 3.0, 4.0], requires_grad=True), grid(4, 3).requires_grad_()
    out = ig.vmap(ig.checkpoint(lambda x: ig.exp(ig.sin(x) * w).sum()))(x)
    assert "made_by='checkpoint'" in repr(out)
    out.sum().backward()
    close(w.grad, (ig.exp(ig.sin(x) * w) * ig.sin(x)).sum(axis=0).detach())

    def through_closure(w: ig.Tensor, x: ig.Tensor) -> ig.Tensor:
        return ig.checkpoint(lambda x: ig.exp(ig.sin(x) * w).sum())(x)

    def penalty(x: ig.Tensor) -> ig.Tensor:
        return (ig.vmap(ig.grad(through_closure), (None, 0))(w, x) ** 2).sum()

    def looped_penalty(x: ig.Tensor) -> ig.Tensor:
        return (looped(lambda x: ig.grad(through_closure)(w, x), x) ** 2).sum()

    close(ig.grad(penalty)(x).detach(), ig.grad(looped_penalty)(x).detach())


def test_lint_and_nan_safe():
    x = f64([[0.0, 4.0], [1.0, 9.0]])

    def root(x: ig.Tensor) -> ig.Tensor:
        return ig.where(x > 0, ig.sqrt(x), 0.0).sum()

    with ig.nan_safe():
        close(ig.vmap(ig.grad(root))(x), f64([[0.0, 0.25], [0.5, 1 / 6]]))
    with ig.lint(), pytest.warns(ig.NumericsWarning, match="sqrt at"):
        ig.vmap(ig.grad(root))(x)


def summed(x: ig.Tensor) -> ig.Tensor:
    def step(carry: ig.Tensor, x: ig.Tensor) -> tuple[ig.Tensor, ig.Tensor]:
        carry = ig.sin(carry) + x
        return carry, carry * 2.0

    last, all_of_them = ig.scan(step, f64(0.5), x)
    return last + (all_of_them**2).sum()


def test_loops(backend):
    x = grid(4, 3)
    close(ig.vmap(summed)(x), looped(summed, x))
    close(ig.vmap(ig.grad(summed))(x), looped(ig.grad(summed), x))
    close(ig.compile(ig.vmap(summed))(x), looped(summed, x))
    close(ig.compile(ig.vmap(ig.grad(summed)))(x), looped(ig.grad(summed), x))
    close(
        ig.compile(lambda x: ig.grad(lambda x: ig.vmap(summed)(x).sum())(x))(x),
        looped(ig.grad(summed), x),
    )


def test_choices(backend):
    x = grid(6)

    def one(x: ig.Tensor) -> ig.Tensor:
        return ig.cond(x > 0, lambda x: ig.sin(x), lambda x: x * x, x)

    close(ig.vmap(one)(x), looped(one, x))
    close(ig.vmap(ig.grad(one))(x), looped(ig.grad(one), x))
    close(ig.compile(ig.vmap(one))(x), looped(one, x))

    def shared(x: ig.Tensor, flag: ig.Tensor) -> ig.Tensor:
        return ig.cond(flag, lambda x: ig.sin(x), lambda x: x * x, x)

    for flag in (True, False):
        wanted = looped(lambda x, flag=flag: shared(x, ig.tensor(flag)), x)
        close(ig.vmap(shared, (0, None))(x, ig.tensor(flag)), wanted)
        close(ig.compile(ig.vmap(shared, (0, None)))(x, ig.tensor(flag)), wanted)
