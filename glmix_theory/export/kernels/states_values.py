"""The mixers with state expansion for given coefficients, forward and backward."""

from __future__ import annotations

from glmix_theory.export.kernels.matrices import add_outer, add_row, contract, inner, inner_rows
from glmix_theory.export.kernels.rows import (
    clear,
    compiled,
    copy_back,
    of_group,
    padded,
    read_row,
    rows_at,
    side_by_side,
    table_at,
    write_row,
)
from glmix_theory.export.kernels.values import edge_values
from glmix_theory.export.kernels.vectors import behind, cast, lanes_at, pointer_to


@compiled
def add_block(values, block, source, transposed, r, width, target):  # type: ignore[no-untyped-def]
    """``target += β · source``, or ``βᵀ · source``, where β is a number, a diagonal or an ``r × r`` block."""
    for i in range(r):
        if block == r * r and r > 1:
            for j in range(r):
                factor = values[j * r + i] if transposed else values[i * r + j]
                add_row(behind(target, i * width), factor, behind(source, j * width), width)
        else:
            add_row(behind(target, i * width), values[i if block > 1 else 0], behind(source, i * width), width)


@compiled
def block_slopes(block, ahead, source, r, width, slopes):  # type: ignore[no-untyped-def]
    """The gradient of β from that of the target."""
    if block == r * r and r > 1:
        for i in range(r):
            for j in range(r):
                slopes[i * r + j] = inner(behind(ahead, i * width), behind(source, j * width), width)
        return
    slopes[0] = 0
    for i in range(r):
        slope = inner(behind(ahead, i * width), behind(source, i * width), width)
        if block > 1:
            slopes[i] = slope
        else:
            slopes[0] += slope


@compiled
def solve_states(like, r, block, width, groups, tables, tensors, scratch):  # type: ignore[no-untyped-def]
    """Matrices ``y`` and outputs ``z`` of the groups; β has ``block`` numbers for each edge: 1, ``r`` or ``r²``.

    ``scratch``: addresses of room for a group's inputs and matrices and for one padded row.
    """
    direct, recurrent, readout = table_at(tables, 0), table_at(tables, 1), table_at(tables, 2)
    x, y, z = rows_at(tensors, 3, like), rows_at(tensors, 4, like), rows_at(tensors, 5, like)
    wide = padded(width, lanes_at(x.numbers))
    size, out = r * wide, pointer_to(scratch[2], like)
    one = cast(out, 1)
    for g in range(len(groups)):
        group = groups[g]
        length, number = group[3], group[4]
        group_y, group_z = of_group(y, group), of_group(z, group)
        alpha, beta = edge_values(tensors, 0, number, like), edge_values(tensors, 1, number, like)
        gamma = edge_values(tensors, 2, number, like)
        values = side_by_side(of_group(x, group), x.position, length, width, pointer_to(scratch[0], like))
        outputs = group_y if wide == width else pointer_to(scratch[1], like)
        for t in range(length):
            matrix = behind(outputs, t * size)
            clear(matrix, size)
            for e in range(direct.ends[t], direct.ends[t + 1]):
                add_outer(matrix, behind(alpha, e * r), one, behind(values, direct.sources[e] * wide), r, wide)
            for e in range(recurrent.ends[t], recurrent.ends[t + 1]):
                source = behind(outputs, recurrent.sources[e] * size)
                add_block(behind(beta, e * block), block, source, False, r, wide, matrix)
            clear(out, wide)
            for e in range(readout.ends[t], readout.ends[t + 1]):
                contract(behind(gamma, e * r), one, behind(outputs, readout.sources[e] * size), r, wide, out)
            write_row(out, width, group_z, t * z.position)
        if wide != width:
            copy_back(outputs, wide, length * r, width, group_y, width)


@compiled
def solve_states_backward(like, r, block, ring, width, groups, tables, tensors, scratch):  # type: ignore[no-untyped-def]
    """Gradients of the edge values and of ``x``, by back substitution.

    ``scratch``: addresses of room for a group's inputs and matrices, for ``ring`` matrices, for the gradient of
    the inputs and for one padded row.
    """
    direct, recurrent, readout = table_at(tables, 0), table_at(tables, 1), table_at(tables, 2)
    x, y, dz = rows_at(tensors, 3, like), rows_at(tensors, 4, like), rows_at(tensors, 5, like)
    dx = rows_at(tensors, 9, like)
    wide = padded(width, lanes_at(x.numbers))
    size, row = r * wide, pointer_to(scratch[4], like)
    adjoint, dvalues = pointer_to(scratch[2], like), pointer_to(scratch[3], like)
    one = cast(row, 1)
    clear(row, wide)
    for g in range(len(groups)):
        group = groups[g]
        length, number = group[3], group[4]
        own_dz = of_group(dz, group)
        alpha, beta = edge_values(tensors, 0, number, like), edge_values(tensors, 1, number, like)
        gamma, dgamma = edge_values(tensors, 2, number, like), edge_values(tensors, 8, number, like)
        dalpha, dbeta = edge_values(tensors, 6, number, like), edge_values(tensors, 7, number, like)
        values = side_by_side(of_group(x, group), x.position, length, width, pointer_to(scratch[0], like))
        outputs = side_by_side(of_group(y, group), width, length * r, width, pointer_to(scratch[1], like))
        clear(adjoint, ring * size)
        clear(dvalues, length * wide)
        for t in range(length - 1, -1, -1):
            ahead = behind(adjoint, t % ring * size)
            read_row(own_dz, t * dz.position, width, row)
            for e in range(readout.ends[t], readout.ends[t + 1]):
                s = readout.sources[e]
                inner_rows(behind(outputs, s * size), row, r, wide, behind(dgamma, e * r))
                add_outer(behind(adjoint, s % ring * size), behind(gamma, e * r), one, row, r, wide)
            for e in range(direct.ends[t], direct.ends[t + 1]):
                s = direct.sources[e]
                inner_rows(ahead, behind(values, s * wide), r, wide, behind(dalpha, e * r))
                contract(behind(alpha, e * r), one, ahead, r, wide, behind(dvalues, s * wide))
            for e in range(recurrent.ends[t], recurrent.ends[t + 1]):
                s = recurrent.sources[e]
                block_slopes(block, ahead, behind(outputs, s * size), r, wide, behind(dbeta, e * block))
                add_block(behind(beta, e * block), block, ahead, True, r, wide, behind(adjoint, s % ring * size))
            clear(ahead, size)
        copy_back(dvalues, wide, length, width, of_group(dx, group), dx.position)
