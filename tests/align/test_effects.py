"""Settings of a recipe do what they say, and history tells what was done."""

import logging
import time
from dataclasses import asdict, replace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from galaxalign.align.augmentation import Augmentation, augment
from galaxalign.align.backbones import build_backbone
from galaxalign.align.batches import Galaxies, SymbolViews, epoch_batches, read_ahead
from galaxalign.align.checkpoint import load_checkpoint
from galaxalign.align.classification import class_scores
from galaxalign.align.history import Clock
from galaxalign.align.inputs import read_inputs
from galaxalign.align.model import TriModalModel
from galaxalign.align.schedule import learning_rate_share
from galaxalign.align.stages import choose_interpolation
from galaxalign.align.validation import validate
from galaxalign.embed.embedding import embed_galaxies
from galaxalign.errors import GalaxAlignError
from galaxalign.search.prediction import predict, prompts_of
from tests.align.small import recipe, source, train, train_shared
from tests.align.test_batches import STILL, Shelf, batch_of, mixture
from tests.align.test_step import MIXED, WEIGHTS, gradients


def test_the_loss_is_the_sum_of_its_terms_by_their_weights(inputs):
    found = gradients(inputs, recipe(**MIXED), own_tower=True)
    terms = sum(weight * found[f"loss {name}"] for name, weight in WEIGHTS.items())
    assert found["loss loss"].item() == pytest.approx(terms.item(), rel=1e-5)


def test_dropout_leaves_out_numbers_while_training_alone(inputs):
    without, with_it = (gradients(inputs, recipe(**MIXED, dropout=share), own_tower=False) for share in (0.0, 0.5))
    assert not torch.allclose(without["loss image_text"], with_it["loss image_text"], rtol=1e-3)
    model = TriModalModel(build_backbone(recipe().backbone, with_text=False), temperature=0.07, dropout=0.5)
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    once, again = (model.eval()(pictures, None, None)["images"] for _ in range(2))
    assert torch.equal(once, again)


def test_predicted_probabilities_are_calibrated(inputs, tmp_path):
    model, embeddings = train(inputs, tmp_path, recipe(classifier="fused")), tmp_path / "embeddings.h5"
    embed_galaxies(model=model, images=inputs[0], threads=2, embeddings=embeddings)
    tables = {"parquet": tmp_path / "predictions.parquet", "csv": tmp_path / "predictions.csv"}
    predict(model=model, images=inputs[0], embeddings=embeddings, **tables)
    made = load_checkpoint(model)
    with h5py.File(embeddings) as file:
        scores = class_scores(made.model, made.recipe, prompts_of(made), file["embedding"][:-1], None)
    found = pd.read_parquet(tables["parquet"]).filter(like="probability_").to_numpy()[:-1]
    assert made.calibration != pytest.approx(1, abs=0.01)
    assert np.allclose(found, softmax(scores / made.calibration, axis=1), atol=1e-6)


def test_of_the_shares_of_fine_tuning_the_best_on_validation_is_kept(inputs, tmp_path):
    tower = {"backbone": {"name": "lite0-minilm", "pretrained": "embedded", "size": 32}, "augment": asdict(STILL)}
    poor, good = (
        train_shared(inputs, tmp_path / str(epochs), recipe(stages={"shared": {"epochs": epochs}}, **tower))
        for epochs in (1, 12)
    )
    chosen = recipe(interpolate=[0.0, 1.0], classifier="text", **tower)
    material = read_inputs(source(inputs), chosen).material
    # What was trained on tells the two apart.
    material = replace(material, validation=material.train)
    judged = [
        validate(load_checkpoint(path).model, chosen, material.vocabulary.prompts, material.train)
        for path in (poor, good)
    ]
    assert judged[0]["validation_macro_f1"] < judged[1]["validation_macro_f1"]
    wanted = load_checkpoint(good).model.image.trunk.conv_stem.weight
    for before, after in ((poor, good), (good, poor)):
        towers = load_checkpoint(after).model
        choose_interpolation(towers, chosen, material, before)
        assert torch.equal(towers.image.trunk.conv_stem.weight, wanted)


