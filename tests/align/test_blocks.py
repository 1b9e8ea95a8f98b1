"""Many galaxies are embedded, scored and searched a few at a time, and come out as all at once."""

import tracemalloc
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from galaxalign import blocks as blocks_module
from galaxalign.blocks import blocks
from galaxalign.embed import embedding
from galaxalign.embed.embedding import embed_galaxies, embed_store, galaxy_embeddings
from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.prototypes import text_scores
from galaxalign.hdf5 import whole_hdf5
from galaxalign.search import prediction
from galaxalign.search.prediction import predict
from galaxalign.search.similarity import Queries, _nearest_rows, find_similar
from tests.align.small import recipe, train

MIB = 2**20


@pytest.fixture(scope="module")
def model(inputs, tmp_path_factory):
    return train(inputs, tmp_path_factory.mktemp("model"), recipe(classifier="fused"))


@pytest.fixture(scope="module")
def embeddings(inputs, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("embeddings") / "embeddings.h5"
    embed_galaxies(model=model, images=inputs[0], threads=1, embeddings=path)
    return path


def peak_of(job):
    """Most memory, MiB, that a job takes."""
    tracemalloc.start()
    job()
    peak = tracemalloc.get_traced_memory()[1] / MIB
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9, 10, 14, 23])
def test_blocks_cover_all_rows_and_leave_no_few_at_the_end(count, monkeypatch):
    monkeypatch.setattr(blocks_module, "ROWS", 5)
    parts = list(blocks(count))
    assert [row for part in parts for row in range(count)[part]] == list(range(count))
    assert all(min(count, 5) <= part.stop - part.start < 10 for part in parts)


def test_embeddings_do_not_pile_up_in_memory(tmp_path, monkeypatch):
    def embed_images(model, batches, size, angles):
        for start in range(0, 12800, 64):
            yield np.full((64, 1280), start, np.float32), np.full((64, 4), start, np.float32)

    monkeypatch.setattr(embedding, "embed_images", embed_images)
    checkpoint = SimpleNamespace(model=SimpleNamespace(to=lambda device: None), recipe=recipe())
    store = SimpleNamespace(id=np.arange(12800), pictures=None)

    def job():
        with whole_hdf5(tmp_path / "embeddings.h5") as file:
            embed_store(checkpoint, store, file)

    # They are 63 MiB.
    assert peak_of(job) < 8
    with galaxy_embeddings(tmp_path / "embeddings.h5", 12800) as (galaxies, logits):
        assert (galaxies[:, 7] == np.arange(12800) // 64 * 64).all()
        assert (logits[:, 3] == galaxies[:, 3]).all()


def test_a_search_holds_a_block_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks_module, "ROWS", 1000)
    vectors = np.random.default_rng(0).standard_normal((20500, 512), np.float32)
    # Equal ones, which are found in the order of their rows.
    vectors[[3, 9000, 20000]] = 2 * vectors[7]
    path = tmp_path / "embeddings.h5"
    with h5py.File(path, "w") as file:
        file["embedding"] = vectors
    store = SimpleNamespace(id=np.arange(20500).astype(str), flag=np.where(np.arange(20500) == 5, "blank", ""))
    queries, found = [("galaxy", "7", vectors[7]), ("text", "seven", vectors[7]), ("text", "five", vectors[5])], []
    with h5py.File(path) as file:
        # All are 40 MiB, a block at most 4.
        assert peak_of(lambda: found.extend(_nearest_rows(store, file["embedding"], queries, 6))) < 12
    assert found[0][0][:3].tolist() == found[1][0][:3].tolist() == [3, 9000, 20000]
    for (kind, _, vector), (rows, similarity) in zip(queries, found, strict=True):
        whole = vectors @ vector
        whole[[5, 7] if kind == "galaxy" else [5]] = -np.inf
        assert rows.tolist() == np.argsort(-whole, kind="stable")[:6].tolist()
        np.testing.assert_allclose(similarity, whole[rows], rtol=1e-5)


def test_predictions_and_neighbours_in_blocks_are_those_of_all_at_once(
    inputs, model, embeddings, tmp_path, monkeypatch
):
    seen, scorer = [], prediction.class_scorer

    def watched(*given):
        score = scorer(*given)

        def scores(galaxies, logits):
            seen.append(len(galaxies))
            return score(galaxies, logits)

        return scores

    monkeypatch.setattr(prediction, "class_scorer", watched)
    common = {"model": model, "images": inputs[0], "embeddings": embeddings}
    queries = Queries(galaxies=("g3",), symbols=("merger",), texts=("a thin streak",))
    tables = []
    for rows in (blocks_module.ROWS, 5):
        monkeypatch.setattr(blocks_module, "ROWS", rows)
        monkeypatch.setattr(prediction, "ROW_GROUP", 2 * rows)
        written = {"parquet": tmp_path / f"{rows}.parquet", "csv": tmp_path / f"{rows}.csv"}
        predict(**common, **written)
        find_similar(**common, queries=queries, count=9, table=tmp_path / f"{rows}.tsv")
        similar = pd.read_csv(tmp_path / f"{rows}.tsv", sep="\t")
        tables.append((pd.read_parquet(written["parquet"]), pd.read_csv(written["csv"]), similar))
    assert seen == [24, 5, 5, 5, 9]
    for whole, parts in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(parts, whole, rtol=1e-6)
    # The files are as pandas writes them.
    whole = tables[1][0]
    whole.to_parquet(tmp_path / "pandas.parquet", index=False, row_group_size=10)
    whole.to_csv(tmp_path / "pandas.csv", index=False, float_format="%.10g")
    assert pq.ParquetFile(tmp_path / "5.parquet").num_row_groups == 3
    for kind in ("parquet", "csv"):
        assert (tmp_path / f"5.{kind}").read_bytes() == (tmp_path / f"pandas.{kind}").read_bytes()


def test_predictions_that_fail_half_way_leave_those_of_before(inputs, model, embeddings, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks_module, "ROWS", 5)
    written = {"parquet": tmp_path / "predictions.parquet", "csv": tmp_path / "predictions.csv"}
    for path in written.values():
        path.write_text("old")

    def fail(galaxies, logits):
        if len(galaxies) == 5:
            return np.zeros((5, 4))
        raise ZeroDivisionError

    # The first three of four blocks are written.
    monkeypatch.setattr(prediction, "class_scorer", lambda *_: fail)
    with pytest.raises(ZeroDivisionError):
        predict(model=model, images=inputs[0], embeddings=embeddings, **written)
    assert [path.read_text() for path in written.values()] == ["old", "old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["predictions.csv", "predictions.parquet"]


def test_embeddings_of_other_galaxies_are_refused(embeddings):
    words = "embeddings.h5 holds 24 galaxies where 25 are wanted: remove it and run again"
    with pytest.raises(GalaxAlignError, match=words), galaxy_embeddings(embeddings, 25):
        pass


def test_scores_hold_a_block_in_double_precision(monkeypatch):
    monkeypatch.setattr(blocks_module, "ROWS", 500)
    generator = np.random.default_rng(0)
    galaxies, prototypes = generator.standard_normal((10300, 512), np.float32), generator.standard_normal((3, 512))
    found = []
    # All are 40 MiB.
    assert peak_of(lambda: found.append(text_scores(galaxies, prototypes, 5.0))) < 12
    np.testing.assert_allclose(found[0], 5 * galaxies.astype(np.float64) @ prototypes.T, rtol=1e-9, atol=1e-9)
