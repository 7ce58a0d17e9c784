"""What the README shows is what the code prints."""

import doctest
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_readme_examples_print_what_they_show() -> None:
    result = doctest.testfile(str(README), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted >= 12
    assert result.failed == 0


def test_the_first_lines_tell_the_idea() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert "Y = (I-B)^{-1} A X" in " ".join(lines[:3])
    assert any(line.startswith(">>> ") for line in lines[:30])
    assert "## What it does not do" in lines
