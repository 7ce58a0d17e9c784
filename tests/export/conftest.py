"""Mixers over every pattern family, and a brute force that knows only ``pattern.sources(t)``."""

import math

import pytest
import torch

import glmix_theory as glm

k = glm.k


def _third(t: int, s: int) -> bool:
    return (t + 2 * s) % 3 == 0 and s < t


RECURRENT = {
    "offsets_powers": glm.Offsets(2**k),
    "offsets_squares": glm.Offsets(k**2 + 1),
    "cache_efficient_powers": glm.CacheEfficient(2**k),
    "cache_efficient_squares": glm.CacheEfficient(k**2 + 1),
    "window": glm.Window(4).strict(),
    "lags": glm.Lags([2, 5]),
    "far_lag": glm.Lags([67]),
    "dense": glm.Dense().strict(),
    "empty": glm.Empty(),
    "strided": glm.Strided(3).strict(),
    "blocks": glm.Blocks(4).strict(),
    "global_tokens": glm.GlobalTokens(2).strict(),
    "fenwick": glm.Fenwick(),
    "random_sources": glm.RandomSources(3, seed=1),
    "explicit": glm.Explicit([(1, 0), (5, 2), (5, 3), (6, 5), (8, 0), (80, 3)]),
    "predicate": glm.Predicate(_third),
    "union": glm.Offsets(2**k) | glm.GlobalTokens(1).strict(),
    "intersection": glm.Offsets(2**k) & glm.RandomSources(9, seed=2),
    "difference": glm.Dense().strict() - glm.Lags([1, 2]),
    "composition": glm.Lags([1]) @ glm.CacheEfficient(2**k),
    "shift": glm.CacheEfficient(2**k).shift(2),
    "blocked": glm.Offsets(2**k).blocked(3),
}

MIXERS = {f"recurrent_{name}": glm.Mixer(recurrent=pattern) for name, pattern in RECURRENT.items()}
MIXERS |= {
    "direct_dense": glm.Mixer(direct=glm.Dense()),
    "direct_window": glm.Mixer(direct=glm.Window(3), recurrent=glm.Offsets(2**k)),
    "direct_offsets": glm.Mixer(direct=glm.Offsets(2**k)),
    "direct_random": glm.Mixer(direct=glm.RandomSources(2, seed=5), recurrent=glm.CacheEfficient(2**k)),
    "direct_blocked": glm.Mixer(direct=glm.Diagonal().blocked(4), recurrent=glm.Lags([4])),
    "direct_empty": glm.Mixer(direct=glm.Empty(), recurrent=glm.Lags([1])),
    "shared_pairs": glm.Mixer(direct=glm.Offsets(2**k), recurrent=glm.Offsets(2**k)),
    "log_linear": glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix()),
    "readout_window": glm.Mixer(recurrent=glm.CacheEfficient(2**k), readout=glm.Window(3)),
    "readout_gaps": glm.Mixer(recurrent=glm.Lags([2]), readout=glm.Lags([1, 3])),
    "everything_empty": glm.Mixer(direct=glm.Empty()),
}

SPARSE = (
    "recurrent_offsets_powers",
    "recurrent_offsets_squares",
    "recurrent_cache_efficient_powers",
    "recurrent_far_lag",
    "recurrent_random_sources",
    "direct_offsets",
    "log_linear",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mixer" in metafunc.fixturenames:
        metafunc.parametrize("mixer", MIXERS.values(), ids=MIXERS.keys())
    if "sparse_mixer" in metafunc.fixturenames:
        metafunc.parametrize("sparse_mixer", [MIXERS[name] for name in SPARSE], ids=SPARSE)


def _weights(query: list[float], keys: list[list[float]]) -> list[float]:
    scores = [sum(a * b for a, b in zip(query, key)) / math.sqrt(len(query)) for key in keys]
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def _brute_force_head(mixer: glm.Mixer, q: list, keys: list, v: list) -> list[list[float]]:
    y, z = [], []
    for t in range(len(q)):
        rows = [(keys[s], v[s]) for s in mixer.direct.sources(t)]
        rows += [(keys[s], y[s]) for s in mixer.recurrent.sources(t)]
        y.append(_mean(q[t], rows, len(v[0])))
        if mixer.readout is not None:
            z.append(_mean(q[t], [(keys[s], y[s]) for s in mixer.readout.sources(t)], len(v[0])))
    return y if mixer.readout is None else z


def _mean(query: list[float], rows: list[tuple[list[float], list[float]]], width: int) -> list[float]:
    weights = _weights(query, [key for key, _ in rows])
    return [sum(w * row[c] for w, (_, row) in zip(weights, rows)) for c in range(width)]


@pytest.fixture(scope="session", autouse=True)
def single_thread():
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def brute_force():
    """``(mixer, q, k, v) -> z`` by plain loops over tokens and numbers."""

    def run(mixer: glm.Mixer, q: torch.Tensor, keys: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        heads = [
            _brute_force_head(mixer, *(x[b, h].tolist() for x in (q, keys, v)))
            for b in range(q.shape[0])
            for h in range(q.shape[1])
        ]
        return torch.tensor(heads, dtype=torch.float64).view_as(v)

    return run


@pytest.fixture(scope="session")
def draw():
    """``draw(seed, *shape) -> tensor``, normal, fp64 unless told otherwise."""

    def run(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    return run


@pytest.fixture(scope="session")
def draw_qkv(draw):
    """``draw_qkv(seed, batch, heads, n, d) -> [q, k, v]``."""
    return lambda seed, *shape, **options: [draw(3 * seed + i, *shape, **options) for i in range(3)]


@pytest.fixture
def make_layer():
    """``make_layer(mixer, d_model, n_heads, **options) -> GLMixer`` with seeded fp64 parameters."""
    from glmix_theory.export import to_torch

    def run(mixer: glm.Mixer, d_model: int = 4, n_heads: int = 2, **options):
        torch.manual_seed(0)
        return to_torch(mixer, d_model, n_heads, **{"dtype": torch.float64, **options})

    return run
