"""Congestion: how many contents have to share one node when many tokens are carried at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import sympy

from glmix_theory.complexity.quantity import Bounds, Quantity, Value
from glmix_theory.errors import PatternError, check_length
from glmix_theory.expressivity.certificates import (
    CertificateError,
    Cut,
    Node,
    Path,
    Routing,
    Unreachable,
    Weights,
    end_node,
)
from glmix_theory.expressivity.congestion_laws import CongestionLaw, congestion_law
from glmix_theory.expressivity.demands import Demand, copy
from glmix_theory.expressivity.flow import Network
from glmix_theory.expressivity.lag_profile import UNREACHED, is_translation_invariant, lag_hops
from glmix_theory.expressivity.routing import route, shortest_by_lag
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import CacheEfficient

_COUNTED = (1, 2, 4, 8, 16)
_LARGEST_SEARCH = 1 << 10


@dataclass(frozen=True)
class Congestion:
    """Bounds of a congestion with the certificates that prove them.

    ``lower`` is a :class:`Cut` or :class:`Weights` (or :class:`Unreachable`), ``upper`` a :class:`Routing`.
    """

    mixer: Mixer = field(repr=False)
    demand: Demand
    bounds: Bounds
    lower: Cut | Weights | Unreachable = field(repr=False)
    upper: Routing | None = field(repr=False)

    @property
    def value(self) -> Value:
        """The congestion where the bounds meet (``oo`` for an unreachable pair), else :class:`Bounds`."""
        return self.bounds.lower if self.bounds.lower == self.bounds.upper else self.bounds

    @property
    def ratio(self) -> float:
        """Upper / lower; 1.0 means exact."""
        return 1.0 if self.upper is None else self.bounds.upper / self.bounds.lower

    def check(self) -> Bounds:
        """Verify both certificates from the pattern alone, and that they concern this demand."""
        if self.lower.mixer != self.mixer:
            raise CertificateError("the lower certificate belongs to another mixer")
        if isinstance(self.lower, Unreachable):
            if self.lower.check() not in self.demand.pairs:
                raise CertificateError(f"the unreachable pair is none of {self.demand!r}")
            if self.bounds != (sympy.oo, sympy.oo):
                raise CertificateError("a pair is unreachable, and the bounds are finite")
            return self.bounds
        if self.upper is None or self.upper.mixer != self.mixer:
            raise CertificateError("the upper certificate is missing or belongs to another mixer")
        if self.lower.demand != self.demand or self.upper.demand != self.demand:
            raise CertificateError("a certificate belongs to another demand")
        found = Bounds(self.lower.check(), self.upper.check())
        if self.bounds.lower > found.lower or self.bounds.upper < found.upper:
            raise CertificateError(f"the certificates prove {found}, not {self.bounds}")
        return found


def congestion(mixer: Mixer) -> Quantity:
    """Least largest node load over path systems that copy ``n`` tokens: pairs ``(t, t + n)`` in ``2n`` positions.

    ``at(n)`` is exact where a law gives it and otherwise :class:`~glmix_theory.Bounds`: proved formulas
    where they exist, certified searches for ``n ≤ 1024`` elsewhere. For bounds with certificates at one ``n`` see
    :func:`congestion_bounds`.

    >>> import glmix_theory as glm
    >>> q = congestion(glm.catalogue["kth_order_recurrence"])
    >>> q.expr, q.status, q.at(10)
    (ceiling(n/4), 'proved', 3)
    >>> congestion(glm.catalogue["exponential_cache_efficient"]).theta
    n/log(n)
    """
    law = congestion_law(mixer)
    if law is not None:
        # a law that gives a value or bounds at every n lends its status also where sympy has no formula for it
        status = law.status
        if not isinstance(mixer.recurrent, CacheEfficient):
            return Quantity("congestion", law.evaluate, law.expr, law.theta, status, law.evidence, "paths")
        note = f"n ≤ {_LARGEST_SEARCH}: the proved bounds are tightened by a search with certificates"
        evidence = (*law.evidence, note)
        return Quantity("congestion", _tightened(mixer, law), law.expr, law.theta, status, evidence, "paths")

    def evaluate(length: int) -> Value:
        if length > _LARGEST_SEARCH:
            return _quick_bounds(mixer, length)
        return congestion_bounds(mixer, length, passes=1).value

    values = [f"{evaluate(length)} at n = {length}" for length in _COUNTED]
    return Quantity(
        "congestion",
        evaluate,
        status="checked",
        evidence=(
            "no law is known: bounds by cuts, maximum flow, counting and an explicit routing, each with a certificate",
            f"searched, for example: {', '.join(values)}",
        ),
        unit="paths",
    )


def _tightened(mixer: Mixer, law: CongestionLaw) -> Callable[[int], Value]:
    @lru_cache(maxsize=256)
    def evaluate(length: int) -> Value:
        proved = law.evaluate(length)
        if length > _LARGEST_SEARCH or not isinstance(proved, Bounds):
            return proved
        found = congestion_bounds(mixer, length, passes=2).bounds
        lower, upper = max(proved.lower, found.lower), min(proved.upper, found.upper)
        return lower if lower == upper else Bounds(lower, upper)

    return evaluate


def _quick_bounds(mixer: Mixer, length: int) -> Value:
    """Bounds without a search: infinite for an unreachable pair, else 1 … n."""
    missing = unreachable_pair(mixer, copy(length))
    return Bounds(1, length) if missing is None else sympy.oo


def congestion_bounds(mixer: Mixer, n: int | Demand, passes: int = 3, ratio: float = 1.0) -> Congestion:
    """Bounds of the congestion with certificates: for copying ``n`` tokens, or for any demand.

    Parameters
    ----------
    mixer : Mixer
        Where the paths run.
    n : int or Demand
        Tokens to copy, or the pairs to connect.
    passes : int
        Rounds of the routing search; more rounds tighten the upper bound.
    ratio : float
        Stop once upper ≤ ratio × lower.

    Returns
    -------
    Congestion
        ``.bounds``, ``.lower``, ``.upper``, ``.check()``.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> found = congestion_bounds(glm.Mixer(recurrent=glm.CacheEfficient(glm.k**2 + 1)), 64)
    >>> found.bounds, found.check() == found.bounds
    (Bounds(lower=11, upper=11), True)
    >>> congestion_bounds(glm.Mixer(direct=glm.Window(4)), 8).lower
    Unreachable(source=0, target=8)
    """
    if not isinstance(mixer, Mixer):
        raise PatternError(f"congestion_bounds needs a Mixer, got {type(mixer).__name__}")
    demand = n if isinstance(n, Demand) else copy(check_length(n))
    missing = unreachable_pair(mixer, demand)
    if missing is not None:
        return Congestion(mixer, demand, Bounds(sympy.oo, sympy.oo), missing, None)
    lower: Cut | Weights = _endpoint_cut(mixer, demand)
    upper = _direct_routing(mixer, demand)
    if upper is None and is_translation_invariant(mixer):
        upper = shortest_by_lag(mixer, demand)
    if upper is None or upper.bound > lower.bound:
        found = [lower, _flow_cut(mixer, demand, lower.bound, upper.bound if upper else len(demand.pairs))]
        if len(demand.pairs) <= 64 or is_translation_invariant(mixer):
            found.append(_counted(mixer, demand))
        lower = max(found, key=lambda certificate: certificate.bound)
    if upper is None or upper.bound > ratio * lower.bound:
        searched = route(mixer, demand, lower.bound, passes)
        if upper is None or searched.bound < upper.bound:
            upper = searched
    return Congestion(mixer, demand, Bounds(lower.bound, upper.bound), lower, upper)


def unreachable_pair(mixer: Mixer, demand: Demand) -> Unreachable | None:
    """A pair of the demand without a path, or ``None``.

    >>> import glmix_theory as glm
    >>> unreachable_pair(glm.Mixer(direct=glm.Window(4)), copy(8))
    Unreachable(source=0, target=8)
    """
    pairs = list(dict.fromkeys(demand.pairs))
    if is_translation_invariant(mixer):
        hops = lag_hops(mixer, demand.length)
        gone = [(s, t) for s, t in pairs if hops[t - s] >= UNREACHED]
        return Unreachable(mixer, *gone[0]) if gone else None
    for s, t, reached in _reached(mixer, pairs):
        if not reached:
            return Unreachable(mixer, s, t)
    return None


def _reached(mixer: Mixer, pairs: list[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    """Bit ``j`` of an output's integer: source number ``j`` reaches it."""
    order = {s: j for j, s in enumerate(dict.fromkeys(s for s, _ in pairs))}
    last = max(t for _, t in pairs)
    rows = {part: pattern.rows(0, last + 1) for part, pattern in mixer.parts.items()}
    reach: list[int] = []
    for u in range(last + 1):
        bits = 0
        for part in ("direct", "recurrent"):
            if part in rows:
                indptr, sources = rows[part]
                for s in sources[indptr[u] : indptr[u + 1]].tolist():
                    if part == "recurrent":
                        bits |= reach[s]
                    elif s in order:
                        bits |= 1 << order[s]
        reach.append(bits)
    found = []
    for s, t in pairs:
        bits = reach[t]
        if mixer.readout is not None:
            bits = 0
            if "readout" in rows:  # an empty readout is no part, and nothing passes it
                indptr, sources = rows["readout"]
                for u in sources[indptr[t] : indptr[t + 1]].tolist():
                    bits |= reach[u]
        found.append((s, t, bool(bits >> order[s] & 1)))
    return found


