"""Parameters that are symbols instead of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import sympy

from glmix_theory.errors import SymbolicError, check_length
from glmix_theory.notation import n
from glmix_theory.patterns.lag_sets import LagSet


def length_or_symbol(value: Any, name: str) -> int | sympy.Symbol:
    """An int ≥ 1, or a sympy symbol declared integer and positive.

    Raises
    ------
    SymbolicError
        A symbol that is not declared ``integer=True, positive=True``, is the length ``n`` itself, or is part of
        an expression.
    LengthError
        Anything else than an int ≥ 1.
    """
    if not isinstance(value, sympy.Basic) or value.is_Integer:
        return check_length(value, name)
    if value == n:
        raise SymbolicError(f"{name} = n is the sequence length; a parameter needs a symbol of its own")
    if not isinstance(value, sympy.Symbol) or not (value.is_integer and value.is_positive):
        raise SymbolicError(
            f"{name} = {value}: a symbolic {name} is one symbol declared integer and positive, for example "
            f"sympy.Symbol({name!r}, integer=True, positive=True)"
        )
    return value


def symbols_in(value: int | sympy.Symbol) -> frozenset[sympy.Symbol]:
    """The symbol as a set; empty for a number."""
    return frozenset() if isinstance(value, int) else frozenset({value})


def substituted(value: int | sympy.Symbol, *values: Any) -> Any:
    """The parameter with numbers in place of symbols."""
    return value if isinstance(value, int) else value.subs(*values)


def refuse(what: Any) -> NoReturn:
    """Raise the error that says to substitute numbers first."""
    raise SymbolicError(
        f"{what} has symbolic parameters: its positions cannot be listed; give them numbers first, for example with "
        ".subs(symbol, 4)"
    )


@dataclass(frozen=True)
class SymbolicLags(LagSet):
    """Lags ``first … first + size - 1``, or multiples of ``step``, with a symbol for ``size`` or ``step``."""

    first: int
    size: sympy.Symbol | None = None
    step: sympy.Symbol | None = None
    largest = None

    def up_to(self, limit: int) -> np.ndarray:
        refuse("a lag set" if self.size is None else f"a window of {self.size}")

    def __contains__(self, lag: int) -> bool:
        if lag == 0:
            return self.first == 0
        refuse("a lag set")
