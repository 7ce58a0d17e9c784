"""Propositions as programs: each step either produces its evidence or raises :class:`ProofFailure`.

A proposition's status follows from the steps that carry it, never from what its author says:

* ``symbolic`` – an identity or inequality derived for all values, or one half of an induction;
* ``smt`` – a solver found the negation unsatisfiable, for all integers or reals at once;
* ``cited`` – a theorem of others, named; the step checks that its hypotheses hold;
* ``enumeration`` – every case in a stated range was tried. It makes the whole proposition ``checked``, unless
  the step is marked as an ``illustration``: then other steps carry the claim, and this one compares them with
  the toolkit's own counts.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from glmix_theory.complexity.quantity import weakest
from glmix_theory.errors import GlmixError
from glmix_theory.progress import track
from glmix_theory.rendering import Table

STATUS_OF_KIND = {"symbolic": "proved", "smt": "proved", "cited": "cited", "enumeration": "checked"}
"""What a proposition is at best when a step of this kind carries it."""

FOLDER = Path(__file__).resolve().parent
_NO_PROPOSITION = {"__init__", "framework"}


class ProofFailure(GlmixError):  # noqa: N818 – the name is part of the interface
    """A step does not hold; the message shows the counterexample or the difference."""


class UnfinishedProof(ProofFailure):
    """A solver gave up: neither proved nor refuted. It is a failure, and catches no mutation."""


def require(condition: object, message: str) -> None:
    """Raise :class:`ProofFailure` with ``message`` unless ``condition`` holds.

    >>> require(1 + 1 == 2, "arithmetic is broken")
    """
    if not condition:
        raise ProofFailure(message)


@dataclass(frozen=True)
class Step:
    """One step: ``run`` returns its evidence as text, or raises :class:`ProofFailure`."""

    name: str
    kind: str
    run: Callable[[], str]
    illustration: bool = False

    def __post_init__(self) -> None:
        if self.kind not in STATUS_OF_KIND:
            raise ValueError(f"step {self.name!r}: kind {self.kind!r} is none of {list(STATUS_OF_KIND)}")
        if self.illustration and self.kind != "enumeration":
            raise ValueError(f"step {self.name!r}: only an enumeration can be an illustration")


@overload
def step(name: str, kind: str, run: Callable[[], str], *, illustration: bool = ...) -> Step: ...
@overload
def step(name: str, kind: str, run: None = ..., *, illustration: bool = ...) -> Callable[[Callable[[], str]], Step]: ...
def step(
    name: str, kind: str, run: Callable[[], str] | None = None, *, illustration: bool = False
) -> Step | Callable[[Callable[[], str]], Step]:
    """Make a :class:`Step`, directly or as a decorator.

    >>> @step("one plus one", "symbolic")
    ... def addition() -> str:
    ...     return "1 + 1 = 2"
    >>> addition.name, addition.run()
    ('one plus one', '1 + 1 = 2')
    """
    if run is not None:
        return Step(name, kind, run, illustration)
    return lambda function: Step(name, kind, function, illustration)


@dataclass(frozen=True)
class Proposition:
    """A numbered claim, what it assumes, the steps that establish it, and wrong variants they must catch.

    Parameters
    ----------
    number : int
        Number in the theory's list of propositions.
    title, statement : str
        A few words; the exact claim.
    assumptions : tuple of str
        Everything the steps take for granted.
    steps : tuple of Step
        In the order they are run.
    mutations : dict of str to callable
        Wrong variants (off by one, wrong constant, dropped hypothesis); each must raise :class:`ProofFailure`.
    argument : str
        How the steps together give the statement, where that is more than "all of them hold".
    """

    number: int
    title: str
    statement: str
    assumptions: tuple[str, ...]
    steps: tuple[Step, ...]
    mutations: Mapping[str, Callable[[], Any]] = field(repr=False)
    argument: str = ""

    def __post_init__(self) -> None:
        if not self.carrying:
            raise ValueError(f"proposition {self.number} has no step that carries it")

    @property
    def carrying(self) -> tuple[Step, ...]:
        """The steps the claim rests on: all but illustrations."""
        return tuple(item for item in self.steps if not item.illustration)

    @property
    def status(self) -> str:
        """The weakest status of the carrying steps: ``proved``, ``cited`` or ``checked``."""
        return weakest(*(STATUS_OF_KIND[item.kind] for item in self.carrying))


@dataclass(frozen=True)
class StepOutcome:
    """What one step returned, or how it failed."""

    step: Step
    evidence: str
    failure: str
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What running a proposition gave."""

    proposition: Proposition
    steps: tuple[StepOutcome, ...]

    @property
    def ok(self) -> bool:
        """Whether every step holds."""
        return not any(item.failure for item in self.steps)

    @property
    def status(self) -> str:
        """The proposition's status, or ``FAILED``."""
        return self.proposition.status if self.ok else "FAILED"

    @property
    def seconds(self) -> float:
        """Time the steps took."""
        return sum(item.seconds for item in self.steps)

    @property
    def failures(self) -> tuple[str, ...]:
        """One line per step that does not hold."""
        number = self.proposition.number
        return tuple(f"{number} · {item.step.name}: {item.failure}" for item in self.steps if item.failure)

    def explain(self) -> str:
        """Statement, assumptions, every step with its evidence, and the argument that joins them."""
        proposition = self.proposition
        lines = [f"{proposition.number}. {proposition.title} ({self.status})", proposition.statement]
        lines += [f"  assumes: {assumption}" for assumption in proposition.assumptions]
        for index, item in enumerate(self.steps, 1):
            kind = "illustration" if item.step.illustration else item.step.kind
            text = f"FAILS: {item.failure}" if item.failure else item.evidence
            lines.append(f"  {index}. [{kind}] {item.step.name}: {text}")
        if proposition.argument:
            lines.append(f"  together: {proposition.argument}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        proposition = self.proposition
        return {
            "number": proposition.number,
            "title": proposition.title,
            "statement": proposition.statement,
            "assumptions": list(proposition.assumptions),
            "argument": proposition.argument,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "steps": [
                {
                    "name": item.step.name,
                    "kind": item.step.kind,
                    "illustration": item.step.illustration,
                    "evidence": item.evidence,
                    "failure": item.failure,
                    "seconds": round(item.seconds, 3),
                }
                for item in self.steps
            ],
            "mutations": list(proposition.mutations),
        }


def prove(proposition: Proposition) -> Outcome:
    """Run every step; a step that raises anything, or returns no evidence, has failed."""
    outcomes = []
    for item in proposition.steps:
        began = time.perf_counter()
        evidence, failure = "", ""
        try:
            evidence = item.run()
            if not (isinstance(evidence, str) and evidence.strip()):
                failure = f"returned {evidence!r} instead of its evidence"
        except ProofFailure as error:
            failure = str(error) or "raised ProofFailure without a message"
        except Exception as error:  # a broken step must never look like a passed one
            failure = f"{type(error).__name__}: {error}"
        outcomes.append(StepOutcome(item, evidence, failure, time.perf_counter() - began))
    return Outcome(proposition, tuple(outcomes))


def prove_all(propositions: Iterable[Proposition] | None = None) -> list[Outcome]:
    """Run propositions (all of them by default) behind a progress bar."""
    chosen = discover() if propositions is None else list(propositions)
    return [prove(proposition) for proposition in track(chosen, "proving")]


def outcome_table(outcomes: Iterable[Outcome]) -> Table:
    """Number, title, status, steps by kind and seconds of each outcome, with a line of totals."""
    rows, listed = [], list(outcomes)
    for outcome in listed:
        kinds = ["illustration" if item.illustration else item.kind for item in outcome.proposition.steps]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        rows.append(
            [
                str(outcome.proposition.number),
                outcome.proposition.title,
                outcome.status,
                counts,
                f"{outcome.seconds:.1f}",
            ]
        )
    total = sum(outcome.seconds for outcome in listed)
    statuses = [outcome.status for outcome in listed]
    summary = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return Table(
        ["no", "proposition", "status", "steps", "seconds"],
        rows,
        title="Propositions",
        caption=f"{len(listed)} propositions: {summary}; {total:.1f} s",
    )


def proposition_files() -> list[Path]:
    """Every file here that must define a ``PROPOSITION``: all but this one, ``__init__`` and ``_helpers``."""
    return [path for path in sorted(FOLDER.glob("*.py")) if path.stem not in _NO_PROPOSITION and path.stem[0] != "_"]


def load(path: Path) -> Proposition:
    """The proposition of one file; :class:`ProofFailure` when it defines none."""
    module = importlib.import_module(f"{__package__}.{path.stem}")
    found = getattr(module, "PROPOSITION", None)
    if not isinstance(found, Proposition):
        raise ProofFailure(f"{path.name} defines no PROPOSITION; every file of {FOLDER.name}/ states one")
    return found


def discover() -> list[Proposition]:
    """Every proposition of this folder, by number; :class:`ProofFailure` when two share a number."""
    found: dict[int, str] = {}
    propositions = []
    for path in proposition_files():
        proposition = load(path)
        if proposition.number in found:
            raise ProofFailure(f"{path.name} and {found[proposition.number]} both have number {proposition.number}")
        found[proposition.number] = path.name
        propositions.append(proposition)
    return sorted(propositions, key=lambda proposition: proposition.number)
