"""Distance: the hops that separate the farthest pair of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy

from glmix_theory.complexity.quantity import Bounds, Quantity, Value, counted_range
from glmix_theory.expressivity import cache_efficient_laws as laws
from glmix_theory.expressivity.all_pairs import distance_by_length, farthest_pairs
from glmix_theory.expressivity.lag_profile import UNREACHED, sums_of_lags
from glmix_theory.expressivity.lag_theorems import infinite_lags
from glmix_theory.expressivity.source_classes import identity_lags
from glmix_theory.mixers import Mixer
from glmix_theory.notation import k, n
from glmix_theory.patterns import CacheEfficient, Offsets, Pattern
from glmix_theory.patterns.lag_sets import LagSet
from glmix_theory.patterns.rounding import floor

__all__ = ["ClosedForm", "closed_form", "distance", "distance_lower_bound"]

_COUNTED_TO = 128
_EXACT_TO = 1 << 13
_LARGEST_LAG = 1 << 11


@dataclass(frozen=True)
class ClosedForm:
    """A distance derived for every ``n``: its evaluation, formula, Θ class and grounds."""

    evaluate: Callable[[int], Value]
    expr: sympy.Expr | None
    theta: sympy.Expr | None
    status: str
    evidence: tuple[str, ...]


def distance(mixer: Mixer) -> Quantity:
    """Largest over ``s < t < n`` of the least hops from ``s`` to ``t``; ``oo`` if a pair is unreachable.

    A hop is an edge of ``x_s → y_u → … → y_t`` (``→ z_t`` with a readout) that joins two different
    tokens; with a single token there is no pair and the distance is 0. Closed forms come from the
    rules in :func:`closed_form`; all else is counted exactly. Where counting is out of reach and a
    theorem still bounds the value, ``at`` returns :class:`~glmix_theory.Bounds`.

    >>> import glmix_theory as glm
    >>> q = distance(glm.Mixer(recurrent=glm.Offsets(2**glm.k)))
    >>> q.expr, q.status, q.at(8), q.at(7)
    (floor(log(n)/log(2)), 'proved', 3, 2)
    >>> distance(glm.Mixer(direct=glm.Window(4))).at(9)
    oo
    >>> q = distance(glm.Mixer(recurrent=glm.CacheEfficient(glm.k**2 + 1)))
    >>> q.theta, q.status, q.at(64), q.at(10**12)
    (log(log(n)), 'proved', 5, 8)
    """
    rule = closed_form(mixer)
    if rule is not None:
        return Quantity("distance", rule.evaluate, rule.expr, rule.theta, rule.status, rule.evidence, "hops")
    found = farthest_pairs(mixer, _COUNTED_TO)
    evidence = ["least hops counted between all pairs", counted_range([_value(x) for x in found.hops])]
    pair = found.pair(_COUNTED_TO)
    if found.hops[-1] >= UNREACHED and pair is not None:
        evidence.append(f"token {pair[1]} never receives token {pair[0]}: no path, at any n > {pair[1]}")
    return Quantity(
        "distance",
        lambda length: _value(distance_by_length(mixer, length)[-1]),
        theta=sympy.oo if found.hops[-1] >= UNREACHED else None,
        status="checked",
        evidence=tuple(evidence),
        unit="hops",
    )


def closed_form(mixer: Mixer) -> ClosedForm | None:
    """The distance of a mixer for which a theorem gives it at every ``n``, or ``None``.

    The readout may be the diagonal: ``y_t → z_t`` is free.
    """
    if mixer.readout is not None and not identity_lags(mixer.readout.lag_set):
        return None
    direct, recurrent = mixer.direct.lag_set, mixer.recurrent.lag_set
    if direct is not None and direct.all_from is not None and direct.all_from <= 1:
        return _one_hop("every earlier input is read directly")
    if direct is not None and recurrent is not None and recurrent.largest == -1:
        return _without_recurrence(direct)
    if not identity_lags(direct):
        return None
    if recurrent is not None and recurrent.all_from is not None and recurrent.all_from <= 1:
        return _one_hop("the diagonal is free and every earlier output is read")
    if isinstance(mixer.recurrent, CacheEfficient):
        if mixer.recurrent.function.expr is not None and sympy.simplify(mixer.recurrent.function.expr - k) == 1:
            return _one_hop("f(k) = k + 1 has a_k = 1, so every earlier output is read")
        return _cache_efficient(mixer, mixer.recurrent)
    if recurrent is None:
        return None
    if 1 not in recurrent and recurrent.largest is not None:
        return _unreachable(1, "every recurrent lag is longer than 1 and the direct part is the diagonal")
    if isinstance(recurrent.largest, int):
        return _finite_lags(recurrent)
    return _offsets(mixer.recurrent) if isinstance(mixer.recurrent, Offsets) else None


def distance_lower_bound(most_sources: int, n: int) -> int:
    """Hops needed at least when no step has more than ``m`` sources other than itself (proposition 4).

    ``m + m² + … + m^h`` tokens at most lie within ``h`` hops of the last one, and all ``n - 1`` must.

    >>> distance_lower_bound(2, 16), distance_lower_bound(1, 16), distance_lower_bound(15, 16)
    (4, 15, 1)
    """
    if n <= 1:
        return 0
    if most_sources < 1:
        return n
    reached, hops = 0, 0
    while reached < n - 1:
        hops += 1
        if most_sources == 1:
            return n - 1
        reached += most_sources**hops
    return hops


def _one_hop(reason: str) -> ClosedForm:
    return ClosedForm(
        lambda length: min(length - 1, 1),
        sympy.Min(n - 1, 1),
        sympy.Integer(1),
        "proved",
        (f"{reason}: one hop joins any pair, and n = 1 has no pair",),
    )


def _unreachable(missing: int, reason: str) -> ClosedForm:
    return ClosedForm(
        lambda length: min(length - 1, 1) if length <= missing else sympy.oo,
        sympy.Piecewise((sympy.Min(n - 1, 1), n <= missing), (sympy.oo, True)),
        sympy.oo,
        "proved",
        (f"{reason}: the pair (s, s + {missing}) is unreachable once n > {missing}, for example (0, {missing})",),
    )


def _without_recurrence(direct: LagSet) -> ClosedForm | None:
    """No recurrence: a lag is reached by one direct edge or not at all."""
    if direct.largest is None:
        return None
    members = direct.up_to(1 << 16)
    present = members[members > 0]
    gaps = np.flatnonzero(present != np.arange(1, len(present) + 1))
    missing = int(gaps[0]) + 1 if len(gaps) else len(present) + 1
    return None if missing > 1 << 15 else _unreachable(missing, f"no recurrence and no direct lag {missing}")


def _finite_lags(recurrent: LagSet) -> ClosedForm | None:
    """Finitely many lags, 1 among them."""
    order = int(recurrent.largest or 0)
    if recurrent.count(order) == order:
        return ClosedForm(
            lambda length: -(-(length - 1) // order),
            sympy.ceiling((n - 1) / order),
            n,
            "proved",
            (f"lags 1 … {order}: a lag l needs ⌈l/{order}⌉ hops, and the largest lag below n is n - 1",),
        )
    if order > _LARGEST_LAG:
        return None
    lags = recurrent.up_to(order)
    repeats = (order - 1) ** 2 + 1 + order
    counts: list[np.ndarray] = []

    def evaluate(length: int) -> int:
        if not counts:
            counts.append(sums_of_lags(lags, repeats))
        table = counts[0]
        if length <= repeats:
            return int(table[:length].max())
        last = np.arange(length - order, length, dtype=object)
        beyond = [max(0, -(-(int(lag) - repeats + 1) // order)) for lag in last]
        return max(int(table.max()), *(int(table[int(lag) - q * order]) + q for lag, q in zip(last, beyond)))

    return ClosedForm(
        evaluate,
        None,
        n,
        "proved",
        (
            f"a lag of n - 1 needs at least (n - 1)/{order} hops, and at most n - 1 of lag 1",
            f"among any {order} lags some sum to a multiple of {order}, and as many copies of {order} or fewer replace "
            f"them: beyond ({order} - 1)² the fewest hops repeat with period {order}, one more each time",
            f"the lags up to {repeats - 1} are enumerated, the others follow exactly",
        ),
    )


def _cache_efficient(mixer: Mixer, pattern: CacheEfficient) -> ClosedForm:
    if laws.is_powers_of_two(pattern):
        return ClosedForm(
            laws.power_of_two_distance,
            sympy.Piecewise(
                (0, n <= 1), (1, n <= 3), (floor(sympy.log((n - 1) / sympy.Integer(3)) / sympy.log(2)) + 2, True)
            ),
            sympy.log(n),
            "proved",
            laws.POWER_OF_TWO_DISTANCE,
        )
    known: dict[int, np.ndarray] = {}

    def evaluate(length: int) -> Value:
        size = min(_EXACT_TO, length)
        if size not in known:
            known[size] = distance_by_length(mixer, size)
        exact = known[size]
        if length <= size:
            return int(exact[length - 1])
        lower = max(int(exact[-1]), laws.least_hops_to_span(pattern, length))
        upper = laws.most_hops_needed(pattern, length, exact)
        upper = length - 1 if upper is None else upper
        return lower if lower == upper else Bounds(lower, upper)

    growth = laws.distance_class(pattern)
    evidence = (
        f"n ≤ {_EXACT_TO}: least hops counted between all pairs; beyond: bounds from the lifetime lemma, upper by "
        "the farthest slot within the lag, lower by how far R_h a path from position 1 can get in h hops"
    )
    if growth is None:
        profile = distance_by_length(mixer, _COUNTED_TO)
        counted = counted_range([_value(x) for x in profile])
        return ClosedForm(evaluate, None, None, "checked", (evidence, counted, laws.LIFETIME))
    return ClosedForm(evaluate, None, growth[0], "proved", (evidence, *growth[1]))


def _offsets(pattern: Pattern) -> ClosedForm | None:
    assert isinstance(pattern, Offsets)
    theorem = infinite_lags(pattern.function)
    if theorem is None:
        return None
    return ClosedForm(theorem.evaluate, theorem.expr, theorem.theta, theorem.status, theorem.evidence)


def _value(hops: np.int32 | int) -> Value:
    return sympy.oo if hops >= UNREACHED else int(hops)
