"""The typer application: each command reads its options here; its work is in its own module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="isograd: one model on every backend, with gradients that are shown to match.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from isograd import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Read the options that come before a command."""


BackendOption = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        "-b",
        metavar="NAME",
        help="A backend to use; repeat for several. Default: every available one.",
    ),
]


def _in_a_folder_that_exists(file: Path | None) -> Path | None:
    """Refuse a file that could not be written, before the work rather than after it."""
    if file is not None and not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {str(file.absolute().parent)!r}; create it")
    return file


JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        dir_okay=False,
        writable=True,
        callback=_in_a_folder_that_exists,
        help="Also write the results to FILE as JSON.",
    ),
]


ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODULE:NAME",
        help="A function without arguments that returns the model, alone or in a tuple with an "
        "optimizer and a loss(model, *inputs).",
    ),
]

InputOption = Annotated[
    Path | None,
    typer.Option(
        "--input",
        "-i",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="The batch: an .npz, whose arrays are passed in the order in which they were saved, "
        "or an .npy.",
    ),
]

JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=0,
        help="How many processes share the work; a crash is then a failing cell. 0: this one "
        "alone. Default: one for each core.",
    ),
]

TimeoutOption = Annotated[
    float,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="How long a process may take for one operation, or for a step of a model.",
    ),
]

SeedOption = Annotated[
    int, typer.Option(min=0, help="Seed of isograd.random, before the model is built and run.")
]


@app.command()
def doctor(
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
    edge_policy: Annotated[
        bool,
        typer.Option(
            "--edge-policy",
            help="Print what isograd promises at kinks, ties, infinities and empty inputs.",
        ),
    ] = False,
) -> None:
    """Show versions, backends and why one is missing, BLAS, threads, caches and modes."""
    from isograd.cli import doctor as command

    if edge_policy:
        command.print_edge_policy(as_json=json)
    else:
        command.print_doctor(as_json=json)


@app.command()
def demo(
    backend: BackendOption = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training set.")] = 12,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the weights and of the order of examples.")
    ] = 0,
    json: JsonFile = None,
) -> None:
    """Train a digits classifier on every backend, eager and compiled, and compare the gradients.

    Exits with 1 if the gradients disagree with the float64 reference, or the test accuracy is below
    0.95.
    """
    from isograd.cli import demo as command

    raise typer.Exit(command.run(backends=backend, epochs=epochs, seed=seed, json_file=json))


def _file(option: str, what: str) -> typer.models.OptionInfo:
    return typer.Option(
        option,
        metavar="FILE",
        dir_okay=False,
        writable=True,
        callback=_in_a_folder_that_exists,
        help=what,
    )


@app.command("check")
def check_command(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:BUILD]",
            help="A model of yours: its gradients are checked on every backend. Without it, the "
            "operations are.",
        ),
    ] = None,
    op: Annotated[
        list[str] | None,
        typer.Option(
            "--op",
            "-o",
            metavar="NAME",
            help="An operation to check; repeat for several. Default: all of them.",
        ),
    ] = None,
    backend: BackendOption = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            "--dtype",
            "-d",
            metavar="NAME",
            help="A floating dtype; repeat for several. Default: all that there are, and for a "
            "model float32 and float64. Other dtypes are always checked.",
        ),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            "--check",
            "-c",
            metavar="NAME",
            help="A check, such as gradient or compiled; repeat for several. Default: all of them.",
        ),
    ] = None,
    jobs: JobsOption = None,
    input: InputOption = None,  # noqa: A002 - the option's name
    json: JsonFile = None,
    html: Annotated[
        Path | None, _file("--html", "Also write a heat map to FILE, which opens offline.")
    ] = None,
    junit: Annotated[
        Path | None, _file("--junit", "Also write the cells to FILE as JUnit XML.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="What an earlier --json wrote: say what got worse since.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="SECONDS",
            help="How long a process may take for a check of an operation (default: 300), or a "
            "model on a backend and its numeric derivatives (default: 1800).",
        ),
    ] = None,
) -> None:
    """Check every operation, or a model, on every backend against the float64 reference.

    For a model, --json writes a gradient certificate, a --backend may be MODULE:FACTORY, and what
    crashes is a failing cell. Exits with 1 if anything is out of its bound, or got worse.
    """
    from isograd.cli import check as command

    if model is not None and (op or check):
        raise typer.BadParameter("--op and --check choose operations; leave them out for a model")
    if model is None:
        status = command.run(
            ops=op,
            backends=backend,
            dtypes=dtype,
            json_file=json,
            html_file=html,
            junit_file=junit,
            against=against,
            checks=check,
            jobs=jobs,
            seconds=300.0 if timeout is None else timeout,
        )
    else:
        status = command.run_model(
            model,
            backends=backend,
            dtypes=dtype,
            input_file=input,
            json_file=json,
            against=against,
            html_file=html,
            junit_file=junit,
            jobs=jobs,
            seconds=1800.0 if timeout is None else timeout,
        )
    raise typer.Exit(status)


