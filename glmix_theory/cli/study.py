"""The commands of the empirical study: train mixers on tasks, and report what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glmix_theory.cli.application import Json, app, console, print_json
from glmix_theory.cli.targets import resolve
from glmix_theory.study import SIZES, TASKS

FOLDER = Path("results/study")

study_app = typer.Typer(invoke_without_command=True)
app.add_typer(study_app, name="study")

Folder = Annotated[Path, typer.Option(help="Where results are kept, and finished runs are found again.")]


@study_app.callback()
def study_command(
    context: typer.Context,
    mixer: Annotated[
        list[str] | None, typer.Option(help="Target as for analyze; repeatable; by default the nine of Table 1.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(TASKS)} or language; repeatable; by default all.")
    ] = None,
    size: Annotated[str, typer.Option(help=f"{', '.join(SIZES)}: sizes of tasks, model and training.")] = "standard",
    seeds: Annotated[int, typer.Option(help="Seeds of each mixer on each task; the first chooses the rate.")] = 3,
    rate: Annotated[list[float] | None, typer.Option(help="Learning rate of the grid; repeatable.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps, in place of the size's.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    workers: Annotated[int, typer.Option(help="Processes, of one thread each.")] = 1,
    folder: Folder = FOLDER,
    json_output: Json = False,
) -> None:
    """Train mixers on tasks, or continue where an earlier call stopped; prints test accuracies."""
    if context.invoked_subcommand is not None:
        return
    from glmix_theory.study import study

    found = study(
        {target: resolve(target) for target in mixer} if mixer else None,
        task or [*TASKS, "language"],
        size=size,
        seeds=seeds,
        rates=rate or None,
        steps=steps,
        device=device,
        workers=workers,
        folder=folder,
    )
    if json_output:
        print_json(found.to_dict())
    else:
        console().print(found.table().to_rich())


@study_app.command("report")
def report_command(folder: Folder = FOLDER, json_output: Json = False) -> None:
    """Write the report and its figures from whatever results there are, and list what is missing."""
    from glmix_theory.study import Results, write_report

    path = write_report(folder)
    if json_output:
        print_json(Results.read(folder).to_dict())
        return
    console().print(Results.read(folder).table().to_rich())
    console().print(f"wrote {path}", markup=False, highlight=False)
