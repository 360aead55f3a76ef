"""Which names say that less is better, and which only look as if they did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import ConfigError
from tunewright.recipes.direction import lower_is_better
from tunewright.recipes.registry import find_recipe


def names(text: str) -> list[str]:
    return text.split()


LESS = names(
    """
    loss val_loss loss/val valLoss MSELoss CrossEntropyLoss loss_1 triplet_loss
    val/loss/dataloader_idx_0 loss_per_token rmse test_rmse valRMSE rmse_test_fold_3 mse mae
    mape mean_squared_error max_error err error error_rate top1_error error_top1 err@1
    validation_error_rate word_error_rate false_positive_rate perplexity ppl nll
    neg_log_likelihood cross_entropy categorical_crossentropy bpp bits_per_pixel wer cer fid
    fid_score brier brier_score ece expected_calibration_error kl_divergence edit_distance
    latency latency_ms latency_p99 inference_ms seconds seconds_per_image time train_time
    time_per_step
    """
)
NOT = names(
    """
    value score accuracy top1 f1 auc r2 psnr ms_ssim recall mAP reward log_likelihood elbo
    throughput lossless_ratio lossless error_free errorless loss_free mirror terror glossy
    learning_rate hit_rate neg_mean_squared_error neg_log_loss 1-wer 1_minus_error -loss
    inverse_loss loss_reduction improvement_in_loss images_per_second images_per_seconds
    survival_time time_to_failure uptime distance loss_scale error_correction per val mean
    """
)
PLAIN = ["loss", "rmse", "error", "error_rate", "perplexity", "cross_entropy", "wer", "latency"]


@pytest.mark.parametrize("name", LESS)
def test_names_that_say_so(name: str) -> None:
    assert lower_is_better(name)


@pytest.mark.parametrize("name", NOT)
def test_names_that_do_not(name: str) -> None:
    assert not lower_is_better(name)


@given(
    st.sampled_from(["val", "test", "train", "best", "eval"]),
    st.sampled_from(PLAIN),
    st.sampled_from("_/.- "),
    st.booleans(),
)
def test_the_split_may_stand_on_either_side(split: str, name: str, sign: str, behind: bool) -> None:
    assert lower_is_better(sign.join([name, split] if behind else [split, name]))
    assert lower_is_better(sign.join([split, name]).upper())


@given(st.text(max_size=12))
def test_any_text_is_a_name(name: str) -> None:
    assert lower_is_better(name) in (True, False)


def test_what_is_typed_or_declared_outweighs_the_name() -> None:
    function, compression = find_recipe("function"), find_recipe("compression")
    assert function.goal("val_loss").direction == "min"
    assert function.goal("val_loss:max").direction == "max"
    assert function.goal("accuracy").direction == "max"
    assert function.goal("accuracy:min").direction == "min"
    assert compression.metrics
    for name, direction in compression.metrics.items():
        assert compression.goal(f"val_{name}").direction == direction
    with pytest.raises(ConfigError):
        compression.goal("rmse")
