"""Formula = count = what the executed layer did, length by length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sympy

from glmix_theory.analysis import Report, analyze
from glmix_theory.complexity import Bounds, plain
from glmix_theory.errors import LengthError, check_length
from glmix_theory.expressivity import distance_by_length
from glmix_theory.expressivity.distance import UNREACHED
from glmix_theory.mixers import Mixer
from glmix_theory.notation import n
from glmix_theory.rendering import Table
from glmix_theory.verify.claims import Claim, parse_claim
from glmix_theory.verify.counting import Counts, count
from glmix_theory.verify.execution import Execution, execute

LENGTHS = (*range(1, 21), 31, 32, 33, 63, 64, 65)
"""Lengths checked by default: all small ones, and powers of two with their neighbours."""

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Check:
    """One comparison at one length: every value must agree (or lie in the bounds given)."""

    subject: str
    length: int
    values: dict[str, Any]
    ok: bool

    def __str__(self) -> str:
        shown = ", ".join(f"{source} {value}" for source, value in self.values.items())
        return f"{self.subject} at n = {self.length}: {shown}"


@dataclass(frozen=True)
class Verification:
    """All checks of one mixer. ``ok`` is true when every one holds; ``notes`` say what was not checked."""

    mixer: Mixer
    lengths: tuple[int, ...]
    checks: tuple[Check, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)

    @property
    def counterexample(self) -> Check | None:
        """The first check that fails, at the smallest length; ``None`` when all hold."""
        failed = [check for check in self.checks if not check.ok]
        return min(failed, key=lambda check: check.length) if failed else None

    def table(self) -> Table:
        """One row per subject: how many lengths were compared, and from which sources."""
        rows = []
        for subject in dict.fromkeys(check.subject for check in self.checks):
            checks = [check for check in self.checks if check.subject == subject]
            good = sum(check.ok for check in checks)
            last = checks[-1]
            rows.append(
                [
                    subject,
                    f"{good}/{len(checks)}",
                    "; ".join(f"{source} {value}" for source, value in last.values.items()) + f" (n = {last.length})",
                    "holds" if good == len(checks) else "FAILS",
                ]
            )
        caption = "\n".join(self.notes)
        return Table(["claim", "lengths", "values at the last length", "result"], rows, caption=caption)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        worst = self.counterexample
        return {
            "mixer": repr(self.mixer),
            "ok": self.ok,
            "lengths": list(self.lengths),
            "counterexample": None if worst is None else _plain_check(worst),
            "notes": list(self.notes),
            "checks": [_plain_check(check) for check in self.checks],
        }

    def __str__(self) -> str:
        verdict = "every check holds" if self.ok else f"FAILS – {self.counterexample}"
        return f"{self.mixer!r}\n{self.table().to_text()}\n{verdict}"

    def _repr_html_(self) -> str:
        return self.table().to_html()


def verify(
    mixer: Mixer,
    lengths: Iterable[int] = LENGTHS,
    claims: Iterable[str | Claim] = (),
    report: Report | None = None,
) -> Verification:
    """Hold a mixer's formulas against exact counts and against what its layer really does.

    Parameters
    ----------
    mixer : Mixer
        What to verify.
    lengths : iterable of int
        Lengths ``n ≥ 1`` to compare at.
    claims : iterable of str
        Further claims, ``QUANTITY RELATION FORMULA``, such as ``"cache_size <= log(n, 2) + 1"``.
    report : Report, optional
        Formulas to hold against the counts; by default those of :func:`~glmix_theory.analyze`.

    Returns
    -------
    Verification
        ``.ok``, ``.counterexample``, ``.to_dict()``.

    Raises
    ------
    LengthError
        A length below 1, or none at all.
    ClaimError, FormulaError
        A claim that cannot be read.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> m = glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))
    >>> glm.verify(m, range(1, 18), ["cache_size <= log(n, 2) + 1"]).ok
    True
    >>> print(glm.verify(m, range(1, 18), ["step_cost == 3"]).counterexample)
    claim step_cost == 3 at n = 1: computed 1, claimed 3
    """
    checked = tuple(sorted({check_length(length) for length in lengths}))
    if not checked:
        raise LengthError("no lengths were given; at least one n ≥ 1 is needed, for example range(1, 65)")
    stated = [claim if isinstance(claim, Claim) else parse_claim(claim) for claim in claims]
    report = analyze(mixer) if report is None else report
    counted = count(mixer, checked[-1])
    executed = execute(mixer, checked)
    checks: list[Check] = []
    for length in checked:
        checks += _quantity_checks(report, counted, executed, length)
    hops = distance_by_length(mixer, checked[-1])
    for length in checked:
        farthest = sympy.oo if hops[length - 1] >= UNREACHED else int(hops[length - 1])
        checks.append(_compared("distance", length, _formula(report, "distance", length), {"count": farthest}))
    for claim in stated:
        for length in checked:
            value = report[claim.quantity].at(length)
            values = {"computed": value, "claimed": claim.right_side(length)}
            checks.append(Check(f"claim {claim}", length, values, claim.holds(value, length)))
    notes = (executed,) if isinstance(executed, str) else ()
    return Verification(mixer, checked, tuple(checks), notes)


def _quantity_checks(report: Report, counted: Counts, executed: Execution | str, length: int) -> list[Check]:
    state = report.mixer.state
    did: dict[str, dict[str, Any]] = {"step_cost": {}, "total_cost": {}, "cache_size": {}, "depth": {}}
    if isinstance(executed, Execution):
        did["step_cost"]["decode"] = max(executed.step_terms[:length])
        did["total_cost"]["decode"] = sum(executed.step_terms[:length])
        did["total_cost"]["forward"] = executed.forward_terms[length]
        did["cache_size"]["rows held"] = max(executed.rows[:length]) * state
        did["cache_size"]["rows allocated"] = executed.allocated[length - 1] * state
    checks = []
    for name, sources in did.items():
        exact = getattr(counted, name)[length - 1]
        checks.append(_compared(name, length, _formula(report, name, length), {"count": exact, **sources}))
    if isinstance(executed, Execution):
        error = executed.error[length]
        subject = "forward = prefill + steps = dense"
        checks.append(Check(subject, length, {"largest difference": f"{error:.1e}"}, error <= TOLERANCE))
    return checks


def _formula(report: Report, name: str, length: int) -> dict[str, Any]:
    """The reported value, and the closed form evaluated on its own, where there is one."""
    quantity = report[name]
    values: dict[str, Any] = {"report": quantity.at(length)}
    if quantity.expr is not None:
        values["formula"] = quantity.expr.subs(n, length)
    return values


def _compared(subject: str, length: int, stated: dict[str, Any], found: dict[str, Any]) -> Check:
    values = {**stated, **found}
    exact = {sympy.sympify(value) for value in values.values() if not isinstance(value, Bounds)}
    bounds = {value for value in values.values() if isinstance(value, Bounds)}
    inside = all(bound.lower <= value <= bound.upper for value in exact for bound in bounds)
    return Check(subject, length, values, len(exact) <= 1 and len(bounds) <= 1 and inside)


def _plain_check(check: Check) -> dict[str, Any]:
    values = {
        source: plain(value) if isinstance(value, (int, Bounds)) or value == sympy.oo else str(value)
        for source, value in check.values.items()
    }
    return {"subject": check.subject, "length": check.length, "values": values, "ok": check.ok}
