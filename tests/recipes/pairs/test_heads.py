import pytest
import torch
from torch import nn

from tunewright.errors import ConfigError
from tunewright.recipes.pairs.heads import HEADS, SelfAttentionLayer, attention, siglip

IMAGE, TEXT = 1536, 4096
SMALL = {
    "siglip": {},
    "clip": {"hidden_dim": 12},
    "mlp": {"hidden_dim": 12},
    "attention": {"num_heads": 2},
}


def parameters(name: str, input_dim: int, **options: int) -> int:
    with torch.device("meta"):
        head = HEADS[name](input_dim, **options)
    return sum(p.numel() for p in head.parameters())


@pytest.mark.parametrize(
    ("name", "options", "image", "text"),
    [
        ("siglip", {"output_dim": 512}, 789_504, 2_105_344),
        ("siglip", {"output_dim": 1024}, 1_575_936, 4_202_496),
        ("clip", {"hidden_dim": 1024, "output_dim": 512}, 2_098_688, 4_720_128),
        ("clip", {"hidden_dim": 2048, "output_dim": 1024}, 5_245_952, 10_488_832),
        ("mlp", {"hidden_dim": 1024, "output_dim": 512}, 2_099_712, 4_721_152),
        ("attention", {"num_layers": 1, "output_dim": 1024}, 11_022_336, 71_330_816),
        ("attention", {"num_layers": 2, "output_dim": 512}, 19_680_768, 136_365_568),
    ],
)
def test_parameter_counts(name, options, image, text):
    assert parameters(name, IMAGE, **options) == image
    assert parameters(name, TEXT, **options) == text


def test_siglip_starts_with_unit_variance():
    torch.manual_seed(0)
    weight = siglip(IMAGE, output_dim=256)[2].weight
    assert weight.std().item() * IMAGE**0.5 == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_every_parameter_is_trained_and_evaluation_is_deterministic(name):
    torch.manual_seed(0)
    tokens = {"tokens": 4} if name == "attention" else {}
    head = HEADS[name](16, output_dim=8, dropout=0.2, **SMALL[name], **tokens)
    x = torch.randn(5, 16)
    head(x).square().sum().backward()
    untrained = [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    assert untrained == []
    head.eval()
    assert head(x).shape == (5, 8)
    assert torch.equal(head(x), head(x))


def test_one_token_equals_full_attention_in_value_and_gradient():
    torch.manual_seed(0)
    layer = SelfAttentionLayer(16, num_heads=4, dropout=0.0).double()
    x = torch.randn(3, 1, 16, dtype=torch.float64)
    ours = layer(x)
    full = layer.norm(x + layer.attention(x, x, x, need_weights=False)[0])
    torch.testing.assert_close(ours, full)

    parameters = list(layer.parameters())
    weight = torch.randn_like(ours)
    for mine, theirs in zip(
        torch.autograd.grad(ours, parameters, weight),
        torch.autograd.grad(full, parameters, weight),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


def test_one_token_dropout_takes_whole_heads():
    torch.manual_seed(0)
    layer = SelfAttentionLayer(8, num_heads=4, dropout=0.5)
    layer.norm = nn.Identity()
    with torch.no_grad():
        layer.attention.out_proj.weight.copy_(torch.eye(8))
        layer.attention.in_proj_weight[16:] = torch.eye(8)
    attended = layer(torch.ones(64, 1, 8)) - 1
    by_head = attended.reshape(64, 4, 2)
    assert torch.equal(by_head[..., 0], by_head[..., 1])
    assert set(by_head.flatten().tolist()) == {0.0, 2.0}


def test_num_heads_is_inert_at_one_token_only():
    torch.manual_seed(0)
    x = torch.randn(3, 32)

    def outputs(tokens: int) -> list[torch.Tensor]:
        heads = [attention(32, num_heads=n, tokens=tokens).eval() for n in (2, 4)]
        heads[1].load_state_dict(heads[0].state_dict())
        return [head(x) for head in heads]

    assert torch.equal(*outputs(tokens=1))
    two, four = outputs(tokens=4)
    assert (two - four).abs().max() > 1e-4


def test_tokens_attend_to_each_other_at_their_own_width():
    head = attention(32, num_heads=2, num_layers=1, tokens=4)
    layer = head[1]
    assert layer.attention.embed_dim == 8
    x = torch.randn(1, 4, 8)
    changed = x.clone()
    changed[0, 3] += 1
    assert not torch.allclose(layer(x)[0, 0], layer(changed)[0, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": 5}, r"tokens = 5: expected a divisor of the embedding width 4096.*1, 2, 4"),
        ({"num_heads": 12}, r"num_heads = 12: expected a divisor of the token width 4096"),
        ({"tokens": 1024, "num_heads": 8}, r"token width 4 \(4096 / 1024 tokens\).*one of 1, 2, 4"),
    ],
)
def test_what_does_not_divide_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        attention(TEXT, **options)
