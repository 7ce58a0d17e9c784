"""The report of a study: tables beside the paper's, relations confirmed or not, what fails, what is missing."""

from __future__ import annotations

import math
import os
import statistics
from collections import Counter
from pathlib import Path

from glmix_theory.mixers import catalogue, parse_mixer
from glmix_theory.rendering import Table
from glmix_theory.study.orders import (
    PAPER_COLUMNS,
    PREDICTORS,
    correlations,
    number,
    paper_accuracies,
    relations,
)
from glmix_theory.study.plots import save, title_of
from glmix_theory.study.results import Outcome, Results, accuracy_text
from glmix_theory.study.sizes import SIZES
from glmix_theory.study.tasks import task_of
from glmix_theory.study.theory import reach_ceiling

CEILING_MARGIN = 0.02
"""A mean accuracy this far above the ceiling counts as above it."""


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.md`` and its figures beside the results of a folder; returns the report's path.

    Works on whatever results there are, and lists what is missing.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    results = Results.read(place)
    pictures = save(results, place)
    path = place / "report.md"
    path.write_text(report_text(results, [picture.name for picture in pictures]), encoding="utf-8")
    return path


def report_text(results: Results, pictures: list[str] | None = None) -> str:
    """The report in Markdown, with references to the figures named."""
    pictures = pictures or []
    sections = ["# Does the theory predict the models?", *_origin(results)]
    if results.problems():
        sections += ["## Beside the paper", accuracy_table(results).to_markdown()]
        if (by_depth := depth_table(results)).rows:
            sections += ["## Multi-hop recall by look-ups", by_depth.to_markdown()]
        sections += ["## What fails", *_bullets(failures(results))]
        sections += ["## Order relations of the paper", relation_summary(results).to_markdown()]
        sections += ["## Rank correlation", correlation_table(results).to_markdown()]
        sections += ["## Accuracy and the analyzers' numbers", theory_table(results).to_markdown()]
    if "language" in results.problems():
        sections += ["## Language modelling", language_table(results).to_markdown(), *_baseline_text(results)]
    sections += [f"![{name.removesuffix('.png')}]({name})" for name in pictures]
    sections += ["## What is missing", *_bullets(missing(results))]
    return "\n\n".join(sections) + "\n"


def accuracy_table(results: Results) -> Table:
    """Test accuracy in percent, mean ± standard deviation over seeds; after ``/`` the paper's, where it has one."""
    outcomes = results.outcomes()
    tasks = [problem for problem in results.problems() if problem != "language"]
    columns = {task: paper_accuracies(PAPER_COLUMNS[task]) if task in PAPER_COLUMNS else {} for task in tasks}
    rows = []
    for mixer in results.mixers():
        cells = [title_of(mixer)]
        for task in tasks:
            text = accuracy_text(outcomes.get((task, mixer)))
            stated = columns[task].get(mixer)
            cells.append(text if stated is None else f"{text} / {100 * stated:.2f}")
        rows.append(cells)
    headings = [task.replace("_", " ") + (" / paper" if columns[task] else "") for task in tasks]
    caption = "The paper's task sizes are not known, so only the order within a column can be compared with it."
    return Table(["mixer", *headings], rows, caption=caption)


def depth_table(results: Results) -> Table:
    """Test accuracy of multi-hop recall in percent by the number of look-ups an answer takes, mean over the seeds."""
    found = {
        mixer: [record["test"]["per_depth"] for record in outcome.records]
        for (problem, mixer), outcome in results.outcomes().items()
        if problem == "multi_hop" and all("per_depth" in record["test"] for record in outcome.records)
    }
    depths = sorted({depth for seeds in found.values() for seed in seeds for depth in seed}, key=int)
    rows = [
        [title_of(mixer), *(f"{100 * statistics.fmean(seed[depth] for seed in seeds):.1f}" for depth in depths)]
        for mixer, seeds in found.items()
    ]
    return Table(["mixer", *(f"{depth} look-up{'s' * (depth != '1')}" for depth in depths)], rows)


