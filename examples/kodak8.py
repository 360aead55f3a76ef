"""Learned compression against JPEG: two small models, four lambdas, real files.

A mean-scale hyperprior and HPCM tiny learn from a folder of photographs, in crops of 128 pixels:
first for one lambda at a constant rate, then from there for each of the four while the rate falls.
Each is then measured on other photographs through files that are written and read back, beside
JPEG, WebP and AVIF on the same pictures. It takes under 20 minutes on two CPU cores; the models of
papers see millions of crops for days, these see some ten thousand for minutes.

    python examples/kodak8.py PHOTOS KODAK

PHOTOS is the folder to learn from, KODAK the one to measure on. Runs go to `runs/`, figures to
`runs/kodak8.json` (another place with --output). The same command resumes.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tunewright

LAMBDAS = (0.0018, 0.0067, 0.013, 0.0483)
COMMON = 0.013
"""What all of them begin from is trained for."""
MODELS = {
    "hyperprior": ("model=hyperprior", "model.channels=48", "model.latent=72"),
    "hpcm-tiny": ("model=hpcm",),
}
SHARED = (
    "data.crop=128",
    "data.crops_per_photo=8",
    "training.batch_size=8",
    "training.precision=fp32",
    "optim.lr=2e-3",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("kodak", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--epochs", type=int, default=18, help="of what is common")
    parser.add_argument("--more-epochs", type=int, default=7, help="of each lambda")
    options = parser.parse_args()
    runs = options.runs_dir
    began = time.perf_counter()
    seconds: dict[str, float] = {}
    curves: dict[str, list[dict[str, Any]]] = {}
    for model, words in MODELS.items():
        common = f"kodak8-{model}"
        names = {common: (COMMON, options.epochs, "schedule=constant")}
        for lmbda in LAMBDAS:
            begin = f"model.weights={runs / common}"
            names[f"{common}-{lmbda}"] = (lmbda, options.more_epochs, "schedule=cosine", begin)
        for name, (lmbda, epochs, *how) in names.items():
            began_one = time.perf_counter()
            train(name, options, lmbda, epochs, (*words, *how))
            seconds[name] = round(time.perf_counter() - began_one, 1)
            if name == common:
                continue
            found = tunewright.evaluate(name, data=options.kodak, runs_dir=runs).figures
            classical = found["classical"]
            curves.setdefault(model, []).append(point(found))
            print(f"{name:<26} {told(curves[model][-1])}")
    result = {
        "command": f"python examples/kodak8.py PHOTOS KODAK --epochs {options.epochs} "
        f"--more-epochs {options.more_epochs}",
        "seconds": round(time.perf_counter() - began),
        "seconds_of_training": seconds,
        "curves": curves,
        "classical": classical,
        "bd_rate": compared(runs),
    }
    for pair, found in result["bd_rate"].items():
        print(f"{pair}: BD-rate {found['bd_rate']:+.1f} % {'; '.join(found['notices'])}")
    output = options.output or runs / "kodak8.json"
    output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{result['seconds']} s, written: {output}, {runs / 'kodak8.svg'}")


def train(
    name: str,
    options: argparse.Namespace,
    lmbda: float,
    epochs: int,
    words: Sequence[str],
) -> None:
    tunewright.train(
        "compression", f"data.dir={options.photos}", f"loss.lmbda={lmbda}",
        f"training.epochs={epochs}", *SHARED, *words,
        name=name, runs_dir=options.runs_dir,
    )  # fmt: skip


def point(found: Mapping[str, Any]) -> dict[str, Any]:
    """What one model does on the pictures, in the mean."""
    kept = ("bpp", "bpp_estimated", "psnr", "ms_ssim", "encode_seconds", "decode_seconds")
    return {"lambda": found["lmbda"]} | {name: found["metrics"][name] for name in kept}


def told(entry: Mapping[str, Any]) -> str:
    return (
        f"{entry['bpp']:.3f} bpp (estimated {entry['bpp_estimated']:.3f}), {entry['psnr']:.2f} dB"
    )


def compared(runs: Path) -> dict[str, dict[str, Any]]:
    """BD-rates: the models against JPEG, and HPCM against the hyperprior."""
    curve = {name: str(runs / f"kodak8-{name}-*") for name in MODELS}
    curve["jpeg"] = f"{runs / f'kodak8-hpcm-tiny-{LAMBDAS[0]}' / 'evaluation.json'}:jpeg"
    pairs = (("jpeg", "hyperprior"), ("jpeg", "hpcm-tiny"), ("hyperprior", "hpcm-tiny"))
    found = {}
    for anchor, test in pairs:
        # the last pair draws both curves, and what was measured beside them
        plot = runs / "kodak8.svg" if anchor == "hyperprior" else None
        difference = tunewright.bd_rate(curve[anchor], curve[test], plot=plot, runs_dir=runs)
        found[f"{test} over {anchor}"] = {
            "bd_rate": difference.bd_rate,
            "bd_psnr": difference.bd_psnr,
            "method": difference.method,
            "notices": list(difference.notices),
        }
    return found


if __name__ == "__main__":
    main()
