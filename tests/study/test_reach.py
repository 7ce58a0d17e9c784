"""What stands out of reach of a stack of layers: against products of matrices, and against a model's outputs."""

import numpy as np
import pytest
import torch

import glmix_theory as glm
from glmix_theory.study.configuration import Run, Schedule, Shape
from glmix_theory.study.model import build
from glmix_theory.study.tasks import AssociativeRecall, Copy, PermutationComposition, SelectiveCopy
from glmix_theory.study.theory import reach, reach_ceiling

MIXERS = {
    "window": glm.Mixer(direct=glm.Window(3)),
    "first order": glm.catalogue["diagonal_ssm"],
    "lags": glm.Mixer(recurrent=glm.Lags([2, 5])),
    "readout": glm.Mixer(direct=glm.Diagonal(), recurrent=glm.Lags([3]), readout=glm.Window(2)),
    "nothing": glm.Mixer(direct=glm.Diagonal(), recurrent=glm.Empty()),
}


def dense(pattern, n):
    matrix = np.zeros((n, n))
    for t in range(n):
        matrix[t, list(pattern.sources(t))] = 1
    return matrix


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_reach_is_the_support_of_a_product_of_matrices(name, layers):
    mixer, n = MIXERS[name], 13
    one = np.linalg.inv(np.eye(n) - dense(mixer.recurrent, n) / 4) @ dense(mixer.direct, n)
    if mixer.readout is not None:
        one = dense(mixer.readout, n) @ one
    support = np.linalg.matrix_power(np.eye(n) + one, layers) > 1e-12
    bits = [[bool(positions >> s & 1) for s in range(n)] for positions in reach(mixer, n, layers)]
    assert np.array_equal(support, np.array(bits))


@pytest.mark.parametrize("name", MIXERS)
def test_a_model_is_influenced_from_nowhere_else(name):
    """Every token is changed in turn: outputs of an untrained model move at positions in reach alone."""
    task = Copy(tokens=6, symbols=5)
    model = build(Run(name, MIXERS[name], task, Shape(16, 2), Schedule(), 1e-3, 0)).double()
    tokens = torch.from_numpy(task.sample(np.random.default_rng(0), 1).tokens)
    reached = reach(MIXERS[name], task.length, 2)
    with torch.no_grad():
        before = model(tokens)
        for s in range(task.length):
            changed = tokens.clone()
            changed[0, s] = (changed[0, s] + 1) % task.vocabulary
            moved = (model(changed) - before).abs().amax(2)[0] > 1e-12
            assert moved.tolist() == [bool(positions >> s & 1) for positions in reached]


def test_the_ceiling_counts_answers_in_reach():
    window = glm.Mixer(direct=glm.Window(16))
    assert reach_ceiling(window, Copy(tokens=30, symbols=16), 2) == 1
    assert reach_ceiling(window, Copy(tokens=31, symbols=16), 2) == 1 / 16
    assert reach_ceiling(glm.catalogue["diagonal_ssm"], Copy(tokens=31, symbols=16), 1) == 1
    # Of four pairs asked once each, the question at 8 + i has the value of pair p at lag 7 + i - 2 p: within
    # reach 6 stand p ≥ (1 + i) / 2, that is 3, 3, 2 and 2 of 4 pairs.
    task = AssociativeRecall(pairs=4, queries=4, keys=4, values=2)
    found = reach_ceiling(glm.Mixer(direct=glm.Window(7)), task, 1, sequences=4000)
    assert found == pytest.approx(10 / 16 + 6 / 16 / 2, abs=0.02)
    assert reach_ceiling(window, PermutationComposition(items=3, words=4), 2) is None
    far = SelectiveCopy(context=9, kept=9, symbols=4)  # every lag is 9
    assert reach_ceiling(glm.Mixer(direct=glm.Window(5)), far, 2) == 1 / 4
