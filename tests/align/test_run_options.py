"""What a run may ask for besides its two stages."""

import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax

from galaxalign.align import fitting, training
from galaxalign.align.batches import Galaxies
from galaxalign.align.checkpoint import load_checkpoint
from galaxalign.align.classification import class_scores
from galaxalign.align.fitting import fit_head, fitted_head
from galaxalign.align.inference import embed_all
from galaxalign.align.inputs import read_inputs
from galaxalign.align.recipe import Recipe
from galaxalign.align.stages import choose_interpolation, is_made
from galaxalign.align.validation import galaxy_batches
from galaxalign.data.store import read_store
from galaxalign.errors import GalaxAlignError
from galaxalign.settings import first_stage
from tests.align.small import recipe, source, train, train_shared

RENDERED = {"living": {"share": 1.0, "matched": False}, "labels_per_class": 0, "epoch_size": 8}


@pytest.fixture(scope="module")
def living(inputs, tmp_path_factory) -> Path:
    """A model that saw rendered galaxies alone."""
    return train(inputs, tmp_path_factory.mktemp("living"), recipe(**RENDERED))


def test_rendered_galaxies_train_a_model_without_labels(living):
    checkpoint = load_checkpoint(living)
    assert checkpoint.trained == ["text", "symbol"]
    steps = pd.read_csv(living.with_name("shared_steps.tsv"), sep="\t")
    assert np.isfinite(steps["loss"]).all()


def test_a_run_starts_from_the_model_of_another(inputs, living, tmp_path):
    still = {"stages": {"shared": {"epochs": 0}, "symbol": {"epochs": 1}}}
    kept = load_checkpoint(train_shared(inputs, tmp_path / "kept", recipe(**still), start=living)).model
    begun = load_checkpoint(living).model
    assert all(torch.equal(a, b) for a, b in zip(kept.image.parameters(), begun.image.parameters(), strict=True))
    assert torch.equal(kept.logit_scale, begun.logit_scale)
    assert kept.symbol is None
    other = {"backbone": {"name": "test-tiny", "pretrained": "none", "size": 64}}
    with pytest.raises(GalaxAlignError, match=r"model.pt has the backbone .*give both the same"):
        train_shared(inputs, tmp_path / "other", recipe(**other), start=living)


def test_a_head_is_fitted_to_the_galaxies_trained_on(inputs, living, tmp_path):
    chosen = recipe(classifier="head")
    made = read_inputs(source(inputs), chosen)
    model = load_checkpoint(living).model
    model.head = fitted_head(model, chosen, made.material)
    embeddings, logits = embed_all(model, galaxy_batches(made.material.train), 32, chosen.position_angles)
    labels = made.material.train.labels.numpy()
    fused = class_scores(model, recipe(classifier="fused"), made.material.vocabulary.prompts, embeddings, None)
    assert log_loss(logits, labels) < log_loss(fused, labels)
    # The head of a run is that of its last weights, and is what classifies.
    trained = load_checkpoint(train(inputs, tmp_path, chosen)).model
    again = fitted_head(trained, chosen, made.material)
    assert torch.allclose(trained.head.linear.weight, again.linear.weight, atol=1e-4)
    assert trained.head.unit


def test_a_head_that_is_trained_begins_at_that_of_the_start(inputs, tmp_path):
    start = train(inputs, tmp_path / "start", recipe(classifier="head"))
    still = {"shared": {"learning_rate": {"tower": 0.0, "new": 0.0}}}
    model = train_shared(inputs, tmp_path / "more", recipe("image_only", stages=still), start=start)
    begun, given = load_checkpoint(model).model.head, load_checkpoint(start).model.head
    assert given.unit
    assert begun.unit
    assert torch.equal(begun.linear.weight, given.linear.weight)
    moved = load_checkpoint(train_shared(inputs, tmp_path / "on", recipe("image_only"), start=start)).model.head
    assert not torch.equal(moved.linear.weight, given.linear.weight)


