"""How many values of an index function lie below ``n``: closed where it has an inverse, implicit elsewhere."""

from __future__ import annotations

from typing import Any

import sympy

from glmix_theory.notation import k, n
from glmix_theory.patterns.growth import Growth
from glmix_theory.patterns.monotone import exponential_polynomial
from glmix_theory.patterns.rounding import ceiling, floor

_x = sympy.Symbol("x", positive=True)


def inverse(expression: sympy.Expr) -> sympy.Expr | None:
    """``g(n)`` with ``f(k) < n ⇔ k < g(n)`` for ``n > f(0)``, or ``None``.

    Linear and quadratic polynomials, ``c k^d + e`` and ``c b^k + e``.

    >>> inverse(k**2 + 1), inverse(3 * 2**k)
    (sqrt(n - 1), log(n/3)/log(2))
    """
    form = exponential_polynomial(expression)
    if form is None:
        return None
    if list(form) == [1]:
        return _polynomial_inverse(form[sympy.Integer(1)])
    bases = [base for base in form if base != 1]
    if len(bases) != 1 or bases[0] < 1 or any(p.degree() > 0 for p in form.values()):
        return None
    coefficient = form[bases[0]].LC()
    constant = form[sympy.Integer(1)].LC() if sympy.Integer(1) in form else sympy.Integer(0)
    return None if coefficient < 0 else sympy.log((n - constant) / coefficient) / sympy.log(bases[0])


def _polynomial_inverse(polynomial: sympy.Poly) -> sympy.Expr | None:
    leading, degree = polynomial.LC(), polynomial.degree()
    constant = polynomial.coeff_monomial(1)
    if leading < 0 or degree < 1:
        return None
    if (polynomial - leading * sympy.Poly(k**degree, k) - sympy.Poly(constant, k)).is_zero:
        return sympy.root((n - constant) / leading, degree)
    if degree == 2:
        linear = polynomial.coeff_monomial(k)
        inside = sympy.expand(linear**2 - 4 * leading * (constant - n))
        return sympy.expand((sympy.sqrt(inside) - linear) / (2 * leading))
    return None


def count_below(expression: sympy.Expr, first: int) -> sympy.Expr | None:
    """``#{k : f(k) < n}`` in closed form for every ``n ≥ 1`` and ``f`` increasing from ``f(0) = first``; or ``None``.

    ``f(k) < n ⇔ k < g(n)`` for the inverse ``g``, so the count is ``⌈g(n)⌉`` for ``n > f(0)`` and 0 before. For
    integers ``c``: ``⌊h(k)⌋ + c < n ⇔ h(k) < n - c`` and ``⌈h(k)⌉ + c < n ⇔ h(k) ≤ n - c - 1``.
    """
    solved = inverse(expression)
    count = None if solved is None else _rounded_up(solved)
    zero_at_first = count is not None and count.subs(n, first) == 0
    constant, varying = expression.as_coeff_Add()
    rounded = [term for term in sympy.Add.make_args(varying) if isinstance(term, (sympy.floor, sympy.ceiling))]
    if constant.is_Integer and len(rounded) == 1 and (varying - rounded[0]).is_integer:
        # integers move into the rounding: ⌊h⌋ + m = ⌊h + m⌋
        solved = inverse(rounded[0].args[0] + varying - rounded[0])
        if solved is not None and isinstance(rounded[0], sympy.floor):
            count = _rounded_up(solved.subs(n, n - constant))
        elif solved is not None:
            count = floor(solved.subs(n, n - constant - 1)) + 1
    if count is None or (first == 1 and zero_at_first):
        return count
    return sympy.Piecewise((0, n <= first), (count, True))


def _rounded_up(bound: sympy.Expr) -> sympy.Expr:
    return sympy.ceiling(bound) if bound.is_rational_function(n) else ceiling(bound)


def count_growth(expression: sympy.Expr) -> tuple[Growth, str] | None:
    """Growth of ``#{k : f(k) < n}`` with the reason, or ``None``.

    >>> count_growth(sympy.factorial(k + 1))[0].scale
    log(n)/log(log(n))
    """
    one = sympy.Integer(1)
    smooth = expression.replace(sympy.floor, lambda a: a).replace(sympy.ceiling, lambda a: a)
    smooth = sympy.expand(smooth)
    form = exponential_polynomial(smooth)
    fast = [term for term in sympy.Add.make_args(smooth) if term.has(sympy.factorial)]
    golden = [term for term in sympy.Add.make_args(smooth) if term.has(sympy.fibonacci)]
    if fast and _is_factorial(fast) and _plain(smooth - sympy.Add(*fast) - sympy.Add(*golden)):
        reason = "log f(k) ~ k log k (Stirling), so log n ~ K log K for the count K, and K ~ log n/log log n"
        return Growth(one, sympy.Integer(0), one, -one), reason
    if golden and not fast and _is_fibonacci(golden):
        rest = exponential_polynomial(smooth - sympy.Add(*golden))
        if rest is not None:
            top = max([sympy.GoldenRatio, *rest], key=lambda base: sympy.N(base))
            return _logarithmic(sympy.log(top), f"log f(k) ~ k log({top}) (Binet)")
    if form is not None:
        top, leading = next(iter(form.items()))
        if top > 1:
            return _logarithmic(sympy.log(top), f"log f(k) ~ k log {top}, the largest base")
        if top == 1:
            power = sympy.Rational(1, leading.degree())
            constant = (1 / leading.LC()) ** power
            reason = f"f(k) ~ {leading.LC()} k^{leading.degree()}, so the count is ~ (n/{leading.LC()})^{power}"
            return Growth(constant, power), reason
    return None if fast or golden else _by_limits(smooth)


