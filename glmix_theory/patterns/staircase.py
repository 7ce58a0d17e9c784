"""Proposition 13 made a pattern: the index function whose pattern costs any given class of terms a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import mpmath
import sympy

from glmix_theory.errors import IndexFunctionError
from glmix_theory.notation import n
from glmix_theory.patterns.growth import Growth
from glmix_theory.patterns.growth_reading import growth_of
from glmix_theory.patterns.rounding import ceiling, floor

_u, _v, _x = sympy.symbols("u v x", positive=True)
_CLEAR = 1e-9
_DOUBLES = 1 << 50
_MOST_SHIFT = 64
_LONGEST_LAG = 1 << 16


class Staircase:
    """``f(k) = min{ m : T(m) ≥ k+1 }`` for a staircase ``T`` of the class of a target: ``Offsets(f)`` costs ``T``.

    Claim: with ``g = c n^a (log n)^b (log log n)^d`` the leading term of the target, ``s`` a shift from which on
    ``g`` is concave and increasing, and ``τ(x) = g(x+s) - g(s)``,

        ``T(t) = 1 + ⌊min(t - 1, τ(t - 1))⌋`` for ``t ≥ 1``, ``T(0) = 0``, and ``f(k) = 1 + max(k, min{m : τ(m) ≥ k})``.

    ``T`` is unbounded and rises by 0 or 1, so by proposition 13 ``Offsets(f)`` reads exactly ``T(t)`` positions at
    step ``t``, with ``T(n)/g(n) → 1``. ``f(0) = 1``. Values are exact integers.

    Parameters
    ----------
    target : sympy expression in ``glm.n``
        Faster than every constant and slower than ``n``; see
        :func:`~glmix_theory.patterns.growth_reading.growth_of` for the classes.

    Raises
    ------
    FormulaError
        The growth of the target cannot be read.
    IndexFunctionError
        It is bounded, or as fast as ``n``.

    Examples
    --------
    >>> import sympy, glmix_theory as glm
    >>> from glmix_theory.patterns.index_functions import Staircase
    >>> f = Staircase(sympy.sqrt(glm.n) * sympy.log(glm.n))
    >>> [f(k) for k in range(6)], f
    ([1, 3, 4, 5, 6, 7], Staircase(sqrt(n)*log(n)))
    >>> pattern = glm.Offsets(f)
    >>> pattern.in_degree(10**9), f.terms(10**9)
    (655328, 655328)
    >>> pattern.function.status, pattern.function.growth[0].scale
    ('proved', sqrt(n)*log(n))

    References
    ----------
    Proposition 13.
    """

    def __init__(self, target: Any) -> None:
        growth = growth_of(sympy.sympify(target))
        if not (growth.constant is not None and growth.constant.is_positive and growth.order > (0, 0, 0)):
            raise IndexFunctionError(
                f"Staircase({target}): the target is bounded, so it takes finitely many lags; use glm.Lags([1, 2, …])"
            )
        if growth.order >= (1, 0, 0):
            raise IndexFunctionError(
                f"Staircase({target}): the target is not slower than n; use glm.Dense() for n terms at step n"
            )
        self.growth: Growth = growth
        self.shift, self.proof = _concave_from(growth)
        if growth.power == 0 and float(self._at_logarithm(_LONGEST_LAG)) < 1:
            raise IndexFunctionError(
                f"Staircase({target}): it reaches its second term only beyond n = e^{_LONGEST_LAG}; "
                f"a target without so small a factor is needed, such as {growth.scale}"
            )

    @property
    def target(self) -> sympy.Expr:
        """The leading term ``g``."""
        assert self.growth.constant is not None
        return self.growth.constant * self.growth.scale

    @cached_property
    def smooth(self) -> sympy.Expr:
        """``τ(x)`` as an expression in a symbol ``x``."""
        power = self.target.subs(n, _x + self.shift)
        return power - (self.target.subs(n, self.shift) if self.shift else 0)

    @property
    def terms_below(self) -> sympy.Expr:
        """``#{k : f(k) < n} = T(n - 1)``, exact for every ``n ≥ 1``."""
        inner = sympy.Min(n - 2, self.smooth.subs(_x, n - 2))
        return sympy.Piecewise((0, n <= 1), (floor(inner) + 1, True))

    @property
    def reason(self) -> str:
        """Why ``f`` is strictly increasing for every ``k``, and how many terms its pattern has."""
        return (
            f"{self.proof}; so min(x, τ(x)) with τ(x) = g(x + {self.shift}) - g({self.shift}) is concave from 0 with "
            "slopes in [0, 1] and unbounded, and T(t) = 1 + ⌊min(t - 1, τ(t - 1))⌋ rises by 0 or 1; by proposition 13 "
            "f(k) = min{m : T(m) ≥ k + 1} is strictly increasing with T(t) values up to t"
        )

    gaps = (
        "f(k) - 1 = max(k, ⌈H(k)⌉) with H, the inverse of a concave function, convex: gaps are 1 until H overtakes k, "
        "then differ by rounding from steps of H that never decrease, so g_j ≤ g_k + 1 ≤ 2 g_k for j ≤ k"
    )

    def terms(self, t: int) -> int:
        """``T(t)``, the terms of step ``t``."""
        if t < 1:
            return 0
        low, high = 0, 1  # τ(t - 1) ≥ low, and in the end not ≥ high
        while high < t and self.reaches(t - 1, high):
            low, high = high, 2 * high
        high = min(high, t)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.reaches(t - 1, middle) else (low, middle)
        return 1 + low

    def __call__(self, index: int) -> int:
        """``f(index)``, an exact Python int."""
        return 1 + _first_reaching(self, index) if index > 0 else 1

    def _at_logarithm(self, size: int) -> sympy.Expr:
        """``g`` where ``log n`` is ``size``, for a ``g`` of logarithms alone."""
        large = sympy.Integer(size)
        assert self.growth.constant is not None
        return sympy.N(self.growth.constant * large**self.growth.logs * sympy.log(large) ** self.growth.loglogs)

    @cached_property
    def _by_doubles(self) -> Callable[[float], float]:
        return sympy.lambdify(_x, self.smooth, "math")

    @cached_property
    def _slope(self) -> Callable[[float], float]:
        return sympy.lambdify(_x, sympy.diff(self.smooth, _x), "math")

    @cached_property
    def _by_digits(self) -> Callable[[Any], Any]:
        return sympy.lambdify(_x, self.smooth, "mpmath")

    @cached_property
    def _slope_by_digits(self) -> Callable[[Any], Any]:
        return sympy.lambdify(_x, sympy.diff(self.smooth, _x), "mpmath")

    @cached_property
    def _scale(self) -> float:
        start = float(self.target.subs(n, self.shift)) if self.shift else 0.0
        return 1.0 + abs(start)

    @cached_property
    def _root(self) -> tuple[Fraction, int, int] | None:
        """``(c^q, p, q)`` where ``τ(x) = c x^(p/q)`` with rational ``c``: compared in integers."""
        power, constant = self.growth.power, self.growth.constant
        if self.shift or not getattr(constant, "is_Rational", False):
            return None
        assert constant is not None
        return Fraction(int(constant.p), int(constant.q)) ** int(power.q), int(power.p), int(power.q)

    def reaches(self, position: int, level: int) -> bool:
        """Whether ``τ(position) ≥ level``, decided exactly."""
        if self._root is not None:
            factor, p, q = self._root
            return factor.numerator * position**p >= factor.denominator * level**q
        if position < _DOUBLES:
            value = self._by_doubles(position)
            if abs(value - level) > _CLEAR * (abs(value) + self._scale):  # millions of roundings apart
                return value > level
        bits = 2 * (position.bit_length() + level.bit_length() + 64)
        precision = 128
        while precision < 2 * bits:
            with mpmath.workprec(precision):
                found = self._by_digits(mpmath.mpf(position))
                if abs(found - level) > mpmath.mpf(2) ** (-precision // 2) * (abs(found) + self._scale):
                    return bool(found > level)
            precision *= 2
        return bool(ceiling(level - self.smooth.subs(_x, position)) <= 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Staircase) and self.target == other.target

    def __hash__(self) -> int:
        return hash(("Staircase", self.target))

    def __reduce__(self) -> tuple[Any, ...]:  # compiled formulas do not pickle
        return Staircase, (self.target,)

    def __repr__(self) -> str:
        return f"Staircase({self.target})"


@lru_cache(maxsize=1 << 16)
def _first_reaching(staircase: Staircase, level: int) -> int:
    """``max(level, min{m : τ(m) ≥ level})``."""
    if staircase.reaches(level, level):
        return level
    low = level  # τ(low) < level
    guess = max(low + 1, _estimate(staircase, level) or _far_estimate(staircase, level))
    width = 1
    if staircase.reaches(guess, level):
        high = guess
        while guess - width > low and staircase.reaches(guess - width, level):
            high, width = guess - width, 2 * width
        low = max(low, guess - width)
    else:
        low, high = guess, guess + width
        while not staircase.reaches(high, level):
            low, width = high, 2 * width
            high = guess + width
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if staircase.reaches(middle, level) else (middle, high)
    return high


def _estimate(staircase: Staircase, level: int) -> int | None:
    """Roughly ``min{m : τ(m) ≥ level}``: Newton from the left, which a concave function never overshoots."""
    x = float(level)
    for _ in range(60):
        try:
            step = (level - staircase._by_doubles(x)) / staircase._slope(x)
        except (OverflowError, ZeroDivisionError, ValueError):
            return None
        x += max(step, 0.0)
        if not x < _DOUBLES:
            return None
        if step <= 1e-6 + 1e-13 * x:
            return math.ceil(x)
    return None


def _far_estimate(staircase: Staircase, level: int) -> int:
    """The same beyond doubles: ``log(x + s)`` by bisection in doubles, then Newton with enough digits."""
    a, b, d = (float(part) for part in staircase.growth.order)
    start = float(staircase.target.subs(n, staircase.shift)) if staircase.shift else 0.0
    goal = math.log(level + start) - math.log(float(staircase.growth.constant or 1))

    def size(logarithm: float) -> float:
        return a * logarithm + b * math.log(logarithm) + (d * math.log(math.log(logarithm)) if d else 0.0)

    low, high = 3.0, 6.0
    while size(high) < goal:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if size(middle) < goal else (low, middle)
    with mpmath.workprec(int(high / math.log(2)) + 128):
        x = mpmath.exp(mpmath.mpf(high)) - staircase.shift
        for _ in range(int(high).bit_length() + 8):
            step = (level - staircase._by_digits(x)) / staircase._slope_by_digits(x)
            x += step
            if abs(step) < 0.01:
                break
        return int(mpmath.ceil(x))


def _concave_from(growth: Growth) -> tuple[int, str]:
    """The least shift of a fixed list from which on ``g`` is increasing and concave, with the proof.

    With ``u = 1/log t``, ``v = 1/log log t`` and ``w = b + d v``: ``t g'/g = E = a + u w`` and
    ``-t² g''/g = q = E(1 - E) + u² (w + d v²)``.
    """
    a, b, d = growth.order
    if b == 0 and d == 0:
        return 0, f"g = {growth.constant * growth.scale} with 0 < {a} < 1 is increasing and concave from 0 on"
    w = b + d * _v
    slope = sympy.expand(a + _u * w)
    bend = sympy.expand(slope * (1 - slope) + _u**2 * (w + d * _v**2))
    for shift, u, v in _shifts(bool(d)):
        if _nonnegative(slope, u, v) and _nonnegative(bend, u, v):
            box = "u > 0" if u is None else f"0 < u ≤ {u}" + (f", 0 < v ≤ {v}" if d else "")
            small = "u = 1/log t" + (", v = 1/log log t" if d else "")
            return shift, (
                f"g = {growth.constant * growth.scale}; with {small}: t g'/g = {slope} ≥ 0 and -t² g''/g = {bend} ≥ 0 "
                f"for {box}, that is for t ≥ {shift}: the lowest terms are positive and outweigh the negative ones at "
                "the far corner"
            )
    raise IndexFunctionError(
        f"Staircase({growth.constant * growth.scale}): it grows steadily only from e^{_MOST_SHIFT} on; a target with "
        "smaller exponents of the logarithms, or a larger power of n, is needed"
    )


def _shifts(nested: bool) -> list[tuple[int, sympy.Rational | None, sympy.Rational]]:
    """``(s, u, v)``: for ``t ≥ s`` both ``1/log t ≤ u`` and ``1/log log t ≤ v``."""
    one = sympy.Integer(1)
    if not nested:
        return [(1, None, one)] + [(_exponential(j), one / j, one) for j in range(1, _MOST_SHIFT)]
    inner = [(_exponential(j), one / j) for j in range(1, 5)]  # log t ≥ e^j gives log log t ≥ j
    return [(_exponential(least), one / least, v) for least, v in inner]


def _exponential(j: int) -> int:
    return int(ceiling(sympy.exp(j)))


def _nonnegative(form: sympy.Expr, u: sympy.Rational | None, v: sympy.Rational) -> bool:
    """Whether a polynomial is ``≥ 0`` on a box: its lowest term against all negative ones at the far corner."""
    if form == 0:
        return True
    terms = sympy.Poly(form, _u, _v).terms()
    low = [min(exponents[axis] for exponents, _ in terms) for axis in range(2)]
    reduced = {(i - low[0], j - low[1]): c for (i, j), c in terms}
    if u is None:
        return all(c >= 0 for c in reduced.values())
    negative = sympy.Add(*(-c * u**i * v**j for (i, j), c in reduced.items() if c < 0 and (i, j) != (0, 0)))
    return bool(reduced.get((0, 0), sympy.Integer(0)) >= negative)
