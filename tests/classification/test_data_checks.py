"""What is said of data and settings before anything trains."""

from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set

from tunewright.classification.data_checks import check, open_sets
from tunewright.config.compose import compose
from tunewright.errors import ConfigError, DataError
from tunewright.images.image_table import ImageTable
from tunewright.recipes.registry import find_recipe

TINY = ("model.name=test_resnet", "model.fusion=none", "data.image_size=16")


def configured(folder: Path, *words: str):
    return compose(find_recipe("longtail"), [f"data.dir={folder}", *TINY, *words]).config


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_broken_picture_of_any_set_stops_before_the_first_trial(tmp_path, split):
    config = configured(draw_set(tmp_path / "data", (20, 20, 20)))
    table = getattr(open_sets(config), split)
    assert isinstance(table, ImageTable)
    table.places[0].file.write_bytes(b"no picture")
    with pytest.raises(DataError, match=f"{table.places[0].file.name} is not a readable picture"):
        check(config)
    skipping = configured(tmp_path / "data", "data.skip_bad=true")
    assert sum("skipped" in notice for notice in check(skipping)) == 1


def test_a_weight_is_missing(tmp_path):
    folder = draw_set(tmp_path / "data", (6, 5, 4))
    assert check(configured(folder, "loss=focal", "loss.alpha=[1,2,3]"))
    with pytest.raises(ConfigError, match=r"loss\.alpha has 2 numbers: expected 3, one for each"):
        check(configured(folder, "loss=focal", "loss.alpha=[1,2]"))


def test_a_test_set_with_other_class_frequencies_is_told_before_anything_trains(tmp_path):
    draw_set(tmp_path, (60, 40, 40))
    lines = ["file,label,split"]
    counts = {"blue": (20, 30, 8), "green": (20, 6, 8), "red": (20, 6, 8)}
    for name, parts in counts.items():
        splits = [s for s, n in zip(("train", "val", "test"), parts, strict=True) for _ in range(n)]
        lines += [f"{name}/{row:03d}.png,{name},{split}" for row, split in enumerate(splits)]
    (tmp_path / "index.csv").write_text("\n".join(lines))
    notices = check(configured(tmp_path / "index.csv"))
    assert [text for text in notices if "not as frequent in the test set" in text]
    alike = "\n".join(line for line in lines if "blue/04" not in line and "blue/03" not in line)
    (tmp_path / "alike.csv").write_text(alike)
    notices = check(configured(tmp_path / "alike.csv"))
    assert not [text for text in notices if "not as frequent in the test set" in text]
