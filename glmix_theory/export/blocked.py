"""The portable backend: blocked panels on any device, nothing ``n × n`` on a sparse pattern."""

from __future__ import annotations

import torch

from glmix_theory.export.backend import Mixed, Terms, working_dtype
from glmix_theory.export.coefficients import RowTables, joint_softmax
from glmix_theory.export.layout import BLOCK, Layout, layout_of, remembered
from glmix_theory.export.sparse import sampled_product, sparse_rows, sparse_solve
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Pattern


def mix(
    mixer: Mixer,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    coefficients: str = "softmax",
    block: int = BLOCK,
) -> Mixed:
    """Scores of the edges, their softmax and the mixer; see :func:`glmix_theory.export.functional.mix`."""
    n, width = q.shape[2:]
    work = working_dtype(v.dtype)
    queries = q.flatten(0, 1).to(work) * width**-0.5
    keys = k.flatten(0, 1).to(work)

    def weights(part: str, patterns: list[Pattern]) -> list[torch.Tensor]:
        layouts = [layout_of(pattern, n, q.device, block) for pattern in patterns]
        key = (part, n, str(q.device))
        tables = remembered(mixer, key, lambda: RowTables.build(layouts))
        return joint_softmax(tables, [sampled_product(layout, queries, keys) for layout in layouts])

    alpha, beta = weights("joint", [mixer.direct, mixer.recurrent])
    gamma = None if mixer.readout is None else weights("readout", [mixer.readout])[0]
    return solve(mixer, alpha, beta, v, gamma, block)


def solve(
    mixer: Mixer,
    alpha: torch.Tensor,
    beta: torch.Tensor,
    x: torch.Tensor,
    gamma: torch.Tensor | None = None,
    block: int = BLOCK,
) -> Mixed:
    """The mixer for given edge values; see :func:`glmix_theory.export.functional.solve`.

    Edge values may come as ``(batch, heads, edges)`` or with the two leading axes already flattened.
    """
    work = working_dtype(x.dtype)
    groups = x.shape[0] * x.shape[1]
    n = x.shape[2]

    def edge_values(values: torch.Tensor) -> torch.Tensor:
        return values.reshape(groups, values.shape[-1]).to(work)

    def layout(pattern: Pattern) -> Layout:
        return layout_of(pattern, n, x.device, block)

    rows = sparse_rows(layout(mixer.direct), edge_values(alpha), x.flatten(0, 1).to(work))
    y = rows if not beta.shape[-1] else sparse_solve(layout(mixer.recurrent), edge_values(beta), rows)
    z = y
    if gamma is not None and mixer.readout is not None:
        z = sparse_rows(layout(mixer.readout), edge_values(gamma), y)
    terms = Terms(alpha.shape[-1], beta.shape[-1], 0 if gamma is None else gamma.shape[-1])
    return Mixed(z.view_as(x).to(x.dtype), y.view_as(x).to(x.dtype), terms)
