"""From targets to mixers: the constructions of propositions 13, 7 and 19, and what fits a budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sympy

from glmix_theory.design.targets import Target
from glmix_theory.mixers import Mixer
from glmix_theory.notation import k, n
from glmix_theory.patterns import CacheEfficient, Delayed, Dense, Lags, Offsets, Pattern, Window
from glmix_theory.patterns.growth import LINEAR, Growth
from glmix_theory.patterns.index_functions import Staircase
from glmix_theory.rendering import formula_text

Construction = tuple[Mixer, str]
"""A mixer and the sentence that says where it comes from."""

_LOGARITHM = (0, 1, 0)


def index_functions(growth: Growth) -> list[tuple[sympy.Expr | Staircase, str]]:
    """Index functions ``f`` whose patterns cost the class, closed forms first.

    Between constants and ``n`` the last one is the :class:`~glmix_theory.patterns.staircase.Staircase` that has
    the leading constant too; ``2**k`` and ``k**m + 1`` are the closed forms of ``log n`` and ``n^(1/m)``.

    >>> from glmix_theory.design.targets import Target
    >>> [f for f, _ in index_functions(Target.read("step_cost", "log(n)").growth)]
    [2**k, Staircase(log(n))]
    >>> [f for f, _ in index_functions(Target.read("step_cost", "sqrt(n)").growth)]
    [k**2 + 1]
    """
    assert growth.constant is not None
    power = growth.power
    found: list[tuple[sympy.Expr | Staircase, str]] = []
    exact = False
    if growth.order == _LOGARITHM:
        found.append((2**k, "the closed form of proposition 13 for log2(n)"))
        exact = growth.constant == 1 / sympy.log(2)
    elif growth.logs == growth.loglogs == 0 and power.p == 1:
        found.append((k**power.q + 1, f"the closed form of proposition 13 for n^(1/{power.q})"))
        exact = growth.constant == 1
    if not exact:
        staircase = Staircase(growth.constant * growth.scale)
        found.append((staircase, f"proposition 13: as many terms as {staircase.target}, the factor included"))
    return found


def constructions(targets: Mapping[str, Target]) -> Iterator[Construction]:
    """Mixers built for the targets; whether each meets them is left to its report."""
    step, cache = targets.get("step_cost"), targets.get("cache")
    if any(target.at is not None for target in targets.values()):
        yield from _within_budget(targets)
    if step is not None and cache is not None and cache.growth is not None:
        yield from _longer_cache(step, cache.growth)
    if step is not None and step.growth is not None:
        yield from _of_class(step.growth)
    elif step is not None and step.limit is not None and step.at is None:
        yield from _constant(step.limit, "terms")
    elif cache is not None and cache.growth is not None:
        yield from _of_class(cache.growth)
    elif cache is not None and cache.limit is not None and cache.at is None:
        yield from _constant(cache.limit + 1, "terms, of which one is the step itself")
    elif not any(target.at is not None for target in targets.values()):
        for text in (sympy.log(n) / sympy.log(2), sympy.sqrt(n)):
            yield from _of_class(Target.read("step_cost", text).growth)
        yield from _of_class(Growth(sympy.Integer(1), sympy.Integer(1)))


def _of_class(growth: Growth | None) -> Iterator[Construction]:
    assert growth is not None
    if growth.order >= (1, 0, 0):
        yield Mixer(direct=Dense()), "every earlier input is read"
        yield Mixer(recurrent=Dense().strict()), "every earlier output is read"
        return
    for f, reason in index_functions(growth):
        yield Mixer(recurrent=Offsets(f)), reason
        yield Mixer(recurrent=CacheEfficient(f)), f"{reason}; cache-efficient by proposition 7"


def _longer_cache(step: Target, cache: Growth) -> Iterator[Construction]:
    """A cache of a faster class than the step cost: one more row, delayed by as much as the cache shall hold."""
    if cache.order > LINEAR.order or (step.growth is not None and step.order >= cache.order):
        return
    # in pairs: the closed forms of both, then both with their factors
    lags = (
        [(2 * k + 1, "n/2")] if cache.order == LINEAR.order else [(f, cache.scale) for f, _ in index_functions(cache)]
    )
    delayed = [(Delayed(f), f"one row delayed by Θ({formula_text(sympy.sympify(lag))})") for f, lag in lags]
    if step.growth is not None:
        found = index_functions(step.growth)
        for (f, reason), (row, why) in dict.fromkeys([(found[0], delayed[0]), (found[-1], delayed[-1])]):
            recurrent = CacheEfficient(f) | row
            yield Mixer(recurrent=recurrent), f"{reason}, cache-efficient; and {why} (proposition 19)"
    elif step.limit is not None and step.at is None:
        for row, why in delayed:
            if step.limit >= 3:
                yield (
                    Mixer(recurrent=_band(step.limit - 2) | row),
                    f"the recurrence of order {step.limit - 2}, and {why} (proposition 19)",
                )
            if step.limit >= 2:
                yield Mixer(recurrent=row), f"{why} (proposition 19)"
            if step.limit == 1:
                yield Mixer(direct=row), f"{why} (proposition 19), and nothing else"


def _constant(number: int, what: str) -> Iterator[Construction]:
    if number >= 2:
        order = number - 1
        yield Mixer(recurrent=_band(order)), f"the recurrence of order {order}: {number} {what}"
    if number >= 1:
        yield Mixer(direct=Window(number)), f"a window of {number}: {number} {what}"


def _band(order: int) -> Pattern:
    """Lags ``1 … order``, printed short."""
    return Lags.band(order) if order <= 8 else Window(order).shift(1)


def _within_budget(targets: Mapping[str, Target]) -> Iterator[Construction]:
    """Patterns scaled to use up the smaller of the limits on terms and rows at their length."""
    limits = [targets[name] for name in ("step_cost", "cache") if name in targets and targets[name].limit is not None]
    numbers = [target.limit + (target.quantity == "cache") for target in limits if target.limit is not None]
    lengths = [target.at for target in targets.values() if target.at is not None]
    length = max(lengths)
    terms = min(numbers, default=length)
    if terms >= length:
        yield Mixer(direct=Dense()), f"{length} terms and rows are within the budget"
        yield Mixer(recurrent=Dense().strict()), f"{length} terms and rows are within the budget"
    yield from _constant(terms, f"terms fit at n = {length}")
    for scale in (sympy.sqrt(n), sympy.log(n) ** 2):
        fitted = _fitted(scale, terms, length)
        if fitted is not None:
            reason = f"proposition 13 for {fitted.target}, scaled to {terms} terms at n = {length}"
            yield Mixer(recurrent=Offsets(fitted)), reason
            yield Mixer(recurrent=CacheEfficient(fitted)), f"{reason}; cache-efficient by proposition 7"
    for f in (k**2 + 1, 2**k):
        yield Mixer(recurrent=Offsets(f)), "a closed form of proposition 13"
        yield Mixer(recurrent=CacheEfficient(f)), "a closed form of proposition 13, cache-efficient by proposition 7"


def _fitted(scale: sympy.Expr, terms: int, length: int) -> Staircase | None:
    """The staircase of ``c · scale`` with the largest ``c`` of two digits that stays within ``terms`` at a length."""
    if terms < 3 or length < 4:
        return None
    rough = sympy.Rational(terms) / sympy.Rational(str(sympy.N(scale.subs(n, length), 12)))
    digits = 2 - len(str(int(sympy.floor(rough)))) if rough >= 1 else 2
    step = sympy.Rational(1, 10) ** max(digits, 0)
    factor = sympy.floor(rough / step) * step
    for _ in range(8):
        if factor <= 0:
            return None
        staircase = Staircase(factor * scale)
        if staircase.terms(length - 1) + 1 <= terms:
            return staircase
        factor -= step
    return None
