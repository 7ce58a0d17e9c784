"""Path multiplicity: walks between two tokens, and how fast their number grows with the lag."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy

from glmix_theory.errors import PatternError, check_length
from glmix_theory.expressivity.certificates import CertificateError
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Pattern


def walk_counts(mixer: Mixer, source: int, n: int) -> list[int]:
    """Walks from input ``source`` to each output ``t < n`` (to its readout where there is one), exact.

    >>> import glmix_theory as glm
    >>> walk_counts(glm.Mixer(recurrent=glm.Lags([1, 2])), 0, 8)
    [1, 1, 2, 3, 5, 8, 13, 21]
    """
    n = check_length(n)
    walks: list[int] = []
    for t in range(n):
        own = int(source in mixer.direct.sources(t))
        walks.append(own + sum(walks[s] for s in mixer.recurrent.sources(t)))
    if mixer.readout is None:
        return walks
    return [sum(walks[u] for u in mixer.readout.sources(t)) for t in range(n)]


@dataclass(frozen=True)
class GrowthRate:
    """``low < rate < high``: the growth rate of the number of walks by lag, with exact rational ends.

    The walks ``w(l) = Σ_k w(l - f(k))`` have the generating function ``1/(1 - Σ_k z^f(k))``; its dominant
    singularity is the positive root ``z`` of ``Σ_k z^f(k) = 1``, and the rate is ``1/z``.
    """

    lags: Pattern
    low: Fraction
    high: Fraction

    @property
    def value(self) -> float:
        """The middle of the bracket."""
        return float((self.low + self.high) / 2)

    def check(self) -> tuple[Fraction, Fraction]:
        """Verify the bracket in exact arithmetic: the sum at 1/low exceeds 1, at 1/high a tail bound keeps it below."""
        if not 0 < self.low < self.high:
            raise CertificateError(f"{self.low} … {self.high} is no bracket")
        lags = _first_lags(self.lags, 2048)
        if _sum_below(lags, 1 / self.low) <= 1:
            raise CertificateError(f"Σ z^f(k) ≤ 1 at z = {1 / self.low}: the rate may be below {float(self.low)}")
        z = 1 / self.high
        if z >= 1 or _sum_above(lags, z) + _power(z, 2049) / (1 - z) >= 1:
            raise CertificateError(f"Σ z^f(k) may reach 1 at z = {z}: the rate may be above {float(self.high)}")
        return self.low, self.high


def growth_rate(pattern: Pattern, digits: int = 9) -> GrowthRate:
    """The growth rate of walks in a translation-invariant recurrence, bracketed to ``10^-digits``.

    Raises
    ------
    PatternError
        Not translation-invariant, or without two lags below 2048 (walks then do not multiply).

    Examples
    --------
    >>> import glmix_theory as glm
    >>> rate = growth_rate(glm.Lags([1, 2]))
    >>> round(rate.value, 6), rate.check() == (rate.low, rate.high)
    (1.618034, True)
    """
    if pattern.lag_set is None:
        raise PatternError(f"{pattern!r} is not translation-invariant: its walks have no growth rate by lag")
    lags = _first_lags(pattern, 2048)
    if len(lags) < 2 or 0 in lags:
        raise PatternError(f"{pattern!r} has lags {lags[:3]}; a growth rate needs two positive lags below 2048")
    denominator = 1 << (4 * digits + 8)
    low, high = 0, denominator  # z = low/denominator has a sum below 1, z = high/denominator above
    while high - low > denominator >> (4 * digits):
        middle = (low + high) // 2
        z = middle / denominator
        if sum(z**lag for lag in lags) < 1:
            low = middle
        else:
            high = middle
    margin = denominator >> (3 * digits + 4)
    return GrowthRate(pattern, Fraction(denominator, high + margin), Fraction(denominator, low - margin))


def growth_equation(pattern: Pattern) -> sympy.Eq:
    """``Σ_k z^f(k) = 1`` for a finite pattern, in ``z``.

    >>> import glmix_theory as glm
    >>> growth_equation(glm.Lags([1, 2]))
    Eq(z**2 + z, 1)
    """
    lags = pattern.lag_set
    if lags is None or not isinstance(lags.largest, int):
        raise PatternError(f"{pattern!r} has no finite list of lags")
    z = sympy.Symbol("z", positive=True)
    return sympy.Eq(sum(z ** int(lag) for lag in lags.up_to(int(lags.largest))), 1)


def _first_lags(pattern: Pattern, limit: int) -> list[int]:
    assert pattern.lag_set is not None
    return np.asarray(pattern.lag_set.up_to(limit)).tolist()


_BITS = 256


def _power(z: Fraction, exponent: int) -> Fraction:
    """``z^exponent`` rounded up to 256 fractional bits: for upper bounds."""
    return Fraction(-((-(z.numerator**exponent) << _BITS) // z.denominator**exponent), 1 << _BITS)


def _sum_above(lags: list[int], z: Fraction) -> Fraction:
    """An upper bound of ``Σ z^lag``, each power rounded up."""
    return sum((_power(z, lag) for lag in lags), Fraction(0))


def _sum_below(lags: list[int], z: Fraction) -> Fraction:
    """A lower bound of ``Σ z^lag``: its first terms, exact."""
    return sum((z**lag for lag in lags[:64]), Fraction(0))
