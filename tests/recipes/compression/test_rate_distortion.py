"""The loss against its formula; lambda from the table, beside it, and outside it."""

import math
from typing import Any

import pytest
import torch

from tunewright.config.compose import compose
from tunewright.errors import ConfigError
from tunewright.recipes.compression import config as schema
from tunewright.recipes.compression.config import LAMBDAS, CompressionConfig
from tunewright.recipes.compression.config_checks import check_fit, multiple_of
from tunewright.recipes.compression.models.compressor import CodedLatents
from tunewright.recipes.compression.models.factory import make_compressor
from tunewright.recipes.compression.ms_ssim import ms_ssim
from tunewright.recipes.compression.rate_distortion import LOSSES, psnr
from tunewright.recipes.registry import find_recipe

RECIPE = find_recipe("compression")


def configured(*overrides: str) -> CompressionConfig:
    config = compose(RECIPE, overrides).config
    assert isinstance(config, CompressionConfig)
    return config


def coded(side: int = 8) -> tuple[CodedLatents, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pictures, others = (torch.rand(2, 3, side, side, generator=generator) for _ in range(2))
    likelihoods = {"z": torch.full((2, 5), 0.5), "s1": torch.tensor([[0.25] * 4, [0.125] * 4])}
    return CodedLatents(others, likelihoods), pictures


def test_mse() -> None:
    made, pictures = coded()
    total, terms = LOSSES["mse"](quality=4)(made, pictures)
    error = ((made.pictures - pictures) ** 2).mean().item()
    bits = (5 + 5) / 2 + (8 + 12) / 2
    assert terms["mse"].item() == pytest.approx(error)
    assert terms["distortion"].item() == pytest.approx(0.013 * 255**2 * error)
    assert terms["bpp"].item() == pytest.approx(bits / 64)
    assert terms["bpp_z"].item() == pytest.approx(5 / 64)
    assert terms["bpp_s1"].item() == pytest.approx(10 / 64)
    assert total.item() == pytest.approx(0.013 * 255**2 * error + bits / 64)
    by_picture, bpp = LOSSES["mse"](quality=4).by_picture(made, pictures)
    assert by_picture.mean().item() == pytest.approx(total.item())
    assert bpp.tolist() == pytest.approx([13 / 64, 17 / 64])


@pytest.mark.parametrize("loss", ["mse", "ms_ssim"])
def test_a_reconstruction_that_grows_without_end_counts_as_diverged(loss: str) -> None:
    made, pictures = coded(176)
    criterion = LOSSES[loss](quality=2)
    wide = criterion(made._replace(pictures=300.0 * made.pictures), pictures)
    assert math.isfinite(wide.total), "a first step may be that far off, and comes back"
    grown = criterion(made._replace(pictures=3e4 * made.pictures), pictures)
    assert grown.total == math.inf
    assert math.isfinite(grown.terms["psnr"])


def test_ms_ssim() -> None:
    made, pictures = coded(176)
    total, terms = LOSSES["ms_ssim"](lmbda=8.73)(made, pictures)
    alike = ms_ssim(made.pictures, pictures).mean().item()
    assert terms["ms_ssim"].item() == pytest.approx(alike)
    assert total.item() == pytest.approx(8.73 * (1 - alike) + terms["bpp"].item())
    assert "mse" not in terms


def test_low_precision_stays_outside_the_loss() -> None:
    made, pictures = coded()
    full = LOSSES["mse"]()(made, pictures).total
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LOSSES["mse"]()(made, pictures).total, full)


def test_psnr_of_equal_pictures_is_capped() -> None:
    black, white = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    assert psnr(black, black).item() == pytest.approx(100)
    assert psnr(black, white).item() == 0
    assert psnr(black, black + 0.1).item() == pytest.approx(-10 * math.log10(0.01), abs=1e-4)


@pytest.mark.parametrize("kind", LAMBDAS)
def test_the_schema_has_what_the_components_take(kind: str) -> None:
    section: Any = {"mse": schema.MseConfig, "ms_ssim": schema.MsSsimConfig}[kind]
    fields = {n: f.default for n, f in section.model_fields.items() if n != "type"}
    assert dict(LOSSES.options(kind)) == fields
    assert list(LOSSES) == list(LAMBDAS)


def test_levels_are_the_tables() -> None:
    for kind, table in LAMBDAS.items():
        assert [LOSSES[kind](quality=level).lmbda for level in range(1, 7)] == list(table)
        assert LOSSES[kind]().lmbda == table[3]


def test_lambda_is_the_guides_default_and_may_be_typed_in_several_ways() -> None:
    assert configured().loss == schema.MseConfig()
    assert {RECIPE.dialect.aliases[word] for word in ("lambda", "lmbda", "loss.lambda")} == {
        "loss.lmbda"
    }
    assert configured("lambda=0.0067").loss == schema.MseConfig(lmbda=0.0067)
    assert configured("metric=ms-ssim", "quality=2").loss == schema.MsSsimConfig(quality=2)


def set_to(**options: Any) -> CompressionConfig:
    """What composing makes of settings, in less time: crops of 128 pixels unless they say so."""
    data = schema.PhotosConfig(crop=options.pop("crop", 128))
    return CompressionConfig(data=data, **options)


def mse(lmbda: float, **options: Any) -> CompressionConfig:
    return set_to(loss=schema.MseConfig(lmbda=lmbda, **options))


def test_a_lambda_beside_the_levels_is_told_and_one_outside_refused() -> None:
    [notice] = check_fit(mse(0.01))
    assert "lies between the levels 3 and 4 of mse (1: 0.0018," in notice
    assert check_fit(mse(0.013, quality=4)) == []
    for wrong in (0.2, 0.001):
        with pytest.raises(ConfigError, match=r"0\.0018 to 0\.0483, as in the table of mse: 1: "):
            check_fit(mse(wrong))
        [notice] = check_fit(mse(wrong, off_table=True))
        assert "as loss.off_table allows" in notice
    with pytest.raises(ConfigError, match=r"usual for ms_ssim \(loss=ms_ssim and"):
        check_fit(mse(16.64))
    with pytest.raises(ConfigError, match=r"level 2 of mse is lambda 0\.0035"):
        check_fit(mse(0.013, quality=2))


def test_crops_fit_model_loss_and_goal() -> None:
    structure = schema.MsSsimConfig()
    with pytest.raises(ConfigError, match=r"a multiple of 256 pixels for the model base.*=256"):
        check_fit(set_to(model=schema.HpcmConfig(size="base")))
    with pytest.raises(ConfigError, match=r"crops above 160 pixels.*data\.crop=256"):
        check_fit(set_to(loss=structure))
    with pytest.raises(ConfigError, match=r"data\.crop=192, or loss=mse"):
        check_fit(set_to(loss=structure, model=schema.HyperpriorConfig()))
    with pytest.raises(ConfigError, match="on which MS-SSIM can be measured"):
        check_fit(set_to(goal="val_ms_ssim"))
    assert check_fit(set_to(loss=structure, goal="val_ms_ssim", crop=256)) == []
    with pytest.raises(ConfigError, match=r"nowhere: expected a run folder, or a file of weights"):
        check_fit(set_to(model=schema.HpcmConfig(weights="nowhere")))


MODELS = [
    *(schema.HpcmConfig(size=size) for size in ("tiny", "base", "large")),
    schema.HyperpriorConfig(),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_multiples_are_those_of_the_models(
    model: schema.HpcmConfig | schema.HyperpriorConfig,
) -> None:
    with torch.device("meta"):
        assert make_compressor(model).multiple == multiple_of(set_to(model=model))
