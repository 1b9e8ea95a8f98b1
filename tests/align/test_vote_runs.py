"""A whole run with votes as targets, on noise."""

import h5py
import numpy as np
import pandas as pd
import pytest

from galaxalign.align.inputs import read_inputs, used_rows
from galaxalign.data.store import read_store
from galaxalign.embed.embedding import embed_galaxies
from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.evaluate.evaluation import class_scores
from galaxalign.search.prediction import predict
from galaxalign.symbols.sheet import read_sheet
from tests.align.small import embed, recipe, source, train
from tests.align.voted import SHEET, write_voted


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The store and the symbols."""
    return write_voted(tmp_path_factory.mktemp("votes"), galaxies=32)


def test_a_run_of_votes_from_stores_to_predictions(files, tmp_path):
    model = train(files, tmp_path, recipe(targets="votes", classifier="fused"))
    history = pd.read_csv(tmp_path / "model.tsv", sep="\t")
    assert np.isfinite(history[["loss", "loss_image_text", "loss_symbol_text", "loss_image_symbol"]]).all(axis=None)
    assert np.isfinite(history["validation_macro_f1"]).all()
    embed(files, model, recipe(targets="votes", classifier="fused"), tmp_path / "e.h5")
    scores = class_scores(read_embeddings(tmp_path / "e.h5"))
    assert list(scores) == ["text", "symbol", "fused"]
    embed_galaxies(model=model, images=files[0], threads=1, embeddings=tmp_path / "g.h5")
    predict(
        model=model,
        images=files[0],
        embeddings=tmp_path / "g.h5",
        parquet=tmp_path / "p.parquet",
        csv=tmp_path / "p.csv",
    )
    predicted = pd.read_parquet(tmp_path / "p.parquet")["predicted"]
    labels = read_sheet(SHEET).labels
    assert list(predicted) == [labels[best] for best in scores["fused"].argmax(1)]


def test_galaxies_of_no_class_train_unless_labels_are_counted(files):
    store = read_store(files[0])
    assert (store.label[used_rows(store, recipe(targets="votes"))] == -1).any()
    assert (store.label[used_rows(store, recipe(targets="votes", labels_per_class=1))] >= 0).all()
    assert (store.label[used_rows(store, recipe())] >= 0).all()


def test_votes_are_needed(files, tmp_path):
    path = tmp_path / "images.h5"
    path.write_bytes(files[0].read_bytes())
    with h5py.File(path, "a") as file:
        del file["votes"]
    with pytest.raises(GalaxAlignError, match="has no votes to learn from"):
        read_inputs(source((path, files[1])), recipe(targets="votes"))


def test_rendered_galaxies_mix_with_voted_ones(files, tmp_path):
    chosen = recipe(
        targets="votes", classifier="fused", living={"share": 0.5, "matched": False}, stages={"symbol": {"epochs": 0}}
    )
    history = pd.read_csv(train(files, tmp_path, chosen).with_name("shared.tsv"), sep="\t")
    assert np.isfinite(history["loss"]).all()


def test_rendered_galaxies_alone_train_a_run_of_votes(files, tmp_path):
    living = {"share": 1.0, "matched": False}
    chosen = recipe(
        targets="votes",
        classifier="fused",
        labels_per_class=0,
        epoch_size=8,
        living=living,
        stages={"symbol": {"epochs": 0}},
    )
    history = pd.read_csv(train(files, tmp_path, chosen).with_name("shared.tsv"), sep="\t")
    assert np.isfinite(history["loss"]).all()
