"""What stands in for a name: a backend with its settings, `pkg.mod:name`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import os
import sys
from collections.abc import Generator
from typing import Any

import numpy as np

import isograd as ig
from isograd.backend import Backend
from isograd.core import dtypes
from isograd.core.config import switched
from isograd.core.errors import BackendUnavailableError, IsogradError
from isograd.testing.execute import on_device_of
from isograd.testing.raised import told

__all__ = ["Side", "TargetError", "backend_of", "load", "parse_side"]

_NUMERICS = ("strict", "exact", "fast")


class TargetError(IsogradError, ValueError):
    """A name that stands for nothing, or for something that fails when it is made.

    Mistake: ``isograd diff numpy my_package.create``.
    Fix: separate module and name by a colon: ``my_package:create``.
    """


def load(target: str) -> Any:
    """Import ``pkg.mod:name``, also from the current folder.

    Raises
    ------
    TargetError
        If there is no such module or name, or the module raises when it is imported.
    """
    module, _, name = target.partition(":")
    if not module or not name:
        raise TargetError(f"{target!r} is not of the form pkg.mod:name; write it so")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise TargetError(
            f"importing {target!r} raised {told(error)}; "
            "check the name, and that Python run in this folder can import it"
        ) from error
    return found


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two that are compared: a backend and how it is used.

    Attributes
    ----------
    text : str
        As it was written.
    given : Backend, optional
        Who computes, where that is an object.
    source : str
        The backend's name, or ``pkg.mod:factory``; empty for an object.
    compiled : bool
        Whether operations run as compiled programs.
    threads : int, optional
        The number of threads; what is set when None.
    dtype : dtype, optional
        The floating dtype; that of the model when None.
    numerics : str, optional
        The numerics mode; what is set when None.
    python : str
        The interpreter of another environment, in which this side runs; this one when empty.
    """

    text: str
    given: Backend | None = None
    source: str = ""
    compiled: bool = False
    threads: int | None = None
    dtype: np.dtype[Any] | None = None
    numerics: str | None = None
    python: str = ""

    @functools.cached_property
    def backend(self) -> Backend:
        """Who computes; made when it is first asked for."""
        return backend_of(self.source) if self.given is None else self.given

    @contextlib.contextmanager
    def active(self) -> Generator[None]:
        """Compute with this side inside a ``with`` block."""
        before = self.backend.get_num_threads()
        mode = {} if self.numerics is None else {"numerics": self.numerics}
        with on_device_of(self.backend), switched(**mode):
            if self.threads is not None:
                self.backend.set_num_threads(self.threads)
            try:
                yield
            finally:
                if self.threads is not None:
                    self.backend.set_num_threads(before)

    def differs_in_threads_only(self, other: Side) -> bool:
        """Tell whether two sides must give the same bits."""
        same = dataclasses.replace(self, text=other.text, threads=other.threads)
        return same == other and self.threads != other.threads


def parse_side(side: Any) -> Side:
    """Turn what a user wrote into a `Side`, whose backend is made when it is asked for.

    Parameters
    ----------
    side
        A backend's name, ``pkg.mod:factory``, or a backend object; a text may go on with
        ``+compiled``, ``+threads=2``, a dtype as ``+float64``, a numerics mode as ``+exact``, and
        last, the interpreter of another environment as ``+python=/path/to/python``.

    Raises
    ------
    TargetError
        If a setting stands for nothing. `Side.backend` raises it where the backend cannot be had.

    Examples
    --------
    >>> side = parse_side("numpy+compiled+threads=1")
    >>> side.backend.name, side.compiled, side.threads
    ('numpy', True, 1)
    """
    if isinstance(side, Side):
        return side
    if not isinstance(side, str):
        return Side(side.name, side)
    named, _, python = side.partition("+python=")
    head, *settings = named.split("+")
    found = Side(side, None, head, python=python)
    for setting in settings:
        found = dataclasses.replace(found, **_setting(setting, side))
    return found


def _setting(setting: str, side: str) -> dict[str, Any]:
    key, _, value = setting.partition("=")
    if setting == "compiled":
        return {"compiled": True}
    if key == "threads" and value.isdecimal() and int(value) > 0:
        return {"threads": int(value)}
    if setting in _NUMERICS:
        return {"numerics": setting}
    try:
        dtype = dtypes.as_dtype(setting)
    except (IsogradError, TypeError):
        dtype = None
    if dtype is None or not dtypes.is_floating(dtype):
        raise TargetError(
            f"{setting!r} in {side!r} is no setting; use compiled, threads=N, a floating "
            f"dtype, python=PATH last, or one of {', '.join(_NUMERICS)}"
        )
    return {"dtype": dtype}


def _is_backend(made: object) -> bool:
    # From Python 3.12 on, isinstance does not see what an object passes on by __getattr__.
    members = [member for member in vars(Backend) if not member.startswith("_")]
    return all(hasattr(made, member) for member in members)


def backend_of(name: str) -> Backend:
    """Return the backend of a name, or what ``pkg.mod:factory`` makes.

    Raises
    ------
    TargetError
        If there is none, it cannot run here, or the factory fails.
    """
    if ":" in name:
        factory = load(name)
        try:
            made = factory()
        except Exception as error:
            raise TargetError(
                f"the factory {name!r} raised {told(error)}; it is called without "
                "arguments, and returns a backend"
            ) from error
        if not _is_backend(made):
            raise TargetError(
                f"the factory {name!r} returned {type(made).__name__}, which is no backend; "
                "return an object that follows isograd.backend.Backend"
            )
        return made
    try:
        with ig.use_backend(name) as backend:
            return backend
    except (IsogradError, BackendUnavailableError) as error:
        raise TargetError(str(error)) from error
