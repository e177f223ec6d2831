"""Builds what the emulator puts in place of CUDA's libraries, from CuPy's sources and g++.

    python build.py FOLDER

CuPy's module ``runtime`` is compiled anew from the source that CuPy published for the version that
is installed, and linked with ``cudart.cpp`` instead of CUDA's runtime. Everything else of CuPy
stays as it is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
MODULE = "cupy_backends/cuda/api/runtime"
SYMBOL = re.compile(r"\b(cu[a-z]+[A-Z]\w*)$", re.MULTILINE)


class Library(NamedTuple):
    """A library of CUDA that ``NAME.cpp`` stands in for.

    Attributes
    ----------
    file : str
        Its soname.
    module : str
        CuPy's module that calls it: what that needs and ``NAME.cpp`` lacks answers `refusal`.
    refusal : int
        The status that says that something is not supported.
    """

    file: str
    module: str
    refusal: int


LIBRARIES = {
    "cublas": Library("libcublas.so.13", "cupy_backends/cuda/libs/cublas", 15),
    "cusolver": Library("libcusolver.so.12", "cupy_backends/cuda/libs/cusolver", 9),
    "cufft": Library("libcufft.so.12", "cupy/cuda/cufft", 16),
}
"""The libraries that have a stand-in, by name."""


def site(name: str) -> Path:
    """Return a folder of this environment's site-packages."""
    return Path(sysconfig.get_paths()["purelib"]) / name


def cuda_includes() -> list[Path]:
    """Return the folders with CUDA's headers, from PyPI's packages."""
    return [site("nvidia/cu13/include")]


def run(*command: str | Path, **options: object) -> None:
    """Run a command; an error shows what it said."""
    subprocess.run([str(part) for part in command], check=True, **options)


def fetch_source(folder: Path) -> Path:
    """Download and unpack the source distribution of the CuPy that is installed."""
    version = importlib.metadata.version("cupy-cuda13x")
    unpacked = folder / f"cupy-{version}"
    if not unpacked.exists():
        # CuPy's build asks for a CUDA toolkit unless it is told that this is not for real.
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--no-binary", "cupy", "-d", folder, f"cupy=={version}"),
            env={**os.environ, "CUPY_INSTALL_USE_STUB": "1"},
        )
        with tarfile.open(folder / f"cupy-{version}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    return unpacked


def symbols(kind: str, path: Path) -> set[str]:
    """Return the CUDA functions that an object needs (``U``) or has (``T``)."""
    options = ["-D", "--undefined-only"] if kind == "U" and path.suffix == ".so" else []
    listing = subprocess.run(
        ["nm", *options, str(path)], capture_output=True, text=True, check=True
    ).stdout
    lines = [line for line in listing.splitlines() if f" {kind} " in f" {line}"]
    return set(SYMBOL.findall("\n".join(line.partition("@")[0] for line in lines)))


def stubs(missing: set[str], answer: int, target: Path, *, hidden: bool) -> Path:
    """Compile functions that do nothing and return an error."""
    attribute = '__attribute__((visibility("hidden"))) ' if hidden else ""
    target.write_text("".join(f"{attribute}int {n}(void){{return {answer};}}\n" for n in missing))
    run("gcc", "-fPIC", "-c", target, "-o", target.with_suffix(".o"))
    return target.with_suffix(".o")


def build_runtime(folder: Path) -> None:
    """Make CuPy's module over `cudart.cpp`."""
    source = fetch_source(folder)
    translated = folder / "runtime.cpp"
    settings = {
        "CUPY_USE_CUDA_PYTHON": False,
        "CUPY_CUFFT_STATIC": False,
        "CUPY_CYTHON_VERSION": "3",
        "CUPY_CUDA_VERSION": 13000,
        "CUPY_HIP_VERSION": 0,
    }
    from Cython.Compiler.Main import CompilationOptions, compile_single

    here = Path.cwd()
    os.chdir(source)
    try:
        options = CompilationOptions(
            language_level=3,
            cplus=True,
            output_file=str(translated),
            include_path=["."],
            compile_time_env=settings,
            compiler_directives={
                "binding": False,
                "embedsignature": True,
                "c_api_binop_methods": True,
                "warn.deprecated.IF": False,
            },
        )
        compile_single(f"{MODULE}.pyx", options, None)
    finally:
        os.chdir(here)
    text = translated.read_text().replace('"../../cupy_backend', '"cupy_backend')
    translated.write_text(text)
    backends = source / "cupy_backends"
    includes = [
        f"-I{path}"
        for path in (
            *cuda_includes(),
            backends / "cuda/api",
            backends / "cuda",
            backends,
            sysconfig.get_paths()["include"],
        )
    ]
    for name, origin in (("module", translated), ("cudart", HERE / "cudart.cpp")):
        run("g++", "-O1", "-fPIC", "-w", "-c", *includes, origin, "-o", folder / f"{name}.o")
    missing = symbols("U", folder / "module.o") - symbols("T", folder / "cudart.o")
    rest = stubs(missing, 801, folder / "rest.c", hidden=True)  # cudaErrorNotSupported
    objects = [folder / "module.o", folder / "cudart.o", rest]
    run("g++", "-shared", *objects, "-o", folder / "runtime.so")


def build_libraries(folder: Path) -> None:
    """Make the stand-ins for the driver and for CUDA's libraries."""
    run(
        *("g++", "-O1", "-shared", "-fPIC", "-w", "-fvisibility=hidden"),
        *("-Wl,-soname,libcuda.so.1", HERE / "driver.cpp", "-o", folder / "libcuda.so.1", "-ldl"),
    )
    for name, library in LIBRARIES.items():
        own = folder / f"{name}.o"
        run("g++", "-O2", "-fPIC", "-w", "-c", HERE / f"{name}.cpp", "-o", own)
        (module,) = site("").glob(f"{library.module}.*.so")
        missing = symbols("U", module) - symbols("T", own)
        rest = stubs(missing, library.refusal, folder / f"{name}_rest.c", hidden=False)
        soname = f"-Wl,-soname,{library.file}"
        run("g++", "-shared", soname, own, rest, "-o", folder / library.file)


def build(folder: Path) -> None:
    """Build everything that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [path.read_bytes() for path in sorted((*HERE.glob("*.cpp"), *HERE.glob("library.h")))]
    parts.append(importlib.metadata.version("cupy-cuda13x").encode())
    wanted = hashlib.sha256(b"".join(parts)).hexdigest()
    stamp = folder / "built"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    build_runtime(folder)
    build_libraries(folder)
    stamp.write_text(wanted)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
