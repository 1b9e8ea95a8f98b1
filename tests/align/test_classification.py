"""Classes by the answers that a model of votes knows: in training, in its embeddings, and what is missing said."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from galaxalign.align.backbones import build_backbone
from galaxalign.align.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from galaxalign.align.classification import ClassPrompts, class_scores, texts_of, tree_prompts
from galaxalign.align.model import TriModalModel
from galaxalign.data.store import read_store
from galaxalign.embed.embedding import embed_dataset
from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate import evaluation
from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.symbols.sheet import read_sheet
from galaxalign.symbols.store import read_symbols
from tests.align.small import recipe
from tests.align.voted import SHEET, write_voted


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a store of a few galaxies, the symbols of Galaxy Zoo 2, and a model of random weights."""
    folder = tmp_path_factory.mktemp("votes")
    write_voted(folder, galaxies=16)
    torch.manual_seed(0)
    chosen = recipe(targets="votes", classifier="fused")
    backbone = build_backbone(chosen.backbone, with_text=True)
    checkpoint = Checkpoint(
        model=TriModalModel(backbone, temperature=0.05, dropout=0.0).eval(),
        recipe=chosen,
        sheet=read_sheet(SHEET).to_dict(),
        image=read_store(folder / "images.h5").recipe.to_dict(),
        aligned=True,
        calibration=1.0,
        stage="symbol",
        dataset="noise",
        code="0",
        made_from=[],
    )
    save_checkpoint(folder / "model.pt", checkpoint)
    return folder, checkpoint


def embed(folder, **changes):
    names = {"model": folder / "model.pt", "images": folder / "images.h5", "symbols": folder / "symbols.h5"} | changes
    trained = load_checkpoint(names["model"]).recipe
    embed_dataset(**names, dataset="noise", run="votes", recipe=trained, threads=1, embeddings=folder / "embeddings.h5")
    return read_embeddings(folder / "embeddings.h5")


def prompts(drawn):
    texts, text_classes = texts_of([list(entry.texts) for entry in drawn.sheet.classes])
    return ClassPrompts(
        classes=8,
        texts=texts,
        text_classes=text_classes,
        drawings=drawn.images,
        symbol_classes=drawn.classes.astype(np.int64),
        tree=tree_prompts(drawn.sheet, drawn.tree.images),
    )


def test_training_and_evaluation_give_a_class_the_same_score(files):
    folder, checkpoint = files
    embeddings = embed(folder)
    by_method = evaluation.class_scores(embeddings)
    galaxies = embeddings.galaxies.embedding
    drawn = read_symbols(folder / "symbols.h5")
    for method in ("text", "symbol", "fused"):
        chosen = replace(checkpoint.recipe, classifier=method)
        scores = class_scores(checkpoint.model, chosen, prompts(drawn), galaxies, None)
        assert scores.shape == (16, 8)
        assert (np.exp(scores) <= 1).all()
        np.testing.assert_allclose(scores, by_method[method], rtol=1e-5)
    # By class instead of by answer the same model says something else.
    by_class = class_scores(checkpoint.model, replace(chosen, targets="class"), prompts(drawn), galaxies, None)
    assert not np.allclose(by_class, scores)


def test_other_runs_have_no_answers(files):
    folder, checkpoint = files
    save_checkpoint(folder / "class.pt", replace(checkpoint, recipe=recipe()))
    assert embed(folder, model=folder / "class.pt").answers is None


def test_paths_are_the_rules_of_the_sheet(files):
    sheet = read_sheet(SHEET)
    tree = prompts(read_symbols(files[0] / "symbols.h5")).tree
    for path, entry in zip(tree.paths, sheet.classes, strict=True):
        assert {sheet.tree.names[answer] for answer in np.flatnonzero(path)} == {step.answer for step in entry.votes}
    assert len(tree.texts) == len(tree.text_answers) == sum(len(answer.texts) for answer in sheet.tree.answers)
    assert len(tree.drawings) == tree.shown.shape[1]


def test_what_a_run_of_votes_lacks_is_said(files, tmp_path):
    folder, checkpoint = files
    sheet = read_sheet(SHEET)
    with pytest.raises(GalaxAlignError, match="class sheet gz2 has no `tree`"):
        tree_prompts(replace(sheet, tree=None), np.zeros((0, 8, 8, 3), np.uint8))
    silent = replace(sheet, classes=(replace(sheet.classes[0], votes=()), *sheet.classes[1:]))
    with pytest.raises(GalaxAlignError, match="class 'merger' of class sheet gz2 has no `votes`"):
        tree_prompts(silent, np.zeros((0, 8, 8, 3), np.uint8))
    untold = replace(prompts(read_symbols(folder / "symbols.h5")), tree=None)
    with pytest.raises(ValueError, match="needs the answers of the decision tree"):
        class_scores(checkpoint.model, checkpoint.recipe, untold, np.zeros((1, 16), np.float32), None)
    old = tmp_path / "symbols.h5"
    old.write_bytes((folder / "symbols.h5").read_bytes())
    with h5py.File(old, "a") as file:
        del file["tree"]
    with pytest.raises(GalaxAlignError, match="class sheet gz2 lack those of a decision tree"):
        embed(folder, symbols=old)
