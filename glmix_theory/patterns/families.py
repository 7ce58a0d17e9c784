"""Families that are not translation-invariant: blocks, globals, trees, random, explicit, predicates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from glmix_theory.errors import CausalityError, PatternError, check_length
from glmix_theory.patterns.base import Pattern, everything, lookahead
from glmix_theory.patterns.lag_sets import FiniteLags, LagSet
from glmix_theory.patterns.periodicity import Periodicity
from glmix_theory.patterns.symbols import length_or_symbol, refuse, substituted, symbols_in

if TYPE_CHECKING:
    import networkx


class _ByArguments(Pattern):
    """Equality and hash by the printed expression, for families whose arguments it shows in full."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


class Blocks(_ByArguments):
    """Positions of the same block of length ``b``: ``t//b = s//b`` and ``s ≤ t``.

    >>> import glmix_theory as glm
    >>> glm.Blocks(4).sources(6)
    (4, 5, 6)
    """

    def __init__(self, b: int | sympy.Symbol) -> None:
        self._b = length_or_symbol(b, "b")

    @property
    def b(self) -> int:
        """The number; a symbol is refused, see :attr:`parameter`."""
        return self._b if isinstance(self._b, int) else refuse(self)

    @property
    def parameter(self) -> int | sympy.Symbol:
        """``b`` as it was given: a number or a symbol."""
        return self._b

    @property
    def free_symbols(self) -> frozenset[sympy.Symbol]:
        return symbols_in(self._b)

    def subs(self, *values: Any) -> Pattern:
        return Blocks(substituted(self._b, *values))

    def first_diagonal(self) -> int | None:
        return 0

    def sources(self, t: int) -> tuple[int, ...]:
        t = check_length(t, "t", 0)
        return tuple(range(t - t % self.b, t + 1))

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        steps = np.arange(start, stop, dtype=np.int64)
        return _ranges(steps - steps % self.b, steps + 1)

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        s = np.arange(width)
        read = s - s % self.b + self.b > start
        return read, read.copy()

    def last_step(self, width: int) -> int | None:
        return width - 1 + self.b

    @property
    def periodicity(self) -> Periodicity:
        return Periodicity(self.b, 0, self.b)

    def __repr__(self) -> str:
        return f"Blocks({self._b})"


class GlobalTokens(_ByArguments):
    """The first ``g`` positions, read by every step: ``s < g`` and ``s ≤ t``.

    >>> import glmix_theory as glm
    >>> glm.GlobalTokens(2).sources(6)
    (0, 1)
    """

    def __init__(self, g: int | sympy.Symbol) -> None:
        self._g = length_or_symbol(g, "g")

    @property
    def g(self) -> int:
        """The number; a symbol is refused, see :attr:`parameter`."""
        return self._g if isinstance(self._g, int) else refuse(self)

    @property
    def parameter(self) -> int | sympy.Symbol:
        """``g`` as it was given: a number or a symbol."""
        return self._g

    @property
    def free_symbols(self) -> frozenset[sympy.Symbol]:
        return symbols_in(self._g)

    def subs(self, *values: Any) -> Pattern:
        return GlobalTokens(substituted(self._g, *values))

    def first_diagonal(self) -> int | None:
        return 0

    def sources(self, t: int) -> tuple[int, ...]:
        return tuple(range(min(check_length(t, "t", 0) + 1, self.g)))

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        steps = np.arange(start, stop, dtype=np.int64)
        return _ranges(np.zeros_like(steps), np.minimum(steps + 1, self.g))

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        read = np.arange(width) < self.g
        return read, read.copy()

    def always_read(self, width: int, start: int) -> np.ndarray:
        return (np.arange(width) < self.g) & (np.arange(width) <= start)

    def largest_source(self) -> int | None:
        return self.g - 1

    @property
    def lags_and_globals(self) -> tuple[LagSet, int]:
        return FiniteLags(()), self.g

    @property
    def periodicity(self) -> Periodicity:
        return Periodicity(1, self.g, 0)

    def __repr__(self) -> str:
        return f"GlobalTokens({self._g})"


