import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from galaxalign.align.augmentation import Augmentation, augment, resize
from galaxalign.align.batches import (
    RENDERED,
    Batch,
    Galaxies,
    SymbolViews,
    epoch_batches,
    few_labels,
    mirrored,
    read_ahead,
    sampled,
)
from galaxalign.align.schedule import learning_rate_share

STILL = Augmentation(rotate=False, flip=False, zoom=0.0, shift=0.0, brightness=0.0, noise=0.0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def mixture(**changes):
    """What `epoch_batches` reads of a recipe."""
    plain = {"sampling": "natural", "batch_size": 32, "epoch_size": "all", "living": SimpleNamespace(share=0.0)}
    return SimpleNamespace(**(plain | changes))


def test_natural_sampling_shows_every_galaxy_once():
    labels = torch.zeros(95, dtype=torch.int64)
    batches = [batch.indices for batch in epoch_batches(labels, 1, mixture(), generator())]
    assert sorted(torch.cat(batches).tolist()) == list(range(95))
    assert [len(batch) for batch in batches] == [32, 32, 31]
    again = sampled(labels, "natural", 200, generator())
    assert torch.bincount(again).min() == 2
    assert torch.bincount(again).max() == 3


@pytest.mark.parametrize(("sampling", "share"), [("balanced", 1 / 2), ("sqrt", 1 / 4)])
def test_sampling_weighs_classes(sampling, share):
    labels = torch.tensor([0] * 900 + [1] * 100)
    drawn = labels[sampled(labels, sampling, 20_000, generator())]
    assert drawn.double().mean().item() == pytest.approx(share, abs=0.01)


def test_a_share_of_every_batch_is_rendered_and_their_classes_are_equally_frequent():
    labels = torch.arange(40) % 4
    chosen = mixture(epoch_size=1600, living=SimpleNamespace(share=0.25), sampling="balanced")
    batches = epoch_batches(labels, 4, chosen, generator())
    assert len(batches) == 50
    for batch in batches:
        assert (batch.indices == RENDERED).sum() == 8
        real = batch.indices != RENDERED
        assert torch.equal(labels[batch.indices[real]], batch.labels[real])
    made = torch.cat([batch.labels[batch.indices == RENDERED] for batch in batches])
    assert torch.bincount(made, minlength=4).min() > 70
    # They are spread over the batch, so that each process renders some.
    assert 0 < np.mean([float((batch.indices[:16] == RENDERED).sum()) for batch in batches]) < 8


def test_without_labels_every_galaxy_is_rendered():
    chosen = mixture(epoch_size=96, living=SimpleNamespace(share=1.0))
    batches = epoch_batches(torch.empty(0, dtype=torch.long), 5, chosen, generator())
    assert [len(batch.indices) for batch in batches] == [32, 32, 32]
    assert all((batch.indices == RENDERED).all() for batch in batches)


class Shelf:
    """As much of a store as `Galaxies` needs."""

    path = "shelf"
    recipe = SimpleNamespace(size=4)
    label = np.arange(10, dtype=np.int16)

    def pictures(self, rows):
        if 7 in rows:
            raise OSError("row 7 is broken")
        return np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (len(rows), 4, 4, 3)).copy()


def batch_of(rows: list[int]) -> Batch:
    return Batch(torch.tensor(rows), torch.tensor(rows), torch.zeros(len(rows), dtype=torch.bool))


@pytest.mark.parametrize("memory", [1e6, 100])
def test_pictures_come_in_order_whether_they_fit_in_memory_or_not(memory):
    galaxies = Galaxies(Shelf(), np.array([2, 5, 8]), memory)
    batches = [[batch_of(rows)] for rows in ([2, 0], [1, RENDERED], [0])]
    read = [pictures[0][:, 0, 0, 0].tolist() for _, pictures in read_ahead(galaxies, batches, pin=False)]
    assert read == [[8, 2], [5], [2]]


def test_an_error_while_reading_ahead_is_raised():
    galaxies = Galaxies(Shelf(), np.array([2, 7]), memory=0)
    reader = read_ahead(galaxies, [[batch_of([1])]], pin=False)
    with pytest.raises(OSError, match="row 7 is broken"):
        next(reader)


def test_few_labels_takes_as_many_of_each_class_and_the_same_ones_by_seed():
    labels = torch.tensor([0] * 50 + [1] * 5 + [2] * 20)
    kept = few_labels(labels, 10, seed=3)
    assert torch.bincount(labels[kept]).tolist() == [10, 5, 10]
    assert torch.equal(kept, few_labels(labels, 10, seed=3))
    assert not torch.equal(kept, few_labels(labels, 10, seed=4))
    assert torch.equal(few_labels(labels, "all", seed=3), torch.arange(75))
    assert len(few_labels(labels, 0, seed=3)) == 0


