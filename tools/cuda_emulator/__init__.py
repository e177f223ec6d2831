"""Real CuPy on machines without a GPU, for tests.

`activate` makes the CuPy wheel that is installed run over host memory: the driver, the runtime and
the libraries that `build.LIBRARIES` lists are stand-ins, and NVRTC is g++, so that every kernel is
executed from its exact text. What else CUDA ships as compiled device code raises.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Counts", "Emulator", "activate", "create"]


class Counts(NamedTuple):
    """What happened since the process began, except for the bytes in use now."""

    bytes_in_use: int
    allocations: int
    synchronisations: int
    graph_launches: int
    copies: int
    launches: int
    products: int
    transforms: int
    decompositions: int


class _Finder:
    """Finds one extension module in the emulator's folder."""

    def __init__(self, folder: Path) -> None:
        self._file = str(folder / "runtime.so")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "cupy_backends.cuda.api.runtime":
            return None
        loader = ExtensionFileLoader(name, self._file)
        return importlib.util.spec_from_file_location(name, self._file, loader=loader)


class _Nvrtc:
    """NVRTC's functions, with g++ behind them. The originals stay in ``real``."""

    def __init__(self, compiler: Any, module: Any) -> None:
        self._compiler = compiler
        self._numbers = itertools.count(1)
        self._programs: dict[int, dict[str, Any]] = {}
        self.sources: dict[str, tuple[str, ...]] = {}
        names = [
            "createProgram",
            "compileProgram",
            "addNameExpression",
            "getLoweredName",
            "getCUBIN",
            "getPTX",
            "getProgramLog",
            "destroyProgram",
        ]
        self.real = {name: getattr(module, name) for name in names}
        self._error = module.NVRTCError
        for name in names:
            setattr(module, name, getattr(self, name))

    def createProgram(self, source: str, *rest: Any) -> int:  # noqa: N802
        number = next(self._numbers)
        self._programs[number] = {"source": source, "names": [], "log": "", "object": b""}
        return number

    def addNameExpression(self, program: int, name: str) -> None:  # noqa: N802
        self._programs[program]["names"].append(name)

    def compileProgram(self, program: int, options: tuple[str, ...]) -> None:  # noqa: N802
        made = self._programs[program]
        names = [(f"expression_{i}", name) for i, name in enumerate(made["names"])]
        own = "isograd" in made["source"]
        if own:
            self.sources[made["source"]] = tuple(options)
        try:
            path = self._compiler.compile(made["source"], options, names, trusted=not own)
        except RuntimeError as error:
            made["log"] = str(error)
            raise self._error(6) from None  # NVRTC_ERROR_COMPILATION
        made["object"] = b"EMULATED:" + str(path).encode() + b"\0"

    def getLoweredName(self, program: int, name: str) -> str:  # noqa: N802
        return f"expression_{self._programs[program]['names'].index(name)}"

    def getCUBIN(self, program: int) -> bytes:  # noqa: N802
        return self._programs[program]["object"]

    getPTX = getCUBIN  # noqa: N815

    def getProgramLog(self, program: int) -> str:  # noqa: N802
        return self._programs[program]["log"]

    def destroyProgram(self, program: int) -> None:  # noqa: N802
        self._programs.pop(program, None)


