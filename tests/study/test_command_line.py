"""``glmix study`` and ``glmix study report``: the same objects from the shell, with the command in every record."""

import json

from typer.testing import CliRunner

from glmix_theory.cli import app
from glmix_theory.study import Store

TINY = ["--mixer", "attention", "--mixer", "3*k + 1", "--task", "copy", "--size", "micro", "--steps", "2"]


def run(*arguments):
    result = CliRunner().invoke(app, ["study", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_train_again_and_report(tmp_path):
    folder = ["--folder", str(tmp_path)]
    found = json.loads(run(*TINY, "--seeds", "2", "--json", *folder))
    assert set(found) == {"copy/attention", "copy/3*k + 1"}
    assert len(found["copy/attention"]["accuracy"]) == 2
    assert found["copy/3*k + 1"]["theory"]["step_cost"] == 5  # lags 1, 4, 7, 10 and the own input
    lines = Store(tmp_path).read()
    assert "attention" in run(*TINY, "--seeds", "2", *folder)
    assert Store(tmp_path).read() == lines, "finished runs are not made again"
    for line in lines:
        assert line["command"]
        assert line["configuration"]["seed"] in (0, 1)
        assert "commit" in line
    assert json.loads(run("report", "--json", *folder)) == found
    assert "report.md" in run("report", *folder).replace("\n", "")
    assert (tmp_path / "accuracy.png").exists()


def test_a_report_of_nothing_says_so(tmp_path):
    run("report", "--folder", str(tmp_path / "empty"))
    assert "No results yet" in (tmp_path / "empty" / "report.md").read_text()
