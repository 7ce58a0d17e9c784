"""What every kernel does with one tile: find its edges, its scores and its weights."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# Arguments of kernels are handles of Triton's compiler.
from __future__ import annotations

import triton
import triton.language as tl

EXPONENTIAL: tl.constexpr = tl.constexpr(0)
"""Weight of a score ``s``: ``exp(s - L)``."""
SINH: tl.constexpr = tl.constexpr(1)
"""``sinh(s) exp(-L)``."""
SCALED: tl.constexpr = tl.constexpr(2)
"""``s exp(-L)``."""
PLAIN: tl.constexpr = tl.constexpr(3)
"""``s`` itself; there is no normaliser."""

NOTHING: tl.constexpr = tl.constexpr(-1e30)
"""Logarithm of a sum over no edges: finite, so that differences of such logarithms are numbers."""


@triton.jit
def sequence(segments_ptr, heads):
    """Batch element, head, first row and length of the sequence that this program works on."""
    group = tl.program_id(0).to(tl.int64)
    segment = group // heads
    batch = tl.load(segments_ptr + segment * 3)
    start = tl.load(segments_ptr + segment * 3 + 1)
    stop = tl.load(segments_ptr + segment * 3 + 2)
    return batch, group % heads, start, (stop - start).to(tl.int32)


@triton.jit
def load_rows(pointer, places, valid, stride, columns, width, HALF: tl.constexpr):
    """Rows ``(len(places), len(columns))`` of a tensor; 0 where not valid. fp32 unless half is kept."""
    address = pointer + places.to(tl.int64)[:, None] * stride + columns[None, :]
    rows = tl.load(address, mask=valid[:, None] & (columns < width)[None, :], other=0.0)
    if not HALF:
        rows = rows.to(tl.float32)
    return rows


@triton.jit
def product(left, right, PRECISION: tl.constexpr):
    """Matrix product summed in fp32."""
    return tl.dot(left, right, input_precision=PRECISION)


@triton.jit
def edges_of(columns_ptr, bits_ptr, tile, start, block, length, BLOCK: tl.constexpr):
    """Positions of the rows and columns of a tile, which columns exist, and the pairs that are edges."""
    place = tl.arange(0, BLOCK)
    rows = start + block * BLOCK + place
    columns = tl.load(columns_ptr + tile * BLOCK + place)
    words = tl.load(bits_ptr + tile * BLOCK + place)
    there = (columns >= 0) & (columns < length)
    read = ((words[:, None] >> place.to(tl.int64)[None, :]) & 1) != 0
    return rows, columns, there, read & (rows < length)[:, None] & there[None, :]


@triton.jit
def edge_numbers(bits_ptr, edges_ptr, tile, BLOCK: tl.constexpr):
    """Number of every edge of a tile in the order of edge values."""
    place = tl.arange(0, BLOCK)
    words = tl.load(bits_ptr + tile * BLOCK + place)
    read = ((words[:, None] >> place.to(tl.int64)[None, :]) & 1).to(tl.int32)
    return tl.load(edges_ptr + tile * BLOCK + place)[:, None] + tl.cumsum(read, 1) - read


@triton.jit
def scores_of(
    own,
    other,
    lags,
    edge,
    scale,
    bias_ptr,
    values_ptr,
    numbers,
    HAS_DOT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    HAS_VALUES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Scores of a tile, fp32; 0 where there is no edge."""
    if HAS_VALUES:
        scores = tl.load(values_ptr + numbers, mask=edge, other=0.0).to(tl.float32)
    else:
        scores = tl.zeros(edge.shape, tl.float32)
        if HAS_DOT:
            scores = product(own, tl.trans(other), PRECISION) * scale
        if HAS_BIAS:
            scores += tl.load(bias_ptr + lags, mask=edge, other=0.0)
        scores = tl.where(edge, scores, 0.0)
    return scores


@triton.jit
def weights_of(scores, edge, normaliser, WEIGHT: tl.constexpr):
    """Coefficients of a tile from its scores; ``normaliser`` is broadcast against them."""
    if WEIGHT == EXPONENTIAL:
        weights = tl.where(edge, tl.exp(tl.where(edge, scores - normaliser, 0.0)), 0.0)
    elif WEIGHT == SINH:
        # |s| ≤ L + log 2, so neither exponent is large.
        weights = tl.where(edge, 0.5 * (tl.exp(scores - normaliser) - tl.exp(-scores - normaliser)), 0.0)
    elif WEIGHT == SCALED:
        weights = scores * tl.exp(-normaliser)
    else:
        weights = scores
    return weights


@triton.jit
def score_gradients(scores, weights, edge, gradients, normaliser, statistic, slope, WEIGHT: tl.constexpr):
    """Gradients of the scores, from those of the weights and of the statistic that normalises them.

    ``statistic`` is the logarithm of the sum over the part, ``slope`` its gradient; ``normaliser`` depends
    on it, and its own gradient is in ``slope``.
    """
    if WEIGHT == EXPONENTIAL:
        shares = tl.exp(tl.where(edge, scores - statistic, 0.0))
        result = weights * gradients + shares * slope
    elif WEIGHT == SINH:
        rising, falling = tl.exp(scores - statistic), tl.exp(-scores - statistic)
        cosh = 0.5 * (tl.exp(scores - normaliser) + tl.exp(-scores - normaliser))
        result = cosh * gradients + 0.5 * (rising - falling) * slope
    elif WEIGHT == SCALED:
        sign = tl.where(scores > 0, 1.0, tl.where(scores < 0, -1.0, 0.0))
        result = gradients * tl.exp(-normaliser) + sign * tl.exp(-statistic) * slope
    else:
        result = gradients
    return tl.where(edge, result, 0.0)
