"""A mixer: a direct and a recurrent pattern, optionally a readout, a coefficient kind and a state size."""

from __future__ import annotations

import html
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy

from glmix_theory.errors import CoefficientError, PatternError, check_length
from glmix_theory.patterns import Diagonal, Empty, Pattern

COEFFICIENTS = ("softmax", "chacal", "signed", "gated", "fixed", "delta")
"""Names of the ways to make α and β from the inputs."""


@dataclass(frozen=True)
class Mixer:
    """The causal linear map ``Y = (I-B)^{-1} A X``, or ``Z = C (I-B)^{-1} A X`` with a readout.

    Parameters
    ----------
    direct : Pattern
        Where ``A`` may be non-zero (lower triangular).
    recurrent : Pattern
        Where ``B`` may be non-zero (strictly lower triangular). Default: nowhere.
    readout : Pattern, optional
        Where ``C`` may be non-zero; the identity when absent.
    coefficients : str
        How a layer makes α and β from its inputs: one of ``softmax``, ``chacal``, ``signed``, ``gated``,
        ``fixed``, ``delta``.
    state : int
        State expansion ``r``: each cached position holds ``r`` rows of width ``d``.
    name : str
        A title for tables; not part of the mixer's identity.

    Raises
    ------
    StrictnessError
        ``recurrent`` touches the diagonal (says where).
    PatternError, CoefficientError
        A part is not a pattern; an unknown coefficient kind.

    Examples
    --------
    >>> import numpy as np, glmix_theory as glm
    >>> m = glm.Mixer(direct=glm.Diagonal(), recurrent=glm.Lags([1]))
    >>> m.matrix(np.eye(3), 0.5 * np.eye(3, k=-1)).tolist()
    [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.25, 0.5, 1.0]]

    References
    ----------
    Fagnou et al., arXiv:2605.31367; THEORY section 1.
    """

    direct: Pattern = field(default_factory=Diagonal)
    recurrent: Pattern = field(default_factory=Empty)
    readout: Pattern | None = None
    coefficients: str = "softmax"
    state: int = 1
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for part in ("direct", "recurrent", "readout"):
            value = getattr(self, part)
            if not isinstance(value, Pattern) and not (part == "readout" and value is None):
                raise PatternError(
                    f"{part} = {value!r} is a {type(value).__name__}; a glm pattern is needed, "
                    "for example glm.Diagonal() or glm.Offsets(2**k)"
                )
        self.recurrent.require_strict()
        if self.coefficients not in COEFFICIENTS:
            from glmix_theory.errors import nearest

            raise CoefficientError(
                f"coefficients = {self.coefficients!r} is not a known kind; "
                f"{nearest(str(self.coefficients), list(COEFFICIENTS))}"
            )
        check_length(self.state, "state")

    @cached_property
    def output_reads(self) -> Pattern:
        """Which past outputs each step reads: by the recurrence or by the readout."""
        return self.recurrent if self.readout is None else self.recurrent | self.readout

    @property
    def parts(self) -> dict[str, Pattern]:
        """The patterns present, by part name; an empty recurrence is left out."""
        named = {"direct": self.direct, "recurrent": self.recurrent, "readout": self.readout}
        return {part: pattern for part, pattern in named.items() if pattern is not None and not pattern.empty}

    @property
    def free_symbols(self) -> frozenset[sympy.Symbol]:
        """Symbols standing for parameters of the patterns; empty for a mixer of numbers."""
        return frozenset().union(*(pattern.free_symbols for pattern in self.parts.values()))

    def subs(self, *values: Any) -> Mixer:
        """The mixer with numbers in place of symbols: ``m.subs(w, 4)`` or ``m.subs({w: 4, g: 2})``."""
        readout = None if self.readout is None else self.readout.subs(*values)
        return replace(self, direct=self.direct.subs(*values), recurrent=self.recurrent.subs(*values), readout=readout)

    def sources(self, t: int) -> dict[str, tuple[int, ...]]:
        """What step ``t`` reads, by part."""
        return {part: pattern.sources(t) for part, pattern in self.parts.items()}

    def matrix(self, alpha: np.ndarray, beta: np.ndarray | None = None, gamma: np.ndarray | None = None) -> np.ndarray:
        """The mixing matrix by a dense triangular solve in fp64: the oracle of every fast path.

        Claim: ``M = (I-B)^{-1} A``, or ``C (I-B)^{-1} A`` with a readout. With state expansion
        ``r``, entry ``A[t, s]`` is a column of ``r`` numbers, ``B[t, s]`` an ``r × r`` block and
        ``C[t, s]`` a row of ``r``.

        Parameters
        ----------
        alpha : array (n, n), or (n, n, r) with state expansion
            Direct coefficients, zero outside the direct pattern.
        beta : array (n, n), (n, n, r) (one per channel) or (n, n, r, r) (blocks), optional
            Recurrent coefficients; may be omitted when the recurrent pattern is empty.
        gamma : array (n, n), or (n, n, r), optional
            Readout coefficients; required exactly when the mixer has a readout.

        Returns
        -------
        array (n, n), fp64
            Lower triangular. ``(n·r, n)`` without a readout when ``r > 1``, rows ordered ``(t, channel)``.

        Raises
        ------
        CoefficientError
            A wrong shape, a missing or needless array, a value that is not finite, or a non-zero
            outside the pattern (says which entry).
        """
        import scipy.linalg  # slow to import, and only this oracle needs it

        alpha, r = _real(alpha, "alpha"), self.state
        if alpha.ndim < 2 or len(alpha) < 1:
            needed = "(n, n)" if r == 1 else f"(n, n, {r})"
            raise CoefficientError(f"alpha has shape {alpha.shape}; {needed} with n ≥ 1 is needed")
        n = len(alpha)
        column: tuple[int, ...] = (n, n) if r == 1 else (n, n, r)
        columns = self._checked(alpha, "alpha", self.direct, n, [column]).reshape(n, n, r)
        A = columns.transpose(0, 2, 1).reshape(n * r, n)
        if beta is None:
            if not self.recurrent.empty:
                raise CoefficientError("beta is missing; this mixer has a recurrent part")
            Y = A
        else:
            shapes: list[tuple[int, ...]] = [(n, n)] if r == 1 else [(n, n), (n, n, r), (n, n, r, r)]
            B = self._checked(_real(beta, "beta"), "beta", self.recurrent, n, shapes)
            if B.ndim < 4:
                B = B.reshape(n, n, -1)[..., None] * np.eye(r)
            B = B.transpose(0, 2, 1, 3).reshape(n * r, n * r)
            Y = scipy.linalg.solve_triangular(np.eye(n * r) - B, A, lower=True, unit_diagonal=r == 1)
        if (gamma is None) != (self.readout is None):
            has = "has no readout, so takes no" if self.readout is None else "has a readout, so needs"
            raise CoefficientError(f"this mixer {has} gamma")
        if gamma is None or self.readout is None:
            return Y
        C = self._checked(_real(gamma, "gamma"), "gamma", self.readout, n, [column])
        return C.reshape(n, n * r) @ Y

    def _checked(
        self, array: np.ndarray, name: str, pattern: Pattern, n: int, shapes: list[tuple[int, ...]]
    ) -> np.ndarray:
        if array.shape not in shapes:
            raise CoefficientError(f"{name} has shape {array.shape}; needed: {' or '.join(map(str, shapes))}")
        if not np.isfinite(array).all():
            raise CoefficientError(f"{name} contains NaN or infinity; all coefficients must be finite")
        magnitude = np.abs(array).reshape(n, n, -1).max(axis=2)
        outside = np.argwhere((magnitude > 0) & ~pattern.to_dense(n))
        if len(outside):
            t, s = outside[0]
            raise CoefficientError(
                f"{name}[{t}, {s}] is not zero but ({t}, {s}) is not in {pattern!r}; "
                f"step {t} may use {pattern.sources(int(t))}"
            )
        return array

    def __repr__(self) -> str:
        parts = [f"direct={self.direct!r}"]
        if self.recurrent != Empty():
            parts.append(f"recurrent={self.recurrent!r}")
        if self.readout is not None:
            parts.append(f"readout={self.readout!r}")
        if self.coefficients != "softmax":
            parts.append(f"coefficients={self.coefficients!r}")
        if self.state != 1:
            parts.append(f"state={self.state}")
        return f"Mixer({', '.join(parts)})"

    def _repr_html_(self) -> str:
        title = f"<strong>{html.escape(self.name)}</strong> " if self.name else ""
        body = "".join(
            f"<tr><td style='vertical-align:top'>{part}</td><td style='text-align:left'>"
            f"{pattern._repr_html_()}</td></tr>"
            for part, pattern in self.parts.items()
        )
        return f"<div>{title}<code>{html.escape(repr(self))}</code><table>{body}</table></div>"


def _real(array: object, name: str) -> np.ndarray:
    """The coefficients as fp64; complex numbers, text and ragged lists are refused rather than coerced."""
    try:
        converted = np.asarray(array)
        if converted.dtype.kind not in "biuf":
            raise ValueError
    except ValueError:
        raise CoefficientError(f"{name} is not an array of real numbers; a float array is needed") from None
    return converted.astype(np.float64)
