"""From a mixing matrix back to the coefficients of a mixer that carries it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from glmix_theory.errors import (
    CausalityError,
    DtypeError,
    PatternError,
    RealizationError,
    ShapeError,
    SymbolicError,
    UnknownNameError,
    nearest,
)
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.mixers.realization.coefficients import Coefficients
from glmix_theory.mixers.realization.constrained import CONSTRAINTS, fit_constrained_rows
from glmix_theory.mixers.realization.forest import fit_forest, forest_of
from glmix_theory.mixers.realization.result import Realization, mixing_matrix
from glmix_theory.mixers.realization.rows import fit_rows
from glmix_theory.progress import track

__all__ = ["CONSTRAINTS", "Realization", "check_matrix", "realize"]

_LARGEST, _SMALLEST = 1e100, 1e-100


def realize(matrix: np.ndarray | Sequence[Sequence[float]], mixer: Mixer, constraint: str | None = None) -> Realization:
    """Find α and β on a mixer's patterns that reproduce a given causal matrix, or come closest step by step.

    Claim, without a readout: ``Y = A X + B Y`` says, row by row,
    ``M[t] = Σ_{s ∈ direct(t)} α_ts e_s + Σ_{s ∈ recurrent(t)} β_ts M[s]``. Row ``t`` is fitted in the span of the
    allowed unit vectors and of the past rows *as realised*, in the least-squares sense: past rows are used for the
    columns outside ``direct(t)``, and α takes what they leave at the others.

    - *Exact whenever possible.* If coefficients with ``M = (I-B)^{-1} A`` exist, the result has residual 0. By
      induction over ``t``: if the realised rows before ``t`` are those of ``M``, then row ``t`` of ``M`` is in their
      span with the allowed inputs, so its best fit leaves nothing and the realised row is that of ``M``. The same
      holds under a constraint.
    - *Otherwise greedy.* The residual of row ``t`` is, up to rounding (see below), the least possible given the rows
      realised before it. The total is not the least possible over all coefficients: missing an early row can pay
      later. For ``M = [[0, 0, 0], [1, 0, 0], [1, 0, 0]]`` and a first-order recurrence the greedy residual is √2, and
      keeping ``x_0`` in ``y_0`` would miss row 0 only, by 1. ``glm.rank_bound`` says what no coefficients get below.
    - *Not unique.* Of several exact or equally good β, LAPACK's shortest is returned (past rows scaled to length 1);
      where more than 96 past rows are read, one that uses no past row that depends on earlier ones.

    With a readout, ``M = C (I-B)^{-1} A`` is bilinear and no such induction holds. Three kinds are solved, the rest is
    refused: states that form a forest, such as first-order recurrences with a diagonal readout, where the answer is
    exact whenever any is (:mod:`glmix_theory.mixers.realization.forest`, dense blocks as coefficients: a model
    whose blocks are restricted to numbers or diagonals may carry less); a readout that covers all non-zero entries
    (``C = M``, ``A = I``, ``B = 0``); a direct part that does (``A = M``, ``C = I``, ``B = 0``).

    Numerically, with past rows scaled to length 1, directions shorter than ``1e-12`` are not used. Where weights are
    so large that rounding takes more than ``1e-10`` of the row, a fit without the directions shorter than ``1e-8`` is
    tried too (cut by LAPACK, damped where more than 96 past rows are read), and the one with less residual plus
    ``10⁴`` times rounding is kept, because later rows magnify it. A dense recurrence under a diagonal direct part,
    for one, meets any matrix without zeros on the diagonal on paper, but most only with weights that grow
    exponentially in ``n``. Residuals are those of the matrix that the returned coefficients give, computed anew;
    ``Realization.exact`` has its own tolerance.

    Parameters
    ----------
    matrix : array (n, n) or (heads, n, n), real
        Lower triangular, finite; what is right of the diagonal and within ``n`` times the machine precision of the
        largest entry is taken for the rounding of an inverse, and for zero. Without a readout and with state
        ``r > 1``: ``(n·r, n)``, rows ordered ``(t, channel)``, as ``Mixer.matrix`` returns.
    mixer : Mixer
        Whose patterns may be used; of numbers, not symbols.
    constraint : {None, "stable", "stochastic"}
        ``stable``: every joint row has ``Σ|α| + Σ|β| ≤ 1``; ``stochastic``: non-negative with sum 1
        (proposition 11). For state 1 without a readout. Every row is then the best under the constraint.

    Returns
    -------
    Realization
        ``alpha``, ``beta``, ``gamma``, ``residual`` (Frobenius), ``relative``, ``row_residuals``, ``exact``.

    Raises
    ------
    ShapeError, DtypeError, CausalityError
        Not square, complex or not numbers, non-zero right of the diagonal (says where).
    RealizationError
        NaN or infinity (says where), magnitudes beyond 1e±100, a readout for which no method is known, a constraint
        where there is none or that no coefficients meet.
    PatternError, SymbolicError, UnknownNameError
        Not a mixer, a mixer with symbols, an unknown constraint.

    Examples
    --------
    >>> import numpy as np, glmix_theory as glm
    >>> m = glm.Mixer(recurrent=glm.Lags([1]))
    >>> decay = np.array([[1.0, 0, 0], [0.5, 1, 0], [0.25, 0.5, 1]])
    >>> found = realize(decay, m)
    >>> found.exact, found.beta[1, 0].item(), found.beta[2, 1].item()
    (True, 0.5, 0.5)
    >>> average = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    >>> found = realize(average, m)
    >>> found.exact, found.row_residuals.round(4).tolist()
    (False, [0.0, 0.0, 0.0707])

    References
    ----------
    THEORY section 1 and proposition 1; for readouts see :mod:`glmix_theory.mixers.realization.forest`.
    """
    if not isinstance(mixer, Mixer):
        raise PatternError(f"realize needs a Mixer, got {type(mixer).__name__}; write glm.Mixer(recurrent=…)")
    if mixer.free_symbols:
        raise SymbolicError(f"{mixer!r} has symbols as parameters; substitute numbers first: mixer.subs(…)")
    if constraint is not None and constraint not in CONSTRAINTS:
        raise UnknownNameError(f"no constraint is named {constraint!r}; {nearest(str(constraint), list(CONSTRAINTS))}")
    r = mixer.state if mixer.readout is None else 1
    target, batched = check_matrix(matrix, r)
    if constraint is not None and (mixer.readout is not None or mixer.state != 1):
        raise RealizationError(
            f"constraint = {constraint!r} bounds the numbers α and β of a joint row; this mixer has "
            f"{'a readout' if mixer.readout is not None else f'blocks of {mixer.state}'}: leave the constraint out"
        )
    coefficients = _fit(target, mixer, constraint)
    residuals = np.empty(target.shape[:2])
    for head, given in enumerate(target):
        residuals[head] = np.linalg.norm(given - mixing_matrix(mixer, coefficients, head), axis=1)
    norms = np.linalg.norm(target, axis=2)
    if not batched:
        norms, residuals = norms[0], residuals[0]
    return Realization(mixer, constraint, coefficients, norms, residuals, batched)


def _fit(target: np.ndarray, mixer: Mixer, constraint: str | None) -> dict[str, Coefficients]:
    heads, n, r = len(target), target.shape[2], mixer.state
    coefficients = {
        "alpha": Coefficients.zeros(mixer.direct, n, heads, (r,)),
        "beta": Coefficients.zeros(mixer.recurrent, n, heads, (r, r)),
    }
    if mixer.readout is not None:
        coefficients["gamma"] = Coefficients.zeros(mixer.readout, n, heads, (r,))
        forest = forest_of(mixer, n)
        if isinstance(forest, str):
            _fit_trivially(target, mixer, coefficients, forest)
        else:
            for head, given in enumerate(target):
                fit_forest(given, head, forest, coefficients, _steps(n, head, heads))
        return _scalars(coefficients) if r == 1 else coefficients
    if constraint is not None:
        scalars = _scalars(coefficients)
        for head, given in enumerate(target):
            steps = _steps(n, head, heads)
            fit_constrained_rows(given, head, scalars["alpha"], scalars["beta"], constraint, steps)
        return scalars
    for head, given in enumerate(target):
        fit_rows(given, head, coefficients["alpha"], coefficients["beta"], _steps(n, head, heads))
    return _scalars(coefficients) if r == 1 else coefficients


def _scalars(coefficients: dict[str, Coefficients]) -> dict[str, Coefficients]:
    """Blocks of one number as numbers; the values stay shared."""
    return {
        name: Coefficients(part.indptr, part.sources, part.values.reshape(part.values.shape[:2]))
        for name, part in coefficients.items()
    }


def _steps(n: int, head: int, heads: int) -> Iterable[int]:
    return track(range(n), "realizing" if heads == 1 else f"realizing head {head + 1} of {heads}")


def _fit_trivially(target: np.ndarray, mixer: Mixer, coefficients: dict[str, Coefficients], reason: str) -> None:
    """``C = M`` or ``A = M``, where one part covers all non-zero entries and the other has the diagonal."""
    n = target.shape[2]
    support = (target != 0).any(axis=0)
    assert mixer.readout is not None
    patterns = {"alpha": mixer.direct.to_dense(n), "gamma": mixer.readout.to_dense(n)}
    for carrier, passing in (("gamma", "alpha"), ("alpha", "gamma")):
        if (support & ~patterns[carrier]).any() or not patterns[passing].diagonal().all():
            continue
        part, identity = coefficients[carrier], coefficients[passing]
        targets = np.repeat(np.arange(n), np.diff(part.indptr))
        part.values[:, :, 0] = target[:, targets, part.sources]
        identity.values[:, [identity.find(t, t) for t in range(n)], 0] = 1.0
        return
    raise RealizationError(
        f"with a readout the coefficients enter as products, and no method is known for {mixer!r}: {reason}, and "
        "neither the readout nor the direct part covers all non-zero entries. Solved are mixers without a readout, "
        "and with one those whose states form a forest under a diagonal direct part, such as "
        "Mixer(direct=Diagonal(), recurrent=Lags([1]), readout=Diagonal(), state=r)"
    )


def check_matrix(matrix: object, rows_each: int = 1) -> tuple[np.ndarray, bool]:
    """The matrix as fp64 ``(heads, n·rows_each, n)``, and whether it was a batch over heads.

    Parameters
    ----------
    matrix : array (n·rows_each, n) or (heads, n·rows_each, n)
        The block of ``rows_each`` rows of step ``t`` is zero right of column ``t``.
    rows_each : int
        Rows of each step.

    Raises
    ------
    ShapeError, DtypeError, CausalityError, RealizationError
        As :func:`realize`.

    Examples
    --------
    >>> check_matrix([[1, 2], [0, 1]])
    Traceback (most recent call last):
    glmix_theory.errors.CausalityError: matrix[0, 1] = 2.0, but step 0 can't see input 1; \
give a causal matrix, for example np.tril(matrix)
    """
    try:
        array = np.asarray(matrix)
    except ValueError:
        raise ShapeError("the matrix is a ragged list; rows of equal length are needed") from None
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"the matrix has dtype {array.dtype}; real numbers are needed, for example matrix.real")
    needed = "(n, n) or (heads, n, n)" if rows_each == 1 else f"(n·{rows_each}, n) or (heads, n·{rows_each}, n)"
    height, n = array.shape[-2:] if array.ndim in (2, 3) else (0, 0)
    if height != n * rows_each or 0 in array.shape or array.ndim not in (2, 3):
        raise ShapeError(f"the matrix has shape {array.shape}; {needed} with n ≥ 1 is needed")
    batch = np.array(array if array.ndim == 3 else array[None], dtype=np.float64)
    at = "{2}[{0}, {1}]" if array.ndim == 2 else "{2}[{3}, {0}, {1}]"

    def place(wrong: np.ndarray) -> str:
        head, row, column = np.argwhere(wrong)[0]
        return f"{at.format(row, column, 'matrix', head)} = {batch[head, row, column]}"

    finite = np.isfinite(batch)
    if not finite.all():
        raise RealizationError(f"{place(~finite)}; all entries must be finite")
    largest = float(np.abs(batch).max())
    future = np.arange(n) > np.arange(height)[:, None] // rows_each
    rounding = future & (np.abs(batch) <= n * np.finfo(float).eps * largest)
    batch[rounding] = 0.0
    future = future & (batch != 0)
    if future.any():
        _, row, column = np.argwhere(future)[0]
        raise CausalityError(
            f"{place(future)}, but step {row // rows_each} can't see input {column}; "
            "give a causal matrix, for example np.tril(matrix)"
        )
    if largest and not _SMALLEST <= largest <= _LARGEST:
        raise RealizationError(
            f"the largest entry is {largest:.3g}, and squares of it leave the range of floating point; "
            "rescale the matrix, and α by the same factor afterwards"
        )
    return batch, array.ndim == 3
