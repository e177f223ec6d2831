"""The checks of this repository; ``nox -l`` lists them, CONTRIBUTING.md says when to use which.

With ``--no-venv`` a session runs in the environment that nox itself is in, and installs nothing.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["lint", "types", "doctest", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.default_venv_backend = "venv"

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
SOURCES = ["src", "backends"]
# What the emulator of CUDA is built from: one CuPy, and NVIDIA's compiler and headers to match.
CUDA_EMULATOR = [
    "cupy-cuda13x==14.2.0",
    "cython>=3.1,<3.4",
    "nvidia-cuda-cccl==13.0.*",
    "nvidia-cuda-crt==13.0.*",
    "nvidia-cuda-nvrtc==13.0.*",
    "nvidia-cuda-profiler-api==13.0.*",
    "nvidia-cuda-runtime==13.0.*",
    "setuptools>=77",
]
MINIMAL_FORBIDDEN = ["numba", "scipy", "cupy", "typer", "rich", "ml_dtypes", "torch", "jax"]


def _select_pyenv_versions() -> None:
    """Let pyenv's ``python3.12`` answer: it does so for selected versions only."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = {path.name: path for path in sorted(root.glob("versions/3.*")) if path.is_dir()}
    names = [name for name in found if name.rpartition(".")[0] in PYTHONS]
    names.sort(key=lambda name: not str(Path(sys.base_prefix)).endswith(name))
    if names:
        os.environ.setdefault("PYENV_VERSION", ":".join(names))


_select_pyenv_versions()


def install(session: nox.Session, *requirements: str) -> None:
    """Install into the session's environment, unless it runs in somebody else's."""
    if session.virtualenv.bin_paths:
        session.install(*requirements)


def run(session: nox.Session, module: str, *arguments: str) -> None:
    """Run a module with the session's Python, or with nox's own."""
    session.run(_python(session), "-m", module, *arguments)


def pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest, failing where a backend of the CPU is missing."""
    session.env.setdefault("ISOGRAD_REQUIRE_BACKENDS", "numpy,numba")
    run(session, "pytest", *arguments, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format: ruff."""
    install(session, *_pinned("ruff"))
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: pyright, strict, on src and backends."""
    install(session, "-e", ".[test]", *_pinned("pyright"))
    found = session.run(_python(session), "-c", "import sys; print(sys.executable)", silent=True)
    run(session, "pyright", "--pythonpath", str(found).strip())


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
def fuzz(session: nox.Session) -> None:
    """Check random programs, compiled against eager on every backend: ``nox -s fuzz -- 20000``."""
    install(session, "-e", ".[numba]")
    programs, *rest = session.posargs or ["5000"]
    run(session, "isograd.testing.fuzz", "--programs", programs, *rest)


@nox.session
def minimal(session: nox.Session) -> None:
    """Run the tests with NumPy alone: none of the extras is importable."""
    session.install(".", "hypothesis", "mpmath", "pytest", "pytest-timeout")
    check = (
        "import importlib.util as u, sys;"
        f"found = [name for name in {MINIMAL_FORBIDDEN} if u.find_spec(name)];"
        "sys.exit(f'not minimal: {found}' if found else 0)"
    )
    session.run("python", "-c", check)
    session.env["ISOGRAD_REQUIRE_BACKENDS"] = "numpy"
    pytest(session)


def _emulator(session: nox.Session, *requirements: str) -> None:
    """Install what the emulator of CUDA needs, build it, and let the session's commands find it."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        session.skip("the emulator of CUDA runs on Linux with x86-64")
    if shutil.which("g++") is None:
        session.skip("the emulator of CUDA needs g++; on Debian and Ubuntu: apt install g++")
    session.install(*requirements)
    session.install(*CUDA_EMULATOR)
    folder = Path(session.create_tmp()).resolve() / "emulator"
    session.run("python", "tools/cuda_emulator/build.py", str(folder))
    session.env["ISOGRAD_CUDA_EMULATOR"] = str(folder)
    session.env["ISOGRAD_CACHE"] = "0"


