"""Refusals: each inequality they cite survives brute force over small mixers, and each names its theorem."""

import itertools
import json
import random
from collections.abc import Iterator

import networkx as nx
import numpy as np
import pytest

import glmix_theory as glm
from glmix_theory import cli
from glmix_theory.design import Budget, Target, design, refusals
from glmix_theory.design.refusals import (
    CAUSALITY_CACHE,
    CAUSALITY_COST,
    CONGESTION_AND_CACHE,
    DEGREE,
    ONE_HOP,
    ONE_PATH,
    ONE_TERM,
    RANK_AND_CACHE,
    RANK_AND_LENGTH,
    STEP_AND_CACHE,
    THEOREMS,
)
from glmix_theory.errors import InfeasibleTargetError

Pairs = frozenset[tuple[int, int]]
"""Pairs ``(t, s)`` of one part of a mixer."""


def subsets(pairs: list[tuple[int, int]]) -> list[Pairs]:
    return [frozenset(chosen) for size in range(len(pairs) + 1) for chosen in itertools.combinations(pairs, size)]


def every_small_mixer() -> Iterator[tuple[int, Pairs, Pairs, Pairs | None]]:
    """All of them for n ≤ 2 with and without a readout, n = 3 without, and random ones for n ≤ 8."""
    for n in (1, 2, 3):
        lower = [(t, s) for t in range(n) for s in range(t + 1)]
        strict = [(t, s) for t, s in lower if s < t]
        readouts: list[Pairs | None] = [None, *(subsets(lower) if n < 3 else [])]
        for direct, recurrent, readout in itertools.product(subsets(lower), subsets(strict), readouts):
            yield n, direct, recurrent, readout
    dice = random.Random(7)
    for _ in range(1500):
        n = dice.randint(4, 8)
        lower = [(t, s) for t in range(n) for s in range(t + 1)]
        density = dice.choice([0.1, 0.3, 0.7])

        def drawn(pairs: list[tuple[int, int]], density: float = density) -> Pairs:
            return frozenset(pair for pair in pairs if dice.random() < density)

        readout = drawn(lower) if dice.random() < 0.5 else None
        yield n, drawn(lower), drawn([(t, s) for t, s in lower if s < t]), readout


def costs(n: int, direct: Pairs, recurrent: Pairs, readout: Pairs | None) -> tuple[int, int]:
    """Step cost and cache size by definition, nothing read beyond step ``n - 1``."""
    parts = [direct, recurrent, readout or frozenset()]
    step = max(sum(t == u for part in parts for t, _ in part) for u in range(n))
    outputs = recurrent | (readout or frozenset())
    cache = 0
    for t in range(n):
        inputs_live = {s for u, s in direct if u > t >= s}
        outputs_live = {s for u, s in outputs if u > t >= s}
        cache = max(cache, len(inputs_live) + len(outputs_live))
    return step, cache


def graph(n: int, direct: Pairs, recurrent: Pairs, readout: Pairs | None) -> nx.DiGraph:
    """Nodes x, y and z (with a readout); an edge weighs 1 if it joins two tokens, else 0."""
    edges = [(("x", s), ("y", t), int(s != t)) for t, s in direct]
    edges += [(("y", s), ("y", t), 1) for t, s in recurrent]
    edges += [(("y", s), ("z", t), int(s != t)) for t, s in (readout or frozenset())]
    made = nx.DiGraph()
    made.add_nodes_from((kind, t) for kind in "xyz" for t in range(n))
    made.add_weighted_edges_from(edges)
    return made


def distance(n: int, *parts: Pairs) -> float:
    made, last = graph(n, *parts), "y" if parts[2] is None else "z"
    farthest = 0.0
    for s in range(n):
        hops = nx.single_source_dijkstra_path_length(made, ("x", s))
        farthest = max([farthest, *(hops.get((last, t), float("inf")) for t in range(s + 1, n))])
    return farthest


