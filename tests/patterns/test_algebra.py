"""Laws of the algebra, as sets of pairs, for drawn patterns."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from tests.strategies import Drawn, cache_efficient, patterns

LENGTH = 60
PATTERN = patterns(max_leaves=3)


def same(left: glm.Pattern, right: glm.Pattern) -> bool:
    """Equal as sets of pairs among the first 60 positions."""
    return np.array_equal(left.to_dense(LENGTH), right.to_dense(LENGTH))


@given(patterns(max_leaves=5))
def test_drawn_patterns_agree_with_their_definition(drawn: Drawn) -> None:
    matrix = drawn.reference.matrix(LENGTH)
    assert np.array_equal(drawn.pattern.to_dense(LENGTH), matrix)
    assert np.array_equal(drawn.pattern.to_csr(LENGTH).toarray(), matrix)
    assert np.array_equal(drawn.pattern.in_degrees(LENGTH), matrix.sum(axis=1))
    graph = drawn.pattern.to_networkx(30)
    assert set(graph.edges) == {(s, t) for t in range(30) for s in drawn.reference(t)}
    for t in range(0, LENGTH, 7):
        assert drawn.pattern.sources(t) == tuple(np.flatnonzero(matrix[t]))
        assert drawn.pattern.in_degree(t) == matrix[t].sum()


@given(patterns(max_leaves=4), st.integers(0, 50), st.integers(0, 30))
def test_windows_of_rows_agree_with_steps(drawn: Drawn, start: int, size: int) -> None:
    indptr, sources = drawn.pattern.rows(start, start + size)
    assert len(indptr) == size + 1
    for i in range(size):
        assert set(sources[indptr[i] : indptr[i + 1]].tolist()) == drawn.reference(start + i)


@given(patterns(max_leaves=4))
def test_causal_and_diagonal(drawn: Drawn) -> None:
    matrix = drawn.pattern.to_dense(LENGTH)
    assert not np.triu(matrix, 1).any()
    first = drawn.pattern.first_diagonal()
    diagonal = np.flatnonzero(matrix.diagonal())
    if len(diagonal):
        assert first == diagonal[0]
    assert first is None or first in drawn.reference(first)
    assert drawn.pattern.strict().first_diagonal() is None
    drawn.pattern.strict().require_strict()


@given(PATTERN, PATTERN, PATTERN)
def test_set_laws(p: Drawn, q: Drawn, r: Drawn) -> None:
    a, b, c = p.pattern, q.pattern, r.pattern
    assert same(a | b, b | a)
    assert same(a & b, b & a)
    assert same((a | b) | c, a | (b | c))
    assert same((a & b) & c, a & (b & c))
    assert same(a & (b | c), (a & b) | (a & c))
    assert same(a | (b & c), (a | b) & (a | c))
    assert same(a - b, a - (a & b))
    assert same(a - (b | c), (a - b) - c)
    assert same(a - (b & c), (a - b) | (a - c))
    assert same((a - b) | (a & b), a)
    assert same(a & b, glm.Dense() - ((glm.Dense() - a) | (glm.Dense() - b)))


@given(PATTERN)
def test_units(p: Drawn) -> None:
    a = p.pattern
    empty, diagonal, dense = glm.Empty(), glm.Diagonal(), glm.Dense()
    for equal in (a | empty, a & dense, a - empty, a & a, a | a, diagonal @ a, a @ diagonal, a.shift(0), a.blocked(1)):
        assert same(equal, a)
    for nothing in (a & empty, a - a, a - dense, empty @ a, a @ empty, empty.blocked(3), empty.shift(2)):
        assert same(nothing, empty)
    assert same(a | dense, dense)
    assert same(a.strict(), a - diagonal)
    assert same(a.strict().strict(), a.strict())
    assert same(a.strict() | diagonal, a | diagonal)


@given(PATTERN, PATTERN, PATTERN)
def test_two_hops(p: Drawn, q: Drawn, r: Drawn) -> None:
    a, b, c = p.pattern, q.pattern, r.pattern
    assert same((a @ b) @ c, a @ (b @ c))
    assert same(a @ (b | c), (a @ b) | (a @ c))
    assert same((a | b) @ c, (a @ c) | (b @ c))
    product = a.to_dense(LENGTH).astype(int) @ b.to_dense(LENGTH).astype(int) > 0
    assert np.array_equal((a @ b).to_dense(LENGTH), product)


@given(PATTERN, PATTERN, st.integers(0, 8), st.integers(0, 8))
def test_shifts(p: Drawn, q: Drawn, m: int, more: int) -> None:
    a, b = p.pattern, q.pattern
    assert same(a.shift(m).shift(more), a.shift(m + more))
    assert same((a | b).shift(m), a.shift(m) | b.shift(m))
    assert same((a & b).shift(m), a.shift(m) & b.shift(m))
    assert same((a - b).shift(m), a.shift(m) - b.shift(m))
    assert same(glm.Lags([m]) @ a, a.shift(m))
    expected = np.zeros((LENGTH, LENGTH), dtype=bool)
    expected[m:] = a.to_dense(LENGTH)[: LENGTH - m]
    assert np.array_equal(a.shift(m).to_dense(LENGTH), expected)


@given(PATTERN, PATTERN, st.integers(1, 4), st.integers(1, 4))
def test_blocks(p: Drawn, q: Drawn, b: int, c: int) -> None:
    a, other = p.pattern, q.pattern
    assert same((a | other).blocked(b), a.blocked(b) | other.blocked(b))
    assert same((a & other).blocked(b), a.blocked(b) & other.blocked(b))
    assert same(a.blocked(b).blocked(c), a.blocked(b * c) & a.blocked(b).blocked(c))
    lifted = np.kron(a.to_dense(LENGTH), np.ones((b, b), dtype=bool))[:LENGTH, :LENGTH]
    assert np.array_equal(a.blocked(b).to_dense(LENGTH), np.tril(lifted))
    assert same(glm.Diagonal().blocked(b), glm.Blocks(b))


@given(cache_efficient())
def test_strict_keeps_the_cache_efficient_property(drawn: Drawn) -> None:
    assert drawn.pattern.strict().cache_efficient
    assert not (drawn.pattern | glm.Diagonal()).cache_efficient


def test_named_identities() -> None:
    """Families that are one another in disguise."""
    assert same(glm.Window(5), glm.Lags(range(5)))
    assert same(glm.Strided(1), glm.Dense())
    assert same(glm.Window(1), glm.Diagonal())
    assert same(glm.Offsets(glm.k + 1), glm.Dense().strict())
    assert same(glm.Offsets(glm.k + 1), glm.CacheEfficient(glm.k + 1))
    assert same(glm.Blocks(1), glm.Diagonal())
    assert same(glm.GlobalTokens(LENGTH), glm.Dense())
    assert same(glm.Offsets([3, 4]), glm.Lags([1, 2]).shift(2))
    assert same(glm.Lags([1, 2]) @ glm.Lags([5]), glm.Lags([6, 7]))
    assert same(glm.Window(3) @ glm.Window(4), glm.Window(6))


def test_the_fenwick_pair_sums_every_prefix() -> None:
    """Readout of the prefix path over the tree reaches each earlier position exactly once."""
    children, path = glm.Fenwick().to_dense(LENGTH), glm.FenwickPrefix().to_dense(LENGTH)
    sums = np.linalg.inv(np.eye(LENGTH) - children)
    assert np.array_equal(path @ np.rint(sums), np.tril(np.ones((LENGTH, LENGTH))))
