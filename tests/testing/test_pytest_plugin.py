"""The pytest plugin, in pytests of its own."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest

pytest_plugins = ["pytester"]

# Where isograd was installed with its entry points, pytest has loaded the plugin already.
LOADED = any(point.name == "isograd" for point in entry_points(group="pytest11"))
PLUGIN = () if LOADED else ("-p", "isograd.pytest_plugin")

HEAD = """
import isograd as ig
import pytest
from isograd import nn
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("ISOGRAD_REQUIRE_BACKENDS", raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", "")

    def call(text: str, *arguments: str, **env: str) -> pytest.RunResult:
        pytester.makepyfile(HEAD + text)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        options = ("-p", "no:cacheprovider", "-rs", *PLUGIN, *arguments)
        return pytester.runpytest_inprocess(*options)

    return call


ACTIVE = """
def test_it(isograd_backend):
    assert ig.get_backend("cpu").name == isograd_backend
"""


def test_a_test_runs_on_every_backend(run: Any) -> None:
    import isograd

    names = [r.name for r in isograd.backends() if r.device == "cpu" and r.available]
    result = run(ACTIVE, "-v")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == len(names)
    for name in names:
        result.stdout.fnmatch_lines([f"*test_it?{name}? PASSED*"])


def test_options_and_marks_choose_backends(run: Any) -> None:
    assert run(ACTIVE, "--isograd-backend", "numpy").parseoutcomes() == {"passed": 1}
    marked = "@pytest.mark.isograd(backends=['numpy'])" + ACTIVE
    assert run(marked, "--strict-markers").parseoutcomes() == {"passed": 1}
    for mistake in ("backends='numpy'", "['numpy']", "backend=['numpy']"):
        result = run(f"@pytest.mark.isograd({mistake})" + ACTIVE)
        result.stdout.fnmatch_lines(["*write pytest.mark.isograd(backends=[[]names])*"])


def test_a_missing_backend_is_one_skip_or_a_failure(run: Any) -> None:
    result = run(ACTIVE, "--isograd-backend", "nobody")
    assert result.parseoutcomes() == {"skipped": 1}
    result.stdout.fnmatch_lines(["*backend 'nobody'*there is no backend*"])
    result = run(ACTIVE, ISOGRAD_REQUIRE_BACKENDS="numpy,nobody")
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["*backend 'nobody' is required and missing*"])


CHECKS = """
@ig.custom_vjp
def square(x):
    return x * x

square.defvjp(lambda x: (x * x, x), lambda x, ct: (ct * x * FACTOR,))

def test_derivative(gradcheck):
    gradcheck(lambda x: square(x).sum(), ig.tensor([1.0, 2.0]))

def test_backends(assert_gradients_agree):
    model = nn.Linear(3, 2)
    report = assert_gradients_agree(
        model, ig.ones((4, 3)), loss=lambda m, x: (m(x) ** 2).sum(), backends=["numpy"]
    )
    assert report.ok
    assert_gradients_agree(model, ig.ones((4, 3)), backends=["numpy"])
"""


def test_the_checks_pass_and_fail_readably(run: Any) -> None:
    assert run(CHECKS.replace("FACTOR", "2.0")).parseoutcomes() == {"passed": 2}
    result = run(CHECKS.replace("FACTOR", "2.01"))
    assert result.parseoutcomes() == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(
        [
            "*gradcheck failed: 2 coordinates*",
            "*gradient of argument 0 of shape (2,), element*",
            "*rerun: gradcheck(fn*",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


BROKEN = """
from isograd.testing.conformance import CONTROLS

def create():
    return next(c for c in CONTROLS if c.family == "dropped padding").make()

def test_disagreement(assert_gradients_agree):
    assert_gradients_agree(
        lambda x: ig.pad(x, ((1, 0),)).sum() if False else ig.exp(x).sum(),
        ig.ones(3), backends=["numpy"], dtypes=["float32"],
    )
"""


def test_the_conformance_kit_runs_under_pytest(
    run: Any, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(plugin_broken=HEAD + BROKEN)
    kit = ("--pyargs", "isograd.testing.conformance", "-k", "pad or complete-add")
    groups = ("--isograd-group", "values", "--isograd-group", "complete")
    monkeypatch.syspath_prepend(pytester.path)
    result = run("", *kit, *groups, "--isograd-backend", "numpy")
    outcomes = result.parseoutcomes()
    assert "failed" not in outcomes
    assert outcomes["passed"] >= 3
    result = run("", *kit, *groups, "--isograd-backend", "plugin_broken:create")
    assert result.parseoutcomes()["failed"] >= 1
    result.stdout.fnmatch_lines(["*fail: pad, forward, broken*"])
    result = run("", "--pyargs", "isograd.testing.conformance")
    assert result.parseoutcomes() == {"skipped": 1}
    result.stdout.fnmatch_lines(["*choose a backend: --isograd-backend*"])
    result = run("", *kit, "--isograd-backend", "numpy", "--isograd-group", "nothing")
    assert result.ret != 0
    result = run("", *kit, "--isograd-backend", "nobody:create")
    assert result.ret != 0
    assert "failed" not in result.parseoutcomes()
    assert "--isograd-backend: " in result.stdout.str() + result.stderr.str()


def test_the_plugin_imports_nothing_of_isograd_until_it_is_asked(pytester: Any) -> None:
    import subprocess
    import sys

    code = (
        "import sys, isograd.pytest_plugin;"
        "print([m for m in ('isograd.testing', 'isograd.nn', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
