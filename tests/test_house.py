"""The walls of the house: who may import whom, what stays lazy, how long files get."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "glmix_theory"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 450

GROUND = {"notation", "errors", "progress", "rendering"}
PATTERNS = GROUND | {"patterns"}
MIXERS = PATTERNS | {"mixers"}
ANALYSIS = MIXERS | {"complexity", "expressivity"}
TARGETS = ANALYSIS | {"analysis"}
REPORT = TARGETS | {"design", "verify"}

MAY_IMPORT: dict[str, set[str]] = {
    "notation": set(),
    "errors": set(),
    "progress": GROUND,
    "rendering": GROUND,
    "patterns": GROUND,
    "mixers": PATTERNS,
    "complexity": MIXERS,
    "expressivity": MIXERS | {"complexity.quantity"},
    # "analysis" for the report's line in a layer's extra_repr alone, imported there.
    "export": {"notation", "errors", "patterns", "mixers", "complexity.slots", "complexity.lifetimes", "analysis"},
    "analysis": ANALYSIS,
    "design": TARGETS | {"export"},
    "verify": TARGETS | {"export"},
    "report": REPORT | {"export"},
    "study": TARGETS | {"export"},
    "proofs": GROUND,
    "cli": REPORT | {"report", "proofs", "export", "study"},
    "__init__": REPORT | {"report", "export", "study"},
}
"""What each part of the package may import, apart from itself. A new part needs a line here."""

ONLY_IN: dict[str, set[str]] = {
    "torch": {"export", "study"},
    "triton": {"export"},
    "numba": {"export"},
}
"""Packages that only these parts import where a module is loaded; others import them inside functions."""

LAZY_EVERYWHERE = {"networkx", "matplotlib", "rich", "typer", "IPython", "z3", "pandas", "glmix_theory.export"}
"""Imported inside functions only, so that ``import glmix_theory`` stays quick; ``cli`` may load its own tools."""


def part_of(path: Path) -> str:
    """The top-level part a module belongs to: a sub-package, or the name of a single file."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """Every import of a module with the dotted name of what it loads."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            # `from glmix_theory.complexity import quantity` loads complexity.quantity if that is a module
            for alias in node.names:
                inner = PACKAGE.parent / Path(*node.module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                yield node, f"{node.module}.{alias.name}" if is_module else node.module


def on_loading(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """The imports that run when the module is loaded: outside functions and ``if TYPE_CHECKING``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later: set[int] = set()
    for node in ast.walk(tree):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if function or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            later |= {child.lineno for child in ast.walk(node) if isinstance(child, ast.Import | ast.ImportFrom)}
    for node, name in imports(path):
        if node.lineno not in later:
            yield node, name


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_every_part_has_its_line() -> None:
    parts = {part_of(path) for path in MODULES}
    assert parts <= set(MAY_IMPORT), "a new part of the package: say in MAY_IMPORT what it may import"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    for node, name in imports(path):
        if not within(name, "glmix_theory"):
            continue
        target = name.removeprefix("glmix_theory").lstrip(".")
        assert target or part in ("cli", "__init__"), f"{path}:{node.lineno} imports the whole package"
        if not target or within(target, part):
            continue
        allowed = any(within(target, other) for other in MAY_IMPORT.get(part, ()))
        assert allowed, f"{path}:{node.lineno}: {part} may not import {target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_are_loaded_where_they_are_used(path: Path) -> None:
    part = part_of(path)
    for node, name in on_loading(path):
        where = f"{path}:{node.lineno}: import {name} inside the function that needs it"
        for package, homes in ONLY_IN.items():
            assert not within(name, package) or part in homes, where
        if part not in ("cli", "export"):
            assert not any(within(name, package) for package in LAZY_EVERYWHERE), where


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_have_a_docstring_and_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert text.count("\n") < LONGEST_FILE, f"{path} has {text.count(chr(10))} lines: split it"


def test_the_checks_see_what_they_look_for(tmp_path: Path) -> None:
    """The two readers of imports, on a file where every kind of import occurs."""
    module = tmp_path / "module.py"
    module.write_text(
        "import torch.nn\n"
        "from glmix_theory.complexity import quantity\n"
        "from glmix_theory.complexity import SlotPlan\n"
        "if TYPE_CHECKING:\n    import networkx\n"
        "def function():\n    import rich\n"
        "class Holder:\n    import typer\n"
    )
    names = {name for _, name in imports(module)}
    assert names == {
        "torch.nn",
        "glmix_theory.complexity.quantity",
        "glmix_theory.complexity",
        "networkx",
        "rich",
        "typer",
    }
    assert {name for _, name in on_loading(module)} == names - {"networkx", "rich"}


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_no_heavy_module() -> None:
    """The import stays quick because of what it leaves out, which a list says better than a clock."""
    loaded = run_python("import sys, glmix_theory; print('\\n'.join(sys.modules))").split()
    heavy = ("torch", "triton", "numba", "networkx", "matplotlib", "rich", "typer", "IPython", "z3", "pandas")
    heavy += ("scipy.sparse", "scipy.optimize", "scipy.stats", "scipy.signal", "scipy.spatial", "pytest")
    found = [module for module in loaded if any(within(module, package) for package in heavy)]
    assert not found
    assert not [module for module in loaded if within(module, "glmix_theory.export")]


WITHOUT_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "triton", "numba"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import glmix_theory as glm

mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))
assert glm.SlotPlan(mixer).peak(100) == 7
assert mixer.direct.to_networkx(4).number_of_nodes() == 4
print(glm.analyze(mixer).cache_size.at(100))
try:
    glm.to_torch
except glm.errors.MissingDependencyError as error:
    assert isinstance(error, ImportError)
    print(error)
"""


def test_everything_but_the_export_works_without_torch() -> None:
    cache, error = run_python(WITHOUT_TORCH).strip().split("\n", 1)
    assert cache == "7"
    assert "torch" in error
    assert "install" in error