def test_no_small_mixer_breaks_an_inequality() -> None:
    seen, tight = 0, 0
    for n, *parts in every_small_mixer():
        step, cache = costs(n, *parts)
        assert cache >= (step - 2) / 2, STEP_AND_CACHE
        if parts[2] is None:
            assert cache >= step - 1, STEP_AND_CACHE
        tight += cache == step - 1
        assert step <= 3 * n - 1, CAUSALITY_COST
        assert cache <= 2 * n, CAUSALITY_CACHE
        hops = distance(n, *parts)
        if n >= 2 and hops < float("inf"):
            assert hops >= 1, ONE_HOP
            most = min(step, cache)
            assert n - 1 <= sum(most**j for j in range(1, int(hops) + 1)), DEGREE
        seen += 1
    assert seen > 2000
    assert tight > 100  # the inequality is attained, so it cannot be sharpened


def test_rank_is_below_the_cache_and_the_length() -> None:
    generator = np.random.default_rng(3)
    for number, (n, direct, recurrent, readout) in enumerate(every_small_mixer()):
        if number % 7 or n < 2:
            continue
        arrays = []
        for part in (direct, recurrent, readout or frozenset()):
            array = np.zeros((n, n))
            for t, s in part:
                array[t, s] = generator.normal()
            arrays.append(array)
        matrix = np.linalg.inv(np.eye(n) - arrays[1]) @ arrays[0]
        if readout is not None:
            matrix = arrays[2] @ matrix
        rank = max(np.linalg.matrix_rank(matrix[c:, :c]) for c in range(1, n))
        assert rank <= costs(n, direct, recurrent, readout)[1], RANK_AND_CACHE
        assert rank <= n - 1, RANK_AND_LENGTH


def test_congestion_times_cache() -> None:
    """Copy of ``n`` tokens in ``2n`` positions: the least congestion by trying every capacity with every routing."""
    dice = random.Random(5)
    compared = 0
    for _ in range(400):
        n = dice.choice([1, 2, 3])
        lower = [(t, s) for t in range(2 * n) for s in range(t + 1)]
        direct = frozenset(pair for pair in lower if pair[0] == pair[1] or dice.random() < 0.15)
        recurrent = frozenset((t, s) for t, s in lower if s < t and dice.random() < 0.5)
        made = graph(2 * n, direct, recurrent, None)
        systems = [list(nx.all_simple_paths(made, ("x", t), ("y", t + n))) for t in range(n)]
        if not all(systems) or np.prod([len(paths) for paths in systems]) > 2000:
            continue
        best = min(
            max(sum(node in path for path in chosen) for node in made.nodes) for chosen in itertools.product(*systems)
        )
        # the cache at n, with the future that matters here: after steps 0 … n - 1, read before 2n
        outputs, cache = recurrent, 0
        for t in range(n):
            live = {s for u, s in direct if u > t >= s}, {s for u, s in outputs if u > t >= s}
            cache = max(cache, len(live[0]) + len(live[1]))
        assert best >= 1, ONE_PATH
        assert best * cache >= n, CONGESTION_AND_CACHE
        compared += 1
    assert compared > 50


REFUSED = [
    ({"step_cost": "sqrt(n)", "cache": "log(n)"}, STEP_AND_CACHE),
    ({"step_cost": "n", "cache": "n/log(n)"}, STEP_AND_CACHE),
    ({"step_cost": "log(log(n))", "cache": 12}, STEP_AND_CACHE),
    ({"step_cost": "n**2"}, CAUSALITY_COST),
    ({"cache": "n*log(n)"}, CAUSALITY_CACHE),
    ({"cache": "log(n)", "congestion": "sqrt(n)"}, CONGESTION_AND_CACHE),
    ({"cache": 100, "congestion": "n/log(n)"}, CONGESTION_AND_CACHE),
    ({"budget": Budget(cache=9, congestion=11, n=100)}, CONGESTION_AND_CACHE),
    ({"step_cost": "log(n)", "distance": 7}, DEGREE),
    ({"step_cost": 9, "distance": "log(log(n))"}, DEGREE),
    ({"cache": "log(log(n))", "distance": "log(n)/log(log(n))"}, DEGREE),
    ({"step_cost": "n**(1/3)", "distance": 2}, DEGREE),
    ({"step_cost": 1, "distance": "sqrt(n)"}, DEGREE),
    ({"budget": Budget(step_cost=2, distance=3, n=16)}, DEGREE),
    ({"cache": "log(n)", "state_rank": "sqrt(n)"}, RANK_AND_CACHE),
    ({"cache": 4, "state_rank": 5}, RANK_AND_CACHE),
    ({"state_rank": "n**2"}, RANK_AND_LENGTH),
    ({"distance": 0}, ONE_HOP),
    ({"congestion": 0}, ONE_PATH),
    ({"step_cost": 0}, ONE_TERM),
]


