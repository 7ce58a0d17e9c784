"""Mixers typed as text, through the same whitelist as patterns."""

from __future__ import annotations

from typing import Any

from glmix_theory.errors import FormulaError
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.patterns.parsing import PATTERN_NAMES, Reader


def parse_mixer(text: str) -> Mixer:
    """A mixer from the expression it prints as.

    Claim: ``parse_mixer(repr(m)) == m`` for every mixer whose patterns hold no Python function; the
    name, which is not part of a mixer's identity, is not printed and so not read.

    Parameters
    ----------
    text : str
        Such as ``"Mixer(direct=Diagonal(), recurrent=Offsets(2**k))"``; of any length.

    Examples
    --------
    >>> parse_mixer("Mixer(direct=Diagonal(), recurrent=Offsets(2**k), coefficients='gated')")
    Mixer(direct=Diagonal(), recurrent=Offsets(2**k), coefficients='gated')

    Raises
    ------
    FormulaError
        The text does not parse, or uses anything but patterns, formulas and the arguments of a mixer.
    CoefficientError, PatternError, StrictnessError
        As :class:`Mixer`.
    """
    names: dict[str, Any] = {**PATTERN_NAMES, "Mixer": Mixer}
    value = Reader(text, names, longest=None, texts=True).read()
    if not isinstance(value, Mixer):
        raise FormulaError(f"{text!r} is not a mixer; an expression such as Mixer(recurrent=Offsets(2**k)) is needed")
    return value
