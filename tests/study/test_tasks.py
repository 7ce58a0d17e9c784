"""Tasks: the oracle is right on every sequence, sees no future, and the generators draw what is documented."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmix_theory.errors import LengthError, TaskError, UnknownNameError
from glmix_theory.expressivity.demands import copy as copy_demand
from glmix_theory.study.tasks import TASKS, UNSCORED, Copy, MultiHopRecall, PermutationComposition, task_of
from tests.study.cases import CASES, SOLVERS

each_case = pytest.mark.parametrize("task", CASES, ids=repr)
UNMIXED = PermutationComposition(items=5, words=6)  # six letters of three do not reach every permutation yet


def drawn(task, seed=0, number=20):
    return task.sample(np.random.default_rng(seed), number)


def test_every_task_has_a_case_and_a_second_solver():
    assert {task.name for task in CASES} == set(TASKS) == set(SOLVERS)


@each_case
def test_targets_are_what_a_second_solver_finds(task):
    batch = drawn(task)
    for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist()):
        found = [UNSCORED if answer is None else answer for answer in SOLVERS[task.name](task, tokens)]
        assert found == targets


@each_case
def test_the_oracle_scores_everything_right(task):
    batch = drawn(task)
    assert np.array_equal(task.solve(batch.tokens), batch.targets)
    assert (batch.targets != UNSCORED).any(axis=1).all()


@each_case
def test_the_oracle_is_given_nothing_after_the_scored_position(task):
    """The oracle is called with prefixes, and in the generator's targets equal prefixes have equal answers."""
    batch = drawn(task, number=3)
    seen = []

    class Watched(type(task)):
        def answer(self, visible):
            seen.append(len(visible))
            return super().answer(visible)

    Watched(**{name: size for name, size in task.to_dict().items() if name != "name"}).solve(batch.tokens)
    assert seen == list(range(1, task.length + 1)) * 3
    by_prefix = {}
    many = drawn(task, seed=1, number=400)
    for tokens, targets in zip(many.tokens.tolist(), many.targets.tolist()):
        for t in range(task.length):
            assert by_prefix.setdefault(tuple(tokens[: t + 1]), targets[t]) == targets[t]


@each_case
def test_shapes_and_ranges(task):
    batch = drawn(task)
    for part in (batch.tokens, batch.targets):
        assert part.shape == (20, task.length)
        assert part.dtype == np.int64
        assert part.max() < task.vocabulary
    assert batch.tokens.min() >= 0
    assert batch.targets.min() >= UNSCORED


@each_case
def test_seeds_decide_everything(task):
    again, other = drawn(task), drawn(task, seed=1)
    assert np.array_equal(drawn(task).tokens, again.tokens)
    assert np.array_equal(drawn(task).targets, again.targets)
    if len({tuple(row) for row in again.tokens.tolist()}) > 2:
        assert not np.array_equal(again.tokens, other.tokens)


@each_case
def test_answers_depend_on_their_sources(task):
    """Another token at a source changes the answer, for at least one token; elsewhere copy and recall don't care."""
    tokens = drawn(task, number=1).tokens[0].tolist()
    for t in range(task.length):
        sources = task.sources(tokens[: t + 1])
        assert list(sources) == sorted(set(sources))
        answer = task.answer(tokens[: t + 1])
        assert bool(sources) == (answer != UNSCORED)
        for s in sources:
            assert any(_answer_with(task, tokens[: t + 1], s, token) != answer for token in range(task.vocabulary))


def _answer_with(task, visible, s, token):
    """The answer once another token stands at ``s``; ``None`` where the sequence then makes no sense."""
    try:
        return task.answer([*visible[:s], token, *visible[s + 1 :]])
    except (TaskError, ValueError, IndexError):
        return None


@each_case
def test_the_demand_is_causal_and_complete(task):
    demand = task.demand(seed=3)
    tokens = task.sample(np.random.default_rng(3), 1).tokens[0].tolist()
    targets = task.sample(np.random.default_rng(3), 1).targets[0]
    assert demand.length == task.length
    assert {t for _, t in demand.pairs} == set(np.flatnonzero(targets != UNSCORED).tolist())
    assert all((s in task.sources(tokens[: t + 1])) for s, t in demand.pairs)


def test_copy_demands_what_the_paper_counts():
    assert sorted(Copy(tokens=5).demand().pairs) == sorted(copy_demand(5).pairs)


