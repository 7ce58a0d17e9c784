"""Families whose pairs depend on the lag ``t - s`` alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import sympy

from glmix_theory.errors import CausalityError, PatternError, check_length
from glmix_theory.patterns.base import Pattern, check_position, everything
from glmix_theory.patterns.index_functions import IndexFunction
from glmix_theory.patterns.lag_sets import ArithmeticLags, FiniteLags, IndexLags, LagSet
from glmix_theory.patterns.symbols import SymbolicLags, length_or_symbol, substituted, symbols_in


class TranslationInvariant(Pattern):
    """A pattern given by its lags: ``(t, s)`` belongs to it exactly if ``t - s ∈ lag_set``."""

    def __init__(self, lags: LagSet) -> None:
        self._lags = lags

    @property
    def lag_set(self) -> LagSet:
        return self._lags

    def sources(self, t: int) -> tuple[int, ...]:
        t = check_position(t)
        return tuple((t - self._lags.up_to(t)[::-1]).tolist())

    def in_degree(self, t: int) -> int:
        return self._lags.count(check_length(t, "t", 0))

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return lag_rows(self._lags, start, stop)

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        return lag_read_from(self, width, start)

    def always_read(self, width: int, start: int) -> np.ndarray:
        first = self._lags.all_from
        return np.full(width, False) if first is None else start - np.arange(width) >= first

    def last_step(self, width: int) -> int | None:
        largest = self._lags.largest
        return width - 1 + int(largest) if largest is not None and largest != math.inf else None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def lag_rows(lags: LagSet, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """CSR rows of the translation-invariant pattern with these lags."""
    if stop <= start:
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    members = lags.up_to(stop - 1)
    steps = np.arange(start, stop, dtype=np.int64)
    counts = np.searchsorted(members, steps, side="right")
    indptr = np.zeros(len(steps) + 1, dtype=np.int64)
    np.cumsum(counts, out=indptr[1:])
    sources = np.empty(indptr[-1], dtype=np.int64)
    # Steps with equally many lags form runs; each run is one table of steps minus lags.
    edges = np.searchsorted(counts, np.arange(counts[0], counts[-1] + 2))
    for number, low, high in zip(range(counts[0], counts[-1] + 1), edges[:-1], edges[1:]):
        if number and high > low:
            table = sources[indptr[low] : indptr[high]].reshape(high - low, number)
            np.subtract(steps[low:high, None], members[:number][::-1], out=table)
    return indptr, sources


def lag_read_from(pattern: Pattern, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Future reads of a translation-invariant pattern: exact when its largest lag is known."""
    lags = pattern.lag_set
    assert lags is not None
    if lags.largest == math.inf:
        return everything(width, True)
    if lags.largest is not None:
        read = np.arange(width) >= max(start - int(lags.largest), 0)
        return read, read.copy()
    # Infinitely many lags are neither excluded nor proved: look ahead, and say "possible" for the rest.
    far = lags.up_to(2 * start + 64)
    certain = np.arange(width) + (int(far[-1]) if len(far) else -1) >= start
    return certain, np.ones(width, dtype=bool)


class Offsets(TranslationInvariant):
    """Lags ``f(0) < f(1) < …``: step ``t`` reads ``t - f(k)`` for every ``k`` with ``f(k) ≤ t``.

    Claim: step ``t`` reads ``#{k : f(k) ≤ t}`` positions, exactly.

    Parameters
    ----------
    f : sympy expression in ``glm.k``, callable ``int -> int`` or list of ints
        Strictly increasing, ``f(0) ≥ 1``.

    Raises
    ------
    IndexFunctionError
        ``f`` is not integer-valued, not positive or not strictly increasing (says at which ``k``).

    Examples
    --------
    >>> import glmix_theory as glm
    >>> glm.Offsets(2**glm.k).sources(9)
    (1, 5, 7, 8)

    References
    ----------
    Fagnou et al., arXiv:2605.31367; proposition 3.
    """

    def __init__(self, f: Any) -> None:
        self.function = IndexFunction(f)
        super().__init__(IndexLags(self.function))

    def __repr__(self) -> str:
        return f"Offsets({self.function!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Offsets) and self.function == other.function

    def __hash__(self) -> int:
        return hash(("Offsets", self.function))


