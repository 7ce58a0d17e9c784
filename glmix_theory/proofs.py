"""Where the proofs are: ``proofs_checks/`` stands beside the package in a checkout, not inside a wheel."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from glmix_theory.errors import GlmixError, MissingDependencyError, UnknownNameError

FOLDER_NAME = "proofs_checks"


class ProofsNotFoundError(GlmixError, FileNotFoundError):
    """There is no ``proofs_checks/`` in the current directory or beside the package."""


def proofs_folder() -> Path:
    """The folder of proofs: in the current directory, else beside the package's checkout.

    >>> proofs_folder().name
    'proofs_checks'
    """
    places = [Path.cwd(), Path(__file__).resolve().parent.parent]
    for place in places:
        if (place / FOLDER_NAME / "framework.py").is_file():
            return place / FOLDER_NAME
    looked = " nor ".join(str(place) for place in dict.fromkeys(places))
    raise ProofsNotFoundError(
        f"there is no {FOLDER_NAME}/ in {looked}; run this in a checkout of the repository (a wheel does not hold it)"
    )


def proofs_framework() -> ModuleType:
    """The module ``proofs_checks.framework``: ``discover``, ``prove_all``, ``outcome_table`` and the rest.

    Raises
    ------
    ProofsNotFoundError
        No folder of proofs.
    MissingDependencyError
        The SMT solver is not installed.
    """
    parent = str(proofs_folder().parent)
    if parent not in sys.path:
        sys.path.insert(0, parent)
    try:
        importlib.import_module("z3")
    except ImportError as missing:
        raise MissingDependencyError(
            "the proofs need z3, which is not installed; use pip install 'glmix-theory[proofs]'"
        ) from missing
    return importlib.import_module(f"{FOLDER_NAME}.framework")


def select(propositions: Sequence[Any], numbers: Iterable[int] = ()) -> list[Any]:
    """The propositions with these numbers, or all when none is given.

    Raises :class:`~glmix_theory.errors.UnknownNameError` for a number that no proposition has.
    """
    wanted = list(numbers)
    known = {proposition.number: proposition for proposition in propositions}
    unknown = [number for number in wanted if number not in known]
    if unknown:
        raise UnknownNameError(f"there is no proposition {unknown[0]}; known: {', '.join(map(str, sorted(known)))}")
    return [known[number] for number in wanted] if wanted else list(propositions)