def relation_summary(results: Results) -> Table:
    """How many of the paper's order relations hold, by problem; the reversed ones by name."""
    found = relations(results)
    rows = []
    for problem in PAPER_COLUMNS:
        here = [relation for relation in found if relation.problem == problem]
        if not here:
            continue
        counts = Counter(relation.verdict for relation in here)
        reversed_ = "; ".join(
            f"{relation.better} {relation.means[0]:.1%} < {relation.worse} {relation.means[1]:.1%}"
            for relation in here
            if relation.verdict == "reversed"
        )
        shown = [str(counts.get(name, 0)) for name in ("confirmed", "tied", "open", "reversed")]
        rows.append([problem, str(len(here)), *shown, reversed_ or "–"])
    caption = (
        "confirmed: every seed of the mixer that the paper puts first is above every seed of the other; reversed: "
        "below; tied: means within half a point; open: the seeds overlap, or there is one."
    )
    return Table(["problem", "pairs", "confirmed", "tied", "open", "reversed", "reversed pairs"], rows, caption=caption)


def correlation_table(results: Results) -> Table:
    """Kendall's τ of each predictor, with its p-value and the range over the seeds."""
    rows = []
    for found in correlations(results):
        tau = "–" if found.tau is None else f"{found.tau:+.2f}"
        p_value = "–" if found.p_value is None or math.isnan(found.p_value) else f"{found.p_value:.3f}"
        spread = f"{min(found.seeds):+.2f} … {max(found.seeds):+.2f}" if found.seeds else "–"
        rows.append([found.problem, found.predictor, tau, p_value, spread, str(found.mixers)])
    caption = "τ-b, +1: the order predicted. " + "; ".join(f"{name}: {text}" for name, text in PREDICTORS.items()) + "."
    return Table(["problem", "predictor", "τ", "p", "by seed", "mixers"], rows, caption=caption)


def theory_table(results: Results) -> Table:
    """Each outcome beside the analyzers' numbers at the trained length, and the ceiling where there is one."""
    rows = []
    for (problem, mixer), outcome in results.outcomes().items():
        if problem == "language":
            continue
        numbers = outcome.theory
        ceilings = ["–" if x is None else f"{100 * x:.1f}" for x in (numbers["ceiling"], _reach_ceiling(outcome))]
        congestion = numbers["task_congestion"]
        shown = f"{congestion['lower']}–{congestion['upper']}" if isinstance(congestion, dict) else str(congestion)
        rows.append(
            [
                problem,
                title_of(mixer),
                *(str(numbers[name]) for name in ("step_cost", "horizon_cache_size", "distance")),
                shown.replace("oo", "∞"),
                str(numbers["state_rank"]),
                *ceilings,
                accuracy_text(outcome),
            ]
        )
    columns = ["problem", "mixer", "step cost", "cache", "distance", "congestion", "rank"]
    caption = (
        "Rank ceiling: with one row per symbol kept, as many as the state rank, and guesses for the rest; trained rows "
        "may carry more than one symbol. Reach ceiling: guesses where the answer's position has no path through the "
        "model's layers; no weights exceed it."
    )
    return Table(
        [*columns, "rank ceiling %", "reach ceiling %", "accuracy %"],
        [["∞" if cell == "oo" else cell for cell in row] for row in rows],
        caption=caption,
    )


def _reach_ceiling(outcome: Outcome) -> float | None:
    configuration = outcome.records[0]["configuration"]
    return reach_ceiling(
        parse_mixer(configuration["mixer"]), task_of(configuration["problem"]), configuration["shape"]["n_layers"]
    )


def failures(results: Results) -> list[str]:
    """Predictions that the results contradict, in words; says so where there are none."""
    found = []
    for (problem, mixer), outcome in results.outcomes().items():
        if problem == "language":
            continue
        numbers, mean = outcome.theory, outcome.mean()
        ceiling = numbers["ceiling"]
        where = f"{problem}, {title_of(mixer)}: accuracy {mean:.1%}"
        if ceiling is not None and mean > ceiling + CEILING_MARGIN:
            found.append(
                f"{where} is above the ceiling {ceiling:.1%} of its state rank {numbers['state_rank']}: the ceiling "
                "holds for one row per symbol, and these rows carry more than one"
            )
        if number(numbers["task_congestion"]) == 1 and problem != "permutations" and mean < 0.95:
            found.append(f"{where}, though nothing in the pattern stands in the way (congestion 1)")
        reachable = _reach_ceiling(outcome)
        if reachable is not None and mean > reachable + CEILING_MARGIN:
            found.append(f"{where} is above {reachable:.1%}, which no weights exceed: theory or layer is wrong")
    for relation in relations(results):
        if relation.verdict == "reversed":
            found.append(
                f"{relation.problem}: the paper puts {title_of(relation.better)} ({relation.paper[0]:.1%}) above "
                f"{title_of(relation.worse)} ({relation.paper[1]:.1%}); here {relation.means[0]:.1%} < "
                f"{relation.means[1]:.1%}"
            )
    for correlation in correlations(results):
        if correlation.predictor != "paper" and correlation.tau is not None and correlation.tau <= 0:
            found.append(
                f"{correlation.problem}: {correlation.predictor} does not order the mixers as predicted "
                f"(τ = {correlation.tau:+.2f})"
            )
    return found or ["Nothing that was measured contradicts a prediction."]


