"""``isograd diff`` and ``isograd record``: where two sides part over a training step."""

from __future__ import annotations

from pathlib import Path

import typer

from isograd.cli._console import Bar
from isograd.core.errors import IsogradError
from isograd.testing import diff, record, write_recording
from isograd.testing.differ import read_inputs

__all__ = ["run_diff", "run_record"]


def run_diff(
    reference: str,
    candidate: str,
    *,
    model: str | None,
    input_file: Path | None,
    folder: Path,
    seed: int,
    json_file: Path | None,
    isolated: bool,
    seconds: float,
) -> int:
    """Compare two sides, print the first disagreement; return the exit status."""
    try:
        inputs = () if input_file is None else read_inputs(input_file)
        with Bar("comparing") as bar:
            report = diff(
                reference,
                candidate,
                model,
                *inputs,
                seed=seed,
                folder=folder,
                progress=bar.show,
                isolated=isolated,
                seconds=seconds,
            )
    except IsogradError as error:
        raise typer.BadParameter(str(error)) from error
    if json_file is not None:
        json_file.write_text(report.to_json(indent=2) + "\n", encoding="utf-8")
    typer.echo(str(report))
    return 0 if report.ok else 1


def run_record(
    side: str, *, model: str, input_file: Path | None, file: Path, seed: int, seconds: float
) -> int:
    """Record a step of a model on a side; return the exit status."""
    try:
        inputs = () if input_file is None else read_inputs(input_file)
        run = record(side, model, *inputs, seed=seed, isolated=True, seconds=seconds)
        write_recording(run, file)
    except IsogradError as error:
        raise typer.BadParameter(str(error)) from error
    size = file.stat().st_size
    typer.echo(f"{file}: {len(run.operations)} operations on {run.side}, {size:,} bytes")
    return 0
