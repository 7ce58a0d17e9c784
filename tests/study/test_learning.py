"""Tiny cases that an oracle solves are learned, and what no pattern carries is not: floors a broken layer misses."""

import pytest

import glmix_theory as glm
from glmix_theory.study import Schedule, study
from glmix_theory.study.sizes import setting_of
from glmix_theory.study.tasks import TASKS, task_of

FLOORS = {
    ("copy", "attention"): 0.95,
    ("copy", "dense_recurrence"): 0.95,
    ("recall", "attention"): 0.95,
    ("recall", "dense_recurrence"): 0.85,
    ("multi_hop", "attention"): 0.8,
    ("selective_copy", "diagonal_ssm"): 0.95,
    ("permutations", "diagonal_ssm"): 0.95,
}
"""Test accuracy at the micro sizes. Without any mixing: 0.25 for copy, about 0.4 elsewhere."""


def test_every_task_has_a_floor():
    assert {problem for problem, _ in FLOORS} == set(TASKS)


@pytest.mark.parametrize(("problem", "name"), FLOORS, ids=str)
def test_tiny_cases_are_learned(problem, name):
    found = study(name, problem, size="micro", seeds=1)
    (record,) = found.records
    assert record["test"]["accuracy"] > FLOORS[problem, name]
    assert record["test"]["accuracy"] > task_of(record["configuration"]["problem"]).chance + 0.4


@pytest.mark.parametrize(
    "mixer", [glm.Mixer(direct=glm.Window(3)), glm.Mixer(direct=glm.Diagonal())], ids=["out of reach", "no mixing"]
)
def test_what_cannot_be_carried_is_not_learned(mixer):
    """Two layers of a window of 3 reach 4 positions back, and copying 6 tokens needs 6: chance is all there is."""
    setting = setting_of("micro", "copy")
    schedule = Schedule(steps=100, validate_every=50, held_out=512, rates=(5e-3,))
    (record,) = study(mixer, "copy", size="micro", seeds=1, schedule=schedule).records
    assert record["theory"]["distance"] == "oo"
    assert record["test"]["accuracy"] < setting.problem.chance + 0.04
