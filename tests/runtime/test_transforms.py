import numpy as np
import pytest

import isograd as ig


def f64(values):
    return ig.tensor(values, dtype="float64")


def test_value_and_grad_keep_the_form_of_arguments(backend):
    def loss(params, scale):
        return (params["w"] * scale).sum() + (params["b"][0] ** 2).sum()

    params = {"w": f64([1.0, 2.0]), "b": (f64(3.0),)}
    value, (tree, slope) = ig.value_and_grad(loss, argnums=(0, 1))(params, f64(2.0))
    assert value.item() == 15.0
    assert not value.requires_grad
    assert tree["w"].tolist() == [2.0, 2.0]
    assert tree["b"][0].item() == 6.0
    assert slope.item() == 3.0


def test_aux_is_passed_through():
    value, gradient = ig.value_and_grad(lambda x: (x * x, "aux"), has_aux=True)(f64(3.0))
    assert (value[0].item(), value[1], gradient.item()) == (9.0, "aux", 6.0)
    gradient, aux = ig.grad(lambda x: (x * x, "aux"), has_aux=True)(f64(3.0))
    assert (gradient.item(), aux) == (6.0, "aux")


def test_what_a_result_does_not_depend_on_has_gradient_zero():
    gradients = ig.grad(lambda x, y: x.sum(), argnums=(0, 1))(f64([1.0]), f64([2.0, 3.0]))
    assert gradients[1].tolist() == [0.0, 0.0]


def test_grad_works_under_no_grad_and_restores_it():
    with ig.no_grad():
        assert ig.grad(lambda x: x * x)(f64(3.0)).item() == 6.0
        assert not ig.is_grad_enabled()


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_derivatives_of_any_order(backend, order):
    fn = ig.sin
    for _ in range(order):
        fn = ig.grad(fn)
    expected = [np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin, np.cos][order - 1]
    np.testing.assert_allclose(fn(f64(0.7)).item(), expected(0.7), rtol=1e-13)


def test_nested_derivatives_are_not_confused():
    # d/dx (x * d/dy (x + y)) = 1, and not 2.
    outer = ig.grad(lambda x: x * ig.grad(lambda y: x + y)(f64(1.0)))
    assert outer(f64(1.0)).item() == 1.0
    outer = ig.grad(lambda x: x * ig.jvp(lambda y: x * y, (f64(1.0),), (f64(1.0),))[1])
    assert outer(f64(3.0)).item() == 6.0


def test_a_gradient_penalty_reaches_the_parameters():
    w = ig.nn.Parameter(f64([2.0]))
    slope = ig.grad(lambda x: (w * x**3).sum())(f64([1.0]))
    slope.sum().backward()
    assert w.grad.item() == 3.0


def cube(x):
    return (x**3).sum()


@pytest.mark.parametrize(
    "second",
    [
        lambda w: ig.grad(ig.grad(cube))(w),
        lambda w: ig.grad(lambda p: ig.grad(cube)(p["w"]))({"w": w})["w"],
        lambda w: ig.grad(lambda p: ig.vjp(cube, p)[1](f64(1.0))[0])(w),
        lambda w: ig.jvp(ig.grad(cube), (w,), (f64(1.0),))[1],
        lambda w: ig.grad(lambda p: ig.jvp(cube, (p,), (f64(1.0),))[1])(w),
        lambda w: ig.hvp(cube, (w,), (f64(1.0),))[1][0],
        ig.hessian(cube),
        lambda w: ig.compile(ig.grad(ig.grad(cube)), state=w)(w),
    ],
)
def test_second_derivatives_by_a_parameter_are_those_by_its_value(second):
    assert second(ig.nn.Parameter(f64(2.0))).item() == 12.0


def test_second_derivatives_by_the_parameters_of_a_module():
    model = ig.nn.Linear(1, 1, bias=False).to(ig.float64)
    model.weight.assign_(f64([[2.0]]))

    def loss(m):
        return (m(f64([[1.0]])) ** 3).sum()

    def after_a_step(m):
        return ((m.weight - 0.1 * ig.grad(loss)(m)["weight"]) ** 2).sum()

    assert ig.grad(lambda m: ig.grad(loss)(m)["weight"].sum())(model)["weight"].item() == 12.0
    np.testing.assert_allclose(ig.grad(after_a_step)(model)["weight"].item(), -0.32)


