"""The central object: an immutable set of causal pairs ``(t, s)``, unbounded in ``t``."""

from __future__ import annotations

import html
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from glmix_theory.errors import LengthError, StrictnessError, check_length
from glmix_theory.patterns.index_functions import LARGEST_POSITION
from glmix_theory.patterns.lag_sets import LagSet
from glmix_theory.patterns.periodicity import Periodicity

if TYPE_CHECKING:
    import networkx
    import scipy.sparse

DIAGONAL_CHECKED = 256
"""Positions examined for a diagonal pair where a pattern cannot tell for all of them."""


class Pattern(ABC):
    """Which past positions each position reads: a set of pairs ``(t, s)`` with ``0 ≤ s ≤ t``.

    A family implements :meth:`sources` and, for speed, :meth:`rows`; for the streaming cache it says
    which positions are still read from a step on (:meth:`_read_from`). Everything else is derived here.
    Patterns are immutable, compare and hash by the expression that builds them, and print as it.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> p = glm.Window(2) | glm.Lags([4])
    >>> p
    Window(2) | Lags([4])
    >>> p.sources(5)
    (1, 4, 5)
    >>> p.to_dense(3).astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__dict__:
            raise AttributeError(f"{self!r} is immutable: its {name} can't be changed; build another pattern")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self!r} is immutable: its {name} can't be deleted")

    # --- primitives -------------------------------------------------------------------------------

    @abstractmethod
    def sources(self, t: int) -> tuple[int, ...]:
        """Positions that step ``t`` reads, 0-based and ascending.

        Raises :class:`~glmix_theory.errors.LengthError` for ``t < 0``.
        """

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Sources of steps ``start … stop-1`` in CSR form.

        Returns ``(indptr, sources)``, int64: step ``start + i`` reads ``sources[indptr[i]:indptr[i+1]]``,
        ascending.
        """
        lists = [self.sources(step) for step in range(start, stop)]
        indptr = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in lists], out=indptr[1:])
        return indptr, np.array([s for row in lists for s in row], dtype=np.int64)

    @property
    def lag_set(self) -> LagSet | None:
        """The lags, where the pattern is translation-invariant; else ``None``."""
        return None

    @property
    def periodicity(self) -> Periodicity | None:
        """From where on the pattern repeats, and with which period; ``None`` where it does not or it is not known."""
        return None if self.lag_set is None else self.lag_set.periodicity

    # --- symbolic parameters --------------------------------------------------------------------------

    @property
    def free_symbols(self) -> frozenset[sympy.Symbol]:
        """Symbols standing for parameters; empty for a pattern of numbers."""
        return frozenset()

    def subs(self, *values: Any) -> Pattern:
        """The pattern with numbers in place of symbols: ``p.subs(w, 4)`` or ``p.subs({w: 4, g: 2})``.

        >>> import sympy, glmix_theory as glm
        >>> w = sympy.Symbol("w", integer=True, positive=True)
        >>> (glm.Window(w) | glm.GlobalTokens(2)).subs(w, 4)
        Window(4) | GlobalTokens(2)
        """
        return self

    # --- facts that families state and operations compose; each a sufficient condition ----------------

    @property
    def lags_and_globals(self) -> tuple[LagSet, int] | None:
        """``(lags, g)`` where the pattern is exactly: lags of a set, or one of the first ``g`` positions."""
        return None if self.lag_set is None else (self.lag_set, 0)

    @property
    def tree_parts(self) -> frozenset[str] | None:
        """Which of the disjoint Fenwick relations ``self``, ``children``, ``ancestors`` the pattern is made of."""
        return None

    @property
    def degree_levels(self) -> tuple[int, ...] | None:
        """In-degrees at ``t = 0, 1, …``, the last of them for every later step; where they become constant."""
        return None

    @property
    def every_row_read_again(self) -> bool:
        """Whether every position is known to be read at infinitely many steps."""
        return self.lag_set is not None and self.lag_set.largest == math.inf

    @property
    def off_diagonal(self) -> bool:
        """Whether no step is known to read itself, for all steps."""
        return self.lag_set is not None and 0 not in self.lag_set

    def always_read(self, width: int, start: int) -> np.ndarray:
        """For each ``s < width``: does *every* step ``≥ start`` read ``s``? A sufficient condition, bool."""
        return np.zeros(width, dtype=bool)

    def last_step(self, width: int) -> int | None:
        """A step after which no position ``< width`` is read, or ``None`` where none is known."""
        return None

    def largest_source(self) -> int | None:
        """The largest position any step reads, or ``None`` where there is none or it is not known."""
        return None

    @abstractmethod
    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Tell for each ``s < width`` whether some step ``≥ start`` reads ``s``, as ``(certain, possible)``.

        Called with ``start ≥ width``. The two agree wherever the family knows its future exactly.
        """

    @abstractmethod
    def __repr__(self) -> str:
        """The expression that builds the pattern."""

    # --- derived ----------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        """Whether the pattern is known to hold no pair at all."""
        return self.lag_set is not None and self.lag_set.largest == -1

    @property
    def cache_efficient(self) -> bool:
        """Whether ``sources(t) ⊆ sources(t-1) ∪ {t-1}`` is known to hold for every ``t``."""
        return False

    @property
    def count_note(self) -> str:
        """An assumption under which the counts hold, or an empty text."""
        return ""

    def in_degree(self, t: int) -> int:
        """Number of positions that step ``t`` reads."""
        return len(self.sources(t))

    def in_degrees(self, n: int) -> np.ndarray:
        """In-degrees of steps ``0 … n-1``, int64."""
        return np.diff(self.rows(0, n)[0])

    def read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Tell for each ``s < width`` whether some step ``≥ start`` reads ``s``, as ``(certain, possible)``.

        Exact (the two arrays agree) except where the pattern's unbounded future cannot be derived.
        """
        if start >= width:
            return self._read_from(width, start)
        certain, possible = (array.copy() for array in self._read_from(width, width))
        _, sources = self.rows(start, width)
        certain[sources] = possible[sources] = True
        return certain, possible

    def first_diagonal(self) -> int | None:
        """The smallest ``t`` with ``(t, t)`` in the pattern; ``None`` if there is none.

        Patterns that cannot tell for all ``t`` look at the first 256.
        """
        if self.lag_set is not None:
            return 0 if 0 in self.lag_set else None
        indptr, sources = self.rows(0, DIAGONAL_CHECKED)
        targets = np.repeat(np.arange(DIAGONAL_CHECKED), np.diff(indptr))
        diagonal = targets[targets == sources]
        return int(diagonal[0]) if len(diagonal) else None

    def require_strict(self) -> None:
        """Raise :class:`StrictnessError` if the pattern touches the diagonal."""
        where = self.first_diagonal()
        if where is not None:
            raise StrictnessError(
                f"the recurrent pattern {self!r} contains ({where}, {where}): an output may not read itself; "
                f"use {self.strict()!r}"
            )

    def to_csr(self, n: int) -> scipy.sparse.csr_array:
        """The pattern among the first ``n`` positions as a boolean ``(n, n)`` CSR array."""
        import scipy.sparse

        n = check_length(n)
        indptr, sources = self.rows(0, n)
        index = np.int32 if max(n, len(sources)) < 2**31 else np.int64
        data = np.ones(len(sources), dtype=bool)
        return scipy.sparse.csr_array((data, sources.astype(index), indptr.astype(index)), shape=(n, n))

    def to_dense(self, n: int) -> np.ndarray:
        """The pattern among the first ``n`` positions as a boolean ``(n, n)`` matrix."""
        n = check_length(n)
        indptr, sources = self.rows(0, n)
        dense = np.zeros((n, n), dtype=bool)
        dense[np.repeat(np.arange(n), np.diff(indptr)), sources] = True
        return dense

    def to_networkx(self, n: int) -> networkx.DiGraph:
        """The dependency graph among the first ``n`` positions: an edge ``s → t`` for each pair."""
        import networkx

        n = check_length(n)
        indptr, sources = self.rows(0, n)
        targets = np.repeat(np.arange(n), np.diff(indptr))
        graph = networkx.DiGraph()
        graph.add_nodes_from(range(n))
        graph.add_edges_from(zip(sources.tolist(), targets.tolist()))
        return graph

    # --- algebra (the operations live in algebra.py) ----------------------------------------------

    def __or__(self, other: Pattern) -> Pattern:
        return _algebra("Union", self, other)

    def __and__(self, other: Pattern) -> Pattern:
        return _algebra("Intersection", self, other)

    def __sub__(self, other: Pattern) -> Pattern:
        return _algebra("Difference", self, other)

    def __matmul__(self, other: Pattern) -> Pattern:
        return _algebra("Composition", self, other)

    def strict(self) -> Pattern:
        """The pattern without its diagonal pairs ``(t, t)``."""
        from glmix_theory.patterns.unary import Strict

        return Strict(self) if self.first_diagonal() is not None or self.lag_set is None else self

    def shift(self, m: int) -> Pattern:
        """Every lag plus ``m``: step ``t`` reads what step ``t - m`` read (``m ≥ 0``)."""
        from glmix_theory.patterns.unary import Shift

        return Shift(self, m) if check_length(m, "m", 0) else self

    def blocked(self, b: int) -> Pattern:
        """Kronecker lift: ``(t, s)`` belongs to it when ``s ≤ t`` and ``(t//b, s//b)`` belongs to this one."""
        from glmix_theory.patterns.unary import Blocked

        return Blocked(self, b)

    def _repr_html_(self) -> str:
        size = 24
        dense = self.to_dense(size)
        cells = "".join(f'<rect x="{5 * s}" y="{5 * t}" width="4.4" height="4.4"/>' for t, s in np.argwhere(dense))
        picture = (
            f'<svg width="{5 * size}" height="{5 * size}" viewBox="0 0 {5 * size} {5 * size}" role="img">'
            f'<rect width="100%" height="100%" fill="#f2f2f2"/><g fill="#1f4e79">{cells}</g></svg>'
        )
        rows = "".join(
            f"<tr><td>{step}</td><td style='text-align:left'>{_row_text(self.sources(step))}</td></tr>"
            for step in (0, 1, 2, 3, 7, 8, 31)
        )
        return (
            f"<div><code>{html.escape(repr(self))}</code><div style='display:flex;gap:2em'>"
            f"<figure style='margin:0.5em 0'>{picture}<figcaption>steps 0–{size - 1} (rows), "
            f"sources (columns)</figcaption></figure>"
            f"<table><thead><tr><th>t</th><th>sources(t)</th></tr></thead><tbody>{rows}</tbody></table></div></div>"
        )


