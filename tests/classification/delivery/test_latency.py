"""How a picture is timed."""

import io

import pytest
import torch
from PIL import Image
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run, opened

from tunewright.classification.delivery import latency as costs
from tunewright.classification.inference.ensemble import Blend
from tunewright.classification.inference.tta_views import MIRRORED

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """A clock that work moves on, in seconds."""
    state = {"now": 0.0}
    monkeypatch.setattr(costs.time, "perf_counter", lambda: state["now"])
    return state


def test_percentiles_are_of_the_runs_after_the_warm_ups(clock):
    calls = iter([1000.0] * 10 + [float(n) for n in range(1, 101)])

    def work() -> None:
        clock["now"] += next(calls) / 1000.0

    taken = costs.latency(work, CPU)
    assert taken.runs == 100
    assert taken.warm_ups == 10
    assert taken.mean_ms == pytest.approx(50.5)
    assert taken.p50_ms == pytest.approx(50.5)
    assert taken.p95_ms == pytest.approx(95.05)


def test_the_device_is_awaited_before_and_after_each_run(monkeypatch):
    order = []
    monkeypatch.setattr(costs, "await_device", lambda _device: order.append("await"))
    costs.latency(lambda: order.append("work"), CPU, runs=2, warm_ups=1)
    assert order == ["await", "work", "await"] * 3


def test_a_picture_has_the_declared_size():
    with Image.open(io.BytesIO(costs.draw_picture(600))) as picture:
        assert picture.size == (600, 600)
        assert picture.format == "JPEG"
    assert costs.draw_picture(64) == costs.draw_picture(64)


@pytest.fixture
def blend(tmp_path):
    draw_set(tmp_path / "data")
    runs = [
        made_run(tmp_path / f"run{size}", tmp_path / "data", size=size, steps=1)
        for size in (16, 20)
    ]
    return Blend(tuple(opened(run) for run in runs), (0.5, 0.5), views=MIRRORED)


def test_every_member_sees_every_view(blend, tmp_path, monkeypatch):
    file = tmp_path / "picture.jpg"
    file.write_bytes(costs.draw_picture(40))
    shown = []
    real = type(blend.members[0]).logits

    def counted(self, images):
        shown.append(tuple(images.shape))
        return real(self, images)

    monkeypatch.setattr(type(blend.members[0]), "logits", counted)
    said = []
    taken = costs.measure(
        blend, file, runs=1, warm_ups=0, on_progress=lambda n, total: said.append((n, total))
    )
    assert shown == [(1, 3, 16, 16)] * 2 + [(1, 3, 20, 20)] * 2 + shown[4:]
    assert len(shown) == 8
    assert taken.whole.p95_ms > 0
    assert said == [(1, 2), (2, 2)]


def test_other_precisions_are_told_apart(blend, tmp_path):
    file = tmp_path / "picture.jpg"
    file.write_bytes(costs.draw_picture(40))
    found = costs.precisions(blend, file, runs=1, warm_ups=0)
    assert set(found) == {"float32, channels last", "bfloat16 autocast"}
    assert found["float32, channels last"]["same_label"]


def test_parameters_add_up(blend):
    of_one = sum(p.numel() for p in blend.members[0].model.parameters())
    assert costs.parameters(blend) == 2 * of_one


def test_the_device_has_a_name():
    assert "thread" in costs.device_name(CPU)
