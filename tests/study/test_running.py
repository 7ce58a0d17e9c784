"""Many runs: nothing twice, the rate chosen on validation alone, one writer, torn lines, several processes."""

import gzip
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import glmix_theory as glm
from glmix_theory.errors import StudyError, UnknownNameError
from glmix_theory.study import Results, Store, baselines, language, study
from glmix_theory.study.configuration import Run, Schedule, Shape, problem_of
from glmix_theory.study.language import LanguageModelling, corpus
from glmix_theory.study.ngrams import NGram
from glmix_theory.study.results import chosen_rate
from glmix_theory.study.running import Cell, run_all
from glmix_theory.study.sizes import SIZES
from glmix_theory.study.studying import seeds_of
from glmix_theory.study.tasks import TASKS, Copy

ROOT = Path(__file__).resolve().parents[2]
SCHEDULE = Schedule(steps=4, batch=4, validate_every=2, held_out=8, rates=(1e-3, 1e-2, 1e-1))
RUN = Run("a", glm.catalogue["attention"], Copy(3, 3), Shape(8, 2, 1), SCHEDULE, 1e-3, 0)
CELLS = [
    Cell(RUN, (0, 1, 2)),
    Cell(replace(RUN, name="k", mixer=glm.catalogue["kth_order_recurrence"]), (0, 1, 2)),
]


class Trainer:
    """Stands in for training: validation is best at one rate, and the test would choose another."""

    def __init__(self, stop_after=None):
        self.calls, self.stop_after = [], stop_after

    def __call__(self, run, checkpoint):
        if self.stop_after == len(self.calls):
            raise KeyboardInterrupt
        self.calls.append((run.name, run.rate, run.seed))
        validation = {1e-3: 2.0, 1e-2: 1.0, 1e-1: 3.0}[run.rate]
        return {
            "kind": "run",
            "key": run.key,
            "name": run.name,
            "configuration": run.to_dict(),
            "validation": {"loss": validation, "accuracy": 0.5},
            "test": {"loss": -validation, "accuracy": run.rate},
            "theory": {},
            "solved": False,
        }


def test_every_cell_gets_its_grid_and_the_other_seeds_at_the_best_rate(tmp_path):
    trainer = Trainer()
    assert run_all(CELLS, Store(tmp_path), execute=trainer) == 10
    expected = {(name, rate, 0) for name in "ak" for rate in SCHEDULE.rates}
    expected |= {(name, 1e-2, seed) for name in "ak" for seed in (1, 2)}
    assert set(trainer.calls) == expected
    assert len(trainer.calls) == 10
    outcome = Results.read(tmp_path).outcomes()["copy", "a"]
    assert outcome.rate == 1e-2
    assert outcome.values() == [1e-2] * 3
    assert outcome.tried == {1e-3: 2.0, 1e-2: 1.0, 1e-1: 3.0}


@pytest.mark.parametrize("stop", range(10))
def test_stopped_anywhere_it_continues_and_repeats_nothing(tmp_path, stop):
    first, second = Trainer(stop_after=stop), Trainer()
    with pytest.raises(KeyboardInterrupt):
        run_all(CELLS, Store(tmp_path), execute=first)
    assert len(Store(tmp_path).read()) == stop
    run_all(CELLS, Store(tmp_path), execute=second)
    assert len(first.calls) + len(second.calls) == 10
    assert not set(first.calls) & set(second.calls)
    assert run_all(CELLS, Store(tmp_path), execute=Trainer(stop_after=0)) == 0


def test_other_settings_are_other_runs(tmp_path):
    run_all(CELLS[:1], Store(tmp_path), execute=Trainer())
    other = Cell(replace(RUN, schedule=replace(SCHEDULE, steps=5)), (0,))
    assert run_all([other], Store(tmp_path), execute=Trainer()) == 3


def test_keys_tell_everything_apart_but_the_name():
    others = [
        replace(RUN, mixer=glm.catalogue["dense_recurrence"]),
        replace(RUN, problem=Copy(3, 4)),
        replace(RUN, shape=Shape(16, 2, 1)),
        replace(RUN, schedule=replace(SCHEDULE, clip=2.0)),
        replace(RUN, rate=2e-3),
        replace(RUN, seed=1),
        replace(RUN, device="cuda"),
    ]
    assert len({run.key for run in [RUN, *others]}) == 8
    assert replace(RUN, name="other").key == RUN.key


def test_the_smaller_of_two_equal_rates_is_chosen():
    records = [
        {"configuration": {"rate": rate}, "validation": {"loss": 1.0}, "solved": False} for rate in (0.3, 0.1, 0.2)
    ]
    assert chosen_rate(records) == 0.1


# --- the store ------------------------------------------------------------------------------------


def test_a_torn_last_line_is_skipped_and_removed(tmp_path):
    store = Store(tmp_path)
    with store.writing():
        store.add({"kind": "run", "key": "a"})
    whole = store.path.read_bytes()
    store.path.write_bytes(whole + b'{"kind": "run", "ke')
    assert [record["key"] for record in store.read()] == ["a"]
    with store.writing():
        store.add({"kind": "run", "key": "b"})
    assert [json.loads(line)["key"] for line in store.path.read_text().splitlines()] == ["a", "b"]


