"""Training: bit for bit repeatable, also through kill -9; equal sizes; the schedule; nothing shared between splits."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import StudyError
from glmix_theory.study.configuration import Run, Schedule, Shape, mixers_of
from glmix_theory.study.model import TOLERANCE, build, fitted_shape, parameter_count, weight_groups
from glmix_theory.study.tasks import UNSCORED, AssociativeRecall, Copy, MultiHopRecall
from glmix_theory.study.training import evaluate, held_out, rate_factor, train

ROOT = Path(__file__).resolve().parents[2]
SHAPE = Shape(d_model=16, n_heads=2, n_layers=1)
SCHEDULE = Schedule(steps=40, batch=8, validate_every=5, held_out=32, rates=(1e-2,), solved=None)
RUN = Run("e", glm.catalogue["exponential_recurrence"], Copy(tokens=4, symbols=3), SHAPE, SCHEDULE, 1e-2, 3)

MEASURED = ("seconds", "time", "command", "theory")


def results_of(record):
    """What a record says of training, without times and where it ran."""
    return {key: value for key, value in record.items() if key not in MEASURED}


def test_the_same_run_gives_the_same_record_bit_for_bit(tmp_path):
    one, two = (train(RUN, tmp_path / f"{name}.pt") for name in "ab")
    assert results_of(one) == results_of(two)
    states = [torch.load(tmp_path / f"{name}.pt", weights_only=True)["model"] for name in "ab"]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    other = train(replace(RUN, seed=4), tmp_path / "c.pt")
    assert other["history"] != one["history"]


CHILD = """
import json, sys, pathlib
from tests.study.test_training import RUN
from glmix_theory.study.training import train

def watch(step):
    print(step, flush=True)

