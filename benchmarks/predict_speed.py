"""`predict` on 5,000 small pictures: how much longer than the larger of decoding and the model.

decoding   every file read, decoded and squashed, as `predict` does it, and no model
model      every batch through the network, from pictures that are decoded and lie in memory
predict    `tunewright.predict` in this process: the weights read, the folder listed, decoding and
           model at the same time, labels written

Decoding and model are both free to use every core. Where the model runs on the same cores as the
decoding, their sum is what `predict` has to do, so the ratio can only come near to 1 as far as one
of them is small beside the other; `work_over_larger` is that sum by the larger of both. The
pictures are drawn by this script: JPEG files of 64 x 64 pixels. The networks are `longtail`'s
ColorNet-V1 (msff, at 64 pixels), and the smallest there is for the opposite case (simple_concat,
at 16 pixels), trained for one epoch.

    python benchmarks/predict_speed.py [--quick]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rounds import judge, run_rounds, save, summarise

import tunewright
from tunewright.classification.inference.predict import DecodedBatches, usual_batch_size
from tunewright.images.sources.open_source import open_table
from tunewright.recipes.longtail.setup import open_classifier
from tunewright.runs.folder import RunFolder

PICTURES, TRAINING, CLASSES, PIXELS = 5_000, 80, 4, 64
TARGET = 1.1
MODELS = {
    "ColorNet-V1 msff, 64 pixels": ("data.image_size=64", "model.fusion_size=4"),
    "ColorNet-V1 simple_concat, 16 pixels": ("data.image_size=16", "model.fusion=simple_concat"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="300 pictures, 2 rounds; not saved")
    options = parser.parse_args()
    pictures, rounds = (300, 2) if options.quick else (PICTURES, options.rounds)
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(TRAINING):
            draw(folder / "train" / str(number % CLASSES), number)
        for number in range(pictures):
            draw(folder / "test", number)
        for name, words in MODELS.items():
            print(f"-- {name}: {pictures:,} pictures, {torch.get_num_threads()} threads")
            found[name] = compare(folder, name, words, rounds)
    if not options.quick:
        command = f"python benchmarks/predict_speed.py --rounds {rounds}"
        facts = {"pictures": pictures, "pixels": PIXELS, "threads": torch.get_num_threads()}
        print(f"written: {save('predict_speed', command, None, **facts, **found)}")


def draw(folder: Path, number: int) -> None:
    """A picture of a few soft spots, about as hard to decode as a photograph."""
    drawn = np.random.default_rng(number)
    small = Image.fromarray(drawn.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    folder.mkdir(parents=True, exist_ok=True)
    small.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC).save(
        folder / f"{number:05d}.jpg", quality=92
    )


def compare(folder: Path, name: str, words: tuple[str, ...], rounds: int) -> dict[str, object]:
    run = folder / "runs" / str(len(list((folder / "runs").glob("*"))))
    tunewright.train(
        "longtail",
        f"data.dir={folder / 'train'}",
        "data.val_split=0.5",
        "training.epochs=1",
        "training.precision=fp32",
        "executor.type=inline",
        *words,
        name=run.name,
        runs_dir=run.parent,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classifier = open_classifier(RunFolder(run), device)
    table = open_table(folder / "test", labelled=False)
    size = usual_batch_size(classifier.size, device)
    with DecodedBatches(table, [classifier.size], size) as batches:
        decoded = [batch.images[classifier.size] for batch in batches]

    def decoding() -> dict[str, float]:
        began = time.perf_counter()
        with DecodedBatches(table, [classifier.size], size) as batches:
            for _ in batches:
                pass
        return {"seconds": time.perf_counter() - began}

    def model() -> dict[str, float]:
        began = time.perf_counter()
        with torch.no_grad():
            said = [classifier.logits(images.to(device)).log_softmax(1) for images in decoded]
            torch.cat(said).argmax(1).cpu()
        return {"seconds": time.perf_counter() - began}

    def predict() -> dict[str, float]:
        began = time.perf_counter()
        told = tunewright.predict(
            run, data=folder / "test", output=folder / "p.csv", on_progress=lambda *_: None
        )
        return {
            "seconds": time.perf_counter() - began,
            "predicting_seconds": told.seconds["predicting"],
        }

    measured = run_rounds(
        {"decoding": decoding, "model": model, "predict": predict}, rounds=rounds, null="predict"
    )
    parts = list(
        zip(
            measured.values("decoding", "seconds"),
            measured.values("model", "seconds"),
            strict=True,
        )
    )
    whole = measured.values("predict", "seconds")
    over = summarise([took / max(both) for took, both in zip(whole, parts, strict=True)])
    work = summarise([sum(both) / max(both) for both in parts])
    over_work = summarise([took / sum(both) for took, both in zip(whole, parts, strict=True)])
    verdict = judge(over, at_most=TARGET)
    print(f"{name}: over the larger {over} (the work itself {work}), over the work {over_work}")
    print(f"at most {TARGET}x the larger: {verdict}")
    return {
        "over_larger": over,
        "work_over_larger": work,
        "over_work": over_work,
        "verdict": verdict,
        "rounds": measured.rounds,
    }


if __name__ == "__main__":
    main()
