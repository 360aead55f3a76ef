"""The embedded data set of `retina`: pairs of fundus-like drawings with reports, no photographs."""

import csv
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

SIDE = 64
"""Pixels a side; a drawing is made twice as large, then reduced."""
COUNTS = {"train": 256, "valid": 96, "test": 96}
"""Patients of each split."""
SHARES = {
    "normal fundus": 0.30,
    "diabetic retinopathy": 0.24,
    "glaucoma": 0.16,
    "macular degeneration": 0.12,
    "pathological myopia": 0.10,
    "cataract": 0.08,
}
"""The drawn conditions and their shares, uneven as in clinics."""
DEGREES = ("mild", "moderate", "severe")
BOTH_EYES = 0.7
"""How often a condition shows in both eyes."""
SIGNS = {
    "normal fundus": ("no abnormality seen", "clear vessels and a healthy disc"),
    "diabetic retinopathy": ("scattered haemorrhages", "dots of blood and hard exudates"),
    "glaucoma": ("a large cup in the optic disc", "a deep and wide cup"),
    "macular degeneration": ("drusen at the macula", "yellow drusen in the centre"),
    "pathological myopia": ("a pale crescent beside the disc", "a tessellated pale fundus"),
    "cataract": ("a hazy view of the fundus", "a blurred picture through a cloudy lens"),
}
OPENINGS = ("fundus drawing of", "report:", "finding:", "the drawing shows")

COLUMNS = (
    "patient_id", "left_file", "right_file", "left_text", "right_text", "text", "label", "split"
)  # fmt: skip


@dataclass(frozen=True)
class DrawnEye:
    """What one drawing shows. degree: 0 to 2; right: whether the disc lies on the right."""

    condition: str
    degree: int
    right: bool


def write_eyes(folder: Path) -> None:
    """Write `index.csv` and `eyes.zip`: drawn patients with two eyes, a label and a report each."""
    rows = []
    with zipfile.ZipFile(folder / "eyes.zip", "w") as archive:
        number = 0
        for split, count in COUNTS.items():
            for condition in _conditions(count):
                number += 1
                draws = np.random.default_rng([number, 7])
                patient = f"d{number:04}"
                rows.append(_write_patient(archive, patient, condition, split, draws))
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def _conditions(count: int) -> list[str]:
    """Return the conditions of so many patients, by their shares; the first one fills up."""
    rest = [name for name in SHARES if name != "normal fundus"]
    found = [name for name in rest for _ in range(max(2, round(count * SHARES[name])))]
    return ["normal fundus"] * (count - len(found)) + found


def _write_patient(
    archive: zipfile.ZipFile,
    patient: str,
    condition: str,
    split: str,
    draws: np.random.Generator,
) -> tuple[str, ...]:
    healthy = int(draws.integers(2)) if draws.random() > BOTH_EYES else None
    files, texts = [], []
    for side in (0, 1):
        shown = "normal fundus" if side == healthy else condition
        eye = DrawnEye(shown, int(draws.integers(3)), right=side == 1)
        name = f"{patient}_{('left', 'right')[side]}.png"
        content = io.BytesIO()
        draw_eye(eye, draws).save(content, "PNG")
        archive.writestr(zipfile.ZipInfo(name), content.getvalue())
        files.append(name)
        texts.append(describe(eye, draws))
    report = f"left eye {texts[0]}; right eye {texts[1]}"
    return (patient, *files, *texts, report, condition, split)


def describe(eye: DrawnEye, draws: np.random.Generator) -> str:
    """Return a report on one eye, such as `finding: mild glaucoma, a deep and wide cup`."""
    opening = OPENINGS[int(draws.integers(len(OPENINGS)))]
    sign = SIGNS[eye.condition][int(draws.integers(2))]
    if eye.condition == "normal fundus":
        return f"{opening} {eye.condition}, {sign}"
    return f"{opening} {DEGREES[eye.degree]} {eye.condition}, {sign}"


