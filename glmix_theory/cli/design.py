"""The command that turns targets into mixers: design."""

from __future__ import annotations

from typing import Annotated

import typer

from glmix_theory.cli.application import Json, app, console, print_json
from glmix_theory.design import design
from glmix_theory.errors import InfeasibleTargetError


@app.command("design")
def design_command(
    budget: Annotated[
        str | None, typer.Argument(help='Numbers at one length: "64 terms and 4096 rows at n = 131072".')
    ] = None,
    step_cost: Annotated[str | None, typer.Option(help='Θ class of the terms of a step, such as "sqrt(n)".')] = None,
    cache: Annotated[str | None, typer.Option(help='Θ class of the cached rows, such as "log(n)".')] = None,
    distance: Annotated[str | None, typer.Option(help="Θ class, or most hops, between two tokens.")] = None,
    congestion: Annotated[str | None, typer.Option(help="Θ class, or most paths through a node.")] = None,
    state_rank: Annotated[str | None, typer.Option(help="Θ class, or number, to carry across a cut at least.")] = None,
    limit: Annotated[int, typer.Option(help="Candidates shown at most.")] = 8,
    explain: Annotated[bool, typer.Option(help="Print the derivations of the first candidate.")] = False,
    json_output: Json = False,
) -> None:
    """Find mixers that meet targets, best first; exit 1 with the theorem and the trade-off where none can."""
    try:
        found = design(
            budget,
            step_cost=step_cost,
            cache=cache,
            distance=distance,
            congestion=congestion,
            state_rank=state_rank,
            limit=limit,
        )
    except InfeasibleTargetError as refusal:
        if json_output:
            print_json(refusal.to_dict())
        else:
            console().print(f"IMPOSSIBLE – {refusal}", markup=False, highlight=False)
        raise typer.Exit(1) from None
    if json_output:
        print_json(found.to_dict())
        return
    console().print(found.table().to_rich())
    if explain:
        console().print(found.best.report.explain(), markup=False, highlight=False)