record = train(RUN, pathlib.Path(sys.argv[1]), watch=watch)
print(json.dumps(record))
"""


def child(checkpoint):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(checkpoint)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def test_killed_half_way_and_started_again_it_ends_as_if_never_stopped(tmp_path):
    whole = train(RUN, tmp_path / "whole.pt")
    checkpoint = tmp_path / "killed.pt"
    process = child(checkpoint)
    for line in process.stdout:
        if int(line) >= 15:
            os.kill(process.pid, signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    reached = torch.load(checkpoint, weights_only=True)["step"]
    assert 15 <= reached < 40
    process = child(checkpoint)
    lines = process.stdout.read().splitlines()
    assert process.wait() == 0
    assert int(lines[0]) == reached + 5, "it did not continue from the checkpoint"
    again = json.loads(lines[-1])
    assert results_of(again) == json.loads(json.dumps(results_of(whole)))


def test_a_torn_checkpoint_is_never_left(tmp_path, monkeypatch):
    """Whatever breaks while a checkpoint is written, the one before it is whole."""
    whole = train(RUN, tmp_path / "whole.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["whole.pt"]
    save, saved = torch.save, []

    def breaks_the_second_time(state, path):
        saved.append(state["step"])
        if len(saved) == 2:
            path.write_bytes(b"half")
            raise OSError("no space left")
        save(state, path)

    monkeypatch.setattr(torch, "save", breaks_the_second_time)
    with pytest.raises(OSError, match="no space"):
        train(RUN, tmp_path / "run.pt")
    assert torch.load(tmp_path / "run.pt", weights_only=True)["step"] == saved[0]
    monkeypatch.undo()
    assert results_of(train(RUN, tmp_path / "run.pt")) == results_of(whole)


def test_a_foreign_checkpoint_is_refused(tmp_path):
    train(RUN, tmp_path / "run.pt")
    with pytest.raises(StudyError, match="is the checkpoint of run"):
        train(replace(RUN, rate=2e-2), tmp_path / "run.pt")


def test_it_stops_once_solved_twice_in_a_row(tmp_path):
    easy = replace(
        RUN,
        mixer=glm.catalogue["attention"],
        problem=Copy(tokens=1, symbols=2),
        schedule=replace(SCHEDULE, steps=200, solved=0.99),
    )
    record = train(easy, tmp_path / "run.pt")
    accuracies = [entry["accuracy"] for entry in record["history"]]
    assert record["solved"]
    assert record["steps"] < 200
    assert min(accuracies[-2:]) >= 0.99
    assert not any(min(pair) >= 0.99 for pair in pairwise(accuracies[:-1]))


def test_what_a_record_holds(tmp_path):
    record = train(RUN, tmp_path / "run.pt")
    assert json.loads(json.dumps(record)) == record
    assert record["key"] == RUN.key
    assert record["configuration"]["seed"] == 3
    assert record["parameters"] == sum(parameter.numel() for parameter in build(RUN).parameters())
    assert len(record["history"]) == 8
    scored = [value for value in record["test"]["per_position"] if value is not None]
    assert len(scored) == 4
    assert np.mean(scored) == pytest.approx(record["test"]["accuracy"], abs=1e-5)
    assert record["longer"]["length"] == 16
    assert record["versions"]["torch"] == torch.__version__
    for name in ("commit", "command", "time", "machine", "seconds", "threads"):
        assert name in record


def test_theory_is_what_the_analyzers_say(tmp_path):
    found = train(RUN, tmp_path / "run.pt")["theory"]
    report = glm.analyze(RUN.mixer)
    assert found["length"] == 8
    for name in ("step_cost", "cache_size", "distance", "depth"):
        assert found[name] == report[name].at(8)
    assert found["state_rank"] == max(
        np.linalg.matrix_rank(_generic(RUN.mixer, 8)[cut:, :cut], tol=1e-9) for cut in range(1, 8)
    )


def _generic(mixer, n):
    generator = np.random.default_rng(0)
    A, B = (generator.uniform(0.5, 1, (n, n)) * part.to_dense(n) for part in (mixer.direct, mixer.recurrent))
    return np.linalg.solve(np.eye(n) - B, A)


# --- equal sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(mixers_of(None)))
@pytest.mark.parametrize(("vocabulary", "shape"), [(17, Shape()), (256, Shape()), (6, Shape(32, 4))])
def test_table_one_has_equal_sizes(name, vocabulary, shape):
    mixer, reference = glm.catalogue[name], parameter_count(glm.catalogue["attention"], vocabulary, shape)
    fitted = fitted_shape(mixer, vocabulary, shape)
    found = parameter_count(mixer, vocabulary, fitted)
    assert abs(found / reference - 1) <= TOLERANCE
    assert (fitted.n_heads, fitted.n_layers) == (shape.n_heads, shape.n_layers)


def test_a_mixer_with_other_projections_gets_another_width():
    mixer, shape = glm.catalogue["linear_attention"], Shape(d_model=128, n_heads=2)
    fitted = fitted_shape(mixer, 64, shape)
    assert fitted.d_model != shape.d_model
    reference = parameter_count(glm.catalogue["attention"], 64, shape)
    assert abs(parameter_count(mixer, 64, fitted) / reference - 1) <= TOLERANCE


def test_a_size_out_of_reach_is_refused():
    with pytest.raises(StudyError, match=r"the nearest parameter count .* 2% is needed"):
        fitted_shape(glm.catalogue["linear_attention"], 3, Shape(d_model=4, n_heads=4, n_layers=1))


def test_building_moves_no_other_randomness():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(RUN)
    assert torch.equal(torch.rand(3), expected)


def test_weight_decay_is_on_matrices_alone():
    model = build(RUN)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, kept = ([names[id(p)] for p in group["params"]] for group in weight_groups(model, 0.1))
    assert sorted(decayed + kept) == sorted(names.values())
    assert all(name.endswith("weight") and "norm" not in name for name in decayed)
    assert any("lag_bias" in name for name in kept)


def test_lag_biases_start_at_their_slopes():
    model = build(RUN)
    for block in model.blocks:
        bias = block.mixer.lag_bias
        assert bias[:, 0, 5].tolist() == [-10.0] * 3
        assert bias[:, 1, 4].tolist() == [-2.0] * 3


# --- data -----------------------------------------------------------------------------------------


def test_splits_are_fixed_and_differ():
    task = AssociativeRecall(pairs=4, queries=2, keys=9, values=5)
    batches = {
        split: np.concatenate([batch.tokens for batch in held_out(task, split, 150)])
        for split in ("validation", "test")
    }
    assert all(len(tokens) == 150 for tokens in batches.values())
    rows = {split: {tuple(row) for row in tokens.tolist()} for split, tokens in batches.items()}
    assert not rows["validation"] & rows["test"]
    again = np.concatenate([batch.tokens for batch in held_out(task, "test", 150)])
    assert np.array_equal(again, batches["test"])


class Oracle(torch.nn.Module):
    """Answers as the task's oracle does, but for a wrong one at one position."""

    def __init__(self, task, wrong_at=None):
        super().__init__()
        self.task, self.wrong_at = task, wrong_at

    def forward(self, tokens):
        answers = self.task.solve(tokens.numpy())
        if self.wrong_at is not None:
            answers[:, self.wrong_at] = (answers[:, self.wrong_at] + 1) % self.task.vocabulary
        answers = torch.from_numpy(np.where(answers == UNSCORED, 0, answers))
        return 20.0 * torch.nn.functional.one_hot(answers, self.task.vocabulary)


