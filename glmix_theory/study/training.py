"""One run: train from the last checkpoint on, validate, test, and say what came out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from glmix_theory.errors import StudyError
from glmix_theory.mixers import catalogue
from glmix_theory.progress import track
from glmix_theory.study.configuration import Problem, Run
from glmix_theory.study.language import LanguageModelling
from glmix_theory.study.model import build, fitted_shape, parameter_count, weight_groups
from glmix_theory.study.store import provenance
from glmix_theory.study.tasks import UNSCORED, Batch, Task
from glmix_theory.study.theory import theory

LONGER = 2
"""The length-generalisation test is this many times as long as training."""

_STREAMS = {"train": 0, "validation": 1, "test": 2, "longer": 3}
_FLOOR = 0.1  # of the peak learning rate, at the end of the decay


def train(run: Run, checkpoint: Path, watch: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Train and test one model; continues from ``checkpoint`` where there is one.

    Claim: on the CPU, in one thread, the result is bit for bit the same whether or how often the process was
    killed on the way: batch ``i`` is a function of the seed and ``i``, and a checkpoint holds all else.

    Parameters
    ----------
    run : Run
        What to train.
    checkpoint : path
        File to keep the state in while training; removed by the caller once the record is safe.
    watch : callable, optional
        Called with the number of steps done after each checkpoint.

    Returns
    -------
    dict
        The record, plain data: configuration, sizes, ``test`` (``loss`` in nats, ``accuracy`` and, for tasks,
        ``per_position`` and ``per_depth``), ``longer`` (the same at :data:`LONGER` times the length; ``None``
        where the vocabulary does not reach), ``validation`` (the last), ``history``, seconds, theory, provenance.

    Raises
    ------
    StudyError
        The checkpoint belongs to another run.
    """
    with one_thread():
        state = _State(run, checkpoint)
        solved = run.schedule.solved
        state.fit(watch)
        result: dict[str, Any] = {
            "kind": "run",
            "key": run.key,
            "name": run.name,
            "configuration": run.to_dict(),
            "model": asdict(fitted_shape(run.mixer, run.problem.vocabulary, run.shape)),
            "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
            "reference_parameters": parameter_count(catalogue["attention"], run.problem.vocabulary, run.shape),
            "steps": state.step,
            "solved": solved is not None and state.step < run.schedule.steps,
            "validation": state.history[-1],
            "test": evaluate(state.model, run.problem, "test", run.schedule.held_out, run.device, detailed=True),
        }
        if isinstance(run.problem, Task):
            result["longer"] = _longer(state.model, run)
        result |= {
            "history": state.history,
            "seconds": round(state.seconds, 2),
            "theory": theory(run.mixer, run.problem),
            "threads": torch.get_num_threads(),
            "device_name": torch.cuda.get_device_name() if run.device == "cuda" else "cpu",
            **provenance(),
        }
    return result


