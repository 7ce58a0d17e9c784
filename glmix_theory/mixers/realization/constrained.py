"""Row fits whose coefficients are stable (joint ``Σ|α| + Σ|β| ≤ 1``) or stochastic (non-negative, sum 1).

Both sets are convex hulls: of the rows ``w_i`` that may be combined, or of ``±w_i`` and 0. The best fit is the point
of the hull nearest to the wanted row, and that is one non-negative least-squares problem.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from glmix_theory.errors import RealizationError
from glmix_theory.mixers.realization.coefficients import Coefficients

CONSTRAINTS = ("stable", "stochastic")

_ROUNDING = 4 * float(np.finfo(float).eps)


def fit_constrained_rows(
    target: np.ndarray, head: int, alpha: Coefficients, beta: Coefficients, constraint: str, steps: Iterable[int]
) -> None:
    """Fill α and β of one head with the best constrained fit of each step, given the steps before it.

    Parameters
    ----------
    target : array (n, n), fp64
        Lower triangular.
    head : int
        Which head of the coefficients to fill.
    alpha, beta : Coefficients
        Values of shape ``(heads, edges)``.
    constraint : str
        ``stable`` or ``stochastic``.
    steps : iterable of int
        ``0 … n-1``, or the same with a progress bar.

    Raises
    ------
    RealizationError
        ``stochastic``, and a step reads nothing: its coefficients can't sum to 1.
    """
    realised = np.zeros_like(target)
    for t in steps:
        direct, rows = alpha.sources[alpha.of(t)], beta.sources[beta.of(t)]
        if constraint == "stochastic" and len(direct) + len(rows) == 0:
            raise RealizationError(
                f"step {t} reads nothing, so its coefficients can't sum to 1; "
                "constraint = 'stable' allows it, or give the direct part the diagonal"
            )
        past = realised[rows, : t + 1]
        weights = _fit(target[t, : t + 1], direct, past, constraint)
        alpha.values[head, alpha.of(t)], beta.values[head, beta.of(t)] = np.split(weights, [len(direct)])
        realised[t, : t + 1] = weights[len(direct) :] @ past
        realised[t, direct] += weights[: len(direct)]


def _fit(wanted: np.ndarray, direct: np.ndarray, past: np.ndarray, constraint: str) -> np.ndarray:
    """Coefficients of ``e_s`` for ``s`` in ``direct``, then of the rows of ``past``."""
    project = _onto_simplex if constraint == "stochastic" else _onto_ball
    weights = np.zeros(len(direct) + len(past))
    if len(direct):
        weights[: len(direct)] = project(wanted[direct])
        missed = wanted.copy()
        missed[direct] -= weights[: len(direct)]
        # Without past rows the projection is the best fit; with them it is where it leaves rounding only.
        if not len(past) or np.linalg.norm(missed) <= _ROUNDING * np.linalg.norm(wanted):
            return weights
    vectors = np.concatenate([np.eye(len(wanted))[direct], past])
    if not len(vectors):
        return weights
    signs = np.ones(len(vectors))
    if constraint == "stable":
        vectors, signs = (
            np.concatenate([vectors, -vectors, np.zeros((1, len(wanted)))]),
            np.concatenate([signs, -signs]),
        )
    shares = nearest_in_hull(vectors, wanted)
    count = len(weights)
    return shares[:count] if constraint == "stochastic" else shares[:count] - shares[count : 2 * count]


def nearest_in_hull(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Shares ``λ ≥ 0``, ``Σλ = 1``, of the point of the convex hull of ``points`` nearest to ``wanted``.

    Claim: with ``P`` the columns ``points - wanted``, the ``u ≥ 0`` that minimises ``‖P u‖² + (Σu - 1)²`` is a
    multiple of ``λ``. Write ``u = c λ``, ``v = ‖P λ‖²``: the best ``c`` is ``1 / (1 + v)`` and leaves
    ``v / (1 + v)``, which grows with ``v``. So one non-negative least-squares problem finds the nearest point. It is
    solved by Lawson and Hanson's active set method (``scipy.optimize.nnls``); where that stops short of the
    optimality conditions, which it can when points coincide or lie on a line, by bounded-variable least squares
    (``scipy.optimize.lsq_linear``).

    Parameters
    ----------
    points : array (count, width), fp64
        At least one point.
    wanted : array (width,), fp64
        Where to get close to.

    Returns
    -------
    array (count,), fp64
        The shares.

    Raises
    ------
    RealizationError
        Neither solver meets the optimality conditions.

    Examples
    --------
    >>> nearest_in_hull(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([0.5, 3.0])).round(9).tolist()
    [0.75, 0.25]

    References
    ----------
    Lawson & Hanson 1974, *Solving Least Squares Problems*, chapter 23; Wolfe 1976, *Finding the nearest point in a
    polytope*, doi:10.1007/BF01580381; Stark & Parker
    1995, *Bounded-variable least-squares*.
    """
    import scipy.optimize

    if len(wanted) > len(points) + 1:  # lengths and angles are all that counts: turn into fewer columns
        triangle = np.asarray(np.linalg.qr(np.concatenate([points, wanted[None]]).T, mode="r"))
        points, wanted = triangle[:, :-1].T, triangle[:, -1]
    differences = points - wanted
    scale = np.abs(differences).max()
    if scale == 0:
        return np.full(len(points), 1.0 / len(points))
    system = np.concatenate([differences.T / scale, np.ones((1, len(points)))])
    goal = np.zeros(len(system))
    goal[-1] = 1.0
    tolerance = 1e3 * float(np.finfo(float).eps) * float(np.abs(system).sum(axis=0).max())
    limit = 10 * len(points) + 100
    shares, _ = scipy.optimize.nnls(system, goal, maxiter=limit)
    if _gap(system, goal, shares) > tolerance:
        bounded = scipy.optimize.lsq_linear(
            system, goal, bounds=(0, np.inf), method="bvls", tol=float(np.finfo(float).eps), max_iter=limit
        )
        shares = np.maximum(bounded.x, 0.0)
        gap = _gap(system, goal, shares)
        if gap > tolerance:
            raise RealizationError(
                f"no solver found the nearest of {len(points)} combinations: the optimality conditions are missed by "
                f"{gap:.2g}, {tolerance:.2g} is needed; leave the constraint out"
            )
    return shares / shares.sum()


def _gap(system: np.ndarray, goal: np.ndarray, shares: np.ndarray) -> float:
    """How far ``u ≥ 0`` is from least ``‖system u - goal‖``: there the gradient is ≥ 0, and 0 where ``u > 0``."""
    gradient = system.T @ (system @ shares - goal)
    return float(np.max(np.where(shares > 0, np.abs(gradient), -gradient), initial=0.0))


def _onto_simplex(vector: np.ndarray, total: float = 1.0) -> np.ndarray:
    """The nearest vector that is non-negative with that sum (Held, Wolfe & Crowder 1974, doi:10.1007/BF01580223)."""
    falling = np.sort(vector)[::-1]
    thresholds = (np.cumsum(falling) - total) / np.arange(1, len(vector) + 1)
    positive = np.flatnonzero(falling > thresholds)
    return np.maximum(vector - thresholds[positive[-1]], 0.0)


def _onto_ball(vector: np.ndarray) -> np.ndarray:
    """The nearest vector with ``Σ|v| ≤ 1`` (Duchi et al. 2008, doi:10.1145/1390156.1390191)."""
    size = np.abs(vector)
    return vector.copy() if size.sum() <= 1 else np.copysign(_onto_simplex(size), vector)
