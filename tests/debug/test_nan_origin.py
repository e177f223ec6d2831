"""`isograd.debug.nan_origin` names the first operation that makes NaN."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.core.errors import NumericsWarning
from isograd.debug import nan_origin, watching


def line_of(fn: Callable[..., Any], text: str) -> str:
    """Return ``file:line`` of the line of a function that holds a text."""
    lines, start = inspect.getsourcelines(fn)
    number = next(i for i, line in enumerate(lines) if text in line)
    return f"{__file__}:{start + number}"


class Divides(nn.Module):
    def __init__(self) -> None:
        self.inner = nn.Linear(3, 3)

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        h = self.inner(x)
        return h / (h - h)


def trapped(x: ig.Tensor) -> ig.Tensor:
    root = ig.sqrt(x)
    scaled = root * 2.0
    return ig.where(x > 0, scaled, 0.0).sum()


def test_a_forward_operation_is_named_with_its_line_and_module(backend: str) -> None:
    model = nn.Sequential(nn.Linear(3, 3), Divides())
    with ig.no_grad():
        model[1].inner.weight.assign_(ig.zeros((3, 3)))
        model[1].inner.bias.assign_(ig.zeros(3))
    found = nan_origin(model, ig.ones((2, 3)))
    assert found
    assert (found.op, found.phase, found.kind) == ("div", "forward", "nan")
    assert found.line == line_of(Divides.forward, "h / (h - h)")
    assert found.module == "1"
    assert found.operands == (0.0, 0.0)
    assert "div" in str(found)


def test_the_where_trap_names_the_operation_and_the_where(backend: str) -> None:
    x = ig.tensor([-1.0, 0.0, 4.0], requires_grad=True)
    found = nan_origin(lambda x: trapped(ig.maximum(x, 0.0) * 1.0), x)
    assert (found.op, found.phase) == ("sqrt", "backward")
    assert found.line == line_of(trapped, "ig.sqrt")
    assert found.selects == line_of(trapped, "ig.where")
    assert "nan_safe" in found.advice
    assert x.grad is None
    with ig.nan_safe():
        safe = nan_origin(trapped, ig.tensor([0.0, 4.0], requires_grad=True))
    assert safe.kind != "nan"


@pytest.mark.parametrize("transform", [False, True])
def test_the_lint_names_the_operation_and_the_where_by_line(transform: bool) -> None:
    def other(x: ig.Tensor) -> ig.Tensor:
        return ig.where(x > 1, x, 0.0).sum()

    def both(x: ig.Tensor) -> ig.Tensor:
        return other(x) + trapped(x)

    def run(x: ig.Tensor) -> None:
        if transform:
            ig.grad(both)(x)
        else:
            both(x).backward()

    x = ig.tensor([0.0, 4.0], requires_grad=True)
    with ig.lint(), pytest.warns(NumericsWarning) as caught:
        run(x)
    (text,) = {str(w.message) for w in caught}
    assert text.startswith(f"sqrt at {line_of(trapped, 'ig.sqrt')}: ")
    assert f"the `where` at {line_of(trapped, 'ig.where')} selects" in text


def test_the_lint_looks_into_compiled_functions() -> None:
    def step(x: ig.Tensor) -> ig.Tensor:
        loss = trapped(x)
        loss.backward()
        return loss

    compiled, whole = ig.compile(trapped), ig.compile(step)
    for run in (lambda x: compiled(x).backward(), ig.grad(compiled), whole):
        x = ig.tensor([0.0, 4.0], requires_grad=True)
        with ig.lint(), pytest.warns(NumericsWarning, match="sqrt at .* the `where` at"):
            run(x)
    x = ig.tensor([0.0, 4.0], requires_grad=True)
    loss = compiled(x)
    with ig.lint():
        loss.backward()
    assert x.grad is not None


def test_the_lint_blames_no_where_that_has_no_part_in_it() -> None:
    x = ig.tensor([0.0], requires_grad=True)
    with ig.lint(), pytest.warns(NumericsWarning, match="usually because a `where`"):
        (ig.sqrt(ig.where(x >= 0, x, 1.0)) * 0.0).sum().backward()


def test_nan_safe_may_be_asked_of_one_pass() -> None:
    x = ig.tensor([0.0, 4.0], requires_grad=True)
    trapped(x).backward(nan_safe=True)
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.5]
    assert ig.grad(trapped, nan_safe=True)(x).tolist() == [0.0, 0.5]
    assert ig.value_and_grad(trapped, nan_safe=True)(x)[1].tolist() == [0.0, 0.5]
    assert np.isnan(ig.grad(trapped)(x).numpy()[0])
    compiled = ig.compile(lambda x: ig.grad(trapped, nan_safe=True)(x))
    assert compiled(x.detach()).tolist() == [0.0, 0.5]


def test_an_infinity_behind_a_nan_is_named() -> None:
    def fn(x: ig.Tensor) -> ig.Tensor:
        large = ig.exp(x)
        return large - large * 2.0

    found = nan_origin(fn, ig.tensor([1000.0]))
    assert (found.op, found.kind) == ("sub", "nan")
    assert found.infinity is not None
    assert (found.infinity.op, found.infinity.line) == ("exp", line_of(fn, "ig.exp"))
    assert "exp" in str(found)


def test_an_infinity_alone_is_named() -> None:
    found = nan_origin(lambda x: ig.log(x), ig.tensor([0.0]))
    assert (found.op, found.kind) == ("log", "inf")


def test_the_inputs_are_looked_at_first() -> None:
    found = nan_origin(lambda x: x * 2, ig.tensor([1.0, ig.nan]))
    assert (found.op, found.line) == ("input", "argument 0")
    model = nn.Linear(2, 1)
    with ig.no_grad():
        model.weight.assign_(model.weight * ig.nan)
    assert nan_origin(model, ig.ones((1, 2))).line == "the module, parameter weight"


def test_finite_values_are_said_to_be_finite() -> None:
    found = nan_origin(lambda x: (x * x).sum(), ig.tensor([1.0], requires_grad=True))
    assert not found
    assert found.op == ""
    assert "finite" in str(found)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_whole_step_ends_before_parameters_are_spoilt(compiled: bool) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: ig.Tensor) -> ig.Tensor:
        loss = ig.sqrt(ig.sum(model(x) * 0.0))
        loss.backward()
        optimizer.step()
        return loss

    before = model.weight.numpy().copy()
    fn = ig.compile(step, state=(model, optimizer)) if compiled else step
    found = nan_origin(fn, ig.ones((3, 2)))
    assert (found.op, found.phase, found.kind) == ("mul", "backward", "nan")
    assert found.infinity is not None
    assert (found.infinity.op, found.infinity.phase) == ("sqrt", "backward")
    assert found.infinity.line == found.line == line_of(step, "ig.sqrt")
    assert nan_origin(fn, ig.ones((3, 2))).found
    assert before.shape == model.weight.shape


def test_a_model_that_is_called_after_an_update_runs_forward() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    calls: list[Any] = []
    with watching(calls.append, modules=[model]):
        for _ in range(2):
            model(ig.ones((3, 2))).sum().backward()
            optimizer.step()
    phases = [c.place.phase for c in calls if c.op in ("linear", "sgd_update")]
    assert phases == ["forward", "update"] * 2


def test_a_nan_in_an_update_is_named() -> None:
    p = nn.Parameter(ig.tensor([1.0]))
    optimizer = optim.Adam([p], lr=0.1)

    def step() -> None:
        (p * 1.0).sum().backward()
        p.grad = ig.tensor([ig.inf])
        optimizer.step()

    found = nan_origin(step)
    assert (found.phase, found.op) == ("update", "adam_update")
    assert p.tolist() == [1.0]


def test_rules_of_the_users_own_give_their_own_line() -> None:
    @ig.custom_vjp
    def twice(x: ig.Tensor) -> ig.Tensor:
        return x * 2.0

    def backward(x: ig.Tensor, ct: ig.Tensor) -> tuple[ig.Tensor]:
        return (ct * (x / x),)

    twice.defvjp(lambda x: (x * 2.0, x), backward)
    found = nan_origin(lambda x: twice(x).sum(), ig.tensor([0.0], requires_grad=True))
    assert (found.op, found.phase) == ("div", "backward")
    assert found.line == line_of(backward, "ct * (x / x)")


def test_watching_tells_phases_and_sees_what_a_backend_lacks() -> None:
    class Lacking:
        def __init__(self) -> None:
            with ig.use_backend("numpy") as inner:
                self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def kernel(self, name: str) -> Any:
            return None if name in ("linear", "sgd_update") else self._inner.kernel(name)

    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    calls: list[Any] = []
    with watching(calls.append, modules=[model], backend=Lacking()):
        model(ig.ones((1, 2))).sum().backward()
        optimizer.step()
    phases = {call.op: call.place.phase for call in calls}
    assert phases["linear"] == "forward"
    assert phases["sgd_update"] == "update"
    assert "backward" in phases.values()
