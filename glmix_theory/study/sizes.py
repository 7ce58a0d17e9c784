"""Sizes of tasks, model and training: for seconds, for hours on two cores, for a GPU."""

from __future__ import annotations

from dataclasses import dataclass

from glmix_theory.errors import UnknownNameError, nearest
from glmix_theory.study.configuration import Problem, Schedule, Shape
from glmix_theory.study.language import LanguageModelling
from glmix_theory.study.tasks import AssociativeRecall, Copy, MultiHopRecall, PermutationComposition, SelectiveCopy


@dataclass(frozen=True)
class Setting:
    """A problem with the model and the training it is studied with.

    Parameters
    ----------
    problem : Task or LanguageModelling
        Sizes of the problem.
    shape, schedule : Shape, Schedule
        Sizes of the model; the training.
    """

    problem: Problem
    shape: Shape
    schedule: Schedule


_SMALL = Shape(d_model=32, n_heads=8)
_MIDDLE = Shape(d_model=64, n_heads=8)
_LARGE = Shape(d_model=128, n_heads=8, n_layers=4)
_MICRO = Schedule(steps=600, batch=32, validate_every=50, held_out=128, rates=(5e-3,))
_LONG = Schedule(steps=2000, batch=32, validate_every=100, held_out=512, rates=(3e-3, 1e-2))
_SHORT = Schedule(steps=1000, batch=32, validate_every=100, held_out=512, rates=(3e-3, 1e-2))
_SLOW = Schedule(steps=2000, batch=32, validate_every=100, held_out=512, rates=(1e-3, 3e-3))
_HARD = Schedule(steps=2500, batch=32, validate_every=100, held_out=512, rates=(1e-3, 3e-3))
_LONGEST = Schedule(steps=20000, batch=128, validate_every=500, held_out=1024)

SIZES: dict[str, tuple[Setting, ...]] = {
    "micro": (
        Setting(Copy(tokens=6, symbols=4), _SMALL, _MICRO),
        Setting(SelectiveCopy(context=8, kept=3, symbols=4), _SMALL, _MICRO),
        Setting(AssociativeRecall(pairs=3, queries=3, keys=4, values=4), _SMALL, _MICRO),
        Setting(MultiHopRecall(chains=2, hops=2, queries=4, keys=4, values=4), _SMALL, _MICRO),
        Setting(PermutationComposition(items=3, words=5), _SMALL, _MICRO),
        Setting(
            LanguageModelling(context=64),
            _SMALL,
            Schedule(steps=60, batch=8, validate_every=20, held_out=32, rates=(1e-2,), solved=None),
        ),
    ),
    "standard": (
        Setting(Copy(tokens=31, symbols=16), _MIDDLE, _LONG),
        Setting(SelectiveCopy(context=32, kept=8, symbols=16), _MIDDLE, _LONG),
        Setting(AssociativeRecall(pairs=12, queries=12, keys=24, values=8), _MIDDLE, _SLOW),
        Setting(MultiHopRecall(chains=2, hops=3, queries=6, keys=12, values=8), _MIDDLE, _HARD),
        Setting(PermutationComposition(items=5, words=16), _MIDDLE, _SHORT),
        Setting(
            LanguageModelling(context=512),
            _MIDDLE,
            Schedule(steps=400, batch=8, validate_every=100, held_out=256, rates=(3e-3, 1e-2), solved=None),
        ),
    ),
    "large": (
        Setting(Copy(tokens=250, symbols=16), _LARGE, _LONGEST),
        Setting(SelectiveCopy(context=480, kept=60, symbols=16), _LARGE, _LONGEST),
        Setting(AssociativeRecall(pairs=64, queries=64, keys=128, values=64), _LARGE, _LONGEST),
        Setting(MultiHopRecall(chains=8, hops=8, queries=64, keys=128, values=64), _LARGE, _LONGEST),
        Setting(PermutationComposition(items=5, words=64), _LARGE, _LONGEST),
        Setting(
            LanguageModelling(context=2048),
            Shape(d_model=512, n_heads=8, n_layers=6),
            Schedule(steps=10000, batch=32, validate_every=500, held_out=512, rates=(1e-3, 3e-3), solved=None),
        ),
    ),
}
"""Settings by size; each size has every task, and language modelling."""


def setting_of(size: str, problem: str) -> Setting:
    """The setting of a problem at a size.

    Raises
    ------
    UnknownNameError
        No problem of that name.
    """
    settings = {setting.problem.name: setting for setting in SIZES[size]}
    if problem not in settings:
        raise UnknownNameError(f"no task is named {problem!r}; {nearest(problem, list(settings))}")
    return settings[problem]
