"""The command line ``glmix``: the same objects as the Python API, as text or JSON."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from glmix_theory.analysis import analyze, compare
from glmix_theory.errors import FormulaError, GlmixError, LengthError, UnknownNameError, check_length, nearest
from glmix_theory.mixers import Mixer, catalogue
from glmix_theory.patterns import CacheEfficient, Diagonal, Offsets, Pattern, parse_formula, parse_pattern
from glmix_theory.verify import LENGTHS, verify

app = typer.Typer(
    help="Design, cost and verify causal linear token mixers Y = (I-B)^{-1} A X.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Target = Annotated[
    str,
    typer.Argument(help='A formula "2**k", a pattern "Window(4) | Offsets(2**k)", a catalogue name or FILE.py:OBJECT.'),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
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
            _print_json({row.name: row.to_dict() for row in rows})
        else:
            _console().print(catalogue_table(rows).to_rich())
        return
    reports = table1_reports()
    if json_output:
        _print_json({name: report.to_dict() for name, report in reports.items()})
    else:
        _console().print(table1(reports).to_rich())


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
        _print_json(report.to_dict())
        return
    _console().print(report.mixer.__repr__(), markup=False, highlight=False)
    _console().print(report.table().to_rich())
    if explain:
        _console().print(report.explain(), markup=False, highlight=False)


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
        _print_json(comparison.to_dict())
    else:
        _console().print(comparison.table().to_rich())
        _console().print(comparison.crossover_table().to_rich())


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
        _print_json(verification.to_dict())
    else:
        _console().print(repr(mixer), markup=False, highlight=False)
        _console().print(verification.table().to_rich())
        verdict = "every check holds" if verification.ok else f"FAILS – {verification.counterexample}"
        _console().print(verdict, markup=False, highlight=False)
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
        _print_json([outcome.to_dict() for outcome in outcomes])
    else:
        if explain:
            _console().print("\n\n".join(outcome.explain() for outcome in outcomes), markup=False, highlight=False)
        _console().print(framework.outcome_table(outcomes).to_rich())
        for outcome in outcomes:
            for failure in outcome.failures:
                _console().print(f"FAILS – {failure}", markup=False, highlight=False)
    if not all(outcome.ok for outcome in outcomes):
        raise typer.Exit(1)


def resolve(target: str, cache_efficient: bool = False) -> Mixer:
    """The mixer a command-line target means.

    A formula in ``k`` is the recurrence ``Offsets(f)`` (or ``CacheEfficient(f)``) with a diagonal direct
    part; a strict pattern is a recurrence; a pattern that touches the diagonal is read directly.

    >>> resolve("k**2 + 1", cache_efficient=True)
    Mixer(direct=Diagonal(), recurrent=CacheEfficient(k**2 + 1))

    Raises
    ------
    UnknownNameError, FormulaError
        Nothing of that name; a text that is neither a name, a formula nor a pattern.
    """
    if target in catalogue:
        _refuse_flag(cache_efficient, target)
        return catalogue[target]
    if ".py:" in target:
        _refuse_flag(cache_efficient, target)
        return _load(*target.rsplit(":", 1))
    if target.isidentifier() and target != "k":
        raise UnknownNameError(f"no catalogue entry is named {target!r}; {nearest(target, catalogue.names())}")
    try:
        formula = parse_formula(target)
    except FormulaError as error:
        if not target[:1].isupper() and target[:1] != "(":
            raise error from None
        _refuse_flag(cache_efficient, target)
        return _as_mixer(parse_pattern(target))
    family = CacheEfficient if cache_efficient else Offsets
    return Mixer(direct=Diagonal(), recurrent=family(formula))


def parse_lengths(text: str) -> list[int]:
    """Lengths from ``"1-4,10"``.

    >>> parse_lengths("1-4,10")
    [1, 2, 3, 4, 10]
    """
    lengths: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise LengthError(f"lengths {text!r} do not parse at {piece!r}; write 1-64 or 1,2,3")
        lengths += range(check_length(int(first)), check_length(int(last or first)) + 1)
    return lengths


def _as_mixer(value: object) -> Mixer:
    if isinstance(value, Mixer):
        return value
    if isinstance(value, Pattern):
        if value.first_diagonal() is None:
            return Mixer(direct=Diagonal(), recurrent=value)
        return Mixer(direct=value)
    raise FormulaError(f"{value!r} is a {type(value).__name__}; a Mixer or a pattern is needed")


def _load(path: str, name: str) -> Mixer:
    file = Path(path)
    if not file.is_file():
        raise UnknownNameError(f"there is no file {path!r}; FILE.py:OBJECT needs a Python file that exists")
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise UnknownNameError(f"{path} defines no {name!r}; {nearest(name, public)}")
    return _as_mixer(getattr(module, name))


def _refuse_flag(cache_efficient: bool, target: str) -> None:
    if cache_efficient:
        raise FormulaError(f"--cache-efficient applies to a formula in k such as 'k**2 + 1', not to {target!r}")


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=140)


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def main() -> None:
    """Run the command line; a toolkit error is printed in one line and exits 2."""
    try:
        app()
    except GlmixError as error:
        print(f"glmix: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
