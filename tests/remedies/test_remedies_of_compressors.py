"""What `compress`, `decompress`, `bd-rate`, `compare` and `evaluate` advise, followed by hand."""

import dataclasses
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import tunewright
from follow_remedies import run
from mend_as_advised import Advice, enter, obey
from tunewright.config.compose import compose
from tunewright.recipes.compression.codec.container import MAGIC, VERSION, pack, unpack
from tunewright.recipes.compression.codec.picture_files import write_picture
from tunewright.recipes.compression.evaluation import (
    evaluation,
    measure_sets,
    measured_curve,
    metrics,
)
from tunewright.recipes.compression.evaluation.classical_codecs import Classical
from tunewright.recipes.compression.models.factory import make_compressor
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder

CODE = "compress photos/0.png --run one --output a.twc"
DECODE = "decompress a.twc --run one --output b.png"
BEST = "runs/{}/checkpoints/best.safetensors"


def make_run(name: str, seed: int, *, latent: int = 12) -> None:
    """Write a run whose compressor was not trained; it codes all the same."""
    words = ["model=hyperprior", "model.channels=8", f"model.latent={latent}"]
    composed = compose(
        find_recipe("compression"),
        [*words, "executor.type=inline", "data.dir=photos", "data.val_split=.4"],
    )
    torch.manual_seed(seed)
    model = make_compressor(composed.config.model)  # type: ignore[attr-defined]
    for transform in (model.g_a, model.h_a):
        transform[-1].weight.data *= 8.0 + seed
    folder = RunFolder(Path("runs", name))
    folder.checkpoints.mkdir(parents=True)
    save_file(model.state_dict(), folder.checkpoints / "best.safetensors")
    folder.write_config(composed.tree)


def draw(file: str, seed: int = 0, side: int = 40) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((side, side)).save(file)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs that were evaluated, photographs, and one of them compressed."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        make_run("one", 0)
        make_run("two", 1)
        for number in range(4):
            draw(f"photos/{number}.png", number)
        enter(CODE)
        with pytest.MonkeyPatch.context() as patch:
            one_codec(patch, folder)
            for name in ("one", "two"):
                evaluate(name, "photos")
    return folder


def one_codec(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Measure JPEG alone of all classical codecs, and each picture once for all tests."""
    jpeg = (Classical("jpeg", "jpg", (5, 95), {}),)
    for module in (measure_sets, evaluation):
        patch.setattr(module, "available", lambda: jpeg)
    for module in (metrics, measured_curve):
        patch.setattr(module, "RESAMPLES", 20)  # of pictures, for intervals that no test looks at
    patch.setenv("TUNEWRIGHT_CACHE", f"{folder}-cache")


@pytest.fixture
def here(sandbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the sandbox, in which the test works; of all classical codecs only JPEG."""
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    one_codec(monkeypatch, sandbox)


def altered(change: Callable[[bytes], bytes]) -> Callable[[], None]:
    """Change the bytes of the compressed picture."""
    return lambda: Path("a.twc").write_bytes(change(Path("a.twc").read_bytes())) and None


def with_other_values(content: bytes) -> bytes:
    """Return a file of another machine, on which other values were coded than are decoded here."""
    held = unpack(content)
    return pack(dataclasses.replace(held, symbols=held.symbols ^ 1))


def of_version(number: int) -> Callable[[bytes], bytes]:
    """Return a change of the version, and of the checksum."""

    def change(content: bytes) -> bytes:
        at = len(MAGIC)
        body = content[:at] + bytes([number]) + content[at + 1 : -4]
        return body + struct.pack("<I", zlib.crc32(body))

    return change


def again() -> None:
    """Compress the picture again."""
    enter(f"{CODE} --force")


def scale_weights(factor: float) -> None:
    file = BEST.format("one")
    save_file({name: value * factor for name, value in load_file(file).items()}, file)


def other_latent() -> None:
    """Let the configuration of a run be that of another training."""
    folder = RunFolder(Path("runs/one"))
    tree = folder.read_config()
    tree["model"]["latent"] = 16
    folder.write_config(tree)


def same_run() -> None:
    """Copy configuration and weights from one training."""
    shutil.rmtree("runs/one")
    make_run("one", 0)


def deep() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 40), dtype=np.uint16)
    Image.fromarray(values).save("deep.png")


def deep_colour() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 40, 3), dtype=np.uint16)
    Path("deep.ppm").write_bytes(b"P6 40 40 65535\n" + values.byteswap().tobytes())


