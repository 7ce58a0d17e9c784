"""What a realisation is: the coefficients found, the matrix they give and what it misses, row by row."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from glmix_theory.mixers.mixer import Mixer
from glmix_theory.mixers.realization.coefficients import Coefficients
from glmix_theory.rendering import Table

EXACT_TOLERANCE = 1e-9
"""A row counts as carried when it is missed by at most this part of its length, or by the rounding of the whole."""

_COLUMNS_AT_ONCE = 256


@dataclass(frozen=True, eq=False, repr=False)
class Realization:
    """Coefficients of a mixer for a given matrix, made by :func:`~glmix_theory.mixers.realize.realize`.

    Parameters
    ----------
    mixer : Mixer
        The mixer that carries, or best carries, the matrix.
    constraint : str, optional
        ``stable`` or ``stochastic``, where the coefficients were held to one.
    coefficients : dict of str to Coefficients
        ``alpha``, ``beta`` and, with a readout, ``gamma``, edge by edge.
    row_norms, row_residuals : array (n,), or (heads, n) for a batch, fp64
        Length of every row of the given matrix, and of what the mixer misses of it. Without a readout and with
        state ``r`` there are ``n·r`` rows.
    batched : bool
        Whether a batch over heads was given; arrays then have a leading axis of heads.
    """

    mixer: Mixer
    constraint: str | None
    coefficients: dict[str, Coefficients] = field(repr=False)
    row_norms: np.ndarray = field(repr=False)
    row_residuals: np.ndarray = field(repr=False)
    batched: bool = False

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.coefficients["alpha"].n

    @cached_property
    def alpha(self) -> np.ndarray:
        """Direct coefficients ``(n, n)``, or ``(n, n, r)`` with state expansion; zero outside the direct pattern."""
        return self._dense("alpha")

    @cached_property
    def beta(self) -> np.ndarray:
        """Recurrent coefficients ``(n, n)``, or blocks ``(n, n, r, r)``; zero outside the recurrent pattern."""
        return self._dense("beta")

    @cached_property
    def gamma(self) -> np.ndarray | None:
        """Readout coefficients ``(n, n)`` or ``(n, n, r)``; ``None`` where the mixer has no readout."""
        return self._dense("gamma") if "gamma" in self.coefficients else None

    def _dense(self, name: str) -> np.ndarray:
        part = self.coefficients[name]
        return np.stack([part.dense(head) for head in range(len(part.values))]) if self.batched else part.dense(0)

    @property
    def residual(self) -> float:
        """Frobenius norm of the given matrix minus the mixer's, over all heads."""
        return float(np.linalg.norm(self.row_residuals))

    @property
    def relative(self) -> float:
        """``residual`` divided by the norm of the given matrix; 0 where both are zero."""
        return _ratio(self.residual, float(np.linalg.norm(self.row_norms)))

    @property
    def exact(self) -> bool:
        """Whether every row is carried: see :attr:`missed`."""
        return not self.missed.any()

    @cached_property
    def missed(self) -> np.ndarray:
        """Rows that are not carried, bool, shaped as ``row_residuals``.

        A row is carried when its residual is at most 10⁻⁹ of its length, or at most ``n`` times the machine
        precision (2.2e-16) of the norm of its whole matrix.
        """
        whole = np.linalg.norm(self.row_norms, axis=-1, keepdims=True)
        rounding = self.n * np.finfo(float).eps * whole
        return self.row_residuals > np.maximum(EXACT_TOLERANCE * self.row_norms, rounding)

    def matrix(self) -> np.ndarray:
        """The mixing matrix of these coefficients, in the shape of the given one.

        With state 1 it is ``Mixer.matrix``; with a larger state the same recursion edge by edge, because the blocks
        as an array ``(n, n, r, r)`` outgrow the memory.
        """
        heads = range(len(self.coefficients["alpha"].values))
        found = [mixing_matrix(self.mixer, self.coefficients, head) for head in heads]
        return np.stack(found) if self.batched else found[0]

    def largest_rows(self, count: int = 5) -> list[dict[str, Any]]:
        """The rows missed most, largest first: ``head``, ``row``, ``norm`` and ``residual``; none where exact."""
        if self.exact:
            return []
        residuals, norms = np.atleast_2d(self.row_residuals), np.atleast_2d(self.row_norms)
        order = np.argsort(-residuals, axis=None, kind="stable")[:count]
        places = np.stack(np.unravel_index(order, residuals.shape), axis=1).tolist()
        return [
            {"head": head, "row": row, "norm": float(norms[head, row]), "residual": float(residuals[head, row])}
            for head, row in places
            if residuals[head, row] > 0
        ]

    def table(self, largest: int = 5) -> Table:
        """What is carried and what is not: the whole, then the ``largest`` rows missed most."""
        rows = [
            ["carried exactly", "yes" if self.exact else "no"],
            ["residual", f"{self.residual:.6g}"],
            ["residual, relative", f"{self.relative:.6g}"],
            ["rows missed", f"{int(self.missed.sum())} of {self.missed.size}"],
            ["constraint", self.constraint or "none"],
        ]
        for row in self.largest_rows(largest):
            place = f"row {row['row']}" + (f" of head {row['head']}" if self.batched else "")
            rows.append([place, f"misses {row['residual']:.6g} of {row['norm']:.6g}"])
        return Table(["", f"n = {self.n}"], rows, title=self.mixer.name or repr(self.mixer))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the residuals; the coefficients are the arrays ``alpha``, ``beta``, ``gamma``."""
        return {
            "mixer": repr(self.mixer),
            "name": self.mixer.name,
            "n": self.n,
            "heads": len(self.row_norms) if self.batched else None,
            "constraint": self.constraint,
            "exact": self.exact,
            "residual": self.residual,
            "relative": _plain(self.relative),
            "row_residuals": self.row_residuals.tolist(),
            "largest_rows": self.largest_rows(),
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def to_markdown(self) -> str:
        """The table in Markdown."""
        return self.table().to_markdown()

    def __repr__(self) -> str:
        heads = f", heads={len(self.row_norms)}" if self.batched else ""
        held = f", constraint={self.constraint!r}" if self.constraint else ""
        return f"Realization({self.mixer!r}, n={self.n}{heads}{held}, relative={self.relative:.3g}, exact={self.exact})"

    def __str__(self) -> str:
        return f"{self.mixer!r}\n{self.table().to_text()}"

    def _repr_html_(self) -> str:
        return f"<div><code>{html.escape(repr(self.mixer))}</code>{self.table().to_html()}</div>"


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else (0.0 if part == 0 else float("inf"))


def _plain(value: float) -> float | str:
    """JSON has no infinity."""
    return value if np.isfinite(value) else "oo"


def mixing_matrix(mixer: Mixer, coefficients: dict[str, Coefficients], head: int) -> np.ndarray:
    """The mixing matrix of one head: ``(n, n)``, or ``(n·r, n)`` without a readout."""
    if mixer.state == 1:
        return mixer.matrix(*(part.dense(head) for part in coefficients.values()))
    alpha, beta, gamma = (coefficients.get(name) for name in ("alpha", "beta", "gamma"))
    assert alpha is not None
    assert beta is not None
    n, r = alpha.n, mixer.state
    found = np.zeros((n * r if gamma is None else n, n))
    for start in range(0, n, _COLUMNS_AT_ONCE):
        columns = range(start, min(start + _COLUMNS_AT_ONCE, n))
        states = np.zeros((n, r, len(columns)))
        for t in range(start, n):  # nothing reaches a column before its own step
            direct, recurrent = alpha.of(t), beta.of(t)
            for s, value in zip(alpha.sources[direct].tolist(), alpha.values[head, direct]):
                if s in columns:
                    states[t, :, s - start] += value
            for s, block in zip(beta.sources[recurrent].tolist(), beta.values[head, recurrent]):
                if s >= start:
                    states[t] += block @ states[s]
            if gamma is None:
                found[t * r : (t + 1) * r, columns.start : columns.stop] = states[t]
                continue
            read = gamma.of(t)
            for s, weights in zip(gamma.sources[read].tolist(), gamma.values[head, read]):
                if s >= start:
                    found[t, columns.start : columns.stop] += weights @ states[s]
    return found