def test_there_is_one_writer(tmp_path):
    first, second = Store(tmp_path).writing(), Store(tmp_path).writing()
    with first, pytest.raises(StudyError, match="another process is writing"), second:
        pass
    with Store(tmp_path).writing():
        pass


@pytest.mark.parametrize("text", ["no json\n", '{"no": "kind"}\n', "[1]\n"])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "runs.jsonl").write_text(text)
    with pytest.raises(StudyError, match=r"line 1 is not a record"):
        Store(tmp_path).read()


# --- study() --------------------------------------------------------------------------------------


def test_two_processes_give_what_one_gives(tmp_path):
    options = {"seeds": 2, "rates": [1e-2], "shape": Shape(8, 2, 1), "schedule": SCHEDULE}
    mixers = ["attention", "diagonal_ssm"]
    one = study(mixers, Copy(3, 3), workers=1, **options)
    two = study(mixers, Copy(3, 3), workers=2, folder=tmp_path, **options)

    def measured(results):
        return {record["key"]: (record["test"], record["history"]) for record in results.records}

    assert measured(one) == measured(two)
    assert len(one.records) == 4
    assert not list((tmp_path / "checkpoints").iterdir())


PARENT = """
import os, time
from glmix_theory.study.running import _pool

if __name__ == "__main__":
    with _pool(2) as submit:
        print(submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)
    worker = int(process.stdout.readline())
    assert running(worker)
    process.kill()
    process.wait()
    ended = time.monotonic() + 20
    while running(worker) and time.monotonic() < ended:
        time.sleep(0.2)
    assert not running(worker)


def running(process):
    """Whether a process of that number is there and not merely unreaped."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_mixer_of_ones_own(tmp_path):
    mixer = glm.Mixer(recurrent=glm.Lags([1, 3]), name="mine")
    found = study(mixer, Copy(3, 3), seeds=1, rates=[1e-2], shape=Shape(8, 2, 1), schedule=SCHEDULE, folder=tmp_path)
    assert found.mixers() == ["mine"]
    assert found.records[0]["configuration"]["mixer"] == repr(mixer)
    other = study(mixer, Copy(2, 3), seeds=1, rates=[1e-2], shape=Shape(8, 2, 1), schedule=SCHEDULE, folder=tmp_path)
    assert len(other.records) == 1, "a study returns its own runs alone"
    assert len(Results.read(tmp_path).records) == 2


def test_language_comes_with_baselines_and_decoding(tmp_path, monkeypatch):
    whole = corpus()
    short = replace(whole, train=whole.train[:200_000], test=whole.test[:40_000], digest="short")
    monkeypatch.setattr(language, "corpus", lambda: short)
    monkeypatch.setattr(baselines, "corpus", lambda: short)
    schedule = replace(SCHEDULE, solved=None)
    options = {"seeds": 1, "rates": [1e-2], "shape": Shape(8, 2, 1), "schedule": schedule, "folder": tmp_path}
    found = study("exponential_cache_efficient", LanguageModelling(context=32), **options)
    (run,), (decoded,) = found.of_kind("run"), found.of_kind("decode")
    assert 4 < run["test"]["loss"] < 7
    assert "longer" not in run
    rows = glm.SlotPlan(glm.catalogue["exponential_cache_efficient"]).peak(32)
    assert decoded["cache_rows"] == rows
    assert decoded["cache_bytes"] == rows * 2 * 8 * 4
    assert decoded["microseconds"] > 0
    bits = found.of_kind("baseline")[0]["bits_per_byte"]
    assert bits["ngram_1"] > bits["ngram_2"] > bits["ngram_3"] > 1
    assert bits["ngram_5_whole"] == pytest.approx(NGram(short.train).bits_per_byte(short.test), abs=1e-5)
    assert bits["gzip"] == pytest.approx(8 * len(gzip.compress(short.test.tobytes())) / 40_000, abs=0.01)
    assert bits["gzip"] > bits["lzma"] > bits["lzma_after_training"] > 1
    study("exponential_cache_efficient", LanguageModelling(context=32), **options)
    assert len(Store(tmp_path).read()) == 3, "measured once"


def test_every_size_has_every_problem():
    for settings in SIZES.values():
        assert [setting.problem.name for setting in settings] == [*TASKS, "language"]


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(UnknownNameError, match="no size is named 'smal'"):
        study("attention", size="smal")
    with pytest.raises(UnknownNameError, match="did you mean 'recall'"):
        study("attention", "recal")
    with pytest.raises(UnknownNameError, match="did you mean 'language'"):
        problem_of("langage")
    with pytest.raises(UnknownNameError, match="attention"):
        study("atention")
    with pytest.raises(StudyError, match="does not say what to train"):
        study([3])
    with pytest.raises(StudyError, match="device = 'tpu'"):
        study("attention", device="tpu")
    with pytest.raises(StudyError, match=r"seeds = \[1, 1\]"):
        seeds_of([1, 1])
