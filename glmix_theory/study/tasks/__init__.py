"""The tasks: seeded generators with exact definitions, and an oracle for each that is always right."""

from __future__ import annotations

from typing import Any

from glmix_theory.errors import TaskError, UnknownNameError, nearest
from glmix_theory.study.tasks.copying import Copy, SelectiveCopy
from glmix_theory.study.tasks.permutations import PermutationComposition
from glmix_theory.study.tasks.recall import AssociativeRecall, MultiHopRecall
from glmix_theory.study.tasks.task import UNSCORED, Batch, Task

__all__ = [
    "TASKS",
    "UNSCORED",
    "AssociativeRecall",
    "Batch",
    "Copy",
    "MultiHopRecall",
    "PermutationComposition",
    "SelectiveCopy",
    "Task",
    "task_of",
]

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Copy, SelectiveCopy, AssociativeRecall, MultiHopRecall, PermutationComposition)
}
"""Every task by name."""


def task_of(task: Task | str | dict[str, Any]) -> Task:
    """A task from its name (default sizes), from what :meth:`Task.to_dict` gave, or as it is.

    >>> task_of({"name": "copy", "tokens": 4})
    Copy(tokens=4, symbols=16)

    Raises
    ------
    UnknownNameError, TaskError
        No task of that name; a size it does not have.
    """
    if isinstance(task, Task):
        return task
    sizes = dict(task) if isinstance(task, dict) else {"name": task}
    name = sizes.pop("name", None)
    if not isinstance(name, str):
        raise TaskError(f"{task!r} is not a task; give a Task, a name ({', '.join(TASKS)}) or a dict with a name")
    if name not in TASKS:
        raise UnknownNameError(f"no task is named {name!r}; {nearest(name, list(TASKS))}")
    return TASKS[name]().changed(**sizes)