def language_table(results: Results) -> Table:
    """Bits per byte on held-out packages, with decode speed and cache of one sequence at the context's length."""
    decoded = {record["name"]: record for record in results.of_kind("decode")}
    rows = []
    for (problem, mixer), outcome in results.outcomes().items():
        if problem != "language":
            continue
        bits, spread = outcome.mean("loss") / math.log(2), outcome.spread("loss") / math.log(2)
        error = f" ± {spread:.3f}" if len(outcome.records) > 1 else " (1 seed)"
        speed = decoded.get(mixer)
        beside = ["–", "–"] if speed is None else [f"{speed['microseconds']:.0f}", f"{speed['cache_bytes']:,}"]
        size = f"{outcome.records[0]['parameters']:,}"
        rows.append([title_of(mixer), f"{bits:.3f}{error}", *beside, size])
    return Table(["mixer", "bits per byte", "decode, µs a byte", "cache, bytes", "parameters"], rows)


def missing(results: Results) -> list[str]:
    """Cells of Table 1 × problems without results, or with fewer than three seeds."""
    outcomes, gaps = results.outcomes(), []
    for setting in SIZES["standard"]:
        problem = setting.problem.name
        names = [entry.name for entry in catalogue.table1()]
        absent = [name for name in names if (problem, name) not in outcomes]
        if len(absent) == len(names):
            gaps.append(f"{problem}: nothing yet")
        elif absent:
            gaps.append(f"{problem}: {', '.join(absent)}")
        for name in names:
            outcome = outcomes.get((problem, name))
            if outcome is not None and len(outcome.records) < 3:
                number_of = len(outcome.records)
                gaps.append(f"{problem}, {name}: {number_of} seed{'s' * (number_of > 1)} of 3")
    if "language" in results.problems() and not results.of_kind("baseline"):
        gaps.append("language: the baselines")
    return gaps or ["Nothing: every mixer of Table 1 has three seeds on every problem."]


def _origin(results: Results) -> list[str]:
    """Where the numbers come from: commands, commits, machine, sizes."""
    runs = results.of_kind("run")
    if not runs:
        return ["No results yet: `make study` produces them."]
    commands = sorted({record["command"] for record in runs})
    commits = sorted({f"{record['commit']}{' + changes' * bool(record['modified'])}" for record in runs})
    hours = sum(record["seconds"] for record in runs) / 3600
    machines = sorted({f"{record['machine']}, {record['device_name']}" for record in runs})
    problems = {record["configuration"]["problem"]["name"]: record["configuration"]["problem"] for record in runs}
    return [
        f"{len(runs)} trainings, {hours:.2f} hours of one process; commands "
        f"{', '.join(f'`{text}`' for text in commands)}; "
        f"commits {', '.join(commits)}; machine {'; '.join(machines)}. Every line of `runs.jsonl` holds its own "
        "configuration, seed, versions, command and commit.",
        "Problems: " + "; ".join(f"`{sizes}`" for sizes in problems.values()) + ".",
    ]


def _baseline_text(results: Results) -> list[str]:
    records = results.of_kind("baseline")[-1:]
    if not records:
        return []
    levels = ", ".join(f"{name} {bits:.3f}" for name, bits in records[0]["bits_per_byte"].items())
    sizes = records[0]["corpus"]
    return [
        f"Baselines in bits per byte: {levels}. Text: {sizes['train']:,} bytes to train on, {sizes['test']:,} held out "
        f"({', '.join(sizes['test_packages'])}); validation {', '.join(sizes['validation_packages'])}."
    ]


def _bullets(lines: list[str]) -> list[str]:
    return ["\n".join(f"- {line}" for line in lines)]