class Fenwick(_ByArguments):
    """Children in a Fenwick tree: with ``i = t + 1``, positions ``i - 2^j`` for ``2^j < lowbit(i)``.

    As a recurrence, ``y_i = x_i + Σ children`` is the sum over ``(i - lowbit(i), i]``.

    >>> import glmix_theory as glm
    >>> glm.Fenwick().sources(7)
    (3, 5, 6)

    References
    ----------
    Fenwick 1994, doi:10.1002/spe.4380240306; Guo et al. 2025, arXiv:2506.04761.
    """

    tree_parts = frozenset({"children"})
    off_diagonal = True

    def sources(self, t: int) -> tuple[int, ...]:
        i = check_length(t, "t", 0) + 1
        return tuple(sorted(i - (1 << j) - 1 for j in range((i & -i).bit_length() - 1)))

    def first_diagonal(self) -> int | None:
        return None

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        i = np.arange(1, width + 1)
        read = i + (i & -i) - 1 >= start  # the only reader of i is its parent i + lowbit(i)
        return read, read.copy()

    def last_step(self, width: int) -> int | None:
        return 2 * width

    def __repr__(self) -> str:
        return "Fenwick()"


class FenwickPrefix(_ByArguments):
    """The Fenwick prefix path: with ``i = t + 1``: ``i, i - lowbit(i), …`` while positive.

    As a readout of :class:`Fenwick`, it sums every position up to ``t``.

    >>> import glmix_theory as glm
    >>> glm.FenwickPrefix().sources(6)
    (3, 5, 6)

    References
    ----------
    Guo et al. 2025, arXiv:2506.04761.
    """

    tree_parts = frozenset({"self", "ancestors"})

    def sources(self, t: int) -> tuple[int, ...]:
        i = check_length(t, "t", 0) + 1
        path = []
        while i > 0:
            path.append(i - 1)
            i -= i & -i
        return tuple(reversed(path))

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        i = np.arange(1, width + 1)
        read = i + (i & -i) - 1 > start  # i is on the path of i … i + lowbit(i) - 1
        return read, read.copy()

    def last_step(self, width: int) -> int | None:
        return 2 * width

    def __repr__(self) -> str:
        return "FenwickPrefix()"


class RandomSources(_ByArguments):
    """``m`` distinct earlier positions per step (all of them while ``t ≤ m``), drawn from ``seed``.

    The draw for step ``t`` depends on ``(seed, t)`` alone, so rows can be made in any order.

    >>> import glmix_theory as glm
    >>> p = glm.RandomSources(2, seed=0)
    >>> p.sources(1), len(p.sources(50)), p.sources(50) == p.sources(50)
    ((0,), 2, True)

    References
    ----------
    Zaheer et al. 2020 (BigBird), arXiv:2007.14062.
    """

    off_diagonal = True
    every_row_read_again = True  # almost surely: see count_note

    def __init__(self, m: int, seed: int) -> None:
        self.m = check_length(m, "m")
        self.seed = check_length(seed, "seed", 0)

    def sources(self, t: int) -> tuple[int, ...]:
        t = check_length(t, "t", 0)
        if t <= self.m:
            return tuple(range(t))
        # Floyd's sampling: m distinct values from range(t), each draw from a keyed hash.
        chosen: set[int] = set()
        for j in range(t - self.m, t):
            digest = hashlib.blake2b(f"{self.seed}/{t}/{j}".encode(), digest_size=16).digest()
            draw = int.from_bytes(digest, "little") % (j + 1)
            chosen.add(j if draw in chosen else draw)
        return tuple(sorted(chosen))

    @property
    def degree_levels(self) -> tuple[int, ...]:
        return tuple(range(self.m + 1))

    def first_diagonal(self) -> int | None:
        return None

    @property
    def count_note(self) -> str:
        return (
            f"{self!r}: every position is taken to be read again, which holds almost surely for independent "
            "uniform draws (second Borel–Cantelli lemma, Σ m/t = ∞)"
        )

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        return everything(width, True)

    def __repr__(self) -> str:
        return f"RandomSources({self.m}, seed={self.seed})"


