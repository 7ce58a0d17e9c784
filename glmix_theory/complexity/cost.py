"""Step cost and total cost of a mixer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy

from glmix_theory.complexity.asymptotics import theta, theta_evidence
from glmix_theory.complexity.degree import DegreeLaw, degree_law
from glmix_theory.complexity.quantity import Bounds, Quantity, Value, counted_range, weakest
from glmix_theory.mixers import Mixer

COUNTED_TO = 256
"""Lengths enumerated up front for quantities without a law."""


def step_cost(mixer: Mixer) -> Quantity:
    """Largest number of terms of any step ``t < n`` (direct + recurrent + readout).

    Claim: for parts with non-decreasing in-degrees the maxima add; otherwise every step is counted.

    >>> import glmix_theory as glm
    >>> step_cost(glm.Mixer(direct=glm.Dense())).expr
    n
    """
    laws = _laws(mixer)
    unit = "terms per step"
    if laws is None:
        return _counted(mixer, "step_cost", lambda degrees: int(degrees.max(initial=0)), unit)
    aligned = all(law.monotone for law in laws.values())

    def evaluate(length: int) -> Value:
        total = _add([law.largest(length) for law in laws.values()])
        if aligned or isinstance(total, Bounds):
            return total
        return int(_degrees(mixer, length).max())  # the parts may peak at different steps

    expr = _sum_of([law.largest_expr for law in laws.values()]) if aligned else None
    scale = _sum_of([law.largest_scale for law in laws.values()])
    rule = "step cost = largest sum of in-degrees over the parts"
    return _derived("step_cost", evaluate, expr, scale, laws, unit, rule)


def total_cost(mixer: Mixer) -> Quantity:
    """Number of terms of all steps ``t < n``.

    >>> import glmix_theory as glm
    >>> total_cost(glm.Mixer(direct=glm.Dense())).expr
    n**2/2 + n/2
    """
    laws = _laws(mixer)
    unit = "terms"
    if laws is None:
        return _counted(mixer, "total_cost", lambda degrees: int(degrees.sum()), unit)

    def evaluate(length: int) -> Value:
        return _add([law.total(length) for law in laws.values()])

    expr = _sum_of([law.total_expr for law in laws.values()])
    scale = _sum_of([law.total_scale for law in laws.values()])
    rule = "total cost = sum of in-degrees over steps and parts"
    return _derived("total_cost", evaluate, expr, scale, laws, unit, rule)


def _laws(mixer: Mixer) -> dict[str, DegreeLaw] | None:
    laws = {part: degree_law(pattern) for part, pattern in mixer.parts.items()}
    if any(law is None for law in laws.values()):
        return None
    return {part: law for part, law in laws.items() if law is not None}


def _add(values: list[Value]) -> Value:
    """Sum of exact values and bounds."""
    if any(isinstance(value, Bounds) for value in values):
        pairs = [value if isinstance(value, Bounds) else Bounds(value, value) for value in values]
        return Bounds(sum(pair.lower for pair in pairs), sum(pair.upper for pair in pairs))
    return sum(values)


def _sum_of(terms: list[sympy.Expr | None]) -> sympy.Expr | None:
    """Sum of expressions, ``None`` if one is missing."""
    known = [term for term in terms if term is not None]
    return sympy.expand(sympy.Add(*known)) if len(known) == len(terms) else None


def _derived(
    name: str,
    evaluate: Callable[[int], Value],
    expr: sympy.Expr | None,
    scale: sympy.Expr | None,
    laws: dict[str, DegreeLaw],
    unit: str,
    rule: str,
) -> Quantity:
    theta_class = None if scale is None else theta(scale)
    evidence = [f"{part}: {step}" for part, law in laws.items() for step in law.evidence]
    evidence.append(rule + (f" = {expr}" if expr is not None else ""))
    if theta_class is not None:
        evidence.append(theta_evidence(theta_class))
    closed = expr is not None or theta_class is not None
    status = weakest("proved" if closed else "checked", *(law.status for law in laws.values()))
    if not closed:
        evidence.append(counted_range([evaluate(length) for length in range(1, COUNTED_TO + 1)]))
    return Quantity(name, evaluate, expr, theta_class, status, tuple(evidence), unit)


def _degrees(mixer: Mixer, length: int) -> np.ndarray:
    total = np.zeros(length, dtype=np.int64)
    for pattern in mixer.parts.values():
        total += pattern.in_degrees(length)
    return total


def _counted(mixer: Mixer, name: str, summary: Callable[[np.ndarray], int], unit: str) -> Quantity:
    degrees = _degrees(mixer, COUNTED_TO)
    values = [summary(degrees[:length]) for length in range(1, COUNTED_TO + 1)]
    unknown = [repr(pattern) for pattern in mixer.parts.values() if degree_law(pattern) is None]
    return Quantity(
        name,
        lambda length: summary(_degrees(mixer, length)),
        status="checked",
        evidence=(
            f"no law is known for {', '.join(unknown)}: every step t < n is counted",
            counted_range(values),
        ),
        unit=unit,
    )