@app.command()
def diff(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REF", help="A backend, MODULE:FACTORY, or a recording (.safetensors)."
        ),
    ],
    candidate: Annotated[str, typer.Argument(metavar="CAND", help="The same.")],
    model: ModelOption = None,
    input: InputOption = None,  # noqa: A002 - the option's name
    folder: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER",
            file_okay=False,
            help="Where inputs and a test of the first wrong operation are written.",
        ),
    ] = Path("isograd-diff"),
    seed: SeedOption = 0,
    json: JsonFile = None,
    in_process: Annotated[
        bool,
        typer.Option(
            "--in-process",
            help="Run both sides in this process, as debuggers need it; a crash ends it.",
        ),
    ] = False,
    timeout: TimeoutOption = 300.0,
) -> None:
    """Find the first operation in which two runs of a training step part, and who is wrong.

    Each operation, forward, backward and of the update, runs on the reference's own inputs on both
    sides, and both results go before a float64 referee. A backend may be followed by settings:
    numba+compiled, numba+threads=1, numpy+float64, numba+python=/path/to/python. Each side is a
    process of its own, whose crash is a verdict. Exits with 0 where the two agree, 1 where not.
    """
    from isograd.cli import diff as command

    raise typer.Exit(
        command.run_diff(
            reference,
            candidate,
            model=model,
            input_file=input,
            folder=folder,
            seed=seed,
            json_file=json,
            isolated=not in_process,
            seconds=timeout,
        )
    )


@app.command()
def record(
    side: Annotated[
        str, typer.Argument(metavar="SIDE", help="A backend or MODULE:FACTORY, as for diff.")
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            dir_okay=False,
            writable=True,
            callback=_in_a_folder_that_exists,
            help="What to write: a .safetensors file.",
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODULE:NAME", help="As for diff.")
    ],
    input: InputOption = None,  # noqa: A002 - the option's name
    seed: SeedOption = 0,
    timeout: TimeoutOption = 300.0,
) -> None:
    """Write every operation of a training step to one file, to compare with on another machine."""
    from isograd.cli import diff as command

    raise typer.Exit(
        command.run_record(
            side, model=model, input_file=input, file=file, seed=seed, seconds=timeout
        )
    )


@app.command()
def conform(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:FACTORY", help="Or the name of an installed backend.")
    ],
    group: Annotated[
        list[str] | None,
        typer.Option("--group", "-g", metavar="NAME", help="A group; repeat for several."),
    ] = None,
    op: Annotated[
        list[str] | None,
        typer.Option("--op", "-o", metavar="NAME", help="An operation; repeat for several."),
    ] = None,
    jobs: JobsOption = None,
    json: JsonFile = None,
) -> None:
    """Ask everything of a backend that isograd asks of its own, and write a certificate.

    It runs in processes of its own, so that a crash is a failing cell. Exits with 1 if the backend
    does not conform.
    """
    from isograd.cli import conform as command

    raise typer.Exit(command.run(target, groups=group, ops=op, json_file=json, jobs=jobs))


@app.command()
def graph(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="A compiled function, or a function without arguments that returns "
            "(compiled, args). MODULE is imported as Python run in this folder would.",
        ),
    ],
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            dir_okay=False,
            writable=True,
            callback=_in_a_folder_that_exists,
            help="Write an HTML page, which opens offline, to FILE instead of text.",
        ),
    ] = None,
    json: JsonFile = None,
    timings: Annotated[
        bool, typer.Option("--timings", help="Also measure the time of each step.")
    ] = False,
    source: Annotated[
        bool,
        typer.Option("--source", help="Print the generated code too, which HTML and JSON have."),
    ] = False,
) -> None:
    """Show the program of a compiled function: graph, schedule, memory, source lines, times.

    A compiled function is shown with the programs that it made while its
    module was imported, or with that of a call where it takes no arguments.
    For all others write a function that returns it with the arguments of
    an example call, such as

        def example():
            return step, (x, y)

    and run: isograd graph train:example. The call is traced, and only
    --timings runs it, on copies.
    """
    from isograd.cli import graph as command

    raise typer.Exit(
        command.run(target, html_file=html, json_file=json, timings=timings, source=source)
    )
