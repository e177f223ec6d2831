"""Turns CUDA C into shared objects that run it on the CPU, with g++ and `cuda_cpu.h`."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = (
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-w",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    "-ffp-contract=off",
)

_BARRIER = re.compile(r"__syncthreads|__shfl|__syncwarp|__ballot|__any_sync|cooperative_groups")
_DYNAMIC = re.compile(r"extern\s+__shared__\s+([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;")
_ENTRY = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+(\w+)\s*\('
)


class Compiler:
    """Compiles sources once each, into a folder.

    Parameters
    ----------
    folder
        Where the objects go; they are reused by the next process.
    includes
        Folders with CUDA's headers, and those of CuPy for CuPy's own kernels.
    """

    def __init__(self, folder: Path, includes: Sequence[Path]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._includes = [f"-I{path}" for path in (HERE / "override", *includes)]
        self._lock = threading.Lock()
        self._header = self._precompiled()

    def _precompiled(self) -> Path:
        """Return a copy of the header that g++ has parsed already, which halves every compile."""
        text = (HERE / "cuda_cpu.h").read_text()
        key = hashlib.sha256("\0".join([text, *FLAGS, *self._includes]).encode()).hexdigest()[:16]
        home = self.folder / f"header-{key}"
        header = home / "cuda_cpu.h"
        if not (home / "cuda_cpu.h.gch").exists():
            home.mkdir(exist_ok=True)
            header.write_text(text)
            _gcc(*FLAGS, *self._includes, "-x", "c++-header", header, "-o", home / "half.tmp")
            (home / "half.tmp").replace(home / "cuda_cpu.h.gch")
        return header

    def compile(
        self,
        source: str,
        options: Sequence[str] = (),
        names: Sequence[tuple[str, str]] = (),
        *,
        trusted: bool = False,
    ) -> Path:
        """Return the shared object of a source.

        Parameters
        ----------
        source
            CUDA C.
        options
            NVRTC's options, of which definitions and folders of headers matter here.
        names
            Symbols and expressions of templates to instantiate; ``extern "C"`` kernels are found.
        trusted
            Whether threads may return before a barrier that others reach, as in CuPy's kernels.

        Raises
        ------
        RuntimeError
            With what g++ said.
        """
        barriers = int(bool(_BARRIER.search(source)))
        entries = [(name, name) for name in _ENTRY.findall(source)] + list(names)
        body = _DYNAMIC.sub(r"\1* \2 = reinterpret_cast<\1*>(emu::dynamic_shared);", source)
        body = re.sub(r'extern\s+"C"\s+__global__', "__global__", body)
        exported = 'extern "C" __attribute__((visibility("default")))'
        tail = "".join(
            f"\n{exported} int emu_launch_{symbol}(const unsigned* g, const unsigned* b, size_t s,"
            f" void** p, unsigned o) {{\n  return emu::launch({name}, g, b, s, p, o, {barriers},"
            f" {int(trusted)});\n}}"
            f'\nextern "C" {{ extern decltype(emu::sizes({name})) emu_sizes_{symbol}'
            f' __attribute__((visibility("default")));'
            f" decltype(emu::sizes({name})) emu_sizes_{symbol} = emu::sizes({name}); }}"
            for symbol, name in entries
        )
        text = f'#include "cuda_cpu.h"\n#line 1 "kernel.cu"\n{body}{tail}\n'
        given = [o for o in options if o.startswith(("-D", "-I")) and "cccl" not in o]
        command = [*FLAGS, f"-I{self._header.parent}", *self._includes, *given]
        key = hashlib.sha256("\0".join([text, str(self._header), *command]).encode()).hexdigest()
        target = self.folder / f"{key[:32]}.so"
        with self._lock:
            if not target.exists():
                unit = self.folder / f"{key[:32]}-{os.getpid()}.cpp"
                unit.write_text(text)
                _gcc("-shared", *command, unit, "-o", unit.with_suffix(".tmp"))
                unit.with_suffix(".tmp").replace(target)
                unit.unlink()
        return target


def _gcc(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["g++", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"g++ refused a kernel:\n{done.stderr[:4000]}")
