"""Eventually quasi-linear sequences: ``d(t+P) = d(t) + c_(t mod P)`` for every ``t ≥ T``.

Counts of eventually periodic patterns are of this kind. Finitely many values fix such a sequence, and
its sums, running maxima and closed forms then hold for every ``t``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import sympy

from glmix_theory.notation import n
from glmix_theory.patterns.growth import Growth, constant_growth

_MOST_PIECES = 24
_MOST_STEPS = 1 << 21


@dataclass(frozen=True)
class QuasiLinear:
    """A sequence given by its values at ``t < T + P`` and what each residue gains per period.

    Parameters
    ----------
    values : tuple of int
        ``d(0) … d(T+P-1)``.
    slopes : tuple of int
        ``c_i = d(T+i+P) - d(T+i)`` for ``i < P``; at least 0.

    Examples
    --------
    >>> blocks = QuasiLinear.of([1, 2, 3, 1, 2, 3], threshold=0, period=3)
    >>> blocks.at(10**12), blocks.prefix(10**12), blocks.peak.at(10**12)
    (2, 1999999999999, 3)
    >>> blocks.peak.expr(1)
    Min(3, n)
    """

    values: tuple[int, ...]
    slopes: tuple[int, ...]

    @classmethod
    def of(cls, counts: Sequence[int], threshold: int, period: int) -> QuasiLinear:
        """From the values at ``t < T + 2P`` of a sequence known to be quasi-linear from ``T`` on."""
        head = tuple(int(value) for value in counts[: threshold + 2 * period])
        slopes = tuple(head[threshold + i + period] - head[threshold + i] for i in range(period))
        return cls(head[: threshold + period], slopes)._reduced()

    @property
    def period(self) -> int:
        """``P``."""
        return len(self.slopes)

    @property
    def threshold(self) -> int:
        """``T``."""
        return len(self.values) - len(self.slopes)

    def at(self, t: int) -> int:
        """``d(t)``."""
        if t < len(self.values):
            return self.values[t]
        periods, residue = divmod(t - self.threshold, self.period)
        return self.values[self.threshold + residue] + periods * self.slopes[residue]

    def listed(self, length: int) -> np.ndarray:
        """``d(0) … d(length-1)``, int64."""
        head = np.array(self.values, dtype=np.int64)
        if length <= len(head):
            return head[:length]
        steps = np.arange(len(head), length) - self.threshold
        residue = steps % self.period
        tail = head[self.threshold + residue] + (steps // self.period) * np.array(self.slopes, dtype=np.int64)[residue]
        return np.concatenate([head, tail])

    @cached_property
    def _sums(self) -> tuple[list[int], list[int]]:
        return list(accumulate(self.values, initial=0)), list(accumulate(self.slopes, initial=0))

    def prefix(self, length: int) -> int:
        """``Σ_{t<length} d(t)``."""
        values, slopes = self._sums
        if length <= len(self.values):
            return values[max(length, 0)]
        periods, rest = divmod(length - self.threshold, self.period)
        start = values[self.threshold]
        period_sum = values[-1] - start
        whole = periods * period_sum + slopes[-1] * (periods * (periods - 1) // 2)
        return start + whole + values[self.threshold + rest] - start + periods * slopes[rest]

    def __add__(self, other: QuasiLinear) -> QuasiLinear:
        period = math.lcm(self.period, other.period)
        threshold = max(self.threshold, other.threshold)
        length = threshold + 2 * period
        return QuasiLinear.of((self.listed(length) + other.listed(length)).tolist(), threshold, period)

    def delayed(self, steps: int) -> QuasiLinear:
        """``d(t - steps)``, 0 before."""
        return QuasiLinear((0,) * steps + self.values, self.slopes)._reduced()

    @cached_property
    def monotone(self) -> bool:
        """Whether ``d`` never decreases."""
        listed = self.listed(self.threshold + 2 * self.period + 1)
        return bool((np.diff(listed) >= 0).all()) and len(set(self.slopes)) == 1

    @cached_property
    def peak(self) -> QuasiLinear:
        """The running maximum ``max_{u ≤ t} d(u)``, quasi-linear again with the largest slope ``c*``.

        Let ``W(t)``, ``t ≥ T + P - 1``, be the maximum of the last ``P`` values. Once it is the running maximum and
        attained by a residue of slope ``c*``, at ``P`` consecutive ``t``, it stays so one period later: that
        residue gains ``c*`` and no other gains more. So the running maximum gains ``c*`` per period.
        """
        steepest = max(self.slopes)
        if steepest == 0:
            first = self.values.index(max(self.values))
            return QuasiLinear(tuple(accumulate(self.values[: first + 1], max)), (0,))._reduced()
        period, start = self.period, self.threshold
        tail = self.values[start:]
        behind = max(self.values) - max(v for v, slope in zip(tail, self.slopes) if slope == steepest)
        # a later residue of the same period may lead until the steepest one is ahead by a whole period's gain
        uneven = len(set(self.slopes)) > 1
        periods = (max(behind + steepest, 0) if uneven else -(-max(behind, 0) // steepest)) + 3
        length = start + period * periods + period
        if length > _MOST_STEPS:
            raise OverflowError(f"the running maximum settles only after {length} steps")
        listed = self.listed(length)
        running = np.maximum.accumulate(listed)
        steep = np.zeros(length, dtype=bool)
        steep[start:] = np.array([slope == steepest for slope in self.slopes])[np.arange(length - start) % period]
        lead = np.where(steep & (listed == running), np.arange(length), -1)
        recent = np.maximum.accumulate(lead)
        # the leader of the last period is steep and holds the running maximum
        led = (np.arange(length) - recent < period) & (recent >= 0) & (listed[recent] == running)
        broken = np.flatnonzero(~led)
        settled = max(int(broken[-1]) + 1 if len(broken) else 0, start + period - 1)
        values = running[: settled + period]
        if length < settled + 2 * period:
            raise OverflowError(f"the running maximum did not settle within {length} steps")
        return QuasiLinear(tuple(values.tolist()), (steepest,) * period)._reduced()

    # --- closed forms -----------------------------------------------------------------------------

    @property
    def growth(self) -> Growth:
        """Growth of the running maximum."""
        steepest = max(self.slopes)
        if steepest:
            return Growth(sympy.Rational(steepest, self.period), sympy.Integer(1))
        return constant_growth(self.peak.values[-1])

    @property
    def prefix_growth(self) -> Growth:
        """Growth of the sums."""
        slope = sum(self.slopes)
        if slope:
            return Growth(sympy.Rational(slope, 2 * self.period**2), sympy.Integer(2))
        level = sum(self.values[self.threshold :])
        if level:
            return Growth(sympy.Rational(level, self.period), sympy.Integer(1))
        return constant_growth(sum(self.values))

    def expr(self, offset: int) -> sympy.Expr | None:
        """``d(n - offset)`` in closed form for every ``n ≥ 1`` (``offset ≥ 0``; 0 before), or ``None``."""
        if len(set(self.slopes)) > 1:
            return None
        shifted = self.delayed(offset) if offset else self
        residues = shifted._periodic(shifted.values[shifted.threshold :], 1, shifted.slopes[0])
        return _joined(shifted.values[: shifted.threshold], residues, 1)

    @property
    def prefix_expr(self) -> sympy.Expr | None:
        """``Σ_{t<n} d(t)`` in closed form for every ``n ≥ 1``, or ``None``."""
        values, slopes = self._sums
        start = self.threshold
        if self.period == 1:
            after = n - start
            main = values[start] + self.values[start] * after + self.slopes[0] * after * (after - 1) / 2
            return _joined(tuple(values[:start]), sympy.expand(main), 2)
        periods, rest = sympy.floor((n - start) / self.period), sympy.Mod(n - start, self.period)
        level = pieces([values[start + i] for i in range(self.period)], rest, 2)
        gain = pieces(slopes[:-1], rest, 1)
        if level is None or gain is None:
            return None
        whole = periods * (values[-1] - values[start]) + slopes[-1] * periods * (periods - 1) / 2
        return _joined(tuple(values[:start]), sympy.expand(whole) + level + periods * gain, 2)

    def _periodic(self, values: Sequence[int], degree: int, slope: int) -> sympy.Expr | None:
        if self.period == 1:
            return sympy.Integer(values[0]) + slope * (n - self.threshold)
        level = pieces(values, sympy.Mod(n - self.threshold, self.period), degree)
        return None if level is None else level + slope * sympy.floor((n - self.threshold) / self.period)

    def _reduced(self) -> QuasiLinear:
        """The same sequence with the smallest period that divides this one and the smallest threshold."""
        values, slopes = list(self.values), list(self.slopes)
        for divisor in range(1, len(slopes)):
            if len(slopes) % divisor:
                continue
            start = len(values) - len(slopes)
            shorter = QuasiLinear(tuple(values), tuple(slopes))
            listed = shorter.listed(start + 2 * len(slopes))[start:]
            gains = listed[divisor:] - listed[:-divisor]
            if (gains[divisor:] == gains[:-divisor]).all():
                slopes = gains[:divisor].tolist()
                values = values[: start + divisor]
                break
        while len(values) > len(slopes) and values[-1] - values[len(values) - len(slopes) - 1] == slopes[-1]:
            slopes = [slopes[-1], *slopes[:-1]]
            values.pop()
        return QuasiLinear(tuple(values), tuple(slopes))


def pieces(values: Sequence[int], argument: sympy.Expr, degree: int) -> sympy.Expr | None:
    """Polynomials of at most ``degree`` through ``values`` at ``argument = 0, 1, …``, as one expression.

    ``None`` where that takes too many pieces.

    >>> pieces([0, 1, 2, 3, 3, 3, 3], n, 1)
    Min(3, n)
    """
    found = _runs(values, argument, degree)
    return None if found is None else _piecewise(found, argument)


def _runs(values: Sequence[int], argument: sympy.Expr, degree: int) -> list[tuple[sympy.Expr, int]] | None:
    """``(polynomial, last index)`` of each run, greedily longest; ``None`` for too many."""
    found: list[tuple[sympy.Expr, int]] = []
    first, count = 0, len(values)
    while first < count:
        differences: list[int] = []  # Newton's forward differences
        row = [int(value) for value in values[first : first + degree + 1]]
        while row:
            differences.append(row[0])
            row = [b - a for a, b in pairwise(row)]
        last = first
        while last + 1 < count and values[last + 1] == sum(
            c * math.comb(last + 1 - first, i) for i, c in enumerate(differences)
        ):
            last += 1
        step = argument - first
        terms = [
            sympy.Rational(c, math.factorial(i)) * sympy.prod([step - j for j in range(i)])
            for i, c in enumerate(differences)
        ]
        found.append((sympy.expand(sympy.Add(*terms)), last))
        first = last + 1
        if len(found) > _MOST_PIECES:
            return None
    return found


def _piecewise(found: Sequence[tuple[sympy.Expr, int]], argument: sympy.Expr) -> sympy.Expr:
    if len(found) == 1:
        return found[0][0]
    (rising, last), (level, _) = found[0], found[-1]
    if len(found) == 2 and level.is_Integer and sympy.expand(rising - argument).is_Integer:
        lift = int(sympy.expand(rising - argument))
        if last + lift <= level <= last + 1 + lift:
            return sympy.Min(rising, level)
    return sympy.Piecewise(*[(form, argument <= end) for form, end in found[:-1]], (found[-1][0], True))


def _joined(transient: tuple[int, ...], main: sympy.Expr | None, degree: int) -> sympy.Expr | None:
    """``transient[n]`` for ``1 ≤ n < len(transient)`` and ``main`` from there on, or ``None``."""
    head = _runs(transient[1:], n - 1, degree)
    if main is None or head is None:
        return None
    return _piecewise([*((form, last + 1) for form, last in head), (main, len(transient))], n)


def largest_of(sequences: Sequence[QuasiLinear]) -> QuasiLinear | None:
    """The pointwise maximum: per residue the steepest line wins in the end; ``None`` where that takes too long.

    >>> flat, rising = QuasiLinear((5,), (0,)), QuasiLinear((0,), (1,))
    >>> largest_of([flat, rising])
    QuasiLinear(values=(5, 5, 5, 5, 5, 5), slopes=(1,))
    """
    period = math.lcm(*(sequence.period for sequence in sequences))
    threshold = max(sequence.threshold for sequence in sequences)
    starts = np.array([s.listed(threshold + period)[threshold:] for s in sequences])
    gains = np.array([s.listed(threshold + 2 * period)[threshold + period :] for s in sequences]) - starts
    steepest = gains.max(axis=0)
    level = np.where(gains == steepest, starts, np.iinfo(np.int64).min).max(axis=0)
    behind = starts - level
    slower = steepest - gains
    needed = np.where((slower > 0) & (behind > 0), -(-behind // np.maximum(slower, 1)), 0).max()
    length = threshold + period * int(needed)
    if length + 2 * period > _MOST_STEPS:
        return None
    listed = np.max([s.listed(length + 2 * period) for s in sequences], axis=0)
    return QuasiLinear.of(listed.tolist(), length, period)
