"""What every optimizer promises: known values, nothing half done, clear errors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim

OPTIMIZERS = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.Adam, {"lr": 0.1}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True}),
    (optim.AdamW, {"lr": 0.1}),
    (optim.Adamax, {"lr": 0.1}),
    (optim.NAdam, {"lr": 0.1}),
    (optim.RAdam, {"lr": 0.1}),
    (optim.RMSprop, {"lr": 0.1, "momentum": 0.9, "centered": True}),
    (optim.Rprop, {"lr": 0.1}),
    (optim.Adagrad, {"lr": 0.1}),
    (optim.Adadelta, {"lr": 0.1}),
    (optim.ASGD, {"lr": 0.1}),
    (optim.Adafactor, {"lr": 0.1}),
    (optim.Lion, {"lr": 0.1}),
]
every_optimizer = pytest.mark.parametrize(("kind", "options"), OPTIMIZERS)


def with_gradient(value: Any, gradient: Any) -> nn.Parameter:
    p = nn.Parameter(ig.tensor(value, dtype=ig.float64))
    p.grad = ig.tensor(gradient, dtype=ig.float64)
    return p


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (optim.Adam, {}, 0.90000001),
        (optim.AdamW, {"weight_decay": 0.01}, 0.89900001),
        (optim.SGD, {}, 0.99),
    ],
)
def test_first_step(backend: str, kind: Any, options: dict[str, Any], expected: float) -> None:
    p = with_gradient(1.0, 0.1)
    kind([p], lr=0.1, **options).step()
    assert abs(p.item() - expected) < 1e-8


@every_optimizer
def test_what_was_saved_for_backward_is_not_overwritten(kind: Any, options: dict[str, Any]) -> None:
    p = with_gradient([2.0, 3.0], [1.0, 1.0])
    view, state = p.detach(), p.numpy()
    loss = (p * p).sum()
    kind([p], **options).step()
    loss.backward()
    assert view.tolist() == state.tolist() == [2.0, 3.0]
    assert p.grad is not None
    assert p.grad.tolist() == [5.0, 7.0]
    assert p.is_leaf


@every_optimizer
def test_parameters_without_gradient_are_left_alone(kind: Any, options: dict[str, Any]) -> None:
    p, q = with_gradient([1.0], [1.0]), nn.Parameter(ig.ones(1))
    optimizer = kind([p, q], **options)
    assert optimizer.step() is None
    assert q.item() == 1
    assert p.item() != 1
    optimizer.zero_grad()
    before = p.item()
    optimizer.step()
    assert p.item() == before


@every_optimizer
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (np.zeros(3), ig.ShapeError),
        (np.zeros(2, "f4"), ig.DTypeError),
    ],
)
def test_a_gradient_that_does_not_fit_changes_nothing(
    kind: Any, options: dict[str, Any], bad: Any, error: type[Exception]
) -> None:
    good, wrong = with_gradient([1.0, 2.0], [1.0, 1.0]), with_gradient([1.0, 2.0], [1.0, 1.0])
    optimizer = kind([{"params": [good]}, {"params": [wrong]}], **options)
    optimizer.step()
    before = copy.deepcopy(optimizer.state_dict())
    values = [good.tolist(), wrong.tolist()]
    wrong.grad = ig.tensor(bad)
    with pytest.raises(
        error, match=r"step: a gradient is .*, its parameter float64\[2\] on cpu, nothing"
    ):
        optimizer.step()
    assert [good.tolist(), wrong.tolist()] == values
    after = optimizer.state_dict()
    assert repr(after) == repr(before)


@pytest.mark.parametrize("kind", [optim.Adam, lambda ps: optim.SGD(ps, momentum=0.9)])
def test_a_model_that_was_converted_after_the_optimizer_was_made(kind: Any) -> None:
    layer = nn.Linear(2, 1)
    optimizer = kind(layer.parameters())
    layer.to(ig.float64)
    layer(ig.ones((1, 2), dtype=ig.float64)).sum().backward()
    before = layer.weight.tolist()
    with pytest.raises(ig.DTypeError, match=r"a parameter is float64.*, its state float32.*; make"):
        optimizer.step()
    assert layer.weight.tolist() == before
    converted = kind(layer.parameters())
    converted.load_state_dict(optimizer.state_dict())
    converted.step()
    assert layer.weight.tolist() != before


def test_dtypes_are_updated_apart(backend: str) -> None:
    ps = [nn.Parameter(ig.ones(2, dtype=dtype)) for dtype in (ig.float32, ig.float64, ig.float16)]
    adam = optim.Adam(ps, lr=0.5)
    for p in ps:
        p.grad = ig.ones_like(p)
    adam.step()
    for p in ps:
        np.testing.assert_allclose(p.numpy(), 0.5, rtol=1e-3)
        assert adam.state[p]["exp_avg"].dtype == p.dtype


@every_optimizer
def test_nan_gradients_are_not_hidden(backend: str, kind: Any, options: dict[str, Any]) -> None:
    p = with_gradient([1.0, 1.0], [np.nan, 1.0])
    kind([p], **options).step()
    scaled_as_a_whole = kind is optim.Adafactor
    assert np.isnan(p.numpy()).tolist() == [True, scaled_as_a_whole]


def test_closure() -> None:
    p = nn.Parameter(ig.tensor([3.0]))
    sgd = optim.SGD([p], lr=0.5)

    def closure() -> ig.Tensor:
        sgd.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with ig.no_grad():
        loss = sgd.step(closure)
    assert loss.item() == 9
    assert p.item() == 0


def test_zero_grad() -> None:
    p = with_gradient([1.0], [2.0])
    sgd = optim.SGD([p])
    sgd.zero_grad(set_to_none=False)
    assert p.grad is not None
    assert p.grad.tolist() == [0.0]
    sgd.zero_grad()
    assert p.grad is None


def test_slots_exist_before_the_first_step() -> None:
    p = with_gradient([1.0], [2.0])
    assert optim.SGD([p], momentum=0.9).state[p]["momentum_buffer"].tolist() == [0.0]
    state = optim.Adam([p]).state[p]
    assert {name: value.tolist() for name, value in state.items()} == {
        "step": 0,
        "exp_avg": [0.0],
        "exp_avg_sq": [0.0],
    }


def test_parameters_with_one_history_share_their_counter() -> None:
    p, q = with_gradient([1.0], [2.0]), with_gradient([1.0], [2.0])
    adam = optim.Adam([p, q])
    adam.step()
    assert adam.state[p]["step"] is adam.state[q]["step"]
    again = optim.Adam([p, q])
    again.load_state_dict(adam.state_dict())
    assert again.state[p]["step"] is again.state[q]["step"]
    q.grad = None
    again.step()
    assert (again.state[p]["step"].item(), again.state[q]["step"].item()) == (2, 1)
    assert adam.state[p]["step"].item() == 1


def test_momentum_that_is_switched_on_later() -> None:
    p = with_gradient([0.0], [1.0])
    sgd = optim.SGD([p], lr=1.0)
    sgd.step()
    sgd.param_groups[0]["momentum"] = 0.5
    sgd.step()
    sgd.step()
    assert p.tolist() == [-3.5]


def test_an_iterator_of_parameters_is_read_once() -> None:
    model = nn.Linear(2, 2)
    sgd = optim.SGD(p for p in model.parameters())
    assert len(sgd.param_groups[0]["params"]) == 2


def test_parameters_with_names() -> None:
    model = nn.Linear(2, 2)
    sgd = optim.SGD(model.named_parameters(), lr=0.1)
    assert sgd.param_groups[0]["param_names"] == ["weight", "bias"]
    assert sgd.param_groups[0]["params"] == list(model.parameters())
    assert sgd.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    again = optim.SGD(model.parameters())
    again.load_state_dict(sgd.state_dict())
    assert again.param_groups[0]["lr"] == 0.1


def test_rmsprop_whose_momentum_is_switched_on_later() -> None:
    p = with_gradient([0.0], [1.0])
    optimizer = optim.RMSprop([p])
    optimizer.param_groups[0]["momentum"] = 0.5
    with pytest.raises(ValueError, match=r"RMSprop.step: .* no momentum_buffer; make"):
        optimizer.step()


P = nn.Parameter


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: optim.SGD([]), ValueError, "SGD: there are no parameters; pass model.parameters"),
        (
            lambda: optim.SGD(ig.ones(1)),
            TypeError,
            r"SGD: params is one tensor; pass a list, \[p\]",
        ),
        (
            lambda: optim.SGD([ig.ones(1)]),
            TypeError,
            "SGD: parameter 0 is a Tensor; only an nn.Par",
        ),
        (lambda: optim.Adam(["w"]), TypeError, "Adam: parameter 0 is a str"),
        (
            lambda: optim.SGD([P(1.0)] * 2),
            ValueError,
            "SGD: parameter 1 of shape .. is there twice",
        ),
        (lambda: optim.SGD([P(1.0)], lr=-1), ValueError, "SGD: lr=-1 is not a number >= 0"),
        (lambda: optim.SGD([P(1.0)], lr=float("nan")), ValueError, "SGD: lr=nan"),
        (lambda: optim.SGD([P(1.0)], momentum=-0.1), ValueError, "SGD: momentum=-0.1"),
        (lambda: optim.SGD([P(1.0)], weight_decay=-1), ValueError, "SGD: weight_decay=-1"),
        (lambda: optim.SGD([P(1.0)], nesterov=True), ValueError, "SGD: nesterov with momentum=0.0"),
        (
            lambda: optim.SGD([P(1.0)], momentum=0.9, dampening=0.1, nesterov=True),
            ValueError,
            r"SGD: nesterov with momentum=0\.9, dampening=0\.1; use",
        ),
        (lambda: optim.Adam([P(1.0)], lr=-1), ValueError, "Adam: lr=-1"),
        (lambda: optim.Adam([P(1.0)], eps=-1e-8), ValueError, "Adam: eps=-1e-08"),
        (lambda: optim.Adam([P(1.0)], betas=(1.0, 0.9)), ValueError, r"Adam: betas=\(1\.0, 0\.9\)"),
        (lambda: optim.AdamW([P(1.0)], betas=(0.9, -1)), ValueError, "AdamW: betas="),
        (lambda: optim.AdamW([P(1.0)], weight_decay=-1), ValueError, "AdamW: weight_decay=-1"),
        (lambda: optim.SGD([{"params": [P(1.0)], "lr": -1}]), ValueError, "SGD: lr=-1"),
        (lambda: optim.Adam([P(1.0)], fusde=True), TypeError, "fusde"),
        (lambda: optim.Adamax([P(1.0)], eps=-1), ValueError, "Adamax: eps=-1"),
        (lambda: optim.NAdam([P(1.0)], momentum_decay=-1), ValueError, "NAdam: momentum_decay=-1"),
        (lambda: optim.RAdam([P(1.0)], betas=(0.9, 1.0)), ValueError, "RAdam: betas="),
        (lambda: optim.RMSprop([P(1.0)], alpha=-0.1), ValueError, "RMSprop: alpha=-0.1"),
        (lambda: optim.Rprop([P(1.0)], etas=(1.2, 0.5)), ValueError, "Rprop: etas="),
        (lambda: optim.Adagrad([P(1.0)], lr_decay=-1), ValueError, "Adagrad: lr_decay=-1"),
        (lambda: optim.Adadelta([P(1.0)], rho=1.5), ValueError, "Adadelta: rho=1.5"),
        (lambda: optim.ASGD([P(1.0)], weight_decay=-1), ValueError, "ASGD: weight_decay=-1"),
        (lambda: optim.Adafactor([P(1.0)], beta2_decay=1), ValueError, "Adafactor: beta2_decay=1"),
        (lambda: optim.Adafactor([P(1.0)], d=0.5), ValueError, r"Adafactor: d=0\.5"),
        (lambda: optim.Adafactor([P(1.0)], eps=(-1, 1)), ValueError, r"Adafactor: eps\[0\]=-1"),
        (lambda: optim.Lion([P(1.0)], betas=(1.0, 0.9)), ValueError, "Lion: betas="),
        (lambda: optim.LBFGS([P(1.0)], line_search_fn="armijo"), ValueError, "'strong_wolfe'"),
        (lambda: optim.LBFGS([{"params": [P(1.0)]}] * 2), ValueError, "LBFGS: there can be one"),
        (lambda: optim.LBFGS([P(1.0)]).step(), TypeError, "LBFGS.step: .* pass a closure"),
        (
            lambda: optim.SGD([("w", P(1.0)), P(1.0)]),
            ValueError,
            "SGD: 1 of 2 parameters have a name; name all or none",
        ),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()


def test_a_group_that_is_refused_leaves_the_optimizer_alone() -> None:
    p, q = P(1.0), P(2.0)
    sgd = optim.SGD([p])
    for bad in ({"params": [q, p]}, {"params": [q], "lr": -1}, {"params": [q, "w"]}):
        with pytest.raises((ValueError, TypeError)):
            sgd.add_param_group(bad)
    assert len(sgd.param_groups) == 1
    assert list(sgd.state) == [p]


def test_load_state_dict_lists_everything_and_loads_nothing() -> None:
    p, q = with_gradient([1.0, 2.0], [1.0, 1.0]), with_gradient(1.0, 1.0)
    adam = optim.Adam([p, q], lr=0.1)
    adam.step()
    before = repr(adam.state_dict())
    state = copy.deepcopy(adam.state_dict())
    state["param_groups"][0]["lr"] = 0.7
    state["state"][0]["exp_avg"] = ig.zeros(3)
    state["state"][0]["surplus"] = ig.zeros(3)
    state["state"][1]["exp_avg_sq"] = "nothing"
    del state["state"][1]["step"]
    state["state"][5] = {}
    with pytest.raises(ig.StateDictError) as error:
        adam.load_state_dict(state)
    for line in (
        "load_state_dict: the state does not fit Adam, nothing was loaded",
        "shape of exp_avg of parameter 0: (3,) in the state, (2,) here",
        "unexpected: surplus of parameter 0",
        "not a tensor: exp_avg_sq of parameter 1 is a str",
        "missing: step of parameter 1",
        "unexpected: state of parameter 5",
    ):
        assert line in str(error.value)
    assert repr(adam.state_dict()) == before
    with pytest.raises(
        ig.StateDictError, match=r"groups of \[2\] parameters, the optimizer of \[1\]"
    ):
        optim.Adam([p]).load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match="Adam: lr=-1"):
        adam.load_state_dict({**state, "param_groups": [{"params": [0, 1], "lr": -1}]})
    assert repr(adam.state_dict()) == before


@every_optimizer
def test_a_saved_run_continues_exactly(backend: str, kind: Any, options: dict[str, Any]) -> None:
    def run(optimizer: optim.Optimizer, p: nn.Parameter, steps: range) -> None:
        for step in steps:
            p.grad = ig.tensor(np.cos(step + np.arange(3.0)))
            optimizer.step()

    p = nn.Parameter(ig.zeros(3, dtype=ig.float64))
    optimizer = kind([p], **options)
    run(optimizer, p, range(4))
    q = nn.Parameter(p)
    other = kind([q], lr=9.0)
    other.load_state_dict(optimizer.state_dict())
    run(optimizer, p, range(4, 8))
    run(other, q, range(4, 8))
    assert q.tolist() == p.tolist()
