"""Row by row: a row of a mixing matrix as a combination of allowed inputs and of the rows realised before it.

A block (all rows of one step) is fitted at the columns that no input reaches directly: there only past rows help.
What they leave at the other columns is taken by α exactly.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from glmix_theory.mixers.realization.coefficients import Coefficients

RANK_TOLERANCE = 1e-12
"""Past rows, scaled to length 1, span a further direction only if it is longer than this."""

CAUTIOUS_TOLERANCE = 1e-8
"""The same where rounding would spoil the fit: coefficients stay small, fewer directions are used."""

_MANY_ROWS = 96
"""From this many past rows on, steps that read ever more of them share one growing factorisation."""

_BASES_KEPT = 16
_PRECISION = float(np.finfo(float).eps)
_SPOILED = 1e-10
"""Part of a row's length that its rounding error may be before the cautious fit is tried as well."""
_SAFETY = 1e4
"""Weight of rounding against residual in that choice: later rows build on this one and magnify its noise."""


def fit_rows(target: np.ndarray, head: int, alpha: Coefficients, beta: Coefficients, steps: Iterable[int]) -> None:
    """Fill α and β of one head with the best least-squares fit of each step, given the steps before it.

    Parameters
    ----------
    target : array (n·r, n), fp64
        Rows ordered ``(t, channel)``; row ``(t, i)`` is zero right of column ``t``.
    head : int
        Which head of the coefficients to fill.
    alpha, beta : Coefficients
        Values of shape ``(heads, edges, r)`` and ``(heads, edges, r, r)``.
    steps : iterable of int
        ``0 … n-1``, or the same with a progress bar.
    """
    r = alpha.values.shape[2]
    realised = np.zeros_like(target)
    factorisations = _Factorisations(realised)
    for t in steps:
        direct, rows = alpha.sources[alpha.of(t)], _block_rows(beta.sources[beta.of(t)], r)
        wanted = target[t * r : (t + 1) * r, : t + 1]
        got = np.zeros((r, t + 1))
        if len(rows):
            outside = np.ones(t + 1, dtype=bool)
            outside[direct] = False
            weights = factorisations.solve(rows, outside, wanted)
            got = weights @ _gathered(realised, rows, t + 1)
            beta.values[head, beta.of(t)] = weights.reshape(r, -1, r).transpose(1, 0, 2)
        alpha.values[head, alpha.of(t)] = (wanted[:, direct] - got[:, direct]).T
        got[:, direct] += alpha.values[head, alpha.of(t)].T
        realised[t * r : (t + 1) * r, : t + 1] = got


def _block_rows(positions: np.ndarray, r: int) -> np.ndarray:
    """Row numbers of all channels of these positions."""
    return positions if r == 1 else (positions[:, None] * r + np.arange(r)).ravel()


