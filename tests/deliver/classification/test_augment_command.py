"""`tunewright augment` draws the pictures of a recipe by the levels that are asked for."""

import json

import pytest
from PIL import Image

import tunewright
from tunewright.cli import main
from tunewright.errors import ConfigError, UsageError
from tunewright.images.augment.config import LEVELS

FAST = "executor.type=inline"


@pytest.fixture
def flowers(tmp_path):
    """Two classes of coloured squares, one of them larger."""
    for label, colour, number in (("red", (200, 20, 30), 12), ("blue", (10, 40, 190), 5)):
        folder = tmp_path / "set" / label
        folder.mkdir(parents=True)
        for at in range(number):
            shade = tuple(value + at for value in colour)
            Image.new("RGB", (40, 30), shade).save(folder / f"{at}.png")
    return f"data.dir={tmp_path / 'set'}"


def test_one_level(flowers, tmp_path):
    output = tmp_path / "sheet.png"
    drawn = tunewright.augment(
        "flowers", FAST, flowers, "data.image_size=24", level="ultra-strong", output=output
    )
    assert drawn.levels == ("ultra_strong",)
    assert drawn.size == 24
    assert len(drawn.pictures) == 8
    assert {name.split("/")[0] for name in drawn.pictures} == {"red", "blue"}
    with Image.open(output) as sheet:
        assert sheet.width > 7 * 96


def test_levels_side_by_side_and_what_mixing_adds(flowers, tmp_path):
    drawn = tunewright.augment(
        "flowers", FAST, flowers, "mixing.cutmix_alpha=1.0", runs_dir=tmp_path
    )
    assert drawn.levels == (*[name for name in LEVELS if name != "none"], "as configured, mixed")
    assert drawn.file == tmp_path / "augment-flowers" / "levels.png"


def test_settings_by_hand_hold_at_every_level(flowers, tmp_path):
    """Only what differs from the configured level's own numbers was set by hand."""

    def sheet(name, *words):
        file = tmp_path / f"{name}.png"
        words = (FAST, flowers, "augmentation=ultra_strong", *words)
        tunewright.augment("flowers", *words, level="light", output=file)
        return file.read_bytes()

    assert sheet("a") == sheet("b")
    assert sheet("a") != sheet("c", "augmentation.cutout=1.0")


def test_a_level_that_a_setting_contradicts_is_left_out_and_said(flowers, tmp_path):
    words = (FAST, flowers, "augmentation=ultra_strong", "augmentation.noise_std_min=0.03")
    drawn = tunewright.augment("flowers", *words, runs_dir=tmp_path)
    assert drawn.levels == ("crop_flip", "light", "medium", "ultra_strong", "colour")
    assert [notice for notice in drawn.notices if "strong is left out: augmentation" in notice]
    with pytest.raises(ConfigError, match="noise_std_min must not be above noise_std_max"):
        tunewright.augment("flowers", *words, level="strong", runs_dir=tmp_path)


def test_what_cannot_be_drawn(flowers, tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        tunewright.augment("flowers", FAST, flowers, level="light", output=tmp_path)
    with pytest.raises(UsageError, match="'strong'"):
        tunewright.augment("flowers", FAST, flowers, level="stronk")
    with pytest.raises(ConfigError, match="no pictures of classes"):
        tunewright.augment("pairs", FAST)


def test_broken_pictures_are_passed_over_if_asked(flowers, tmp_path):
    (tmp_path / "set" / "blue" / "0.png").write_bytes(b"")
    words = (FAST, flowers, "data.skip_bad=true", "data.val_split=0.2")
    drawn = tunewright.augment("flowers", *words, level="light", runs_dir=tmp_path)
    assert "blue/0.png" not in drawn.pictures


def test_the_command(flowers, tmp_path, monkeypatch, capsys):
    output = tmp_path / "sheet.png"
    words = ["augment", "flowers", flowers, FAST, "--level", "light", "--output", str(output)]
    monkeypatch.setattr("sys.argv", ["tunewright", *words])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert str(output) in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["tunewright", *words, "--json"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert json.loads(capsys.readouterr().out)["levels"] == ["light"]
