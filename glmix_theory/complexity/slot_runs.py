"""How many slots of a cache-efficient pattern are distinct: exact at any length, in O(log² n) steps.

With ``i = t + 1`` slot ``k`` holds ``a_k ⌈(i - f(k))/a_k⌉`` (proposition 7). Values descend in ``k``, so
equal slots are neighbours, and two facts count the distinct ones:

* in a *run* ``p … q`` of slots with one period ``a``, gaps are at most ``a``, so no multiple of ``a`` is
  skipped: the run holds ``⌈(i - f(p))/a⌉ - ⌈(i - f(q))/a⌉ + 1`` distinct values;
* the first slot ``p`` of a run coincides with slot ``p-1`` exactly if ``(f(p) - i) mod a_p ≥ f(p) - f(p-1)``.

Periods of successive runs divide each other and at least double, so there are at most ``log2`` as many
runs as the last period, and all terms of run ``m`` depend on ``i mod a_m`` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from glmix_theory.patterns import CacheEfficient

_LONGEST_SCAN = 1 << 14


@dataclass(frozen=True)
class Run:
    """Slots ``p … q`` of one period ``a``; ``before`` is ``f(p-1)``, ``first`` is ``f(p)``, ``last`` is ``f(q)``.

    ``last`` and ``following`` (``f(q+1)``) are ``None`` where the run has no end, or none within reach.
    """

    period: int
    before: int | None
    first: int
    last: int | None
    following: int | None


class SlotRuns:
    """Distinct slots of one cache-efficient pattern.

    >>> from glmix_theory import k
    >>> runs = SlotRuns(CacheEfficient(k**2 + 1))
    >>> [runs.distinct(i) for i in (1, 2, 3, 10, 100)], runs.largest(10**12), runs.total(10**12)
    ([0, 1, 2, 3, 8], 711110, 482678694197477848)
    """

    def __init__(self, pattern: CacheEfficient) -> None:
        self._function = pattern.function
        self._ratio = self._function.gap_ratio
        self._runs: list[Run] = []
        self._next: tuple[int, int, int | None] | None = (0, 1, None)  # p, a, f(p-1) of the run to come
        self._scanned: dict[int, int] = {}  # how far the open run from p was followed without an end
        self._best: dict[tuple[int, int, int], int] = {}
        self._segment_best: dict[int, int] = {}

    def runs(self, length: int) -> list[Run] | None:
        """Runs whose first slot exists at some ``i ≤ length``; ``None`` where finding them would take too long."""
        while self._next is not None and self._function(self._next[0]) < length:
            p, a, before = self._next
            first = self._function(p)
            q = self._last_of_run(p, a, length)
            if q == -1:
                return None
            if q is None:  # no end, or none that a step i ≤ length can see
                if self._function.length is None:
                    return [*self._runs, Run(a, before, first, None, None)]
                self._runs.append(Run(a, before, first, self._function(self._function.length - 1), None))
                self._next = None
                break
            last, following = self._function(q), self._function(q + 1)
            self._runs.append(Run(a, before, first, last, following))
            self._next = (q + 1, a * -(-(following - last) // a), last)
        return [run for run in self._runs if run.first < length]

    def _last_of_run(self, p: int, a: int, length: int) -> int | None:
        """The ``q`` with ``f(q+1) - f(q) > a``, first from ``p`` on; ``None`` beyond reach; -1 if not found in time."""
        end = self._function.length
        bounded = self._function.largest_gap
        if bounded is not None and bounded <= a:
            return None
        rising = self._ratio is not None and self._ratio[0] == 1 and end is None
        if not rising:
            for q in range(self._scanned.get(p, p), p + _LONGEST_SCAN):
                if end is not None and q + 1 >= end:
                    return None
                if self._function(q + 1) - self._function(q) > a:
                    return q
                if self._function(q + 1) >= length and end is None:
                    self._scanned[p] = q
                    return None
            return -1
        low, step = p, 1  # gaps never decrease: gallop, then bisect
        while self._function(low + step) - self._function(low + step - 1) <= a:
            if self._function(low + step - 1) >= length:
                return None
            low, step = low + step, 2 * step
        high = low + step - 1  # gap after high exceeds a, gap after low - 1 does not
        while low < high:
            middle = (low + high) // 2
            if self._function(middle + 1) - self._function(middle) > a:
                high = middle
            else:
                low = middle + 1
        return low

    # --- values -----------------------------------------------------------------------------------

    def distinct(self, i: int) -> int | None:
        """``|S_i|``; ``None`` as for :meth:`runs`."""
        runs = self.runs(i)
        if runs is None:
            return None
        return 0 if not runs else _top(runs[-1], i) + sum(_value(run, i) for run in runs[:-1]) - _coincides(runs[-1], i)

    def total(self, length: int) -> int | None:
        """``Σ_{i ≤ length} |S_i|``; ``None`` as for :meth:`runs`."""
        runs = self.runs(length)
        if runs is None:
            return None
        result = 0
        for index, run in enumerate(runs):
            low, high = run.first, length if run.following is None else min(run.following, length)
            result += _ceilings(run.first, run.period, low, high)
            if run.last is not None and high > run.last:
                result -= _ceilings(run.last, run.period, run.last, high) - (high - run.last)
            for lower in runs[:index]:
                assert lower.last is not None
                result += _ceilings(lower.first, lower.period, low, high) + (high - low)
                result -= _ceilings(lower.last, lower.period, low, high)
            for lower in runs[: index + 1]:
                result -= _coincidences(lower, low, high)
        return result

    def largest(self, length: int) -> int | None:
        """``max_{i ≤ length} |S_i|``; ``None`` as for :meth:`runs`."""
        runs = self.runs(length)
        if runs is None:
            return None
        best = 0
        for index, run in enumerate(runs):
            if run.following is not None and run.following <= length:
                if index not in self._segment_best:
                    self._segment_best[index] = self._largest_of_segment(runs, index, run.following)
                best = max(best, self._segment_best[index])
            else:
                best = max(best, self._largest_of_segment(runs, index, length))
        return best

    def _largest_of_segment(self, runs: list[Run], index: int, high: int) -> int:
        """Over ``f(p) < i ≤ high``, where run ``index`` is the last that exists."""
        run = runs[index]
        parts = []
        if run.last is None or high <= run.last:
            parts.append((run.first, high))
        else:
            parts += [(run.first, run.last), (run.last, high)]
        best = 0
        for low, top in parts:
            # one period later every run below repeats and the top run holds no fewer: the last period is enough
            low = max(low, top - run.period)
            for start, end in _pieces(run, low, top):
                value = _top(run, start) - _coincides(run, start)
                best = max(best, value + self._largest_below(runs, index - 1, start - 1, end))
        return best

    def _largest_below(self, runs: list[Run], index: int, low: int, high: int) -> int:
        """Largest sum of the runs ``0 … index`` over ``low < i ≤ high``; it depends on ``i mod a_index`` only."""
        if index < 0:
            return 0
        run = runs[index]
        if high - low >= run.period:
            low, high = 0, run.period
        else:
            shift = low - low % run.period
            low, high = low - shift, high - shift
        key = (index, low, high)
        if key not in self._best:
            self._best[key] = max(
                _value(run, start) + self._largest_below(runs, index - 1, start - 1, end)
                for start, end in _pieces(run, low, high)
            )
        return self._best[key]

    @cached_property
    def ratio_evidence(self) -> str:
        """The two-sided bound on ``|S_i|`` that the runs give."""
        if self._ratio is None:
            return "1 ≤ |S_i| ≤ #{k : f(k) < i}"
        factor = 2 * self._ratio[0]
        return (
            f"a_k < {factor} (f(k) - f(k-1)) ({self._ratio[1]}), so with r runs among U = #{{k : f(k) < i}} slots "
            f"(U - r)/{factor} - r < |S_i| ≤ U"
        )


def _ceiling(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _top(run: Run, i: int) -> int:
    """Distinct values of the last run that exists at ``i``."""
    value = _ceiling(i - run.first, run.period)
    return value if run.last is None or i <= run.last else value - _ceiling(i - run.last, run.period) + 1


def _value(run: Run, i: int) -> int:
    """Distinct values of a complete run, less one if its first slot coincides with the run before."""
    assert run.last is not None
    held = _ceiling(i - run.first, run.period) - _ceiling(i - run.last, run.period) + 1
    return held - _coincides(run, i)


def _coincides(run: Run, i: int) -> bool:
    return run.before is not None and (run.first - i) % run.period >= run.first - run.before


def _coincidences(run: Run, low: int, high: int) -> int:
    """Number of ``low < i ≤ high`` at which the run's first slot coincides with the slot before."""
    if run.before is None:
        return 0
    gap = run.first - run.before

    def below(y: int) -> int:
        return y // run.period * (run.period - gap) + max(0, y % run.period - gap)

    return below(run.first - low) - below(run.first - high)


def _ceilings(origin: int, period: int, low: int, high: int) -> int:
    """``Σ ⌈(i - origin)/period⌉`` over ``low < i ≤ high``, with ``low ≥ origin``."""

    def until(x: int) -> int:
        full, rest = divmod(x, period)
        return period * full * (full + 1) // 2 + rest * (full + 1)

    return until(high - origin) - until(low - origin)


def _pieces(run: Run, low: int, high: int) -> list[tuple[int, int]]:
    """``low < i ≤ high`` cut into intervals on which the run's own terms do not change."""
    cuts = {low + 1}
    for value in (run.first, run.last, run.before):
        if value is not None:
            cut = low + 1 + (value + 1 - (low + 1)) % run.period
            while cut <= high:
                cuts.add(cut)
                cut += run.period
    starts = sorted(cuts)
    return [(start, end - 1) for start, end in zip(starts, [*starts[1:], high + 1])]