class Lags(TranslationInvariant):
    """A finite set of lags, 0 (the diagonal) allowed.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> glm.Lags([1, 2, 5]).sources(4)
    (2, 3)

    Raises
    ------
    CausalityError
        A lag is negative, so it would read the future.
    """

    def __init__(self, lags: Iterable[int]) -> None:
        if not isinstance(lags, Iterable) or isinstance(lags, (str, bytes)):
            raise PatternError(f"lags = {lags!r} is not a list of ints; example: Lags([1, 2, 5])")
        members = sorted({_lag(lag) for lag in lags})
        if members and members[0] < 0:
            raise CausalityError(
                f"lag {members[0]} reads the future (s = t + {-members[0]}); lags are 0 or more – "
                f"did you mean {-members[0]}?"
            )
        super().__init__(FiniteLags(tuple(members)))

    @staticmethod
    def band(r: int | sympy.Symbol) -> Pattern:
        """Lags ``1 … r``: the reads of a recurrence of order ``r``, which may be a symbol.

        >>> import glmix_theory as glm
        >>> glm.Lags.band(3)
        Lags([1, 2, 3])
        """
        order = length_or_symbol(r, "r")
        return Lags(range(1, order + 1)) if isinstance(order, int) else Window(order).shift(1)

    def __repr__(self) -> str:
        assert isinstance(self._lags, FiniteLags)
        return f"Lags({list(self._lags.lags)})"


class Empty(TranslationInvariant):
    """No pairs at all: a mixer without a recurrent part.

    >>> import glmix_theory as glm
    >>> glm.Empty().sources(10)
    ()
    """

    def __init__(self) -> None:
        super().__init__(FiniteLags(()))

    def __repr__(self) -> str:
        return "Empty()"


class Diagonal(TranslationInvariant):
    """Each position reads itself only.

    >>> import glmix_theory as glm
    >>> glm.Diagonal().sources(10)
    (10,)
    """

    tree_parts = frozenset({"self"})

    def __init__(self) -> None:
        super().__init__(FiniteLags((0,)))

    def __repr__(self) -> str:
        return "Diagonal()"


class Window(TranslationInvariant):
    """The last ``w`` positions, itself included: ``t - w < s ≤ t``.

    >>> import glmix_theory as glm
    >>> glm.Window(3).sources(10)
    (8, 9, 10)

    Raises :class:`~glmix_theory.errors.LengthError` for ``w < 1``.
    """

    def __init__(self, w: int | sympy.Symbol) -> None:
        self.w = length_or_symbol(w, "w")
        lags = FiniteLags(tuple(range(self.w))) if isinstance(self.w, int) else SymbolicLags(0, self.w)
        super().__init__(lags)

    @property
    def free_symbols(self) -> frozenset[sympy.Symbol]:
        return symbols_in(self.w)

    def subs(self, *values: Any) -> Pattern:
        return Window(substituted(self.w, *values))

    def __repr__(self) -> str:
        return f"Window({self.w})"


class Dense(TranslationInvariant):
    """Every position up to and including itself: ``0 ≤ s ≤ t``.

    >>> import glmix_theory as glm
    >>> glm.Dense().sources(3)
    (0, 1, 2, 3)
    """

    def __init__(self) -> None:
        super().__init__(ArithmeticLags(1))

    def __repr__(self) -> str:
        return "Dense()"


class Strided(TranslationInvariant):
    """Lags that are multiples of ``s``, lag 0 included (the strided half of a Sparse Transformer).

    >>> import glmix_theory as glm
    >>> glm.Strided(4).sources(9)
    (1, 5, 9)

    Raises :class:`~glmix_theory.errors.LengthError` for ``s < 1``.

    References
    ----------
    Child et al. 2019, arXiv:1904.10509.
    """

    def __init__(self, s: int | sympy.Symbol) -> None:
        self.s = length_or_symbol(s, "s")
        super().__init__(ArithmeticLags(self.s) if isinstance(self.s, int) else SymbolicLags(0, step=self.s))

    @property
    def free_symbols(self) -> frozenset[sympy.Symbol]:
        return symbols_in(self.s)

    def subs(self, *values: Any) -> Pattern:
        return Strided(substituted(self.s, *values))

    def __repr__(self) -> str:
        return f"Strided({self.s})"


def _lag(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise PatternError(f"lag {value!r} is not an int; example: Lags([1, 2, 5])")
    return int(value.__index__())
