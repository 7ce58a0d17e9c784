"""Permutation composition: the word problem of a symmetric group, the running product at every position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import ClassVar

import numpy as np

from glmix_theory.errors import TaskError
from glmix_theory.study.tasks.task import Batch, Task, checked_size

ALPHABETS = ("all", "generators")
"""Which permutations occur as tokens: all of them, or a transposition and a cycle, which generate the group."""


@dataclass(frozen=True)
class PermutationComposition(Task):
    """The product of all permutations read so far, at every position.

    Tokens are permutations of ``items`` things, numbered in lexicographic order, independent and uniform over
    the alphabet. The answer at ``t`` is the number of ``p_0 p_1 … p_t``, where ``(p q)(i) = q(p(i))``. With
    ``items = 5`` this is the word problem of S5, which is complete for NC¹: no mixer of bounded depth that
    cannot track state solves it at every length. Proposition 14 gives the order at which a recurrence can.

    Demand: every earlier position to every later one, ``(s, t)`` for all ``s ≤ t``. Chance: one over the
    number of permutations.

    Parameters
    ----------
    items : int
        Things permuted, 2 … 5.
    words : int
        Length of the sequence, at least 1.
    alphabet : str
        ``"all"``: every permutation is a token; ``"generators"``: the swap of the first two things, the
        cycle that moves each thing one on, and the identity.

    Raises
    ------
    TaskError
        ``items`` above 5 or an unknown alphabet.

    Examples
    --------
    >>> task = PermutationComposition(items=3, words=4)
    >>> task.table[2], task.table[3], task.answer([2, 3])
    ((1, 0, 2), (1, 2, 0), 5)
    """

    items: int = 5
    words: int = 24
    alphabet: str = "generators"
    name: ClassVar[str] = "permutations"

    def __post_init__(self) -> None:
        if checked_size(self.name, "items", self.items, 2) > 5:
            raise TaskError(f"{self.name}: items = {self.items} has more than 120 permutations; the largest valid is 5")
        checked_size(self.name, "words", self.words, 1)
        if self.alphabet not in ALPHABETS:
            raise TaskError(f"{self.name}: alphabet = {self.alphabet!r} is not known; use 'all' or 'generators'")

    @cached_property
    def table(self) -> tuple[tuple[int, ...], ...]:
        """All permutations by number: ``table[p][i]`` is where ``p`` sends ``i``."""
        return tuple(permutations(range(self.items)))

    @cached_property
    def _products(self) -> np.ndarray:
        number = {permutation: index for index, permutation in enumerate(self.table)}
        return np.array([[number[tuple(q[i] for i in p)] for q in self.table] for p in self.table])

    @cached_property
    def letters(self) -> tuple[int, ...]:
        """Numbers of the permutations that occur as tokens."""
        if self.alphabet == "all":
            return tuple(range(len(self.table)))
        things = tuple(range(self.items))
        chosen = {things, (1, 0, *things[2:]), (*things[1:], 0)}
        return tuple(index for index, permutation in enumerate(self.table) if permutation in chosen)

    @property
    def length(self) -> int:
        return self.words

    @property
    def vocabulary(self) -> int:
        return math.factorial(self.items)

    @property
    def chance(self) -> float:
        return 1 / self.vocabulary

    def sample(self, generator: np.random.Generator, number: int) -> Batch:
        tokens = np.array(self.letters)[generator.integers(len(self.letters), size=(number, self.words))]
        targets = np.empty_like(tokens)
        targets[:, 0] = tokens[:, 0]
        for t in range(1, self.words):
            targets[:, t] = self._products[targets[:, t - 1], tokens[:, t]]
        return Batch(tokens, targets)

    def sources(self, visible: Sequence[int]) -> tuple[int, ...]:
        return tuple(range(len(visible)))

    def answer(self, visible: Sequence[int]) -> int:
        moved = list(range(self.items))
        for token in visible:
            moved = [self.table[token][thing] for thing in moved]
        return self.table.index(tuple(moved))

    def longer(self, factor: int) -> PermutationComposition:
        return PermutationComposition(self.items, factor * self.words, self.alphabet)
