"""The two routings behind the proved congestion bounds of cache-efficient patterns, path by path."""

from __future__ import annotations

from glmix_theory.errors import PatternError
from glmix_theory.expressivity.cache_efficient_laws import is_powers_of_two
from glmix_theory.expressivity.certificates import Path, Routing
from glmix_theory.expressivity.congestion_laws import best_lanes, gather_period, lanes_bound
from glmix_theory.expressivity.demands import copy
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import CacheEfficient


def gather_routing(mixer: Mixer, n: int) -> Routing:
    """Copy ``n`` tokens with congestion at most ``a_K``, ``K`` the least index with ``f(K) ≥ n``.

    Each block ``(p - a, p]`` (1-based, ``a = a_K`` divides ``p``) walks to ``p`` by steps of 1; step ``t + n``
    reads ``p`` directly. Needs ``a ≤ n``.

    >>> import glmix_theory as glm
    >>> gather_routing(glm.Mixer(recurrent=glm.CacheEfficient(glm.k**2 + 1)), 64).check()
    24
    """
    pattern = _pattern(mixer)
    period = gather_period(pattern, n)
    if period is None or period > n:
        raise PatternError(f"{pattern!r} has no slot period a_K ≤ n = {n} with f(K) ≥ n to gather in")
    demand = copy(n)
    paths = []
    for s, t in demand.pairs:
        last = s + (-(s + 1)) % period  # 0-based; last + 1 is the next multiple of the period
        paths.append(Path(mixer, s, t, (*range(s, last + 1), t)))
    return Routing(demand, tuple(paths), period)


def lane_routing(mixer: Mixer, n: int, lanes: int | None = None) -> Routing:
    """Copy ``n`` tokens through ``CacheEfficient(2^k)`` with congestion at most :func:`lanes_bound`.

    The outputs of 2-adic valuation ``j`` (1-based) are a lane; every step reads the latest output of each lane.
    A path climbs to the lane chosen for the last ``lanes`` binary digits of its token, rides it and leaves.

    >>> import glmix_theory as glm
    >>> routing = lane_routing(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 256)
    >>> routing.check(), max(routing.loads().values())
    (72, 56)
    """
    pattern = _pattern(mixer)
    if not is_powers_of_two(pattern):
        raise PatternError(f"lanes by 2-adic valuation exist in CacheEfficient(2**k), not in {pattern!r}")
    lanes = best_lanes(n) if lanes is None else lanes
    if lanes < 1 or 2**lanes > n:
        raise PatternError(f"lanes = {lanes}: with n = {n} at least 1 lane and 2^lanes ≤ n are needed")
    demand = copy(n)
    paths = tuple(Path(mixer, s, t, tuple(i - 1 for i in _ride(s + 1, t + 1, lanes))) for s, t in demand.pairs)
    return Routing(demand, paths, lanes_bound(n, lanes))


def lane_of_word(word: int, lanes: int) -> int:
    """A zero bit of ``word``, chosen so that rotating the word rotates the choice.

    >>> lane_of_word(0b011, 3), lane_of_word(0b110, 3), lane_of_word(0b101, 3)
    (2, 0, 1)
    """
    mask = (1 << lanes) - 1
    rotations = [((word << r) | (word >> (lanes - r))) & mask for r in range(lanes)]
    turn = min(range(lanes), key=rotations.__getitem__)  # bit b of word is bit b + turn of the least rotation
    zero = max(b for b in range(lanes) if not rotations[turn] >> b & 1)
    return (zero - turn) % lanes


def _ride(start: int, target: int, lanes: int) -> list[int]:
    """1-based outputs from ``start`` to ``target``: climb, ride, leave."""
    word = (start - 1) % 2**lanes
    lane = (start & -start).bit_length() - 1 if word == 2**lanes - 1 else lane_of_word(word, lanes)
    path = [start]
    while (path[-1] & -path[-1]).bit_length() - 1 < lane:
        path.append(path[-1] + (path[-1] & -path[-1]))
    while path[-1] + 2 ** (lane + 1) < target:
        path.append(path[-1] + 2 ** (lane + 1))
    return [*path, target]


def _pattern(mixer: Mixer) -> CacheEfficient:
    if not isinstance(mixer.recurrent, CacheEfficient):
        raise PatternError(f"{mixer.recurrent!r} is not a CacheEfficient pattern, which this routing is made for")
    return mixer.recurrent
