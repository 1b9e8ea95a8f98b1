import math

import pytest
import torch
from torch.nn import functional as F

from galaxalign.align.losses import Weights, alignment_losses, class_contrast, identity_contrast, prototypes

ONES = Weights(image_text=1.0, symbol_text=1.0, image_symbol=1.0, classifier=1.0)


def unit(rows: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=-1)


def plain_class_contrast(a, b, class_a, class_b, scale):
    """The definition again, one pair at a time."""
    n, m = len(a), len(b)
    s = [
        [scale * sum(x * y for x, y in zip(a[i].tolist(), b[j].tolist(), strict=True)) for j in range(m)]
        for i in range(n)
    ]
    forward = 0.0
    for i in range(n):
        inside = sum(math.exp(s[i][j]) for j in range(m) if class_a[i] == class_b[j])
        forward -= math.log(inside / sum(math.exp(s[i][j]) for j in range(m))) / n
    backward = []
    for j in range(m):
        own = [i for i in range(n) if class_a[i] == class_b[j]]
        if own:
            total = math.log(sum(math.exp(s[i][j]) for i in range(n)))
            backward.append(sum(total - s[i][j] for i in own) / len(own))
    return (forward + sum(backward) / len(backward)) / 2


@pytest.mark.parametrize("class_b", [[0, 1, 2], [0, 0, 1, 2, 2], [2, 1, 0, 3]])
def test_class_contrast_is_its_definition(class_b):
    a, b = unit(6), unit(len(class_b), seed=1)
    class_a = torch.tensor([0, 0, 1, 2, 2, 2])
    got = class_contrast(a, b, class_a, torch.tensor(class_b), torch.tensor(7.0, dtype=torch.float64))
    assert got.item() == pytest.approx(plain_class_contrast(a, b, class_a.tolist(), class_b, 7.0), rel=1e-9)


def test_one_row_a_class_is_cross_entropy_towards_the_classes():
    a, b = unit(5), unit(3, seed=2)
    labels = torch.tensor([0, 1, 2, 1, 0])
    forward = F.cross_entropy(10 * a @ b.T, labels)
    same = F.one_hot(labels, 3).double().T
    backward = F.cross_entropy(10 * b @ a.T, same / same.sum(1, keepdim=True))
    got = class_contrast(a, b, labels, torch.arange(3), torch.tensor(10.0))
    assert torch.allclose(got, (forward + backward) / 2)


def test_identity_contrast_is_symmetric_and_log_n_when_all_are_equal():
    a, b = unit(6), unit(6, seed=3)
    scale = torch.tensor(5.0)
    assert torch.allclose(identity_contrast(a, b, scale), identity_contrast(b, a, scale))
    equal = unit(1).expand(6, -1)
    assert identity_contrast(equal, equal, scale).item() == pytest.approx(math.log(6))


def test_galaxies_of_one_class_at_one_point_pay_by_identity_alone_towards_their_class():
    texts = torch.eye(4, dtype=torch.float64)[:2]
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    galaxies, scale = texts[labels], torch.tensor(100.0)
    by_class = class_contrast(galaxies, texts, labels, torch.arange(2), scale)
    # Nothing towards the classes; from a class, its n_c galaxies share the probability.
    assert by_class.item() == pytest.approx((math.log(4) + math.log(2)) / 2 / 2)
    by_identity = identity_contrast(galaxies, texts[labels], scale)
    assert by_identity.item() == pytest.approx((4 * math.log(4) + 2 * math.log(2)) / 6)


def test_prototypes_are_unit_means():
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    got = prototypes(embeddings, torch.tensor([0, 0, 1]), 2)
    assert torch.allclose(got, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, -1.0]]))


def losses(targets: str, weights: Weights = ONES) -> dict[str, torch.Tensor]:
    return alignment_losses(
        weights=weights,
        targets=targets,
        scale=torch.tensor(10.0),
        labels=torch.tensor([0, 1, 1, 2]),
        images=unit(4),
        texts=unit(3, seed=4),
        symbols=unit(6, seed=5),
        symbol_classes=torch.tensor([0, 0, 1, 1, 2, 2]),
        symbol_choice=torch.tensor([1, 2, 3, 4]),
        head_logits=torch.zeros(4, 3, dtype=torch.float64),
    )


def test_terms_are_those_that_weigh():
    assert set(losses("class")) == {"image_text", "symbol_text", "image_symbol", "classifier"}
    assert set(losses("identity", Weights(1.0, 0.0, 0.0, 0.0))) == {"image_text"}
    assert losses("class")["classifier"].item() == pytest.approx(math.log(3))


def test_identity_terms_pair_each_galaxy_with_its_own_text_and_symbol():
    got = losses("identity")
    u, w, v = unit(4), unit(3, seed=4)[[0, 1, 1, 2]], unit(6, seed=5)[[1, 2, 3, 4]]
    scale = torch.tensor(10.0)
    assert torch.allclose(got["image_text"], identity_contrast(u, w, scale))
    assert torch.allclose(got["symbol_text"], identity_contrast(v, w, scale))
    assert torch.allclose(got["image_symbol"], identity_contrast(u, v, scale))


def test_gradient_pulls_a_galaxy_to_its_class_and_is_finite():
    a = unit(3).requires_grad_()
    b = unit(3, seed=6)
    class_contrast(a, b, torch.tensor([0, 0, 2]), torch.arange(3), torch.tensor(10.0)).backward()
    assert torch.isfinite(a.grad).all()
    assert (-a.grad[0] @ b[0]) > 0
