"""The results in the repository: what produced each line, the report they give, and what they have to show."""

import re
from pathlib import Path

import pytest

import glmix_theory as glm
from glmix_theory.mixers import parse_mixer
from glmix_theory.study import Results
from glmix_theory.study.configuration import PROTOCOL
from glmix_theory.study.reporting import missing, report_text
from glmix_theory.study.tasks import task_of
from glmix_theory.study.theory import reach_ceiling, theory

FOLDER = Path(__file__).resolve().parents[2] / "results" / "study"
RESULTS = Results.read(FOLDER)
RUNS = RESULTS.of_kind("run")
OUTCOMES = RESULTS.outcomes()


def test_nothing_is_missing():
    assert missing(RESULTS) == ["Nothing: every mixer of Table 1 has three seeds on every problem."]
    assert len(OUTCOMES) == 9 * 6


def test_every_line_says_what_produced_it():
    assert len({record["key"] for record in RESULTS.records}) == len(RESULTS.records)
    for record in RESULTS.records:
        assert re.fullmatch("[0-9a-f]{40}", record["commit"])
        assert record["modified"] is False
        assert record["command"].startswith("glmix study")
        assert record["versions"]["torch"]
        assert record["time"]
    for record in RUNS:
        assert record["configuration"]["protocol"] == PROTOCOL
        assert isinstance(record["configuration"]["seed"], int)


def test_the_report_is_what_the_lines_say():
    pictures = ["copy.png", "accuracy.png", "positions.png", "language.png"]
    assert (FOLDER / "report.md").read_text(encoding="utf-8") == report_text(RESULTS, pictures)
    for picture in pictures:
        assert (FOLDER / picture).exists()


@pytest.mark.parametrize("name", ["local_attention", "kth_order_recurrence", "quadratic_cache_efficient"])
def test_the_analyzers_still_say_the_same(name):
    outcome = OUTCOMES["recall", name]
    assert outcome.theory == theory(glm.catalogue[name], task_of(outcome.records[0]["configuration"]["problem"]))


def test_all_models_are_of_one_size():
    for record in RUNS:
        assert record["parameters"] == pytest.approx(record["reference_parameters"], rel=0.02)


@pytest.mark.parametrize("task", ["copy", "recall"])
@pytest.mark.parametrize("name", ["attention", "dense_recurrence"])
def test_attention_and_dense_recurrence_learn_to_copy_and_to_recall(task, name):
    assert min(OUTCOMES[task, name].values()) > 0.95


def test_who_must_fail_fails():
    assert OUTCOMES["copy", "local_attention"].mean() == pytest.approx(1 / 16, abs=0.01)
    assert max(OUTCOMES["copy", "diagonal_ssm"].values()) < 0.5
    assert max(OUTCOMES["recall", "diagonal_ssm"].values()) < 0.5


def test_nothing_is_above_what_reach_allows():
    """The one ceiling that binds every model: a leak into the future or a wrong theory would exceed it."""
    bound = 0
    for (problem, _), outcome in OUTCOMES.items():
        if problem in ("language", "permutations"):
            continue
        configuration = outcome.records[0]["configuration"]
        task, layers = task_of(configuration["problem"]), configuration["shape"]["n_layers"]
        ceiling = reach_ceiling(parse_mixer(configuration["mixer"]), task, layers)
        assert max(outcome.values()) <= ceiling + 0.02
        bound += ceiling < 1
    assert bound >= 3
