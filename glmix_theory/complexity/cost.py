"""Step cost and total cost of a mixer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy

from glmix_theory.complexity.degree import degree_law
from glmix_theory.complexity.laws import Law, linear_law, sum_of_laws
from glmix_theory.complexity.quantity import Quantity, Value, counted_range, weakest
from glmix_theory.complexity.quasi_linear import QuasiLinear
from glmix_theory.complexity.symbolic import symbolic_quantity
from glmix_theory.mixers import Mixer
from glmix_theory.patterns.growth import Growth

COUNTED_TO = 256
"""Lengths enumerated up front for quantities without a law."""


def step_cost(mixer: Mixer) -> Quantity:
    """Largest number of terms of any step ``t < n`` (direct + recurrent + readout).

    Claim: in-degrees of the parts add step by step; the rule that bounds or closes the maximum of the sum is
    in the evidence.

    >>> import glmix_theory as glm
    >>> step_cost(glm.Mixer(direct=glm.Dense())).expr
    n
    """
    if mixer.free_symbols:
        return symbolic_quantity(mixer, "step_cost", step_cost)
    laws = _laws(mixer)
    unit = "terms per step"
    if laws is None:
        return _counted(mixer, "step_cost", lambda degrees: int(degrees.max(initial=0)), unit)
    total, rule = summed(laws)
    return derived("step_cost", total.peak, total.peak_expr, total.growth, laws, rule, unit)


def total_cost(mixer: Mixer) -> Quantity:
    """Number of terms of all steps ``t < n``.

    >>> import glmix_theory as glm
    >>> total_cost(glm.Mixer(direct=glm.Dense())).expr
    n**2/2 + n/2
    """
    if mixer.free_symbols:
        return symbolic_quantity(mixer, "total_cost", total_cost)
    laws = _laws(mixer)
    unit = "terms"
    if laws is None:
        return _counted(mixer, "total_cost", lambda degrees: int(degrees.sum()), unit)
    total, _ = summed(laws)
    rule = "sums over steps and parts add"
    return derived("total_cost", total.prefix, total.prefix_expr, total.prefix_growth, laws, rule, unit)


def summed(laws: dict[str, Law]) -> tuple[Law, str]:
    """The law of all parts together and the rule used; no parts count 0."""
    if not laws:
        nothing = linear_law(QuasiLinear((0,), (0,)), ("no part reads anything",))
        assert nothing is not None
        return nothing, "nothing is read"
    return sum_of_laws(list(laws.values()))


def derived(
    name: str,
    evaluate: Callable[[int], Value],
    expr: sympy.Expr | None,
    growth: Growth | None,
    laws: dict[str, Law],
    rule: str,
    unit: str,
    notes: tuple[str, ...] = (),
) -> Quantity:
    """A quantity from laws: the closed form, the Θ class with its constant, the weakest status, the derivation."""
    evidence = [f"{part}: {step}" for part, law in laws.items() for step in law.evidence]
    title = name.replace("_", " ")
    evidence.append(f"{title}: {rule}" + (f" = {expr}" if expr is not None else ""))
    scale = None if growth is None else growth.scale
    constant = None if growth is None or scale == 0 else growth.constant
    if constant is not None:
        evidence.append(f"leading term {constant * scale}: growth of the parts, composed")
    elif scale not in (None, 0):
        evidence.append(f"Θ({scale}): growth of the parts, composed; no single leading constant is claimed")
    status = weakest("proved", *(law.status for law in laws.values()))
    status = weakest(status, "cited") if notes else status
    if expr is None and scale is None:
        status = weakest(status, "checked")
        evidence.append(counted_range([evaluate(length) for length in range(1, COUNTED_TO + 1)]))
    return Quantity(name, evaluate, expr, scale, status, (*evidence, *notes), unit, constant)


def _laws(mixer: Mixer) -> dict[str, Law] | None:
    laws = {part: degree_law(pattern) for part, pattern in mixer.parts.items()}
    known = {part: law for part, law in laws.items() if law is not None}
    return known if len(known) == len(laws) else None


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
