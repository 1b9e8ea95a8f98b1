"""How many galaxies each class got, by hand."""

import numpy as np
import pandas as pd

from galaxalign.data.labels import NO_CLASS, label_table, write_labels
from galaxalign.data.store import read_store
from tests.synthetic_results import LABELS, write_store


def test_every_galaxy_is_counted_once(tmp_path):
    store = read_store(write_store(tmp_path / "s.h5", galaxies=40, rejected=6))
    rivals = np.full(40, "", dtype=object)
    rivals[0], rivals[4], rivals[5] = "Cigar", "Cigar | Spiral", "Spiral"
    table = label_table(store, rivals)
    assert table["label"].tolist() == [*LABELS, NO_CLASS]
    assert table["galaxies"].tolist() == [10, 10, 10, 10, 0]
    assert table["rejected"].tolist() == [2, 2, 1, 1, 0]
    parts = table[["train", "validation", "test", "unused", "rejected"]]
    assert parts.sum(axis=1).tolist() == table["galaxies"].tolist()
    assert table["conflicts"].tolist() == [2, 1, 0, 0, 0]
    assert table.filter(like="also ").to_numpy().tolist()[:2] == [[0, 2, 0, 1], [0, 0, 0, 1]]


def test_rivals_are_those_of_the_manifest_by_id(tmp_path):
    store = read_store(write_store(tmp_path / "s.h5", galaxies=8))
    galaxies = pd.DataFrame({"id": store.id[::-1], "rivals": ["", "", "", "Spiral", "", "", "", ""]})
    galaxies.to_parquet(tmp_path / "m.parquet")
    write_labels(store, tmp_path / "m.parquet", tmp_path / "labels.tsv")
    table = pd.read_csv(tmp_path / "labels.tsv", sep="\t")
    assert store.id[4] == galaxies["id"][3]
    assert table["conflicts"].tolist() == [1, 0, 0, 0, 0]
    galaxies.drop(columns="rivals").to_parquet(tmp_path / "m.parquet")
    write_labels(store, tmp_path / "m.parquet", tmp_path / "labels.tsv")
    assert pd.read_csv(tmp_path / "labels.tsv", sep="\t")["conflicts"].sum() == 0
