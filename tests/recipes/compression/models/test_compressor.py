import copy

import pytest
import torch
from torch import Tensor

from tunewright.recipes.compression import config
from tunewright.recipes.compression.models.compressor import CodingStep, Compressor
from tunewright.recipes.compression.models.factory import make_compressor
from tunewright.recipes.compression.models.hpcm import Hpcm, HpcmShape
from tunewright.recipes.compression.models.hyperprior import MeanScaleHyperprior

TOY = HpcmShape(widths=(8, 8, 16), depths=(1, 1, 1), latent=16, hyper=8, heads=4, windows=(2, 4, 4))
BASE = {
    "g_a": 6_716_336,
    "g_s": 6_716_019,
    "h_a": 3_156_304,
    "h_s": 6_116_448,
    "y_spatial_prior_adaptor_list": 9_225_600,
    "y_spatial_prior_s1_s2": 11_711_680,
    "y_spatial_prior_s3": 19_109_440,
    "attn": 4_922_880,
    "context_net": 820_480,
    "adaptive_params_list": 9_600,
    "_hyper": 512,
}


def toy(kind: str) -> Compressor:
    """A model small enough for milliseconds, whose latents are not all 0."""
    torch.manual_seed(0)
    model = Hpcm(TOY) if kind == "hpcm" else MeanScaleHyperprior(8, 8)
    with torch.no_grad():
        model.g_a[-1].weight.mul_(30.0 if kind == "hpcm" else 1.0)
        model.h_a[-1].weight.mul_(20.0)
    return model


def pictures(batch: int = 2, height: int = 128, width: int = 128) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


KINDS = pytest.mark.parametrize("kind", ["hpcm", "hyperprior"])


def count(model: Compressor, part: str = "") -> int:
    return sum(p.numel() for name, p in model.named_parameters() if part in name)


def test_base_and_large_have_the_published_sizes():
    with torch.device("meta"):
        base = make_compressor(config.HpcmConfig(size="base"))
        large = make_compressor(config.HpcmConfig(size="large"))
    assert {part: count(base, part) for part in BASE} == BASE
    assert count(base) == sum(BASE.values()) == 68_505_299
    assert count(large) == 89_718_803
    assert base.multiple == large.multiple == 256
    assert base.stride == large.stride == 16


def test_the_hyperprior_has_the_published_size():
    """Of CompressAI's 7,028,003, 7,808 are a factorised density; ours is 128 means and scales."""
    model = make_compressor(config.HyperpriorConfig())
    assert count(model) == 7_028_003 - 7_808 + 256


def test_tiny_takes_crops_of_128():
    with torch.device("meta"):
        model = make_compressor(config.HpcmConfig(size="tiny"))
    assert model.multiple == 128
    assert 1e6 < count(model) < 2e6


@pytest.mark.parametrize(
    "section", [config.HpcmConfig(), config.HyperpriorConfig(channels=8, latent=12)]
)
def test_what_learns_in_minutes_begins_with_latents_that_are_not_all_0(section):
    torch.manual_seed(0)
    model = make_compressor(section)
    smooth = torch.nn.functional.interpolate(pictures(2, 16, 16), (128, 128), mode="bilinear")
    with torch.no_grad():
        y, _ = model.analyse(smooth)
    assert 0.3 < y.std((0, 2, 3)).mean() < 3.0


@KINDS
def test_what_a_forward_pass_returns(kind):
    model = toy(kind)
    coded = model(pictures(2, 128, 256))
    assert coded.pictures.shape == (2, 3, 128, 256)
    assert set(coded.likelihoods) == {*model.grids, "z"}
    latents = sum(part.shape[1] for name, part in coded.likelihoods.items() if name != "z")
    assert latents == model.analyse(pictures(2, 128, 256))[0][0].numel()
    for part in coded.likelihoods.values():
        assert len(part) == 2
        assert ((part > 0) & (part <= 1)).all()


