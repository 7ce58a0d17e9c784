"""Eventual periodicity: the fact that makes counts of windows, strides, blocks and globals quasi-linear.

A pattern is *eventually periodic* with ``(P, G, R)`` when

1. along the diagonal: ``(t, s) ∈ p ⇔ (t+P, s+P) ∈ p`` wherever ``s ≥ G``;
2. down a column: ``(t, s) ∈ p ⇔ (t+P, s) ∈ p`` wherever ``t - s ≥ R``.

Families state their triple; this file holds the one rule per operation, with its proof. Larger values
of ``G`` and ``R`` and multiples of ``P`` serve as well, so two patterns always share a triple.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Periodicity:
    """``(period, start, reach)`` = ``(P, G, R)``.

    >>> window, stride, globals_ = Periodicity(1, 0, 16), Periodicity(4, 0, 0), Periodicity(1, 2, 0)
    >>> window.combined(stride).combined(globals_)
    Periodicity(period=4, start=2, reach=16)
    """

    period: int
    start: int
    reach: int

    def combined(self, other: Periodicity) -> Periodicity:
        """Any operation on membership pair by pair: union, intersection, difference.

        Both facts hold for both parts with the least common multiple of the periods and the larger
        start and reach, and such an operation looks at one pair only.
        """
        return Periodicity(
            math.lcm(self.period, other.period), max(self.start, other.start), max(self.reach, other.reach)
        )

    def strict(self) -> Periodicity:
        """Without the diagonal: lag 0 is left out, so columns are asked from lag 1 on."""
        return Periodicity(self.period, self.start, max(self.reach, 1))

    def shifted(self, m: int) -> Periodicity:
        """``(t, s)`` belongs when ``(t-m, s)`` does: lags grow by ``m``, positions ``s`` stay."""
        return Periodicity(self.period, self.start, self.reach + m)

    def blocked(self, b: int) -> Periodicity:
        """Kronecker lift: ``t - s ≥ bR`` gives ``⌊t/b⌋ - ⌊s/b⌋ ≥ R``; ``s ≥ bG`` gives ``⌊s/b⌋ ≥ G``."""
        return Periodicity(b * self.period, b * self.start, b * self.reach)

    def composed(self, other: Periodicity) -> Periodicity:
        """Two hops ``p @ q`` through ``u``, ``s ≤ u ≤ t``.

        Along the diagonal ``u`` moves along, since ``u ≥ s ≥ G``. Down a column, with
        ``t - s ≥ R_p + P + max(R_q, G_p)``: from ``t`` to ``t+P``, either ``t - u ≥ R_p`` and ``u`` stays, or
        ``u > t - R_p`` is at least ``G_p`` and farther than ``R_q`` from ``s``, and ``u + P`` serves. From ``t+P``
        to ``t``, either ``t - u ≥ R_p`` and ``u`` stays, or ``u - P > t - R_p - P`` serves for the same reasons.
        """
        return Periodicity(
            math.lcm(self.period, other.period),
            max(self.start, other.start),
            self.reach + math.lcm(self.period, other.period) + max(other.reach, self.start),
        )

    @property
    def settled(self) -> int:
        """``T = G + R``: from step ``T`` on, row ``t+P`` has as many entries as row ``t`` plus a constant.

        Row ``t ≥ T`` splits into early sources ``s < G`` and lags ``< R``, which repeat with period ``P``,
        and the middle ``G ≤ s ≤ t - R``, where membership depends on ``t mod P`` and ``s mod P`` alone:
        row ``t+P`` has the same middle and one more full period of sources.
        """
        return self.start + self.reach

    def __str__(self) -> str:
        return (
            f"(t, s) ⇔ (t+{self.period}, s+{self.period}) for s ≥ {self.start}, "
            f"(t, s) ⇔ (t+{self.period}, s) for t - s ≥ {self.reach}"
        )
