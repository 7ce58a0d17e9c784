"""A search space in plain words: template texts with named parameters, and the points they stand for."""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import Any

from glmix_theory.errors import PatternError, SpaceError, check_length, nearest
from glmix_theory.mixers import Mixer, catalogue
from glmix_theory.patterns import parse_pattern
from glmix_theory.patterns.parsing import PATTERN_NAMES

PARTS = ("direct", "recurrent", "readout")
RESERVED = ("pattern", "as", *PARTS, "catalogue")
RANGE_KEYS = ("from", "to", "step", "factor")
LARGEST_SPACE = 100_000
"""Points a space may have; more is refused before any is evaluated."""

_ALLOWED = set(PATTERN_NAMES)


@dataclass(frozen=True)
class Point:
    """One mixer of a space, as text: what a worker is sent and what a store keeps.

    Two points are the same when their ``text`` is. The text is normalised (spaces, brackets), not
    simplified: ``Window(1)`` and ``Diagonal()`` are two points.

    Parameters
    ----------
    parts : tuple of (str, str)
        Part name and pattern text, for a point made of patterns.
    entry : str
        Catalogue name, for a published architecture; then ``parts`` is empty.
    arguments : tuple of (str, value)
        Every parameter of the catalogue entry.
    parameters : dict
        The values that the template's parameters took, for tables.

    Examples
    --------
    >>> point = read_space({"pattern": "Offsets(b**k)", "b": 3})[0]
    >>> point.text, point.mixer()
    ('recurrent: Offsets(3**k)', Mixer(direct=Diagonal(), recurrent=Offsets(3**k)))
    """

    parts: tuple[tuple[str, str], ...] = ()
    entry: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def text(self) -> str:
        """The identity of the point: what it is, in one line."""
        if self.entry:
            return f"catalogue: {self.entry}({', '.join(f'{name}={value!r}' for name, value in self.arguments)})"
        return "; ".join(f"{part}: {text}" for part, text in self.parts)

    def mixer(self) -> Mixer:
        """Build the mixer; raises whatever the patterns say is wrong with it.

        The recurrent part is taken without its diagonal, since no output reads itself.
        """
        if self.entry:
            return catalogue.entry(self.entry).build(**dict(self.arguments))
        patterns = {part: parse_pattern(text) for part, text in self.parts}
        if "recurrent" in patterns:
            patterns["recurrent"] = patterns["recurrent"].strict()
        if all(pattern.empty for pattern in patterns.values()) and "recurrent" not in patterns:
            raise PatternError(f"{self.text!r} reads nothing at all; at least one pair is needed")
        return Mixer(**patterns)  # type: ignore[arg-type]


def read_space(space: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Point]:
    """The points of a search space, each text once, in the order of the templates.

    Parameters
    ----------
    space : dict, or list of dicts
        Templates. A template is one of

        - ``{"pattern": TEXT, "as": PART, NAME: VALUES, …}``: a pattern in the notation it prints in, with free
          names. ``as`` is ``"recurrent"`` (default; the diagonal is left out and inputs are read on the
          diagonal) or ``"direct"`` or ``"readout"``. Other parts may be given under their own names:
          ``{"pattern": "Offsets(b**k)", "direct": "Window(w)", …}``.
        - ``{"catalogue": NAME or [NAME, …], PARAMETER: VALUES, …}``: published architectures; parameters that
          are left out keep their defaults.

        ``VALUES`` is one value, a list of values, or a range ``{"from": 1, "to": 64, "step": 3}`` or
        ``{"from": 1, "to": 64, "factor": 2}``, both ends included. A value of a pattern's parameter is an
        integer, a decimal (read as the exact fraction it is written as), a list of integers, or a text: a
        formula in ``k`` or a pattern to put in its place.

    Returns
    -------
    list of Point

    Raises
    ------
    SpaceError
        No points, more than ``LARGEST_SPACE``, a free name without values, a parameter that is never used or
        whose name means something else, or values that cannot be read; names the nearest valid thing.
    UnknownNameError
        No catalogue entry of that name.

    Examples
    --------
    >>> space = {"pattern": "Window(w) | Offsets(f)", "w": [1, 4], "f": ["2**k", "ceiling(a*k**2) + 1"], "a": 1.5}
    >>> for point in read_space(space):
    ...     print(point.text)
    recurrent: Window(1) | Offsets(2**k)
    recurrent: Window(1) | Offsets(ceiling(3 / 2 * k**2) + 1)
    recurrent: Window(4) | Offsets(2**k)
    recurrent: Window(4) | Offsets(ceiling(3 / 2 * k**2) + 1)
    >>> read_space({"pattern": "Window(w)"})
    Traceback (most recent call last):
    glmix_theory.errors.SpaceError: template 1: 'w' in 'Window(w)' has no values; add some, such as w = [1, 2]
    """
    templates = [space] if isinstance(space, Mapping) else space
    if not isinstance(templates, Sequence) or isinstance(templates, str):
        raise SpaceError(
            f"a space is a template or a list of templates, not {type(space).__name__}; write for example "
            '{"pattern": "Offsets(b**k)", "b": [2, 3]}'
        )
    points: dict[str, Point] = {}
    for number, template in enumerate(templates, 1):
        for point in _points(template, f"template {number}"):
            points.setdefault(point.text, point)
            if len(points) > LARGEST_SPACE:
                raise SpaceError(f"the space has more than {LARGEST_SPACE} points; shorten the lists of values")
    if not points:
        raise SpaceError('the space has no points; write for example {"pattern": "Offsets(b**k)", "b": [2, 3]}')
    return list(points.values())


