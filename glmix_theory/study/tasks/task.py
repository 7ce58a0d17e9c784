"""What a task is: sequences to read, positions where an answer is due, and a solver that is always right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from glmix_theory.errors import TaskError, check_length
from glmix_theory.expressivity import Demand

UNSCORED = -1
"""Target of the positions where no answer is due."""


@dataclass(frozen=True)
class Batch:
    """Sequences with their answers.

    Parameters
    ----------
    tokens : int64 array (number, length)
        What the model reads, below the task's ``vocabulary``.
    targets : int64 array (number, length)
        The answer due at each position, a token, or :data:`UNSCORED`. The answer at position ``t`` is a
        function of ``tokens[:, : t + 1]``; it is never fed to the model.
    """

    tokens: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Task(ABC):
    """A distribution of sequences with one right answer at each scored position.

    Subclasses are frozen dataclasses of sizes. Every method is a function of the sizes and of the
    generator or tokens it is given.

    Attributes
    ----------
    name : str
        Key in ``TASKS``.
    length, vocabulary : int
        Positions of a sequence; number of token values, answers included.
    chance : float
        Accuracy of the best guess that sees no token.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def length(self) -> int:
        """Positions of a sequence."""

    @property
    @abstractmethod
    def vocabulary(self) -> int:
        """Number of token values, answers included."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """Accuracy of the best guess that sees no token."""

    @abstractmethod
    def sample(self, generator: np.random.Generator, number: int) -> Batch:
        """Draw ``number`` sequences; the same generator state gives the same batch."""

    @abstractmethod
    def answer(self, visible: Sequence[int]) -> int:
        """The oracle: the right answer at the last visible position, or :data:`UNSCORED` where none is due.

        ``visible`` is a sequence's tokens up to and including the scored position; nothing else is used.
        """

    @abstractmethod
    def sources(self, visible: Sequence[int]) -> tuple[int, ...]:
        """Positions whose content the answer at the last visible position is made of, ascending."""

    @abstractmethod
    def longer(self, factor: int) -> Task:
        """The task ``factor`` times as long, over the same vocabulary: what length generalisation is tested on."""

    def ceiling(self, rows: float) -> float | None:
        """The accuracy a state of ``rows`` linear rows is bound to, where theory gives one; else ``None``."""
        return None

    def depth(self, visible: Sequence[int]) -> int:
        """Look-ups, one after another, that the answer at the last visible position takes; 0 where none is due."""
        return 1 if self.sources(visible) else 0

    def demand(self, seed: int = 0) -> Demand:
        """Which pairs ``(s, t)`` one sequence, drawn with ``seed``, needs connected."""
        tokens = self.sample(np.random.default_rng(seed), 1).tokens[0].tolist()
        pairs = [(s, t) for t in range(self.length) for s in self.sources(tokens[: t + 1])]
        return Demand(f"{self.name}, seed {seed}", self.length, pairs)

    def solve(self, tokens: np.ndarray) -> np.ndarray:
        """The oracle's answers for whole sequences ``(number, length)``, each from its visible prefix alone."""
        rows = np.asarray(tokens).tolist()
        return np.array([[self.answer(row[: t + 1]) for t in range(len(row))] for row in rows], dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Name and sizes, plain data."""
        return {"name": self.name, **asdict(self)}

    def changed(self, **sizes: Any) -> Task:
        """The same task with other sizes.

        Raises
        ------
        TaskError
            There is no such size, or its value is out of range.
        """
        known = list(asdict(self))
        for name in sizes:
            if name not in known:
                raise TaskError(f"the {self.name} task has no size {name!r}; it has {', '.join(known)}")
        return replace(self, **sizes)


def checked_size(task: str, name: str, value: object, minimum: int) -> int:
    """``value`` as an int at least ``minimum``, or :class:`~glmix_theory.errors.LengthError`."""
    return check_length(value, f"{task}: {name}", minimum)


def require_at_most(task: str, name: str, value: int, other: str, limit: int) -> None:
    """Raise :class:`~glmix_theory.errors.TaskError` unless ``value ≤ limit``, the value of ``other``."""
    if value > limit:
        raise TaskError(
            f"{task}: {name} = {value} exceeds {other} = {limit}; the largest valid {name} is {limit}, "
            f"or raise {other} to {value}"
        )