def test_a_head_takes_no_more_galaxies_than_it_needs(inputs, living, monkeypatch):
    sizes = []

    def watched(embeddings, labels, prototypes, offsets):
        sizes.append((len(embeddings), len(labels)))
        return fit_head(embeddings, labels, prototypes, offsets)

    monkeypatch.setattr(fitting, "fit_head", watched)
    chosen = recipe(classifier="head")
    model, material = load_checkpoint(living).model, read_inputs(source(inputs), chosen).material
    # A galaxy of no class, as votes have them, says nothing.
    material.train.labels[0] = -1
    fitted_head(model, chosen, material)
    monkeypatch.setattr(fitting, "MOST_FITTED", 7)
    fitted_head(model, chosen, material)
    assert sizes == [(len(material.train) - 1,) * 2, (7, 7)]


def test_a_head_that_does_worse_on_validation_gives_way_to_the_prototypes(inputs, living, monkeypatch):
    chosen = recipe(classifier="head")
    model, material = load_checkpoint(living).model, read_inputs(source(inputs), chosen).material
    labels, seen = material.validation.labels, []

    def judged(right):
        """A head that names every validation galaxy, or none, as it is labelled."""

        def fit(_embeddings, _labels, prototypes, _offsets):
            seen.append(prototypes)
            vectors, _ = embed_all(model, galaxy_batches(material.validation), 32, chosen.position_angles)
            wanted = labels if right else (labels + 1) % len(prototypes)
            solved = np.linalg.lstsq(vectors, np.eye(len(prototypes))[wanted.numpy()], rcond=None)[0]
            return solved.T.astype(np.float64), np.zeros(len(prototypes))

        monkeypatch.setattr(fitting, "fit_head", fit)
        return fitted_head(model, chosen, material).linear.weight.detach().numpy()

    worse, better = judged(False), judged(True)
    assert np.allclose(worse, seen[0], rtol=1e-6)
    assert not np.allclose(better, seen[0], rtol=1e-2)


def log_loss(scores, labels):
    return -log_softmax(scores, axis=1)[np.arange(len(labels)), labels].mean()


def test_a_head_without_labels_is_the_prototypes(inputs, tmp_path):
    chosen = recipe(classifier="head", **RENDERED)
    model = load_checkpoint(train(inputs, tmp_path, chosen)).model
    made = read_inputs(source(inputs), chosen)
    embeddings, logits = embed_all(model, galaxy_batches(made.material.validation), 32, chosen.position_angles)
    fused = class_scores(model, recipe(classifier="fused"), made.material.vocabulary.prompts, embeddings, None)
    # Of the class with two symbols the head knows the mean alone.
    single = [0, 1, 3]
    assert np.allclose(logits[:, single], fused[:, single], atol=1e-3)


def test_of_the_shares_of_fine_tuning_the_best_is_kept(inputs, living, tmp_path):
    hot = {"shared": {"learning_rate": {"tower": 0.5, "new": 0.5}}, "symbol": {"epochs": 0}}
    path = train(inputs, tmp_path, recipe(stages=hot, interpolate=[0.0], classifier="text"), start=living)
    kept, begun = load_checkpoint(path).model, load_checkpoint(living).model
    assert all(torch.equal(a, b) for a, b in zip(kept.image.parameters(), begun.image.parameters(), strict=True))


def test_without_validation_the_fine_tuned_weights_are_kept(inputs, living, tmp_path, caplog):
    towers, chosen = load_checkpoint(living).model, recipe(interpolate=[0.0, 0.5], classifier="text")
    with torch.no_grad():
        towers.logit_scale += 0.5
    before = {name: value.clone() for name, value in towers.state_dict().items()}
    material = read_inputs(source(inputs), chosen).material
    none = Galaxies(read_store(inputs[0]), np.array([], np.int64), memory=1e9)
    choose_interpolation(towers, chosen, replace(material, validation=none), living)
    assert all(torch.equal(value, before[name]) for name, value in towers.state_dict().items())
    assert "no galaxy of validation to choose by" in caplog.text