def _points(template: object, where: str) -> Iterator[Point]:
    if not isinstance(template, Mapping):
        raise SpaceError(
            f"{where} is a {type(template).__name__}; a table with a pattern or a catalogue name is needed"
        )
    if ("pattern" in template) == ("catalogue" in template):
        given = [str(name) for name in template if name not in RESERVED]
        hint = f"; it has {', '.join(given)}" if given and "pattern" not in template else ""
        raise SpaceError(f"{where} needs either a 'pattern' or a 'catalogue' name{hint}")
    values = {
        str(name): _values(listed, f"{where}: {name}") for name, listed in template.items() if name not in RESERVED
    }
    size = math.prod(map(len, values.values()))
    if size > LARGEST_SPACE:
        raise SpaceError(f"{where} has {size} points; at most {LARGEST_SPACE} are taken: shorten the lists of values")
    if "catalogue" in template:
        yield from _catalogue_points(template, values, where)
    else:
        yield from _pattern_points(template, values, where)


def _catalogue_points(template: Mapping[str, Any], values: dict[str, list[Any]], where: str) -> Iterator[Point]:
    extra = [name for name in template if name in RESERVED and name != "catalogue"]
    if extra:
        raise SpaceError(f"{where}: {extra[0]!r} does not go with 'catalogue'; a catalogue entry has its own parts")
    named = template["catalogue"]
    for name in [named] if isinstance(named, str) else named:
        defaults = catalogue.entry(name).parameters
        for parameter in values:
            if parameter not in defaults:
                hint = nearest(parameter, list(defaults)) if defaults else "it has none"
                raise SpaceError(f"{where}: {name!r} has no parameter {parameter!r}; {hint}")
        for chosen in product(*values.values()):
            parameters = dict(zip(values, chosen))
            yield Point(entry=name, arguments=tuple((defaults | parameters).items()), parameters=parameters)


def _pattern_points(template: Mapping[str, Any], values: dict[str, list[Any]], where: str) -> Iterator[Point]:
    place = template.get("as", "recurrent")
    if place not in PARTS:
        raise SpaceError(f"{where}: as = {place!r} is no part of a mixer; {nearest(str(place), list(PARTS))}")
    if place in template:
        raise SpaceError(f"{where}: the {place} part is given twice, by 'pattern' and by {place!r}")
    texts = {part: template["pattern" if part == place else part] for part in PARTS if part in (place, *template)}
    trees = {part: _parsed(text, f"{where}: {part}") for part, text in texts.items()}
    choices = {name: [_substitute(value, f"{where}: {name}") for value in listed] for name, listed in values.items()}
    _check_names(trees, choices, where)
    for chosen in product(*(range(len(listed)) for listed in values.values())):
        replaced = {name: choices[name][index] for name, index in zip(values, chosen)}
        parts = tuple((part, _text(tree, replaced)) for part, tree in trees.items())
        yield Point(parts, parameters={name: values[name][index] for name, index in zip(values, chosen)})


