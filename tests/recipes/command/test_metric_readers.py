"""What each way of reporting gives: lines, files that grow, TensorBoard's events, the client."""

import json
import struct

import pytest

from tunewright.recipes.command.config import MetricsConfig
from tunewright.recipes.command.metrics.reader import ReaderContext, ScriptReport
from tunewright.recipes.command.metrics.readers import make_readers


@pytest.fixture
def readers(tmp_path):
    """Make the readers of a run; `read` gives all that they find in a line, or now."""

    class Readers:
        def __init__(self, **metrics):
            self.reports = tmp_path / "reports.jsonl"
            name = metrics.pop("file", None)
            self.file = None if name is None else tmp_path / name
            config = MetricsConfig(file=name, **metrics)
            self.all = make_readers(ReaderContext(config, tmp_path, self.file, self.reports))

        def line(self, text):
            return self._plain(found for reader in self.all for found in reader.read_line(text))

        def poll(self, ended=False):
            return self._plain(f for reader in self.all for f in reader.poll(ended=ended))

        def _plain(self, reports):
            self.units = []
            kept = []
            for report in reports:
                self.units.append(report.unit)
                kept.append(ScriptReport(report.step, report.metrics))
            return kept

    return Readers


@pytest.mark.parametrize(
    ("line", "step", "metrics"),
    [
        ('{"epoch": 3, "val_acc": 0.5}', 3, {"val_acc": 0.5}),
        ('INFO:root:{"step": 3, "val_acc": 0.5}', 3, {"val_acc": 0.5}),
        ("{'loss': 0.25, 'epoch': 2.0, 'name': 'x'}", 2, {"loss": 0.25}),
        ('{"val": {"acc": 0.5}, "lr": "1e-3"}', None, {"val.acc": 0.5, "lr": 0.001}),
        ("epoch=3 val_acc=0.5, loss=1e-3", 3, {"val_acc": 0.5, "loss": 0.001}),
        (
            "Epoch: 3/10 - loss: .25 - metrics/mAP50-95(B): 0.5",
            3,
            {"loss": 0.25, "metrics/mAP50-95(B)": 0.5},
        ),
        ("acc=93.5%", None, {"acc": 93.5}),
        (" 10%|#  | acc=0.1\r100%|###| acc=0.9", None, {"acc": 0.9}),
        ("loss=nan", None, {"loss": pytest.approx(float("nan"), nan_ok=True)}),
        ("step=0.5 acc=1", None, {"acc": 1.0}),
    ],
)
def test_lines(readers, line, step, metrics):
    [found] = readers().line(line)
    assert (found.step, found.metrics) == (step, metrics)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "training",
        "python train.py --lr=0.1",
        "see http://x/?lr=0.1",
        '{"a": "b"}',
        "{}",
        "[1]",
        "a=b",
    ],
)
def test_lines_without_metrics(readers, line):
    assert readers().line(line) == []


def test_a_pattern_comes_first(readers):
    found = readers(pattern=[r"ep (?P<epoch>\d+): (?P<acc>[\d.]+) of 100"])
    assert found.line("ep 4: 87.5 of 100 x=3") == [ScriptReport(4, {"acc": 87.5})]
    assert found.units == ["epoch"]
    assert found.line("x=3") == [ScriptReport(None, {"x": 3.0})]


def test_output_can_be_left_unread(readers):
    assert readers(output="none").line("acc=1") == []
    assert readers(output="json").line("acc=1") == []
    assert readers(output="pairs").line('{"acc": 1}') == []


def test_the_step_may_have_any_name(readers):
    assert readers(step="game").line("game=7 epoch=1 win=1") == [
        ScriptReport(7, {"epoch": 1.0, "win": 1.0})
    ]


def test_json_lines_grow(readers):
    found = readers(file="m.jsonl")
    assert found.poll() == []
    found.file.write_text('{"step": 1, "acc": 0.1}\n{"step": 2, "a')
    assert found.poll() == [ScriptReport(1, {"acc": 0.1})]
    with found.file.open("a") as stream:
        stream.write('cc": 0.2}\nno json\n{"step": 3, "acc": 0.3}')
    assert found.poll() == [ScriptReport(2, {"acc": 0.2})]
    assert found.poll(ended=True) == [ScriptReport(3, {"acc": 0.3})]


