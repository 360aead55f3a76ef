"""Compare a run with other codecs: figures, notes and the curves of a plot."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.evaluation.published_curves import published_on
from tunewright.recipes.compression.evaluation.rate_curve import decibels
from tunewright.recipes.compression.lambdas import weight_of
from tunewright.reports.rate_distortion import PlotCurve

Metric = Literal["psnr", "ms_ssim"]
KODAK_PICTURES = 24
SHOWN = {
    "jpeg": "JPEG",
    "jpeg2000": "JPEG 2000",
    "webp": "WebP",
    "avif": "AVIF",
    "bpg": "BPG",
    "vvenc": "VVC (vvenc)",
    "vtm": "VVC (VTM)",
}


def baselines(
    means: Mapping[str, float], classical: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Return what each classical codec reaches at the run's rate, if its curve includes that rate.

    Interpolated between its measured points, along the logarithm of the rate.
    """
    found = {}
    for name, curve in classical.items():
        if not curve["bpp"][0] <= means["bpp"] <= curve["bpp"][-1]:
            continue
        scores = {"bpp": means["bpp"]}
        for metric in ("psnr", "ms_ssim"):
            if metric in curve and metric in means:
                at = np.interp(np.log(means["bpp"]), np.log(curve["bpp"]), curve[metric])
                scores[metric] = float(at)
        found[f"{SHOWN[name]} at its rate"] = scores
    return found


def comparison_notes(result: Mapping[str, Any]) -> list[str]:
    """Return the notes that belong to the figures of an evaluation."""
    means, device = result["metrics"], result["device"]
    notes = [
        f"seconds a picture on {device}, {result['threads']} threads, one picture at a time: from "
        "pixels to bytes and back, without reading and writing of files"
    ]
    for name, curve in result["classical"].items():
        notes.append(_compare(SHOWN[name], means, curve))
    if "ms_ssim" not in means:
        notes.append("no MS-SSIM: not all pictures have more than 160 pixels a side")
    if result["published"] == "kodak" and result["images"] < KODAK_PICTURES:
        notes.append(
            f"the published curves are means over Kodak's {KODAK_PICTURES} pictures, of which "
            f"{result['images']} are measured here: context, not a comparison"
        )
    return notes


def model_name(config: CompressionConfig) -> str:
    """Return the model's name for figures: `HPCM-tiny`, `hyperprior-128-192`."""
    model = config.model
    if model.type == "hpcm":
        return f"HPCM-{model.size}"
    return f"hyperprior-{model.channels}-{model.latent}"


def lambda_of(config: CompressionConfig) -> float:
    """Return the weight of the distortion that a run was trained with."""
    loss = config.loss
    return weight_of(loss.type, loss.quality, loss.lmbda, loss.off_table).lmbda


def _compare(name: str, means: Mapping[str, float], curve: Mapping[str, Any]) -> str:
    """Return how many bits a codec needs at the run's PSNR, or why that is unknown."""
    order = np.argsort(curve["psnr"])
    qualities, rates = np.asarray(curve["psnr"])[order], np.asarray(curve["bpp"])[order]
    psnr, bpp = means["psnr"], means["bpp"]
    if not qualities[0] <= psnr <= qualities[-1]:
        side = "below the least" if psnr < qualities[0] else "above the most"
        end = qualities[0 if psnr < qualities[0] else -1]
        return f"{name}: the run's {psnr:.2f} dB lie {side} that was measured, {end:.2f} dB"
    needed = float(np.exp(np.interp(psnr, qualities, np.log(rates))))
    more = bpp / needed - 1.0
    return (
        f"{name} needs {needed:.3f} bpp for the run's {psnr:.2f} dB ({curve['settings']}): the "
        f"run takes {abs(more):.1%} {'more' if more > 0 else 'fewer'} bits"
    )


def plot_curves(result: Mapping[str, Any], metric: Metric) -> list[PlotCurve]:
    """Return the curves of a plot of one run: its point and the reference curves."""
    if metric not in result:
        return []
    name = f"{result['model']}, lambda {result['lmbda']:g}"
    own = PlotCurve(name, (result["bpp"],), _decibels([result[metric]], metric))
    return [own, *reference_curves(result, metric)]


def reference_curves(result: Mapping[str, Any], metric: Metric) -> list[PlotCurve]:
    """Return the curves of classical codecs on the same pictures, and those published for them."""
    lines = [
        PlotCurve(
            SHOWN.get(codec, codec),
            tuple(curve["bpp"]),
            _decibels(curve[metric], metric),
            "classical",
            curve["settings"],
        )
        for codec, curve in result.get("classical", {}).items()
        if metric in curve
    ]
    if metric == "psnr":
        lines += [
            PlotCurve(f"{one.codec} (published)", one.bpp, one.psnr, "published", one.source)
            for one in published_on(str(result.get("published")))
        ]
    return lines


def _decibels(values: Sequence[float], metric: Metric) -> tuple[float, ...]:
    if metric == "psnr":
        return tuple(values)
    return tuple(decibels(min(value, 1.0 - 1e-10)) for value in values)