@nox.session
def cuda_emulated(session: nox.Session) -> None:
    """Run the tests of the CUDA backend without a GPU; ``-- --full`` leaves out nothing."""
    _emulator(session, "-e", ".[bfloat16]", "hypothesis", "mpmath", "pytest", "pytest-timeout")
    rest = [argument for argument in session.posargs if argument != "--full"]
    session.env["ISOGRAD_CUDA_FULL"] = str(int(len(rest) < len(session.posargs)))
    session.run("python", "-m", "pytest", "tests/cuda", *rest)


@nox.session
def gpu(session: nox.Session) -> None:
    """Run the tests of the CUDA backend on a GPU; write .benchmarks/gpu.md, beside PyTorch there.

    ``ISOGRAD_CUDA_EXTRA=cuda12`` is for drivers of CUDA 12. PyPI's PyTorch for Linux has CUDA.
    """
    extra = os.environ.get("ISOGRAD_CUDA_EXTRA", "cuda13")
    session.install("-e", f".[{extra},bfloat16]")
    ask = "import isograd as ig; print(*(r.reason for r in ig.backends() if r.name == 'cupy'))"
    reason = str(session.run("python", "-c", ask, silent=True)).strip()
    if reason:
        session.error(reason)
    session.install("-e", f".[{extra},bfloat16,bench,oracle]")
    session.install("hypothesis", "mpmath", "pytest", "pytest-timeout")
    session.env["ISOGRAD_CUDA"] = "gpu"
    session.env["ISOGRAD_CUDA_FULL"] = "1"
    session.run("python", "-m", "pytest", "tests/cuda", *session.posargs)
    session.run("python", "tools/gpu_report.py", ".benchmarks/gpu.md")


@nox.session
def conform(session: nox.Session) -> None:
    """Certify the backends of the CPU, and those of the docs: ``-- numba`` for some of them."""
    install(session, "-e", ".[numba,cli,bfloat16,peers]", "array-api-compat>=1.9")
    session.env["PYTHONPATH"] = str(ROOT / "docs" / "examples")
    known = {"numpy": "numpy", "numba": "numba"}
    known |= {name: f"{name}_backend:create" for name in ("torch", "jax")}
    for name in session.posargs or known:
        _certify(session, name, known[name])


@nox.session
def conform_emulated(session: nox.Session) -> None:
    """Certify the CUDA backend on the emulator; ``-- --group values`` asks a part of it."""
    _emulator(session, "-e", ".[cli,bfloat16]")
    session.env["PYTHONPATH"] = str(ROOT / "tools")
    _certify(session, "cupy-emulated", "cuda_emulator:create", *session.posargs)


def _certify(session: nox.Session, name: str, target: str, *options: str) -> None:
    folder = ROOT / ".benchmarks" / "conform"
    folder.mkdir(parents=True, exist_ok=True)
    file = str(folder / f"{name}.json")
    run(session, "isograd.cli", "conform", target, "--json", file, *options)


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
    """Run the benchmarks: ratios on the screen; JSON, Markdown and a picture in .benchmarks/."""
    install(session, "-e", ".[bench,peers]")
    session.run(_python(session), "benchmarks/run.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings being errors."""
    install(session, "-e", ".[docs,numba,cli,bfloat16,sklearn,einops]")
    session.run(
        "python", "-m", "sphinx", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html"
    )


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which lines the tests reach."""
    install(session, "-e", ".[test]", "coverage>=7.6")
    run(session, "coverage", "run", "-m", "pytest", *session.posargs)
    run(session, "coverage", "report")


@nox.session
def size(session: nox.Session) -> None:
    """Print lines of code per file and package against the budgets."""
    session.run("python", "tools/size.py")


def _pinned(name: str) -> list[str]:
    """Return the requirement on ``name`` that pyproject.toml states, so that it is stated once."""
    extras = nox.project.load_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"]
    return [line for line in extras["dev"] if line.startswith(name)]


def _python(session: nox.Session) -> str:
    """Return the Python of the session's environment, or the one that runs nox."""
    return "python" if session.virtualenv.bin_paths else sys.executable