def test_a_csv_with_blanks_and_odd_names(readers):
    found = readers(file="results.csv")
    found.file.write_text(
        "    epoch,   metrics/mAP50-95(B), note\n  1,  0.25, a\n\n  2,, b\n  3,  0.5"
    )
    assert found.poll(ended=True) == [
        ScriptReport(1, {"metrics/mAP50-95(B)": 0.25}),
        ScriptReport(2, {}),
        ScriptReport(3, {"metrics/mAP50-95(B)": 0.5}),
    ]


@pytest.mark.parametrize("comma", [";", "\t"])
def test_a_csv_with_another_separator(readers, comma):
    found = readers(file="results.csv")
    found.file.write_text(f"epoch{comma}acc\n1{comma}0.5\n")
    assert found.poll() == [ScriptReport(1, {"acc": 0.5})]


def test_a_file_that_is_written_anew_or_rotated(readers, tmp_path):
    found = readers(file="results.csv")
    found.file.write_text("epoch,acc\n1,0.5\n")
    assert found.poll() == [ScriptReport(1, {"acc": 0.5})]
    found.file.write_text("acc\n1\n")
    assert found.poll() == [ScriptReport(None, {"acc": 1.0})]
    (tmp_path / "new").write_text("epoch,loss,acc\n2,0.1,0.75\n")
    (tmp_path / "new").replace(found.file)
    assert found.poll() == [ScriptReport(2, {"loss": 0.1, "acc": 0.75})]


def test_what_the_client_reports(readers):
    found = readers()
    lines = [{"asked": ["lr"]}, {"step": 2, "metrics": {"acc": 0.5}}, {"checkpoints": True}]
    found.reports.write_text("".join(json.dumps(line) + "\n" for line in lines) + "torn")
    assert found.poll() == [ScriptReport(2, {"acc": 0.5})]
    assert [reader.asked for reader in found.all if reader.asked] == [{"lr"}]


def test_blanks_around_a_name_do_not_hide_a_metric(readers):
    found = readers()
    metrics = {"test acc ": 0.5, " loss": 1.0, "f1 ": 0.1, "f1": 0.2}
    found.reports.write_text(json.dumps({"step": 1, "metrics": metrics}) + "\n")
    assert found.poll() == [ScriptReport(1, {"test acc": 0.5, "loss": 1.0, "f1": 0.2})]


def field(number: int, kind: int, content: bytes) -> bytes:
    size = bytes([len(content)]) if kind == 2 else b""
    return bytes([number << 3 | kind]) + size + content


def record(event: bytes) -> bytes:
    return struct.pack("<Q", len(event)) + b"crc1" + event + b"crc2"


def scalar(step: int, tag: str, value: float, *, tensor: bool = False) -> bytes:
    if tensor:
        inside = field(1, 0, b"\x01") + field(2, 2, b"") + field(5, 2, struct.pack("<f", value))
        number = field(8, 2, inside)
    else:
        number = field(2, 5, struct.pack("<f", value))
    summary = field(1, 2, field(1, 2, tag.encode()) + number)
    return record(
        field(1, 1, struct.pack("<d", 1e9)) + field(2, 0, bytes([step])) + field(5, 2, summary)
    )


def test_events_of_tensorboard(readers):
    found = readers(file="logs", format="tensorboard")
    assert found.poll() == []
    folder = found.file / "version_0"
    folder.mkdir(parents=True)
    whole = record(field(3, 2, b"brain.Event:2")) + scalar(1, "val/acc", 0.5)
    later = scalar(2, "val/acc", 0.75, tensor=True)
    events = folder / "events.out.tfevents.1"
    events.write_bytes(whole + later[:10])
    assert found.poll() == [ScriptReport(1, {"val/acc": 0.5})]
    events.write_bytes(whole + later)
    assert found.poll() == [ScriptReport(2, {"val/acc": 0.75})]
    events.write_bytes(whole + later + b"\xff" * 100)  # damaged
    assert found.poll() == []


def test_events_as_torch_writes_them(readers):
    writer = pytest.importorskip("torch.utils.tensorboard", reason="tensorboard is not installed")
    found = readers(file="logs", format="tensorboard")
    with writer.SummaryWriter(str(found.file)) as events:
        events.add_scalar("acc", 0.5, 3)
        events.flush()
        assert found.poll() == [ScriptReport(3, {"acc": 0.5})]