def test_vjp_and_jvp_are_adjoint(backend, rng):
    w = f64(rng.standard_normal((4, 3)))

    def fn(x):
        return {"y": ig.tanh(x @ w), "z": ig.cumulative_prod(x, axis=0)}

    x, t = f64(rng.standard_normal((2, 4))), f64(rng.standard_normal((2, 4)))
    out, pull = ig.vjp(fn, x)
    ct = {k: f64(rng.standard_normal(v.shape)) for k, v in out.items()}
    out2, pushed = ig.jvp(fn, (x,), (t,))
    left = sum((ct[k] * pushed[k]).sum().item() for k in ct)
    (pulled,) = pull(ct)
    np.testing.assert_allclose(left, (pulled * t).sum().item(), rtol=1e-12)
    assert (out["y"] == out2["y"]).all()
    (again,) = pull(ct)
    assert (again == pulled).all()


def test_cotangents_and_tangents_must_fit():
    _, pull = ig.vjp(lambda x: (x, x), f64([1.0]))
    with pytest.raises(ig.ShapeError, match="same structure"):
        pull(f64([1.0]))
    with pytest.raises(ig.ShapeError, match=r"shape \(2,\)"):
        ig.jvp(lambda x: x, (f64([1.0]),), (f64([1.0, 2.0]),))
    with pytest.raises(ig.ShapeError, match="one for each"):
        ig.jvp(lambda x: x, (f64([1.0]),), ())


def test_arguments_that_cannot_be_differentiated_are_named():
    with pytest.raises(ig.DTypeError, match="argument 1 has dtype int64"):
        ig.grad(lambda x, n: x, argnums=1)(f64(1.0), ig.tensor(2))
    with pytest.raises(ig.AutodiffError, match=r"float64\[2\].*jacobian"):
        ig.grad(lambda x: x)(f64([1.0, 2.0]))
    with pytest.raises(ig.AutodiffError, match="1 positional"):
        ig.grad(lambda x: x, argnums=1)(f64(1.0))
    with pytest.raises(ig.AutodiffError, match="returned str"):
        ig.vjp(lambda x: "no", f64(1.0))


def test_jacobian_hessian_and_hvp_agree(backend, rng):
    def fn(x):
        return ig.exp(x[0] * x[1]) + ig.sum(x**3)

    x, v = f64(rng.standard_normal(3)), f64(rng.standard_normal(3))
    h = ig.hessian(fn)(x)
    np.testing.assert_allclose(h.numpy(), h.numpy().T, rtol=1e-12)
    gradient, (product,) = ig.hvp(fn, (x,), (v,))
    np.testing.assert_allclose(product.numpy(), h.numpy() @ v.numpy(), rtol=1e-12)
    np.testing.assert_allclose(gradient[0].numpy(), ig.jacobian(fn)(x).numpy(), rtol=1e-12)
    assert ig.jacobian(lambda x: ig.zeros((0, 2), dtype="float64") * x[0])(x).shape == (0, 2, 3)


def test_a_module_is_an_argument(backend):
    model = ig.nn.Linear(3, 2)
    x = ig.ones((4, 3))
    value, gradient = ig.value_and_grad(lambda m, x: m(x).sum())(model, x)
    assert set(gradient) == {"weight", "bias"}
    assert gradient["bias"].tolist() == [4.0, 4.0]
    assert gradient["weight"].tolist() == [[4.0] * 3] * 2
    assert model.weight.grad is None
    assert value.shape == ()


def test_gradients_by_parameters_with_history(backend):
    """Of x ** 3 at 3, the slope is 3 x ** 2, and that of its square 36 x ** 3."""
    p = ig.nn.Parameter(ig.tensor(3.0))
    slope = ig.grad(lambda p: p**3, create_graph=True)(p)
    (slope**2).backward()
    assert p.grad.item() == 36 * 3.0**3
    with ig.no_grad():
        assert ig.grad(lambda p: p**3, create_graph=True)(p).edge is None
    assert ig.grad(lambda p: p**3)(p).edge is None