def _endpoint_cut(mixer: Mixer, demand: Demand) -> Cut:
    """The busiest source or target on its own."""
    sources = Counter(s for s, _ in demand.pairs)
    targets = Counter(t for _, t in demand.pairs)
    s, most = sources.most_common(1)[0]
    t, many = targets.most_common(1)[0]
    if most >= many:
        chosen = [i for i, pair in enumerate(demand.pairs) if pair[0] == s]
        return Cut(mixer, demand, frozenset({("x", s)}), tuple(chosen))
    chosen = [i for i, pair in enumerate(demand.pairs) if pair[1] == t]
    return Cut(mixer, demand, frozenset({end_node(mixer, t)}), tuple(chosen))


def _direct_routing(mixer: Mixer, demand: Demand) -> Routing | None:
    """Every pair by its own edge ``x_s → y_t``, where all of them exist."""
    if mixer.readout is not None and not all(t in mixer.readout.sources(t) for _, t in demand.pairs):
        return None
    if not all(s in mixer.direct.sources(t) for s, t in demand.pairs):
        return None
    routing = Routing(demand, tuple(Path(mixer, s, t, (t,)) for s, t in demand.pairs), 0)
    return Routing(demand, routing.paths, max(routing.loads().values()))


def _flow_cut(mixer: Mixer, demand: Demand, start: int, goal: int) -> Cut:
    """Raise the node capacity until a flow serves all pairs at once (or to ``goal``); the last cut is the bound."""
    network = Network(mixer, demand.length)
    sources, targets = [s for s, _ in demand.pairs], [t for _, t in demand.pairs]
    best, capacity = _endpoint_cut(mixer, demand), start
    while True:
        flow = network.flow(sources, targets, capacity)
        if flow.value >= len(demand.pairs) or not flow.cut:
            return best
        kept = tuple(
            i for i, (s, t) in enumerate(demand.pairs) if s not in flow.closed_sources and t not in flow.closed_targets
        )
        cut = Cut(mixer, demand, flow.cut, kept)
        if cut.bound <= capacity:
            return best if best.bound >= cut.bound else cut
        best, capacity = cut, cut.bound
        if capacity >= goal:
            return best


def _counted(mixer: Mixer, demand: Demand) -> Weights:
    """Equal weights on all outputs: paths × their fewest outputs / outputs."""
    weights: dict[Node, int] = {("y", u): 1 for u in range(demand.length)}
    trial = Weights(mixer, demand, weights, 1)
    return Weights(mixer, demand, weights, -(-trial.lightest_total() // len(weights)))
