"""What a run is: a mixer, a problem, sizes, a schedule, a learning rate and a seed. All plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from glmix_theory.errors import StudyError, UnknownNameError, check_length, nearest
from glmix_theory.mixers import Mixer, catalogue
from glmix_theory.study.language import LanguageModelling
from glmix_theory.study.tasks import TASKS, Task, task_of

PROTOCOL = 1
"""Version of what a run does; a change that moves results raises it, and older results are not reused."""

Problem = Task | LanguageModelling


@dataclass(frozen=True)
class Shape:
    """Sizes of the model: ``GLMLanguageModel`` with a per-lag bias in every mixer.

    Parameters
    ----------
    d_model, n_heads, n_layers : int
        Width of the rows, heads of each mixer, blocks.
    slope : float
        The per-lag bias of head ``h`` (from 0) starts at ``-slope · 4^-h`` times the lag's class (ALiBi,
        arXiv:2108.12409): recurrences that start by averaging all they read do not learn to recall.
    """

    d_model: int = 64
    n_heads: int = 8
    n_layers: int = 2
    slope: float = 2.0

    def __post_init__(self) -> None:
        for name in ("d_model", "n_heads", "n_layers"):
            check_length(getattr(self, name), name)
        if not 0 <= self.slope < float("inf"):
            raise StudyError(f"slope = {self.slope!r}; a finite number of at least 0 is needed")


@dataclass(frozen=True)
class Schedule:
    """How a model is trained: AdamW, linear warm-up, cosine decay to a tenth, clipped gradients.

    Parameters
    ----------
    steps, batch : int
        Most steps; sequences in each.
    validate_every : int
        Steps between validations; a checkpoint is written at each.
    held_out : int
        Sequences of the validation split, and of the test split.
    rates : tuple of float
        The grid of peak learning rates.
    solved : float or None
        Training stops at a validation accuracy of at least this, at the second time in a row; ``None``: never.
    warm_up : float
        Fraction of the steps.
    weight_decay : float
        On matrices; not on gains, biases, gates and per-lag biases.
    clip : float
        Largest norm of the gradient.
    """

    steps: int = 1000
    batch: int = 32
    validate_every: int = 100
    held_out: int = 256
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    solved: float | None = 0.999
    warm_up: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every", "held_out"):
            check_length(getattr(self, name), name)
        if not self.rates or not all(0 < rate < float("inf") for rate in self.rates):
            raise StudyError(f"rates = {self.rates!r}; at least one positive learning rate is needed")
        if not 0 <= self.warm_up <= 1:
            raise StudyError(f"warm_up = {self.warm_up!r}; a fraction of the steps, 0 … 1, is needed")


@dataclass(frozen=True)
class Run:
    """One training: everything its result depends on but the machine and the versions.

    Parameters
    ----------
    name : str
        What tables call the mixer; not part of the identity.
    mixer : Mixer
        What is trained.
    problem : Task or LanguageModelling
        On what.
    shape, schedule : Shape, Schedule
        With which sizes, for how long.
    rate : float
        Peak learning rate.
    seed : int
        Of the initial weights and of the training data.
    device : str
        ``"cpu"`` or ``"cuda"``.
    """

    name: str = field(compare=False)
    mixer: Mixer
    problem: Problem
    shape: Shape
    schedule: Schedule
    rate: float
    seed: int
    device: str = "cpu"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, in full: what a results line says the run was."""
        return {**self.cell(), "rate": self.rate, "seed": self.seed}

    def cell(self) -> dict[str, Any]:
        """The same without rate and seed: what the chosen rate and the spread over seeds belong to."""
        schedule = asdict(self.schedule)
        schedule["rates"] = list(schedule["rates"])
        return {
            "protocol": PROTOCOL,
            "mixer": repr(self.mixer),
            "problem": self.problem.to_dict(),
            "shape": asdict(self.shape),
            "schedule": schedule,
            "device": self.device,
        }

    @property
    def key(self) -> str:
        """Name of this run in files: a digest of :meth:`to_dict`.

        >>> import glmix_theory as glm
        >>> run = Run("a", glm.Mixer(), task_of("copy"), Shape(), Schedule(), 1e-3, 0)
        >>> len(run.key), run.key == Run("b", glm.Mixer(), task_of("copy"), Shape(), Schedule(), 1e-3, 0).key
        (16, True)
        """
        return digest(self.to_dict())


def digest(data: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of plain data written as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def mixers_of(chosen: Mapping[str, Mixer] | Mixer | str | Sequence[str] | None) -> dict[str, Mixer]:
    """Mixers by name: of a mapping, one mixer, catalogue names, or the nine of Table 1 (``None``).

    >>> list(mixers_of(None))[:2], list(mixers_of("attention"))
    (['attention', 'local_attention'], ['attention'])

    Raises
    ------
    UnknownNameError
        A name that is not in the catalogue.
    StudyError
        Neither mixers nor names.
    """
    if chosen is None:
        return {entry.name: catalogue[entry.name] for entry in catalogue.table1()}
    if isinstance(chosen, Mixer):
        return {chosen.name or repr(chosen): chosen}
    if isinstance(chosen, Mapping):
        return dict(chosen)
    names = [chosen] if isinstance(chosen, str) else list(chosen)
    if not all(isinstance(name, str) for name in names):
        raise StudyError(f"{chosen!r} does not say what to train; give a Mixer, names, or a dict from name to Mixer")
    return {name: catalogue[name] for name in names}


def problem_of(problem: Problem | str | dict[str, Any]) -> Problem:
    """A task or language modelling, from an object, a name or plain data.

    >>> problem_of("language").name
    'language'

    Raises
    ------
    UnknownNameError
        No problem of that name.
    """
    if isinstance(problem, LanguageModelling):
        return problem
    name = problem.get("name") if isinstance(problem, dict) else problem
    if name == LanguageModelling.name:
        context = problem.get("context", 512) if isinstance(problem, dict) else 512
        return LanguageModelling(context)
    if isinstance(problem, str) and problem not in TASKS:
        known = [*TASKS, LanguageModelling.name]
        raise UnknownNameError(f"no task is named {problem!r}; {nearest(problem, known)}")
    return task_of(problem)
