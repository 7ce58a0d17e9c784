"""What ``realize``, ``explain`` and ``rank_bound`` refuse, and that they say what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

import glmix_theory as glm
from glmix_theory.design.explain import explain, rank_bound
from glmix_theory.errors import (
    CausalityError,
    DtypeError,
    GlmixError,
    PatternError,
    RealizationError,
    ShapeError,
    SymbolicError,
    UnknownNameError,
)
from glmix_theory.mixers.realize import realize

FIRST = glm.catalogue["diagonal_ssm"]
GOOD = np.tril(np.ones((4, 4)))


def spoiled(value: Any, *place: int) -> np.ndarray:
    matrix = np.broadcast_to(GOOD, (2, 4, 4)).copy() if len(place) == 3 else GOOD.copy()
    matrix[place] = value
    return matrix


BAD_MATRICES: list[tuple[Any, type[GlmixError], str]] = [
    (np.ones((3, 4)), ShapeError, r"shape \(3, 4\); \(n, n\) or \(heads, n, n\)"),
    (np.ones(3), ShapeError, r"shape \(3,\)"),
    (np.ones((1, 1, 2, 2)), ShapeError, r"shape \(1, 1, 2, 2\)"),
    (np.zeros((0, 0)), ShapeError, "n ≥ 1"),
    (np.zeros((0, 3, 3)), ShapeError, "n ≥ 1"),
    ([[1.0], [1.0, 2.0]], ShapeError, "ragged"),
    (GOOD + 0j, DtypeError, "complex128"),
    (np.array([["a"]]), DtypeError, "real numbers"),
    (None, DtypeError, "object"),
    (spoiled(0.5, 1, 2), CausalityError, r"matrix\[1, 2\] = 0.5, but step 1 can't see input 2; .*np.tril"),
    (spoiled(0.5, 1, 2, 3), CausalityError, r"matrix\[1, 2, 3\] = 0.5"),
    (spoiled(np.nan, 2, 1), RealizationError, r"matrix\[2, 1\] = nan; all entries must be finite"),
    (spoiled(-np.inf, 1, 3, 0), RealizationError, r"matrix\[1, 3, 0\] = -inf"),
    (spoiled(1e200, 3, 0), RealizationError, "1e[+]200.*rescale"),
    (GOOD * 1e-200, RealizationError, "rescale"),
]


@pytest.mark.parametrize(("matrix", "error", "message"), BAD_MATRICES)
def test_bad_matrices(matrix: Any, error: type[GlmixError], message: str) -> None:
    with pytest.raises(error, match=message):
        realize(matrix, FIRST)
    with pytest.raises(error, match=message):
        explain(matrix, [FIRST])
    with pytest.raises(error, match=message):
        rank_bound(matrix, FIRST)


def test_rounding_right_of_the_diagonal_is_zero() -> None:
    matrix = np.linalg.inv(np.eye(40) - 0.5 * np.tril(np.random.default_rng(0).standard_normal((40, 40)), -1) / 6)
    matrix[3, 20] = 1e-15
    assert realize(matrix, glm.catalogue["dense_recurrence"]).exact
    with pytest.raises(CausalityError, match=r"matrix\[0, 17\]"):
        realize(matrix + 1e-9 * np.eye(40, k=17), glm.catalogue["dense_recurrence"])


def test_the_matrix_given_is_not_changed() -> None:
    matrix = GOOD.copy()
    matrix[0, 3] = 1e-17
    before = matrix.copy()
    realize(matrix, FIRST)
    assert (matrix == before).all()


def test_other_number_types() -> None:
    for matrix in (GOOD.astype(np.float32), GOOD.astype(int), GOOD.astype(bool), GOOD.tolist()):
        found = realize(matrix, FIRST)
        assert found.exact
        assert found.alpha.dtype == np.float64


def test_bad_mixers_and_constraints() -> None:
    window = sympy.Symbol("w", integer=True, positive=True)
    symbolic = glm.Mixer(glm.Window(window))
    with pytest.raises(PatternError, match=r"needs a Mixer, got Window"):
        realize(GOOD, glm.Window(2))  # type: ignore[arg-type]
    with pytest.raises(SymbolicError, match="substitute numbers"):
        realize(GOOD, symbolic)
    with pytest.raises(SymbolicError, match="substitute numbers"):
        rank_bound(GOOD, symbolic)
    with pytest.raises(UnknownNameError, match="did you mean 'stochastic'"):
        realize(GOOD, FIRST, "stochastik")
    with pytest.raises(RealizationError, match="a readout: leave the constraint out"):
        realize(GOOD, glm.catalogue["mamba2"], "stable")
    with pytest.raises(RealizationError, match="blocks of 2"):
        realize(np.zeros((8, 4)), glm.Mixer(state=2), "stable")
    with pytest.raises(ShapeError, match=r"\(n·2, n\)"):
        realize(GOOD, glm.Mixer(state=2))
    with pytest.raises(CausalityError, match=r"matrix\[1, 1\] = 1.0, but step 0"):
        realize(np.eye(8, 4), glm.Mixer(state=2))
    with pytest.raises(RealizationError, match="step 0 reads nothing"):
        realize(GOOD, glm.Mixer(glm.Empty(), glm.Lags([1])), "stochastic")


def test_bad_mixers_to_explain() -> None:
    with pytest.raises(PatternError, match="at least one mixer"):
        explain(GOOD, [])
    with pytest.raises(PatternError, match=r"got str; for one write \['attention'\]"):
        explain(GOOD, "attention")  # type: ignore[arg-type]
    with pytest.raises(PatternError, match="got Mixer"):
        explain(GOOD, FIRST)  # type: ignore[arg-type]
    with pytest.raises(PatternError, match="is a Window"):
        explain(GOOD, [glm.Window(2)])  # type: ignore[list-item]
    with pytest.raises(UnknownNameError, match="did you mean 'attention'"):
        explain(GOOD, ["atention"])
    with pytest.raises(SymbolicError):
        explain(GOOD, {"window": glm.Mixer(glm.Window(sympy.Symbol("w", integer=True, positive=True)))})
    with pytest.raises(UnknownNameError, match="did you mean 'diagonal_ssm'"):
        explain(GOOD, [FIRST])["diagonal"]
    with pytest.raises(UnknownNameError, match="stable"):
        explain(GOOD, [FIRST], "stabel")
