"""Offline runs of W&B, from files written here by the format's own rules."""

from pathlib import Path

import pytest

from tunewright.errors import DataError
from tunewright.runs.wandb import record_log
from tunewright.runs.wandb.offline_run import find_offline_runs, read_offline_run
from tunewright.runs.wandb.record_log import message_fields, read_records
from wandb_log import history, integer, item, log_of, text

RUN = text(17, text(1, "abc") + text(4, text(1, item("gamma", 0.003))) + text(8, "warm"))
CONFIG = text(5, text(1, item(["balance", "w_lr"], 0.025)) + text(1, item("_wandb", {"v": 1})))
EXIT = text(18, integer(1, 1))
REPORTS = [history(step, {"psnr": 20.0 + step, "note": "x" * 9000}) for step in range(20)]


def stored(tmp_path: Path, records: list[bytes], name: str = "offline-run-1-abc") -> Path:
    folder = tmp_path / "wandb" / name
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes(log_of(records))
    return folder


def test_a_run_is_read(tmp_path: Path) -> None:
    folder = stored(tmp_path, [RUN, CONFIG, *REPORTS, EXIT])
    assert find_offline_runs(tmp_path) == [folder]
    run = read_offline_run(folder)
    assert (run.name, run.exit_code, run.notices) == ("warm", 1, [])
    assert run.config == {"gamma": 0.003, "balance": {"w_lr": 0.025}}
    assert [step for step, _ in run.history] == list(range(20))
    assert run.history[3] == (3, {"psnr": 23.0})


def test_a_good_end_has_the_code_0(tmp_path: Path) -> None:
    assert read_offline_run(stored(tmp_path, [RUN, text(18, b"")])).exit_code == 0


@pytest.mark.parametrize("cut", [1, 5, 4000, 40_000])
def test_a_file_cut_off_keeps_whole_records(tmp_path: Path, cut: int) -> None:
    folder = stored(tmp_path, [RUN, *REPORTS])
    file = folder / "run-abc.wandb"
    file.write_bytes(file.read_bytes()[:-cut])
    run = read_offline_run(folder)
    assert 10 < len(run.history) < 20
    assert run.exit_code is None
    assert "cut off" in run.notices[0]


def test_a_flipped_bit_ends_the_reading(tmp_path: Path) -> None:
    folder = stored(tmp_path, [RUN, *REPORTS])
    file = folder / "run-abc.wandb"
    data = bytearray(file.read_bytes())
    data[60_000] ^= 1
    file.write_bytes(data)
    run = read_offline_run(folder)
    assert 0 < len(run.history) < 20
    assert "checksum" in run.notices[0]


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    run = read_offline_run(stored(tmp_path, [RUN, history(0, {"a": float("nan"), "b": 1.0})]))
    assert run.history == [(0, {"b": 1.0})]


def test_an_older_run_is_read_from_its_files(tmp_path: Path) -> None:
    files = tmp_path / "run-1" / "files"
    files.mkdir(parents=True)
    (files / "wandb-summary.json").write_text('{"psnr": 30.0, "_step": 9}')
    (files / "config.yaml").write_text("gamma:\n  desc: null\n  value: 0.001\n")
    run = read_offline_run(tmp_path / "run-1")
    assert (run.summary["psnr"], run.config) == (30.0, {"gamma": 0.001})


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "offline-run-x").mkdir()
    (tmp_path / "offline-run-x" / "run-x.wandb").write_bytes(b"hello, this is no log at all")
    with pytest.raises(DataError, match="no log of W&B"):
        read_offline_run(tmp_path / "offline-run-x")


def test_a_record_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "MAX_RECORD", 50_000)
    file = tmp_path / "run.wandb"
    file.write_bytes(log_of([bytes(40_000), bytes(70_000)]))
    records = read_records(file)
    assert next(records) == bytes(40_000)
    with pytest.raises(record_log.RecordLogDamage, match="more than 50,000"):
        next(records)


@pytest.mark.parametrize("message", [b"\x0a\x05ab", b"\x80" * 12, b"\x0b"])
def test_damaged_messages_raise(message: bytes) -> None:
    with pytest.raises(ValueError):
        list(message_fields(message))
