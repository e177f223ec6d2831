"""Checkpoints: a folder with the last few states of a training, each whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from isograd.core.errors import DataFormatError
from isograd.core.frames import warn_user
from isograd.io.atomic import TEMPORARY, PathLike, sync_folder
from isograd.io.tree import load_tree, save_tree

__all__ = ["Checkpoints"]

_NAME: Final = re.compile(r"step-(\d{10})\.npz")


class Checkpoints:
    """Saved states in a folder, of which the last ``keep`` are kept.

    A checkpoint is a file of its own, which gets its name when all of it is on the disk. A save
    that is killed leaves the ones before as they were.

    Parameters
    ----------
    folder : str or path
        Made if it is not there. One process at a time may write to it.
    keep : int
        How many to keep.

    Raises
    ------
    ValueError
        If ``keep`` is not positive.

    Examples
    --------
    >>> import isograd as ig, tempfile
    >>> layer = ig.nn.Linear(2, 1)
    >>> checkpoints = Checkpoints(tempfile.mkdtemp(), keep=2)
    >>> for step in (5, 10, 15):
    ...     _ = checkpoints.save(layer, step=step)
    >>> checkpoints.steps(), checkpoints.load(layer)
    ([10, 15], 15)
    """

    def __init__(self, folder: PathLike, /, *, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError(f"Checkpoints: keep={keep} is not positive; keep at least 1")
        self.folder = Path(folder)
        self.keep = keep
        self.folder.mkdir(parents=True, exist_ok=True)

    def steps(self) -> list[int]:
        """Return the numbers of the steps that are there, in order."""
        names = [_NAME.fullmatch(path.name) for path in self.folder.iterdir()]
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int, /) -> Path:
        """Return the file of a step."""
        return self.folder / f"step-{step:010}.npz"

    def save(self, state: Any, /, *, step: int) -> Path:
        """Save ``state.state_dict()`` as the checkpoint of a step, and remove what is too old.

        Parameters
        ----------
        state : TrainState, or anything with a state_dict
            What to save.
        step : int
            A number that grows as training goes on.

        Returns
        -------
        Path
            The file.
        """
        path = self.path(step)
        save_tree(state.state_dict(), path)
        for leftover in self.folder.glob(f".step-*{TEMPORARY}*"):
            leftover.unlink(missing_ok=True)
        for old in self.steps()[: -self.keep]:
            self.path(old).unlink(missing_ok=True)
        sync_folder(self.folder)
        return path

    def load(self, state: Any, /, *, step: int | None = None) -> int | None:
        """Load the checkpoint of a step, or the last one.

        Parameters
        ----------
        state : TrainState, or anything with a load_state_dict
            What to load into.
        step : int, optional
            Which one. The last one unless given; one that is damaged is then passed over with a
            warning.

        Returns
        -------
        int or None
            The step that was loaded; None where there is no checkpoint.

        Raises
        ------
        DataFormatError
            If the one asked for, or all that are there, are damaged.
        FileNotFoundError
            If the one asked for is not there.
        StateDictError
            If the state does not fit; nothing is loaded.
        """
        steps = self.steps() if step is None else [step]
        damaged: list[str] = []
        for number in reversed(steps):
            try:
                tree = load_tree(self.path(number))
            except DataFormatError as error:
                damaged.append(str(error))
                continue
            if damaged:
                warn_user(
                    f"Checkpoints.load: went back to step {number}, since {damaged[0]}",
                    RuntimeWarning,
                )
            state.load_state_dict(tree)
            return number
        if damaged:
            raise DataFormatError(
                "Checkpoints.load: no checkpoint is whole:\n" + "\n".join(damaged)
            )
        return None
