"""Readouts over a forest of states: exact if and only if every subtree's block has the rank of the state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory.errors import RealizationError
from glmix_theory.mixers import catalogue
from glmix_theory.mixers.realize import realize


@st.composite
def forests(draw: st.DrawFn) -> tuple[glm.Mixer, list[int], list[list[int]], int]:
    """A mixer with a random forest of states, the parent of each, what each step reads, and the length."""
    n = draw(st.integers(1, 12))
    parents = [draw(st.none() | st.integers(s + 1, n)) for s in range(n)]
    parent = [-1 if p is None or p >= n else p for p in parents]
    children = [[s for s in range(n) if parent[s] == t] for t in range(n)]
    reads = []
    for t in range(n):
        nodes: list[int] = []
        for candidate in draw(st.lists(st.integers(0, t), max_size=4)):
            if not any(related(parent, candidate, node) for node in nodes):
                nodes.append(candidate)
        if draw(st.booleans()) and not any(related(parent, t, node) for node in nodes):
            nodes += [t, *children[t]]
        reads.append(sorted(nodes))
    state = draw(st.integers(1, 3))
    recurrent = glm.Explicit([(parent[s], s) for s in range(n) if parent[s] >= 0])
    readout = glm.Explicit([(t, s) for t in range(n) for s in reads[t]])
    return glm.Mixer(glm.Diagonal(), recurrent, readout, state=state), parent, reads, n


def related(parent: list[int], one: int, other: int) -> bool:
    """Whether one of the two is the other or above it."""

    def above(node: int) -> set[int]:
        found = set()
        while node >= 0:
            found.add(node)
            node = parent[node]
        return found

    return one in above(other) or other in above(one)


def random_parts(mixer: glm.Mixer, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng, r = np.random.default_rng(seed), mixer.state
    shapes = {"direct": (r,), "recurrent": (r, r), "readout": (r,)}
    parts = []
    for part, shape in shapes.items():
        values = rng.standard_normal((n, n, *shape))
        values[~getattr(mixer, part).to_dense(n)] = 0
        parts.append(values[(..., *(0,) * len(shape))] if r == 1 else values)
    return parts[0], parts[1], parts[2]


@given(forests(), st.integers(0, 2**32))
def test_what_a_forest_makes_it_carries(drawn: tuple[glm.Mixer, list[int], list[list[int]], int], seed: int) -> None:
    mixer, _, _, n = drawn
    matrix = mixer.matrix(*random_parts(mixer, n, seed))
    found = realize(matrix, mixer)
    assert found.relative <= 1e-7
    again = mixer.matrix(found.alpha, found.beta, found.gamma)
    np.testing.assert_allclose(again, found.matrix(), rtol=0, atol=1e-12 * max(1, np.abs(matrix).max()))


@given(forests(), st.integers(0, 2**32), st.integers(1, 4))
def test_exact_if_and_only_if_the_ranks_allow_it(
    drawn: tuple[glm.Mixer, list[int], list[list[int]], int], seed: int, rank: int
) -> None:
    """Ranks of the blocks of steps that read a node or one above it, by the definition; own readers left out."""
    mixer, parent, reads, n = drawn
    children = [[s for s in range(n) if parent[s] == t] for t in range(n)]
    if any(t in reads[t] and children[t] and set(children[t]) <= set(reads[t]) for t in range(n)):
        return  # a step that reads itself and its children has a condition of its own
    left, right = np.random.default_rng(seed).standard_normal((2, n, rank))
    matrix = np.tril(left @ right.T)
    subtree: list[set[int]] = [{u} for u in range(n)]
    for u in range(n):
        for child in children[u]:
            subtree[u] |= subtree[child]
    squares, possible = 0.0, True
    for t in range(n):
        seen = set().union(*(subtree[u] for u in reads[t])) if reads[t] else set()
        unseen = [s for s in range(n) if s not in seen]
        squares += float((matrix[t, unseen] ** 2).sum())
    possible &= squares == 0
    lower = squares
    for u in range(n):
        above, node = set(), u
        while node >= 0:
            above.add(node)
            node = parent[node]
        steps = [t for t in range(n) if above & set(reads[t])]
        values = np.linalg.svd(matrix[np.ix_(steps, sorted(subtree[u]))], compute_uv=False)
        possible &= not (values[mixer.state :] > 1e-9).any()
        lower = max(lower, float((values[mixer.state :] ** 2).sum()))
    found = realize(matrix, mixer)
    assert found.exact == possible
    assert found.residual**2 >= lower * (1 - 1e-9)
    readout = mixer.matrix(found.alpha, found.beta, found.gamma)
    assert found.residual == pytest.approx(np.linalg.norm(matrix - readout), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 16, 33])
def test_states_of_a_path_keep_the_energy_of_their_cuts(n: int) -> None:
    """The squared residual lies between the worst cut's lost energy and the sum over all cuts."""
    matrix = np.tril(np.random.default_rng(n).standard_normal((n, n)))
    for state in (1, 2, 5):
        found = realize(matrix, catalogue.entry("mamba2").build(state=state))
        lost = [float((np.linalg.svd(matrix[t:, : t + 1], compute_uv=False)[state:] ** 2).sum()) for t in range(n)]
        assert max(lost) * (1 - 1e-9) <= found.residual**2 <= sum(lost) * (1 + 1e-9) + 1e-20
        again = found.mixer.matrix(found.alpha, found.beta, found.gamma)
        np.testing.assert_allclose(again, found.matrix(), rtol=0, atol=1e-12)
        if (
            state > 1
        ):  # input-normal form: each step's (B | a) has orthonormal rows, so no state is longer than its inputs
            for t in range(1, n):
                rows = np.concatenate([found.beta[t, t - 1], found.alpha[t, t][:, None]], axis=1)
                rows = rows[np.abs(rows).sum(axis=1) > 0]
                np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-10)


