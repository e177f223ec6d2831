"""Image data sets: the UCI digits that come with isograd, and folders in MNIST's format."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from isograd.core.dtypes import default_float
from isograd.core.errors import DataFormatError
from isograd.data.dataset import TensorDataset
from isograd.data.idx import Path_, load_idx
from isograd.ops.creation import tensor

__all__ = ["Splits", "load_digits", "load_fashion_mnist"]

_HERE: Final = Path(__file__).parent
_DIGITS: Final = {
    "digits-images-idx3-ubyte.gz": (
        "c41c947a1014aa9bb82e371b01f16724f9ef929893351173edcc47aa0fc03930"
    ),
    "digits-labels-idx1-ubyte.gz": (
        "147c9192405199869317e6d9c62ea444f9770c3f8c6dd65035ba3a3690cc5460"
    ),
}


class Splits(NamedTuple):
    """A data set in two parts: one to learn from, one to judge with."""

    train: TensorDataset
    test: TensorDataset


def load_digits(*, flatten: bool = False, dtype: Any = None, device: Any = None) -> Splits:
    """Load the UCI handwritten digits, which are part of the package.

    1797 grey images of 8 x 8 pixels. Every fifth image of each class is kept for testing, so the
    split is the same everywhere: 1442 images to train on, 355 to test on.

    Parameters
    ----------
    flatten : bool
        Give images of shape ``(64,)`` instead of ``(1, 8, 8)``.
    dtype : dtype, optional
        A floating-point dtype; float32 unless changed with ``set_default_dtype``.
    device : device, optional
        Where the tensors live.

    Returns
    -------
    Splits
        A pair ``(train, test)`` of `TensorDataset`. Images of shape ``(n, 1, 8, 8)`` or ``(n, 64)``
        with values in [0, 1], and int64 labels ``(n,)``.

    Raises
    ------
    DataFormatError
        If the installed data files are damaged.

    Notes
    -----
    Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits [Dataset]. UCI
    Machine Learning Repository, https://doi.org/10.24432/C50P49. Licensed under CC BY 4.0.
    ``DIGITS.txt``, beside this module, tells more.

    Examples
    --------
    >>> train, test = load_digits(flatten=True)
    >>> len(train), len(test)
    (1442, 355)
    >>> images, labels = train[:3]
    >>> images.shape, labels.tolist()
    ((3, 64), [0, 1, 2])
    """
    for name, digest in _DIGITS.items():
        if hashlib.sha256((_HERE / name).read_bytes()).hexdigest() != digest:
            raise DataFormatError(
                f"load_digits: {_HERE / name} is damaged: its SHA-256 is not {digest}; install "
                "isograd again"
            )
    images, labels = (load_idx(_HERE / name) for name in _DIGITS)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[4::5]] = True
    options: dict[str, Any] = {"scale": 16, "flatten": flatten, "dtype": dtype, "device": device}
    return Splits(
        _dataset(images[~test], labels[~test], **options),
        _dataset(images[test], labels[test], **options),
    )


def load_fashion_mnist(
    folder: Path_, /, *, flatten: bool = False, dtype: Any = None, device: Any = None
) -> Splits:
    """Read Fashion-MNIST, or any data set in the same four IDX files, from a folder.

    Parameters
    ----------
    folder : str or path
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte``
        and ``t10k-labels-idx1-ubyte``, each with or without ``.gz``. On Debian and Ubuntu the
        package dataset-fashion-mnist brings them to ``/usr/share/datasets/fashion-mnist``.
    flatten : bool
        Give images of shape ``(784,)`` instead of ``(1, 28, 28)``.
    dtype : dtype, optional
        A floating-point dtype; float32 unless changed with ``set_default_dtype``.
    device : device, optional
        Where the tensors live.

    Returns
    -------
    Splits
        A pair ``(train, test)`` of `TensorDataset`. Images of shape ``(n, 1, 28, 28)`` or ``(n,
        784)`` with values in [0, 1], and int64 labels ``(n,)``.

    Raises
    ------
    FileNotFoundError
        If one of the files is missing.
    DataFormatError
        If a file is not an IDX file of the right kind, or images and labels do not belong together.

    Examples
    --------
    >>> folder = "/usr/share/datasets/fashion-mnist"
    >>> train, test = load_fashion_mnist(folder)  # doctest: +SKIP
    >>> train[0][0].shape  # doctest: +SKIP
    (1, 28, 28)
    """
    options: dict[str, Any] = {"scale": 255, "flatten": flatten, "dtype": dtype, "device": device}
    train, test = (_images_and_labels(Path(folder), part) for part in ("train", "t10k"))
    return Splits(_dataset(*train, **options), _dataset(*test, **options))


def _images_and_labels(
    folder: Path, part: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    images_path = _find(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = load_idx(images_path), load_idx(labels_path)
    problem = ""
    if images.ndim != 3 or images.dtype != np.uint8:
        problem = (
            f"{images_path} holds {images.dtype} of shape {images.shape}, "
            "not uint8 (n, height, width)"
        )
    elif labels.ndim != 1 or labels.dtype != np.uint8:
        problem = f"{labels_path} holds {labels.dtype} of shape {labels.shape}, not uint8 (n,)"
    elif len(images) != len(labels):
        problem = f"{folder} has {len(images)} images and {len(labels)} labels for {part!r}"
    if problem:
        raise DataFormatError(f"load_fashion_mnist: {problem}; fetch the files again")
    return images, labels


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"load_fashion_mnist: {folder} has neither {name} nor {name}.gz; pass the folder that "
        "holds the four IDX files (on Debian: apt install dataset-fashion-mnist, "
        "/usr/share/datasets/fashion-mnist)"
    )


def _dataset(
    images: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    *,
    scale: int,
    flatten: bool,
    dtype: Any,
    device: Any,
) -> TensorDataset:
    """Scale bytes to [0, 1] and pair them with int64 labels."""
    count, *pixels = images.shape
    shape = (count, math.prod(pixels)) if flatten else (count, 1, *pixels)
    scaled = np.divide(images, scale, dtype=np.float32).reshape(shape)
    return TensorDataset(
        tensor(scaled, dtype=default_float() if dtype is None else dtype, device=device),
        tensor(labels.astype(np.int64), device=device),
    )
