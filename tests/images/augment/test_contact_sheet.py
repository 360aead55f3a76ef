"""The sheet shows every picture once as it is and once for each draw, with legible labels."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from tunewright.errors import NotWritten
from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.config import LEVELS
from tunewright.images.augment.contact_sheet import (
    Column,
    contact_sheet,
    legible,
    shorten,
    shown_side,
    write_contact_sheet,
)


def flat(colours, size):
    """Pictures of one colour each."""
    return torch.tensor(colours, dtype=torch.uint8).view(-1, 3, 1, 1).repeat(1, 1, size, size)


def as_they_are(images, _generator):
    return images / 255


def count(sheet, colour):
    return int((np.asarray(sheet) == colour).all(axis=2).sum())


COLOURS = [(200, 30, 40), (20, 60, 180)]


class TestSheet:
    @pytest.mark.parametrize("size", [1, 8, 64, 144, 600])
    def test_every_draw_of_every_picture_is_there(self, size):
        columns = [Column("light", as_they_are, 3), Column("strong", as_they_are, 2)]
        sheet = contact_sheet(flat(COLOURS, size), ["daisy", "rose"], columns)
        side = shown_side(size)
        assert 96 <= side <= 192
        for colour in COLOURS:
            assert count(sheet, colour) == 6 * side * side

    def test_pixels_of_small_pictures_are_seen(self):
        image = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
        sheet = np.asarray(contact_sheet(image, ["0"], []))
        for red in image[0].flatten(1).T.tolist():
            assert count(sheet, red) >= 12 * 12

    def test_draws_differ_and_repeat(self):
        image = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
        columns = [Column("strong", make_augment(LEVELS["strong"]()), 2)]

        def drawn(seed):
            return contact_sheet(image, ["a", "b"], columns, title="t", seed=seed)

        first, again, other = (np.asarray(drawn(seed)) for seed in (0, 0, 1))
        assert (first == again).all()
        assert (first != other).any()

    def test_headings_and_labels_leave_ink(self):
        images = torch.full((1, 3, 8, 8), 255, dtype=torch.uint8)
        blank = contact_sheet(images, [""], [Column("", as_they_are, 1)])
        written = contact_sheet(images, ["daisy"], [Column("strong", as_they_are, 1)], title="t")
        assert (np.asarray(written) < 128).sum() > (np.asarray(blank) < 128).sum() + 100

    def test_a_wide_heading_or_title_is_not_cut(self):
        columns = [Column("a heading far wider than its picture " * 2, as_they_are, 1)] * 2
        narrow = contact_sheet(flat(COLOURS[:1], 8), ["a"], [Column("b", as_they_are, 1)] * 2)
        assert contact_sheet(flat(COLOURS[:1], 8), ["a"], columns).width > 2 * narrow.width
        titled = contact_sheet(flat(COLOURS[:1], 8), ["a"], [], title="long " * 40)
        assert titled.width > 1000


class TestLabels:
    def test_long_ones_are_shortened(self):
        font = ImageFont.load_default(16)
        assert shorten("daisy", 100, font) == "daisy"
        short = shorten("a very long name of a flower", 100, font)
        assert short.endswith("...")
        assert font.getlength(short) <= 100

    @pytest.mark.parametrize(
        ("label", "known"), [("Gänseblümchen", True), ("雏菊", False), ("a\nb", False)]
    )
    def test_letters_without_a_glyph_are_known(self, label, known):
        assert legible(label) == known


def test_the_file_is_whole_or_absent(tmp_path):
    sheet = contact_sheet(flat(COLOURS, 8), ["a", "b"], [])
    write_contact_sheet(sheet, tmp_path / "new" / "sheet.png")
    with Image.open(tmp_path / "new" / "sheet.png") as opened:
        assert opened.format == "PNG"
        assert opened.size == sheet.size
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritten):
        write_contact_sheet(sheet, tmp_path / "file" / "sheet.png")
