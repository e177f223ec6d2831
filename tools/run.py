"""Set up an environment beside this checkout, then run the demo or the tests in it.

    python3 tools/run.py demo [ARGS]            runs `isograd demo ARGS`
    python3 tools/run.py test [--oracle SPEC]   runs what a change must pass

Needs a Python >= 3.11 with ``venv`` and nothing else; pip's own configuration applies. The first
run installs into ``.venv``; later runs start at once, until ``pyproject.toml`` changes.
``--oracle torch==X`` also installs PyTorch to compare with; where it is not to be had, the tests
that use it are skipped and say so.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
OLDEST = (3, 11)
ORACLE_SECONDS = 900
EXTRAS = {"demo": "numba,cli", "test": "dev"}
NOX = (
    ("--session", "minimal", "package", "cuda_emulated"),
    ("--no-venv", "--session", "lint", "types", "doctest", "tests"),
)


def newer_python():
    """Return the path of a Python that is new enough, or None."""
    for minor in (13, 12, 11):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            return found
    return None


def run(*command, check=True, **options):
    """Run a command; where it fails and ``check`` holds, end with its exit status."""
    print("+ " + " ".join(str(part) for part in command), flush=True)
    status = subprocess.call([str(part) for part in command], **options)
    if check and status:
        sys.exit(status)
    return status


def speaks_as_this_python():
    """Return whether the environment's Python works and is of this version."""
    code = f"import sys; sys.exit(sys.version != {sys.version!r})"
    return PYTHON.exists() and subprocess.call([str(PYTHON), "-c", code]) == 0


def prepare(extras):
    """Make ``.venv`` hold isograd, editable, with these extras."""
    text = (ROOT / "pyproject.toml").read_text() + sys.version + str(VENV)
    wanted = hashlib.sha256(text.encode()).hexdigest()
    stamp = VENV / f"isograd-{extras.replace(',', '-')}.stamp"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Setting up {VENV} (once; a minute or two)", flush=True)
    try:
        # An environment that this script made is made anew; anybody else's is only added to.
        clear = any(VENV.glob("isograd-*.stamp")) and not speaks_as_this_python()
        venv.EnvBuilder(with_pip=True, clear=clear).create(str(VENV))
    except subprocess.CalledProcessError:
        sys.exit(
            "This Python cannot make environments; on Debian and Ubuntu: apt install python3-venv"
        )
    run(PYTHON, "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[{extras}]")
    stamp.write_text(wanted)


def install_oracle(spec):
    """Install the framework to compare with, if that can be had in reasonable time."""
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--only-binary=:all:", spec]
    try:
        missing = run(*command, check=False, timeout=ORACLE_SECONDS)
    except subprocess.TimeoutExpired:
        missing = 1
    if missing:
        print(f"note: {spec} is not to be had here; the comparisons with it are skipped")


def main(arguments):
    """Carry out one command line."""
    if len(arguments) < 1 or arguments[0] not in EXTRAS:
        sys.exit(__doc__)
    if sys.version_info[:2] < OLDEST:
        newer = newer_python()
        if newer is None:
            sys.exit(f"isograd needs Python 3.11 or newer; this one is {sys.version.split()[0]}")
        sys.exit(subprocess.call([newer, __file__, *arguments]))
    command, *rest = arguments
    oracle = None
    if command == "test":
        if rest[:1] == ["--oracle"] and len(rest) == 2:
            oracle = rest[1]
        elif rest:
            sys.exit(__doc__)
    prepare(EXTRAS[command])
    if command == "demo":
        sys.exit(run(PYTHON, "-m", "isograd.cli", "demo", *rest, check=False))
    if oracle:
        install_oracle(oracle)
    environment = dict(os.environ, PATH=str(BIN) + os.pathsep + os.environ.get("PATH", ""))
    nox = (PYTHON, "-m", "nox", "--noxfile", ROOT / "noxfile.py", "--non-interactive")
    sys.exit(max(run(*nox, *which, check=False, env=environment) for which in NOX))


if __name__ == "__main__":
    main(sys.argv[1:])
