"""Costs in real units: floating-point operations, bytes held, bytes moved, and the side of a roofline.

Counted is what is mathematically necessary for the terms of the pattern: one score, one weighted row per
term. One multiply-add is 2 flops. Not counted: the softmax (an exponential, a sum and a division per term),
the query, key, value and output projections, and the zeros that a dense panel multiplies. A pair ``(t, s)``
named by two parts is two terms, with a score each.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from glmix_theory.complexity.cache import cache_size
from glmix_theory.complexity.cost import step_cost, total_cost
from glmix_theory.complexity.quantity import Bounds, Quantity
from glmix_theory.errors import CoefficientError, LengthError, SymbolicError, UnknownNameError, check_length, nearest
from glmix_theory.mixers import Mixer
from glmix_theory.mixers.entries.record import COEFFICIENT_KINDS
from glmix_theory.notation import n as length_symbol

PHASES = ("decode", "prefill", "forward", "backward")
"""One step of decoding (the costliest before ``n``); a whole prefix; a training forward; its backward."""

ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1}
"""Bytes of one number, by dtype name."""

d, h, r = sympy.symbols("d h r", integer=True, positive=True)
"""Width of one head, number of heads and state expansion, where they are not given as numbers."""

Size = Any
"""An int ≥ 1, a sympy symbol, or ``None`` for the symbol of this module."""


@dataclass(frozen=True)
class Machine:
    """A machine as the roofline model sees it: peak arithmetic and peak memory traffic.

    Claim: a computation of ``I`` flops per byte is bound by memory when ``I < flops_per_second / bytes_per_second``.

    >>> Machine(flops_per_second=10**15, bytes_per_second=4 * 10**12).balance
    Fraction(250, 1)
    """

    flops_per_second: float
    bytes_per_second: float

    def __post_init__(self) -> None:
        for name in ("flops_per_second", "bytes_per_second"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise LengthError(f"{name} = {value!r}; a finite number above 0 is needed")

    @property
    def balance(self) -> Fraction:
        """Flops the machine can do while one byte moves."""
        return Fraction(self.flops_per_second) / Fraction(self.bytes_per_second)


def term_flops(part: str, kind: str, phase: str, d: sympy.Expr, r: sympy.Expr, scores: bool = True) -> sympy.Expr:
    """Flops of one term of one part in one head.

    Forward, a term is a score ``q·k``, ``2d`` (left out with ``scores=False``), and a weighted row. A row is
    ``r × d``. Weighted rows of ``A`` and ``C`` take ``2rd``; of ``B``, by kind:

    - ``scalar``: ``2rd``, a number times the row, added;
    - ``diagonal``: ``2rd``, a number per state row (more coefficients, as many multiplications);
    - ``householder``, ``I - β k kᵀ``: ``u = kᵀY`` is ``2rd``, ``βu`` is ``d``, adding ``Y`` is ``rd`` and adding
      ``-k(βu)`` is ``2rd``: ``5rd + d``;
    - ``dense block``: ``2r²d``.

    Backward, term by term and with nothing recomputed: the score has gradients in ``q`` and in ``k``, ``2d``
    each; the weighted row has a gradient in the coefficient (an inner product) and in the row (the transposed
    product), each as much as forward, so twice the forward. For ``householder`` the row takes ``5rd + d`` and
    ``w = kᵀL`` is kept; ``β`` takes ``2d``, and ``k``, ``-L(βu) - Y(βw)``, takes ``4rd``: ``9rd + 3d``.

    >>> term_flops("direct", "scalar", "forward", d, r), term_flops("recurrent", "dense block", "backward", d, r)
    (2*d*r + 2*d, 4*d*r**2 + 4*d)
    """
    backward = phase == "backward"
    times = 2 if backward else 1
    score = times * 2 * d if scores else sympy.Integer(0)
    if part == "recurrent" and kind == "householder":
        row = 9 * r * d + 3 * d if backward else 5 * r * d + d
    elif part == "recurrent" and kind == "dense block":
        row = times * 2 * r**2 * d
    else:
        row = times * 2 * r * d
    return sympy.expand(score + row)


def flops(
    mixer: Mixer,
    phase: str = "decode",
    *,
    d: Size = None,
    heads: Size = None,
    r: Size = None,
    coefficient_kind: str = "scalar",
    scores: bool = True,
    at: int | None = None,
) -> Any:
    """Necessary flops of one sequence, in ``n``, ``d`` (width of one head) and ``h`` (heads).

    Claim: ``h · Σ_parts terms(part) · term_flops(part)``, with the terms of the costliest step ``t < n`` for
    ``decode`` and of all steps for ``prefill``, ``forward`` (equal: a prefill is a forward) and ``backward``
    (the gradients alone). For softmax layers that is ``4dh`` per term forward and ``8dh`` backward.

    Where parts weigh differently, the largest weighted sum is the sum of the largest whenever the step cost is
    the sum of the parts' step costs: some step then has all of them. Otherwise steps are weighed one by one,
    at a given length.

    Parameters
    ----------
    mixer : Mixer
        Its parts say which terms there are.
    phase : str
        One of :data:`PHASES`.
    d, heads : int or sympy symbol, optional
        Width of one head and number of heads; the symbols ``d`` and ``h`` by default.
    r : int or sympy symbol, optional
        State expansion; the mixer's own by default.
    coefficient_kind : str
        What a recurrent coefficient is; see :func:`term_flops`.
    scores : bool
        Whether coefficients are made from one ``q·k`` per term.
    at : int, optional
        A length: exact also where there is no closed form; an int when nothing is left symbolic.

    Raises
    ------
    UnknownNameError, CoefficientError
        An unknown phase, an unknown kind.
    LengthError
        A size below 1, or no closed form and no ``at``.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> flops(glm.Mixer(direct=glm.Dense()))
    4*d*h*n
    >>> flops(glm.Mixer(direct=glm.Dense()), "backward", d=64, heads=8, at=1024)
    2149580800
    """
    _known(phase, PHASES, "phase")
    if coefficient_kind not in COEFFICIENT_KINDS:
        hint = nearest(str(coefficient_kind), list(COEFFICIENT_KINDS))
        raise CoefficientError(f"coefficient_kind = {coefficient_kind!r} is not known; {hint}")
    width, count, state = _sizes(mixer, d, heads, r)
    each = {part: term_flops(part, coefficient_kind, phase, width, state, scores) for part in mixer.parts}
    make = step_cost if phase == "decode" else total_cost
    if len(set(each.values())) <= 1:
        weight = next(iter(each.values()), sympy.Integer(0))
        return _times(_value(make(mixer), at), count * weight)
    parts = {part: _value(make(Mixer(direct=pattern)), at) for part, pattern in mixer.parts.items()}
    total = sum((each[part] * terms for part, terms in parts.items()), sympy.Integer(0))
    if phase != "decode" or sympy.simplify(_value(make(mixer), at) - sum(parts.values())) == 0:
        return _times(total, count)
    if at is None:
        raise LengthError("the parts peak at different steps and weigh differently: no closed form; give at=n")
    degrees = np.stack([pattern.in_degrees(at) for pattern in mixer.parts.values()], axis=1)
    steps = {tuple(int(value) for value in row) for row in np.unique(degrees, axis=0)}
    return _times(sympy.Max(*(sum(a * b for a, b in zip(step, each.values())) for step in steps)), count)


def cache_bytes(
    mixer: Mixer,
    *,
    d: Size = None,
    heads: Size = None,
    r: Size = None,
    dtype: Any = "bfloat16",
    keys: bool = True,
    at: int | None = None,
) -> Any:
    """Bytes a decode cache of one sequence holds: ``rows · 2 · d · h · itemsize``, a key and a value per row.

    Claim: equals ``cache.nbytes`` of an exported layer at batch 1 and position ``n`` for every pattern whose
    cache size is exact; where it is :class:`Bounds`, the layer has the upper one. ``keys=False`` counts the
    values alone, for coefficients that need no stored key. Parameters as for :func:`flops`; ``dtype`` is a name
    in :data:`ITEM_BYTES` or the torch dtype of that name.

    >>> import glmix_theory as glm
    >>> cache_bytes(glm.Mixer(direct=glm.Window(4)), d=8, heads=2, dtype="float32", at=100)
    384
    """
    row = _row_bytes(mixer, d, heads, r, dtype, keys)
    return _times(_value(cache_size(mixer), at), row / mixer.state)


def decode_bytes(
    mixer: Mixer,
    *,
    d: Size = None,
    heads: Size = None,
    r: Size = None,
    dtype: Any = "bfloat16",
    keys: bool = True,
    at: int | None = None,
) -> Any:
    """Bytes the costliest decode step ``t < n`` moves: one row per term read once, and the new rows written.

    Claim: ``(step cost + written) · 2 · d · h · itemsize``, where the step's own row counts as read, and
    ``written`` is 1 for inputs when ``A`` keeps any plus 1 for outputs when ``B`` or ``C`` keeps any. Weights
    of the projections are not counted. With a state expansion every row, input or output, counts ``r`` times,
    as in the cache size: an upper bound where inputs are stored unexpanded. Parameters as for :func:`cache_bytes`.

    >>> import glmix_theory as glm
    >>> decode_bytes(glm.Mixer(direct=glm.Dense()))
    4*d*h*(n + 1)
    """
    row = _row_bytes(mixer, d, heads, r, dtype, keys)
    kept = [cache_size(Mixer(direct=read)) for read in (mixer.direct, mixer.output_reads)]
    written = sum((_value(held, at) if held.expr is None else held.expr) != 0 for held in kept)
    return _times(_value(step_cost(mixer), at) + written, row)


def arithmetic_intensity(
    mixer: Mixer,
    *,
    d: Size = None,
    heads: Size = None,
    r: Size = None,
    coefficient_kind: str = "scalar",
    dtype: Any = "bfloat16",
    at: int | None = None,
) -> sympy.Expr:
    """Flops per byte of the costliest decode step: :func:`flops` over :func:`decode_bytes`; 0 when nothing moves.

    >>> import glmix_theory as glm
    >>> arithmetic_intensity(glm.Mixer(direct=glm.Dense()))
    n/(n + 1)
    """
    sizes = {"d": d, "heads": heads, "r": r, "at": at}
    moved = sympy.sympify(decode_bytes(mixer, dtype=dtype, **sizes))
    if moved == 0:
        return sympy.Integer(0)
    return sympy.cancel(flops(mixer, "decode", coefficient_kind=coefficient_kind, **sizes) / moved)


def roofline(mixer: Mixer, machine: Machine, *, at: int, **options: Any) -> str:
    """``"memory"`` or ``"compute"``: which bound the costliest decode step before ``at`` meets on a machine.

    Claim: ``memory`` when :func:`arithmetic_intensity` (same options) is below ``machine.balance``. Raises
    :class:`~glmix_theory.errors.SymbolicError` when the intensity keeps a symbol.

    >>> import glmix_theory as glm
    >>> roofline(glm.Mixer(direct=glm.Dense()), Machine(10**15, 4 * 10**12), at=4096)
    'memory'
    """
    intensity = arithmetic_intensity(mixer, at=at, **options)
    if intensity.free_symbols:
        names = ", ".join(sorted(map(str, intensity.free_symbols)))
        raise SymbolicError(f"the intensity {intensity} depends on {names}; give numbers")
    return "memory" if intensity < sympy.Rational(machine.balance) else "compute"


def _known(name: Any, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        raise UnknownNameError(f"{what} = {name!r} is not known; {nearest(str(name), list(known))}")


def _sizes(mixer: Mixer, *given: Size) -> list[sympy.Expr]:
    defaults = (d, h, sympy.Integer(mixer.state))
    sizes = []
    for value, default, name in zip(given, defaults, ("d", "heads", "r")):
        if value is None:
            sizes.append(default)
        elif isinstance(value, sympy.Expr) and value.free_symbols:
            if length_symbol in value.free_symbols:
                raise SymbolicError(f"{name} = {value} uses the sequence length; give {name} a symbol of its own")
            sizes.append(value)
        else:
            sizes.append(sympy.Integer(check_length(value, name)))
    return sizes


def _row_bytes(mixer: Mixer, d: Size, heads: Size, r: Size, dtype: Any, keys: bool) -> sympy.Expr:
    name = str(dtype).removeprefix("torch.")
    _known(name, tuple(ITEM_BYTES), "dtype")
    width, count, state = _sizes(mixer, d, heads, r)
    return (2 if keys else 1) * width * count * state * ITEM_BYTES[name]


def _value(quantity: Quantity, at: int | None) -> Any:
    if at is not None:
        return quantity.at(at)
    if quantity.expr is None:
        raise LengthError(f"{quantity.name} has no closed form here; give a length, at=n")
    return quantity.expr


def _times(value: Any, factor: sympy.Expr) -> Any:
    if isinstance(value, Bounds):
        return Bounds(_times(value.lower, factor), _times(value.upper, factor))
    result = sympy.factor_terms(sympy.sympify(value) * factor)
    return int(result) if result.is_Integer else result
