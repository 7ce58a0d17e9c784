"""The kernels for state expansion: outputs are matrices ``S_t``, made from given edge values.

``S_t = E_t Σ_R β_e S_s + Σ_D α_e x_sᵀ`` and ``z_t = Σ_C γ_eᵀ S_s``, where ``β_e`` is a number, one number per
state row or a matrix, and ``E_t = I - b_t k_t k_tᵀ`` where a strength ``b`` is given. Edges are walked one by
one; a chain, whose steps read the one before them only, stays in registers.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# Arguments of kernels are handles of Triton's compiler.
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def through(beta_ptr, edge, state, matrix, BETA: tl.constexpr, ADJOINT: tl.constexpr, BLOCK_R: tl.constexpr):
    """``β_e S``, or ``β_eᵀ S``; ``BETA`` is 1 for a number, 2 for one per state row, 3 for a matrix."""
    deep = tl.arange(0, BLOCK_R)
    if BETA == 1:
        result = tl.load(beta_ptr + edge) * matrix
    elif BETA == 2:
        result = tl.load(beta_ptr + edge * state + deep, mask=deep < state, other=0.0)[:, None] * matrix
    else:
        inside = (deep < state)[:, None] & (deep < state)[None, :]
        block = tl.load(beta_ptr + (edge * state + deep[:, None]) * state + deep[None, :], mask=inside, other=0.0)
        if ADJOINT:
            block = tl.trans(block)
        result = tl.dot(block, matrix, input_precision="tf32x3")
    return result


@triton.jit
def reflected(matrix, key, strength):
    """``(I - b k kᵀ) S``."""
    return matrix - strength * key[:, None] * tl.sum(key[:, None] * matrix, 0)[None, :]


# fmt: off
@triton.jit
def states(
    direct_ptr, direct_source_ptr, recurrent_ptr, recurrent_source_ptr, readout_ptr, readout_source_ptr,
    alpha_ptr, beta_ptr, gamma_ptr, direct_edges, recurrent_edges, readout_edges,
    x_ptr, key_ptr, strength_ptr, y_ptr, z_ptr,
    n, known, state, width,
    BETA: tl.constexpr, HAS_KEY: tl.constexpr, CHAIN: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_W: tl.constexpr,
):
    # fmt: on
    """The states of all positions in order, and what is read from them. A program owns ``BLOCK_W`` channels."""
    group = tl.program_id(0).to(tl.int64)
    deep, wide = tl.arange(0, BLOCK_R), tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    inside = (deep < state)[:, None] & (wide < width)[None, :]
    cell = deep[:, None] * width + wide[None, :]
    long = tl.full([], 1, tl.int64)
    size, row, deeper = long * state * width, long * width, long * state
    alpha_ptr += group * direct_edges * state
    beta_ptr += group * recurrent_edges * (1 if BETA == 1 else (state if BETA == 2 else state * state))
    gamma_ptr += group * readout_edges * state
    x_ptr += group * n * width
    y_ptr += group * n * size
    z_ptr += group * n * width
    key_ptr += group * n * state
    strength_ptr += group * n
    chained = tl.zeros([BLOCK_R, BLOCK_W], tl.float32)
    if CHAIN and known > 0:
        chained = tl.load(y_ptr + (known - 1) * size + cell, mask=inside, other=0.0)
    for t in range(known, n):
        matrix = tl.zeros([BLOCK_R, BLOCK_W], tl.float32)
        for edge in range(tl.load(recurrent_ptr + t), tl.load(recurrent_ptr + t + 1)):
            if CHAIN:
                source = chained
            else:
                place = tl.load(recurrent_source_ptr + edge)
                source = tl.load(y_ptr + place * size + cell, mask=inside, other=0.0)
            matrix += through(beta_ptr, edge, state, source, BETA, False, BLOCK_R)
        if HAS_KEY:
            key = tl.load(key_ptr + t * deeper + deep, mask=deep < state, other=0.0)
            matrix = reflected(matrix, key, tl.load(strength_ptr + t))
        for edge in range(tl.load(direct_ptr + t), tl.load(direct_ptr + t + 1)):
            place = tl.load(direct_source_ptr + edge)
            x = tl.load(x_ptr + place * width + wide, mask=wide < width, other=0.0)
            alpha = tl.load(alpha_ptr + edge * state + deep, mask=deep < state, other=0.0)
            matrix += alpha[:, None] * x[None, :]
        tl.store(y_ptr + t * size + cell, matrix, mask=inside)
        if CHAIN:
            chained = matrix
        else:
            tl.debug_barrier()
        z = tl.zeros([BLOCK_W], tl.float32)
        for edge in range(tl.load(readout_ptr + t), tl.load(readout_ptr + t + 1)):
            if CHAIN:
                source = matrix
            else:
                place = tl.load(readout_source_ptr + edge)
                source = tl.load(y_ptr + place * size + cell, mask=inside, other=0.0)
            gamma = tl.load(gamma_ptr + edge * state + deep, mask=deep < state, other=0.0)
            z += tl.sum(gamma[:, None] * source, 0)
        tl.store(z_ptr + t * row + wide, z, mask=wide < width)


# fmt: off
@triton.jit
def states_adjoint(
    direct_ptr, direct_source_ptr, recurrent_ptr, recurrent_source_ptr, readout_ptr, readout_source_ptr,
    alpha_ptr, beta_ptr, gamma_ptr, direct_edges, recurrent_edges, readout_edges,
    key_ptr, strength_ptr, dz_ptr, adjoint_ptr, dx_ptr,
    n, state, width,
    BETA: tl.constexpr, HAS_KEY: tl.constexpr, CHAIN: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_W: tl.constexpr,
):
    # fmt: on
    """``Λ``, the gradient of every state, and that of the rows, from the last position to the first.

    Each step adds to states that it read; no other program touches them, so the order is always the same.
    """
    group = tl.program_id(0).to(tl.int64)
    deep, wide = tl.arange(0, BLOCK_R), tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    inside = (deep < state)[:, None] & (wide < width)[None, :]
    cell = deep[:, None] * width + wide[None, :]
    long = tl.full([], 1, tl.int64)
    size, row, deeper = long * state * width, long * width, long * state
    alpha_ptr += group * direct_edges * state
    beta_ptr += group * recurrent_edges * (1 if BETA == 1 else (state if BETA == 2 else state * state))
    gamma_ptr += group * readout_edges * state
    dz_ptr += group * n * width
    dx_ptr += group * n * width
    adjoint_ptr += group * n * size
    key_ptr += group * n * state
    strength_ptr += group * n
    chained = tl.zeros([BLOCK_R, BLOCK_W], tl.float32)
    for step in range(n):
        t = n - 1 - step
        dz = tl.load(dz_ptr + t * row + wide, mask=wide < width, other=0.0)
        own = adjoint_ptr + t * size + cell
        if CHAIN:
            adjoint = chained
        for edge in range(tl.load(readout_ptr + t), tl.load(readout_ptr + t + 1)):
            gamma = tl.load(gamma_ptr + edge * state + deep, mask=deep < state, other=0.0)
            if CHAIN:
                adjoint += gamma[:, None] * dz[None, :]
            else:
                target = adjoint_ptr + tl.load(readout_source_ptr + edge) * size + cell
                before = tl.load(target, mask=inside, other=0.0)
                tl.store(target, before + gamma[:, None] * dz[None, :], mask=inside)
        if CHAIN:
            tl.store(own, adjoint, mask=inside)
        else:
            tl.debug_barrier()
            adjoint = tl.load(own, mask=inside, other=0.0)
        for edge in range(tl.load(direct_ptr + t), tl.load(direct_ptr + t + 1)):
            alpha = tl.load(alpha_ptr + edge * state + deep, mask=deep < state, other=0.0)
            target = dx_ptr + tl.load(direct_source_ptr + edge) * width + wide
            more = tl.sum(alpha[:, None] * adjoint, 0)
            # A later step may read the same row: its load must see this store.
            tl.store(target, tl.load(target, mask=wide < width, other=0.0) + more, mask=wide < width)
            tl.debug_barrier()
        if HAS_KEY:
            key = tl.load(key_ptr + t * deeper + deep, mask=deep < state, other=0.0)
            adjoint = reflected(adjoint, key, tl.load(strength_ptr + t))
        chained = tl.zeros([BLOCK_R, BLOCK_W], tl.float32)
        for edge in range(tl.load(recurrent_ptr + t), tl.load(recurrent_ptr + t + 1)):
            more = through(beta_ptr, edge, state, adjoint, BETA, True, BLOCK_R)
            if CHAIN:
                chained = more
            else:
                target = adjoint_ptr + tl.load(recurrent_source_ptr + edge) * size + cell
                tl.store(target, tl.load(target, mask=inside, other=0.0) + more, mask=inside)
        if not CHAIN:
            tl.debug_barrier()


# fmt: off
@triton.jit
def edge_gradients(
    direct_ptr, direct_source_ptr, recurrent_ptr, recurrent_source_ptr, readout_ptr, readout_source_ptr,
    beta_ptr, direct_edges, recurrent_edges, readout_edges,
    x_ptr, key_ptr, strength_ptr, y_ptr, dz_ptr, adjoint_ptr,
    dalpha_ptr, dbeta_ptr, dgamma_ptr, dkey_ptr, dstrength_ptr,
    n, state, width,
    BETA: tl.constexpr, HAS_KEY: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_W: tl.constexpr,
):
    # fmt: on
    """Gradients of all edge values into one position; positions do not wait for each other."""
    group = tl.program_id(0).to(tl.int64) // n
    t = tl.program_id(0).to(tl.int64) % n
    deep, wide = tl.arange(0, BLOCK_R), tl.arange(0, BLOCK_W)
    inside = (deep < state)[:, None] & (wide < width)[None, :]
    cell = deep[:, None] * width + wide[None, :]
    size = state * width
    each = 1 if BETA == 1 else (state if BETA == 2 else state * state)
    beta_ptr += group * recurrent_edges * each
    dbeta_ptr += group * recurrent_edges * each
    dalpha_ptr += group * direct_edges * state
    dgamma_ptr += group * readout_edges * state
    row = group * n + t
    x_ptr += group * n * width
    y_ptr += group * n * size
    adjoint = tl.load(adjoint_ptr + row * size + cell, mask=inside, other=0.0)
    dz = tl.load(dz_ptr + row * width + wide, mask=wide < width, other=0.0)
    for edge in range(tl.load(direct_ptr + t), tl.load(direct_ptr + t + 1)):
        x = tl.load(x_ptr + tl.load(direct_source_ptr + edge) * width + wide, mask=wide < width, other=0.0)
        tl.store(dalpha_ptr + edge * state + deep, tl.sum(adjoint * x[None, :], 1), mask=deep < state)
    for edge in range(tl.load(readout_ptr + t), tl.load(readout_ptr + t + 1)):
        source = tl.load(y_ptr + tl.load(readout_source_ptr + edge) * size + cell, mask=inside, other=0.0)
        tl.store(dgamma_ptr + edge * state + deep, tl.sum(source * dz[None, :], 1), mask=deep < state)
    passed = adjoint
    if HAS_KEY:
        key = tl.load(key_ptr + row * state + deep, mask=deep < state, other=0.0)
        strength = tl.load(strength_ptr + row)
        passed = reflected(adjoint, key, strength)
    gathered = tl.zeros([BLOCK_R, BLOCK_W], tl.float32)
    for edge in range(tl.load(recurrent_ptr + t), tl.load(recurrent_ptr + t + 1)):
        source = tl.load(y_ptr + tl.load(recurrent_source_ptr + edge) * size + cell, mask=inside, other=0.0)
        if HAS_KEY:
            gathered += through(beta_ptr, edge, state, source, BETA, False, BLOCK_R)
        if BETA == 1:
            tl.store(dbeta_ptr + edge, tl.sum(tl.sum(passed * source, 1), 0))
        elif BETA == 2:
            tl.store(dbeta_ptr + edge * state + deep, tl.sum(passed * source, 1), mask=deep < state)
        else:
            block = (edge * state + deep[:, None]) * state + deep[None, :]
            mask = (deep < state)[:, None] & (deep < state)[None, :]
            tl.store(dbeta_ptr + block, tl.dot(passed, tl.trans(source), input_precision="tf32x3"), mask=mask)
    if HAS_KEY:
        read = tl.sum(key[:, None] * gathered, 0)
        written = tl.sum(key[:, None] * adjoint, 0)
        tl.store(dstrength_ptr + row, -tl.sum(read * written, 0))
        dkey = -strength * tl.sum(adjoint * read[None, :] + gathered * written[None, :], 1)
        tl.store(dkey_ptr + row * state + deep, dkey, mask=deep < state)
