"""The command that finds coefficients for a matrix in a file: realize."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from glmix_theory.cli.application import Json, app, console, print_json
from glmix_theory.cli.targets import resolve
from glmix_theory.design.explain import explain, rank_bound
from glmix_theory.errors import RealizationError
from glmix_theory.mixers.realize import realize


@app.command("realize")
def realize_command(
    matrix: Annotated[str, typer.Argument(metavar="MATRIX.npy", help="A causal matrix (n, n) or (heads, n, n).")],
    targets: Annotated[list[str], typer.Argument(metavar="NAME…", help="One or more targets, each as for analyze.")],
    constraint: Annotated[
        str | None, typer.Option(help='Hold coefficients to "stable" (joint Σ|·| ≤ 1) or "stochastic" (≥ 0, sum 1).')
    ] = None,
    rows: Annotated[int, typer.Option(help="How many of the rows missed most are shown, for one target.")] = 5,
    json_output: Json = False,
) -> None:
    """Find the coefficients of a mixer that give a matrix; with several targets, rank them by what they miss."""
    given = _load(matrix)
    if len(targets) > 1:
        explanation = explain(given, {target: resolve(target) for target in targets}, constraint)
        if json_output:
            print_json(explanation.to_dict())
        else:
            console().print(explanation.table().to_rich())
        return
    mixer = resolve(targets[0])
    found = realize(given, mixer, constraint)
    bound = rank_bound(given, mixer)
    if json_output:
        lower = {"lower_bound": bound.value, "lower_bound_cut": bound.cut or None}
        print_json({**found.to_dict(), **lower})
        return
    console().print(repr(mixer), markup=False, highlight=False)
    console().print(found.table(rows).to_rich())
    if not found.exact:
        console().print(str(bound), markup=False, highlight=False)


def _load(path: str) -> np.ndarray:
    """The array of a ``.npy`` file; pickled objects are never loaded."""
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RealizationError(f"{path!r} can't be read as a .npy file: {error}; write it with numpy.save") from None
    if not isinstance(loaded, np.ndarray):
        raise RealizationError(f"{path!r} holds several arrays ({', '.join(loaded.files)}); save one with numpy.save")
    return loaded
