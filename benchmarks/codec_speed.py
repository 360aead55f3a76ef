"""Writing and reading pictures as files: our codec beside CompressAI's, on a CPU.

ours         the mean-scale hyperprior with 128 channels and 192 latents, trained for a moment; from
             the array of a picture to the bytes of a file and back. By default the encoder also
             decodes what it wrote and compares; `unchecked` does not
compressai   CompressAI's `MeanScaleHyperprior` of the same size, with our weights, in a process of
             its own (its entropy coder is C++); its factorised prior of the hyper-latents is not
             trained. From the array of a picture to its strings and back
hpcm         HPCM's eleven steps: how much of decoding is network, how much is the coder. Tiny is
             trained as the hyperprior is, base for four steps only: its latents are hardly awake,
             but a value costs the coder about the same whatever it is

All use as many threads as there are cores. The pictures are those in FOLDER, or the two photographs
that scikit-learn ships.

    python benchmarks/codec_speed.py [--compressai-python PATH] [--pictures FOLDER] [--quick]
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rounds import Arm, judge, ratio, run_rounds, save, summarise
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images

import tunewright
from tunewright.recipes.compression.codec.codec import compress_picture, decompress_picture
from tunewright.recipes.compression.codec.trained_compressor import (
    TrainedCompressor,
    open_compressor,
)
from tunewright.runs.folder import RunFolder

HERE = Path(__file__).parent
CHANNELS, LATENT = 128, 192
CODER_SHARE = 0.15


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--compressai-python", help="a Python with compressai, torch, safetensors")
    parser.add_argument("--pictures", type=Path, help="a folder of pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one small picture; not saved")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        arrays = pictures(options.pictures, small=options.quick)
        megapixels = sum(array.shape[0] * array.shape[1] for array in arrays) / 1e6
        print(f"{len(arrays)} pictures, {megapixels:.2f} megapixels, {threads} threads")
        facts: dict[str, object] = {
            "pictures": options.pictures.name if options.pictures else "scikit-learn's photographs",
            "megapixels": megapixels,
            "threads": threads,
            "hyperprior": against(arrays, folder, options.compressai_python, megapixels, rounds),
        }
        for size in ("tiny",) if options.quick else ("tiny", "base"):
            few = arrays if size == "tiny" else arrays[:1]  # base takes minutes for all of them
            facts[f"hpcm {size}"] = split(size, few, folder, rounds)
    if not options.quick:
        command = "python benchmarks/codec_speed.py --compressai-python PATH"
        if options.pictures:
            command += f" --pictures {options.pictures.name}"
        print(f"written: {save('codec_speed', command, None, **facts)}")


def pictures(folder: Path | None, *, small: bool) -> list[np.ndarray]:
    """uint8 [H, W, 3] each."""
    if folder is None:
        found = [np.asarray(image) for image in load_sample_images().images]
    else:
        files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
        found = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return [found[0][:192, :256]] if small else found


def trained(folder: Path, name: str, *words: str) -> TrainedCompressor:
    """A compressor after a moment of training: enough for latents that are worth coding."""
    tunewright.train(
        "compression",
        "training.epochs=12",
        "loss.quality=1",
        "executor.type=inline",
        *words,
        name=name,
        runs_dir=folder / "runs",
    )
    return open_compressor(RunFolder(folder / "runs" / name), torch.device("cpu"))


def against(
    arrays: Sequence[np.ndarray],
    folder: Path,
    python: str | None,
    megapixels: float,
    rounds: int,
) -> dict[str, object]:
    """Ours and CompressAI's on the same pictures, round by round."""
    opened = trained(
        folder,
        "hyperprior",
        "model=hyperprior",
        f"model.channels={CHANNELS}",
        f"model.latent={LATENT}",
    )
    arms: dict[str, Arm] = {
        "ours": lambda: coded(opened, arrays, megapixels, verify=True),
        "unchecked": lambda: coded(opened, arrays, megapixels, verify=False),
    }
    other: subprocess.Popen[str] | None = None
    if python is not None:
        weights, place = folder / "compressai.safetensors", folder / "arrays"
        save_file(as_compressai(opened), weights)
        place.mkdir()
        for number, array in enumerate(arrays):
            np.save(place / f"{number}.npy", array)
        command = [python, HERE / "compressai_coder.py", weights, place, torch.get_num_threads()]
        other = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        arms["compressai"] = asked(other, megapixels)
    measured = run_rounds(arms, rounds=rounds, null="ours")
    if other is not None:
        other.communicate()
    found: dict[str, object] = {
        "median": {
            name: {
                figure: measured.median(name, figure)
                for figure in ("encode_mp_per_s", "decode_mp_per_s", "bytes")
            }
            for name in arms
        },
        "rounds": measured.rounds,
    }
    for way in ("encode", "decode"):
        figure = f"{way}_mp_per_s"
        found[f"{way}: ours over ours"] = ratio(measured, "ours again", "ours", figure)
        for name in ("ours", "unchecked") if other is not None else ():
            over = ratio(measured, name, "compressai", figure)
            found[f"{way}: {name} over compressai"] = over
            found[f"{way}: {name} at least 1.0x"] = judge(over, at_least=1.0)
            print(f"{way}: {name} over compressai {over}: {judge(over, at_least=1.0)}")
    return found


