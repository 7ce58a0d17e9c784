"""The registry: what every entry carries, and how the catalogue behaves as a mapping."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping

import pytest
import sympy

import glmix_theory as glm
from glmix_theory.errors import CoefficientError, GlmixError, LengthError, PatternError, UnknownNameError
from glmix_theory.mixers import COEFFICIENTS, Citation, Entry, Mixer, Stack, StackEntry, catalogue
from glmix_theory.mixers.catalogue import Catalogue
from glmix_theory.mixers.entries.record import COEFFICIENT_KINDS
from tests.mixers.references import VARIANTS

TABLE1 = [
    "attention",
    "local_attention",
    "diagonal_ssm",
    "kth_order_recurrence",
    "dense_recurrence",
    "exponential_recurrence",
    "exponential_cache_efficient",
    "quadratic_recurrence",
    "quadratic_cache_efficient",
]
REQUIRED = {
    *TABLE1,
    *("sliding_window", "dilated", "strided", "longformer", "bigbird", "log_sparse", "long_convolution"),
    *("linear_attention", "retnet", "gla", "s4d", "s5", "lru", "mamba", "mamba2", "rwkv6", "rg_lru"),
    *("delta_net", "gated_delta_net", "rwkv7", "log_linear_attention"),
    *("chacal", "chacal_strict", "block_chacal", "chimera"),
}
QUANTITIES = {"step_cost", "total_cost", "cache_size", "distance", "congestion", "depth", "state_rank"}

every_entry = pytest.mark.parametrize("name", list(catalogue))
every_item = pytest.mark.parametrize(
    "entry", [*catalogue.entries(), *catalogue.stacks.entries()], ids=lambda entry: entry.name
)


@every_entry
def test_builds_names_prints_and_hashes(name: str):
    mixer, again = catalogue[name], catalogue.entry(name).build()
    assert isinstance(mixer, Mixer)
    assert mixer.name == again.name == catalogue.entry(name).name == name
    assert mixer == again
    assert hash(mixer) == hash(again)
    assert mixer.coefficients in COEFFICIENTS
    assert name in mixer._repr_html_()
    assert eval(repr(mixer), {**vars(glm), "Mixer": Mixer}) == mixer  # prints as the expression that builds it


@every_entry
def test_published_data(name: str):
    entry = catalogue.entry(name)
    assert entry.coefficient_kind in COEFFICIENT_KINDS
    assert entry.published
    assert set(entry.published) <= QUANTITIES
    for value in entry.published.values():
        assert isinstance(value, sympy.Expr)
        assert value.free_symbols <= {glm.n}
        assert value.subs(glm.n, 64) >= 1
    with pytest.raises(TypeError):
        entry.published["step_cost"] = glm.n  # type: ignore[index]


@every_entry
def test_published_step_cost_grows_as_the_pattern_does(name: str):
    """Between two lengths the counted cost and the published class grow by the same factor, within 2.5."""
    entry = catalogue.entry(name)
    if "step_cost" not in entry.published:
        assert name == "block_chacal"  # its publication gives a total only
        return
    mixer = entry.build(**VARIANTS.get(name, [{}])[-1])

    def counted(n: int) -> int:
        return max(sum(p.in_degree(t) for p in mixer.parts.values()) for t in range(max(0, n - 70), n))

    published = [float(entry.published["step_cost"].subs(glm.n, length)) for length in (64, 4096)]
    growth = (counted(4096) / counted(64)) / (published[1] / published[0])
    assert 1 / 2.5 < growth < 2.5


@every_item
def test_citation(entry: Entry | StackEntry):
    citation = entry.citation
    assert citation.authors
    assert citation.title
    assert 1990 < citation.year < 2100
    assert citation.arxiv or citation.doi
    if citation.arxiv:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", citation.arxiv)
        submitted = 2000 + int(citation.arxiv[:2])
        assert submitted == citation.year
        assert citation.arxiv in str(citation)
        assert citation.url.endswith(citation.arxiv)
        assert f"arXiv:{citation.arxiv}" in (inspect.getdoc(entry.build) or "")


@every_item
def test_builder_is_documented_and_takes_keywords_with_defaults(entry: Entry | StackEntry):
    text = inspect.getdoc(entry.build) or ""
    assert entry.summary.endswith(".")
    assert "``" not in entry.summary
    assert ">>>" in text
    assert "References\n---" in text
    assert isinstance(entry, StackEntry) or "Claim:" in text
    for parameter in inspect.signature(entry.build).parameters.values():
        assert parameter.default is not inspect.Parameter.empty
        assert re.search(rf"^{parameter.name} : ", text, flags=re.MULTILINE)
    assert entry.parameters == {p.name: p.default for p in inspect.signature(entry.build).parameters.values()}
    assert entry.name in repr(entry)
    hash(entry)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        (name, parameter)
        for name in catalogue
        for parameter, default in catalogue.entry(name).parameters.items()
        if isinstance(default, int) and not isinstance(default, bool) and parameter != "seed"
    ],
)
def test_builders_refuse_impossible_sizes(name: str, parameter: str):
    for value in (-1, 1.5, "2"):
        with pytest.raises(LengthError):
            catalogue.entry(name).build(**{parameter: value})
    if parameter != "global_tokens":
        with pytest.raises(LengthError, match="0 is below 1"):
            catalogue.entry(name).build(**{parameter: 0})


def test_table1_comes_first_in_its_order():
    assert catalogue.names()[:9] == TABLE1
    assert [entry.name for entry in catalogue.table1()] == TABLE1
    assert [entry.table1 for entry in catalogue.table1()] == list(range(9))
    for entry in catalogue.entries():
        assert (entry.table1 is None) == (entry.paper_values is None)


def test_table1_values():
    rows = {entry.name: entry.paper_values for entry in catalogue.table1()}
    empirical = {name: (row.copy, row.recall, row.multi_hop) for name, row in rows.items() if row is not None}
    assert empirical == {
        "attention": (100, 100, 39.21),
        "local_attention": (23.75, 26.20, 23.59),
        "diagonal_ssm": (42.98, 32.53, 27.17),
        "kth_order_recurrence": (74.66, 41.12, 39.08),
        "dense_recurrence": (100, 99.99, 99.80),
        "exponential_recurrence": (92.63, 49.03, 34.85),
        "exponential_cache_efficient": (75.47, 52.59, 38.63),
        "quadratic_recurrence": (99.66, 53.61, 35.68),
        "quadratic_cache_efficient": (91.59, 54.56, 38.02),
    }
    blank = {name for name, row in rows.items() if row is not None and row.distance is None}
    assert blank == {"exponential_cache_efficient", "quadratic_cache_efficient"}
    for name in blank:
        assert rows[name].congestion is None
        assert {"distance", "congestion"}.isdisjoint(catalogue.entry(name).published)


def test_every_architecture_of_the_design_is_there():
    assert set(catalogue) >= REQUIRED
    assert {"griffin", "jamba"} <= set(catalogue.stacks)


def test_is_a_read_only_mapping():
    assert isinstance(catalogue, Mapping)
    assert len(catalogue) == len(catalogue.names()) == len(list(catalogue)) == len(catalogue.entries())
    assert "attention" in catalogue
    assert "atention" not in catalogue
    assert catalogue.get("atention") is None
    assert dict(catalogue.items())["attention"] == Mixer(direct=glm.Dense())
    assert catalogue["attention"] is catalogue["attention"]
    with pytest.raises(TypeError):
        catalogue["mine"] = catalogue["attention"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("atention", "no mixer is named 'atention' here; did you mean 'attention'?"),
        ("deltanet", "no mixer is named 'deltanet' here; did you mean 'delta_net'?"),
        ("griffin", "'griffin' is a stack of mixers, not a mixer; it is glm.catalogue.stacks['griffin']"),
        ("zzzz", "no mixer is named 'zzzz' here; known: attention, local_attention, "),
        (3, "no mixer is named 3 here; known: attention, "),
        (["attention"], "no mixer is named ['attention'] here; did you mean 'attention'?"),
    ],
)
def test_unknown_names(name: object, message: str):
    for look_up in (catalogue.__getitem__, catalogue.entry):
        with pytest.raises(UnknownNameError) as caught:
            look_up(name)  # type: ignore[arg-type]
        assert str(caught.value).startswith(message)
        assert isinstance(caught.value, KeyError)


def test_prints_and_renders_every_entry():
    text, page = repr(catalogue), catalogue._repr_html_()
    for entry in catalogue.entries():
        assert entry.name in text
        assert entry.summary in text
        assert f"<code>{entry.name}</code>" in page
        assert entry.citation.url in page
        assert entry.name in entry._repr_html_()
    assert page.count("<tr") == len(catalogue) + 1
    assert page.count("<td>") == page.count("</td>") == 4 * len(catalogue)


def test_entries_are_checked_when_made():
    citation = Citation("Somebody", 2020, "Something", doi="10.1000/1")
    assert citation.url == "https://doi.org/10.1000/1"
    assert str(citation) == "Somebody 2020, Something, doi:10.1000/1"
    assert Citation("Somebody", 2020, "Something").url == ""
    with pytest.raises(CoefficientError, match="'scaler' is not known; did you mean 'scalar'"):
        Entry("mine", "Mine", Mixer, citation, coefficient_kind="scaler")
    entry = Entry("mine", "Mine", Mixer, citation, published={"step_cost": 1})
    assert entry.published["step_cost"] == sympy.Integer(1)
    with pytest.raises(GlmixError, match="two entries are named 'mine'"):
        Catalogue((entry, entry))


def test_log_linear_attention_reads_itself_and_the_prefix_path_of_the_step_before():
    readout = catalogue["log_linear_attention"].readout
    before = glm.Diagonal() | glm.FenwickPrefix().shift(1)
    assert (readout.to_dense(300) == before.to_dense(300)).all()
    assert [readout.in_degree(t) for t in range(64)] == [1 + t.bit_count() for t in range(64)]


def test_chimera_refuses_a_node_that_reads_itself():
    with pytest.raises(GlmixError, match=r"\(2, 2\)"):
        catalogue.entry("chimera").build(edges=[(1, 0), (2, 2)])


# --- stacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(catalogue.stacks))
def test_stacks_are_sequences_of_catalogue_mixers(name: str):
    stack = catalogue.stacks[name]
    assert isinstance(stack, Stack)
    assert not isinstance(stack, Mixer)
    assert stack.name == name
    assert name not in catalogue
    assert all(layer == catalogue[layer.name] for layer in stack)
    assert len(stack) == len(list(stack)) == len(stack.layers)
    assert stack[0] is stack.layers[0]
    assert stack == catalogue.stacks.entry(name).build()
    hash(stack)
    assert name in str(stack)
    assert all(layer.name in stack._repr_html_() for layer in stack)
    assert name in repr(catalogue.stacks)
    assert name in catalogue.stacks._repr_html_()


def test_stack_layers():
    assert [layer.name for layer in catalogue.stacks["griffin"]] == ["rg_lru", "rg_lru", "local_attention"]
    assert [layer.name for layer in catalogue.stacks["jamba"]].index("attention") == 4
    assert len(catalogue.stacks["jamba"]) == 8


def test_stack_errors():
    with pytest.raises(PatternError, match="stack 'none' has no layers; at least one mixer is needed"):
        Stack("none", ())
    with pytest.raises(PatternError, match=r"layer 1 of stack 'mixed' is a Dense; a glm\.Mixer is needed"):
        Stack("mixed", (catalogue["attention"], glm.Dense()))  # type: ignore[arg-type]
    with pytest.raises(PatternError, match="attention_layer = 8, and the layers are 0 to 7"):
        catalogue.stacks.entry("jamba").build(attention_layer=8)
    with pytest.raises(UnknownNameError, match="no stack is named 'grifin' here; did you mean 'griffin'"):
        catalogue.stacks["grifin"]
    with pytest.raises(AttributeError):
        catalogue.stacks["griffin"].layers = ()  # type: ignore[misc]