class Emulator:
    """The emulated device: its counters and switches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._driver = ctypes.CDLL(str(folder / "libcuda.so.1"), ctypes.RTLD_LOCAL)
        sys.meta_path.insert(0, _Finder(folder))  # pyright: ignore[reportArgumentType]
        self._libraries = _stand_ins(folder)
        import cupy
        from cupy.cuda import nvrtc

        from cuda_emulator.build import cuda_includes, site
        from cuda_emulator.compile import Compiler

        # NVRTC looks for its second library by name alone, which finds one that is loaded.
        for path in site("nvidia/cu13/lib").glob("libnvrtc-builtins.so*"):
            ctypes.CDLL(str(path))
        self._runtime = ctypes.CDLL(str(folder / "runtime.so"))
        capture = ctypes.cast(self._runtime.emulator_capture, ctypes.c_void_p)
        record = ctypes.cast(self._runtime.emulator_record, ctypes.c_void_p)
        device = ctypes.cast(self._runtime.emulator_device, ctypes.c_void_p)
        self._driver.emulator_bind(capture, record, device)
        for library in self._libraries.values():
            library.emulator_bind(capture, record)
            library.emulator_calls.restype = ctypes.c_ulong
        self._driver.emulator_launches.restype = ctypes.c_ulong
        self._driver.emulator_log.restype = ctypes.c_char_p
        own = Path(cupy.__file__).parent / "_core" / "include"
        self.compiler = Compiler(folder / "kernels", [*cuda_includes(), own])
        self.nvrtc = _Nvrtc(self.compiler, nvrtc)

    def counts(self) -> Counts:
        """Return the counters."""
        out = (ctypes.c_size_t * 5)()
        self._runtime.emulator_counts(out)
        calls = {name: library.emulator_calls() for name, library in self._libraries.items()}
        ours = [calls[name] for name in ("cublas", "cufft", "cusolver")]
        return Counts(*out, self._driver.emulator_launches(), *ours)

    def log(self) -> list[str]:
        """Return the kernels that were launched since the last call."""
        names = self._driver.emulator_log().decode().splitlines()
        self._driver.emulator_log_clear()
        return names

    def set_order(self, order: int) -> None:
        """Run the threads of a block in another order: 0 up, 1 down, others drawn by number."""
        self._driver.emulator_order(order)

    def set_memory(self, size: int) -> None:
        """Give each device this many bytes."""
        self._runtime.emulator_total(ctypes.c_size_t(size))

    def fail_late(self, error: int) -> None:
        """Let the next call that waits return an error, as that of a kernel before it."""
        self._runtime.emulator_late(error)

    def lose_device(self, error: int) -> None:
        """Let everything on the device fail with an error of CUDA; 0 brings the device back."""
        for library in (self._driver, self._runtime, *self._libraries.values()):
            library.emulator_lose(error)


def _stand_ins(folder: Path) -> dict[str, ctypes.CDLL]:
    """Load the stand-ins, and let CuPy's search for NVIDIA's libraries find them."""
    from cuda import pathfinder

    from cuda_emulator.build import LIBRARIES

    paths = {name: str(folder / library.file) for name, library in LIBRARIES.items()}
    loaded = {name: ctypes.CDLL(path, ctypes.RTLD_LOCAL) for name, path in paths.items()}
    # CuPy wants these beside cuBLAS, and calls nothing in them.
    other = {"cublasLt": "cublas", "cudart": "cublas"}
    search = pathfinder.load_nvidia_dynamic_lib

    def load(name: str) -> Any:
        known = other.get(name, name)
        if known not in loaded:
            return search(name)
        facts = {
            "_handle_uint": loaded[known]._handle,
            "abs_path": paths[known],
            "was_already_loaded_from_elsewhere": False,
        }
        return type("Loaded", (), facts)()

    pathfinder.load_nvidia_dynamic_lib = load
    return loaded


def activate(folder: Path) -> Emulator:
    """Put the emulator in place of CUDA. Call it before anything imports CuPy.

    Parameters
    ----------
    folder
        Where `cuda_emulator.build` built it.
    """
    assert "cupy" not in sys.modules, "activate the emulator before CuPy is imported"
    os.environ.setdefault("CUPY_ACCELERATORS", "")
    os.environ.setdefault("CUPY_CACHE_IN_MEMORY", "1")
    return Emulator(folder)


def create() -> Any:
    """Return the CuPy backend on the emulator in the folder that ISOGRAD_CUDA_EMULATOR names."""
    activate(Path(os.environ["ISOGRAD_CUDA_EMULATOR"]))
    import isograd

    return isograd.get_backend("cuda")
