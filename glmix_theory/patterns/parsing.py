"""Formulas and patterns typed as text, through a whitelist: nothing is ever evaluated as Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import sympy

from glmix_theory.errors import FormulaError, nearest
from glmix_theory.notation import k, n
from glmix_theory.patterns.base import Pattern
from glmix_theory.patterns.cache_efficient import CacheEfficient
from glmix_theory.patterns.delayed import Delayed
from glmix_theory.patterns.families import (
    Blocks,
    Explicit,
    Fenwick,
    FenwickPrefix,
    GlobalTokens,
    RandomSources,
)
from glmix_theory.patterns.staircase import Staircase
from glmix_theory.patterns.translation_invariant import Dense, Diagonal, Empty, Lags, Offsets, Strided, Window

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(sympy, name)
    for name in ("floor", "ceiling", "log", "sqrt", "factorial", "fibonacci", "binomial", "Min", "Max", "Abs")
}
"""Functions a formula may use."""

FAMILIES: dict[str, Callable[..., Pattern]] = {
    family.__name__: family
    for family in (
        Blocks,
        CacheEfficient,
        Delayed,
        Dense,
        Diagonal,
        Empty,
        Explicit,
        Fenwick,
        FenwickPrefix,
        GlobalTokens,
        Lags,
        Offsets,
        RandomSources,
        Strided,
        Window,
    )
}
"""Pattern families a text may build."""

PATTERN_NAMES: dict[str, Any] = {"k": k, "n": n, **FUNCTIONS, "Staircase": Staircase, **FAMILIES}
"""Every name that the text of a pattern may use; growths such as ``Delayed(sqrt(n))`` are in ``n``."""

_METHODS = ("strict", "shift", "blocked")
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.MatMult: operator.matmul,
}
_LONGEST_TEXT = 2000
_LARGEST_BITS = 4096


def parse_formula(text: str) -> sympy.Expr:
    """A formula in ``k`` or ``n`` as a sympy expression.

    Allowed: integers, ``k``, ``n``, ``+ - * / // % **``, brackets and the names in :data:`FUNCTIONS`.

    Raises
    ------
    FormulaError
        The text does not parse, or uses anything else (says what, and the nearest allowed name).

    Examples
    --------
    >>> parse_formula("k**2 + 1")
    k**2 + 1
    >>> parse_formula("flor(k / 2)")
    Traceback (most recent call last):
    glmix_theory.errors.FormulaError: 'flor' is not allowed in a formula; did you mean 'floor'?
    """
    value = Reader(text, {"k": k, "n": n, **FUNCTIONS}).read()
    if not isinstance(value, sympy.Expr) or value.has(sympy.zoo, sympy.nan):
        raise FormulaError(f"{text!r} is not a formula; an expression such as k**2 + 1 is needed")
    return value


def parse_pattern(text: str) -> Pattern:
    """A pattern from the expression it prints as.

    Claim: ``parse_pattern(repr(p)) == p`` for every pattern built from the families and the algebra
    (not for callables).

    >>> parse_pattern("Window(2) | Offsets(2**k).shift(3)")
    Window(2) | Offsets(2**k).shift(3)

    Raises
    ------
    FormulaError
        As :func:`parse_formula`; and the errors of the pattern's own constructor.
    """
    value = Reader(text, PATTERN_NAMES).read()
    if not isinstance(value, Pattern):
        raise FormulaError(f"{text!r} is not a pattern; an expression such as Offsets(2**k) is needed")
    return value


class Reader:
    """Reads one expression made of the given names, integers, arithmetic and calls.

    Parameters
    ----------
    text : str
        The expression.
    names : mapping
        What a name stands for.
    longest : int or None
        Most characters that are read; ``None`` for text the toolkit wrote itself.
    texts : bool
        Whether quoted text is allowed as an argument.
    """

    def __init__(
        self, text: str, names: dict[str, Any], longest: int | None = _LONGEST_TEXT, texts: bool = False
    ) -> None:
        self.text, self.names, self.longest, self.texts = text, names, longest, texts

    def read(self) -> Any:
        """The value, or :class:`~glmix_theory.errors.FormulaError`."""
        if self.longest is not None and len(self.text) > self.longest:
            raise FormulaError(f"the formula has {len(self.text)} characters; at most {self.longest} are read")
        try:
            tree = ast.parse(self.text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise FormulaError(
                f"{self.text!r} does not parse; write Python arithmetic such as 2**k, k**2 + 1 or floor(k/2) + 1"
            ) from None
        try:
            return self._value(tree.body)
        except (TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
            raise FormulaError(f"{self.text!r} has no value: {error}") from None

    def _value(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            if node.value.bit_length() > _LARGEST_BITS:
                raise FormulaError(f"the formula holds an integer of {node.value.bit_length()} bits")
            return sympy.Integer(node.value)
        if self.texts and isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            value = self._value(node.operand)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp):
            left, right = self._value(node.left), self._value(node.right)
            if isinstance(node.op, ast.Pow):
                return self._power(left, right)
            if type(node.op) in _OPERATORS:
                return _OPERATORS[type(node.op)](left, right)
        if isinstance(node, (ast.List, ast.Tuple)):
            items = [self._value(element) for element in node.elts]
            return items if isinstance(node, ast.List) else tuple(items)
        if isinstance(node, ast.Call):
            function = self._callee(node.func)
            arguments = [self._value(argument) for argument in node.args]
            keywords = {word.arg: self._value(word.value) for word in node.keywords if word.arg is not None}
            if len(keywords) == len(node.keywords):
                self._refuse_huge(node, arguments)
                return function(*map(_plain, arguments), **{name: _plain(v) for name, v in keywords.items()})
        raise FormulaError(f"{ast.unparse(node)!r} is not allowed in a formula; write arithmetic such as k**2 + 1")

    def _name(self, name: str) -> Any:
        if name not in self.names:
            raise FormulaError(f"{name!r} is not allowed in a formula; {nearest(name, list(self.names))}")
        return self.names[name]

    def _callee(self, node: ast.AST) -> Callable[..., Any]:
        if isinstance(node, ast.Attribute) and node.attr in _METHODS:
            owner = self._value(node.value)
            if isinstance(owner, Pattern):
                return getattr(owner, node.attr)
        if isinstance(node, ast.Name):
            function = self._name(node.id)
            if not isinstance(function, sympy.Basic):
                return function
        raise FormulaError(f"{ast.unparse(node)!r} cannot be called in a formula")

    @staticmethod
    def _refuse_huge(node: ast.Call, arguments: list[Any]) -> None:
        fast_growing = isinstance(node.func, ast.Name) and node.func.id in (
            "factorial",
            "fibonacci",
            "binomial",
        )
        if fast_growing and any(getattr(a, "is_Integer", False) and a > _LARGEST_BITS for a in arguments):
            raise FormulaError(f"{ast.unparse(node)!r}: arguments above {_LARGEST_BITS} are not allowed there")

    @staticmethod
    def _power(base: Any, exponent: Any) -> Any:
        if getattr(base, "is_number", False) and getattr(exponent, "is_number", False):
            bits = float(sympy.Abs(exponent)) * max(1.0, float(sympy.log(sympy.Abs(base) + 2, 2)))
            if bits > _LARGEST_BITS:
                raise FormulaError(f"a power with more than {_LARGEST_BITS} bits is not allowed in a formula")
        return base**exponent


def _plain(value: Any) -> Any:
    """Sympy integers as Python ints, also inside lists and pairs: what constructors expect."""
    if isinstance(value, sympy.Integer):
        return int(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value
