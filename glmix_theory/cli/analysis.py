"""The commands that derive, compare and check: table, analyze, compare, verify, prove."""

from __future__ import annotations

from typing import Annotated

import typer

from glmix_theory.analysis import analyze, compare
from glmix_theory.cli.application import Json, Target, app, console, print_json
from glmix_theory.cli.targets import parse_lengths, resolve
from glmix_theory.verify import LENGTHS, verify

CacheEfficientFlag = Annotated[
    bool, typer.Option("--cache-efficient", help="Use CacheEfficient(f) instead of Offsets(f) for a formula.")
]


@app.command()
def table(
    json_output: Json = False,
    all_entries: Annotated[
        bool, typer.Option("--all", help="Every catalogue entry and hybrid, derived beside published.")
    ] = False,
) -> None:
    """Derive the theory columns of Table 1, each with its status; with --all, of the whole catalogue."""
    from glmix_theory.report import table1, table1_reports
    from glmix_theory.report.catalogue_table import catalogue_rows, catalogue_table

    if all_entries:
        rows = catalogue_rows()
        if json_output:
            print_json({row.name: row.to_dict() for row in rows})
        else:
            console().print(catalogue_table(rows).to_rich())
        return
    reports = table1_reports()
    if json_output:
        print_json({name: report.to_dict() for name, report in reports.items()})
    else:
        console().print(table1(reports).to_rich())


@app.command("analyze")
def analyze_command(
    target: Target,
    cache_efficient: CacheEfficientFlag = False,
    at: Annotated[list[int] | None, typer.Option(help="Length to show exact values at; repeatable.")] = None,
    explain: Annotated[bool, typer.Option(help="Print the derivation of every quantity.")] = False,
    json_output: Json = False,
) -> None:
    """Derive what a mixer costs and how far it carries."""
    report = analyze(resolve(target, cache_efficient), tuple(at) if at else (64, 1024))
    if json_output:
        print_json(report.to_dict())
        return
    console().print(report.mixer.__repr__(), markup=False, highlight=False)
    console().print(report.table().to_rich())
    if explain:
        console().print(report.explain(), markup=False, highlight=False)


@app.command("compare")
def compare_command(
    targets: Annotated[list[str], typer.Argument(help="Two or more targets, each as for analyze.")],
    quantity: Annotated[list[str] | None, typer.Option(help="Quantity to compare; repeatable.")] = None,
    longest: Annotated[int, typer.Option(help="How far to look for changes.")] = 2**20,
    enumerated: Annotated[int, typer.Option(help="Every length up to here is evaluated.")] = 4096,
    at: Annotated[list[int] | None, typer.Option(help="Length to show exact values at; repeatable.")] = None,
    json_output: Json = False,
) -> None:
    """Put mixers side by side, with the lengths at which one becomes cheaper than another."""
    comparison = compare(
        {target: resolve(target) for target in targets},
        tuple(quantity) if quantity else ("step_cost", "total_cost", "cache_size"),
        longest,
        enumerated,
        tuple(at) if at else (64, 1024),
    )
    if json_output:
        print_json(comparison.to_dict())
    else:
        console().print(comparison.table().to_rich())
        console().print(comparison.crossover_table().to_rich())


@app.command("verify")
def verify_command(
    target: Target,
    cache_efficient: CacheEfficientFlag = False,
    lengths: Annotated[str, typer.Option(help='Lengths to check: "1-64" or "1,2,3,100" or both.')] = "",
    claim: Annotated[
        list[str] | None, typer.Option(help='Further claim such as "cache_size <= log(n,2) + 1"; repeatable.')
    ] = None,
    json_output: Json = False,
) -> None:
    """Check formula = count = executed layer; exit 1 with the first counterexample when one fails."""
    mixer = resolve(target, cache_efficient)
    verification = verify(mixer, parse_lengths(lengths) if lengths else LENGTHS, claim or ())
    if json_output:
        print_json(verification.to_dict())
    else:
        console().print(repr(mixer), markup=False, highlight=False)
        console().print(verification.table().to_rich())
        verdict = "every check holds" if verification.ok else f"FAILS – {verification.counterexample}"
        console().print(verdict, markup=False, highlight=False)
    if not verification.ok:
        raise typer.Exit(1)


@app.command("prove")
def prove_command(
    numbers: Annotated[list[int] | None, typer.Argument(help="Propositions to run; all by default.")] = None,
    explain: Annotated[bool, typer.Option(help="Print every step with its evidence.")] = False,
    json_output: Json = False,
) -> None:
    """Run the proofs and checks of ``proofs_checks/``; exit 1 when one fails."""
    from glmix_theory.proofs import proofs_framework, select

    framework = proofs_framework()
    outcomes = framework.prove_all(select(framework.discover(), numbers or ()))
    if json_output:
        print_json([outcome.to_dict() for outcome in outcomes])
    else:
        if explain:
            console().print("\n\n".join(outcome.explain() for outcome in outcomes), markup=False, highlight=False)
        console().print(framework.outcome_table(outcomes).to_rich())
        for outcome in outcomes:
            for failure in outcome.failures:
                console().print(f"FAILS – {failure}", markup=False, highlight=False)
    if not all(outcome.ok for outcome in outcomes):
        raise typer.Exit(1)
