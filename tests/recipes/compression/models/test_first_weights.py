import pytest
import torch
from safetensors.torch import save_file

from tunewright.errors import DataError
from tunewright.recipes.compression.models.factory import load_first_weights
from tunewright.recipes.compression.models.hyperprior import MeanScaleHyperprior


def model(channels: int = 4, latent: int = 4) -> MeanScaleHyperprior:
    return MeanScaleHyperprior(channels, latent)


def test_from_a_file_and_from_a_run_folder(tmp_path):
    stored = model()
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / "best.safetensors"
    save_file(stored.state_dict(), file)
    for given in (file, tmp_path):
        filled = model()
        load_first_weights(filled, given)
        for name, tensor in stored.state_dict().items():
            assert torch.equal(filled.state_dict()[name], tensor)


def test_weights_of_another_model_are_refused_by_what_differs(tmp_path):
    file = tmp_path / "w.safetensors"
    state = model(latent=6).state_dict()
    state["attn_s1.conv_q.weight"] = state.pop("g_a.0.weight")
    save_file(state, file)
    with pytest.raises(DataError) as refused:
        load_first_weights(model(), file)
    told = str(refused.value)
    assert "missing: g_a.0.weight;" in told
    assert "unexpected: attn_s1.conv_q.weight;" in told
    assert "g_a.6.weight [6, 4, 5, 5] in place of [4, 4, 5, 5]" in told
    assert "more" in told
    assert "model.latent" in told


def test_a_diverged_checkpoint_is_refused(tmp_path):
    state = model().state_dict()
    state["g_s.0.bias"] = torch.full_like(state["g_s.0.bias"], torch.nan)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"not of finite numbers: g_s\.0\.bias"):
        load_first_weights(model(), tmp_path / "w.safetensors")


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_first_weights(model(), tmp_path / "none.safetensors")
    with pytest.raises(DataError, match="No such file"):
        load_first_weights(model(), tmp_path)
    pickle = tmp_path / "w.pth.tar"
    torch.save(model(), pickle)
    with pytest.raises(DataError, match="never unpickled"):
        load_first_weights(model(), pickle)


def test_a_state_dict_of_torch_inside_a_checkpoint(tmp_path):
    stored = model()
    state = {f"module.{name}": tensor for name, tensor in stored.state_dict().items()}
    torch.save({"epoch": 7, "state_dict": state, "optimizer": {"state": {}}}, tmp_path / "w.tar")
    filled = model()
    load_first_weights(filled, tmp_path / "w.tar")
    for name, tensor in stored.state_dict().items():
        assert torch.equal(filled.state_dict()[name], tensor)
