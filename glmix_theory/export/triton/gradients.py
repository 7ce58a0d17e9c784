"""The kernels that gather gradients: of the rows that were mixed, and of what the scores are made from.

Both walk panels of targets, or transposed ones of sources: then rows and columns change places, and each
program still owns the rows that it writes.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# Arguments of kernels are handles of Triton's compiler.
from __future__ import annotations

import triton
import triton.language as tl

from glmix_theory.export.triton.tiles import (
    PLAIN,
    edge_numbers,
    edges_of,
    load_rows,
    product,
    score_gradients,
    scores_of,
    sequence,
    weights_of,
)


# fmt: off
@triton.jit
def spread(
    segments_ptr, first_ptr, columns_ptr, bits_ptr, edges_ptr, order_ptr,
    left_ptr, left_b, left_h, left_n, right_ptr, right_b, right_h, right_n, scale,
    bias_ptr, lags, values_ptr, number, normaliser_ptr,
    x_ptr, x_b, x_h, x_n, width,
    out_ptr,
    heads, n, d,
    WEIGHT: tl.constexpr, HAS_DOT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_VALUES: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_W: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr,
):
    # fmt: on
    """``out_s = Σ_t weight_ts x_t``: the transposed product, by panels of sources."""
    batch, head, start, length = sequence(segments_ptr, heads)
    block = tl.program_id(1)
    if block * BLOCK < length:
        wide = tl.program_id(2) * BLOCK_W + tl.arange(0, BLOCK_W)
        deep = tl.arange(0, BLOCK_D)
        place = block * BLOCK + tl.arange(0, BLOCK)
        valid = place < length
        left_ptr += batch * left_b + head * left_h + start * left_n
        right_ptr += batch * right_b + head * right_h + start * right_n
        x_ptr += batch * x_b + head * x_h + start * x_n
        flat = (batch * heads + head) * n + start
        bias_ptr += head * lags
        values_ptr += (batch * heads + head) * number
        own = load_rows(right_ptr, place, valid & HAS_DOT, right_n, deep, d, HALF)
        sums = tl.zeros([BLOCK, BLOCK_W], tl.float32)
        for tile in range(tl.load(first_ptr + block), tl.load(first_ptr + block + 1)):
            rows, columns, there, edge = edges_of(columns_ptr, bits_ptr, tile, 0, block, length, BLOCK)
            other = load_rows(left_ptr, columns, there & HAS_DOT, left_n, deep, d, HALF)
            numbers = rows
            if HAS_VALUES:
                numbers = tl.load(order_ptr + edge_numbers(bits_ptr, edges_ptr, tile, BLOCK), mask=edge, other=0)
            scores = scores_of(
                own, other, columns[None, :] - rows[:, None], edge, scale, bias_ptr, values_ptr, numbers,
                HAS_DOT, HAS_BIAS, HAS_VALUES, PRECISION,
            )
            normaliser = tl.load(normaliser_ptr + flat + columns, mask=there & (WEIGHT != PLAIN), other=0.0)
            weights = weights_of(scores, edge, normaliser[None, :], WEIGHT)
            x = load_rows(x_ptr, columns, there, x_n, wide, width, HALF)
            sums += product(weights.to(x.dtype), x, PRECISION)
        address = out_ptr + (flat + place)[:, None] * width + wide[None, :]
        tl.store(address, sums, mask=valid[:, None] & (wide < width)[None, :])


# fmt: off
@triton.jit
def differentiate(
    segments_ptr, first_ptr, columns_ptr, bits_ptr, edges_ptr,
    left_ptr, left_b, left_h, left_n, right_ptr, right_b, right_h, right_n, scale,
    bias_ptr, lags, values_ptr, number, normaliser_ptr, statistic_ptr, slope_ptr,
    gradient_ptr, gradient_b, gradient_h, gradient_n, x_ptr, x_b, x_h, x_n, width,
    out_ptr, bias_gradient_ptr, values_gradient_ptr,
    heads, n, d,
    WEIGHT: tl.constexpr, HAS_DOT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_VALUES: tl.constexpr,
    TRANSPOSED: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_W: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr,
):
    # fmt: on
    """Gradients of ``left`` (of ``right`` when transposed), of the biases and of edge values.

    The weight of an edge has the gradient ``gradient_t · x_s``. Biases have few entries and many edges: they
    are summed by atomic additions, in an order that differs from run to run.
    """
    batch, head, start, length = sequence(segments_ptr, heads)
    block = tl.program_id(1)
    if block * BLOCK < length:
        deep = tl.arange(0, BLOCK_D)
        place = block * BLOCK + tl.arange(0, BLOCK)
        valid = place < length
        left_ptr += batch * left_b + head * left_h + start * left_n
        right_ptr += batch * right_b + head * right_h + start * right_n
        gradient_ptr += batch * gradient_b + head * gradient_h + start * gradient_n
        x_ptr += batch * x_b + head * x_h + start * x_n
        flat = (batch * heads + head) * n + start
        bias_ptr += head * lags
        values_ptr += (batch * heads + head) * number
        statistics = valid & (WEIGHT != PLAIN)
        if TRANSPOSED:
            own = load_rows(right_ptr, place, valid & HAS_DOT, right_n, deep, d, HALF)
        else:
            own = load_rows(left_ptr, place, valid & HAS_DOT, left_n, deep, d, HALF)
            normaliser = tl.load(normaliser_ptr + flat + place, mask=statistics, other=0.0)[:, None]
            statistic = tl.load(statistic_ptr + flat + place, mask=statistics, other=0.0)[:, None]
            slope = tl.load(slope_ptr + flat + place, mask=statistics, other=0.0)[:, None]
        sums = tl.zeros([BLOCK, BLOCK_D], tl.float32)
        for tile in range(tl.load(first_ptr + block), tl.load(first_ptr + block + 1)):
            rows, columns, there, edge = edges_of(columns_ptr, bits_ptr, tile, 0, block, length, BLOCK)
            lags_of = rows[:, None] - columns[None, :]
            if TRANSPOSED:
                lags_of = -lags_of
                other = load_rows(left_ptr, columns, there & HAS_DOT, left_n, deep, d, HALF)
                wanted = there & (WEIGHT != PLAIN)
                normaliser = tl.load(normaliser_ptr + flat + columns, mask=wanted, other=0.0)[None, :]
                statistic = tl.load(statistic_ptr + flat + columns, mask=wanted, other=0.0)[None, :]
                slope = tl.load(slope_ptr + flat + columns, mask=wanted, other=0.0)[None, :]
            else:
                other = load_rows(right_ptr, columns, there & HAS_DOT, right_n, deep, d, HALF)
            numbers = edge_numbers(bits_ptr, edges_ptr, tile, BLOCK) if HAS_VALUES else rows
            scores = scores_of(
                own, other, lags_of, edge, scale, bias_ptr, values_ptr, numbers,
                HAS_DOT, HAS_BIAS, HAS_VALUES, PRECISION,
            )
            weights = weights_of(scores, edge, normaliser, WEIGHT)
            gradients = tl.zeros([BLOCK, BLOCK], tl.float32)
            for low in range(0, width, BLOCK_W):
                wide = low + tl.arange(0, BLOCK_W)
                if TRANSPOSED:
                    mine = load_rows(x_ptr, rows, valid, x_n, wide, width, HALF)
                    theirs = load_rows(gradient_ptr, columns, there, gradient_n, wide, width, HALF)
                else:
                    mine = load_rows(gradient_ptr, rows, valid, gradient_n, wide, width, HALF)
                    theirs = load_rows(x_ptr, columns, there, x_n, wide, width, HALF)
                if mine.dtype != theirs.dtype:
                    mine, theirs = mine.to(tl.float32), theirs.to(tl.float32)
                gradients += product(mine, tl.trans(theirs), PRECISION)
            result = score_gradients(scores, weights, edge, gradients, normaliser, statistic, slope, WEIGHT)
            if HAS_DOT:
                sums += product(result.to(other.dtype), other, PRECISION) * scale
            if HAS_BIAS and not TRANSPOSED:
                tl.atomic_add(bias_gradient_ptr + head * lags + lags_of, result, mask=edge)
            if HAS_VALUES:
                tl.store(values_gradient_ptr + (batch * heads + head) * number + numbers, result, mask=edge)
        if HAS_DOT:
            address = out_ptr + (flat + place)[:, None] * d + deep[None, :]
            mask = valid[:, None] & (deep < d)[None, :]
            tl.store(address, tl.load(address, mask=mask, other=0.0) + sums, mask=mask)
