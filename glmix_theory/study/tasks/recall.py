"""Recall: key-value pairs in context, asked for by key, directly or through a chain of keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from glmix_theory.errors import TaskError
from glmix_theory.study.tasks.task import UNSCORED, Batch, Task, checked_size, require_at_most


@dataclass(frozen=True)
class AssociativeRecall(Task):
    """Key-value pairs, then several keys whose values are due.

    A sequence is ``k_1 v_1 … k_P v_P`` with ``P = pairs`` different keys, drawn uniformly without
    replacement from ``0 … keys-1``, and values ``keys … keys+values-1``, independent and uniform; then
    ``queries`` of those keys, drawn without replacement in random order. The answer at a question is the value
    of its key.

    Demand: from the value's position to the question; which pairs is random, so all ``P`` values have to
    cross the cut. Chance: ``1 / values``. Ceiling: a mixer that keeps ``s`` pairs answers ``s / P`` of the
    questions and guesses the rest.

    Parameters
    ----------
    pairs, queries : int
        Definitions, and questions, 1 … ``pairs``.
    keys, values : int
        Different keys, at least ``pairs``; different values, at least 2.

    Examples
    --------
    >>> task = AssociativeRecall(pairs=2, queries=1, keys=3, values=2)
    >>> task.answer([2, 4, 0, 3, 2]), task.sources([2, 4, 0, 3, 2])
    (4, (1,))

    References
    ----------
    Arora et al. 2023, arXiv:2312.04927 (several queries per sequence).
    """

    pairs: int = 16
    queries: int = 16
    keys: int = 32
    values: int = 16
    name: ClassVar[str] = "recall"

    def __post_init__(self) -> None:
        checked_size(self.name, "pairs", self.pairs, 1)
        checked_size(self.name, "queries", self.queries, 1)
        checked_size(self.name, "values", self.values, 2)
        checked_size(self.name, "keys", self.keys, 1)
        require_at_most(self.name, "queries", self.queries, "pairs", self.pairs)
        require_at_most(self.name, "pairs", self.pairs, "keys", self.keys)

    @property
    def length(self) -> int:
        return 2 * self.pairs + self.queries

    @property
    def vocabulary(self) -> int:
        return self.keys + self.values

    @property
    def chance(self) -> float:
        return 1 / self.values

    def sample(self, generator: np.random.Generator, number: int) -> Batch:
        keys = np.argsort(generator.random((number, self.keys)), axis=1)[:, : self.pairs]
        values = self.keys + generator.integers(self.values, size=(number, self.pairs))
        asked = np.argsort(generator.random((number, self.pairs)), axis=1)[:, : self.queries]
        definitions = np.stack([keys, values], axis=2).reshape(number, 2 * self.pairs)
        questions = np.take_along_axis(keys, asked, axis=1)
        targets = np.full((number, self.length), UNSCORED)
        targets[:, 2 * self.pairs :] = np.take_along_axis(values, asked, axis=1)
        return Batch(np.concatenate([definitions, questions], axis=1), targets)

    def sources(self, visible: Sequence[int]) -> tuple[int, ...]:
        definitions = list(visible[: 2 * self.pairs])
        return (definitions.index(visible[-1]) + 1,) if len(visible) > len(definitions) else ()

    def answer(self, visible: Sequence[int]) -> int:
        sources = self.sources(visible)
        return visible[sources[0]] if sources else UNSCORED

    def longer(self, factor: int) -> AssociativeRecall:
        return AssociativeRecall(factor * self.pairs, factor * self.queries, self.keys, self.values)

    def ceiling(self, rows: float) -> float:
        kept = min(1.0, rows / self.pairs)
        return kept + (1 - kept) * self.chance


@dataclass(frozen=True)
class MultiHopRecall(Task):
    """Definitions whose value may be an earlier key; a question asks for the end of the chain.

    ``chains`` chains of ``hops`` definitions each. Chain ``c`` is ``k_1 := v``, ``k_2 := k_1``, …,
    ``k_hops := k_{hops-1}``: all keys of a sequence differ (drawn from ``0 … keys-1``), the chains' values
    ``keys … keys+values-1`` are independent and uniform. A definition is two tokens, the key and what it
    stands for; the chains are interleaved at random, each in its own order, so that every definition refers
    to an earlier one. Then ``queries`` of the keys, drawn without replacement. The answer is the value at the
    end of the key's chain: ``j`` look-ups for the ``j``-th key, ``1 … hops``.

    Demand: from each right-hand side on the way to the question, and one after another: a mixer that reads
    only inputs composes one look-up per layer (or doubles), one that reads outputs may follow a chain in
    one layer. Chance: ``1 / values``.

    Parameters
    ----------
    chains, hops : int
        Chains and definitions in each, at least 1; the sequence holds ``chains · hops`` definitions.
    queries : int
        Questions, at most the number of definitions.
    keys, values : int
        Different keys, at least the number of definitions; different values, at least 2.

    Examples
    --------
    >>> task = MultiHopRecall(chains=1, hops=3, queries=1, keys=4, values=2)
    >>> task.answer([2, 5, 0, 2, 1, 0, 1]), task.sources([2, 5, 0, 2, 1, 0, 1])
    (5, (1, 3, 5))
    """

    chains: int = 4
    hops: int = 4
    queries: int = 16
    keys: int = 32
    values: int = 16
    name: ClassVar[str] = "multi_hop"

    def __post_init__(self) -> None:
        checked_size(self.name, "chains", self.chains, 1)
        checked_size(self.name, "hops", self.hops, 1)
        checked_size(self.name, "queries", self.queries, 1)
        checked_size(self.name, "values", self.values, 2)
        checked_size(self.name, "keys", self.keys, 1)
        require_at_most(self.name, "queries", self.queries, "chains · hops", self.definitions)
        require_at_most(self.name, "chains · hops", self.definitions, "keys", self.keys)

    @property
    def definitions(self) -> int:
        """Definitions in a sequence."""
        return self.chains * self.hops

    @property
    def length(self) -> int:
        return 2 * self.definitions + self.queries

    @property
    def vocabulary(self) -> int:
        return self.keys + self.values

    @property
    def chance(self) -> float:
        return 1 / self.values

    def sample(self, generator: np.random.Generator, number: int) -> Batch:
        total = self.definitions
        keys = np.argsort(generator.random((number, self.keys)), axis=1)[:, :total].reshape(
            number, self.chains, self.hops
        )
        values = self.keys + generator.integers(self.values, size=(number, self.chains, 1))
        meanings = np.concatenate([values, keys[:, :, :-1]], axis=2)
        # a random order of "chain c's next definition": a shuffled list of chain numbers, each hops times
        turns = np.argsort(generator.random((number, total)), axis=1) // self.hops
        place = np.argsort(turns, axis=1, kind="stable").reshape(number, self.chains, self.hops)
        tokens = np.empty((number, 2 * total), dtype=np.int64)
        np.put_along_axis(tokens, 2 * place.reshape(number, total), keys.reshape(number, total), axis=1)
        np.put_along_axis(tokens, 2 * place.reshape(number, total) + 1, meanings.reshape(number, total), axis=1)
        asked = np.argsort(generator.random((number, total)), axis=1)[:, : self.queries]
        questions = np.take_along_axis(keys.reshape(number, total), asked, axis=1)
        ends = np.repeat(values[:, :, 0], self.hops, axis=1)
        targets = np.full((number, self.length), UNSCORED)
        targets[:, 2 * total :] = np.take_along_axis(ends, asked, axis=1)
        return Batch(np.concatenate([tokens, questions], axis=1), targets)

    def sources(self, visible: Sequence[int]) -> tuple[int, ...]:
        if len(visible) <= 2 * self.definitions:
            return ()
        defined = {visible[s]: s + 1 for s in range(0, 2 * self.definitions, 2)}
        key = visible[-1]
        followed: list[int] = []
        while key < self.keys:
            if key not in defined or len(followed) == self.hops:
                raise TaskError(
                    f"{self.name}: key {key} has no chain of at most {self.hops} definitions in {list(visible)}"
                )
            followed.append(defined[key])
            key = visible[defined[key]]
        return tuple(sorted(followed))

    def answer(self, visible: Sequence[int]) -> int:
        sources = self.sources(visible)
        return visible[sources[0]] if sources else UNSCORED

    def depth(self, visible: Sequence[int]) -> int:
        """Look-ups the last visible position needs; 0 where it is no question."""
        return len(self.sources(visible))

    def longer(self, factor: int) -> MultiHopRecall:
        return MultiHopRecall(self.chains, factor * self.hops, factor * self.queries, self.keys, self.values)