def test_unchanged_picture_comes_back():
    pictures = torch.randint(0, 256, (2, 16, 16, 3), generator=generator(), dtype=torch.uint8)
    same = augment(pictures, 16, STILL, flip=True, generator=generator())
    assert torch.allclose(same, resize(pictures, 16), atol=1e-5)


def test_flip_only_where_a_mirror_image_means_the_same():
    settings = Augmentation(**{**STILL.__dict__, "flip": True})
    picture = torch.zeros(64, 8, 8, 3, dtype=torch.uint8)
    picture[:, :, 0] = 255
    mirrored = augment(picture, 8, settings, flip=True, generator=generator())[:, 0, 4, 7] > 0.5
    assert 0 < mirrored.sum() < 64
    assert not (augment(picture, 8, settings, flip=False, generator=generator())[:, 0, 4, 7] > 0.5).any()


def test_no_corner_turns_black():
    settings = Augmentation(rotate=True, flip=True, zoom=0.3, shift=0.1, brightness=0.0, noise=0.0)
    white = torch.full((32, 24, 24, 3), 255, dtype=torch.uint8)
    assert augment(white, 20, settings, flip=True, generator=generator()).min() > 0.99


def test_rotation_keeps_the_centre_and_the_hand():
    """A comma turned by any angle is never its mirror image."""
    settings = Augmentation(**{**STILL.__dict__, "rotate": True})
    side = 33
    y, x = torch.meshgrid(torch.arange(side) - 16.0, torch.arange(side) - 16.0, indexing="ij")
    radius, angle = torch.hypot(x, y), torch.atan2(-y, x)
    arm = torch.exp(3 * torch.cos(angle - radius / 5)) * (radius < 14)
    picture = (255 * arm / arm.max()).byte()[None, :, :, None].expand(16, -1, -1, 3)
    turned = augment(picture, side, settings, flip=True, generator=generator())[:, 0]
    for hand, sign in ((1, 1), (-1, -1)):
        wave = torch.exp(1j * (angle - hand * radius / 5)) * (radius < 14)
        power = (turned * wave).sum((1, 2)).abs()
        if sign == 1:
            right = power
        else:
            assert (right > 1.5 * power).all()


def test_grey_pictures_change_as_they_do_in_three_colours():
    settings = Augmentation(rotate=True, flip=True, zoom=0.2, shift=0.1, brightness=0.3, noise=0.05)
    grey = torch.randint(256, (6, 40, 40, 1), generator=generator()).byte()
    colours = grey.expand(-1, -1, -1, 3)
    one, three = (augment(made, 16, settings, flip=True, generator=generator()) for made in (grey, colours))
    assert one.shape == (6, 3, 16, 16)
    assert torch.equal(one, three)
    assert not torch.equal(one[:, 0], one[:, 1])


def test_symbol_views_are_drawn_for_every_symbol():
    views = torch.zeros(3, 5, 16, 16, dtype=torch.uint8)
    views[1] = 255
    pictures, classes = SymbolViews(views, torch.tensor([0, 4, 4])).draw(2, 16, STILL, flip=True, generator=generator())
    assert pictures.shape == (6, 3, 16, 16)
    assert classes.tolist() == [0, 0, 4, 4, 4, 4]
    assert pictures.mean((1, 2, 3)).round().tolist() == [0, 0, 1, 1, 0, 0]


def test_learning_rate_rises_then_falls_to_nearly_nothing():
    shares = [learning_rate_share(step, 100, 0.1) for step in range(100)]
    assert shares[:2] == [0.1, 0.2]
    assert shares[10] == 1.0
    assert shares[55] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)), abs=1e-9)
    assert shares[99] < 1e-3
    assert learning_rate_share(0, 1, 0.0) == 1.0


def test_mirrored_galaxies_belong_to_the_class_of_their_mirror_image():
    labels = torch.tensor([0, 1, 2] * 200)
    indices = torch.arange(600).where(torch.arange(600) % 4 != 0, torch.tensor(RENDERED))
    turned = mirrored(Batch(indices, labels, torch.zeros(600, dtype=torch.bool)), torch.tensor([0, 2, 1]), generator())
    assert not turned.mirrored[indices == RENDERED].any()
    # 450 tosses of a coin: 225 +- 11.
    assert 180 < int(turned.mirrored.sum()) < 270
    assert torch.equal(turned.labels[~turned.mirrored], labels[~turned.mirrored])
    assert torch.equal(turned.labels[turned.mirrored], torch.tensor([0, 2, 1])[labels[turned.mirrored]])
    assert torch.equal(turned.indices, indices)
