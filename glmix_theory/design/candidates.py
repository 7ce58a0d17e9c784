"""Candidates: how far a mixer's report meets the targets, and the result that ranks them."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import sympy

from glmix_theory.analysis import Report
from glmix_theory.analysis.report import theta_text
from glmix_theory.complexity.quantity import STATUSES, Bounds, Quantity, weakest
from glmix_theory.design.targets import CEILINGS, REPORTED, SPENT, Target
from glmix_theory.errors import FormulaError
from glmix_theory.expressivity import congestion, distance
from glmix_theory.expressivity.distance import closed_form
from glmix_theory.expressivity.lag_profile import is_translation_invariant
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import CacheEfficient, Pattern
from glmix_theory.patterns.algebra import Union
from glmix_theory.patterns.growth import LINEAR, Growth
from glmix_theory.patterns.growth_reading import growth_of
from glmix_theory.rendering import Table, formula_text

MET, UNKNOWN, MISSED = "met", "unknown", "missed"
OUTCOMES = (MET, UNKNOWN, MISSED)
"""From best to worst."""

COUNTED_TO = 4096
"""Budgets at longer lengths are not judged by counting pairs of positions, which would take minutes to hours."""


@dataclass(frozen=True)
class Outcome:
    """Whether one target is met, with which status, and the sentence that says why."""

    target: Target
    verdict: str
    status: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """One mixer: its report, what it makes of each target, and why it stands where it does."""

    mixer: Mixer
    report: Report = field(repr=False)
    outcomes: tuple[Outcome, ...] = field(repr=False)
    origin: str = ""

    @property
    def meets(self) -> bool:
        """Whether every target is met."""
        return all(outcome.verdict == MET for outcome in self.outcomes)

    @property
    def missed(self) -> bool:
        """Whether some target is known not to be met."""
        return any(outcome.verdict == MISSED for outcome in self.outcomes)

    @property
    def status(self) -> str:
        """The weakest status among the targets that are met."""
        return weakest("proved", *(outcome.status for outcome in self.outcomes if outcome.verdict == MET))

    @property
    def reason(self) -> str:
        """Why the candidate stands where it does, in a sentence."""
        by_verdict = {
            verdict: [outcome.reason for outcome in self.outcomes if outcome.verdict == verdict] for verdict in OUTCOMES
        }
        if self.meets:
            text = "meets every target: "
        elif self.missed:
            text = "misses: "
        else:
            text = "not known to meet: "
        worst = next((by_verdict[v] for v in (MISSED, UNKNOWN) if by_verdict[v]), by_verdict[MET])
        return f"{text}{'; '.join(worst)} – {self.origin}"

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sorts candidates: targets met, status, then sizes.

        These are distance, congestion and total cost, by class and then value; for a budget, whose length alone
        matters, the values of distance and total cost there (congestion at such lengths takes too long).
        """
        verdicts = [OUTCOMES.index(outcome.verdict) for outcome in self.outcomes]
        lengths = [outcome.target.at for outcome in self.outcomes if outcome.target.at is not None]
        if lengths:
            tail = [_distance_at(self.report, max(lengths)), (0, float(_most(self.report.total_cost.at(max(lengths)))))]
        else:
            length = max(self.report.lengths)
            tail = [_size(self.report, name, length) for name in ("distance", "congestion", "total_cost")]
        return (max(verdicts, default=0), sum(verdicts), STATUSES.index(self.status), *tail, len(repr(self.mixer)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "mixer": repr(self.mixer),
            "name": self.mixer.name,
            "meets": self.meets,
            "status": self.status,
            "reason": self.reason,
            "outcomes": [
                {"target": str(o.target), "verdict": o.verdict, "status": o.status, "reason": o.reason}
                for o in self.outcomes
            ],
            "report": self.report.to_dict(),
        }


def judge(report: Report, target: Target) -> Outcome:
    """What a report makes of a target.

    >>> import glmix_theory as glm
    >>> from glmix_theory.design.targets import Target
    >>> report = glm.analyze(glm.Mixer(recurrent=glm.Offsets(2**glm.k)))
    >>> judge(report, Target.read("step_cost", "log(n)")).verdict, judge(report, Target.read("step_cost", "n")).verdict
    ('met', 'missed')
    >>> print(judge(report, Target.read("congestion", "log(n)")).reason)
    congestion O(log(n)), proved: at most the distance (proposition 5)
    """
    quantity = report[REPORTED.get(target.quantity, target.quantity)]
    if target.quantity not in CEILINGS:
        return judge_quantity(quantity, target)
    found = judge_quantity(quantity, target)
    if found.verdict == UNKNOWN and target.at is not None:
        return _by_distance(report, target) or found
    if found.verdict == UNKNOWN:
        bound = _upper(report, target.quantity)
        if target.growth is not None and bound is not None and bound.growth.order <= target.order:
            text = f"{_shown(quantity)} O({formula_text(bound.growth.scale)}), {bound.status}: {bound.reason}"
            return Outcome(target, MET, bound.status, text)
        if bound is not None and bound.most is not None and target.limit is not None and bound.most <= target.limit:
            return Outcome(
                target, MET, bound.status, f"{_shown(quantity)} at most {bound.most} at every n: {bound.reason}"
            )
    return found


def _by_distance(report: Report, target: Target) -> Outcome | None:
    """A congestion at one length that the distance bounds: both ends of a copying pair are ``n`` apart."""
    mixer, distance = report.mixer, report["distance"]
    if target.quantity != "congestion" or distance.status == "checked" or mixer.readout is not None:
        return None
    if not is_translation_invariant(mixer):
        return None
    assert target.at is not None
    assert target.limit is not None
    most = distance.at(target.at + 1)
    if isinstance(most, Bounds) or most > target.limit:
        return None
    text = f"congestion at most {most} at n = {target.at}: at most the distance of lag n (proposition 5)"
    return Outcome(target, MET, distance.status, text)


def judge_quantity(quantity: Quantity, target: Target) -> Outcome:
    """What one quantity makes of a target, from its own class, closed form or value."""
    if target.growth is not None:
        return _judge_class(quantity, target)
    assert target.limit is not None
    if target.at is not None and target.at > COUNTED_TO and _takes_pairs(quantity):
        text = f"{_shown(quantity)} has no closed form here and is counted pair by pair, at n ≤ {COUNTED_TO} only"
        return Outcome(target, UNKNOWN, "checked", text)
    if target.at is not None:
        value = quantity.at(target.at)
        return _judge_value(value, quantity.status, f"{_shown(quantity)} {value} at n = {target.at}", target)
    growth = _growth(quantity)
    greatest = _greatest(quantity)
    if greatest is not None and target.quantity != "state_rank":
        text = f"{_shown(quantity)} at most {greatest} at every n"
        return _judge_value(greatest, quantity.status, text, target)
    if growth is not None and growth.order > (0, 0, 0) and target.quantity != "state_rank":
        return Outcome(
            target, MISSED, quantity.status, f"{_shown(quantity)} {theta_text(quantity)} outgrows any number"
        )
    return Outcome(target, UNKNOWN, "checked", _unknown(quantity))


def _takes_pairs(quantity: Quantity) -> bool:
    """Whether a value takes time like ``n²`` or more: no rule gives it at one length."""
    if quantity.name == "congestion":
        return quantity.expr is None
    return quantity.name in ("distance", "state_rank") and quantity.status == "checked"


def _judge_class(quantity: Quantity, target: Target) -> Outcome:
    assert target.growth is not None
    growth = _growth(quantity)
    if growth is None or quantity.status not in ("proved", "cited"):
        verdict = MISSED if quantity.theta == sympy.oo else UNKNOWN
        return Outcome(target, verdict, quantity.status, _unknown(quantity))
    if target.quantity in SPENT:
        met = growth.order == target.order
    elif target.quantity == "state_rank":
        met = growth.order >= target.order
    else:
        met = growth.order <= target.order
    return Outcome(
        target, MET if met else MISSED, quantity.status, f"{_shown(quantity)} {theta_text(quantity)}, {quantity.status}"
    )


@dataclass(frozen=True)
class _Upper:
    growth: Growth
    status: str
    reason: str
    most: int | None = None


def _upper(report: Report, name: str) -> _Upper | None:
    """An upper class of the distance or congestion that follows from something else than its own law."""
    mixer, distance = report.mixer, report["distance"]
    known = _growth(distance)
    if name == "congestion" and known is not None and is_translation_invariant(mixer) and mixer.readout is None:
        return _Upper(known, distance.status, "at most the distance (proposition 5)", _greatest(distance))
    if isinstance(mixer.recurrent, Union) and mixer.readout is None:
        within = [
            _Upper(growth, quantity.status, f"at most that of {part!r} alone, whose paths it has", _greatest(quantity))
            for part in mixer.recurrent.parts
            if (growth := _growth(quantity := _of_part(replace(mixer, recurrent=part), name))) is not None
            and quantity.status in ("proved", "cited")
        ]
        if within:
            return min(within, key=lambda upper: upper.growth.order)
    if _chained(mixer.recurrent) and mixer.readout is None and 0 in (mixer.direct.lag_set or ()):
        reason = "each output reads the one before" + ("" if name == "distance" else ", and there are n paths")
        return _Upper(LINEAR, "proved", reason)
    return None


def _chained(pattern: Pattern) -> bool:
    """Whether every step reads the one before."""
    if isinstance(pattern, Union):
        return any(_chained(part) for part in pattern.parts)
    return isinstance(pattern, CacheEfficient) or (pattern.lag_set is not None and 1 in pattern.lag_set)


@lru_cache(maxsize=256)
def _of_part(mixer: Mixer, name: str) -> Quantity:
    return distance(mixer) if name == "distance" else congestion(mixer)


def _judge_value(value: Any, status: str, text: str, target: Target) -> Outcome:
    least, most = (value.lower, value.upper) if isinstance(value, Bounds) else (value, value)
    assert target.limit is not None
    if target.quantity == "state_rank":
        verdict = MET if least >= target.limit else MISSED if most < target.limit else UNKNOWN
    else:
        verdict = MET if most <= target.limit else MISSED if least > target.limit else UNKNOWN
    return Outcome(target, verdict, status, text)


def _growth(quantity: Quantity) -> Growth | None:
    if quantity.theta is None or quantity.theta == sympy.oo:
        return None
    try:
        return growth_of(quantity.theta)
    except FormulaError:
        return None


def _greatest(quantity: Quantity) -> int | None:
    """The largest value at any ``n``, where the closed form shows it; an upper bound that some ``n`` attains."""
    expr = quantity.expr
    if quantity.theta != 1:
        return None
    leading = quantity.leading
    if quantity.name in ("step_cost", "cache_size") and leading is not None and leading.is_Integer:
        return int(leading)  # running maxima never decrease, so none exceeds the limit
    if expr is None:
        return None
    if expr.is_Integer:
        return int(expr)
    if isinstance(expr, sympy.Min):
        numbers = [part for part in expr.args if part.is_Integer]
        return int(min(numbers)) if numbers else None
    if isinstance(expr, sympy.Piecewise):
        values = [value for value, _ in expr.args]
        return int(max(values)) if all(value.is_Integer for value in values) else None
    if expr.is_Add:
        number, rest = expr.as_coeff_Add()
        if number.is_Integer and number != 0:
            inner = _greatest(replace(quantity, expr=rest))
            return None if inner is None else inner + int(number)
    return None


def _size(report: Report, name: str, length: int) -> tuple[Any, ...]:
    """How large a quantity is: its class or the best upper class known, and an upper value at a length."""
    quantity = report[name]
    growth = _growth(quantity)
    if growth is None and name in CEILINGS and quantity.theta != sympy.oo:
        upper = _upper(report, name)
        growth = None if upper is None else upper.growth
    order = (9, 0, 0) if quantity.theta == sympy.oo else (8, 0, 0) if growth is None else growth.order
    return (*(float(part) for part in order), float(_most(quantity.at(length))))


def _most(value: Any) -> Any:
    return value.upper if isinstance(value, Bounds) else value


def _distance_at(report: Report, length: int) -> tuple[int, float]:
    """The distance at a length: finite ones first, then those that would take too long to count, then ``∞``."""
    if closed_form(report.mixer) is None and not is_translation_invariant(report.mixer):
        return (2, 0.0) if report.distance.theta == sympy.oo else (1, 0.0)
    hops = _most(report.distance.at(length))
    return (2, 0.0) if hops == sympy.oo else (0, float(hops))


def _shown(quantity: Quantity) -> str:
    return quantity.name.replace("_", " ")


def _unknown(quantity: Quantity) -> str:
    if quantity.theta == sympy.oo:
        return f"{_shown(quantity)} ∞: some pair is never connected"
    if quantity.theta is not None:
        return f"{_shown(quantity)} {theta_text(quantity)}, but its largest value is not derived"
    return f"{_shown(quantity)}: no class derived for every n ({quantity.at(64)} at n = 64)"


@dataclass(frozen=True)
class Design:
    """Ranked candidates for a set of targets; prints as a table, renders in Jupyter. Made by :func:`design`."""

    targets: tuple[Target, ...]
    candidates: tuple[Candidate, ...]

    @property
    def met(self) -> bool:
        """Whether the first candidate meets every target."""
        return bool(self.candidates) and self.candidates[0].meets

    @property
    def best(self) -> Candidate:
        """The first candidate."""
        return self.candidates[0]

    @property
    def verdict(self) -> str:
        """What was found, in a sentence that claims no more than is known."""
        if self.met:
            number = sum(candidate.meets for candidate in self.candidates)
            return f"{number} candidate{'s' if number > 1 else ''} below meet{'' if number > 1 else 's'} every target"
        return (
            "no construction known to this library meets every target, and no theorem known to it forbids them; the "
            "nearest constructions are listed"
        )

    def table(self) -> Table:
        """The candidates, best first."""
        names = ["step_cost", "cache_size", "distance", "congestion"]
        lengths = [target.at for target in self.targets if target.at is not None]
        rows = []
        for place, candidate in enumerate(self.candidates, 1):
            title = candidate.mixer.name or _short(candidate.mixer)
            cells = []
            for name in names:
                quantity = candidate.report[name]
                asked = next((t for t in self.targets if REPORTED.get(t.quantity, t.quantity) == name), None)
                at = lengths[0] if lengths and (asked is not None and asked.at is not None) else None
                cells.append(theta_text(quantity) if at is None else f"{quantity.at(at)} at {at}")
            rows.append([str(place), title, *cells, candidate.status if candidate.meets else "–", candidate.reason])
        columns = ["", "mixer", "step cost", "cache", "distance", "congestion", "status", "why here"]
        return Table(columns, rows, title="targets: " + ", ".join(map(str, self.targets)), caption=self.verdict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "targets": [str(target) for target in self.targets],
            "met": self.met,
            "verdict": self.verdict,
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def __len__(self) -> int:
        return len(self.candidates)

    def __str__(self) -> str:
        return self.table().to_text(140)

    def _repr_html_(self) -> str:
        return f"<div>{self.table().to_html()}<code>{html.escape(self.verdict)}</code></div>"


def _short(mixer: Mixer) -> str:
    """The part that matters: the recurrent pattern where the direct one is the diagonal."""
    return repr(mixer).removeprefix("Mixer(").removesuffix(")").removeprefix("direct=Diagonal(), ")