def _check_names(trees: dict[str, ast.expr], choices: dict[str, list[ast.expr]], where: str) -> None:
    for name in choices:
        if name in _ALLOWED or not name.isidentifier():
            reason = "means something else in a pattern" if name in _ALLOWED else "is not a word"
            raise SpaceError(f"{where}: a parameter cannot be called {name!r}, which {reason}; choose another name")
    everywhere = [*trees.values(), *(tree for listed in choices.values() for tree in listed)]
    used = [node.id for tree in everywhere for node in ast.walk(tree) if isinstance(node, ast.Name)]
    for name in used:
        if name not in choices and name not in _ALLOWED:
            text = next(ast.unparse(tree) for tree in everywhere if name in _names(tree))
            raise SpaceError(f"{where}: {name!r} in {text!r} has no values; {_hint(name, list(choices))}")
    for name in choices:
        if name not in used:
            free = sorted({other for other in used if other not in _ALLOWED} - {name})
            hint = f"the pattern uses {', '.join(free)}" if free else "the pattern has no free name"
            raise SpaceError(f"{where}: the parameter {name!r} is never used; {hint}")


def _hint(name: str, parameters: list[str]) -> str:
    close = nearest(name, [*parameters, *sorted(_ALLOWED)])
    if close.startswith("did you mean"):
        return close
    given = f" (values are given for {', '.join(parameters)})" if parameters else ""
    return f"add some, such as {name} = [1, 2]{given}"


def _names(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _parsed(text: object, where: str) -> ast.expr:
    try:
        if not isinstance(text, str):
            raise SyntaxError
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SpaceError(
            f"{where} = {text!r} does not parse; write a text such as 'Window(w) | Offsets(b**k)'"
        ) from None


def _substitute(value: object, where: str) -> ast.expr:
    """What a parameter's value puts in the place of its name; nothing is evaluated here."""
    if isinstance(value, bool):
        raise SpaceError(f"{where}: {value!r} is no value of a pattern; give an integer, a decimal or a text")
    if isinstance(value, float):
        value = str(Fraction(repr(value)))
    if isinstance(value, int | list):
        value = repr(value)
    return _parsed(value, where)


class _Replacement(ast.NodeTransformer):
    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        # A value may hold other parameters; one that holds itself would never end, so each is replaced once.
        if node.id not in self.values:
            return node
        others = {name: value for name, value in self.values.items() if name != node.id}
        return _Replacement(others).visit(copy.deepcopy(self.values[node.id]))


def _text(tree: ast.expr, values: dict[str, ast.expr]) -> str:
    return ast.unparse(_Replacement(values).visit(copy.deepcopy(tree))).replace(" ** ", "**")


def _values(listed: object, where: str) -> list[Any]:
    values = (
        _range(listed, where)
        if isinstance(listed, Mapping)
        else listed
        if isinstance(listed, list | tuple)
        else [listed]
    )
    if not values:
        raise SpaceError(f"{where} has an empty list of values, so the space has no points; give at least one")
    for value in values:
        finite = not isinstance(value, float) or math.isfinite(value)
        integers = not isinstance(value, list) or all(type(item) is int for item in value)
        if not isinstance(value, int | float | str | list) or not finite or not integers:
            raise SpaceError(
                f"{where}: {value!r} is no value; give an integer, a decimal, a text or a list of integers"
            )
    return list(values)


def _range(described: Mapping[str, Any], where: str) -> list[int]:
    for key in described:
        if key not in RANGE_KEYS:
            raise SpaceError(f"{where}: a range has no {key!r}; {nearest(str(key), list(RANGE_KEYS))}")
    if "from" not in described or "to" not in described or {"step", "factor"} <= set(described):
        raise SpaceError(f"{where}: a range needs 'from', 'to' and either a 'step' or a 'factor' (or neither: step 1)")
    start, stop = check_length(described["from"], f"{where}: from", 0), check_length(described["to"], f"{where}: to", 0)
    step = check_length(described.get("step", 1), f"{where}: step")
    if "factor" not in described:
        found = range(start, stop + 1, step)
        if len(found) > LARGEST_SPACE:
            raise SpaceError(f"{where} has {len(found)} values; at most {LARGEST_SPACE} are taken: take a larger step")
        return list(found)
    factor = check_length(described["factor"], f"{where}: factor", 2)
    values, value = [], check_length(start, f"{where}: from")
    while value <= stop:
        values.append(value)
        value *= factor
    return values