class Explicit(_ByArguments):
    """A finite set of pairs ``(t, s)``: step ``t`` reads position ``s``.

    Parameters
    ----------
    edges : iterable of pairs of ints
        ``(t, s)`` with ``0 ≤ s ≤ t``; repeats count once.

    Raises
    ------
    CausalityError
        A pair reads the future or a negative position; names the pair.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> glm.Explicit([(3, 0), (3, 2)]).sources(3)
    (0, 2)
    """

    def __init__(self, edges: Iterable[tuple[int, int]]) -> None:
        pairs = set()
        if not isinstance(edges, Iterable):
            raise PatternError(f"edges = {edges!r} is not a list of pairs (t, s)")
        for edge in edges:
            try:
                t, s = (int(x.__index__()) for x in edge)
            except (TypeError, ValueError, AttributeError):
                raise PatternError(
                    f"edge {edge!r} is not a pair of ints (t, s); example: Explicit([(3, 0), (3, 2)])"
                ) from None
            if s < 0 or s > t:
                problem = "reads the future" if s > t else "reads a position below 0"
                raise CausalityError(f"pair (t={t}, s={s}) {problem}; 0 ≤ s ≤ t is needed – {_swapped(t, s)}")
            pairs.add((t, s))
        self.edges = tuple(sorted(pairs))

    @classmethod
    def from_networkx(cls, graph: networkx.DiGraph) -> Explicit:
        """The pattern of a dependency graph on integer nodes, edges ``s → t``."""
        return cls((t, s) for s, t in graph.edges)

    @cached_property
    def _rows(self) -> dict[int, tuple[int, ...]]:
        rows: dict[int, list[int]] = {}
        for t, s in self.edges:
            rows.setdefault(t, []).append(s)
        return {t: tuple(row) for t, row in rows.items()}

    def sources(self, t: int) -> tuple[int, ...]:
        return self._rows.get(check_length(t, "t", 0), ())

    @cached_property
    def _last_reader(self) -> dict[int, int]:
        return {s: t for t, s in self.edges}  # edges ascend in t, so the last one stays

    @property
    def empty(self) -> bool:
        return not self.edges

    def first_diagonal(self) -> int | None:
        return next((t for t, s in self.edges if t == s), None)

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        read = np.array([self._last_reader.get(s, -1) >= start for s in range(width)], dtype=bool)
        return read, read.copy()

    def last_step(self, width: int) -> int | None:
        return self.edges[-1][0] if self.edges else 0

    def largest_source(self) -> int | None:
        return max((s for _, s in self.edges), default=-1)

    @property
    def periodicity(self) -> Periodicity:
        return Periodicity(1, max((s for _, s in self.edges), default=-1) + 1, (self.last_step(0) or 0) + 1)

    def __repr__(self) -> str:
        return f"Explicit({list(self.edges)})"


class Predicate(Pattern):
    """The pairs ``s ≤ t`` for which ``function(t, s)`` is true.

    Only pairs with ``s ≤ t`` are asked, so the pattern is causal by construction. A function says
    nothing about steps nobody evaluated: cache sizes come as :class:`~glmix_theory.Bounds`, except
    with ``horizon=n``.

    >>> import glmix_theory as glm
    >>> glm.Predicate(lambda t, s: (t + s) % 3 == 0).sources(6)
    (0, 3, 6)
    """

    def __init__(self, function: Callable[[int, int], bool]) -> None:
        if not callable(function):
            raise PatternError(f"{function!r} is not callable; give a function (t, s) -> bool")
        self.function = function

    def sources(self, t: int) -> tuple[int, ...]:
        t = check_length(t, "t", 0)
        return tuple(s for s in range(t + 1) if self.function(t, s))

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        return lookahead(self, width, start, start + 64), np.ones(width, dtype=bool)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Predicate) and self.function == other.function

    def __hash__(self) -> int:
        return hash(("Predicate", self.function))

    def __repr__(self) -> str:
        return f"Predicate({getattr(self.function, '__name__', repr(self.function))})"


def _ranges(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CSR rows whose ``i``-th row is ``range(low[i], high[i])``."""
    indptr = np.zeros(len(low) + 1, dtype=np.int64)
    np.cumsum(high - low, out=indptr[1:])
    starts = np.repeat(low - indptr[:-1], high - low)
    return indptr, np.arange(indptr[-1], dtype=np.int64) + starts


def _swapped(t: int, s: int) -> str:
    return f"did you mean ({s}, {t})?" if min(t, s) >= 0 else "positions start at 0"
