"""The pytest plugin: fixtures and options for tests of models and of backends.

- ``isograd_backend`` runs a test on every backend that is installed, with that backend active
- ``gradcheck`` and ``assert_gradients_agree`` are the checks, with readable failures
- ``@pytest.mark.isograd(backends=[...])`` chooses the backends of one test
- ``--isograd-backend`` chooses those of a whole run, and what the conformance kit is run on

``ISOGRAD_REQUIRE_BACKENDS=numpy,numba`` makes a missing backend a failure instead of a skip.
Libraries are imported when a test asks for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

__all__ = ["assert_gradients_agree", "gradcheck", "isograd_backend"]

_CELL = "isograd_cell"
_FIXTURE = "isograd_backend"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--isograd-backend`` and ``--isograd-group``."""
    group = parser.getgroup("isograd")
    group.addoption(
        "--isograd-backend",
        action="append",
        default=[],
        metavar="NAME",
        help="a backend, or pkg.mod:factory: tests with isograd_backend run on it, and the "
        "conformance kit (pytest --pyargs isograd.testing.conformance); repeat for several",
    )
    group.addoption(
        "--isograd-group",
        action="append",
        default=[],
        metavar="NAME",
        help="a group of the conformance kit; repeat for several; all by default",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the mark."""
    config.addinivalue_line(
        "markers", "isograd(backends): run the test's isograd_backend on these backends"
    )


def required() -> frozenset[str]:
    """Return the backends whose absence is a failure."""
    return frozenset(filter(None, os.environ.get("ISOGRAD_REQUIRE_BACKENDS", "").split(",")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test its backends, or the cells of the conformance kit."""
    if _CELL in metafunc.fixturenames:
        metafunc.parametrize(_CELL, _cells(metafunc.config))
    if _FIXTURE in metafunc.fixturenames:
        names = _backends(metafunc)
        metafunc.parametrize(_FIXTURE, names, indirect=True, ids=names)


def _backends(metafunc: pytest.Metafunc) -> list[str]:
    mark = metafunc.definition.get_closest_marker("isograd")
    if mark is not None and (mark.args or mark.kwargs):
        given = mark.kwargs.get("backends")
        if mark.args or isinstance(given, str) or not given:
            raise pytest.UsageError(
                f"{metafunc.definition.nodeid}: write pytest.mark.isograd(backends=[names])"
            )
        return list(given)
    chosen: list[str] = metafunc.config.getoption("--isograd-backend") or []
    if chosen:
        return chosen
    import isograd

    # One that cannot run is there all the same: as a skip that says why, or as a failure.
    known = [record for record in isograd.backends() if record.device == "cpu" or record.available]
    names = [record.name for record in known]
    return names + sorted(required() - set(names))


def _cells(config: pytest.Config) -> list[Any]:
    from isograd.core.errors import IsogradError
    from isograd.testing.conformance import group_names
    from isograd.testing.conformance.groups import operations_of
    from isograd.testing.differ.targets import parse_side

    factories: list[str] = config.getoption("--isograd-backend") or []
    if not factories:
        reason = "choose a backend: --isograd-backend pkg.mod:factory"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="no-backend")]
    groups: list[str] = config.getoption("--isograd-group") or list(group_names())
    for group in groups:
        if group not in group_names():
            raise pytest.UsageError(
                f"--isograd-group: there is no group {group!r}; choose from "
                f"{', '.join(group_names())}"
            )
    for factory in factories:
        try:
            assert parse_side(factory).backend
        except IsogradError as error:
            raise pytest.UsageError(f"--isograd-backend: {error}") from error
    return [
        pytest.param((factory, group, op), id=f"{factory}-{group}-{op}")
        for factory in factories
        for group in groups
        for op in operations_of(group)
    ]


@pytest.fixture
def isograd_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test with a backend active: once for each that is installed, or was chosen."""
    import isograd
    from isograd.core.errors import IsogradError
    from isograd.testing.differ.targets import parse_side

    name: str = request.param
    try:
        active = isograd.use_backend(parse_side(name).backend)
    except IsogradError as reason:
        if name in required():
            pytest.fail(f"backend {name!r} is required and missing: {reason}", pytrace=False)
        pytest.skip(f"backend {name!r}: {reason}")
    with active:
        yield name


@pytest.fixture
def gradcheck() -> Callable[..., Any]:
    """Return `isograd.testing.gradcheck`, whose failure ends the test with its report."""
    from isograd.testing import gradcheck as check

    def run(fn: Callable[..., Any], /, *inputs: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        options["raise_exception"] = False
        report = check(fn, *inputs, **options)
        if not report.ok:
            pytest.fail(str(report), pytrace=False)
        return report

    return run


@pytest.fixture
def assert_gradients_agree() -> Callable[..., Any]:
    """Return a function that fails the test unless all backends have a model's gradients.

    Called as ``assert_gradients_agree(model, *batch, loss=None, backends=None, dtypes=...)``, where
    `loss` is a function of the model and the batch. It returns the `CrossCheckReport`.
    """
    from isograd.testing import cross_check

    def run(model: Any, *batch: Any, loss: Callable[..., Any] | None = None, **options: Any) -> Any:
        __tracebackhide__ = True
        given = (model, *batch) if loss is None else (loss, model, *batch)
        report = cross_check(*given, **options)
        if not report.ok:
            pytest.fail(str(report), pytrace=False)
        return report

    return run