def test_latents_of_hpcm_are_counted_by_grid():
    coded = toy("hpcm")(pictures(1))
    sizes = {name: part.shape[1] for name, part in coded.likelihoods.items()}
    y = 16 * 8 * 8
    assert sizes == {"s1": y // 16, "s2": y * 3 // 16, "s3": y * 3 // 4, "z": 8 * 2 * 2}


@KINDS
def test_a_gradient_reaches_every_parameter(kind):
    model = toy(kind)
    coded = model(pictures())
    bits = sum(-part.log().mean() for part in coded.likelihoods.values())
    (bits + (coded.pictures - pictures()).square().mean()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


@KINDS
@torch.no_grad()
def test_reading_is_writing_again(kind):
    """Quantised values alone lead through the walk to the same latents and the same scales."""
    model = toy(kind).eval()
    y, z = model.analyse(pictures(1))
    grids = [grid.flatten(1) for grid in model.on_grids(y)]
    prior = model.predict((z - model.means_hyper).round() + model.means_hyper)
    written: list[tuple[CodingStep, Tensor, Tensor]] = []

    def write(step: CodingStep, scales: Tensor, means: Tensor) -> Tensor:
        symbols = (grids[step.grid][:, step.index] - means).round()
        written.append((step, scales, symbols))
        return symbols + means

    def read(step: CodingStep, scales: Tensor, means: Tensor) -> Tensor:
        same, told, symbols = written.pop(0)
        assert (step.number, step.grid) == (same.number, same.grid)
        assert torch.equal(scales, told)
        return symbols + means

    wrote = model.code_latents(prior, write)
    assert any(symbols.any() for _, _, symbols in written)
    assert torch.equal(model.code_latents(prior, read), wrote)
    assert written == []
    assert torch.equal(model.synthesise(wrote), model(pictures(1)).pictures)


@torch.no_grad()
def test_a_step_is_told_by_all_before_it_and_none_after():
    model = toy("hpcm").eval()
    prior = model.predict(model.analyse(pictures(1))[1])

    def scales_with(changed: int) -> list[Tensor]:
        found: list[Tensor] = []

        def code_step(step: CodingStep, scales: Tensor, means: Tensor) -> Tensor:
            found.append(scales)
            return means + (step.number == changed)

        model.code_latents(prior, code_step)
        return found

    plain = scales_with(changed=-1)
    assert len(plain) == 11
    for changed in range(11):
        same = [torch.equal(a, b) for a, b in zip(plain, scales_with(changed), strict=True)]
        assert same == [number <= changed for number in range(11)]


@KINDS
@torch.no_grad()
def test_evaluation_repeats_itself_and_training_has_noise(kind):
    model = toy(kind).eval()
    one, two = model(pictures()), model(pictures())
    assert torch.equal(one.pictures, two.pictures)
    for name, part in one.likelihoods.items():
        assert torch.equal(part, two.likelihoods[name])
    model.train()
    noisy = model(pictures())
    assert torch.equal(noisy.pictures, one.pictures)
    assert not torch.equal(noisy.likelihoods["z"], one.likelihoods["z"])


@KINDS
@torch.no_grad()
def test_every_tensor_is_in_the_state_and_moves(kind):
    model = toy(kind).eval()
    learned = {name for name, _ in model.named_parameters()}
    assert set(model.state_dict()) == learned
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        parameter.zero_()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(pictures()).pictures, model(pictures()).pictures)
    doubled = model.double()(pictures().double())
    assert doubled.pictures.dtype == torch.float64
    assert all(part.dtype == torch.float64 for part in doubled.likelihoods.values())


@KINDS
def test_bits_are_counted_in_float32_under_autocast(kind):
    model = toy(kind).eval()
    plain = model(pictures())
    with torch.autocast("cpu", torch.bfloat16):
        coded = model(pictures())
    sums = []
    for found in (plain, coded):
        assert all(part.dtype == torch.float32 for part in found.likelihoods.values())
        sums.append(sum(-part.log2().sum() for part in found.likelihoods.values()).item())
    assert sums[1] == pytest.approx(sums[0], rel=0.1)


@KINDS
def test_learning_lowers_the_bits(kind):
    model = toy(kind)
    bits = []
    for _ in range(8):
        found = model(pictures()).likelihoods
        loss = sum(-part.log2().sum() for part in found.values())
        model.zero_grad()
        loss.backward()
        with torch.no_grad():  # as Adam's first step does
            for parameter in model.parameters():
                if parameter.grad is not None:  # the synthesis costs no bits
                    parameter -= 1e-3 * parameter.grad.sign()
        bits.append(loss.item())
    assert bits[-1] < 0.8 * bits[0]