def test_evaluation_counts_scored_positions_alone():
    task = Copy(tokens=4, symbols=3)
    perfect = evaluate(Oracle(task), task, "test", 100, "cpu", detailed=True)
    assert perfect["accuracy"] == 1
    assert perfect["loss"] < 1e-6
    assert perfect["per_position"] == [None] * 4 + [1.0] * 4
    faulty = evaluate(Oracle(task, wrong_at=6), task, "test", 100, "cpu", detailed=True)
    assert faulty["accuracy"] == 0.75
    assert faulty["per_position"] == [None] * 4 + [1.0, 1.0, 0.0, 1.0]
    unscored = evaluate(Oracle(task, wrong_at=0), task, "test", 100, "cpu")
    assert unscored["accuracy"] == 1


class OneLookUp(Oracle):
    """Answers a question by what its key stands for, be it a value or another key."""

    def forward(self, tokens):
        right = super().forward(tokens)
        for logits, row in zip(right, tokens.tolist()):
            defined = dict(zip(row[0 : 2 * self.task.definitions : 2], row[1 : 2 * self.task.definitions : 2]))
            for position in range(2 * self.task.definitions, self.task.length):
                logits[position] = 0
                logits[position, defined[row[position]]] = 20
        return right


def test_accuracy_is_told_apart_by_look_ups():
    task = MultiHopRecall(chains=2, hops=3, queries=6, keys=6, values=3)
    assert evaluate(Oracle(task), task, "test", 50, "cpu", detailed=True)["per_depth"] == {"1": 1, "2": 1, "3": 1}
    found = evaluate(OneLookUp(task), task, "test", 50, "cpu", detailed=True)
    assert found["per_depth"] == {"1": 1, "2": 0, "3": 0}
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert "per_depth" not in evaluate(Oracle(task), task, "test", 50, "cpu")


def test_the_rate_rises_then_falls():
    factors = [rate_factor(step, 200, 0.1) for step in range(201)]
    assert factors[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert all(a >= b for a, b in pairwise(factors[20:]))
    assert factors[-1] == pytest.approx(0.1)
    assert rate_factor(0, 1, 0.0) == 1


def test_settings_out_of_range_are_refused():
    with pytest.raises(StudyError, match="rates = "):
        Schedule(rates=(0.0,))
    with pytest.raises(StudyError, match="warm_up = 2"):
        Schedule(warm_up=2)
    with pytest.raises(StudyError, match="slope = -1"):
        Shape(slope=-1)