@pytest.mark.parametrize(("asked", "theorem"), REFUSED, ids=lambda value: str(value)[:60])
def test_refusals_name_their_theorem_and_a_way_out(asked: dict, theorem: object) -> None:
    with pytest.raises(InfeasibleTargetError) as caught:
        design(**asked)
    assert caught.value.theorem is theorem
    assert theorem in THEOREMS
    assert caught.value.nearest
    for way in caught.value.nearest:
        assert next(refusals(way.targets), None) is None, "the way out is itself forbidden"
        if way.candidate is not None:
            assert not way.candidate.missed
    json.dumps(caught.value.to_dict())


ALLOWED = [
    {"step_cost": "log(n)", "cache": "log(n)"},
    {"step_cost": "log(n)", "cache": "sqrt(n)"},
    {"cache": "sqrt(n)", "congestion": "sqrt(n)"},
    {"step_cost": "n**(1/3)", "distance": 3},
    {"step_cost": "sqrt(n)", "distance": 4},
    {"budget": Budget(cache=10, congestion=10, n=100)},
    {"budget": Budget(step_cost=2, distance=4, n=16)},
    {"cache": "log(n)", "state_rank": "log(n)"},
    {"step_cost": 9, "distance": "log(n)"},
]


@pytest.mark.parametrize("asked", ALLOWED, ids=lambda value: str(value)[:60])
def test_the_edge_is_not_refused(asked: dict) -> None:
    found = design(**asked)
    if not found.met:
        assert "no construction known" in found.verdict
        assert "no theorem known" in found.verdict
    for candidate in found:
        assert candidate.meets or not candidate.reason.startswith("meets")


def test_known_architectures_stay_possible() -> None:
    """What a proved report says of a published mixer is never refused as a target."""
    for name in glm.catalogue.names():
        report = glm.analyze(glm.catalogue[name])
        asked = {}
        for quantity, key in (("step_cost",) * 2, ("cache", "cache_size"), ("distance",) * 2, ("congestion",) * 2):
            theta = report[key].theta
            if theta is not None and theta.is_finite and theta.free_symbols:
                asked[quantity] = Target.read(quantity, theta)
        assert next(refusals(asked), None) is None, name


def test_better_congestion_is_known_from_the_distance() -> None:
    best = design(step_cost="sqrt(n)", congestion=4).best
    assert best.meets
    assert best.status == "cited"
    for length in (1, 2, 3, 16, 40):
        value = glm.congestion_bounds(best.mixer, length).bounds.upper
        assert value <= 4


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["glmix", "design", *arguments])
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out = run(capsys, monkeypatch, "--step-cost", "sqrt(n)", "--cache", "log(n)")
    assert code == 1
    text = " ".join(out.split())
    assert "cache ≥ (step cost - 2)/2" in text
    assert "keep the step cost, cache Θ(√n): Mixer(direct=Diagonal(), recurrent=CacheEfficient(k**2 + 1))" in text
    assert "lower the step cost: Mixer(direct=Diagonal(), recurrent=CacheEfficient(2**k))" in text
    code, out = run(capsys, monkeypatch, "--step-cost", "sqrt(n)", "--cache", "log(n)", "--json")
    assert code == 1
    assert json.loads(out)["theorem"]["statement"] == STEP_AND_CACHE.statement
    code, out = run(capsys, monkeypatch, "64 terms and 4096 rows at n = 4096", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["met"]
    assert data["candidates"][0]["report"]["quantities"]["step_cost"]["status"] == "proved"
    code, out = run(capsys, monkeypatch, "--step-cost", "log(n)**2", "--explain")
    assert code == 0
    assert "proposition 13" in out
    code, out = run(capsys, monkeypatch, "--step-cost", "1/n")
    assert code == 2
    assert "decreases" in out
    code, out = run(capsys, monkeypatch)
    assert code == 2
    assert "no target" in out
