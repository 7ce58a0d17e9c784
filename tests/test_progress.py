"""Progress bars: nothing lost or reordered, silent where nobody watches, shown only for what takes long."""

import io

import pytest
import rich.console

from glmix_theory import progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    buffer = io.StringIO()
    console = rich.console.Console
    monkeypatch.setattr(rich.console, "Console", lambda **_: console(file=buffer, force_terminal=True, width=80))
    return buffer


def test_long_loops_show_a_bar_and_yield_everything(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHOWN_AFTER", -1.0)
    assert list(progress.track(range(50), "counting")) == list(range(50))
    assert "counting" in terminal.getvalue()


def test_a_loop_inside_a_loop_that_shows_a_bar_shows_none(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SHOWN_AFTER", -1.0)
    pairs = [(a, b) for a in progress.track(range(3), "outer") for b in progress.track(range(3), "inner")]
    assert pairs == [(a, b) for a in range(3) for b in range(3)]
    first = terminal.getvalue()
    assert "outer" in first
    assert list(progress.track(range(3), "afterwards")) == [0, 1, 2]
    assert "afterwards" in terminal.getvalue()[len(first) :]


def test_short_loops_show_none(terminal: io.StringIO) -> None:
    assert list(progress.track(iter("abc"), "counting")) == ["a", "b", "c"]
    assert terminal.getvalue() == ""


def test_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track([1, 2], "counting")) == [1, 2]
    assert capfd.readouterr().err == ""
