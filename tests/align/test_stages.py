"""Both stages on a handful of pictures with random weights: files, parts, determinism, later use."""

import copy
import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from galaxalign.align.backbones import BackboneSettings, build_backbone, declare_torchvision
from galaxalign.align.checkpoint import load_checkpoint
from galaxalign.align.recipe import Recipe
from galaxalign.align.stages import align_shared, align_symbol
from galaxalign.align.training import COLUMNS
from galaxalign.embed.embedding import embed_dataset
from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.search.prediction import predict
from galaxalign.search.similarity import Queries, find_similar
from galaxalign.settings import merge, recipe_settings
from galaxalign.symbols.sheet import read_sheet
from galaxalign.symbols.store import write_symbols
from tests.conftest import ROOT

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SHEET = ROOT / "config/morphology/galaxymnist.yaml"
# A model of open_clip's own kind, small enough to be trained within a second.
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SMALL = {
    "backbone": {"name": "test-tiny", "pretrained": "none", "size": 32},
    "batch_size": 8,
    "symbol_views": 1,
    "stages": {"shared": {"epochs": 1}, "symbol": {"epochs": 1}},
}


def recipe(run: str = "galaxalign", **changes) -> Recipe:
    small = copy.deepcopy(SMALL)
    if run == "image_only":
        small["stages"]["symbol"]["epochs"] = 0
    if run == "frozen":
        small["stages"] = {}
    return Recipe.from_dict(merge(merge(recipe_settings(CONFIG, run), small), changes))


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory) -> None:
    """Tell open_clip of the model `test-tiny`."""
    declare_torchvision()
    import open_clip

    path = tmp_path_factory.mktemp("models") / "test-tiny.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    """A store of 24 noise pictures in four classes, and the symbols."""
    folder = tmp_path_factory.mktemp("inputs")
    sheet = read_sheet(SHEET)
    count = 24
    generator = np.random.default_rng(0)
    texts = {
        "id": [f"g{i}" for i in range(count)],
        "split": (["train"] * 4 + ["validation", "test"]) * 4,
        "flag": [""] * (count - 1) + ["truncated"],
        "reason": [""] * (count - 1) + ["cut off"],
    }
    with h5py.File(folder / "images.h5", "w") as file:
        file["images"] = generator.integers(0, 256, (count, 40, 40, 3), dtype=np.uint8)
        file["label"] = np.repeat(np.arange(4, dtype=np.int16), 6)
        file["ra"], file["dec"] = np.linspace(10, 11, count), np.zeros(count)
        for name, values in texts.items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
        stored = {key: CONFIG["data"][key] for key in ("crop", "stretch", "bands")} | {"size": 40}
        file.attrs["recipe"] = json.dumps(stored)
        file.attrs["classes"], file.attrs["names"] = json.dumps(sheet.labels), json.dumps(sheet.names)
        file.attrs["dataset"], file.attrs["code"] = "noise", "0"
    write_symbols(
        sheet=SHEET,
        size=40,
        variants=2,
        seed=0,
        code="0",
        symbols=folder / "symbols.h5",
        drawings=folder / "drawings",
    )
    return folder / "images.h5", folder / "symbols.h5"


def train(inputs, folder: Path, chosen: Recipe) -> Path:
    folder.mkdir(exist_ok=True)
    common = {"images": inputs[0], "symbols": inputs[1], "dataset": "noise", "code": "abc", "threads": 2}
    align_shared(recipe=chosen, model=folder / "shared.pt", history=folder / "shared.tsv", **common)
    align_symbol(
        recipe=chosen, start=folder / "shared.pt", model=folder / "model.pt", history=folder / "model.tsv", **common
    )
    return folder / "model.pt"


EMBEDDED = {"name": "lite0-minilm", "pretrained": "none", "size": 32}


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


def test_history_has_a_row_an_epoch(model):
    for name, stage in (("shared.tsv", "shared"), ("model.tsv", "symbol")):
        history = pd.read_csv(model.with_name(name), sep="\t")
        assert tuple(history.columns) == COLUMNS
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
    assert checkpoint.model.head.out_features == 4
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
    ("name", "pretrained", "words"),
    [
        ("ViT-B-33", "none", "did you mean 'ViT-B-32'"),
        ("ViT-B-32", "opnai", "did you mean 'openai'"),
        ("ViT-B-32", "embedded", "only lite0-minilm is"),
        ("lite0-minilm", "openai", "takes embedded or none"),
    ],
)
def test_wrong_backbones_are_named(name, pretrained, words):
    with pytest.raises(GalaxAlignError, match=words):
        build_backbone(BackboneSettings(name=name, pretrained=pretrained, size=64), with_text=True)


def test_open_clip_model_from_a_local_checkpoint(tmp_path):
    settings = BackboneSettings(name="RN50", pretrained="none", size=64)
    start = build_backbone(settings, with_text=True)
    path = tmp_path / "rn50.pt"
    weights = {f"visual.{name}": value for name, value in start.visual.state_dict().items()}
    weights |= {name.removeprefix("model."): value for name, value in start.text.trunk.state_dict().items()}
    torch.save(weights, path)
    loaded = build_backbone(BackboneSettings(name="RN50", pretrained=str(path), size=64), with_text=True)
    assert loaded.aligned
    assert torch.equal(loaded.visual.conv1.weight, start.visual.conv1.weight)
    (tmp_path / "broken.pt").write_bytes(b"")
    with pytest.raises(GalaxAlignError, match="cannot be loaded"):
        build_backbone(BackboneSettings(name="RN50", pretrained=str(tmp_path / "broken.pt"), size=64), with_text=True)


def test_embedded_weights_are_the_packages_own():
    """Lite0's first convolution as published: 32 filters of 3 x 3, no longer random, and deterministic."""
    settings = BackboneSettings(name="lite0-minilm", pretrained="embedded", size=64)
    first, second = (build_backbone(settings, with_text=True) for _ in range(2))
    assert torch.equal(first.visual.trunk.conv_stem.weight, second.visual.trunk.conv_stem.weight)
    assert torch.equal(first.visual.trunk.bn1.running_mean, second.visual.trunk.bn1.running_mean)
    assert first.visual.trunk.bn1.running_mean.abs().max() > 0
    first.text.eval()
    with torch.no_grad():
        tokens = first.text.tokens(["a spiral galaxy", "a galaxy with spiral arms", "a kitchen chair"])
        spiral, arms, chair = torch.nn.functional.normalize(first.text.trunk(tokens), dim=-1)
    assert spiral @ arms > spiral @ chair + 0.3


def test_embeddings_of_a_data_set(inputs, model, tmp_path):
    path = tmp_path / "embeddings.h5"
    embed_dataset(
        model=model,
        images=inputs[0],
        symbols=inputs[1],
        dataset="noise",
        run="galaxalign",
        threads=2,
        embeddings=path,
    )
    found = read_embeddings(path)
    assert found.trained == ["text", "symbol"]
    for vectors in (found.galaxies.embedding, found.symbols.embedding, found.texts.embedding):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(found.galaxies.id) == 24
    assert found.galaxies.used.sum() == 16
    assert len(found.texts.word) == sum(len(entry.texts) for entry in read_sheet(SHEET).classes)


def test_predictions_and_similar_galaxies(inputs, model, tmp_path):
    from galaxalign.embed.embedding import embed_galaxies

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
    for wrong, words in (
        (Queries(("nobody",), (), ()), "'nobody', which is not in noise"),
        (Queries(("g23",), (), ()), "whose image was rejected"),
        (Queries((), ("mergr",), ()), "did you mean 'merger'"),
    ):
        with pytest.raises(GalaxAlignError, match=words):
            find_similar(queries=wrong, table=tmp_path / "none.tsv", **common)
