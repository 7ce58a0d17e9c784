"""The kernels for one row per position: statistics and products, block inverses, solves, gradients.

Every kernel walks the tiles of :class:`~glmix_theory.export.triton.panels.Panels`; program axis 0 is the
sequence and head. Scores are made again in each kernel, never stored. ``*_b, *_h, *_n`` are strides.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# Arguments of kernels are handles of Triton's compiler.
from __future__ import annotations

import triton
import triton.language as tl

from glmix_theory.export.triton.tiles import (
    NOTHING,
    PLAIN,
    SINH,
    edge_numbers,
    edges_of,
    load_rows,
    product,
    scores_of,
    sequence,
    weights_of,
)


# fmt: off
@triton.jit
def attend(
    segments_ptr, first_ptr, columns_ptr, bits_ptr, edges_ptr, begin,
    left_ptr, left_b, left_h, left_n, right_ptr, right_b, right_h, right_n, scale,
    bias_ptr, lags, values_ptr, number,
    x_ptr, x_b, x_h, x_n, width,
    out_ptr, statistic_ptr,
    heads, n, d,
    WEIGHT: tl.constexpr, HAS_DOT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_VALUES: tl.constexpr,
    HAS_ROWS: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_W: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr,
):
    # fmt: on
    """Per row ``t`` the statistic ``log Σ`` over a part's edges, and the mean of the rows ``x_s`` by weight.

    The statistic is ``log Σ exp(s)``, ``log Σ cosh(s)`` or ``log Σ |s|``, and the sum of weights times rows is
    divided by it; plain scores are not normalised. One pass: the running maximum rescales what is summed.
    """
    batch, head, start, length = sequence(segments_ptr, heads)
    block = tl.program_id(1)
    if begin + block * BLOCK < length:
        wide = tl.program_id(2) * BLOCK_W + tl.arange(0, BLOCK_W)
        deep = tl.arange(0, BLOCK_D)
        place = begin + block * BLOCK + tl.arange(0, BLOCK)
        left_ptr += batch * left_b + head * left_h + start * left_n
        right_ptr += batch * right_b + head * right_h + start * right_n
        x_ptr += batch * x_b + head * x_h + start * x_n
        flat = (batch * heads + head) * n + start
        bias_ptr += head * lags
        values_ptr += (batch * heads + head) * number
        own = load_rows(left_ptr, place, (place < length) & HAS_DOT, left_n, deep, d, HALF)
        top = tl.full([BLOCK], NOTHING, tl.float32)
        total = tl.zeros([BLOCK], tl.float32)
        sums = tl.zeros([BLOCK, BLOCK_W], tl.float32)
        for tile in range(tl.load(first_ptr + block), tl.load(first_ptr + block + 1)):
            rows, columns, there, edge = edges_of(columns_ptr, bits_ptr, tile, begin, block, length, BLOCK)
            other = load_rows(right_ptr, columns, there & HAS_DOT, right_n, deep, d, HALF)
            numbers = edge_numbers(bits_ptr, edges_ptr, tile, BLOCK) if HAS_VALUES else rows
            scores = scores_of(
                own, other, rows[:, None] - columns[None, :], edge, scale, bias_ptr, values_ptr, numbers,
                HAS_DOT, HAS_BIAS, HAS_VALUES, PRECISION,
            )
            if WEIGHT <= SINH:  # exponentials, summed relative to the largest
                sizes = tl.abs(scores) if WEIGHT == SINH else scores
                higher = tl.maximum(top, tl.max(tl.where(edge, sizes, NOTHING), 1))
                fade = tl.exp(top - higher)
                pivot = tl.where(higher > NOTHING, higher, 0.0)[:, None]
                weights = weights_of(scores, edge, pivot, WEIGHT)
                if WEIGHT == SINH:
                    parts = 0.5 * (tl.exp(scores - pivot) + tl.exp(-scores - pivot))
                    total = total * fade + tl.sum(tl.where(edge, parts, 0.0), 1)
                else:
                    total = total * fade + tl.sum(weights, 1)
                sums *= fade[:, None]
                top = higher
            else:
                weights = scores
                total += tl.sum(tl.abs(scores), 1)
            if HAS_ROWS:
                x = load_rows(x_ptr, columns, there, x_n, wide, width, HALF)
                sums += product(weights.to(x.dtype), x, PRECISION)
        valid = place < length
        if WEIGHT != PLAIN:
            some = total > 0
            if WEIGHT <= SINH:  # exponentials, summed relative to the largest
                statistic = top + tl.log(tl.where(some, total, 1.0))
            else:
                statistic = tl.log(tl.where(some, total, 1.0))
            statistic = tl.where(some, statistic, NOTHING)
            if tl.program_id(2) == 0:
                tl.store(statistic_ptr + flat + place, statistic, mask=valid)
            sums = sums / tl.where(some, total, 1.0)[:, None]
        if HAS_ROWS:
            address = out_ptr + (flat + place)[:, None] * width + wide[None, :]
            tl.store(address, sums, mask=valid[:, None] & (wide < width)[None, :])


# fmt: off
@triton.jit
def invert(
    segments_ptr, first_ptr, inside_ptr, columns_ptr, bits_ptr, edges_ptr, begin,
    left_ptr, left_b, left_h, left_n, right_ptr, right_b, right_h, right_n, scale,
    bias_ptr, lags, values_ptr, number, normaliser_ptr,
    inverse_ptr,
    heads, n, d,
    WEIGHT: tl.constexpr, HAS_DOT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_VALUES: tl.constexpr,
    INVERT: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr,
):
    # fmt: on
    """``(I - B_block)^{-1}`` of every block, or with ``INVERT`` off ``B_block`` itself.

    By halves: from the inverses ``T`` of the diagonal blocks of size ``m`` follow those of size ``2m``,
    ``T + T N T`` with ``N`` the part of ``B_block`` that joins two halves. As accurate as substitution for
    any coefficients, where a Neumann product would sum large powers that cancel.
    """
    batch, head, start, length = sequence(segments_ptr, heads)
    block = tl.program_id(1)
    if begin + block * BLOCK < length:
        deep = tl.arange(0, BLOCK_D)
        place = tl.arange(0, BLOCK)
        left_ptr += batch * left_b + head * left_h + start * left_n
        right_ptr += batch * right_b + head * right_h + start * right_n
        flat = (batch * heads + head) * n + start
        bias_ptr += head * lags
        values_ptr += (batch * heads + head) * number
        matrix = tl.zeros([BLOCK, BLOCK], tl.float32)
        result = tl.where(place[:, None] == place[None, :], 1.0, 0.0)
        tile = tl.load(inside_ptr + block)
        if tile < tl.load(first_ptr + block + 1):
            rows, columns, there, edge = edges_of(columns_ptr, bits_ptr, tile, begin, block, length, BLOCK)
            own = load_rows(left_ptr, rows, there & HAS_DOT, left_n, deep, d, HALF)
            other = load_rows(right_ptr, columns, there & HAS_DOT, right_n, deep, d, HALF)
            numbers = edge_numbers(bits_ptr, edges_ptr, tile, BLOCK) if HAS_VALUES else rows
            scores = scores_of(
                own, other, rows[:, None] - columns[None, :], edge, scale, bias_ptr, values_ptr, numbers,
                HAS_DOT, HAS_BIAS, HAS_VALUES, PRECISION,
            )
            normaliser = tl.load(normaliser_ptr + flat + rows, mask=(rows < length) & (WEIGHT != PLAIN), other=0.0)
            matrix = weights_of(scores, edge, normaliser[:, None], WEIGHT)
        if INVERT:
            for level in tl.static_range(0, 6):
                size = 1 << level
                if size < BLOCK:
                    joins = (place[:, None] // (2 * size) == place[None, :] // (2 * size)) & (
                        place[:, None] // size != place[None, :] // size
                    )
                    between = tl.where(joins, matrix, 0.0)
                    if level == 0:
                        result += between
                    else:
                        result += product(product(result, between, PRECISION), result, PRECISION)
            matrix = result
        base = inverse_ptr + (tl.program_id(0).to(tl.int64) * tl.num_programs(1) + block) * BLOCK * BLOCK
        tl.store(base + place[:, None] * BLOCK + place[None, :], matrix)


# fmt: off
@triton.jit
def solve(
    segments_ptr, first_ptr, inside_ptr, columns_ptr, bits_ptr, edges_ptr, begin, blocks, size, slots_ptr,
    left_ptr, left_b, left_h, left_n, right_ptr, right_b, right_h, right_n, scale,
    bias_ptr, lags, values_ptr, number, normaliser_ptr,
    inverse_ptr, factor_ptr, gate_ptr, input_ptr, given, y_ptr, room, width,
    heads, n, d,
    WEIGHT: tl.constexpr, HAS_DOT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_VALUES: tl.constexpr,
    CHANNEL: tl.constexpr, SPLIT: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_W: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr,
):
    # fmt: on
    """``Y = U + B Y`` block after block: far outputs by tiles, then the block's own inverse.

    ``U`` is ``input`` times ``factor`` (a number a row). With ``CHANNEL`` the recurrent coefficients
    are multiplied by ``gate`` (a number a row and channel), and the block is solved by substitution. One
    program owns ``BLOCK_W`` channels of a sequence, a head and a chunk of ``size`` blocks; it alone writes and
    reads their outputs.

    With ``SPLIT`` there are several chunks, and outputs from before the own one are not known yet. In the
    ``given`` channels that have an input they count as 0; in channel ``given + i`` the one in slot ``i`` counts as
    1 and the others as 0, which gives what to multiply it with once it is known.
    """
    batch, head, start, length = sequence(segments_ptr, heads)
    wide = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    deep = tl.arange(0, BLOCK_D)
    lane = tl.arange(0, BLOCK)
    left_ptr += batch * left_b + head * left_h + start * left_n
    right_ptr += batch * right_b + head * right_h + start * right_n
    flat = (batch * heads + head) * n + start
    bias_ptr += head * lags
    values_ptr += (batch * heads + head) * number
    y_ptr += ((batch * heads + head) * room + start) * width
    inverse_ptr += tl.program_id(0).to(tl.int64) * blocks * BLOCK * BLOCK
    low = tl.program_id(2) * size
    before = tl.where(low > 0, begin + low * BLOCK, 0)
    for block in range(low, tl.minimum(low + size, tl.cdiv(length - begin, BLOCK))):
        place = begin + block * BLOCK + lane
        valid = place < length
        own = load_rows(left_ptr, place, valid & HAS_DOT, left_n, deep, d, HALF)
        normaliser = tl.load(normaliser_ptr + flat + place, mask=valid & (WEIGHT != PLAIN), other=0.0)
        sums = tl.zeros([BLOCK, BLOCK_W], tl.float32)
        for tile in range(tl.load(first_ptr + block), tl.load(inside_ptr + block)):
            rows, columns, there, edge = edges_of(columns_ptr, bits_ptr, tile, begin, block, length, BLOCK)
            other = load_rows(right_ptr, columns, there & HAS_DOT, right_n, deep, d, HALF)
            numbers = edge_numbers(bits_ptr, edges_ptr, tile, BLOCK) if HAS_VALUES else rows
            scores = scores_of(
                own, other, rows[:, None] - columns[None, :], edge, scale, bias_ptr, values_ptr, numbers,
                HAS_DOT, HAS_BIAS, HAS_VALUES, PRECISION,
            )
            weights = weights_of(scores, edge, normaliser[:, None], WEIGHT)
            outputs = load_rows(y_ptr, columns, there & (columns >= before), width, wide, width, False)
            if SPLIT:
                earlier = there & (columns < before)
                channels = given + tl.load(slots_ptr + columns, mask=earlier, other=0)
                outputs = tl.where(earlier[:, None] & (channels[:, None] == wide[None, :]), 1.0, outputs)
            sums += product(weights, outputs, PRECISION)
        own_mask = valid[:, None] & (wide < width)[None, :]
        address = place[:, None].to(tl.int64) * width + wide[None, :]
        factor = tl.load(factor_ptr + flat + place, mask=valid & (given > 0), other=0.0)
        inputs = load_rows(input_ptr + flat * given, place, valid, given, wide, given, False)
        inputs *= factor[:, None]
        matrix = tl.load(inverse_ptr + block * BLOCK * BLOCK + lane[:, None] * BLOCK + lane[None, :])
        if CHANNEL:
            gate = tl.load(gate_ptr + flat * width + address, mask=own_mask, other=0.0)
            y = inputs + gate * sums
            for i in range(1, BLOCK):
                weights = tl.sum(tl.where((lane == i)[:, None], matrix, 0.0), 0)
                row = tl.sum(weights[:, None] * y, 0)
                y += tl.where((lane == i)[:, None], gate * row[None, :], 0.0)
        else:
            y = product(matrix, inputs + sums, PRECISION)
        tl.store(y_ptr + address, y, mask=own_mask)
        tl.debug_barrier()


# fmt: off
@triton.jit
def solve_adjoint(
    segments_ptr, first_ptr, inside_ptr, columns_ptr, bits_ptr, edges_ptr, blocks, size,
    left_ptr, left_b, left_h, left_n, right_ptr, right_b, right_h, right_n, scale,
    bias_ptr, lags, values_ptr, number, normaliser_ptr,
    inverse_ptr, gate_ptr, adjoint_ptr, width,
    heads, n, d,
    WEIGHT: tl.constexpr, HAS_DOT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_VALUES: tl.constexpr,
    CHANNEL: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_W: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr,
):
    # fmt: on
    """``Λ = G + Bᵀ Λ`` in place of ``G``, from the last block of each chunk of ``size`` to its first.

    A block is solved by its transposed inverse, and then adds to the rows that it read, where they are of its
    chunk. These are distinct, and no other program touches them: no atomic operation is needed, and the result
    is reproducible.
    """
    batch, head, start, length = sequence(segments_ptr, heads)
    wide = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    deep = tl.arange(0, BLOCK_D)
    lane = tl.arange(0, BLOCK)
    left_ptr += batch * left_b + head * left_h + start * left_n
    right_ptr += batch * right_b + head * right_h + start * right_n
    flat = (batch * heads + head) * n + start
    bias_ptr += head * lags
    values_ptr += (batch * heads + head) * number
    adjoint_ptr += flat * width
    inverse_ptr += tl.program_id(0).to(tl.int64) * blocks * BLOCK * BLOCK
    low = tl.program_id(2) * size
    last = tl.minimum(low + size, tl.cdiv(length, BLOCK)) - 1
    for step in range(last + 1 - low):
        block = last - step
        place = block * BLOCK + lane
        valid = place < length
        own_mask = valid[:, None] & (wide < width)[None, :]
        address = place[:, None].to(tl.int64) * width + wide[None, :]
        matrix = tl.load(inverse_ptr + block * BLOCK * BLOCK + lane[:, None] * BLOCK + lane[None, :])
        adjoint = tl.load(adjoint_ptr + address, mask=own_mask, other=0.0)
        if CHANNEL:
            gate = tl.load(gate_ptr + flat * width + address, mask=own_mask, other=0.0)
            for j in range(1, BLOCK):
                mine = (lane == BLOCK - j)[:, None]
                weights = tl.sum(tl.where(mine, matrix, 0.0), 0)
                adjoint += weights[:, None] * tl.sum(tl.where(mine, gate * adjoint, 0.0), 0)[None, :]
            tl.store(adjoint_ptr + address, adjoint, mask=own_mask)
            adjoint *= gate
        else:
            adjoint = product(tl.trans(matrix), adjoint, PRECISION)
            tl.store(adjoint_ptr + address, adjoint, mask=own_mask)
        own = load_rows(left_ptr, place, valid & HAS_DOT, left_n, deep, d, HALF)
        normaliser = tl.load(normaliser_ptr + flat + place, mask=valid & (WEIGHT != PLAIN), other=0.0)
        for tile in range(tl.load(first_ptr + block), tl.load(inside_ptr + block)):
            rows, columns, there, edge = edges_of(columns_ptr, bits_ptr, tile, 0, block, length, BLOCK)
            other = load_rows(right_ptr, columns, there & HAS_DOT, right_n, deep, d, HALF)
            numbers = edge_numbers(bits_ptr, edges_ptr, tile, BLOCK) if HAS_VALUES else rows
            scores = scores_of(
                own, other, rows[:, None] - columns[None, :], edge, scale, bias_ptr, values_ptr, numbers,
                HAS_DOT, HAS_BIAS, HAS_VALUES, PRECISION,
            )
            weights = weights_of(scores, edge, normaliser[:, None], WEIGHT)
            more = product(tl.trans(weights), adjoint, PRECISION)
            target = adjoint_ptr + columns.to(tl.int64)[:, None] * width + wide[None, :]
            mask = (there & (columns >= low * BLOCK))[:, None] & (wide < width)[None, :]
            tl.store(target, tl.load(target, mask=mask, other=0.0) + more, mask=mask)
        tl.debug_barrier()
