"""``design``: targets in, ranked candidates out, or the theorem that forbids them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from glmix_theory.analysis import Report, analyze
from glmix_theory.complexity import cache_size, step_cost
from glmix_theory.design.candidates import MISSED, Candidate, Design, judge, judge_quantity
from glmix_theory.design.constructions import constructions
from glmix_theory.design.refusals import Refusal, refusals
from glmix_theory.design.targets import QUANTITIES, Budget, Target
from glmix_theory.errors import IndexFunctionError, InfeasibleTargetError, TargetError, check_length
from glmix_theory.mixers import Mixer, catalogue
from glmix_theory.progress import track

LENGTHS = (64,)
"""Lengths whose values reports show and break ties; congestion without a law is searched, slowly at large ones."""


@dataclass(frozen=True)
class Nearest:
    """A way out of targets that contradict each other: what it keeps, what to ask for, and what then meets it."""

    keeps: str
    targets: dict[str, Target]
    candidate: Candidate | None

    def __str__(self) -> str:
        if self.candidate is None:
            return f"{self.keeps}: no construction known to this library"
        where = "" if self.candidate.meets else f" ({self.candidate.reason})"
        return f"{self.keeps}: {self.candidate.mixer!r}{where}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        asked = [str(target) for target in self.targets.values()]
        mixer = None if self.candidate is None else repr(self.candidate.mixer)
        meets = self.candidate is not None and self.candidate.meets
        return {"keeps": self.keeps, "targets": asked, "mixer": mixer, "meets": meets}


def design(
    budget: Budget | str | None = None,
    *,
    step_cost: Any = None,
    cache: Any = None,
    distance: Any = None,
    congestion: Any = None,
    state_rank: Any = None,
    limit: int = 8,
) -> Design:
    """Mixers that meet targets, best first, each with its report; or the theorem that forbids the targets.

    Claim: a candidate said to meet a target meets it with the status shown, by :func:`glmix_theory.analyze`. For
    every step cost of the classes ``n^a (log n)^b (log log n)^c`` up to ``n`` the first candidate is proved to have
    it (proposition 13), with a cache of the same class by its cache-efficient form (proposition 7), and with a cache
    of a class between that and ``n`` by a delayed row beside it (proposition 19). Order: targets met, then the
    weakest status, then the classes of distance, congestion and total cost, then their values at n = 64;
    for a budget, the distance and the total cost at its length. Published mixers that meet the targets compete.

    Parameters
    ----------
    budget : Budget or str, optional
        Numbers to stay within at one length; see :class:`Budget`.
    step_cost, cache : str, sympy expression in ``glm.n`` or int, optional
        A Θ class, met by that class exactly; an int is at most so many terms or rows, at every ``n``.
    distance, congestion : str, sympy expression or int, optional
        A Θ class, met by that or a smaller one; an int is at most so many hops or paths, at every ``n``.
    state_rank : str, sympy expression or int, optional
        A Θ class or a number to reach at least.
    limit : int
        Candidates kept at most.

    Returns
    -------
    Design
        ``.candidates``, ``.best``, ``.met``, ``.verdict``, ``.table()``, ``.to_dict()``, ``.to_json()``. Where
        nothing meets the targets and nothing known forbids them, the verdict says exactly that.

    Raises
    ------
    TargetError
        No target, one that does not parse, decreases or is not positive, a quantity given twice.
    InfeasibleTargetError
        A theorem forbids the targets: ``.theorem`` states and proves it, ``.nearest`` holds what can be had.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> from glmix_theory.design import design
    >>> design(step_cost="sqrt(n)").best.mixer
    Mixer(direct=Diagonal(), recurrent=Offsets(k**2 + 1))
    >>> found = design(step_cost="log(n)**2", cache="log(n)**2")
    >>> found.best.mixer, found.best.status
    (Mixer(direct=Diagonal(), recurrent=CacheEfficient(Staircase(log(n)**2))), 'proved')
    >>> design(step_cost="log(n)", cache="sqrt(n)").best.mixer.recurrent
    CacheEfficient(2**k) | Delayed(k**2 + 1)
    >>> try:
    ...     design(step_cost="sqrt(n)", cache="log(n)")
    ... except glm.errors.InfeasibleTargetError as refusal:
    ...     print(refusal.theorem)
    ...     for way in refusal.nearest:
    ...         print(way)
    cache ≥ (step cost - 2)/2 (proposition 18, every row a step reads, itself apart, is live)
    keep the step cost, cache Θ(√n): Mixer(direct=Diagonal(), recurrent=CacheEfficient(k**2 + 1))
    keep the cache Θ(log(n)), lower the step cost: Mixer(direct=Diagonal(), recurrent=CacheEfficient(2**k))

    References
    ----------
    Fagnou et al., arXiv:2605.31367; propositions 4, 6, 7, 9, 13, 18 and 19.
    """
    named = {
        "step_cost": step_cost,
        "cache": cache,
        "distance": distance,
        "congestion": congestion,
        "state_rank": state_rank,
    }
    targets = _targets(budget, named)
    check_length(limit, "limit")
    refusal = next(refusals(targets), None)
    if refusal is not None:
        raise _refused(refusal)
    try:
        return _ranked(targets, limit)
    except IndexFunctionError as error:  # a class that is slower than anything that can be written down
        raise TargetError(str(error)) from None


def _targets(budget: Budget | str | None, named: Mapping[str, Any]) -> dict[str, Target]:
    targets = {name: Target.read(name, value) for name, value in named.items() if value is not None}
    if isinstance(budget, str):
        budget = Budget.parse(budget)
    if budget is not None:
        if not isinstance(budget, Budget):
            raise TargetError(
                f"budget = {budget!r} is a {type(budget).__name__}; give glm.Budget(step_cost=64, n=4096)"
            )
        for target in budget.targets():
            if target.quantity in targets:
                raise TargetError(f"{target.quantity} is given twice: {targets[target.quantity]} and {target}")
            targets[target.quantity] = target
    if not targets:
        raise TargetError(f"no target is given; give one of {', '.join(QUANTITIES)}, for example step_cost='sqrt(n)'")
    return targets


def _refused(refusal: Refusal) -> InfeasibleTargetError:
    nearest = tuple(Nearest(keeps, asked, _first(asked)) for keeps, asked in refusal.nearest)
    lines = [f"{refusal.conflict} – {refusal.theorem}", f"why: {refusal.theorem.proof}"]
    lines += [f"nearest, {way}" for way in nearest]
    return InfeasibleTargetError("\n".join(lines), refusal.theorem, nearest)


def _first(targets: Mapping[str, Target]) -> Candidate | None:
    if next(refusals(targets), None) is not None:
        return None
    best = _ranked(targets, 1).best
    return None if best.missed else best


def _ranked(targets: Mapping[str, Target], limit: int) -> Design:
    made: dict[Mixer, Candidate] = {}
    built = [(mixer, origin, False) for mixer, origin in constructions(targets)]
    published = [(catalogue[name], _published(name), True) for name in catalogue.names()]
    for mixer, origin, known in track([*built, *published], "designing"):
        if mixer in made:
            if known:  # the published one is the same pattern: keep its name
                made[mixer] = _candidate(mixer, targets, f"{made[mixer].origin}; {origin}")
            continue
        if known and any(
            judge_quantity(_spent(mixer, name), targets[name]).verdict == MISSED for name in _FIRST & set(targets)
        ):
            continue
        made[mixer] = _candidate(mixer, targets, origin)
    kept = [candidate for candidate in made.values() if not candidate.missed] or list(made.values())
    return Design(tuple(targets.values()), tuple(sorted(kept, key=lambda candidate: candidate.rank)[:limit]))


_FIRST = {"step_cost", "cache"}


def _published(name: str) -> str:
    citation = catalogue.entry(name).citation
    return f"published: {citation.authors.split(',')[0].split(' et al')[0]} {citation.year}"


@lru_cache(maxsize=512)
def _spent(mixer: Mixer, name: str) -> Any:
    return step_cost(mixer) if name == "step_cost" else cache_size(mixer)


@lru_cache(maxsize=512)
def _report(mixer: Mixer) -> Report:
    return analyze(mixer, LENGTHS)


def _candidate(mixer: Mixer, targets: Mapping[str, Target], origin: str) -> Candidate:
    report = _report(mixer)
    outcomes = tuple(judge(report, target) for target in targets.values())
    return Candidate(mixer, report, outcomes, origin)
