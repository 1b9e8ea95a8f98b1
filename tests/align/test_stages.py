"""Both stages on a handful of pictures with random weights: files, parts, determinism, later use."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from galaxalign.align.backbones import build_backbone
from galaxalign.align.checkpoint import load_checkpoint
from galaxalign.align.history import EPOCH_COLUMNS
from galaxalign.align.stages import align_symbol
from galaxalign.embed.embedding import embed_galaxies
from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.figures.retrieval import read_similar
from galaxalign.search.prediction import image_recipe_of, predict
from galaxalign.search.similarity import Queries, find_similar
from galaxalign.settings import merge
from galaxalign.symbols.sheet import read_sheet
from tests.align.small import SHEET, embed, recipe, source, train, train_shared

EMBEDDED = {"name": "lite0-minilm", "pretrained": "none", "size": 32}
OLDER = {key: value for key, value in recipe().to_dict().items() if key != "position_angles"}


@pytest.fixture(scope="module")
def model(inputs, tmp_path_factory) -> Path:
    """The embedded towers, with random weights."""
    return train(inputs, tmp_path_factory.mktemp("model"), recipe(backbone=EMBEDDED))


def test_one_file_holds_all_that_later_use_needs(model):
    content = torch.load(model, weights_only=True)
    assert content["preprocess"] == {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    checkpoint = load_checkpoint(model)
    assert checkpoint.recipe == recipe(backbone=EMBEDDED)
    assert [entry["label"] for entry in checkpoint.sheet["classes"]] == list(read_sheet(SHEET).labels)
    assert (checkpoint.stage, checkpoint.dataset, checkpoint.code) == ("symbol", "noise", "abc")
    assert checkpoint.trained == ["text", "symbol"]
    assert checkpoint.image["stretch"]["name"] == "legacy_survey"


def test_stage_one_shares_a_tower_and_stage_two_parts_from_it(model):
    assert load_checkpoint(model.with_name("shared.pt")).model.symbol is None
    towers = load_checkpoint(model).model
    pairs = zip(towers.image.parameters(), towers.symbol.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "other", "words"),
    [
        ("shared.pt", {"batch_size": 4}, "shared.pt was trained by another recipe .batch_size.: remove it and run"),
        ("shared.pt", {"stages": {"shared": {"epochs": 2}}}, "another recipe .stages."),
        ("model.pt", {}, "model.pt was trained by another recipe .stage symbol on data set noise."),
    ],
)
def test_stage_two_goes_on_from_its_own_stage_one_alone(inputs, model, tmp_path, name, other, words):
    files = {"model": tmp_path / "model.pt", "history": tmp_path / "m.tsv", "steps": tmp_path / "s.tsv"}
    chosen = recipe(**merge({"backbone": EMBEDDED}, other))
    with pytest.raises(GalaxAlignError, match=words):
        align_symbol(source(inputs), chosen, shared=model.with_name(name), **files)
    # What comes after stage 1 may be another.
    later = recipe(backbone=EMBEDDED, position_angles=1, stages={"symbol": {"epochs": 0}})
    align_symbol(source(inputs), later, shared=model.with_name("shared.pt"), **files)
    with pytest.raises(GalaxAlignError, match="stage shared on data set noise"):
        align_symbol(source(inputs, dataset="other"), later, shared=model.with_name("shared.pt"), **files)


def test_a_run_that_trains_nothing_is_the_one_it_starts_from(inputs, model, tmp_path):
    untrained = {"shared": {"epochs": 0}, "symbol": {"epochs": 0}}
    chosen = recipe(backbone=EMBEDDED, classifier="fused", stages=untrained)
    made = load_checkpoint(train(inputs, tmp_path, chosen, start=model)).model
    for name, value in load_checkpoint(model).model.state_dict().items():
        assert name.startswith("head.") or torch.equal(made.state_dict()[name], value), name
    # It needs no label either.
    train(inputs, tmp_path / "none", recipe(**{**chosen.to_dict(), "labels_per_class": 0}), start=model)


def test_history_has_a_row_an_epoch(model):
    for name, stage in (("shared.tsv", "shared"), ("model.tsv", "symbol")):
        history = pd.read_csv(model.with_name(name), sep="\t")
        assert tuple(history.columns) == EPOCH_COLUMNS
        assert history["stage"].tolist() == [stage]
        assert np.isfinite(history["loss"]).all()
        assert history["loss_classifier"].isna().all()
        assert history["loss_image_symbol"].isna().all() == (stage == "shared")


def test_same_seed_same_weights_and_other_seed_others(inputs, tmp_path):
    first, again, other = (
        torch.load(train(inputs, tmp_path / name, recipe(seed=seed)), weights_only=True)["weights"]
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["image.conv1.weight"], other["image.conv1.weight"])


def test_locked_texts_keep_their_trunk_and_learn_their_projection(inputs, model):
    chosen = recipe(backbone=EMBEDDED)
    torch.manual_seed(chosen.seed)
    start = build_backbone(chosen.backbone, with_text=True).text
    trained = load_checkpoint(model).model.text
    trunks = zip(start.trunk.state_dict().values(), trained.trunk.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in trunks)
    assert not torch.equal(start.projection.weight, trained.projection.weight)


def test_frozen_statistics_stay_and_trained_ones_move(inputs, model, tmp_path):
    def statistics(path):
        weights = torch.load(path, weights_only=True)["weights"]
        return torch.cat([value.flatten() for name, value in weights.items() if name.endswith("running_var")])

    assert (statistics(model) == 1).all()
    moved = train(inputs, tmp_path / "moved", recipe(norm_layers="trained", backbone=EMBEDDED))
    assert not (statistics(moved) == 1).all()


def test_image_only_run_has_a_head_and_no_text(inputs, tmp_path):
    checkpoint = load_checkpoint(train(inputs, tmp_path / "image", recipe("image_only")))
    assert checkpoint.model.text is None
    assert checkpoint.model.symbol is None
    assert checkpoint.model.head.linear.out_features == 4
    assert checkpoint.trained == []


def test_identity_targets_and_few_labels_train(inputs, tmp_path):
    path = train(inputs, tmp_path / "identity", recipe(targets="identity", labels_per_class=2))
    history = pd.read_csv(path.with_name("model.tsv"), sep="\t")
    assert np.isfinite(history["loss_image_symbol"]).all()


def test_a_stage_without_epochs_changes_nothing(inputs, tmp_path):
    chosen = recipe("frozen")
    path = train(inputs, tmp_path / "frozen", chosen)
    torch.manual_seed(chosen.seed)
    start = build_backbone(chosen.backbone, with_text=True).visual.state_dict()
    kept = load_checkpoint(path).model.image.state_dict()
    assert all(torch.equal(start[name], kept[name]) for name in start)
    assert len(path.with_name("model.tsv").read_text().splitlines()) == 1


def test_stage_two_adds_what_stage_one_did_not_need(inputs, tmp_path):
    images_first = {"shared": {"weights": {"image_text": 0.0, "symbol_text": 0.0, "classifier": 1.0}}}
    checkpoint = load_checkpoint(train(inputs, tmp_path / "late", recipe(stages=images_first)))
    assert checkpoint.model.text is not None
    assert checkpoint.model.symbol is not None


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_cure(inputs, tmp_path):
    hot = {"shared": {"learning_rate": {"tower": 1e30, "new": 1e30}, "epochs": 3}}
    with pytest.raises(GalaxAlignError, match=r"step \d+ of stage shared.*lower stages.shared.learning_rate"):
        train(inputs, tmp_path / "hot", recipe(stages=hot))


def test_a_last_step_that_goes_astray_is_told(inputs, tmp_path):
    hot = {"shared": {"learning_rate": {"tower": 1e38, "new": 1e38}}}
    one = recipe(stages=hot, batch_size=64, optimizer={"warmup": 0.0, "clip": 1e30})
    with pytest.raises(GalaxAlignError, match=r"weights are not finite at step 1 of stage shared.*lower stages.shared"):
        train_shared(inputs, tmp_path / "hot", one)


def test_a_data_set_without_labels_asks_for_a_number_of_rendered_galaxies(inputs, tmp_path):
    unlabelled = tmp_path / "images.h5"
    shutil.copy(inputs[0], unlabelled)
    with h5py.File(unlabelled, "r+") as store:
        store["label"][:] = -1
    rendered = recipe(living={"share": 1.0, "matched": False}, classifier="fused")
    with pytest.raises(GalaxAlignError, match="epoch_size of all is none: give the number of rendered galaxies"):
        train((unlabelled, inputs[1]), tmp_path / "run", rendered)


def test_wrong_model_files_are_named(tmp_path):
    with pytest.raises(GalaxAlignError, match="no such model"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("not a model")
    with pytest.raises(GalaxAlignError, match="cannot be read as a model"):
        load_checkpoint(tmp_path / "text.pt")
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(GalaxAlignError, match="is not a GalaxAlign model"):
        load_checkpoint(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stage": "shared"}, "is what stage 1 left, not a finished model: name the model.pt beside it"),
        ({"calibration": None}, r"is of another version \('calibration'\); train it again"),
        ({"has": None}, r"is of another version \('has'\)"),
        ({"image": {"size": 32}}, r"is of another version \('crop'\)"),
        ({"recipe": OLDER}, r"is of another version \(.*'position_angles'\); train it again"),
        ({"sheet": {"classes": [{"label": "a"}]}}, "is of another version"),
    ],
)
def test_models_of_other_versions_are_named(model, tmp_path, changes, words):
    content = torch.load(model, weights_only=True) | changes
    torch.save({key: value for key, value in content.items() if value is not None}, tmp_path / "other.pt")
    with pytest.raises(GalaxAlignError, match=words):
        image_recipe_of(tmp_path / "other.pt")


def test_symbols_that_are_not_drawn_any_more_and_weights_that_are_no_numbers(model, tmp_path):
    content = torch.load(model, weights_only=True)
    content["sheet"]["classes"][0]["symbols"] = ["was_renamed"]
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(GalaxAlignError, match=r"is of another version .*symbol 'was_renamed'.; train it"):
        load_checkpoint(tmp_path / "other.pt")
    content = torch.load(model, weights_only=True)
    next(iter(content["weights"].values())).fill_(torch.nan)
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(GalaxAlignError, match="has weights that are not finite; train it again"):
        load_checkpoint(tmp_path / "other.pt")


def test_embeddings_of_a_data_set(inputs, model, tmp_path):
    path = tmp_path / "embeddings.h5"
    chosen = load_checkpoint(model).recipe
    embed(inputs, model, chosen, path)
    with pytest.raises(GalaxAlignError, match=r"model.pt was trained by another recipe .position_angles."):
        embed(inputs, model, replace(chosen, position_angles=1), path)
    found = read_embeddings(path)
    assert found.trained == ["text", "symbol"]
    for vectors in (found.galaxies.embedding, found.symbols.embedding, found.texts.embedding):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(found.galaxies.id) == 24
    assert found.galaxies.used.sum() == 16
    assert len(found.texts.word) == sum(len(entry.texts) for entry in read_sheet(SHEET).classes)


def test_predictions_and_similar_galaxies(inputs, model, tmp_path):
    embeddings = tmp_path / "embeddings.h5"
    embed_galaxies(model=model, images=inputs[0], threads=2, embeddings=embeddings)
    predict(
        model=model,
        images=inputs[0],
        embeddings=embeddings,
        parquet=tmp_path / "predictions.parquet",
        csv=tmp_path / "predictions.csv",
    )
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    probabilities = table.filter(like="probability_")
    assert np.allclose(probabilities.iloc[:-1].sum(axis=1), 1)
    best = probabilities.iloc[:-1].idxmax(axis=1).str.removeprefix("probability_")
    assert (table["predicted"].iloc[:-1] == best).all()
    assert probabilities.iloc[-1].isna().all()
    assert table["predicted"].isna().iloc[-1]
    assert table["flag"].iloc[-1] == "truncated"
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 24

    queries = Queries(galaxies=("g3",), symbols=("merger",), texts=("a thin streak",))
    common = {"model": model, "images": inputs[0], "embeddings": embeddings, "count": 5}
    find_similar(queries=queries, table=tmp_path / "similar.tsv", **common)
    found = pd.read_csv(tmp_path / "similar.tsv", sep="\t")
    assert found.groupby("kind")["rank"].apply(list).to_dict() == {
        kind: [1, 2, 3, 4, 5] for kind in ("galaxy", "symbol", "text")
    }
    assert "g3" not in set(found[found["kind"] == "galaxy"]["id"])
    assert "g23" not in set(found["id"])
    assert (found.groupby("kind")["similarity"].diff().dropna() <= 0).all()
    # The ends of lines, on which a table would break, are blanks, and a text that is asked for twice is one.
    find_similar(queries=Queries((), (), ("a\rthin\n streak", "a thin streak")), table=tmp_path / "lines.tsv", **common)
    assert read_similar(tmp_path / "lines.tsv")["query"].tolist() == ["a thin streak"] * 5
    for wrong, words in (
        (Queries(("nobody",), (), ()), "'nobody', which is not in noise"),
        (Queries(("g23",), (), ()), r"whose image was rejected \(cut off\); name another, or mend its image"),
        (Queries((), ("mergr",), ()), "did you mean 'merger'"),
        (Queries((), (), ()), "'similar' asks for nothing: name galaxies, symbols or texts"),
    ):
        with pytest.raises(GalaxAlignError, match=words):
            find_similar(queries=wrong, table=tmp_path / "none.tsv", **common)


@pytest.mark.parametrize(("run", "known"), [("frozen", "galaxies or symbols"), ("image_only", "galaxies")])
def test_texts_and_symbols_that_nothing_aligned_find_nothing(inputs, tmp_path, run, known):
    model, embeddings = train(inputs, tmp_path, recipe(run)), tmp_path / "embeddings.h5"
    embed_galaxies(model=model, images=inputs[0], threads=2, embeddings=embeddings)
    common = {"model": model, "images": inputs[0], "embeddings": embeddings, "count": 5}
    with pytest.raises(GalaxAlignError, match=f"was trained without texts; ask for {known}$"):
        find_similar(queries=Queries((), (), ("a thin streak",)), table=tmp_path / "similar.tsv", **common)
    asked = {"queries": Queries((), ("merger",), ()), "table": tmp_path / "similar.tsv"}
    if run == "image_only":
        with pytest.raises(GalaxAlignError, match=f"was trained without symbols; ask for {known}$"):
            find_similar(**asked, **common)
    else:
        # Symbols pass the very tower that galaxies do.
        find_similar(**asked, **common)
        assert len(pd.read_csv(tmp_path / "similar.tsv", sep="\t")) == 5