def _logarithmic(slope: sympy.Expr, reason: str) -> tuple[Growth, str]:
    return Growth(1 / slope, sympy.Integer(0), sympy.Integer(1)), f"{reason}, so the count is ~ log n/{slope}"


def _by_limits(smooth: sympy.Expr) -> tuple[Growth, str] | None:
    """``f ~ c k^a (log k)^e``: the count is ``~ (n a^e / (c (log n)^e))^(1/a)``; ``log f ~ b k``: ``~ log n/b``."""
    real = smooth.subs(k, _x)
    try:
        slope = sympy.limit(sympy.log(real) / _x, _x, sympy.oo)
        if slope.is_positive and slope.is_finite:
            return _logarithmic(slope, f"log f(k)/k → {slope}")
        power = sympy.nsimplify(sympy.limit(sympy.log(real) / sympy.log(_x), _x, sympy.oo))
        if slope != 0 or not (power.is_Rational and power.is_positive):
            return None
        rest = sympy.simplify(real / _x**power)
        logs = sympy.limit(sympy.log(rest) / sympy.log(sympy.log(_x)), _x, sympy.oo) if rest.has(_x) else 0
        constant = sympy.limit(real / (_x**power * sympy.log(_x) ** logs), _x, sympy.oo)
    except (NotImplementedError, ValueError, AttributeError):
        return None
    if not (constant.is_positive and constant.is_finite and sympy.sympify(logs).is_Integer):
        return None
    growth = Growth((power**logs / constant) ** (1 / power), 1 / power, sympy.Integer(-logs) / power)
    return growth, f"f(k) ~ {constant} k^{power} (log k)^{logs} (limit of the ratio), solved for k"


def _is_factorial(terms: list[sympy.Expr]) -> bool:
    pairs = [term.as_coeff_Mul() for term in terms]
    return all(c > 0 and isinstance(t, sympy.factorial) and (t.args[0] - k).is_Integer for c, t in pairs)


def _is_fibonacci(terms: list[sympy.Expr]) -> bool:
    pairs = [term.as_coeff_Mul() for term in terms]
    return all(c > 0 and isinstance(t, sympy.fibonacci) and (t.args[0] - k).is_Integer for c, t in pairs)


def _plain(rest: sympy.Expr) -> bool:
    return exponential_polynomial(rest) is not None


class _Implicit(sympy.Function):
    """A function of ``(Lambda(k, f(k)), n)`` that evaluates exactly at integers ``n``."""

    nargs = 2
    is_integer = True
    is_nonnegative = True
    is_finite = True

    @classmethod
    def eval(cls, function: Any, length: Any) -> Any:
        """The integer at an integer length."""
        if isinstance(length, (sympy.Integer, int)):
            from glmix_theory.patterns.index_functions import IndexFunction

            index = function.variables[0]
            return sympy.Integer(cls.exact(IndexFunction.cached(function.expr.subs(index, k)), int(length)))
        return None

    @staticmethod
    def exact(function: Any, length: int) -> int:
        """What the function stands for."""
        raise NotImplementedError

    def _sympystr(self, printer: Any) -> str:
        return self.form.format(f=self.args[0].expr, n=printer._print(self.args[1]))

    def _latex(self, printer: Any) -> str:
        body, length = printer._print(self.args[0].expr), printer._print(self.args[1])
        return self.latex_form.replace("F", body).replace("N", length)

    form = ""
    latex_form = ""


class TermsBelow(_Implicit):
    """``#{k : f(k) < n}``, for an ``f`` without an inverse in closed form.

    >>> f = sympy.Lambda(k, sympy.factorial(k + 1))
    >>> TermsBelow(f, n), TermsBelow(f, 7), TermsBelow(f, sympy.Integer(10) ** 12)
    (#{k : factorial(k + 1) < n}, 3, 14)
    """

    form = "#{{k : {f} < {n}}}"
    latex_form = r"\#\left\{k : F < N\right\}"

    @staticmethod
    def exact(function: Any, length: int) -> int:
        """``#{k : f(k) < length}``."""
        return function.count(length - 1)


class SumBelow(_Implicit):
    """``Σ f(k)`` over the ``k`` with ``f(k) < n``.

    >>> SumBelow(sympy.Lambda(k, sympy.factorial(k + 1)), 7)
    9
    """

    form = "sum{{{f} < {n}}}"
    latex_form = r"\sum_{F < N} F"

    @staticmethod
    def exact(function: Any, length: int) -> int:
        """The sum."""
        return function.prefix_sum(function.count(length - 1))