@pytest.mark.parametrize(("sampling", "share"), [("natural", 0.1), ("balanced", 0.5), ("sqrt", 0.25)])
def test_epochs_are_sampled_as_the_recipe_says(sampling, share):
    labels = torch.tensor([0] * 900 + [1] * 100)
    chosen = mixture(sampling=sampling, epoch_size=20_000)
    drawn = torch.cat([batch.labels for batch in epoch_batches(labels, 2, chosen, torch.Generator().manual_seed(0))])
    assert drawn.double().mean().item() == pytest.approx(share, abs=0.01)


def test_a_temperature_that_is_not_learned_stays(inputs, tmp_path):
    fixed, learned = (
        load_checkpoint(train_shared(inputs, tmp_path / str(how), recipe(temperature={"learned": how}))).model.scale
        for how in (False, True)
    )
    assert fixed.item() == pytest.approx(1 / 0.07)
    assert abs(learned.item() * 0.07 - 1) > 1e-5


def test_gradients_are_clipped(inputs, tmp_path):
    """AdamW forgives a factor on gradients, unless they come near the 1e-8 that it adds to them."""
    scales = [
        load_checkpoint(train_shared(inputs, tmp_path / str(clip), recipe(optimizer={"clip": clip}))).model.scale
        for clip in (1e-12, 1.0)
    ]
    moved = [abs(scale.item() * 0.07 - 1) for scale in scales]
    assert moved[0] < 0.01 * moved[1]


def test_the_history_of_steps_has_the_rates_of_warm_up_and_decay(inputs, tmp_path):
    rates = {"tower": 0.002, "new": 0.001}
    stages = {"shared": {"epochs": 3, "learning_rate": rates}}
    path = train_shared(inputs, tmp_path, recipe(stages=stages, optimizer={"warmup": 0.5}, batch_size=4))
    steps = pd.read_csv(path.with_name("shared_steps.tsv"), sep="\t")
    wanted = [0.002 * learning_rate_share(step, len(steps), 0.5) for step in range(len(steps))]
    assert len(steps) == 12
    assert steps["learning_rate"].to_numpy() == pytest.approx(wanted, rel=1e-4)
    assert wanted[0] < wanted[2] < wanted[5]
    assert steps["gradient_norm"].min() > 0


def test_the_history_of_epochs_tells_speed_waiting_and_memory(inputs, tmp_path):
    path = train_shared(inputs, tmp_path, recipe(stages={"shared": {"epochs": 2}}))
    history, steps = (pd.read_csv(path.with_name(f"shared{end}.tsv"), sep="\t") for end in ("", "_steps"))
    # Sixteen galaxies are trained on.
    wanted = 16 / steps.groupby("epoch")["seconds"].sum()
    assert history["galaxies_per_second"].to_numpy() == pytest.approx(wanted.to_numpy(), rel=1e-3)
    assert history["learning_rate"].tolist() == steps.groupby("epoch")["learning_rate"].last().tolist()
    assert history["learning_rate"].min() > 0
    assert history["data_wait"].between(0, 1, inclusive="neither").all()
    assert history["peak_memory_gb"].between(0.05, 100).all()


def test_a_clock_counts_the_time_that_data_let_wait():
    def late():
        for item in range(3):
            time.sleep(0.02)
            yield item

    clock = Clock()
    assert list(clock.waiting(late())) == [0, 1, 2]
    clock.lap()
    assert clock.waited >= 0.06
    waited = clock.waited_share()
    assert 0 < waited <= 1
    time.sleep(0.05)
    clock.lap()
    assert clock.waited_share() < waited


