"""The report: relations and correlations against their definitions, failures named, gaps listed, any results."""

import math
from itertools import combinations

import pytest

import glmix_theory as glm
from glmix_theory.study import Results, Store, write_report
from glmix_theory.study.configuration import Run, Schedule, Shape
from glmix_theory.study.language import LanguageModelling, corpus
from glmix_theory.study.orders import correlations, number, paper_accuracies, relations, verdict
from glmix_theory.study.plots import title_of
from glmix_theory.study.reporting import failures, missing, report_text
from glmix_theory.study.tasks import Copy, task_of

NAMES = [entry.name for entry in glm.catalogue.table1()]


def record(name, accuracy, seed=0, rate=1e-2, task=None, loss=1.0, **theory):
    task = task or Copy(tokens=4, symbols=4)
    run = Run(name, glm.catalogue[name], task, Shape(), Schedule(), rate, seed)
    numbers = {
        "step_cost": 1, "horizon_cache_size": 1, "distance": 1, "state_rank": 4, "congestion": 1,
        "task_congestion": 1, "ceiling": task.ceiling(theory.get("state_rank", 4)) if task.name == "copy" else None,
        **theory,
    }  # fmt: skip
    scored = [None] * task.tokens + [accuracy] * task.tokens if task.name == "copy" else [accuracy] * task.length
    return {
        "kind": "run", "key": run.key, "name": name, "configuration": run.to_dict(), "theory": numbers,
        "validation": {"loss": loss, "accuracy": accuracy}, "parameters": 1000, "seconds": 10.0,
        "test": {"loss": loss, "accuracy": accuracy, "per_position": scored}, "command": "glmix study",
        "commit": "0" * 40, "modified": False, "machine": "a machine", "device_name": "cpu", "solved": False,
    }  # fmt: skip


def seeds(name, *accuracies, **options):
    return [record(name, accuracy, seed, **options) for seed, accuracy in enumerate(accuracies)]


def test_the_papers_column_is_in_full_agreement_with_itself():
    stated = paper_accuracies("copy")
    results = Results(line for name in NAMES for line in seeds(name, stated[name], stated[name]))
    found = relations(results)
    ordered = sum(abs(stated[a] - stated[b]) >= 0.005 for a, b in combinations(NAMES, 2))
    assert len(found) == ordered
    assert {relation.verdict for relation in found} == {"confirmed"}
    assert all(relation.paper[0] > relation.paper[1] for relation in found)
    paper = next(one for one in correlations(results) if one.predictor == "paper")
    assert paper.tau == pytest.approx(1)
    assert paper.seeds == pytest.approx((1, 1))
    turned = Results(line for name in NAMES for line in seeds(name, 1 - stated[name], 1 - stated[name]))
    assert {relation.verdict for relation in relations(turned)} == {"reversed"}


def test_tau_b_is_its_definition():
    """Concordant minus discordant pairs over the geometric mean of untied ones, counted here."""
    accuracies = [0.9, 0.3, 0.4, 0.4, 0.8, 0.7, 0.2, 0.6, 0.65]
    distances = [1, "oo", 61, 16, 1, 5, 6, {"lower": 3, "upper": 5}, 5]
    results = Results(line for name, a, d in zip(NAMES, accuracies, distances) for line in seeds(name, a, distance=d))
    found = next(one for one in correlations(results) if one.predictor == "distance")
    points = [(-number(d), a) for d, a in zip(distances, accuracies)]
    score, untied = 0, [0, 0]
    for (x, a), (y, b) in combinations(points, 2):
        score += (x > y) * (a > b) + (x < y) * (a < b) - (x > y) * (a < b) - (x < y) * (a > b)
        untied[0] += x != y
        untied[1] += a != b
    assert found.tau == pytest.approx(score / math.sqrt(untied[0] * untied[1]))


def test_a_constant_predictor_orders_nothing():
    results = Results(line for name in NAMES for line in seeds(name, 0.1 * NAMES.index(name)))
    found = {one.predictor: one for one in correlations(results)}
    assert found["distance"].tau is None
    assert found["paper"].tau is not None


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [
        ([0.9, 0.8], [0.7, 0.6], "confirmed"),
        ([0.5, 0.4], [0.7, 0.6], "reversed"),
        ([0.5], [0.7], "open"),
        ([0.9, 0.6], [0.7, 0.7], "open"),
        ([0.999], [1.0], "tied"),
    ],
)
def test_verdicts(better, worse, expected):
    assert verdict(better, worse) == expected


def test_the_chosen_rate_counts_alone():
    lines = [record("attention", 0.9, rate=1e-3, loss=2.0), *seeds("attention", 0.5, 0.7, rate=1e-2, loss=1.0)]
    outcome = Results(lines).outcomes()["copy", "attention"]
    assert outcome.values() == [0.5, 0.7]
    assert outcome.mean() == pytest.approx(0.6)
    assert outcome.spread() == pytest.approx(math.sqrt(0.02))


