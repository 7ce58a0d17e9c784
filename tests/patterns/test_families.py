"""Each pattern against its definition: sources, rows, matrices, graph and degrees, for n = 1 … 300."""

import inspect
import random
from collections.abc import Iterable

import numpy as np
import pytest

import glmix_theory as glm
from glmix_theory import patterns
from tests.patterns.cases import CASES, FAMILIES

LONGEST = 300
CASE = pytest.mark.parametrize("name", CASES)


def test_every_family_has_a_case() -> None:
    """A family exported by the package and missing in ``cases.py`` is not tested: add it there."""
    families = {
        cls
        for name in patterns.__all__
        if inspect.isclass(cls := getattr(patterns, name))
        and issubclass(cls, glm.Pattern)
        and cls not in (glm.Pattern, patterns.TranslationInvariant)
    }
    tested = {type(drawn.pattern) for drawn in FAMILIES.values()} | {glm.RandomSources}  # tested below
    assert not families - tested


@CASE
def test_sources_agree_with_the_definition(name: str) -> None:
    pattern, reference = CASES[name].pattern, CASES[name].reference
    for t in range(LONGEST):
        sources = pattern.sources(t)
        assert sources == tuple(sorted(reference(t))), t
        assert all(type(s) is int for s in sources)
        assert pattern.in_degree(t) == len(sources)


@CASE
def test_matrices_agree_with_the_definition_at_every_length(name: str) -> None:
    pattern = CASES[name].pattern
    full = CASES[name].reference.matrix(LONGEST)
    lengths: Iterable[int] = range(1, LONGEST + 1)
    if name not in FAMILIES or name == "predicate":  # slower to list
        lengths = (*range(1, 40), *range(40, LONGEST, 37), LONGEST)
    for n in lengths:
        sparse = pattern.to_csr(n)
        assert sparse.dtype == bool
        assert sparse.shape == (n, n)
        assert sparse.has_sorted_indices
        indptr = np.concatenate([[0], full[:n, :n].sum(axis=1).cumsum()])
        assert np.array_equal(sparse.indptr, indptr)
        assert np.array_equal(sparse.indices, np.nonzero(full[:n, :n])[1])
        assert np.array_equal(pattern.in_degrees(n), np.diff(indptr))
        dense = pattern.to_dense(n)
        assert dense.dtype == bool
        assert np.array_equal(dense, full[:n, :n])


@CASE
def test_graph_agrees_with_the_definition(name: str) -> None:
    pattern, reference = CASES[name].pattern, CASES[name].reference
    for n in (1, 2, 3, 5, 8, 17, 33, 100, LONGEST):
        graph = pattern.to_networkx(n)
        assert list(graph.nodes) == list(range(n))
        assert set(graph.edges) == {(s, t) for t in range(n) for s in reference(t)}


@CASE
def test_rows_of_any_window(name: str) -> None:
    pattern, reference = CASES[name].pattern, CASES[name].reference
    draw = random.Random(name)
    windows = [(0, 0), (0, 1), (7, 7), (1, 2), (250, 251)]
    for _ in range(25):
        start = draw.randrange(LONGEST)
        windows.append((start, start + draw.randrange(60)))
    for start, stop in windows:
        indptr, sources = pattern.rows(start, stop)
        assert indptr.dtype == sources.dtype == np.int64
        assert len(indptr) == stop - start + 1
        assert indptr[0] == 0
        assert indptr[-1] == len(sources)
        for i, t in enumerate(range(start, stop)):
            assert sources[indptr[i] : indptr[i + 1]].tolist() == sorted(reference(t)), (start, stop, t)


@CASE
def test_first_diagonal(name: str) -> None:
    pattern, reference = CASES[name].pattern, CASES[name].reference
    expected = next((t for t in range(256) if t in reference(t)), None)
    assert pattern.first_diagonal() == expected


@CASE
def test_facts_used_by_the_algebra_hold(name: str) -> None:
    """``last_step``, ``largest_source`` and ``always_read`` are claims about all steps; tested to 700."""
    pattern, reference = CASES[name].pattern, CASES[name].reference
    if name != "predicate":
        far = [reference(t) for t in range(700)]
    else:
        far = [reference(t) for t in range(100)]
    largest = pattern.largest_source()
    if largest is not None:
        assert max((s for row in far for s in row), default=-1) <= largest
    for width in (1, 2, 3, 6, 13, 40):
        last = pattern.last_step(width)
        if last is not None:
            assert not any(s < width for row in far[last + 1 :] for s in row)
        for start in (0, 1, 4, 6, 15, 41, 90):
            always = pattern.always_read(width, start)
            assert always.shape == (width,)
            for s in np.flatnonzero(always):
                assert all(s in row for row in far[start:]), (s, start)


def test_random_sources_are_distinct_earlier_and_reproducible() -> None:
    pattern, again = glm.RandomSources(5, seed=3), glm.RandomSources(5, seed=3)
    backwards = {t: again.sources(t) for t in reversed(range(LONGEST))}
    for t in range(LONGEST):
        sources = pattern.sources(t)
        assert sources == backwards[t] == tuple(sorted(set(sources)))
        assert len(sources) == min(t, 5)
        assert all(0 <= s < t for s in sources)
    assert [glm.RandomSources(5, seed=4).sources(t) for t in range(50)] != [pattern.sources(t) for t in range(50)]
    assert pattern.to_dense(LONGEST).sum(axis=1).tolist() == [min(t, 5) for t in range(LONGEST)]


def test_random_sources_are_uniform() -> None:
    """Each of t positions is drawn with probability m/t: chi-square statistic within 5 standard deviations."""
    t, m, seeds = 40, 4, 2000
    counts = np.zeros(t)
    for seed in range(seeds):
        counts[list(glm.RandomSources(m, seed).sources(t))] += 1
    expected = seeds * m / t
    statistic = float(((counts - expected) ** 2 / (expected * (1 - m / t))).sum())
    assert abs(statistic - t) < 5 * (2 * t) ** 0.5


def test_explicit_from_networkx_round_trip() -> None:
    pattern = CASES["explicit"].pattern
    assert glm.Explicit.from_networkx(pattern.to_networkx(LONGEST)) == pattern


def test_positions_far_out() -> None:
    """Steps near 2^60, where floating point no longer tells neighbours apart."""
    far = 2**60
    assert glm.Offsets(3**glm.k).sources(far)[:2] == (far - 3**37, far - 3**36)
    assert glm.CacheEfficient(2**glm.k).sources(far - 1)[:2] == (2**59 - 1, 2**59 + 2**58 - 1)
    assert glm.Fenwick().sources(far - 1)[0] == 2**59 - 1
    assert glm.FenwickPrefix().sources(far) == (far - 1, far)
    assert glm.Window(2).sources(far + 1) == (far, far + 1)
    assert glm.Offsets(2**glm.k).in_degree(far) == 61
    assert glm.Offsets(2**glm.k).in_degree(far - 1) == 60
    assert len(glm.Offsets(5**glm.k).sources(8 * 10**18)) == glm.Offsets(5**glm.k).in_degree(8 * 10**18)