def draw_eye(eye: DrawnEye, draws: np.random.Generator) -> Image.Image:
    """Draw a fundus-like picture: [SIDE, SIDE] RGB, a disc, vessels, and signs of the condition."""
    side = 2 * SIDE
    strength = (0.6, 1.0, 1.5)[eye.degree]
    warm = draws.normal(0, 8, 3)
    base = np.array([196, 92, 44]) + warm
    if eye.condition == "pathological myopia":
        base = base + np.array([14, 40, 34]) * strength
    picture = Image.new("RGB", (side, side), (4, 4, 6))
    brush = ImageDraw.Draw(picture)
    brush.ellipse((3, 3, side - 4, side - 4), fill=_colour(base))
    turn = 1 if eye.right else -1
    disc = np.array([side / 2 + turn * 0.27 * side, side / 2]) + draws.normal(0, 2, 2)
    macula = np.array([side / 2 - turn * 0.12 * side, side / 2]) + draws.normal(0, 2, 2)
    _blot(brush, macula, 0.10 * side, base * 0.72)
    _draw_vessels(brush, disc, turn, side, draws)
    if eye.condition == "pathological myopia":
        _blot(brush, disc - np.array([turn * 4 * strength, 0]), 0.13 * side, (250, 236, 205))
    _blot(brush, disc, 0.085 * side, (244, 204, 130))
    cup = 0.075 if eye.condition == "glaucoma" else 0.03
    _blot(brush, disc, cup * side * (1.0 if cup < 0.05 else 0.75 + 0.2 * strength), (255, 244, 214))
    if eye.condition == "diabetic retinopathy":
        _scatter(brush, side, round(10 * strength), (92, 12, 10), (1.2, 3.2), draws)
        _scatter(brush, side, round(5 * strength), (250, 232, 120), (1.0, 2.4), draws)
    if eye.condition == "macular degeneration":
        for _ in range(round(12 * strength)):
            _blot(brush, macula + draws.normal(0, 0.07 * side, 2), draws.uniform(1.2, 2.6),
                  (252, 226, 130))  # fmt: skip
    blur = 2.6 * strength if eye.condition == "cataract" else draws.uniform(0.2, 0.8)
    picture = picture.filter(ImageFilter.GaussianBlur(blur))
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    if eye.condition == "cataract":
        small = small + 0.22 * strength * (150 - small) * (small.sum(2, keepdims=True) > 60)
    noisy = small * draws.uniform(0.85, 1.1) + draws.normal(0, 4, small.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def _draw_vessels(
    brush: ImageDraw.ImageDraw,
    disc: npt.NDArray[np.float64],
    turn: int,
    side: int,
    draws: np.random.Generator,
) -> None:
    for branch in range(6):
        upward = -1 if branch % 2 else 1
        bend = draws.uniform(0.16, 0.40) * side * upward
        along = np.linspace(0.0, 1.0, 14)
        x = disc[0] - turn * along * draws.uniform(0.55, 0.75) * side
        y = disc[1] + bend * np.sin(along * math.pi * draws.uniform(0.5, 0.8))
        points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        brush.line(points, fill=(132, 26, 22), width=2 + branch % 2)


def _scatter(
    brush: ImageDraw.ImageDraw,
    side: int,
    count: int,
    colour: tuple[int, int, int],
    radii: tuple[float, float],
    draws: np.random.Generator,
) -> None:
    for _ in range(count):
        angle, reach = draws.uniform(0, 2 * math.pi), side * 0.42 * math.sqrt(draws.random())
        centre = side / 2 + reach * np.array([math.cos(angle), math.sin(angle)])
        _blot(brush, centre, draws.uniform(*radii), colour)


def _blot(
    brush: ImageDraw.ImageDraw,
    centre: npt.NDArray[np.float64],
    radius: float,
    colour: "npt.NDArray[np.float64] | tuple[int, int, int]",
) -> None:
    x, y = centre
    brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(colour))


def _colour(values: "npt.NDArray[np.float64] | tuple[int, int, int]") -> tuple[int, int, int]:
    red, green, blue = (round(float(min(max(value, 0), 255))) for value in values)
    return red, green, blue
