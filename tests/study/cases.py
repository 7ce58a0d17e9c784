"""Sizes of every task to test with, and each task solved a second time, from its definition alone."""

from glmix_theory.study.tasks import (
    AssociativeRecall,
    Copy,
    MultiHopRecall,
    PermutationComposition,
    SelectiveCopy,
)

CASES = [
    Copy(tokens=1, symbols=2),
    Copy(tokens=7, symbols=5),
    SelectiveCopy(context=1, kept=1, symbols=2),
    SelectiveCopy(context=9, kept=4, symbols=3),
    SelectiveCopy(context=5, kept=5, symbols=4),
    AssociativeRecall(pairs=1, queries=1, keys=1, values=2),
    AssociativeRecall(pairs=5, queries=3, keys=9, values=4),
    AssociativeRecall(pairs=6, queries=6, keys=6, values=3),
    MultiHopRecall(chains=1, hops=1, queries=1, keys=1, values=2),
    MultiHopRecall(chains=3, hops=4, queries=12, keys=12, values=5),
    MultiHopRecall(chains=2, hops=3, queries=4, keys=10, values=3),
    PermutationComposition(items=2, words=1),
    PermutationComposition(items=3, words=9, alphabet="all"),
    PermutationComposition(items=5, words=6),
]


def copy(task, tokens):
    """Answers of one sequence, ``None`` where none is due."""
    return [None] * task.tokens + list(tokens[: task.tokens])


def selective_copy(task, tokens):
    return [None] * task.context + [token for token in tokens[: task.context] if token != task.symbols]


def recall(task, tokens):
    memory = dict(zip(tokens[0 : 2 * task.pairs : 2], tokens[1 : 2 * task.pairs : 2]))
    return [None] * (2 * task.pairs) + [memory[key] for key in tokens[2 * task.pairs :]]


def multi_hop(task, tokens):
    end = 2 * task.chains * task.hops
    resolved = {}
    for key, meaning in zip(tokens[0:end:2], tokens[1:end:2]):
        resolved[key] = resolved.get(meaning, meaning)  # a meaning that is a key was defined before
    return [None] * end + [resolved[key] for key in tokens[end:]]


def permutations(task, tokens):
    matrices = []
    for permutation in task.table:
        matrices.append([[int(permutation[i] == j) for j in range(task.items)] for i in range(task.items)])
    product, answers = matrices[0], []
    for token in tokens:
        step = matrices[token]
        product = [
            [sum(product[i][m] * step[m][j] for m in range(task.items)) for j in range(task.items)]
            for i in range(task.items)
        ]
        answers.append(matrices.index(product))
    return answers


SOLVERS = {
    "copy": copy,
    "selective_copy": selective_copy,
    "recall": recall,
    "multi_hop": multi_hop,
    "permutations": permutations,
}
