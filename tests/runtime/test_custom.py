import pytest

import isograd as ig


def f64(values):
    return ig.tensor(values, dtype="float64")


@ig.custom_vjp
def cube(x, scale):
    """Return scale * x**3."""
    return scale * x * x * x


cube.defvjp(
    lambda x, scale: (scale * x * x * x, (x, scale)),
    lambda saved, ct: (3.0 * saved[1] * saved[0] * saved[0] * ct, None),
)


def test_custom_rules_differentiate_to_any_order(backend):
    x = f64(2.0)
    assert cube.__doc__ == "Return scale * x**3."
    assert ig.grad(cube)(x, 1.0).item() == 12.0
    assert ig.grad(ig.grad(cube))(x, 1.0).item() == 12.0
    assert ig.jvp(lambda x: cube(x, 2.0), (x,), (f64(1.0),))[1].item() == 24.0
    assert ig.grad(cube, argnums=1)(x, f64(1.0)).item() == 0.0


def test_wrong_rules_are_caught():
    def made(bwd):
        fn = ig.custom_vjp(lambda x: x * 2.0)
        fn.defvjp(lambda x: (x * 2.0, None), bwd)
        return ig.grad(lambda x: fn(x).sum())

    with pytest.raises(ig.AutodiffError, match="2 cotangents for 1 arguments"):
        made(lambda _, ct: (ct, ct))(f64([1.0]))
    with pytest.raises(ig.AutodiffError, match="returned Tensor for 1"):
        made(lambda _, ct: ct)(f64([1.0]))
    with pytest.raises(ig.ShapeError, match=r"shape \(\)"):
        made(lambda _, ct: (ct.sum(),))(f64([1.0]))
    bare = ig.custom_vjp(lambda x: x)
    assert bare(f64(1.0)).item() == 1.0
    with pytest.raises(ig.AutodiffError, match="defvjp"):
        ig.grad(bare)(f64(1.0))


def test_custom_rules_take_trees():
    fn = ig.custom_vjp(lambda p, n: p["a"] * p["b"] + n)
    fn.defvjp(
        lambda p, n: (p["a"] * p["b"] + n, p),
        lambda p, ct: ({"a": ct * p["b"], "b": ct * p["a"]}, None),
    )
    gradient = ig.grad(fn)({"a": f64(2.0), "b": f64(3.0)}, 1)
    assert (gradient["a"].item(), gradient["b"].item()) == (3.0, 2.0)


def test_checkpoint_gives_the_same_gradients(backend):
    model = ig.nn.Sequential(
        ig.nn.Linear(4, 8), ig.nn.Tanh(), ig.nn.Dropout(0.5), ig.nn.Linear(8, 1)
    )
    x = ig.random.normal((5, 4)).requires_grad_()

    def gradients(run):
        ig.manual_seed(3)
        model.zero_grad()
        x.grad = None
        run(x).sum().backward()
        return [x.grad.tolist(), *[p.grad.tolist() for p in model.parameters()]]

    assert gradients(ig.checkpoint(model)) == gradients(model)
    assert gradients(lambda x: ig.checkpoint(lambda: model(x))()) == gradients(model)


def test_checkpoint_differentiates_twice():
    fn = ig.checkpoint(lambda x: ig.sin(x) * x)
    plain = ig.grad(ig.grad(lambda x: ig.sin(x) * x))(f64(0.5)).item()
    assert ig.grad(ig.grad(fn))(f64(0.5)).item() == pytest.approx(plain, rel=1e-14)
    assert ig.jvp(fn, (f64(0.5),), (f64(1.0),))[1].item() == pytest.approx(
        ig.grad(fn)(f64(0.5)).item(), rel=1e-14
    )


def test_checkpoint_notices_a_rebound_parameter():
    p = ig.nn.Parameter(f64([2.0]))
    y = ig.checkpoint(lambda: (p * p).sum())()
    p.assign_(f64([5.0]))
    with pytest.raises(ig.AutodiffError, match="before the optimizer's step"):
        y.backward()


def test_checkpoint_without_gradients_is_the_function():
    fn = ig.checkpoint(lambda x: x * 2.0)
    assert not fn(f64(1.0)).requires_grad
    with ig.no_grad():
        assert not fn(f64(1.0).requires_grad_()).requires_grad