def test_probabilities_are_calibrated_on_validation(living):
    assert 0.05 <= load_checkpoint(living).calibration <= 20
    assert load_checkpoint(living).calibration != 1.0


def test_half_precision_trains_weights_of_full_precision(inputs, tmp_path):
    path = train_shared(inputs, tmp_path, recipe(precision="bfloat16", dropout=0.1, optimizer={"average": 0.9}))
    assert np.isfinite(pd.read_csv(path.with_name("shared_steps.tsv"), sep="\t")["loss"]).all()
    assert all(value.dtype == torch.float32 for value in load_checkpoint(path).model.parameters())


def test_steps_that_half_precision_leaves_out_are_told_and_a_stage_without_any_fails(inputs, tmp_path, caplog):
    few = recipe(precision="float16", stages={"symbol": {"epochs": 0}})
    with pytest.raises(GalaxAlignError, match=r"stage shared: (\d+) of \1 steps were left out.*bfloat16"):
        train_shared(inputs, tmp_path / "few", few)
    train_shared(inputs, tmp_path / "many", recipe(precision="float16", stages={"shared": {"epochs": 8}}))
    (told,) = (record.getMessage() for record in caplog.records if "left out" in record.getMessage())
    steps = pd.read_csv(tmp_path / "many/shared_steps.tsv", sep="\t")
    left_out = int(
        (steps["temperature"].diff() == 0).sum() + (steps["temperature"][0] == pytest.approx(0.07, abs=1e-9))
    )
    assert 0 < left_out < len(steps)
    assert told.startswith(f"stage shared: {left_out} of {len(steps)} steps were left out")


def test_a_symbol_tower_of_its_own_is_interpolated_from_the_image_tower(inputs, tmp_path):
    hot = {name: {"learning_rate": {"tower": 0.1, "new": 0.1}} for name in ("shared", "symbol")}
    chosen = recipe(stages=hot, interpolate=[0.0])
    model = load_checkpoint(train(inputs, tmp_path, chosen)).model
    for name, value in model.symbol.named_parameters():
        assert torch.equal(value, model.image.get_parameter(name)), name


def test_a_symbol_tower_that_the_start_lacks_is_interpolated_from_its_image_tower(inputs, tmp_path):
    start = train(inputs, tmp_path / "images", recipe("image_only"))
    hot = {name: {"learning_rate": {"tower": 0.1, "new": 0.1}} for name in ("shared", "symbol")}
    chosen = recipe(stages=hot, start="images", interpolate=[0.0])
    model = load_checkpoint(train(inputs, tmp_path / "aligned", chosen, start=start)).model
    begun = load_checkpoint(start).model
    for name, value in begun.image.named_parameters():
        assert torch.equal(value, model.image.get_parameter(name)), name
        assert torch.equal(value, model.symbol.get_parameter(name)), name


def test_norms_that_a_start_froze_are_trained_where_asked_for(inputs, tmp_path):
    start = train_shared(inputs, tmp_path / "frozen", recipe())
    path = train_shared(inputs, tmp_path / "free", recipe(start="frozen", norm_layers="trained"), start=start)
    before, after = (load_checkpoint(one).model.image.state_dict() for one in (start, path))
    means = [name for name in before if name.endswith("running_mean")]
    assert means
    assert not any(torch.equal(before[name], after[name]) for name in means)


def test_processes_do_not_share_the_statistics_of_a_batch(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "world", lambda: 2)
    with pytest.raises(GalaxAlignError, match="each of 2 processes sees a part: run one process"):
        train_shared(inputs, tmp_path, recipe(norm_layers="trained"))


