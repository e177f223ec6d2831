"""CUDA C to device code, with NVRTC and a cache on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import cupy
from cupy.cuda import nvrtc

__all__ = ["OPTIONS", "cache_folder", "compile_source", "load"]

_COMMON: Final = ("--std=c++17", "-ftz=false", "-prec-div=true", "-prec-sqrt=true")
#: NVRTC's options by numerics mode. `strict`: IEEE results, so no contraction into fused
#: multiply-adds, subnormals kept, division and roots exact.
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "strict": (*_COMMON, "--fmad=false"),
    "fast": (*_COMMON, "--fmad=true"),
}


def cache_folder() -> Path | None:
    """Return the folder with compiled kernels; None where ``ISOGRAD_CACHE=0`` forbids one.

    It is ``$ISOGRAD_CACHE_DIR`` or a folder of the user's cache, and nobody else can write to it.
    """
    if os.environ.get("ISOGRAD_CACHE") == "0":
        return None
    root = os.environ.get("ISOGRAD_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = (Path(root) if root else home / "isograd") / "cuda"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = folder.stat()
    except OSError:
        return None
    foreign = hasattr(os, "getuid") and facts.st_uid != os.getuid()
    return None if foreign or facts.st_mode & 0o022 else folder


def compile_source(source: str, arch: str, mode: str) -> bytes:
    """Return the device code of a source for an architecture such as ``"90"``.

    Raises
    ------
    RuntimeError
        With NVRTC's messages.
    """
    options = (*OPTIONS[mode], f"-arch=sm_{arch}")
    program: Any = nvrtc.createProgram(source, "isograd.cu", (), ())
    try:
        nvrtc.compileProgram(program, options)
        return nvrtc.getCUBIN(program)
    except nvrtc.NVRTCError as error:
        log = nvrtc.getProgramLog(program)
        raise RuntimeError(f"NVRTC refused a kernel of isograd: {log}") from error
    finally:
        nvrtc.destroyProgram(program)


def _cached(source: str, arch: str, mode: str) -> bytes:
    folder = cache_folder()
    if folder is None:
        return compile_source(source, arch, mode)
    facts = (source, arch, *OPTIONS[mode], str(nvrtc.getVersion()))
    path = folder / (hashlib.sha256("\0".join(facts).encode()).hexdigest() + ".cubin")
    with contextlib.suppress(OSError):
        return path.read_bytes()
    code = compile_source(source, arch, mode)
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(code)
        Path(name).replace(path)
    return code


@functools.cache
def load(source: str, device: int, mode: str) -> Any:
    """Return the module of a source on a device, which is the current one, in a numerics mode."""
    module = cupy.cuda.function.Module()
    module.load(_cached(source, cupy.cuda.Device(device).compute_capability, mode))
    return module
