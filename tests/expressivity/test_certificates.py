"""Every certificate passes, and every way of tampering with one is refused."""

from dataclasses import replace

import pytest
import sympy

import glmix_theory as glm
from glmix_theory import expressivity as ex
from glmix_theory import k

SPARSE = glm.Mixer(recurrent=glm.CacheEfficient(2**k))
READ = glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix())


def refused(certificate):
    with pytest.raises(ex.CertificateError):
        certificate.check()


@pytest.mark.parametrize("mixer", [SPARSE, READ, glm.Mixer(recurrent=glm.Offsets(k**2 + 1))], ids=repr)
def test_paths(mixer):
    path = ex.shortest_path(mixer, 3, 40)
    assert path.check() == path.hops
    refused(replace(path, source=4))
    refused(replace(path, target=2))
    refused(replace(path, outputs=path.outputs[1:]))
    refused(replace(path, outputs=path.outputs[:-1]))
    refused(replace(path, outputs=()))
    refused(replace(path, mixer=glm.Mixer(recurrent=glm.Lags([2]))))


@pytest.mark.parametrize("mixer", [SPARSE, READ], ids=repr)
def test_congestion(mixer):
    found = ex.congestion_bounds(mixer, 32)
    assert found.check() == found.bounds
    refused(replace(found, bounds=glm.Bounds(found.bounds.lower + 1, found.bounds.upper)))
    refused(replace(found, bounds=glm.Bounds(found.bounds.lower, found.bounds.upper - 1)))
    refused(replace(found, bounds=glm.Bounds(sympy.oo, sympy.oo), lower=ex.Unreachable(mixer, 0, 32)))
    routing = found.upper
    refused(replace(routing, bound=routing.bound - 1))
    refused(replace(routing, paths=routing.paths[:-1]))
    refused(replace(routing, paths=(routing.paths[1], *routing.paths[1:])))
    refused(replace(found, upper=replace(routing, demand=ex.bit_reversal(32))))


def test_cuts():
    demand = ex.copy(32)
    live = frozenset(("y", s) for s in SPARSE.recurrent.sources(32))
    cut = ex.Cut(SPARSE, demand, live, tuple(range(32)))
    assert cut.check() == -(-32 // len(live))
    for node in live:
        refused(replace(cut, nodes=live - {node}))
    refused(replace(cut, pairs=(0, 0, *range(1, 32))))
    refused(replace(cut, pairs=(*range(32), 99)))
    refused(replace(cut, nodes=frozenset()))


def test_weights():
    found = ex.fractional_congestion(SPARSE, ex.copy(8))
    weights = found.lower
    assert weights.check() == weights.bound
    refused(replace(weights, bound=weights.bound + 1))
    node, weight = max(weights.weights.items(), key=lambda item: item[1])
    refused(replace(weights, weights={node: -weight}))
    refused(replace(weights, weights={}))
    refused(replace(weights, weights={("y", 15): 1}))


def test_ranks():
    found = ex.state_rank_at(SPARSE, 48)
    assert found.check() == found.value == found.paths.check()
    refused(replace(found, value=found.value + 1))
    refused(replace(found, value=found.value - 1))
    refused(replace(found, separators=found.separators[1:]))
    refused(replace(found, paths=replace(found.paths, paths=found.paths.paths[:-1])))
    refused(replace(found, paths=replace(found.paths, paths=(*found.paths.paths[:-1], found.paths.paths[0]))))
    separator = found.separators[len(found.separators) // 2]
    refused(replace(separator, nodes=frozenset(list(separator.nodes)[1:])))
    refused(replace(separator, cut=separator.cut + 7))


def test_unreachable():
    window = glm.Mixer(direct=glm.Window(4))
    assert ex.Unreachable(window, 0, 4).check() == (0, 4)
    refused(ex.Unreachable(window, 1, 4))
    found = ex.congestion_bounds(window, 8)
    assert found.check() == (sympy.oo, sympy.oo)
    assert found.value == sympy.oo
    refused(replace(found, lower=ex.Unreachable(window, 0, 9)))
    refused(replace(found, bounds=glm.Bounds(1, 1)))


def test_growth_brackets():
    rate = ex.growth_rate(glm.Offsets(2**k))
    assert rate.check() == (rate.low, rate.high)
    refused(replace(rate, low=rate.high, high=rate.high + 1))
    refused(replace(rate, low=rate.low - 1, high=rate.low))
    refused(replace(rate, lags=glm.Lags([1, 2])))


def test_certificates_import_nothing_that_finds_them():
    source = ex.certificates.__file__
    with open(source, encoding="utf-8") as file:
        imports = [line for line in file if line.startswith(("from glmix_theory", "import glmix_theory"))]
    assert {line.split()[1] for line in imports} == {
        "glmix_theory.errors",
        "glmix_theory.expressivity.demands",
        "glmix_theory.mixers",
    }
