"""What a command-line argument means: a formula, a pattern, a catalogue name or an object in a file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from glmix_theory.errors import FormulaError, LengthError, UnknownNameError, check_length, nearest
from glmix_theory.mixers import Mixer, catalogue
from glmix_theory.patterns import CacheEfficient, Diagonal, Offsets, Pattern, parse_formula, parse_pattern


def resolve(target: str, cache_efficient: bool = False) -> Mixer:
    """The mixer a command-line target means.

    A formula in ``k`` is the recurrence ``Offsets(f)`` (or ``CacheEfficient(f)``) with a diagonal direct
    part; a strict pattern is a recurrence; a pattern that touches the diagonal is read directly.

    >>> resolve("k**2 + 1", cache_efficient=True)
    Mixer(direct=Diagonal(), recurrent=CacheEfficient(k**2 + 1))

    Raises
    ------
    UnknownNameError, FormulaError
        Nothing of that name; a text that is neither a name, a formula nor a pattern.
    """
    if target in catalogue:
        _refuse_flag(cache_efficient, target)
        return catalogue[target]
    if ".py:" in target:
        _refuse_flag(cache_efficient, target)
        return _load(*target.rsplit(":", 1))
    if target.isidentifier() and target != "k":
        raise UnknownNameError(f"no catalogue entry is named {target!r}; {nearest(target, catalogue.names())}")
    try:
        formula = parse_formula(target)
    except FormulaError as error:
        if not target[:1].isupper() and target[:1] != "(":
            raise error from None
        _refuse_flag(cache_efficient, target)
        return _as_mixer(parse_pattern(target))
    family = CacheEfficient if cache_efficient else Offsets
    return Mixer(direct=Diagonal(), recurrent=family(formula))


def parse_lengths(text: str) -> list[int]:
    """Lengths from ``"1-4,10"``.

    >>> parse_lengths("1-4,10")
    [1, 2, 3, 4, 10]
    """
    lengths: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise LengthError(f"lengths {text!r} do not parse at {piece!r}; write 1-64 or 1,2,3")
        lengths += range(check_length(int(first)), check_length(int(last or first)) + 1)
    return lengths


def _as_mixer(value: object) -> Mixer:
    if isinstance(value, Mixer):
        return value
    if isinstance(value, Pattern):
        if value.first_diagonal() is None:
            return Mixer(direct=Diagonal(), recurrent=value)
        return Mixer(direct=value)
    raise FormulaError(f"{value!r} is a {type(value).__name__}; a Mixer or a pattern is needed")


def _load(path: str, name: str) -> Mixer:
    file = Path(path)
    if not file.is_file():
        raise UnknownNameError(f"there is no file {path!r}; FILE.py:OBJECT needs a Python file that exists")
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise UnknownNameError(f"{path} defines no {name!r}; {nearest(name, public)}")
    return _as_mixer(getattr(module, name))


def _refuse_flag(cache_efficient: bool, target: str) -> None:
    if cache_efficient:
        raise FormulaError(f"--cache-efficient applies to a formula in k such as 'k**2 + 1', not to {target!r}")