@pytest.mark.parametrize("task", [task for task in CASES if task != UNMIXED], ids=repr)
def test_chance_is_the_share_of_the_likeliest_answer(task):
    targets = drawn(task, number=3000).targets
    answers = targets[targets != UNSCORED]
    last = targets[:, -1]  # late enough that a product is uniform
    share = Counter((last if task.name == "permutations" else answers).tolist()).most_common(1)[0][1]
    share /= len(last) if task.name == "permutations" else len(answers)
    assert share == pytest.approx(task.chance, abs=0.06)


def test_multi_hop_asks_for_every_depth_equally_and_refers_backwards():
    task = MultiHopRecall(chains=2, hops=3, queries=6, keys=9, values=4)
    depths = Counter()
    for row in drawn(task, number=50).tokens.tolist():
        defined = set()
        for key, meaning in zip(row[0:12:2], row[1:12:2]):
            assert meaning in defined or meaning >= task.keys
            assert key not in defined
            defined.add(key)
        depths.update(task.depth(row[: t + 1]) for t in range(12, 18))
    assert depths == {1: 100, 2: 100, 3: 100}


def test_generators_of_the_symmetric_group_reach_all_of_it():
    for items in (2, 3, 4, 5):
        task = PermutationComposition(items=items, words=1)
        reached = {0}
        while True:
            longer = reached | {task._products[p, q] for p in reached for q in task.letters}
            if longer == reached:
                break
            reached = longer
        assert len(reached) == task.vocabulary


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_any_sizes(chains, hops, data):
    total = chains * hops
    keys = data.draw(st.integers(total, total + 3))
    task = MultiHopRecall(chains, hops, data.draw(st.integers(1, total)), keys, data.draw(st.integers(2, 4)))
    batch = drawn(task, seed=data.draw(st.integers(0, 9)), number=4)
    for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist()):
        assert [UNSCORED if a is None else a for a in SOLVERS["multi_hop"](task, tokens)] == targets


@each_case
def test_longer_keeps_the_vocabulary(task):
    needed = {"recall": "pairs", "multi_hop": "definitions"}.get(task.name)
    if needed and 2 * getattr(task, needed) > task.keys:
        with pytest.raises(TaskError, match="keys"):
            task.longer(2)
        return
    longer = task.longer(2)
    assert longer.vocabulary == task.vocabulary
    assert longer.length == 2 * task.length
    assert np.array_equal(longer.solve(drawn(longer).tokens), drawn(longer).targets)


@pytest.mark.parametrize(
    ("task", "symbols"), [(Copy(4, 4), 4), (task_of("selective_copy"), 16), (task_of("recall"), 16)], ids=str
)
def test_ceilings_run_from_chance_to_one(task, symbols):
    assert task.ceiling(0) == pytest.approx(1 / symbols)
    assert task.ceiling(1000) == 1
    assert task.ceiling(2) > task.ceiling(1)


def test_copy_ceiling_is_what_storing_some_symbols_scores():
    """Keep the first two of four symbols, guess the others: enumerated over all inputs."""
    from itertools import product

    task, right = Copy(tokens=4, symbols=3), 0
    for symbols in product(range(3), repeat=4):
        right += 2 + sum(symbol == 0 for symbol in symbols[2:])
    assert task.ceiling(2) == pytest.approx(right / (4 * 3**4))


@each_case
def test_plain_data_makes_the_same_task(task):
    assert task_of(task.to_dict()) == task


def test_bad_sizes_are_refused_by_name():
    with pytest.raises(LengthError, match="copy: tokens = 0 is below 1"):
        Copy(tokens=0)
    with pytest.raises(TaskError, match="kept = 9 exceeds context = 4; the largest valid kept is 4"):
        task_of({"name": "selective_copy", "context": 4, "kept": 9})
    with pytest.raises(TaskError, match="pairs = 9 exceeds keys = 4"):
        task_of({"name": "recall", "pairs": 9, "queries": 1, "keys": 4})
    with pytest.raises(TaskError, match="chains · hops = 40 exceeds keys = 32"):
        task_of("multi_hop").changed(chains=10, hops=4)
    with pytest.raises(TaskError, match="items = 6 has more than 120"):
        PermutationComposition(items=6)
    with pytest.raises(TaskError, match="alphabet = 'some' is not known"):
        PermutationComposition(alphabet="some")
    with pytest.raises(TaskError, match="the copy task has no size 'length'; it has tokens, symbols"):
        Copy().changed(length=3)
    with pytest.raises(UnknownNameError, match="did you mean 'copy'"):
        task_of("copi")
