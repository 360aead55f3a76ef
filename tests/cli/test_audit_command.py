"""`tunewright audit` as it is typed."""

import json

import pytest

from tunewright import cli


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Curves that cross at epoch 3."""
    monkeypatch.chdir(tmp_path)
    rows = [f"r{n},{e},{n * (e - 3)}" for n in range(6) for e in range(1, 9)]
    (tmp_path / "t.csv").write_text("\n".join(["run,epoch,accuracy", *rows]) + "\n")


def typed(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["tunewright", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_a_table_is_printed_with_advice(table, monkeypatch, capsys):
    assert typed(monkeypatch, "audit", "t.csv") == 0
    printed = capsys.readouterr().out
    assert "audit of t: goal accuracy (max)" in printed
    assert "tau of top 4" in printed
    assert (
        "advice: at epoch 4 of 8 the ranking of the full trainings is already tau 1.00" in printed
    )


def test_json_is_strict(table, monkeypatch, capsys):
    assert typed(monkeypatch, "audit", "t.csv", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["epochs"][0]["agreement"]["tau"]["value"] == -1.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audit", "absent.csv"], "cannot be read"),
        (["audit", "absent"], "no study 'absent'"),
        (["audit", "--configuration", "5"], "Did you mean '--configurations'"),
        (["audit", "t.csv", "optim.lr=1"], "where nothing is trained"),
        (["audit", "t.csv", "--goal", "acuracy"], "Did you mean 'accuracy'"),
    ],
)
def test_slips_end_with_2(table, monkeypatch, capsys, words, said):
    assert typed(monkeypatch, *words) == 2
    assert said in capsys.readouterr().err