def _gathered(realised: np.ndarray, rows: np.ndarray, width: int) -> np.ndarray:
    """The rows, left of ``width``; a view where they follow each other, which spares the copy."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return realised[rows[0] : rows[-1] + 1, :width]
    return realised[rows, :width]


class _Factorisations:
    """Least squares over past rows: by LAPACK, or by a basis shared between steps where they are many."""

    def __init__(self, realised: np.ndarray) -> None:
        self.realised = realised
        self.r = len(realised) // realised.shape[1]
        self.bases: dict[float, list[_Basis]] = {RANK_TOLERANCE: [], CAUTIOUS_TOLERANCE: []}

    def solve(self, rows: np.ndarray, outside: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Weights ``(r, rows)`` that minimise ``‖wanted - weights @ past‖`` at the columns ``outside``.

        Weights so large that rounding spoils what they add up to are compared with those of the cautious fit.
        """
        if not outside.any() or not wanted[:, outside].any():
            return np.zeros((len(wanted), len(rows)))
        past = _gathered(self.realised, rows, len(outside))
        lengths = np.linalg.norm(past, axis=1)
        weights = self._attempt(rows, outside, wanted, past, lengths, RANK_TOLERANCE)
        rounding = _rounding(weights, lengths)
        spoiled = rounding > _SPOILED * np.linalg.norm(wanted[:, outside], axis=1)
        if spoiled.any():
            cautious = self._attempt(rows, outside, wanted, past, lengths, CAUTIOUS_TOLERANCE)
            errors = [
                np.linalg.norm((wanted - found @ past)[:, outside], axis=1) + _SAFETY * _rounding(found, lengths)
                for found in (weights, cautious)
            ]
            better = spoiled & (errors[1] < errors[0])
            weights[better] = cautious[better]
        return weights

    def _attempt(
        self,
        rows: np.ndarray,
        outside: np.ndarray,
        wanted: np.ndarray,
        past: np.ndarray,
        lengths: np.ndarray,
        tolerance: float,
    ) -> np.ndarray:
        basis = self._basis(rows, outside, tolerance) if len(rows) > _MANY_ROWS else None
        if basis is None:
            seen = past if outside.all() else past[:, outside]
            return _least_squares(seen, lengths, wanted[:, outside], tolerance)
        return basis.solve(rows, np.where(outside, wanted, 0.0))

    def _basis(self, rows: np.ndarray, outside: np.ndarray, tolerance: float) -> _Basis | None:
        """A basis that these rows extend; the first step of a chain only leaves its mark."""
        bases = self.bases[tolerance]
        for place, basis in enumerate(bases):
            if basis.extends_to(self.realised, rows, outside):
                basis.extend(self.realised, rows, outside)
                bases.insert(0, bases.pop(place))
                return basis
        damping = tolerance if tolerance == CAUTIOUS_TOLERANCE else 0.0
        bases.insert(0, _Basis(rows, outside, damping, self.r))
        del bases[_BASES_KEPT:]
        return None


