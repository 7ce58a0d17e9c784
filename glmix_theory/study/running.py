"""Many runs: which are needed, in which order, in how many processes; what is finished is never run again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from glmix_theory.errors import check_length
from glmix_theory.progress import track
from glmix_theory.study.configuration import Run
from glmix_theory.study.results import chosen_rate
from glmix_theory.study.store import Store

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment of the workers: each runs in one thread."""


@dataclass(frozen=True)
class Cell:
    """One mixer on one problem: the grid of rates on the first seed, then the other seeds at the best rate.

    Parameters
    ----------
    run : Run
        Any run of the cell; its rate and seed are replaced.
    seeds : tuple of int
        At least one; the first chooses the rate.
    """

    run: Run
    seeds: tuple[int, ...]

    def choosing(self) -> list[Run]:
        """The runs the rate is chosen from."""
        return [replace(self.run, rate=rate, seed=self.seeds[0]) for rate in self.run.schedule.rates]

    def repeated(self, rate: float) -> list[Run]:
        """The other seeds, at the rate chosen."""
        return [replace(self.run, rate=rate, seed=seed) for seed in self.seeds[1:]]


def run_all(cells: list[Cell], store: Store, workers: int = 1, execute: Callable[..., Any] | None = None) -> int:
    """Bring every cell to its end; returns the number of runs made.

    Records reach the store one by one as they are finished, written by this process alone. A process that is
    killed resumes: finished runs are skipped, unfinished ones continue from their checkpoints.

    Parameters
    ----------
    cells : list of Cell
        What is wanted.
    store : Store
        Where records and checkpoints are.
    workers : int
        Processes; 1 trains in this one.
    execute : callable, optional
        What makes the record of a run; ``train`` unless a test says otherwise.
    """
    workers = check_length(workers, "workers")
    at_once = 1 if workers == 1 else 2 * workers  # so that a worker never waits for the next run
    with store.writing(), _pool(workers) as submit:
        progress = _Progress(cells, store)
        for record in track(progress.records(submit, execute or _execute, at_once), progress.text, progress.needed):
            store.add(record)
            store.checkpoint(record["key"]).unlink(missing_ok=True)
            progress.made += 1
    return progress.made


class _Progress:
    """What is finished, running and still to come."""

    def __init__(self, cells: list[Cell], store: Store) -> None:
        self.cells, self.store = cells, store
        self.done = {record["key"]: record for record in store.read() if record["kind"] == "run"}
        self.made, self.latest = 0, ""
        rates = [(len(set(cell.run.schedule.rates)), len(cell.seeds) - 1) for cell in cells]
        present = sum(run.key in self.done for cell in cells for run in cell.choosing())
        repeated = sum(run.key in self.done for cell in cells for run in self._repeats(cell))
        self.needed = sum(first + rest for first, rest in rates) - present - repeated

    def records(
        self, submit: Callable[..., Future[dict[str, Any]]], execute: Callable[..., Any], at_once: int
    ) -> Iterator[dict[str, Any]]:
        """Submit what is ready, at most ``at_once`` at a time, and yield records as they come."""
        running: dict[Future[dict[str, Any]], str] = {}
        while True:
            for run in self._ready():
                if len(running) >= at_once:
                    break
                if run.key not in running.values():
                    running[submit(execute, run, str(self.store.checkpoint(run.key)))] = run.key
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                record = future.result()
                self.done[record["key"]] = record
                accuracy = record["test"]["accuracy"]
                self.latest = f"{record['configuration']['problem']['name']}, {record['name']}: {accuracy:.1%}"
                yield record

    def text(self) -> str:
        """What the progress bar says."""
        return f"studying ({self.latest})" if self.latest else "studying"

    def _ready(self) -> Iterator[Run]:
        for cell in self.cells:
            for run in [*cell.choosing(), *self._repeats(cell)]:
                if run.key not in self.done:
                    yield run

    def _repeats(self, cell: Cell) -> list[Run]:
        """The cell's other seeds, once its rate is chosen."""
        keys = [run.key for run in cell.choosing()]
        if any(key not in self.done for key in keys):
            return []
        return cell.repeated(chosen_rate(self.done[key] for key in keys))


def _execute(run: Run, checkpoint: str) -> dict[str, Any]:
    """Train one run, in whatever process this is."""
    from glmix_theory.study.training import train

    return train(run, Path(checkpoint))


def _leave_with(parent: int) -> None:
    """End this process soon after ``parent`` is gone, even if it was killed: nobody waits for the result."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _pool(workers: int) -> Iterator[Callable[..., Future[dict[str, Any]]]]:
    """Something to submit calls to: this process, or that many others with one thread each."""
    if workers == 1:
        yield _at_once
        return
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _leave_with, (os.getpid(),))
    try:
        yield pool.submit
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list((pool._processes or {}).values()):
            process.terminate()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _at_once(function: Callable[..., dict[str, Any]], *arguments: Any) -> Future[dict[str, Any]]:
    future: Future[dict[str, Any]] = Future()
    future.set_result(function(*arguments))
    return future
