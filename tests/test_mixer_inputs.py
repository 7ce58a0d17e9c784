"""Mixer arguments that other tests do not cover: empty parts and coefficients of the wrong kind."""

import numpy as np
import pytest

import glmix_theory as glm
from glmix_theory.errors import CoefficientError, StrictnessError


@pytest.mark.parametrize("nothing", [glm.Empty(), glm.Lags([]), glm.Explicit([]), glm.Lags([2]) - glm.Lags([2])])
def test_a_recurrence_without_pairs_needs_no_beta(nothing: glm.Pattern) -> None:
    mixer = glm.Mixer(recurrent=nothing)
    assert list(mixer.parts) == ["direct"]
    assert np.array_equal(mixer.matrix(np.eye(3)), np.eye(3))


@pytest.mark.parametrize("wrong", [1j * np.eye(3), [["a"]], [[1.0], [1.0, 2.0]], None])
def test_coefficients_that_are_not_real_numbers_are_refused(wrong: object) -> None:
    with pytest.raises(CoefficientError, match="alpha is not an array of real numbers"):
        glm.Mixer().matrix(wrong)  # type: ignore[arg-type]


def test_the_shape_needed_is_stated() -> None:
    with pytest.raises(CoefficientError, match=r"alpha has shape \(\); \(n, n\) with n ≥ 1 is needed"):
        glm.Mixer().matrix(np.float64(1))
    with pytest.raises(CoefficientError, match=r"\(n, n, 4\) with n ≥ 1"):
        glm.Mixer(readout=glm.Diagonal(), state=4).matrix(np.zeros(3))


def test_the_strict_pattern_is_offered() -> None:
    with pytest.raises(StrictnessError, match=r"contains \(0, 0\).*use Window\(2\)\.strict\(\)"):
        glm.Mixer(recurrent=glm.Window(2))


@pytest.mark.parametrize("other", [glm.Dense(), glm.Blocks(7)])
def test_a_late_diagonal_pair_is_found(other: glm.Pattern) -> None:
    """Operations look at the first 256 steps only, unless a part lists its pairs."""
    late = glm.Explicit([(5, 2), (300, 300)])
    for recurrent in (late & other, other & late, late - glm.Explicit([(5, 2)])):
        with pytest.raises(StrictnessError, match=r"contains \(300, 300\)"):
            glm.Mixer(recurrent=recurrent)
    assert (late - other).first_diagonal() is None


def test_a_symbolic_mixer_is_no_layer() -> None:
    import sympy

    window = glm.Window(sympy.Symbol("w", integer=True, positive=True))
    with pytest.raises(glm.errors.SymbolicError, match="w"):
        glm.to_torch(glm.Mixer(direct=window), d_model=4)
