"""What a design has to meet: Θ classes, ceilings that hold at every length, and budgets at one length."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

import sympy

from glmix_theory.complexity.units import ITEM_BYTES
from glmix_theory.errors import FormulaError, TargetError, check_length, nearest
from glmix_theory.patterns import parse_formula
from glmix_theory.patterns.growth import Growth
from glmix_theory.patterns.growth_reading import growth_of
from glmix_theory.rendering import formula_text

SPENT = ("step_cost", "cache")
"""Quantities that a class target fixes exactly: what is spent."""

CEILINGS = ("distance", "congestion")
"""Quantities that a class target bounds from above: less is better."""

QUANTITIES = (*SPENT, *CEILINGS, "state_rank")
"""Everything a target may be set on; the state rank is bounded from below: what has to be carried."""

REPORTED = {"cache": "cache_size"}
"""Names of reports where they differ."""

_DTYPES = {"fp64": "float64", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "half": "float16"}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_WORDS = {"term": "step_cost", "row": "cache", "hop": "distance", "path": "congestion", "dimension": "state_rank"}


@dataclass(frozen=True)
class Target:
    """One target: a class (``growth``), or a number ``limit`` that holds at every ``n`` or at ``at`` alone.

    A class of the step cost or the cache is met by that class; of distance and congestion by that class or a
    smaller one; of the state rank by that class or a larger one. A number is at most (for the state rank at
    least) that many.

    >>> Target.read("cache", "sqrt(n)"), Target.read("distance", 4)
    (cache Θ(√n), distance ≤ 4 at every n)
    """

    quantity: str
    growth: Growth | None = None
    limit: int | None = None
    at: int | None = None

    @staticmethod
    def read(quantity: str, value: Any) -> Target:
        """A target from text, a sympy expression in ``glm.n`` or a number.

        Raises :class:`~glmix_theory.errors.TargetError`: an unknown quantity, a value that does not parse, is not
        positive or decreases.
        """
        if quantity not in QUANTITIES:
            raise TargetError(f"{quantity!r} is not a quantity to design for; {nearest(quantity, list(QUANTITIES))}")
        try:
            if isinstance(value, str):
                value = parse_formula(value)
            if isinstance(value, bool) or not isinstance(value, (int, sympy.Expr)):
                raise FormulaError(
                    f"{value!r} is a {type(value).__name__}; give text such as 'sqrt(n)', a sympy expression in glm.n "
                    "or an int"
                )
            expression = sympy.nsimplify(value, rational=True)
            growth = growth_of(expression)
        except FormulaError as error:
            raise TargetError(f"{quantity} = {value}: {error}") from None
        assert growth.constant is not None
        if growth.order < (0, 0, 0) or not growth.constant.is_nonnegative:
            raise TargetError(
                f"{quantity} = {value} decreases; it is the largest over all steps before n, so it never does: "
                "give a constant or a class that grows, such as log(n)"
            )
        if growth.order == (0, 0, 0):
            return Target(quantity, None, int(sympy.floor(growth.constant)))
        return Target(quantity, Growth(growth.constant, *growth.order))

    @property
    def order(self) -> tuple[Any, Any, Any]:
        """The exponents of the class; those of a constant for a number."""
        zero = sympy.Integer(0)
        return (zero, zero, zero) if self.growth is None else self.growth.order

    def __str__(self) -> str:
        name = self.quantity.replace("_", " ")
        if self.growth is not None:
            return f"{name} Θ({formula_text(self.growth.scale)})"
        where = "every n" if self.at is None else f"n = {self.at}"
        return f"{name} {'≥' if self.quantity == 'state_rank' else '≤'} {self.limit} at {where}"

    __repr__ = __str__


@dataclass(frozen=True)
class Budget:
    """Numbers to stay within at one length.

    Parameters
    ----------
    n : int
        The length, at least 1.
    step_cost, cache, distance, congestion : int, optional
        At most so many terms a step, rows, hops, paths through a node.
    state_rank : int, optional
        At least so many dimensions carried across some cut.
    cache_bytes : int, optional
        Instead of ``cache``: bytes, a key and a value of ``heads × head_width`` numbers of ``dtype`` per row.
    dtype : str
        ``bf16``, ``fp16``, ``fp32`` or a name of :data:`~glmix_theory.complexity.units.ITEM_BYTES`.
    heads, head_width : int
        Only used with ``cache_bytes``.

    Raises
    ------
    TargetError
        Nothing is limited, a limit is below 1, both ``cache`` and ``cache_bytes``, an unknown dtype.
    LengthError
        ``n``, ``heads`` or ``head_width`` below 1.

    Examples
    --------
    >>> Budget(step_cost=64, cache=4096, n=131072).targets()
    (step cost ≤ 64 at n = 131072, cache ≤ 4096 at n = 131072)
    >>> Budget(cache_bytes=2 * 2**20, dtype="bf16", heads=16, head_width=64, n=131072).targets()
    (cache ≤ 512 at n = 131072,)
    """

    n: int
    step_cost: int | None = None
    cache: int | None = None
    distance: int | None = None
    congestion: int | None = None
    state_rank: int | None = None
    cache_bytes: int | None = None
    dtype: str = "bf16"
    heads: int = 1
    head_width: int = 64

    def __post_init__(self) -> None:
        check_length(self.n)
        for name in ("heads", "head_width"):
            check_length(getattr(self, name), name)
        given = {name: getattr(self, name) for name in (*QUANTITIES, "cache_bytes")}
        given = {name: value for name, value in given.items() if value is not None}
        if not given:
            raise TargetError(f"the budget at n = {self.n} limits nothing; give step_cost=64 or cache=4096")
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise TargetError(f"{name} = {value!r}: a budget is an int of at least 1")
        if self.cache is not None and self.cache_bytes is not None:
            raise TargetError("both cache and cache_bytes are given; give one of them")
        name = _DTYPES.get(self.dtype, self.dtype)
        if name not in ITEM_BYTES:
            raise TargetError(f"dtype = {self.dtype!r} is not known; {nearest(name, [*_DTYPES, *ITEM_BYTES])}")
        if self.cache_bytes is not None and self.cache_bytes < self.row_bytes:
            raise TargetError(
                f"cache_bytes = {self.cache_bytes} holds no row: a key and a value of {self.heads} heads of "
                f"{self.head_width} at {name} are {self.row_bytes} bytes"
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of one cached row: a key and a value of all heads."""
        return 2 * self.heads * self.head_width * ITEM_BYTES[_DTYPES.get(self.dtype, self.dtype)]

    def targets(self) -> tuple[Target, ...]:
        """The limits as targets."""
        limits = {name: getattr(self, name) for name in QUANTITIES}
        if self.cache_bytes is not None:
            limits["cache"] = self.cache_bytes // self.row_bytes
        return tuple(Target(name, None, limit, self.n) for name, limit in limits.items() if limit is not None)

    @staticmethod
    def parse(text: str) -> Budget:
        """A budget from text: limits joined by ``and`` or commas, then ``at n = …``.

        A limit is a number with ``terms``, ``rows``, ``hops``, ``paths``, or bytes (``MB`` is 10^6, ``MiB`` is
        2^20) with ``bf16`` and ``16 heads of 64``.

        >>> Budget.parse("<= 64 terms and <= 4096 rows at n = 131072").targets()
        (step cost ≤ 64 at n = 131072, cache ≤ 4096 at n = 131072)
        >>> Budget.parse("2 MiB of cache at bf16 with 16 heads of 64 at n = 4096").targets()
        (cache ≤ 512 at n = 4096,)
        """
        rest = text.lower()
        values: dict[str, Any] = {}

        def take(pattern: str) -> re.Match[str] | None:
            nonlocal rest
            found = re.search(pattern, rest)
            if found is not None:
                rest = rest[: found.start()] + " " + rest[found.end() :]
            return found

        if (found := take(r"(?:at\s+)?\bn\s*=\s*(\d+)")) is not None:
            values["n"] = int(found[1])
        if (found := take(r"(?:with\s+)?(\d+)\s+heads?\s+of\s+(\d+)")) is not None:
            values["heads"], values["head_width"] = int(found[1]), int(found[2])
        if (found := take(r"(?:at\s+|in\s+)?\b(" + "|".join([*_DTYPES, *ITEM_BYTES]) + r")\b")) is not None:
            values["dtype"] = found[1]
        limit = r"(?:<=|≤|at most)?\s*(-?\d+(?:\.\d+)?)\s*"
        if (found := take(limit + r"(b|[kmg]i?b|bytes)\b(?:\s+of\s+cache)?")) is not None:
            scale = 1 if found[2] == "bytes" else _BYTES[found[2]]
            values["cache_bytes"] = int(sympy.Rational(found[1]) * scale)
        for word, name in _WORDS.items():
            if (found := take(r"(?:>=|≥|<=|≤|at most|at least)?\s*(-?\d+)\s*" + word + r"s?\b")) is not None:
                values[name] = int(found[1])
        left = re.sub(r"\b(and|with|at|of|cache|a step|per step)\b|[,;.\s]", "", rest)
        if left or "n" not in values:
            problem = f"{left!r} is not understood" if left else "the length is missing"
            raise TargetError(
                f"the budget {text!r} does not parse: {problem}; write '64 terms and 4096 rows at n = 131072' or "
                "'2 MiB at bf16 with 16 heads of 64 at n = 131072'"
            )
        return Budget(**values)

    def __repr__(self) -> str:
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return f"Budget({', '.join(f'{name}={value!r}' for name, value in given.items())})"