def test_of_rates_that_solve_a_task_the_smallest_counts():
    lines = [record("attention", 1.0, rate=rate, loss=rate) for rate in (1e-3, 3e-3, 1e-2)]
    for line in lines[1:]:
        line["solved"] = True
    assert Results(lines).outcomes()["copy", "attention"].rate == 3e-3


def test_failed_predictions_are_named():
    lines = [
        *seeds("attention", 0.4, 0.4),
        *seeds("diagonal_ssm", 0.9, 0.9, state_rank=1, task_congestion=4, congestion=4, distance=7),
        *seeds("local_attention", 0.95, task=Copy(tokens=40, symbols=4), task_congestion="oo", distance="oo"),
    ]
    text = "\n".join(failures(Results(lines)))
    window = title_of("local_attention")
    assert f"copy, {window}: accuracy 95.0% is above 25.0%, which no weights exceed" in text
    assert "copy, Attention: accuracy 40.0%, though nothing in the pattern stands in the way" in text
    ssm = title_of("diagonal_ssm")
    assert f"copy, {ssm}: accuracy 90.0% is above the ceiling 43.8% of its state rank 1" in text
    assert f"the paper puts Attention (100.0%) above {ssm} (43.0%); here 40.0% < 90.0%" in text
    assert "distance does not order the mixers as predicted" in text


def test_nothing_wrong_says_so():
    lines = [
        *seeds("attention", 1.0),
        *seeds("diagonal_ssm", 0.3, state_rank=1, task_congestion=4, congestion=4, distance=7, horizon_cache_size=0),
    ]
    assert failures(Results(lines)) == ["Nothing that was measured contradicts a prediction."]


def test_gaps_are_listed():
    gaps = missing(Results(seeds("attention", 1.0, 1.0, 1.0) + seeds("local_attention", 0.2)))
    assert gaps[0].startswith("copy: diagonal_ssm, ")
    assert "copy, local_attention: 1 seed of 3" in gaps
    assert "recall: nothing yet" in gaps
    assert not any("copy, attention" in gap for gap in gaps)


def test_a_report_of_nothing(tmp_path):
    text = write_report(tmp_path).read_text()
    assert "No results yet" in text
    assert "copy: nothing yet" in text
    assert not list(tmp_path.glob("*.png"))


def test_a_report_on_some_results(tmp_path):
    store = Store(tmp_path)
    lines = seeds("attention", 1.0, 0.98) + seeds("diagonal_ssm", 0.3, state_rank=1)
    lines += [record("attention", 0.2, task=task_of({"name": "permutations", "words": 5}))]
    with store.writing():
        for line in lines:
            store.add(line)
    text = write_report(tmp_path).read_text()
    assert "| Attention | 99.0 ± 1.4 / 100.00 | 20.0 (1 seed) |" in text
    assert f"| {title_of('diagonal_ssm')} | 30.0 (1 seed) / 42.98 | – |" in text
    assert "0" * 40 in text
    assert "`glmix study`" in text
    for name in ("copy", "accuracy", "positions"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert f"({name}.png)" in text


def test_language_modelling_beside_its_baselines(tmp_path):
    line = record("attention", 0.4, task=LanguageModelling(context=8), loss=1.5)
    del line["test"]["per_position"]
    decoded = {"kind": "decode", "key": "d", "name": "attention", "microseconds": 120.4, "cache_bytes": 4096}
    bits = {"ngram_3": 3.0, "ngram_5": 2.5, "gzip": 2.2, "lzma": 2.0}
    text = corpus().to_dict()
    baseline = {"kind": "baseline", "key": "b", "bits_per_byte": bits, "corpus": text}
    store = Store(tmp_path)
    with store.writing():
        for entry in [line, decoded, baseline, *seeds("attention", 1.0)]:
            store.add(entry)
    report = write_report(tmp_path).read_text()
    assert f"| Attention | {1.5 / math.log(2):.3f} (1 seed) | 120 | 4,096 | 1,000 |" in report
    assert "ngram_5 2.500" in report
    assert "asyncio, email, json, sqlite3, unittest" in report
    assert (tmp_path / "language.png").exists()


def test_multi_hop_recall_is_told_apart_by_look_ups():
    task = task_of("multi_hop")
    lines = seeds("attention", 0.5, 0.7, task=task) + seeds("dense_recurrence", 0.9, task=task)
    for line, second in zip(lines, (0.2, 0.4, 0.8)):
        line["test"]["per_depth"] = {"1": 1.0, "2": second}
    text = report_text(Results(lines))
    assert "| mixer | 1 look-up | 2 look-ups |" in text
    assert "| Attention | 100.0 | 30.0 |" in text
    assert f"| {title_of('dense_recurrence')} | 100.0 | 80.0 |" in text
    assert "look-ups" not in report_text(Results(seeds("attention", 0.5, task=task)))


def test_the_report_is_written_again_from_the_stored_lines(tmp_path):
    lines = seeds("attention", 1.0) + seeds("diagonal_ssm", 0.3)
    store = Store(tmp_path)
    with store.writing():
        for line in lines:
            store.add(line)
    pictures = ["copy.png", "accuracy.png", "positions.png"]
    assert write_report(tmp_path).read_text() == report_text(Results(lines), pictures)
