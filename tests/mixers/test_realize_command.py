"""``glmix realize``: one target is realised, several are ranked, files are read without pickle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from glmix_theory.mixers import catalogue
from glmix_theory.mixers.realize import realize
from tests.test_cli import run

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def path(tmp_path: Path) -> str:
    matrix = np.tril(np.random.default_rng(0).random((12, 12)))
    np.save(tmp_path / "map.npy", matrix / matrix.sum(axis=1, keepdims=True))
    return str(tmp_path / "map.npy")


def test_one_target(path: str, capsys: Capture, monkeypatch: Patch) -> None:
    code, out, _ = run(capsys, monkeypatch, "realize", path, "2**k", "--rows", "2")
    assert code == 0
    assert "Offsets(2**k)" in out
    assert out.count("misses") == 2
    assert "no lower bound" in out
    code, out, _ = run(capsys, monkeypatch, "realize", path, "diagonal_ssm")
    assert code == 0
    assert "proposition 9, Eckart–Young" in " ".join(out.split())
    code, out, _ = run(capsys, monkeypatch, "realize", path, "attention")
    assert code == 0
    assert "yes" in out
    assert "misses" not in out


def test_one_target_as_json(path: str, capsys: Capture, monkeypatch: Patch) -> None:
    code, out, _ = run(capsys, monkeypatch, "realize", path, "diagonal_ssm", "--constraint", "stable", "--json")
    assert code == 0
    data = json.loads(out)
    found = realize(np.load(path), catalogue["diagonal_ssm"], "stable")
    assert data["residual"] == found.residual
    assert data["row_residuals"] == found.row_residuals.tolist()
    assert data["constraint"] == "stable"
    assert 0 < data["lower_bound"] <= data["residual"]


def test_several_targets(path: str, capsys: Capture, monkeypatch: Patch) -> None:
    targets = ("Window(4)", "attention", "diagonal_ssm")
    code, out, _ = run(capsys, monkeypatch, "realize", path, *targets)
    assert code == 0
    assert out.index("attention") < min(out.index("Window(4)"), out.index("diagonal_ssm"))
    code, out, _ = run(capsys, monkeypatch, "realize", path, *targets, "--json")
    names = [row["name"] for row in json.loads(out)["mixers"]]
    assert code == 0
    assert names[0] == "attention"
    assert set(names) == set(targets)


def test_bad_files_and_targets(path: str, tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.eye(2), b=np.eye(2))
    np.save(tmp_path / "future.npy", np.ones((3, 3)))
    (tmp_path / "text.npy").write_text("1 2 3")
    for arguments, message in [
        ([str(tmp_path / "absent.npy"), "attention"], "can't be read as a .npy file"),
        ([str(tmp_path / "pickled.npy"), "attention"], "allow_pickle=False"),
        ([str(tmp_path / "text.npy"), "attention"], "can't be read as a .npy file"),
        ([str(tmp_path / "several.npz"), "attention"], "several arrays (a, b)"),
        ([str(tmp_path / "future.npy"), "attention"], "matrix[0, 1] = 1.0, but step 0 can't see input 1"),
        ([path, "atention"], "did you mean 'attention'"),
        ([path, "attention", "--constraint", "stabel"], "did you mean 'stable'"),
    ]:
        code, _, err = run(capsys, monkeypatch, "realize", *arguments)
        assert code == 2
        assert err.startswith("glmix: ")
        assert message in err
