"""What the catalogue keeps of a published architecture: its builder, citation and published costs."""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import sympy

from glmix_theory.errors import CoefficientError, nearest
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.mixers.stack import Stack

COEFFICIENT_KINDS = ("scalar", "diagonal", "householder", "dense block")
"""What one recurrent coefficient is: a number, one per channel, ``I - β k kᵀ``, or a full ``r × r`` block."""


@dataclass(frozen=True)
class Citation:
    """A publication. An identifier that is not known for certain is left out.

    >>> print(Citation("Vaswani et al.", 2017, "Attention Is All You Need", arxiv="1706.03762"))
    Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762
    """

    authors: str
    year: int
    title: str
    arxiv: str = ""
    doi: str = ""

    def __str__(self) -> str:
        identifiers = [f"arXiv:{self.arxiv}"] if self.arxiv else []
        identifiers += [f"doi:{self.doi}"] if self.doi else []
        return ", ".join([f"{self.authors} {self.year}", self.title, *identifiers])

    @property
    def url(self) -> str:
        """Where it can be read; empty without an identifier."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else ""


@dataclass(frozen=True)
class PaperValues:
    """One row of the source paper's Table 1: the theory columns as printed, the empirical ones in percent.

    A theory column the paper leaves blank is ``None``. In these texts ``k`` is the window or the order.
    """

    step_cost: str
    cache_size: str
    distance: str | None
    congestion: str | None
    copy: float
    recall: float
    multi_hop: float


@dataclass(frozen=True)
class Published:
    """Something published: its name, how to build it and where to read about it."""

    name: str
    title: str
    build: Callable[..., Any]
    citation: Citation

    @property
    def summary(self) -> str:
        """One sentence: the first line of the builder's docstring."""
        return (inspect.getdoc(self.build) or "").split("\n", 1)[0].replace("``", "")

    @property
    def parameters(self) -> dict[str, Any]:
        """The builder's parameters with their defaults."""
        return {p.name: p.default for p in inspect.signature(self.build).parameters.values()}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={default!r}" for name, default in self.parameters.items())
        source = f"{self.citation.authors} {self.citation.year}"
        return f"{type(self).__name__}({self.name!r}, build({arguments}), {source})"


@dataclass(frozen=True, repr=False)
class StackEntry(Published):
    """A published hybrid, as the catalogue keeps it; ``build`` makes a ``Stack``."""

    build: Callable[..., Stack]


@dataclass(frozen=True, repr=False)
class Entry(Published):
    """A published causal linear token mixer, as the catalogue keeps it.

    Parameters
    ----------
    name : str
        Its key in the catalogue.
    title : str
        Its name in prose and tables.
    build : callable
        Builds the :class:`~glmix_theory.Mixer`; every parameter is a keyword with a default.
    citation : Citation
        Where it was published.
    coefficient_kind : str
        What one recurrent coefficient is: one of ``COEFFICIENT_KINDS``; ``scalar`` when there are none.
        Complex diagonal entries count as ``diagonal``.
    published : mapping from quantity name to sympy expression
        Θ classes in ``glm.n`` that the publication states or implies, with every other parameter (window,
        stride, block, state) fixed; ``oo`` where pairs are unreachable. Data to compare with, not a result.
    table1 : int, optional
        Row (0-based) in the source paper's Table 1.
    paper_values : PaperValues, optional
        That row as printed; given together with ``table1``.

    Examples
    --------
    >>> from glmix_theory.mixers import catalogue
    >>> entry = catalogue.entry("local_attention")
    >>> entry.build(window=4)
    Mixer(direct=Window(4))
    >>> entry.summary
    'Softmax attention to the last window positions, the current one included.'
    """

    build: Callable[..., Mixer]
    coefficient_kind: str = "scalar"
    published: Mapping[str, sympy.Expr] = field(default_factory=dict, compare=False)
    table1: int | None = None
    paper_values: PaperValues | None = None

    def __post_init__(self) -> None:
        if self.coefficient_kind not in COEFFICIENT_KINDS:
            raise CoefficientError(
                f"{self.name}: coefficient_kind = {self.coefficient_kind!r} is not known; "
                f"{nearest(self.coefficient_kind, list(COEFFICIENT_KINDS))}"
            )
        exact = {quantity: sympy.sympify(value) for quantity, value in self.published.items()}
        object.__setattr__(self, "published", MappingProxyType(exact))

    def _repr_html_(self) -> str:
        published = ", ".join(f"{quantity}: Θ({value})" for quantity, value in self.published.items())
        rows = {
            "name": f"<code>{html.escape(self.name)}</code>",
            "what it is": html.escape(self.summary),
            "mixer": f"<code>{html.escape(repr(self.build()))}</code>",
            "coefficients": html.escape(self.coefficient_kind),
            "published": html.escape(published or "–"),
            "citation": citation_html(self.citation),
        }
        body = "".join(
            f"<tr><th style='text-align:left'>{key}</th><td style='text-align:left'>{value}</td></tr>"
            for key, value in rows.items()
        )
        return f"<table><caption><strong>{html.escape(self.title)}</strong></caption>{body}</table>"


def citation_html(citation: Citation) -> str:
    """The citation, linked where it has an identifier."""
    text = html.escape(str(citation))
    return f'<a href="{html.escape(citation.url)}">{text}</a>' if citation.url else text