def test_patience_without_a_judge_ends_nothing(inputs, tmp_path, caplog):
    """No validation galaxies, or texts that stage 2 brings: then nothing is judged, and training goes to its end."""
    blind = tmp_path / "images.h5"
    shutil.copyfile(inputs[0], blind)
    with h5py.File(blind, "r+") as file:
        split = file["split"].asstr()[:]
        file["split"][:] = np.where(split == "validation", "", split)
    stages = {"shared": {"epochs": 4}, "symbol": {"epochs": 0}}
    path = train_shared((blind, inputs[1]), tmp_path / "blind", recipe(patience=1, stages=stages, classifier="fused"))
    assert len(pd.read_csv(path.with_name("shared.tsv"), sep="\t")) == 4
    assert "nothing can be judged on validation, so that patience ends nothing" in caplog.text
    textless = {"weights": {"image_text": 0.0, "symbol_text": 0.0, "image_symbol": 1.0}, "epochs": 2}
    for classifier in ("text", "fused", "head"):
        chosen = recipe(patience=1, stages={"shared": textless}, classifier=classifier)
        first = Recipe.from_dict(first_stage(chosen.to_dict()))
        path = train_shared(inputs, tmp_path / classifier, first)
        assert len(pd.read_csv(path.with_name("shared.tsv"), sep="\t")) == 2


def test_more_parts_than_galaxies_are_as_many_as_galaxies(inputs, tmp_path):
    path = train_shared(inputs, tmp_path, recipe(batch_size=8, accumulate=8, epoch_size=12))
    # Two batches of six galaxies.
    assert len(pd.read_csv(path.with_name("shared_steps.tsv"), sep="\t")) == 2


def test_a_learned_scale_stays_within_its_bounds(inputs, tmp_path):
    hot = {"shared": {"learning_rate": {"tower": 0.0, "new": 50.0}}, "symbol": {"epochs": 0}}
    path = train_shared(inputs, tmp_path, recipe(stages=hot, temperature={"start": 0.011}, epoch_size=32))
    assert 0 <= load_checkpoint(path).model.logit_scale.item() <= math.log(100) + 1e-6


def test_a_model_is_made_until_what_it_is_made_from_changes(inputs, tmp_path):
    weights = tmp_path / "tower.pt"
    weights.touch()
    chosen, origin = recipe(), source(inputs)
    assert not is_made(tmp_path / "shared.pt", origin, chosen)
    model = train_shared(inputs, tmp_path, chosen)
    assert is_made(model, origin, chosen)
    assert not is_made(model, origin, recipe(dropout=0.5))
    assert not is_made(model, replace(origin, code="other"), chosen)
    assert not is_made(model, replace(origin, dataset="other"), chosen)
    # A file of weights counts as an input, and another store is noticed though it may be older than the model.
    named = replace(chosen, backbone=replace(chosen.backbone, pretrained=str(weights)))
    assert origin.files(named) == [*origin.files(chosen), weights]
    other = shutil.copy(inputs[0], tmp_path / "images.h5")
    with h5py.File(other, "r+") as file:
        file["label"][...] = file["label"][:][::-1]
    os.utime(other, ns=(0, model.stat().st_mtime_ns - 10**12))
    assert not is_made(model, replace(origin, images=Path(other)), chosen)
    content = torch.load(model, weights_only=True)
    torch.save(content | {"recipe": content["recipe"] | {"later": 1}}, model)
    with pytest.raises(GalaxAlignError, match=r"is of another version .*later.*; train it again"):
        load_checkpoint(model)
    assert not is_made(model, origin, chosen)
    model.write_text("junk")
    assert not is_made(model, origin, chosen)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_tower_trains_alike(inputs, tmp_path, monkeypatch):
    as_it_is, compiled = torch.nn.Module.compile, []

    def traced(tower, **how):
        """Without the code generator, which takes minutes."""
        compiled.append(how)
        as_it_is(tower, backend="eager", **how)

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    paths = {on: train_shared(inputs, tmp_path / str(on), recipe(compile=on)) for on in (False, True)}
    assert compiled == [{"dynamic": False}]
    plain, traced_steps = (pd.read_csv(path.with_name("shared_steps.tsv"), sep="\t") for path in paths.values())
    np.testing.assert_allclose(traced_steps["loss"], plain["loss"], rtol=1e-5)
    # What is kept is the tower itself.
    weights = [load_checkpoint(path).model.state_dict() for path in paths.values()]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-5)