def _rounding(weights: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """About how far rounding moves a combination of rows of these lengths."""
    return _PRECISION * np.linalg.norm(weights * lengths, axis=1)


def _least_squares(past: np.ndarray, whole: np.ndarray, wanted: np.ndarray, tolerance: float) -> np.ndarray:
    """Weights of least length (rows scaled to length 1) among the best; ``whole`` are lengths at all columns."""
    import scipy.linalg

    lengths = np.linalg.norm(past, axis=1)
    used = lengths > past.shape[1] * _PRECISION * whole
    weights = np.zeros((len(wanted), len(past)))
    if used.any():
        scaled = past[used] / lengths[used, None]
        if len(scaled) == 1:
            solution = (wanted @ scaled[0])[:, None]
        else:
            solution = scipy.linalg.lstsq(scaled.T, wanted.T, cond=tolerance, check_finite=False, overwrite_a=True)[0].T
        weights[:, used] = solution / lengths[used]
    return weights


class _Basis:
    """An orthonormal basis of past rows at some columns, grown as later steps read more rows.

    ``past[chosen].T = Q T`` with rows scaled to length 1: ``Q`` orthonormal, ``T`` upper triangular. A row without a
    new direction is left out. Directions that are a single column are kept as its number: under a full diagonal all
    of them are.

    With ``damping`` δ the rows get one more column each, δ in its own row and 0 in the others. The fit then minimises
    ``‖wanted - weights @ past‖² + δ² ‖weights‖²`` (Tikhonov 1963), which keeps the weights of the scaled rows below
    ``‖wanted‖ / (2 δ)`` and follows the directions longer than δ. These columns stand behind the column of their
    step, so that vectors stay as short as the sequence is so far.
    """

    def __init__(self, rows: np.ndarray, outside: np.ndarray, damping: float, r: int) -> None:
        self.rows, self.outside, self.damping = rows, outside, damping
        self.r, self.stride = r, 1 + r if damping else 1
        self.chosen: list[int] = []
        self.lengths: list[float] = []
        self.units: list[int] = []
        self.unit_places: list[int] = []
        self.full_places: list[int] = []
        self.full = np.zeros((0, 0), order="F")
        self.triangle = np.zeros((0, 0), order="F")
        self.started = False

    def extends_to(self, realised: np.ndarray, rows: np.ndarray, outside: np.ndarray) -> bool:
        """Whether its rows and columns are among these, and its rows are zero at the columns that are new."""
        width = len(self.outside)
        if len(rows) < len(self.rows) or len(outside) < width or (self.outside & ~outside[:width]).any():
            return False
        among = np.zeros(len(realised), dtype=bool)
        among[rows] = True
        if not among[self.rows].all():
            return False
        new = outside.copy()
        new[:width] &= ~self.outside
        return not realised[np.ix_(self.rows, np.flatnonzero(new))].any()

    def extend(self, realised: np.ndarray, rows: np.ndarray, outside: np.ndarray) -> None:
        """Take in the rows it does not have yet; from then on it stands for these rows and columns."""
        new = np.ones(len(realised), dtype=bool)
        if self.started:
            new[self.rows] = False
        self.rows, self.outside, self.started = rows, outside, True
        for row in rows[new[rows]]:
            whole = realised[row, : len(outside)]
            seen = np.where(outside, whole, 0.0)
            length = float(np.linalg.norm(seen))
            if length > len(outside) * _PRECISION * float(np.linalg.norm(whole)):
                self._append(int(row), seen / length, length)

    def _stretched(self, vector: np.ndarray) -> np.ndarray:
        """The vector with room for the further columns of every step."""
        stretched = np.zeros(len(vector) * self.stride)
        stretched[:: self.stride] = vector
        return stretched

    def _append(self, row: int, scaled: np.ndarray, length: float) -> None:
        vector = self._stretched(scaled)
        if self.damping:
            vector[row // self.r * self.stride + 1 + row % self.r] = self.damping
        along = self._coordinates(vector)
        self._remove(vector, along)
        if self.full_places:  # twice is enough for orthogonality to rounding
            again = self._coordinates(vector)
            self._remove(vector, again)
            along += again
        left = float(np.linalg.norm(vector))
        if left <= RANK_TOLERANCE:
            return
        place = len(self.chosen)
        where = np.flatnonzero(vector)
        if len(where) == 1:
            left = float(vector[where[0]])
            self.units.append(int(where[0]))
            self.unit_places.append(place)
        else:
            column = len(self.full_places)
            self.full = _room(self.full, len(vector), column + 1)
            self.full[: len(vector), column] = vector / left
            self.full_places.append(place)
        self.triangle = _room(self.triangle, place + 1, place + 1, identity=True)
        self.triangle[:place, place], self.triangle[place, place] = along, left
        self.chosen.append(row)
        self.lengths.append(length)

    def _coordinates(self, vector: np.ndarray) -> np.ndarray:
        along = np.empty(len(self.chosen))
        along[self.unit_places] = vector[self.units]
        if self.full_places:
            along[self.full_places] = vector @ self._columns(len(vector))
        return along

    def _remove(self, vector: np.ndarray, along: np.ndarray) -> None:
        vector[self.units] = 0.0
        if self.full_places:
            vector -= self._columns(len(vector)) @ along[self.full_places]

    def _columns(self, width: int) -> np.ndarray:
        """The directions that are not a single column, as wide as a vector; none has an entry further right."""
        if len(self.full) < width:
            self.full = _room(self.full, width, len(self.full_places))
        return self.full[:width, : len(self.full_places)]

    def solve(self, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Weights ``(r, rows)`` of the best fit of each row of ``wanted``, which is zero outside the columns."""
        import scipy.linalg

        weights = np.zeros((len(wanted), len(rows)))
        places = np.searchsorted(rows, self.chosen)
        size = len(self.chosen)
        for i, vector in enumerate(wanted):
            padded = np.zeros(len(self.triangle))
            padded[:size] = self._coordinates(self._stretched(vector))
            if size:
                weights[i, places] = scipy.linalg.blas.dtrsv(self.triangle, padded)[:size] / self.lengths
        return weights


def _room(array: np.ndarray, height: int, width: int, identity: bool = False) -> np.ndarray:
    """The array in one at least this large, grown by doubling so that it stays contiguous and cheap."""
    if array.shape[0] >= height and array.shape[1] >= width:
        return array
    needed = (height, width)
    shape = tuple(old if old >= new else max(new, 2 * old, 16) for old, new in zip(array.shape, needed))
    larger = np.zeros(shape, order="F")
    if identity:
        np.fill_diagonal(larger, 1.0)
    larger[: array.shape[0], : array.shape[1]] = array
    return larger