@pytest.mark.parametrize("name", ["rotate", "flip", "zoom", "shift", "brightness", "noise"])
def test_each_change_of_galaxies_changes_them(name):
    pictures = torch.randint(0, 256, (8, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def changed(settings: Augmentation) -> torch.Tensor:
        return augment(pictures, 40, settings, flip=True, generator=torch.Generator().manual_seed(0))

    value = True if name in ("rotate", "flip") else 0.3
    assert not torch.allclose(changed(STILL), changed(replace(STILL, **{name: value})), atol=0.02)


def test_galaxies_are_shifted_both_ways_by_the_share_of_the_side_at_most():
    pictures = torch.zeros(64, 40, 40, 3, dtype=torch.uint8)
    pictures[:, 18:22, 18:22] = 255
    moved = augment(pictures, 40, replace(STILL, shift=0.2), flip=True, generator=torch.Generator().manual_seed(0))[
        :, 0
    ]
    steps = torch.arange(40) - 19.5
    for rest in (1, 2):
        light = moved.sum(rest)
        places = (light * steps).sum(1) / light.sum(1)
        assert 6 < places.abs().max() <= 8.01
        assert places.min() < -4 < 4 < places.max()


@pytest.mark.parametrize("name", ["zoom", "shift", "noise", "angle"])
def test_each_change_of_symbols_changes_their_views(name):
    views = torch.zeros(1, 1, 40, 40, dtype=torch.uint8)
    views[..., 10:30, 18:22] = 255
    symbols = SymbolViews(views, torch.tensor([0]))

    def drawn(seed: int, **changes: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return symbols.draw(1, 40, replace(STILL, **changes), flip=False, generator=generator)[0]

    if name == "angle":
        assert not torch.allclose(drawn(0), drawn(1), atol=0.02)
    else:
        assert not torch.allclose(drawn(0), drawn(0, **{name: 0.3}), atol=0.02)


def test_pictures_that_fit_in_memory_are_read_once():
    shelf = Shelf()
    galaxies = Galaxies(shelf, np.array([2, 5, 8]), memory=1e6)
    shelf.pictures = None
    assert galaxies.pictures(torch.tensor([1])).flatten()[0] == 5


def test_batches_are_read_while_the_one_before_is_at_work():
    read: list[int] = []

    class Noted(Shelf):
        def pictures(self, rows):
            read.extend(rows.tolist())
            return super().pictures(rows)

    galaxies = Galaxies(Noted(), np.arange(5), memory=0)
    reader = read_ahead(galaxies, [[batch_of([row])] for row in range(5)], pin=False)
    next(reader)
    until = time.monotonic() + 20
    while len(read) < 3 and time.monotonic() < until:
        time.sleep(0.005)
    assert read[:3] == [0, 1, 2]
    assert len(list(reader)) == 4


@pytest.mark.parametrize(
    ("changes", "code", "goes_on"),
    [({}, "abc", True), ({"dropout": 0.1}, "abc", False), ({}, "another", False), ({"seed": 1}, "abc", False)],
)
def test_training_goes_on_from_a_state_of_its_own_recipe_and_code_alone(
    changes, code, goes_on, inputs, tmp_path, monkeypatch, caplog
):
    import galaxalign.align.training as training

    def broken_off(step, steps, warmup):
        return 1.0 if step < 6 else 1e30

    long = {"stages": {"shared": {"epochs": 3}}, "batch_size": 4}
    with monkeypatch.context() as patched:
        patched.setattr(training, "learning_rate_share", broken_off)
        with pytest.raises(GalaxAlignError, match="the last good state is in"):
            train_shared(inputs, tmp_path, recipe(**long))
    with caplog.at_level(logging.INFO):
        train_shared(inputs, tmp_path, recipe(**long, **changes), code=code)
    assert ("stage shared goes on after step 4" in caplog.text) == goes_on
    assert ("is the state of another recipe, code or input" in caplog.text) != goes_on
