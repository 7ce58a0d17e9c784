"""The exact fractional congestion by linear programming, with dual weights as a certificate of the lower bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmix_theory.errors import LengthError
from glmix_theory.expressivity.certificates import CertificateError, Node, Weights
from glmix_theory.expressivity.demands import Demand
from glmix_theory.mixers import Mixer

_LARGEST_PROGRAM = 1 << 19
_SCALE = 10**6


@dataclass(frozen=True)
class FractionalCongestion:
    """``value``: the least largest load when each pair may split over paths; ``lower``: the dual certificate."""

    value: float
    lower: Weights


def fractional_congestion(mixer: Mixer, demand: Demand) -> FractionalCongestion:
    """The least congestion when pairs may be split fractionally over several paths.

    A linear program (HiGHS): one flow per pair, node loads at most ``C``, minimise ``C``. The dual gives node
    weights; rounded to integers they still bound every routing from below, exactly.

    Raises
    ------
    LengthError
        The program would have more than 2^19 flow variables.
    CertificateError
        The program has no solution: a pair is unreachable.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> from glmix_theory.expressivity.demands import copy
    >>> found = fractional_congestion(glm.Mixer(recurrent=glm.Lags([1, 2])), copy(5))
    >>> round(found.value, 6), found.lower.check()
    (2.5, 3)
    """
    import scipy.sparse
    from scipy.optimize import linprog

    nodes, edges = _graph(mixer, demand.length)
    number, pairs = len(edges), len(demand.pairs)
    if number * pairs > _LARGEST_PROGRAM:
        raise LengthError(
            f"{pairs} pairs over {number} edges make {number * pairs} variables, more than {_LARGEST_PROGRAM}; "
            "use congestion_bounds for bounds with certificates"
        )
    index = {node: i for i, node in enumerate(nodes)}
    tails = np.array([index[a] for a, _ in edges])
    heads = np.array([index[b] for _, b in edges])
    every = np.arange(number)
    incoming = scipy.sparse.csr_array((np.ones(number), (heads, every)), shape=(len(nodes), number))
    outgoing = scipy.sparse.csr_array((np.ones(number), (tails, every)), shape=(len(nodes), number))
    balance = scipy.sparse.block_diag([incoming - outgoing] * pairs, format="csr")
    last = "y" if mixer.readout is None else "z"
    supply = np.zeros((pairs, len(nodes)))
    first = np.zeros(len(nodes))
    for row, (s, t) in enumerate(demand.pairs):
        supply[row, index["x", s]] -= 1
        supply[row, index[last, t]] += 1
        first[index["x", s]] += 1
    equalities = scipy.sparse.hstack([balance, scipy.sparse.csr_array((balance.shape[0], 1))], format="csr")
    loads = scipy.sparse.hstack(
        [*([incoming] * pairs), scipy.sparse.csr_array(-np.ones((len(nodes), 1)))], format="csr"
    )
    cost = np.zeros(number * pairs + 1)
    cost[-1] = 1
    result = linprog(cost, A_ub=loads, b_ub=-first, A_eq=equalities, b_eq=supply.ravel(), method="highs")
    if result.status != 0:
        raise CertificateError(f"no fractional routing of {demand!r} exists: a pair is unreachable")
    dual = np.maximum(-result.ineqlin.marginals, 0)
    weights = {node: round(w * _SCALE) for node, w in zip(nodes, dual) if round(w * _SCALE) > 0}
    trial = Weights(mixer, demand, weights, 1)
    bound = -(-trial.lightest_total() // sum(weights.values()))
    return FractionalCongestion(float(result.fun), Weights(mixer, demand, weights, bound))


def _graph(mixer: Mixer, length: int) -> tuple[list[Node], list[tuple[Node, Node]]]:
    edges: list[tuple[Node, Node]] = []
    for t in range(length):
        reads = mixer.sources(t)
        edges += [(("x", s), ("y", t)) for s in reads.get("direct", ())]
        edges += [(("y", s), ("y", t)) for s in reads.get("recurrent", ())]
        edges += [(("y", s), ("z", t)) for s in reads.get("readout", ())]
    kinds = ("x", "y") if mixer.readout is None else ("x", "y", "z")
    return [(kind, t) for kind in kinds for t in range(length)], edges
