"""One row a step, at a lag that grows slowly: a cache of any class for a single term."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import sympy

from glmix_theory.errors import IndexFunctionError
from glmix_theory.notation import n
from glmix_theory.patterns.base import Pattern, check_position
from glmix_theory.patterns.index_functions import IndexFunction
from glmix_theory.patterns.periodicity import Periodicity
from glmix_theory.patterns.staircase import Staircase


class Delayed(Pattern):
    """Step ``t`` reads the one position ``t - g(t)`` with the lag ``g(t) = #{k : f(k) ≤ t}``, once that is positive.

    Claim: ``g`` rises by 0 or 1 a step, so the position read stays or moves on by one and skips none. Where it
    moves on for ever (``f(k) - k`` is unbounded: gaps of ``f`` exceed 1 again and again), exactly the rows
    ``t+1 - g(t+1) … t`` are read after step ``t``: the cache at ``n`` is ``g(n)`` rows, for one term a step.
    As ``g(t)`` is what ``Offsets(f)`` reads, any growth between constants and ``n`` can be had.

    Parameters
    ----------
    f : sympy expression in ``glm.k``, callable ``int -> int``, list of ints, or a growth in ``glm.n``
        Strictly increasing, ``f(0) ≥ 1``: the steps at which the lag rises. A sympy expression in ``glm.n``, such
        as ``sqrt(n)``, stands for ``Staircase(sqrt(n))``: a lag of that growth, in positions.

    Raises
    ------
    IndexFunctionError
        As for :class:`~glmix_theory.patterns.Offsets`; no values; ``k + c``, which reads one position for ever; a
        growth that is bounded or as fast as ``n``.
    FormulaError
        A growth in ``n`` that cannot be read.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> p = glm.Delayed(2**glm.k)
    >>> [p.sources(t) for t in (0, 1, 2, 3, 4, 8)]
    [(), (0,), (0,), (1,), (1,), (4,)]
    >>> cache = glm.analyze(glm.Mixer(recurrent=p)).cache_size
    >>> cache.theta, cache.status, [cache.at(length) for length in (1, 2, 3, 4, 10**12)]
    (log(n), 'proved', [1, 2, 2, 3, 40])
    >>> glm.Delayed(glm.n / sympy.log(glm.n)).sources(10**6)
    (927620,)

    References
    ----------
    Propositions 13 and 19; no published pattern is known to be this one.
    """

    off_diagonal = True

    def __init__(self, f: Any) -> None:
        self.function = IndexFunction(_staircase(f))
        if self.function.length == 0:
            raise IndexFunctionError("Delayed([]): the lag is never positive, so no step reads; use Empty()")
        if self.function.expr is not None and self.function.gap == 1:
            position = self.function(0) - 1
            raise IndexFunctionError(
                f"Delayed({self.function!r}): gaps of 1 for ever, so every step reads position {position}; "
                f"f needs gaps above 1, as 2*k + {position + 1} has – for fixed positions use GlobalTokens"
            )

    def lag(self, t: int) -> int:
        """``g(t)``, exact at any size; 0 where step ``t`` reads nothing."""
        return self.function.count(t)

    @cached_property
    def moving_on(self) -> str | None:
        """Why ``t - g(t)`` is unbounded, so that no position is read for ever; ``None`` where it is not proved."""
        f = self.function
        if f.length is not None:
            return f"g(t) ≤ {f.length}"
        if f.growth is None:
            return None
        growth = f.growth[0]
        slower = growth.order < (1, 0, 0) or (growth.constant is not None and bool(growth.constant < 1))
        return f"g(t) ~ {growth.constant or ''} {growth.scale} is below c·t for a c < 1" if slower else None

    def sources(self, t: int) -> tuple[int, ...]:
        t = check_position(t)
        lag = self.lag(t)
        return (t - lag,) if lag else ()

    def in_degree(self, t: int) -> int:
        return len(self.sources(t))

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        steps = np.arange(start, max(start, stop), dtype=np.int64)
        before = self.lag(start - 1) if start > 0 else 0
        lags = before + np.searchsorted(self._rises(before, stop), steps, side="right")
        indptr = np.zeros(len(steps) + 1, dtype=np.int64)
        np.cumsum(lags > 0, out=indptr[1:])
        return indptr, (steps - lags)[lags > 0]

    def _rises(self, index: int, stop: int) -> np.ndarray:
        """``f(index), f(index + 1), …`` below ``stop``: the steps at which the lag rises."""
        values: list[int] = []
        length = self.function.length
        while (length is None or index < length) and (value := self.function(index)) < stop:
            values.append(value)
            index += 1
        return np.array(values, dtype=np.int64)

    def first_diagonal(self) -> int | None:
        return None

    @property
    def periodicity(self) -> Periodicity | None:
        # a finite f: from f(last) on the lag is the number of its values
        if self.function.length is None:
            return None
        return Periodicity(1, self.function(self.function.length - 1), self.function.length + 1)

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        # Positions read never decrease and skip none: from step start on, those from t - g(t) on – if it moves on.
        positions = np.arange(width)
        possible = positions >= start - self.lag(start)
        if self.moving_on is not None:
            return possible, possible.copy()
        far = 2 * start + 64
        return possible & (positions <= far - self.lag(far)), possible

    def last_step(self, width: int) -> int | None:
        if self.moving_on is None:
            return None
        low, high = 0, 2 * width + 2  # the last t with t - g(t) < width is in [low, high)
        while high - self.lag(high) < width:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if middle - self.lag(middle) < width else (low, middle)
        return low

    def __repr__(self) -> str:
        return f"Delayed({self.function!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Delayed) and self.function == other.function

    def __hash__(self) -> int:
        return hash(("Delayed", self.function))


def _staircase(f: Any) -> Any:
    """A growth in ``n`` as the index function that has it; anything else as it is."""
    if not isinstance(f, sympy.Expr) or not any(symbol.name == n.name for symbol in f.free_symbols):
        return f
    try:
        return Staircase(f)
    except IndexFunctionError as error:
        raise IndexFunctionError(
            f"Delayed({f}): {error}. A lag of about n/m is Delayed(m*k + 1), a fixed lag of m is Lags([m])"
        ) from None
