"""Tensors by name in safetensors files, one or several, read when they are asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from isograd.core.dtypes import complex128
from isograd.core.errors import DataFormatError, DTypeError
from isograd.core.optional import require
from isograd.io.atomic import PathLike, atomic_write
from isograd.io.header import Entry, read_header
from isograd.ops.creation import asarray
from isograd.runtime.tensor import Tensor

__all__ = ["LazyTensors", "load_safetensors", "open_safetensors", "save_safetensors"]

_INDEX = "model.safetensors.index.json"


class LazyTensors(Mapping[str, Tensor]):
    """What `open_safetensors` returns: a mapping that reads a tensor when it is asked for.

    Attributes
    ----------
    entries : dict
        For each name its ``dtype`` and ``shape``, known without reading the tensor.
    metadata : dict of str to str
        The texts that were saved with the tensors.
    """

    def __init__(self, files: Mapping[str, Path], entries: dict[str, Entry], device: Any) -> None:
        self.entries = entries
        self.metadata: dict[str, str] = {}
        self._files = files
        self._device = device

    def __getitem__(self, name: str, /) -> Tensor:
        path = self._files[name]
        safetensors = require("open_safetensors", "safetensors", "io")
        with safetensors.safe_open(os.fspath(path), framework="np") as file:
            array: np.ndarray[Any, Any] = file.get_tensor(name)
        array.flags.writeable = False
        return asarray(array, device=self._device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"LazyTensors({len(self)} tensors in {len(set(self._files.values()))} files)"


def open_safetensors(path: PathLike, /, *, device: Any = None) -> LazyTensors:
    """Open a safetensors file, or several, whose tensors are read when they are asked for.

    Parameters
    ----------
    path : str or path
        A safetensors file; or, for a model in several files, its ``*.index.json``, or the folder
        that holds ``model.safetensors.index.json`` or ``model.safetensors``.
    device : device, optional
        Where the tensors shall live.

    Returns
    -------
    LazyTensors
        A mapping from names to tensors.

    Raises
    ------
    DataFormatError
        If a header is damaged or does not fit its file, or the index names what is not there.
        Headers are checked before anything is allocated for the tensors.
    OSError
        If a file cannot be read.
    ImportError
        If the safetensors package is missing.

    Examples
    --------
    >>> import isograd as ig, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.safetensors"
    >>> save_safetensors({"x": ig.ones((2, 3))}, path)
    >>> file = open_safetensors(path)
    >>> file.entries["x"].shape, file["x"].sum().item()
    ((2, 3), 6.0)
    """
    require("open_safetensors", "safetensors", "io")
    path = Path(path)
    if path.is_dir():
        path = path / (_INDEX if (path / _INDEX).exists() else "model.safetensors")
    if path.suffix != ".json":
        entries, metadata = read_header(path)
        tensors = LazyTensors(dict.fromkeys(entries, path), entries, device)
        tensors.metadata = metadata
        return tensors
    index = _read_index(path)
    headers = {name: read_header(path.parent / name)[0] for name in sorted(set(index.values()))}
    lacking = [name for name, file in index.items() if name not in headers[file]]
    surplus = [n for f, header in headers.items() for n in header if index.get(n) != f]
    if lacking or surplus:
        raise DataFormatError(
            f"open_safetensors: {path} and its files differ: not in their files {lacking}, not in "
            f"the index {surplus}; fetch or save the files again"
        )
    return LazyTensors(
        {name: path.parent / file for name, file in index.items()},
        {name: headers[file][name] for name, file in index.items()},
        device,
    )


def _read_index(path: Path) -> dict[str, str]:
    try:
        index: Any = json.loads(path.read_bytes())["weight_map"]
        files = cast("dict[str, str]", index)
        # Files lie beside the index; a path elsewhere is not followed.
        if all(Path(file).name == file for file in files.values()):
            return files
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise DataFormatError(
        f"open_safetensors: {path} has no weight_map from names of tensors to files beside it; "
        "fetch or save the files again"
    )


def load_safetensors(path: PathLike, /, *, device: Any = None) -> dict[str, Tensor]:
    """Read all tensors that `open_safetensors` finds.

    Examples
    --------
    >>> import isograd as ig, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.safetensors"
    >>> save_safetensors({"x": ig.arange(3)}, path)
    >>> load_safetensors(path)["x"].tolist()
    [0, 1, 2]
    """
    return dict(open_safetensors(path, device=device))


def save_safetensors(
    tensors: Mapping[str, Any],
    path: PathLike,
    /,
    *,
    metadata: Mapping[str, str] | None = None,
    max_shard_bytes: int | None = None,
) -> None:
    """Write tensors to a safetensors file, or to several.

    Parameters
    ----------
    tensors : mapping of str to Tensor or array
        What to save.
    path : str or path
        The file. With ``max_shard_bytes`` the folder, which gets
        ``model-00001-of-00002.safetensors`` and so on, and ``model.safetensors.index.json``, which
        is written last.
    metadata : mapping of str to str, optional
        Texts to save with them.
    max_shard_bytes : int, optional
        Begin another file rather than put more bytes of tensors into one; a larger tensor gets a
        file of its own.

    Raises
    ------
    ImportError
        If the safetensors package is missing.
    DTypeError
        If a tensor is complex128, which the format does not have.

    Examples
    --------
    >>> import isograd as ig, os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> save_safetensors({"x": ig.ones(4), "y": ig.ones(4)}, folder, max_shard_bytes=20)
    >>> len(os.listdir(folder)), list(open_safetensors(folder))
    (3, ['x', 'y'])
    """
    require("save_safetensors", "safetensors", "io")
    arrays = {name: _array(name, value) for name, value in tensors.items()}
    texts = None if metadata is None else dict(metadata)
    path = Path(path)
    if max_shard_bytes is None:
        _write(arrays, path, texts)
        return
    shards: list[dict[str, Any]] = [{}]
    room = max_shard_bytes
    for name, array in arrays.items():
        if array.nbytes > room and shards[-1]:
            shards.append({})
            room = max_shard_bytes
        shards[-1][name] = array
        room -= array.nbytes
    path.mkdir(parents=True, exist_ok=True)
    index: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write(shard, path / file, texts)
        index.update(dict.fromkeys(shard, file))
    total = sum(array.nbytes for array in arrays.values())
    with atomic_write(path / _INDEX) as partial:
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2)
        partial.write_text(text, "utf-8")


def _array(name: str, value: Any) -> np.ndarray[Any, Any]:
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype == complex128:
        raise DTypeError(
            f"save_safetensors: {name!r} is complex128, which the format does not have; save "
            "isograd.view_as_real of it, or use save_npz"
        )
    # ascontiguousarray would give a 0-d array an axis
    return array if array.flags.c_contiguous else array.copy(order="C")


def _write(arrays: dict[str, Any], path: Path, metadata: dict[str, str] | None) -> None:
    package = require("save_safetensors", "safetensors.numpy", "io")
    with atomic_write(path) as partial:
        package.save_file(arrays, os.fspath(partial), metadata=metadata)
