"""Copy and selective copy: the whole input, or its marked tokens, have to cross one cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from glmix_theory.study.tasks.task import UNSCORED, Batch, Task, checked_size, require_at_most


@dataclass(frozen=True)
class Copy(Task):
    """Repeat ``tokens`` random symbols after they have all been read.

    A sequence is ``x_0 … x_{N-1}`` with ``N = tokens``, symbols ``0 … symbols-1`` independent and uniform,
    then ``N`` times the blank ``symbols``. The answer at position ``N + i`` is ``x_i``; the blanks say
    nothing, so all ``N`` symbols cross the cut at ``N``.

    Demand: the pairs ``(i, N + i)``, exactly :func:`glmix_theory.expressivity.demands.copy`. Chance:
    ``1 / symbols``. Ceiling: a linear map of rank ``s`` at the cut keeps at most the fraction ``s / N`` of the
    energy (proposition 15), so a mixer that puts one symbol into each row answers ``s`` of ``N`` and guesses the
    rest. A row is ``d_model`` numbers wide: a trained model that packs several symbols into a row may exceed it.

    Parameters
    ----------
    tokens : int
        Symbols to copy, at least 1; the sequence is twice as long.
    symbols : int
        Different symbols, at least 2.

    Examples
    --------
    >>> task = Copy(tokens=3, symbols=4)
    >>> task.answer([2, 0, 3, 4, 4])
    0
    >>> task.sources([2, 0, 3, 4, 4]), task.length, task.vocabulary, task.chance
    ((1,), 6, 5, 0.25)

    References
    ----------
    Jelassi et al. 2024, arXiv:2402.01032.
    """

    tokens: int = 32
    symbols: int = 16
    name: ClassVar[str] = "copy"

    def __post_init__(self) -> None:
        checked_size(self.name, "tokens", self.tokens, 1)
        checked_size(self.name, "symbols", self.symbols, 2)

    @property
    def length(self) -> int:
        return 2 * self.tokens

    @property
    def vocabulary(self) -> int:
        return self.symbols + 1

    @property
    def chance(self) -> float:
        return 1 / self.symbols

    def sample(self, generator: np.random.Generator, number: int) -> Batch:
        symbols = generator.integers(self.symbols, size=(number, self.tokens))
        tokens = np.concatenate([symbols, np.full_like(symbols, self.symbols)], axis=1)
        targets = np.concatenate([np.full_like(symbols, UNSCORED), symbols], axis=1)
        return Batch(tokens, targets)

    def sources(self, visible: Sequence[int]) -> tuple[int, ...]:
        asked = len(visible) - 1 - self.tokens
        return (asked,) if asked >= 0 else ()

    def answer(self, visible: Sequence[int]) -> int:
        sources = self.sources(visible)
        return visible[sources[0]] if sources else UNSCORED

    def longer(self, factor: int) -> Copy:
        return Copy(factor * self.tokens, self.symbols)

    def ceiling(self, rows: float) -> float:
        kept = min(1.0, rows / self.tokens)
        return kept + (1 - kept) * self.chance


@dataclass(frozen=True)
class SelectiveCopy(Task):
    """Repeat, in order, the ``kept`` symbols that stand among noise.

    A sequence is ``context`` positions, of which ``kept`` (a uniform random subset) hold symbols
    ``0 … symbols-1``, independent and uniform, and the others the noise token ``symbols``; then ``kept`` times
    the blank ``symbols + 1``. The answer at position ``context + i`` is the ``i``-th symbol.

    Demand: from the position of the ``i``-th symbol to ``context + i``: lags differ from sequence to
    sequence, so position alone does not tell what to read. Chance: ``1 / symbols``. Ceiling: as for
    :class:`Copy`, with ``kept`` in place of ``N``.

    Parameters
    ----------
    context : int
        Positions before the blanks.
    kept : int
        Symbols among them, 1 … ``context``.
    symbols : int
        Different symbols, at least 2.

    Examples
    --------
    >>> task = SelectiveCopy(context=5, kept=2, symbols=4)
    >>> task.answer([4, 1, 4, 4, 3, 5, 5]), task.sources([4, 1, 4, 4, 3, 5, 5])
    (3, (4,))

    References
    ----------
    Gu & Dao 2023, arXiv:2312.00752.
    """

    context: int = 48
    kept: int = 8
    symbols: int = 16
    name: ClassVar[str] = "selective_copy"

    def __post_init__(self) -> None:
        checked_size(self.name, "context", self.context, 1)
        checked_size(self.name, "kept", self.kept, 1)
        checked_size(self.name, "symbols", self.symbols, 2)
        require_at_most(self.name, "kept", self.kept, "context", self.context)

    @property
    def length(self) -> int:
        return self.context + self.kept

    @property
    def vocabulary(self) -> int:
        return self.symbols + 2

    @property
    def chance(self) -> float:
        return 1 / self.symbols

    def sample(self, generator: np.random.Generator, number: int) -> Batch:
        order = np.argsort(generator.random((number, self.context)), axis=1)
        positions = np.sort(order[:, : self.kept], axis=1)
        symbols = generator.integers(self.symbols, size=(number, self.kept))
        tokens = np.full((number, self.length), self.symbols)
        tokens[:, self.context :] = self.symbols + 1
        np.put_along_axis(tokens, positions, symbols, axis=1)
        targets = np.full((number, self.length), UNSCORED)
        targets[:, self.context :] = symbols
        return Batch(tokens, targets)

    def sources(self, visible: Sequence[int]) -> tuple[int, ...]:
        asked = len(visible) - 1 - self.context
        if asked < 0:
            return ()
        return ([s for s in range(self.context) if visible[s] < self.symbols][asked],)

    def answer(self, visible: Sequence[int]) -> int:
        sources = self.sources(visible)
        return visible[sources[0]] if sources else UNSCORED

    def longer(self, factor: int) -> SelectiveCopy:
        return SelectiveCopy(factor * self.context, factor * self.kept, self.symbols)

    def ceiling(self, rows: float) -> float:
        kept = min(1.0, rows / self.kept)
        return kept + (1 - kept) * self.chance
