"""What every operation on patterns shares: lags where all parts have them, rows, futures."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import sympy

from glmix_theory.errors import check_length
from glmix_theory.patterns.base import Pattern, check_position, lookahead
from glmix_theory.patterns.lag_sets import FiniteLags, LagSet
from glmix_theory.patterns.periodicity import Periodicity
from glmix_theory.patterns.translation_invariant import lag_read_from, lag_rows

LOOKAHEAD_LIMIT = 1 << 14
"""Steps enumerated beyond ``n`` to decide whether a position is read again."""

_LARGEST_LISTED = 1 << 16


class Operation(Pattern):
    """A pattern derived from others; translation-invariant when its lags are known."""

    @cached_property
    def _lags(self) -> LagSet | None:
        if self.free_symbols:
            return None
        lags = self._combined_lags()
        if lags is not None and isinstance(lags.largest, int) and lags.largest <= _LARGEST_LISTED:
            return FiniteLags(tuple(lags.up_to(lags.largest).tolist()))
        return lags

    def _combined_lags(self) -> LagSet | None:
        """The lags of the result when every part is translation-invariant."""
        raise NotImplementedError

    @property
    def lag_set(self) -> LagSet | None:
        return self._lags

    @property
    def parts(self) -> tuple[Pattern, ...]:
        """The patterns this one is made of."""
        raise NotImplementedError

    @property
    def free_symbols(self) -> frozenset[sympy.Symbol]:
        return frozenset().union(*(part.free_symbols for part in self.parts))

    @property
    def periodicity(self) -> Periodicity | None:
        if self._lags is not None and self._lags.periodicity is not None:
            return self._lags.periodicity
        known = [part.periodicity for part in self.parts]
        return None if None in known else self._periodicity(*known)  # type: ignore[arg-type]

    def _periodicity(self, *parts: Periodicity) -> Periodicity:
        """The rule of :mod:`~glmix_theory.patterns.periodicity` for this operation."""
        raise NotImplementedError

    @property
    def count_note(self) -> str:
        return "; ".join(dict.fromkeys(part.count_note for part in self.parts if part.count_note))

    def sources(self, t: int) -> tuple[int, ...]:
        t = check_position(t)
        return tuple(self.rows(t, t + 1)[1].tolist())

    def in_degree(self, t: int) -> int:
        return self._lags.count(check_length(t, "t", 0)) if self._lags is not None else len(self.sources(t))

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return self._rows(start, stop) if self._lags is None else lag_rows(self._lags, start, stop)

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        if self._lags is not None:
            return lag_read_from(self, width, start)
        certain, possible = self._derived_read_from(width, start)
        undecided = possible & ~certain
        if undecided.any():
            last = self.last_step(width)
            decidable = last is not None and last < start + LOOKAHEAD_LIMIT
            stop = last + 1 if last is not None and decidable else start + min(start + 64, 1024)
            certain = certain | (lookahead(self, width, start, stop) & possible)
            if decidable:
                possible = certain.copy()
        return certain, possible

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


def bracketed(pattern: Pattern) -> str:
    """A pattern's text as the owner of a method: in brackets where an operator would bind weaker."""
    return f"({pattern!r})" if getattr(pattern, "symbol", "") else repr(pattern)