def converted() -> None:
    """Make the largest value white."""
    values = np.asarray(Image.open("deep.png"), dtype=np.float64)
    Image.fromarray((values / values.max() * 255).astype(np.uint8)).save("deep.png")


PIXELS = np.zeros((8, 8, 3), np.uint8)
CODING = {
    "another run": Advice(
        "decompress a.twc --run two --output b.png", "Name the run that wrote it", DECODE
    ),
    "no run": Advice(
        "decompress a.twc --output b.png", "with --run",
        "decompress a.twc --run elsewhere --output b.png",
        lambda: Path("runs/one").rename("elsewhere"),
    ),
    "another machine": Advice(
        DECODE, "or compress the picture again here", None, altered(with_other_values), again
    ),
    "a later version": Advice(
        DECODE, "the later tunewright that wrote it", None, altered(of_version(VERSION + 1)),
        altered(of_version(VERSION)),
    ),
    "a file cut short": Advice(
        DECODE, "or compress the picture again", None, altered(lambda held: held[:-9]), again
    ),
    "a diverged training": Advice(
        f"{CODE} --force", "use another run",
        "compress photos/0.png --run two --output a.twc --force", lambda: scale_weights(1e9),
    ),
    "weights of another training": Advice(
        f"{CODE} --force", "copy both from one", None, other_latent, same_run
    ),
    "weights of another training, another run": Advice(
        f"{CODE} --force", "name another run",
        "compress photos/0.png --run two --output a.twc --force", other_latent,
    ),
    "16 bits": Advice(
        "compress deep.png --run one --output c.twc", "Convert it", None, deep, converted
    ),
    "16 bits of each colour": Advice(
        "compress deep.ppm --run one --output c.twc", "Convert it", None, deep_colour,
        lambda: draw("deep.ppm"),
    ),
    "an empty picture": Advice(
        "compress no.png --run one --output c.twc", "Copy the file again", None,
        lambda: Path("no.png").touch(), lambda: draw("no.png"),
    ),
    "a lossy picture": Advice(
        lambda: write_picture(Path("b.jpg"), PIXELS, grey=False), "Convert the result",
        lambda: (write_picture(Path("b.png"), PIXELS, grey=False),
                 Image.open("b.png").convert("RGB").save("b.jpg")),
    ),
    "a picture below a file": Advice(
        lambda: write_picture(Path("a.twc/b.png"), PIXELS, grey=False), "choose another path",
        lambda: write_picture(Path("b.png"), PIXELS, grey=False),
    ),
    "compressed below a file": Advice(
        "compress photos/0.png --run one --output a.twc/b.twc", "choose another path",
        "compress photos/0.png --run one --output b.twc",
    ),
    "no such picture": Advice(
        "compress foto/0.png --run one --output c.twc", "Check the path",
        "compress photos/0.png --run one --output c.twc",
    ),
    "two of one name": Advice(
        "compress photos other --run one --output out", "Name them in two calls, with two folders",
        lambda: (run("compress", "photos", "--run", "one", "--output", "out"),
                 run("compress", "other", "--run", "one", "--output", "out2")),
        lambda: draw("other/0.png"),
    ),
    "a file that is there": Advice(CODE, "Name another --output", CODE.replace("a.twc", "c.twc")),
    "a file that is there, replaced": Advice(CODE, "with --force", f"{CODE} --force"),
}  # fmt: skip


def evaluate(name: str, data: str) -> None:
    run("evaluate", f"runs/{name}", "--data", data)


OF_TWO = Path("runs/two/evaluation.json")


def stored(**changed: object) -> Callable[[], object]:
    """Change what the evaluation of a run says."""
    return lambda: OF_TWO.write_text(json.dumps({**json.loads(OF_TWO.read_text()), **changed}))


def large() -> None:
    """Measure both runs on a picture that is large enough."""
    draw("large/0.png", side=168)
    for name in ("one", "two"):
        evaluate(name, "large")


def spoil(name: str) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(b"<html>")


LISTS = {"bpp": [0.2, 0.4, 0.8, 1.6], "psnr": [28.0, 31.0, 34.0, 37.0]}


def curve(name: str = "c.json", **lists: list[float]) -> Callable[[], object]:
    """Write a curve with some lists changed."""
    return lambda: Path(name).write_text(json.dumps({**LISTS, **lists}))


def both(*steps: Callable[[], object]) -> Callable[[], object]:
    return lambda: [step() for step in steps]


