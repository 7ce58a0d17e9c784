"""Mixers over every pattern family, the catalogue with every kind, and seeded inputs for them."""

from dataclasses import replace

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import CoefficientError
from glmix_theory.export import BACKENDS
from glmix_theory.export.inputs import Inputs, gate_widths, tensors_of
from glmix_theory.export.kinds import check_kind
from glmix_theory.export.structure import LAG_CLASSES
from glmix_theory.mixers import COEFFICIENTS

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
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", CASES.values(), ids=CASES.keys())
    if "fast" in metafunc.fixturenames:
        metafunc.parametrize("fast", [name for name in ON_CPU if name != "reference"])
    if "sparse_mixer" in metafunc.fixturenames:
        metafunc.parametrize("sparse_mixer", [MIXERS[name] for name in SPARSE], ids=SPARSE)


ON_CPU = [name for name, backend in BACKENDS.items() if backend.devices is None or "cpu" in backend.devices]
"""Backends that these tests can run."""


def _applies(mixer: glm.Mixer, kind: str) -> bool:
    try:
        return check_kind(mixer, kind) == kind
    except CoefficientError:
        return False


def _small(mixer: glm.Mixer) -> glm.Mixer:
    """With at most 3 state rows, so that dense oracles stay small."""
    return replace(mixer, state=min(mixer.state, 3))


CASES = {
    f"{name}-{kind}": (_small(glm.catalogue[name]), kind)
    for name in glm.catalogue.names()
    for kind in COEFFICIENTS
    if _applies(glm.catalogue[name], kind)
}
"""Every catalogue entry with every coefficient kind that applies."""


@pytest.fixture(scope="session", autouse=True)
def single_thread():
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.fixture(scope="session")
def draw_inputs(draw):
    """``draw_inputs(mixer, kind, seed, batch, heads, n, d, width) -> Inputs``: seeded, all that the kind takes.

    ``wide`` gives the gate one number per channel or state row; ``optional=False`` leaves out what the
    kind does not need. Keys of the delta rule have length 1: with longer ones its states may grow.
    """

    def run(mixer, kind, seed, batch=1, heads=2, n=9, d=3, width=3, *, wide=False, optional=True, dtype=torch.float64):
        d = mixer.state if mixer.state > 1 else d
        shapes = {
            "v": (batch, heads, n, width),
            "q": (batch, heads, n, d),
            "k": (batch, heads, n, d),
            "gate": (batch, heads, n, gate_widths(mixer, kind, width)[-1 if wide else 0]),
            "write": (batch, heads, n, 1),
            "bias": (3, heads, LAG_CLASSES),
        }
        needed, taken = tensors_of(mixer, kind)
        drawn = {
            name: draw(7 * seed + list(shapes).index(name), *shapes[name]) for name in (taken if optional else needed)
        }
        if kind == "delta":
            drawn["k"] = torch.nn.functional.normalize(drawn["k"], dim=3)
        return Inputs(**{name: tensor.to(dtype) for name, tensor in drawn.items()})

    return run


@pytest.fixture
def make_layer():
    """``make_layer(mixer, d_model, n_heads, **options) -> GLMixer`` with seeded fp64 parameters."""
    from glmix_theory.export import to_torch

    def run(mixer: glm.Mixer, d_model: int = 4, n_heads: int = 2, **options):
        torch.manual_seed(0)
        return to_torch(mixer, d_model, n_heads, **{"dtype": torch.float64, **options})

    return run