def _algebra(name: str, left: Pattern, right: object) -> Pattern:
    from glmix_theory.patterns import algebra

    if not isinstance(right, Pattern):
        return NotImplemented
    return getattr(algebra, name)(left, right)


def _row_text(sources: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, sources if len(sources) <= 10 else sources[:9]))
    return shown + (f", … ({len(sources)} in all)" if len(sources) > 10 else "") or "–"


def check_position(t: object) -> int:
    """``t`` as a Python int that fits an int64 array, or :class:`~glmix_theory.errors.LengthError`."""
    position = check_length(t, "t", 0)
    if position > LARGEST_POSITION:
        raise LengthError(f"t = {position} is beyond {LARGEST_POSITION} = 2^63 - 1, the largest position")
    return position


def lookahead(pattern: Pattern, width: int, start: int, stop: int) -> np.ndarray:
    """For each ``s < width``: is ``s`` read at a step in ``[start, stop)``? By enumeration, bool."""
    found = np.zeros(width, dtype=bool)
    chunk = 1024
    for low in range(start, stop, chunk):
        _, sources = pattern.rows(low, min(low + chunk, stop))
        found[sources[sources < width]] = True
        if found.all():
            break
    return found


def everything(width: int, value: bool) -> tuple[np.ndarray, np.ndarray]:
    """``(certain, possible)`` that agree on one value for all positions."""
    array = np.full(width, value, dtype=bool)
    return array, array.copy()
