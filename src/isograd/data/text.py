"""Text for models of characters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from isograd.core.errors import DataFormatError, IndexOutOfRangeError
from isograd.data.dataset import Dataset, Indices
from isograd.data.idx import Path_
from isograd.ops.creation import tensor
from isograd.runtime.tensor import Tensor

__all__ = ["CharVocabulary", "TextDataset", "load_text"]


def load_text(path: Path_, /, *, max_bytes: int = 1 << 30) -> str:
    r"""Read a text file in UTF-8, with line ends as ``\n``.

    Raises
    ------
    DataFormatError
        If the file is larger than ``max_bytes``, is not UTF-8, or has bytes of 0, as binary files
        do.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = path.write_bytes(b"one\r\ntwo")
    >>> load_text(path)
    'one\ntwo'
    """
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataFormatError(
            f"load_text: {path} is longer than max_bytes={max_bytes}; raise max_bytes if it is "
            "meant to be that long"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataFormatError(
            f"load_text: {path} is not UTF-8 at byte {error.start}; convert it first"
        ) from None
    if "\0" in text:
        raise DataFormatError(f"load_text: {path} has bytes of 0, so it is no text; pass a text")
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


class CharVocabulary:
    """Numbers for characters, in order of their code points.

    Parameters
    ----------
    characters : iterable of str
        A text, or characters.

    Examples
    --------
    >>> letters = CharVocabulary("banana")
    >>> letters.encode("nab").tolist(), letters.decode([2, 0])
    ([2, 0, 1], 'na')
    """

    def __init__(self, characters: Iterable[str], /) -> None:
        self.characters = sorted(set(characters))
        self._points = np.array([ord(c) for c in self.characters], dtype=np.uint32)

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str, /) -> Indices:
        """Return the numbers of a text's characters, int64.

        Raises
        ------
        IndexOutOfRangeError
            If a character is not in the vocabulary.
        """
        points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        codes = np.searchsorted(self._points, points)
        known = self._points[np.minimum(codes, len(self) - 1)] if len(self) else points + 1
        unknown = np.flatnonzero(known != points)
        if len(unknown):
            raise IndexOutOfRangeError(
                f"encode: {text[unknown[0]]!r} at {unknown[0]} is not among the {len(self)} "
                "characters of the vocabulary; make it from all of the text"
            )
        return codes.astype(np.int64)

    def decode(self, codes: Any, /) -> str:
        """Return the text of numbers: a sequence of int, an array or a tensor."""
        array = codes.numpy() if isinstance(codes, Tensor) else np.asarray(codes, dtype=np.int64)
        return "".join(self.characters[i] for i in array.reshape(-1).tolist())


class TextDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pieces of a text, each with the same piece one character further on as target.

    Parameters
    ----------
    text : str
        All of it.
    block_size : int
        Characters in a piece.
    vocabulary : CharVocabulary, optional
        Made from the text unless given.
    stride : int, optional
        From the beginning of one piece to that of the next; ``block_size`` unless given, so that
        pieces do not overlap.

    Raises
    ------
    ValueError
        If the text is too short for one piece, or a number is not positive.

    Examples
    --------
    >>> data = TextDataset("hello world", 4)
    >>> x, y = data[0]
    >>> len(data), data.vocabulary.decode(x), data.vocabulary.decode(y)
    (2, 'hell', 'ello')
    """

    def __init__(
        self,
        text: str,
        block_size: int,
        /,
        *,
        vocabulary: CharVocabulary | None = None,
        stride: int | None = None,
    ) -> None:
        step = block_size if stride is None else stride
        if block_size < 1 or step < 1:
            raise ValueError(
                f"TextDataset: block_size={block_size}, stride={step}; use positive numbers"
            )
        if len(text) <= block_size:
            raise ValueError(
                f"TextDataset: {len(text)} characters are too few for a piece of {block_size} and "
                "the one after it; use more text or a smaller block_size"
            )
        self.vocabulary = CharVocabulary(text) if vocabulary is None else vocabulary
        self.block_size = block_size
        self._codes = self.vocabulary.encode(text)
        self._starts = np.arange(0, len(text) - block_size, step)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Tensor]:
        x, y = self.batch(np.array([range(len(self))[index]]))
        return x[0], y[0]

    def batch(self, indices: Indices, /) -> tuple[Tensor, Tensor]:
        """Return pieces and targets, int64 ``(n, block_size)`` each."""
        places = self._starts[indices][:, None] + np.arange(self.block_size + 1)
        codes = self._codes[places]
        return tensor(codes[:, :-1]), tensor(codes[:, 1:])
