import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from tunewright.contrastive.retrieval import retrieval_scores
from tunewright.errors import ConfigError
from tunewright.recipes.pairs.baselines import ValidationPairs, best_ridge, procrustes, ridge


def pairs(rows: int, image_dim: int = 6, text_dim: int = 8, noise: float = 0.0) -> list[Tensor]:
    """Texts that are a fixed linear function of their images, both far from the origin."""
    fixed, draw = torch.Generator().manual_seed(7), torch.Generator().manual_seed(rows)
    truth = torch.randn(image_dim, text_dim, generator=fixed, dtype=torch.float64)
    images = torch.randn(rows, image_dim, generator=draw, dtype=torch.float64)
    shake = torch.randn(rows, text_dim, generator=draw, dtype=torch.float64)
    return [images + 3, images @ truth + noise * shake - 5]


def test_ridge_equals_scikit_learn():
    images, texts = pairs(50, noise=0.5)
    found = ridge(images, texts, penalty=2.5)
    expected = Ridge(alpha=2.5).fit(images.numpy(), texts.numpy())
    torch.testing.assert_close(found.weight, torch.from_numpy(expected.coef_.T))
    predicted = (images - found.image_mean) @ found.weight + found.text_mean
    torch.testing.assert_close(predicted, torch.from_numpy(expected.predict(images.numpy())))


@pytest.mark.parametrize("fit", [procrustes, lambda *a, **k: ridge(*a, penalty=1.0, **k)])
def test_chunks_do_not_change_the_map(fit):
    images, texts = pairs(50, noise=0.5)
    whole, chunked = fit(images, texts), fit(images, texts, chunk_rows=7)
    torch.testing.assert_close(whole.weight, chunked.weight)


@pytest.mark.parametrize(("image_dim", "text_dim"), [(6, 6), (5, 8), (8, 5)])
def test_procrustes_is_orthonormal_and_optimal(image_dim, text_dim):
    images, texts = pairs(60, image_dim, text_dim, noise=0.3)
    found = procrustes(images, texts)
    weight = found.weight
    gram = weight @ weight.T if image_dim <= text_dim else weight.T @ weight
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=torch.float64))

    cross = (images - found.image_mean).T @ (texts - found.text_mean)
    draw = torch.Generator().manual_seed(0)
    for _ in range(20):
        other = torch.randn(image_dim, text_dim, generator=draw, dtype=torch.float64)
        u, _, vh = torch.linalg.svd(other, full_matrices=False)
        assert (u @ vh * cross).sum() < (weight * cross).sum()


def test_procrustes_recovers_a_rotation():
    images, _ = pairs(40)
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    torch.testing.assert_close(procrustes(images, images @ rotation + 4).weight, rotation)


def test_maps_retrieve_unseen_pairs_from_half_precision_rows():
    images, texts = pairs(200)
    unseen_images, unseen_texts = (x.half() for x in pairs(60))
    fitted = ridge(images.half(), texts.half(), penalty=1e-3)
    mapped, centred = fitted.images(unseen_images), fitted.texts(unseen_texts)
    assert mapped.dtype == centred.dtype == torch.float32
    torch.testing.assert_close(mapped.norm(dim=1), torch.ones(60))
    assert retrieval_scores(mapped, centred, torch.arange(60))["recall_1"] > 0.95


def test_best_ridge_is_chosen_on_validation():
    images, texts = pairs(12, image_dim=10, noise=2.0)  # few noisy rows: a penalty is needed
    valid = [*pairs(80, image_dim=10, noise=0.5), torch.arange(80)]
    grid = (1e-6, 1e-2, 1.0)
    chosen, penalty = best_ridge(images, texts, ValidationPairs(*valid), relative_penalties=grid)

    def recall(fitted) -> float:
        scores = retrieval_scores(fitted.images(valid[0]), fitted.texts(valid[1]), valid[2])
        return scores["recall_1"]

    centred = images - images.mean(0)
    eigenvalue = (centred.T @ centred).diagonal().mean().item()
    each = {eigenvalue * g: recall(ridge(images, texts, penalty=eigenvalue * g)) for g in grid}
    assert recall(chosen) == max(each.values())
    best = max(p for p, score in each.items() if score == max(each.values()))
    assert penalty == pytest.approx(best)


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan")])
def test_ridge_needs_a_positive_penalty(penalty):
    with pytest.raises(ConfigError, match="expected a positive number"):
        ridge(*pairs(10), penalty=penalty)