def coded(
    opened: TrainedCompressor, arrays: Sequence[np.ndarray], megapixels: float, *, verify: bool
) -> Mapping[str, float]:
    """Write all pictures, read all of them."""
    began = time.perf_counter()
    files = [compress_picture(opened, array, verify=verify).data for array in arrays]
    encoded = time.perf_counter()
    for file in files:
        decompress_picture(opened, file)
    decoded = time.perf_counter()
    return {
        "encode_mp_per_s": megapixels / (encoded - began),
        "decode_mp_per_s": megapixels / (decoded - encoded),
        "bytes": float(sum(len(file) for file in files)),
    }


def asked(other: "subprocess.Popen[str]", megapixels: float) -> Callable[[], Mapping[str, float]]:
    def once() -> Mapping[str, float]:
        assert other.stdin is not None
        assert other.stdout is not None
        print("go", file=other.stdin, flush=True)
        told = json.loads(other.stdout.readline())
        return {
            "encode_mp_per_s": megapixels / told["encode_seconds"],
            "decode_mp_per_s": megapixels / told["decode_seconds"],
            "bytes": float(told["bytes"]),
        }

    return once


def as_compressai(opened: TrainedCompressor) -> dict[str, torch.Tensor]:
    """Our hyperprior's transforms; CompressAI calls them the same, and stores them alike."""
    state = opened.model.state_dict()
    return {
        name: value.contiguous() for name, value in state.items() if name.startswith(("g_", "h_"))
    }


def split(size: str, arrays: Sequence[np.ndarray], folder: Path, rounds: int) -> dict[str, object]:
    """Decoding by HPCM: which share of its time the coder takes."""
    # A step of base takes half a minute at the usual batch.
    few = ("data.crop=256", "data.crops_per_photo=1", "training.batch_size=1", "training.epochs=2")
    words = ("model=hpcm", f"model.size={size}", *(few if size == "base" else ()))
    opened = trained(folder, f"hpcm-{size}", *words)
    files = [compress_picture(opened, array, verify=False).data for array in arrays]

    def decode() -> Mapping[str, float]:
        found = [decompress_picture(opened, file) for file in files]
        return {
            "seconds": sum(one.seconds for one in found),
            "network_seconds": sum(one.network_seconds for one in found),
            "coder_seconds": sum(one.coder_seconds for one in found),
        }

    measured = run_rounds({"decode": decode}, rounds=rounds)
    shares = [
        coder / whole
        for coder, whole in zip(
            measured.values("decode", "coder_seconds"),
            measured.values("decode", "seconds"),
            strict=True,
        )
    ]
    share = summarise(shares)
    verdict = judge(share, at_most=CODER_SHARE)
    print(f"hpcm {size}: the coder takes {share} of decoding; at most {CODER_SHARE}: {verdict}")
    return {
        "coder_share": share,
        "verdict": verdict,
        "bytes": sum(len(file) for file in files),
        "rounds": measured.rounds,
    }


if __name__ == "__main__":
    main()