class _State:
    """A model, its optimizer and how far it is; saved and restored as a whole."""

    def __init__(self, run: Run, checkpoint: Path) -> None:
        self.run, self.checkpoint = run, checkpoint
        self.model = build(run)
        groups = weight_groups(self.model, run.schedule.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=run.rate, betas=(0.9, 0.98))
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, Any]] = []
        if checkpoint.exists():
            self._restore()

    def fit(self, watch: Callable[[int], None] | None) -> None:
        """Train to the end of the schedule, or until solved."""
        schedule, described = self.run.schedule, _Description(self)
        for _ in track(self._steps(), described, total=schedule.steps - self.step):
            if self.step % schedule.validate_every == 0 or self.step == schedule.steps:
                found = evaluate(self.model, self.run.problem, "validation", schedule.held_out, self.run.device)
                self.history.append({"step": self.step, **found})
                self._save()
                if watch is not None:
                    watch(self.step)

    def finished(self) -> bool:
        """Whether the schedule is done, or the last two validations are solved."""
        solved, last = self.run.schedule.solved, self.history[-2:]
        easy = solved is not None and len(last) == 2 and all(entry["accuracy"] >= solved for entry in last)
        return easy or self.step >= self.run.schedule.steps

    def _steps(self) -> Iterator[int]:
        while not self.finished():
            began = time.perf_counter()
            self._one_step()
            self.step += 1
            self.seconds += time.perf_counter() - began
            yield self.step

    def _one_step(self) -> None:
        run = self.run
        for group in self.optimizer.param_groups:
            group["lr"] = run.rate * rate_factor(self.step, run.schedule.steps, run.schedule.warm_up)
        batch = run.problem.sample(_generator("train", run.seed, self.step), run.schedule.batch)
        loss, _ = _losses(self.model, batch, run.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss.sum().div((batch.targets != UNSCORED).sum()).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), run.schedule.clip)
        self.optimizer.step()

    def _save(self) -> None:
        state = {
            "key": self.run.key,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        whole = self.checkpoint.with_suffix(f".{os.getpid()}")
        torch.save(state, whole)
        os.replace(whole, self.checkpoint)

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.run.device, weights_only=True)
        if state["key"] != self.run.key:
            raise StudyError(f"{self.checkpoint} is the checkpoint of run {state['key']}, not of {self.run.key}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]


class _Description:
    """What the progress bar says: the run and its latest validation."""

    def __init__(self, state: _State) -> None:
        self.state = state

    def __call__(self) -> str:
        run, history = self.state.run, self.state.history
        latest = f"{history[-1]['accuracy']:.1%}" if history else "–"
        return f"{run.problem.name}, {run.name}, rate {run.rate:g}, seed {run.seed}: {latest}"


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """Learning rate at a step, as a fraction of its peak: linear warm-up, then a cosine to a tenth.

    >>> [round(rate_factor(step, 100, 0.1), 2) for step in (0, 9, 55, 100)]
    [0.1, 1.0, 0.55, 0.1]
    """
    rising = max(1, round(warm_up * steps))
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@torch.no_grad()
def evaluate(
    model: torch.nn.Module, problem: Problem, split: str, number: int, device: str, detailed: bool = False
) -> dict[str, Any]:
    """Loss (nats) and accuracy over the scored positions of a held-out split, the same for every run.

    ``detailed`` adds ``per_position``: the accuracy at each scored position, ``None`` where none is due; and
    where answers differ in it ``per_depth``: the accuracy by the number of look-ups that an answer takes.
    """
    loss, right, scored = 0.0, 0, 0
    per_position = np.zeros((2, problem.length), dtype=np.int64)
    per_depth: dict[int, list[bool]] = {}
    for batch in held_out(problem, split, number):
        losses, hits = _losses(model, batch, device)
        due = batch.targets != UNSCORED
        loss += float(losses.sum(dtype=torch.float64))
        per_position += np.stack([(hits & due).sum(0), due.sum(0)])
        if detailed and isinstance(problem, Task):
            for row, position in np.argwhere(due):
                depth = problem.depth(batch.tokens[row, : position + 1].tolist())
                per_depth.setdefault(depth, []).append(bool(hits[row, position]))
    right, scored = (int(total) for total in per_position.sum(1))
    found: dict[str, Any] = {"loss": loss / scored, "accuracy": right / scored}
    if detailed and isinstance(problem, Task):
        found["per_position"] = [round(int(a) / int(b), 6) if b else None for a, b in per_position.T]
        if len(per_depth) > 1:
            found["per_depth"] = {
                str(depth): round(float(np.mean(here)), 6) for depth, here in sorted(per_depth.items())
            }
    return found


def held_out(problem: Problem, split: str, number: int) -> Iterator[Batch]:
    """The sequences of a split, in batches of at most 64; the same at every call."""
    if isinstance(problem, LanguageModelling):
        yield from problem.held_out(split, number)
        return
    for index, start in enumerate(range(0, number, 64)):
        yield problem.sample(_generator(split, 0, index), min(64, number - start))


def _longer(model: torch.nn.Module, run: Run) -> dict[str, Any] | None:
    """The test at several times the length; ``None`` where the task's vocabulary does not reach."""
    from glmix_theory.errors import TaskError

    try:
        task = run.problem.longer(LONGER)  # type: ignore[union-attr]
    except TaskError:
        return None
    found = evaluate(model, task, "longer", run.schedule.held_out, run.device, detailed=True)
    return {"length": task.length, **found}


def _losses(model: torch.nn.Module, batch: Batch, device: str) -> tuple[torch.Tensor, np.ndarray]:
    """Cross-entropy of every position (0 where none is due), and where the likeliest token is right."""
    tokens, targets = torch.from_numpy(batch.tokens).to(device), torch.from_numpy(batch.targets).to(device)
    logits = model(tokens)
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=UNSCORED, reduction="none")
    return losses, (logits.argmax(-1) == targets).cpu().numpy()


def _generator(stream: str, seed: int, index: int) -> np.random.Generator:
    """Randomness of one batch: streams never share a sequence of draws."""
    return np.random.default_rng([_STREAMS[stream], seed, index])


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch in one thread: two runs side by side beat one in two threads, and the result repeats bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
