"""The checks of this repository; ``nox -l`` lists them, CONTRIBUTING.md says when to use which.

With ``--no-venv`` a session runs in the environment that nox itself is in, and installs nothing.
"""

import os
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["lint", "types", "doctest", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
SOURCES = ["src", "backends"]
MINIMAL_FORBIDDEN = ["numba", "scipy", "cupy", "typer", "rich", "ml_dtypes", "torch", "jax"]

# pyenv answers to `python3.12` only while that version is selected.
_pyenv = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin"))
if _pyenv and "PYENV_VERSION" not in os.environ:
    os.environ["PYENV_VERSION"] = ":".join(reversed([path.parent.name for path in _pyenv]))


def install(session: nox.Session, *requirements: str) -> None:
    """Install into the session's environment, unless it runs in somebody else's."""
    if not isinstance(session.virtualenv, nox.virtualenv.PassthroughEnv):
        session.install(*requirements)


def pytest(session: nox.Session, *arguments: str, backends: str = "numpy,numba") -> None:
    """Run pytest, failing where one of ``backends`` is missing."""
    env = {"ISOGRAD_REQUIRE_BACKENDS": os.environ.get("ISOGRAD_REQUIRE_BACKENDS", backends)}
    session.run("python", "-m", "pytest", *arguments, *session.posargs, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format: ruff."""
    install(session, *_pinned("ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: pyright, strict, on src and backends."""
    install(session, "-e", ".[test]", *_pinned("pyright"))
    session.run("pyright", "--pythonpath", _python(session))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every Python that is here."""
    install(session, "-e", ".[test]")
    pytest(session)


@nox.session
def doctest(session: nox.Session) -> None:
    """Run the examples in docstrings."""
    install(session, "-e", ".[test]")
    pytest(session, "--doctest-modules", *SOURCES)


@nox.session
def minimal(session: nox.Session) -> None:
    """Run the tests with NumPy alone: none of the extras is importable."""
    session.install(".", "pytest", "pytest-timeout", "hypothesis")
    check = (
        "import importlib.util as u, sys;"
        f"found = [name for name in {MINIMAL_FORBIDDEN} if u.find_spec(name)];"
        "sys.exit(f'not minimal: {found}' if found else 0)"
    )
    session.run("python", "-c", check)
    session.env.pop("ISOGRAD_REQUIRE_BACKENDS", None)
    pytest(session, backends="numpy")


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel, install it in an empty environment, and use it from another folder."""
    folder = Path(session.create_tmp()).resolve()
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run(
        "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)
    )
    (wheel,) = folder.glob("*.whl")
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.install(f"isograd[numba,cli] @ {wheel.as_uri()}")
    session.chdir(folder)
    session.run("python", str(ROOT / "tools" / "smoke.py"), str(wheel))
    session.run("isograd", "doctor")


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks."""
    install(session, "-e", ".[bench]")
    session.run("python", "-m", "pytest", "benchmarks", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings being errors."""
    install(session, "-e", ".[docs,numba,cli]")
    session.run(
        "python", "-m", "sphinx", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html"
    )


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which lines the tests reach."""
    install(session, "-e", ".[test]", "coverage>=7.6")
    session.run("python", "-m", "coverage", "run", "-m", "pytest", *session.posargs)
    session.run("python", "-m", "coverage", "report")


@nox.session
def size(session: nox.Session) -> None:
    """Print lines of code per file and package against the budgets."""
    session.run("python", "tools/size.py")


def _pinned(name: str) -> list[str]:
    """Return the requirement on ``name`` that pyproject.toml states, so that it is stated once."""
    extras = nox.project.load_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"]
    return [line for line in extras["dev"] if line.startswith(name)]


def _python(session: nox.Session) -> str:
    if session.bin is None:
        return sys.executable
    return str(Path(session.bin) / ("python.exe" if os.name == "nt" else "python"))
