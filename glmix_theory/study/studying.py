"""``glm.study``: train mixers on problems, compare them at equal size, keep what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

from glmix_theory.errors import StudyError, UnknownNameError, check_length, nearest
from glmix_theory.mixers import Mixer
from glmix_theory.study.configuration import Problem, Run, Schedule, Shape, mixers_of, problem_of
from glmix_theory.study.language import LanguageModelling
from glmix_theory.study.results import Results
from glmix_theory.study.sizes import SIZES, setting_of
from glmix_theory.study.store import Store


def study(
    mixer: Mapping[str, Mixer] | Mixer | str | Sequence[str] | None = None,
    task: Problem | str | dict[str, Any] | Sequence[Problem | str] = "copy",
    *,
    size: str = "standard",
    seeds: int | Sequence[int] = 3,
    rates: Sequence[float] | None = None,
    steps: int | None = None,
    shape: Shape | None = None,
    schedule: Schedule | None = None,
    device: str = "cpu",
    workers: int = 1,
    folder: str | os.PathLike[str] | None = None,
) -> Results:
    """Train mixers on tasks at equal parameter counts, and put the analyzers' numbers beside what they learn.

    Every mixer is trained with every rate of the grid on the first seed. The smallest rate that solved the task, or
    else the one with the least validation loss, is used for the other seeds, and results are from the test split.
    On the CPU in one thread results are the same bit for bit at every repetition, also when the study was killed
    and started again.

    Parameters
    ----------
    mixer : Mixer, catalogue name, several names, dict from name to Mixer, or None
        What to train; ``None``: the nine rows of the paper's Table 1.
    task : task, name, plain data, or several of them
        A :class:`~glmix_theory.study.tasks.Task`, its name (``glmix_theory.study.TASKS``; sizes of ``size``),
        or ``"language"``.
    size : str
        Which sizes of tasks, model and training: ``"micro"`` (seconds), ``"standard"`` (a machine of two cores:
        hours for Table 1 on all problems) or ``"large"`` (meant for a GPU, not run yet).
    seeds : int or several ints
        How many, from 0 on, or which; the first chooses the rate.
    rates : several floats, optional
        The grid, in place of the size's.
    steps : int, optional
        Training steps, in place of the size's.
    shape, schedule : Shape, Schedule, optional
        Sizes of the model, training, in place of the size's; ``rates`` and ``steps`` still count.
    device : str
        ``"cpu"`` or ``"cuda"``.
    workers : int
        Processes, of one thread each; more than one must be called from a script's main part.
    folder : path, optional
        Where results and checkpoints are kept, and finished runs are found again; without it nothing is kept.

    Returns
    -------
    Results
        Those of this study alone; prints as a table of accuracies.

    Raises
    ------
    UnknownNameError
        No such mixer, task or size.
    StudyError, TaskError
        A setting out of range; a mixer whose size can't be made equal; a folder that another study writes to.

    Examples
    --------
    >>> found = study("attention", "copy", size="micro", seeds=1, rates=[0.01], steps=20)
    >>> found.mixers(), found.problems(), len(found.records)
    (['attention'], ['copy'], 1)
    """
    if size not in SIZES:
        raise UnknownNameError(f"no size is named {size!r}; {nearest(str(size), list(SIZES))}")
    if device not in ("cpu", "cuda"):
        raise StudyError(f"device = {device!r}; 'cpu' or 'cuda' is needed")
    chosen_seeds = seeds_of(seeds)
    wanted = [task] if isinstance(task, str | dict | Problem) else list(task)
    cells = []
    for one in wanted:
        setting = setting_of(size, one) if isinstance(one, str) else setting_of(size, problem_of(one).name)
        problem = setting.problem if isinstance(one, str) else problem_of(one)
        chosen = schedule or setting.schedule
        chosen = replace(chosen, rates=tuple(rates) if rates is not None else chosen.rates)
        if steps is not None:
            check_length(steps, "steps")
            chosen = replace(chosen, steps=steps, validate_every=min(chosen.validate_every, steps))
        for name, made in mixers_of(mixer).items():
            run = Run(name, made, problem, shape or setting.shape, chosen, chosen.rates[0], chosen_seeds[0], device)
            cells.append((run, chosen_seeds))
    return _studied(cells, folder, workers)


def _studied(wanted: list[tuple[Run, tuple[int, ...]]], folder: str | os.PathLike[str] | None, workers: int) -> Results:
    from glmix_theory.study.running import Cell, run_all

    with TemporaryDirectory() if folder is None else nullcontext(folder) as place:
        store = Store(place)
        cells = [Cell(run, seeds) for run, seeds in wanted]
        run_all(cells, store, workers)
        _measure_beside([cell.run for cell in cells], store)
        return _of_study(cells, store)


def _of_study(cells: list[Any], store: Store) -> Results:
    """The records of a store that belong to these cells."""
    from glmix_theory.study.results import cell_of

    keys = {run.key for cell in cells for run in cell.choosing()}
    mine = {cell_of(record) for record in store.read() if record["key"] in keys}
    return Results(record for record in store.read() if record["kind"] != "run" or cell_of(record) in mine)


def _measure_beside(runs: list[Run], store: Store) -> None:
    """For language modelling: the baselines, and decode speed and cache of each mixer; alone, so that times count."""
    from glmix_theory.progress import track

    language = [run for run in runs if isinstance(run.problem, LanguageModelling)]
    if not language:
        return
    from glmix_theory.study.baselines import baseline_configuration, baselines
    from glmix_theory.study.configuration import digest
    from glmix_theory.study.decoding import decode, decode_configuration

    with store.writing():
        present = {record["key"] for record in store.read()}
        for run in track(language, "measuring decode"):
            if digest(decode_configuration(run)) not in present:
                store.add(decode(run))
            wanted = (run.problem, run.schedule.held_out)
            if digest(baseline_configuration(*wanted)) not in present:  # type: ignore[arg-type]
                record = baselines(*wanted)  # type: ignore[arg-type]
                store.add(record)
                present.add(record["key"])


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Seeds as a tuple: ``0 … seeds-1`` of a number, or those given.

    >>> seeds_of(2), seeds_of([5, 7])
    ((0, 1), (5, 7))

    Raises
    ------
    LengthError, StudyError
        Not integers of at least 0; none; one twice.
    """
    if not isinstance(seeds, Sequence):
        return tuple(range(check_length(seeds, "seeds")))
    chosen = tuple(check_length(seed, "seed", 0) for seed in seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise StudyError(f"seeds = {list(seeds)}; at least one, and each once, is needed")
    return chosen
