"""``isograd conform``: the conformance kit on a backend, and its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.text import Text

from isograd.cli._console import (
    Bar,
    choose,
    new_table,
    output,
    processes,
    stoppable,
    verdict,
)
from isograd.testing import TargetError
from isograd.testing.conformance import Certificate, conform, group_names
from isograd.testing.conformance.groups import GROUPS, WHOLE
from isograd.testing.interrupted import Interruption
from isograd.testing.op_db import OP_DB

__all__ = ["run"]

_SHOWN_FAILURES = 20


def run(
    target: str,
    *,
    groups: Sequence[str] | None,
    ops: Sequence[str] | None,
    json_file: Path | None,
    jobs: int | None = None,
) -> int:
    """Run the kit, print the matrix and the failures; return the exit status."""
    chosen = choose("group", groups, group_names()) if groups else None
    names = choose("operation", ops, [spec.name for spec in OP_DB]) if ops else None
    stopped = False
    with stoppable() as status_of_stop:
        try:
            with Bar("conforming") as bar:
                certificate = conform(
                    target, groups=chosen, ops=names, jobs=processes(jobs), progress=bar.show
                )
        except TargetError as error:
            raise typer.BadParameter(str(error)) from error
        except Interruption as interruption:
            stopped, certificate = True, interruption.partial
        if json_file is not None:
            json_file.write_text(certificate.to_json(), encoding="utf-8")
        _print(certificate, stopped)
    if stopped:
        return status_of_stop()
    return 1 if certificate.failures or not any(certificate.groups.values()) else 0


def _print(certificate: Certificate, stopped: bool) -> None:
    console = output()
    table = new_table("group", "a backend...", "pass", "fail", numeric=("pass", "fail"))
    demands = {**WHOLE, **{name: group.demands for name, group in GROUPS.items()}}
    for name, cells in certificate.groups.items():
        failed = sum(not cell.ok for cell in cells)
        text = Text(str(failed), style="bold red" if failed else "dim")
        table.add_row(name, demands[name], str(len(cells) - failed), text)
    console.print(table)
    for group, cell in certificate.failures[:_SHOWN_FAILURES]:
        typer.echo(f"{group}: {cell}")
    hidden = len(certificate.failures) - _SHOWN_FAILURES
    if hidden > 0:
        typer.echo(f"... and {hidden} more; --json FILE has all of them")
    what = "conforms" if certificate.conforms else "does not conform"
    if not certificate.complete:
        what = "was asked a part only, so this is no certificate"
    if stopped:
        what = "was stopped before the end, so this is no certificate"
    seal = certificate.as_dict()["sha256"][:16]
    console.print(
        verdict(not stopped and not certificate.failures).append(
            f"  {certificate.factory} {what}; hash {seal}", style="default not bold"
        )
    )
