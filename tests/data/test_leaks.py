"""The report of what is most alike across splits."""

import h5py
import numpy as np
import pandas as pd

from galaxalign.data.leaks import COLUMNS, closest_pictures, closest_positions, read_leaks, write_leaks
from galaxalign.data.store import read_store
from tests.data.test_duplicates import galaxy, turned
from tests.synthetic_results import write_store

SPLITS = ["train", "train", "test", "validation", "test", "", "train", "test"]


def store_of(path, *, positions=True, splits=SPLITS):
    """Eight galaxies: the third is the first turned, the last two are one, the sixth is in no split."""
    write_store(path, galaxies=8, size=64)
    pictures = [galaxy(seed, 64) for seed in (0, 1, 0, 2, 3, 0, 4, 4)]
    pictures[2] = turned(pictures[0], 3)
    with h5py.File(path, "a") as file:
        file["images"][:] = np.array(pictures)
        file["split"][:] = splits
        file["ra"][:] = [10, 10, 200, 10 + 50 / 3600, 10.5, 10, 300, 120] if positions else np.nan
        file["dec"][:] = [0, 5, 0, 0, 0, 0, 60, -60] if positions else np.nan
    return read_store(path)


def test_the_closest_pairs_across_splits(tmp_path):
    store = store_of(tmp_path / "s.h5")
    rows = np.flatnonzero(store.split != "")
    assert set(closest_pictures(store, rows)[:2]) == {(0, 2), (6, 7)}
    assert closest_positions(store, rows)[0] == (0, 3)
    write_leaks(store, radius=60, seed=0, table=tmp_path / "leaks.tsv")
    report = pd.read_csv(tmp_path / "leaks.tsv", sep="\t")
    assert list(report.columns) == [
        *("by", "first", "second", "first_split", "second_split", "difference", "separation", "leak")
    ]
    assert (report["first_split"] != report["second_split"]).all()
    assert (report["by"] == "picture").sum() == 12
    assert not report.duplicated(["by", "first", "second"]).any()
    assert "g5" not in {*report["first"], *report["second"]}
    leaks = report[report["leak"] & ((report["by"] == "picture") | (report["separation"] <= 60))]
    assert set(leaks[["by", "first", "second"]].itertuples(index=False, name=None)) == {
        ("picture", "g0", "g2"),
        ("picture", "g6", "g7"),
        ("sky", "g0", "g3"),
        # Alike or not, these lie 50 arcsec from each other.
        ("picture", "g0", "g3"),
    }
    near = report[(report["by"] == "sky") & (report["second"] == "g3")].iloc[0]
    assert near["separation"] == 50.0
    assert (report[report["by"] == "picture"]["difference"].diff().dropna() >= 0).all()
    assert (report[report["by"] == "sky"]["separation"].diff().dropna() >= 0).all()


def test_without_positions_only_pictures_are_compared(tmp_path):
    write_leaks(store_of(tmp_path / "s.h5", positions=False), radius=60, seed=0, table=tmp_path / "leaks.tsv")
    report = pd.read_csv(tmp_path / "leaks.tsv", sep="\t")
    assert set(report["by"]) == {"picture"}
    assert report["separation"].isna().all()
    assert report["leak"].sum() == 2


def test_a_data_set_of_one_split_or_none_leaks_nothing(tmp_path):
    for name, splits in (("one", ["train"] * 8), ("none", [""] * 8)):
        write_leaks(store_of(tmp_path / f"{name}.h5", splits=splits), radius=60, seed=0, table=tmp_path / "leaks.tsv")
        assert (tmp_path / "leaks.tsv").read_text().count("\n") == 1


def test_no_more_galaxies_are_compared_than_is_bearable(tmp_path, monkeypatch):
    monkeypatch.setattr("galaxalign.data.leaks.MOST", 3)
    write_leaks(store_of(tmp_path / "s.h5"), radius=60, seed=0, table=tmp_path / "leaks.tsv")
    report = pd.read_csv(tmp_path / "leaks.tsv", sep="\t")
    assert len(report[report["by"] == "picture"]) <= 3


def test_ids_that_look_like_nothing_stay_what_they_are(tmp_path):
    table = tmp_path / "leaks.tsv"
    pd.DataFrame([["sky", "NA", "null", "train", "test", 0.5, np.nan, False]], columns=COLUMNS).to_csv(
        table, sep="\t", index=False
    )
    found = read_leaks(table)
    assert found[["first", "second"]].to_numpy().tolist() == [["NA", "null"]]
    assert found["separation"].isna().all()
    assert found["leak"].tolist() == [False]
