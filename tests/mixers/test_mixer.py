"""The mixer and its dense oracle: identities, conventions of the state, and every refusal by its text."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import Mixer
from glmix_theory.errors import CoefficientError, LengthError, PatternError, StrictnessError

PATTERNS = st.one_of(
    st.just(glm.Dense()),
    st.just(glm.Diagonal()),
    st.just(glm.Empty()),
    st.just(glm.Fenwick()),
    st.just(glm.FenwickPrefix()),
    st.just(glm.Offsets(2**glm.k)),
    st.just(glm.CacheEfficient(glm.k**2 + 1)),
    st.integers(1, 5).map(glm.Window),
    st.integers(1, 5).map(glm.Strided),
    st.integers(1, 5).map(glm.Blocks),
    st.integers(1, 3).map(glm.GlobalTokens),
    st.lists(st.integers(0, 9), max_size=4).map(glm.Lags),
    st.builds(glm.RandomSources, st.integers(1, 3), st.integers(0, 9)),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda pair: (max(pair), min(pair))), max_size=12).map(
        glm.Explicit
    ),
)
DRAWN = st.one_of(
    PATTERNS,
    st.tuples(PATTERNS, PATTERNS).map(lambda both: both[0] | both[1]),
    st.tuples(PATTERNS, PATTERNS).map(lambda both: both[0] - both[1]),
)
LENGTHS = st.integers(1, 17)
SEEDS = st.integers(0, 2**32 - 1)


def _draw(pattern: glm.Pattern, n: int, rng: np.random.Generator, *tail: int) -> np.ndarray:
    mask = pattern.to_dense(n).reshape(n, n, *(1 for _ in tail))
    return np.where(mask, rng.standard_normal((n, n, *tail)), 0.0) / np.sqrt(n)


# --- identities --------------------------------------------------------------------------------------


@given(direct=DRAWN, recurrent=DRAWN, n=LENGTHS, seed=SEEDS)
def test_outputs_satisfy_their_equation(direct: glm.Pattern, recurrent: glm.Pattern, n: int, seed: int):
    """(I-B) Y = A X, and Y by the step-by-step recurrence."""
    rng = np.random.default_rng(seed)
    mixer = Mixer(direct=direct, recurrent=recurrent.strict())
    A, B = _draw(mixer.direct, n, rng), _draw(mixer.recurrent, n, rng)
    X = rng.standard_normal((n, 3))
    Y = mixer.matrix(A, B) @ X
    scale = max(1.0, np.abs(Y).max())
    np.testing.assert_allclose((np.eye(n) - B) @ Y, A @ X, rtol=0, atol=1e-12 * scale)
    outputs: list[np.ndarray] = []
    for t in range(n):
        sources = mixer.sources(t)
        output = sum((A[t, s] * X[s] for s in sources.get("direct", ())), np.zeros(3))
        outputs.append(output + sum((B[t, s] * outputs[s] for s in sources.get("recurrent", ())), np.zeros(3)))
    np.testing.assert_allclose(Y, outputs, rtol=0, atol=1e-11 * scale)


@given(direct=DRAWN, recurrent=DRAWN, readout=DRAWN, state=st.integers(1, 3), n=LENGTHS, seed=SEEDS)
def test_mixing_matrix_is_causal(
    direct: glm.Pattern, recurrent: glm.Pattern, readout: glm.Pattern, state: int, n: int, seed: int
):
    rng = np.random.default_rng(seed)
    mixer = Mixer(direct, recurrent.strict(), readout, state=state)
    tail = () if state == 1 else (state,)
    A, B, C = (_draw(p, n, rng, *tail) for p in (direct, mixer.recurrent, readout))
    M = mixer.matrix(A, B, C)
    assert M.shape == (n, n)
    assert M.dtype == np.float64
    assert (np.triu(M, 1) == 0).all()


@given(recurrent=DRAWN, n=LENGTHS, seed=SEEDS)
def test_universality(recurrent: glm.Pattern, n: int, seed: int):
    """Every causal M is a mixer on every strict recurrence: A = (I-B) M."""
    rng = np.random.default_rng(seed)
    mixer = Mixer(direct=glm.Dense(), recurrent=recurrent.strict())
    M, B = np.tril(rng.standard_normal((n, n))), _draw(mixer.recurrent, n, rng)
    A = np.tril((np.eye(n) - B) @ M)
    found = mixer.matrix(A, B)
    np.testing.assert_allclose(found, M, rtol=0, atol=1e-12 * max(1.0, np.abs(found).max()))


@given(direct=DRAWN, recurrent=DRAWN, n=LENGTHS, seed=SEEDS)
def test_a_longer_sequence_leaves_earlier_outputs_alone(direct: glm.Pattern, recurrent: glm.Pattern, n: int, seed: int):
    rng = np.random.default_rng(seed)
    mixer = Mixer(direct=direct, recurrent=recurrent.strict())
    A, B = _draw(mixer.direct, n + 3, rng), _draw(mixer.recurrent, n + 3, rng)
    whole, part = mixer.matrix(A, B), mixer.matrix(A[:n, :n], B[:n, :n])
    np.testing.assert_allclose(whole[:n, :n], part, rtol=0, atol=1e-13 * max(1.0, np.abs(part).max()))


# --- conventions of the state -------------------------------------------------------------------------


def test_state_block_conventions():
    """A[t, s] is a column, B[t, s] acts on the state from the left, C[t, s] is a row."""
    mixer = Mixer(glm.Diagonal(), glm.Lags([1]), glm.Diagonal(), state=2)
    column, block, row = np.array([1.0, 10.0]), np.array([[2.0, 3.0], [5.0, 7.0]]), np.array([11.0, 13.0])
    alpha, beta, gamma = np.zeros((2, 2, 2)), np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2))
    alpha[0, 0], beta[1, 0], gamma[1, 1] = column, block, row
    assert mixer.matrix(alpha, beta, gamma).tolist() == [[0, 0], [row @ block @ column, 0]]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_scalar_diagonal_and_block_coefficients_agree(n: int):
    rng = np.random.default_rng(n)
    mixer = Mixer(glm.Dense(), glm.Dense().strict(), glm.Dense(), state=3)
    alpha, gamma = _draw(glm.Dense(), n, rng, 3), _draw(glm.Dense(), n, rng, 3)
    numbers = _draw(mixer.recurrent, n, rng)
    diagonals = np.repeat(numbers[:, :, None], 3, axis=2)
    blocks = diagonals[:, :, :, None] * np.eye(3)
    matrices = [mixer.matrix(alpha, beta, gamma) for beta in (numbers, diagonals, blocks)]
    np.testing.assert_array_equal(matrices[0], matrices[1])
    np.testing.assert_array_equal(matrices[0], matrices[2])


@pytest.mark.parametrize("n", [1, 2, 5])
def test_state_without_readout_gives_every_state_row(n: int):
    rng = np.random.default_rng(n)
    mixer = Mixer(glm.Dense(), glm.Lags([1, 2]), state=3)
    alpha, beta = _draw(glm.Dense(), n, rng, 3), _draw(mixer.recurrent, n, rng, 3, 3)
    states = mixer.matrix(alpha, beta)
    assert states.shape == (3 * n, n)
    rows = np.zeros((n, 3, n))
    for t in range(n):
        rows[t] = alpha[t].T
        for s in mixer.recurrent.sources(t):
            rows[t] += beta[t, s] @ rows[s]
    np.testing.assert_allclose(states, rows.reshape(3 * n, n), rtol=0, atol=1e-12)


def test_readout_multiplies_from_the_left():
    rng = np.random.default_rng(0)
    plain, read = Mixer(glm.Dense(), glm.Lags([1])), Mixer(glm.Dense(), glm.Lags([1]), glm.Window(2))
    A, B, C = (_draw(p, 6, rng) for p in (glm.Dense(), glm.Lags([1]), glm.Window(2)))
    np.testing.assert_allclose(read.matrix(A, B, C), C @ plain.matrix(A, B), rtol=0, atol=1e-14)


def test_omitted_recurrence():
    mixer, A = Mixer(direct=glm.Window(2)), np.eye(4)
    np.testing.assert_array_equal(mixer.matrix(A), A)
    np.testing.assert_array_equal(mixer.matrix(A, np.zeros((4, 4))), A)


def test_coefficients_are_not_changed_and_may_be_lists():
    A, B = np.eye(3), 0.5 * np.eye(3, k=-1)
    kept = A.copy(), B.copy()
    mixer = Mixer(recurrent=glm.Lags([1]))
    assert mixer.matrix(A.tolist(), B.tolist()).tolist() == mixer.matrix(A, B).tolist()  # type: ignore[arg-type]
    assert (kept[0] == A).all()
    assert (kept[1] == B).all()
    narrow = mixer.matrix(A.astype(np.float32), B.astype(np.float32))
    assert narrow.dtype == np.float64


# --- the object -----------------------------------------------------------------------------------------


def test_defaults_equality_and_parts():
    mixer = Mixer()
    assert (mixer.direct, mixer.recurrent, mixer.readout) == (glm.Diagonal(), glm.Empty(), None)
    assert mixer == Mixer(name="a title")
    assert hash(mixer) == hash(Mixer(name="a title"))
    assert mixer != Mixer(state=2)
    assert list(mixer.parts) == ["direct"]
    full = Mixer(glm.Dense(), glm.Lags([1]), glm.Window(2))
    assert list(full.parts) == ["direct", "recurrent", "readout"]
    assert full.sources(2) == {"direct": (0, 1, 2), "recurrent": (1,), "readout": (1, 2)}
    assert full.output_reads.sources(3) == (2, 3)
    assert Mixer(recurrent=glm.Lags([1])).output_reads.sources(3) == (2,)
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixer.state = 2  # type: ignore[misc]


def test_prints_only_what_differs_from_the_default():
    assert repr(Mixer()) == "Mixer(direct=Diagonal())"
    full = Mixer(glm.Dense(), glm.Lags([1]), glm.Diagonal(), coefficients="delta", state=2, name="<b>")
    assert repr(full) == (
        "Mixer(direct=Dense(), recurrent=Lags([1]), readout=Diagonal(), coefficients='delta', state=2)"
    )
    assert "&lt;b&gt;" in full._repr_html_()


# --- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"direct": None},
            PatternError,
            "direct = None is a NoneType; a glm pattern is needed, for example glm.Diagonal() or glm.Offsets(2**k)",
        ),
        ({"direct": [1]}, PatternError, "direct = [1] is a list; a glm pattern is needed"),
        ({"recurrent": None}, PatternError, "recurrent = None is a NoneType; a glm pattern is needed"),
        ({"recurrent": glm.Window}, PatternError, "a glm pattern is needed"),
        ({"readout": "dense"}, PatternError, "readout = 'dense' is a str; a glm pattern is needed"),
        (
            {"recurrent": glm.Window(2)},
            StrictnessError,
            "the recurrent pattern Window(2) contains (0, 0): an output may not read itself; use Window(2).strict()",
        ),
        ({"recurrent": glm.Explicit([(3, 1), (5, 5)])}, StrictnessError, "contains (5, 5)"),
        (
            {"coefficients": "softmx"},
            CoefficientError,
            "coefficients = 'softmx' is not a known kind; did you mean 'softmax'?",
        ),
        (
            {"coefficients": "xyz"},
            CoefficientError,
            "coefficients = 'xyz' is not a known kind; known: softmax, chacal, signed, gated, fixed, delta",
        ),
        ({"state": 0}, LengthError, "state = 0 is below 1; the smallest valid state is 1"),
        ({"state": 1.5}, LengthError, "state = 1.5 is not an integer; give an int ≥ 1"),
        ({"state": True}, LengthError, "state = True is a bool; give an int ≥ 1"),
    ],
)
def test_mixer_refuses(arguments: dict, error: type[Exception], message: str):
    with pytest.raises(error) as caught:
        Mixer(**arguments)
    assert message in str(caught.value)


PLAIN = Mixer(recurrent=glm.Lags([1]))
READ = Mixer(glm.Diagonal(), glm.Lags([1]), glm.Diagonal(), state=2)
EYE, BELOW = np.eye(3), 0.5 * np.eye(3, k=-1)
COLUMNS = EYE[:, :, None] * np.ones(2)


@pytest.mark.parametrize(
    ("mixer", "arrays", "message"),
    [
        (PLAIN, (np.float64(1), BELOW), "alpha has shape (); "),
        (PLAIN, (np.zeros((0, 0)), BELOW), "alpha has shape (0, 0); "),
        (PLAIN, (np.ones(3), BELOW), "alpha has shape (3,); (n, n) with n ≥ 1 is needed"),
        (PLAIN, (np.ones((3, 2)), BELOW), "alpha has shape (3, 2); needed: (3, 3)"),
        (PLAIN, (EYE[:, :, None], BELOW), "alpha has shape (3, 3, 1); needed: (3, 3)"),
        (READ, (EYE, BELOW, COLUMNS), "alpha has shape (3, 3); needed: (3, 3, 2)"),
        (PLAIN, (EYE,), "beta is missing; this mixer has a recurrent part"),
        (PLAIN, (EYE, np.eye(2)), "beta has shape (2, 2); needed: (3, 3)"),
        (
            READ,
            (COLUMNS, np.zeros((3, 3, 3)), COLUMNS),
            "beta has shape (3, 3, 3); needed: (3, 3) or (3, 3, 2) or (3, 3, 2, 2)",
        ),
        (READ, (COLUMNS, BELOW), "this mixer has a readout, so needs gamma"),
        (PLAIN, (EYE, BELOW, EYE), "this mixer has no readout, so takes no gamma"),
        (READ, (COLUMNS, BELOW, EYE), "gamma has shape (3, 3); needed: (3, 3, 2)"),
        (PLAIN, (EYE * np.nan, BELOW), "alpha contains NaN or infinity; all coefficients must be finite"),
        (PLAIN, (EYE, np.full((3, 3), np.inf)), "beta contains NaN or infinity"),
        (READ, (COLUMNS, BELOW, COLUMNS * np.nan), "gamma contains NaN or infinity"),
        (
            PLAIN,
            (EYE + np.eye(3, k=-2), BELOW),
            "alpha[2, 0] is not zero but (2, 0) is not in Diagonal(); step 2 may use (2,)",
        ),
        (PLAIN, (EYE, EYE), "beta[0, 0] is not zero but (0, 0) is not in Lags([1]); step 0 may use ()"),
        (PLAIN, (EYE, BELOW.T), "beta[0, 1] is not zero but (0, 1) is not in Lags([1])"),
        (READ, (COLUMNS, BELOW, COLUMNS + 1), "gamma[0, 1] is not zero but (0, 1) is not in Diagonal()"),
        (
            Mixer(direct=glm.Dense()),
            (EYE, BELOW),
            "beta[1, 0] is not zero but (1, 0) is not in Empty(); step 1 may use ()",
        ),
    ],
)
def test_matrix_refuses(mixer: Mixer, arrays: tuple, message: str):
    with pytest.raises(CoefficientError) as caught:
        mixer.matrix(*arrays)
    assert message in str(caught.value)


def test_matrix_sees_a_stray_value_in_any_channel():
    beta = np.zeros((3, 3, 2, 2))
    beta[2, 0, 1, 0] = 1e-300
    with pytest.raises(CoefficientError, match=r"beta\[2, 0\] is not zero"):
        READ.matrix(COLUMNS, beta, COLUMNS)