RATES = "bd-rate c.json c.json"
COMPARE = "compare one --data photos --output out"
MEASURING = {
    "a split that is not kept": Advice(
        "evaluate runs/one --split test", "tunewright evaluate RUN --data DIR",
        "evaluate runs/one --data photos",
    ),
    "a broken picture": Advice(
        COMPARE, "Replace the files", None, spoil("photos/1.png"),
        lambda: draw("photos/1.png", 1),
    ),
    "a broken picture, left out": Advice(
        COMPARE, "leave them out with --skip-bad", f"{COMPARE} --skip-bad",
        spoil("photos/1.png"),
    ),
    "no MS-SSIM": Advice(
        "bd-rate runs runs --metric ms_ssim", "pictures of more than 160 pixels a side", None,
        mend=large,
    ),
    "no evaluation of a compressor": Advice(
        "bd-rate runs runs", "tunewright evaluate RUN --data DIR", None,
        lambda: OF_TWO.write_text("{}"), lambda: evaluate("two", "photos"),
    ),
    "two sets": Advice(
        "bd-rate runs runs", "tunewright evaluate RUN --data DIR with the same DIR", None,
        stored(digest="of others"), lambda: evaluate("two", "photos"),
    ),
    "a single point": Advice(
        "bd-rate runs runs", "tunewright evaluate RUN --data DIR writes a run's point", None,
        OF_TWO.unlink, lambda: evaluate("two", "photos"),
    ),
    "a published curve misspelt": Advice(
        "bd-rate published:hpcm-bas@kodak c.json", "Did you mean 'published:hpcm-base@kodak'?",
        "bd-rate published:hpcm-base@kodak c.json", curve(),
    ),
    "a method misspelt": Advice(
        f"{RATES} --method akma", "Did you mean 'akima'?", f"{RATES} --method akima", curve()
    ),
    "a metric misspelt": Advice(
        f"{RATES} --metric psrn", "Did you mean 'psnr'?", f"{RATES} --metric psnr", curve()
    ),
    "a plot below a file": Advice(
        f"{RATES} --plot c.json/p.svg", "choose another path", f"{RATES} --plot p.svg", curve()
    ),
    "points in no order": Advice(
        RATES, "Sort both lists together", None,
        curve(bpp=[0.4, 0.2, 0.8, 1.6], psnr=[31.0, 28.0, 34.0, 37.0]), curve(),
    ),
    "a point twice": Advice(
        RATES, "Leave out one of the two points", None,
        curve(bpp=[0.2, 0.2, 0.4, 0.8, 1.6], psnr=[28.0, 28.1, 31.0, 34.0, 37.0]), curve(),
    ),
    "an anchor misspelt": Advice(
        f"{COMPARE} --anchor JPGE", "Did you mean 'JPEG'?", f"{COMPARE} --anchor JPEG"
    ),
    "a table that cannot be written": Advice(
        COMPARE, "choose another path", f"{COMPARE}2",
        lambda: Path("out/photos/comparison.json").mkdir(parents=True),
    ),
    "a plot that cannot be written": Advice(
        COMPARE, "choose another path", f"{COMPARE}2",
        lambda: Path("out/photos/rate-distortion.svg").mkdir(parents=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CODING)
def test_the_advice_about_a_compressed_picture_helps(case, here):
    obey(CODING[case])


@pytest.mark.slow  # each trains or measures with several codecs
@pytest.mark.parametrize("case", MEASURING)
def test_the_advice_about_a_measured_compressor_helps(case, here):
    obey(MEASURING[case])


def test_a_picture_larger_than_the_memory(here, monkeypatch):
    """The tiny network takes 1 KB a pixel; the file is coded in parts."""
    draw("large.png", side=200)
    monkeypatch.setattr("tunewright.recipes.compression.codec.memory.free_mib", lambda: 2)
    monkeypatch.setattr("tunewright.recipes.compression.codec.codec.CHEAP_PIXELS", 0)

    def parts() -> None:
        with Image.open("large.png") as picture:
            picture.crop((0, 0, 20, 20)).save("part.png")
        tunewright.compress("part.png", run="one", output="c.twc")

    typed = "compress large.png --run one --output b.twc"
    obey(Advice(typed, "or in parts", parts))

    def more() -> None:
        monkeypatch.setattr("tunewright.recipes.compression.codec.memory.free_mib", lambda: 2000)

    obey(Advice(typed, "on a machine with more memory", mend=more))
