"""The command that searches a space of mixers: search."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from glmix_theory.cli.application import Json, app, console, print_json


@app.command("search")
def search_command(
    file: Annotated[Path, typer.Argument(help="TOML file with n, objectives and [[space]] templates.")],
    store: Annotated[
        Path | None, typer.Option(help="SQLite file that keeps every result; what it holds is not evaluated again.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for all cores.")] = -1,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that one quantity of one point may take.")] = None,
    retry_failed: Annotated[bool, typer.Option(help="Evaluate again what failed before.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Print every point, not the frontier alone.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the frontier of the first two objectives into this image file.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Find the mixers of a space that no other is better than; exit 1 when no point could be evaluated.

    An interrupted search (exit 130) that has a store continues where it was when it is run again.
    """
    from glmix_theory.design import read_search_file, search

    arguments = read_search_file(file)
    if time_limit is not None:
        arguments["time_limit"] = time_limit
    try:
        result = search(**arguments, store=store, jobs=jobs, retry_failed=retry_failed)
    except KeyboardInterrupt:
        kept = "" if store is None else f"; {store} holds what was evaluated: run the same command to continue"
        print(f"glmix: the search was interrupted{kept}", file=sys.stderr)
        raise typer.Exit(130) from None
    if json_output:
        print_json(result.to_dict())
    else:
        console().print(result.table(everything).to_rich())
    if plot is not None:
        from glmix_theory.report import plot_search

        plot_search(result).savefig(plot, dpi=150)
    if len(result.failed) == len(result.points):
        raise typer.Exit(1)
