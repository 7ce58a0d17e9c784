"""What two sets of lags have in common, where that can be decided for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import sympy

from glmix_theory.notation import k
from glmix_theory.patterns.index_functions import IndexFunction
from glmix_theory.patterns.lag_sets import ArithmeticLags, FiniteLags, IndexLags, LagSet, SignedSum
from glmix_theory.patterns.monotone import exponential_polynomial

_LONGEST_LISTED = 1 << 16
_LARGEST_MODULUS = 64
_LONGEST_CYCLE = 1 << 12


def common_lags(left: LagSet, right: LagSet) -> LagSet | None:
    """The members of both sets, or ``None`` where no rule decides them.

    Rules: one set is finite; one holds every lag from some point on; two progressions (Chinese remainder
    theorem); values of an index function in a progression, or in another index function's residues, by
    the eventually periodic residues of exponential polynomials.

    >>> from glmix_theory.patterns.index_functions import IndexFunction
    >>> powers, squares = (IndexLags(IndexFunction(f)) for f in (2**k, k**2 + 1))
    >>> common_lags(powers, ArithmeticLags(8)).up_to(100).tolist(), common_lags(powers, squares)
    ([8, 16, 32, 64], FiniteLags(lags=(1, 2)))
    """
    for one, other in ((left, right), (right, left)):
        if isinstance(one.largest, int) and one.largest <= _LONGEST_LISTED:
            return _listed(one, other, one.largest)
        if one.all_from is not None and one.all_from <= _LONGEST_LISTED:
            early = other.up_to(one.all_from)
            missing = np.setdiff1d(early, one.up_to(one.all_from))
            return other if not len(missing) else LagRemainder(other, FiniteLags(tuple(missing.tolist())))
    if isinstance(left, ArithmeticLags) and isinstance(right, ArithmeticLags):
        return _progressions(left, right)
    for one, other in ((left, right), (right, left)):
        if isinstance(one, IndexLags) and isinstance(other, ArithmeticLags):
            return _selected(one, other)
    if isinstance(left, IndexLags) and isinstance(right, IndexLags):
        return _apart(left, right)
    return None


@dataclass(frozen=True)
class LagRemainder(SignedSum):
    """An infinite set without finitely many of its members."""

    whole: LagSet
    removed: FiniteLags
    largest = math.inf

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.whole.proved

    @property
    def reason(self) -> str:  # type: ignore[override]
        return f"{self.whole.reason}, without {list(self.removed.lags)}"

    def up_to(self, limit: int) -> np.ndarray:
        return np.setdiff1d(self.whole.up_to(limit), self.removed.up_to(limit))

    @property
    def _terms(self) -> tuple[tuple[int, LagSet], ...]:
        return (1, self.whole), (-1, self.removed)


@dataclass(frozen=True)
class LagParts(SignedSum):
    """A disjoint union: finitely many lags, and the values of some index functions."""

    head: FiniteLags
    tails: tuple[IndexLags, ...]
    largest = math.inf

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return all(part.proved for part in self.tails)

    @property
    def reason(self) -> str:  # type: ignore[override]
        shown = ", ".join(repr(part.function) for part in self.tails)
        return f"residues repeat, so the lags are {list(self.head.lags)} and the values of {shown}"

    def up_to(self, limit: int) -> np.ndarray:
        return np.sort(np.concatenate([part.up_to(limit) for part in (self.head, *self.tails)]))

    @property
    def _terms(self) -> tuple[tuple[int, LagSet], ...]:
        return ((1, self.head), *((1, part) for part in self.tails))


def residues(function: IndexFunction, modulus: int) -> tuple[list[int], int] | None:
    """``(values mod modulus, start)``: from index ``start`` on the listed values repeat as a cycle; or ``None``.

    ``D f`` has integer coefficients for the common denominator ``D``, and modulo ``D·modulus`` it depends on
    ``k`` (where a polynomial is not constant) and on each ``b^k`` modulo ``D·modulus``: finitely many states,
    each fixing the next.

    >>> residues(IndexFunction(2**k), 8)
    ([1, 2, 4, 0], 3)
    """
    if function.expr is None or function.status != "proved":
        return None
    form = exponential_polynomial(function.expr)
    if form is None or any(not base.is_Integer for base in form):
        return None
    denominator = int(sympy.ilcm(1, *(c.q for p in form.values() for c in p.all_coeffs())))
    state_modulus = denominator * modulus
    index_modulus = state_modulus if any(p.degree() > 0 for p in form.values()) else 1
    seen: dict[tuple[int, ...], int] = {}
    values: list[int] = []
    powers = [1] * len(form)
    while len(values) < _LONGEST_CYCLE:
        state = (len(values) % index_modulus, *powers)
        if state in seen:
            return values, seen[state]
        seen[state] = len(values)
        values.append(function(len(values)) % modulus)
        powers = [power * int(base) % state_modulus for power, base in zip(powers, form)]
    return None


def _listed(finite: LagSet, other: LagSet, bound: int) -> FiniteLags:
    members = np.intersect1d(finite.up_to(bound), other.up_to(bound))
    return FiniteLags(tuple(members.tolist()))


def _progressions(left: ArithmeticLags, right: ArithmeticLags) -> LagSet:
    step = math.lcm(left.step, right.step)
    start = max(left.first, right.first)
    for lag in range(start, start + step):
        if lag in left and lag in right:
            return ArithmeticLags(step, lag)
    return FiniteLags(())


def _selected(values: IndexLags, progression: ArithmeticLags) -> LagSet | None:
    """The values of ``f`` that lie in a progression: ``f(start + offset + period j)`` for some offsets."""
    found = residues(values.function, progression.step)
    if found is None:
        return None
    listed, start = found
    f, expression = values.function, values.function.expr
    assert expression is not None
    while f(start) < progression.first:
        start += 1
        listed = [f(index) % progression.step for index in range(start + len(listed) - found[1])]
    target, period = progression.first % progression.step, len(listed) - start
    head = tuple(f(j) for j in range(start) if listed[j] == target and f(j) >= progression.first)
    offsets = [j for j in range(start, len(listed)) if listed[j] == target]
    if not offsets:
        return FiniteLags(head)
    if len(offsets) == period:
        early = tuple(f(j) for j in range(start) if f(j) not in head)
        return LagRemainder(values, FiniteLags(early)) if early else values
    tails = tuple(IndexLags(f.cached(expression.subs(k, period * k + j))) for j in offsets)
    return LagParts(FiniteLags(head), tails)


def _apart(left: IndexLags, right: IndexLags) -> LagSet | None:
    """Two index functions that share no residue from some index on have finitely many values in common."""
    for modulus in range(2, _LARGEST_MODULUS):
        one, two = residues(left.function, modulus), residues(right.function, modulus)
        if one is None or two is None:
            return None
        (first, start), (second, other) = one, two
        if not set(first[start:]) & set(second[other:]):
            head = {left.function(j) for j in range(start)} | {right.function(j) for j in range(other)}
            return FiniteLags(tuple(sorted(lag for lag in head if lag in left and lag in right)))
    return None