def test_log_linear_attention_carries_blocks_that_one_path_does_not() -> None:
    """A matrix whose Fenwick blocks have rank 2 has a larger rank at its cuts."""
    n, rng = 32, np.random.default_rng(3)
    tree = catalogue.entry("log_linear_attention").build(state=2, merged=True)
    left, right = rng.standard_normal((2, n, 2))
    levels = rng.uniform(0.2, 1, (n, 7))
    matrix = np.zeros((n, n))
    for t in range(n):
        node = t + 1
        while node > 0:
            low = node & -node
            for s in range(node - low, node):
                matrix[t, s] = levels[t, low.bit_length() - 1] * (left[t] @ right[s])
            node -= low
    assert realize(matrix, tree).exact
    path = catalogue.entry("mamba2").build(state=2)
    assert not realize(matrix, path).exact
    assert not realize(matrix, catalogue.entry("log_linear_attention").build(state=1, merged=True)).exact


def test_readouts_without_a_method_are_refused_with_the_reason() -> None:
    matrix = np.tril(np.ones((6, 6)))
    cases = {
        "not the diagonal": glm.Mixer(glm.Window(2), glm.Lags([1]), glm.Diagonal()),
        "position 0 is read by two states, 1 and 2": glm.Mixer(recurrent=glm.Lags([1, 2]), readout=glm.Diagonal()),
        "reads position 2 and position 0, whose state is already in it": glm.Mixer(
            recurrent=glm.Lags([1]), readout=glm.Lags([0, 2])
        ),
    }
    for reason, mixer in cases.items():
        with pytest.raises(RealizationError, match=reason):
            realize(matrix, mixer)
    # a readout, or a direct part, that covers the matrix by itself needs no method
    for mixer in (glm.Mixer(readout=glm.Dense()), glm.Mixer(glm.Dense(), glm.Lags([1, 2]), glm.Diagonal())):
        for state in (1, 3):
            wide = glm.Mixer(mixer.direct, mixer.recurrent, mixer.readout, state=state)
            found = realize(matrix, wide)
            assert found.residual == 0
            assert (wide.matrix(found.alpha, found.beta, found.gamma) == matrix).all()
