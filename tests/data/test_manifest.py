"""From catalogues to manifests: ids, labels, files, groups, splits, and what wrong input gets."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from galaxalign.data.building import build_store
from galaxalign.data.sources import check_source, input_files
from galaxalign.data.store import read_store
from galaxalign.errors import GalaxAlignError
from tests.conftest import ROOT
from tests.data.manifests import COLUMNS, GZ1, by, cell, edit, folder, manifest_of, sheet, unchanged
from tests.data.synthetic_images import RECIPE, write_jpeg

__all__ = ["folder"]


def test_a_catalogue(folder):
    galaxies = manifest_of(folder)
    assert list(galaxies.columns) == ["id", "source", "label", "ra", "dec", "group", "split", "flag", "reason"]
    assert galaxies["id"][7] == "0007"
    assert galaxies["source"][7] == str(folder / "0007.jpg")
    assert list(galaxies["label"][:5]) == GZ1
    assert galaxies["ra"].isna().all()
    assert (galaxies["flag"] == "").all()
    assert galaxies["split"].value_counts().to_dict() == {"train": 25, "test": 10, "validation": 5}


def test_labels_may_be_missing_unclassified_or_numbers(folder):
    for row, label in ((3, ""), (4, "dont know"), (5, "1"), (6, "nan"), (7, "2.0")):
        edit(folder, cell("class", row, label))
    galaxies = manifest_of(folder)
    assert galaxies["label"][[3, 4, 6]].isna().all()
    assert set(galaxies["split"][[3, 4, 6]]) == {""}
    assert galaxies["label"][[5, 7]].tolist() == ["clockwise spiral", "anticlockwise spiral"]


def test_galaxies_without_labels(folder):
    galaxies = manifest_of(folder, labels="none", columns={"id": "name", "file": "{name}.jpg"})
    assert galaxies["label"].isna().all()
    assert set(galaxies["split"]) == {""}
    assert galaxies["source"][0] == str(folder / "0000.jpg")


def test_sky_groups_and_positions(folder):
    edit(folder, lambda table: table.assign(ra=[number // 2 for number in range(40)], dec=["10.0"] * 39 + [""]))
    galaxies = manifest_of(folder, **by("sky"), columns=COLUMNS | {"ra": "ra", "dec": "dec"})
    assert list(galaxies["group"][:4]) == [0, 0, 1, 1]
    assert galaxies["group"][38] != galaxies["group"][39]
    assert np.isnan(galaxies["dec"][39])
    assert galaxies.groupby("group")["split"].nunique().max() == 1


def test_missing_files_are_flagged_before_any_image_is_read(folder):
    (folder / "0011.jpg").unlink()
    galaxies = manifest_of(folder)
    assert galaxies["flag"][11] == "missing_file"
    assert galaxies["reason"][11] == f"there is no {folder / '0011.jpg'}"
    assert galaxies["split"][11] == ""
    for number in range(5):
        (folder / f"{number:04d}.jpg").unlink()
    with pytest.raises(GalaxAlignError, match=r"catalog.csv, before any image.*6 of 40 galaxies.*0000.jpg") as failure:
        manifest_of(folder)
    rejects = pd.read_csv(folder / "manifest.rejects.tsv", sep="\t", dtype=str)
    assert list(rejects["id"]) == ["0000", "0001", "0002", "0003", "0004", "0011"]
    assert str(folder / "manifest.rejects.tsv") in str(failure.value)
    manifest_of(folder, max_rejected=0.2)
    assert not (folder / "manifest.rejects.tsv").exists()


def test_one_file_a_band(folder):
    for number, band in ((0, "g"), (0, "r"), (0, "z"), (1, "g")):
        (folder / f"{number:04d}_{band}.fits").touch()
    galaxies = manifest_of(folder, max_rejected=1, columns=COLUMNS | {"file": "{name}_{band}.fits"}, labels="none")
    assert galaxies["source"][0] == str(folder / "0000_{band}.fits")
    assert list(galaxies["flag"][:3]) == ["", "missing_band", "missing_file"]


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (cell("class", 9, "elipticall"), {}, "row 10.*'elipticall' is no class.*did you mean 'elliptical'"),
        (cell("class", 9, "5"), {}, "row 10.*label '5' is no class"),
        (unchanged, {"columns": COLUMNS | {"label": "clas"}}, "no column 'clas', named by columns.label: did you"),
        (unchanged, {"columns": COLUMNS | {"file": "{nam}.jpg"}}, "no column 'nam', named by columns.file"),
        (lambda table: table.assign(ra="12h"), {"columns": COLUMNS | {"ra": "ra"}}, "40 position.*'ra' is '12h', no"),
        (lambda table: table.assign(dec="91"), {"columns": COLUMNS | {"dec": "dec"}}, "no angle from -90 to 90"),
        (lambda table: table[:0], {}, "has no rows"),
        (lambda table: table[:2], {}, "has no galaxy that can be used"),
        (unchanged, by("sky"), "no galaxy has a position"),
        (lambda t: t.assign(name="G" + t["name"]), by("sdss_field"), "'G0000' .* no SDSS objid as its id, nor has any"),
        (unchanged, by("column"), r"no galaxy has a group: name its column in columns\.group"),
    ],
)
def test_wrong_catalogues_are_named(folder, change, options, words):
    edit(folder, change)
    with pytest.raises(GalaxAlignError, match=words):
        manifest_of(folder, **options)
    assert not list(folder.glob(".*part"))


def test_bad_rows_reach_the_manifest_and_the_rejects_of_the_store(folder):
    for number in range(40):
        write_jpeg(folder / f"{number:04d}.jpg", seed=number)
    (folder / "0020.jpg").write_bytes(b"<html>")
    edit(folder, lambda table: cell("name", 3, "0002")(cell("file", 7, "../../etc/passwd")(table)))
    galaxies = manifest_of(folder, max_rejected=0.1)
    assert len(galaxies) == 40
    assert galaxies["id"].is_unique
    assert galaxies["flag"].value_counts().to_dict() == {"": 38, "duplicate_id": 1, "outside_root": 1}
    assert (galaxies["split"] == "").equals(galaxies["flag"] != "")
    build_store(
        manifest=folder / "manifest.parquet",
        shards=[],
        classes=sheet("gz1").labels,
        names=sheet("gz1").names,
        recipe=RECIPE,
        max_blank=0.2,
        max_rejected=0.1,
        dataset="bad",
        workers=1,
        images=folder / "images.h5",
        rejects=folder / "rejects.tsv",
        rejects_if_failed=folder / "failed.tsv",
    )
    rejects = pd.read_csv(folder / "rejects.tsv", sep="\t", dtype=str)
    assert dict(zip(rejects["id"], rejects["flag"], strict=True)) == {
        "0002_row_4": "duplicate_id",
        "0007": "outside_root",
        "0020": "unreadable",
    }
    # The file of the duplicate is there, but nobody reads it a second time.
    assert not read_store(folder / "images.h5").pictures(np.array([3])).any()


MILLION = """
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from galaxalign.data.manifest import SplitRule, write_manifest
from galaxalign.symbols.sheet import read_sheet

folder, rows = Path(sys.argv[1]), 10**6
generator = np.random.default_rng(0)
table = pd.DataFrame({"id": 1237648720693755918 + np.arange(rows), "file": "one.jpg"})
table["ra"], table["dec"] = generator.uniform(0, 360, rows), generator.uniform(-90, 90, rows)
table["label"] = generator.integers(0, 5, rows)
table.loc[123456, "ra"] = np.nan
table.loc[500000, "file"] = "../../etc/passwd"
table.loc[rows - 1, "id"] = table["id"][0]
table.to_csv(folder / "catalog.csv", index=False)
(folder / "one.jpg").touch()
columns = {"id": "id", "file": "file", "ra": "ra", "dec": "dec", "label": "label"}
write_manifest(
    source={"catalogue": {"root": str(folder), "columns": columns, "labels": "column"}},
    inputs=[folder / "catalog.csv"],
    sheet=read_sheet(Path("config/morphology/gz1.yaml")),
    split=SplitRule(
        group_by="sky", radius=60, duplicates=False,
        fractions={"train": 0.6, "validation": 0.15, "test": 0.25}, seed=0,
    ),
    bands=(),
    max_rejected=3e-6,
    fingerprints=None,
    manifest=folder / "manifest.parquet",
    rejects_if_failed=folder / "rejects.tsv",
)
# Not ru_maxrss, which a process inherits from the one that started it.
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def test_a_million_rows_of_which_three_are_bad(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MILLION, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) < 1.5 * 2**20, "kB resident"
    galaxies = pd.read_parquet(
        tmp_path / "manifest.parquet", columns=["id", "flag", "reason", "split", "label", "group"]
    )
    assert len(galaxies) == 10**6
    assert galaxies["id"].is_unique
    bad = galaxies[galaxies["flag"] != ""]
    assert bad["flag"].to_dict() == {123456: "position", 500000: "outside_root", 999999: "duplicate_id"}
    assert "catalog.csv, row 123457 (line 123458): 'ra' is empty" in bad["reason"][123456]
    assert f"passwd leads outside {tmp_path}" in bad["reason"][500000]
    assert bad["reason"][999999].endswith("row 1000000 (line 1000001): id '1237648720693755918' is that of row 1")
    assert set(bad["split"]) == {""}
    shares = galaxies["split"].value_counts(normalize=True)
    assert [round(shares[name], 3) for name in ("train", "validation", "test")] == [0.6, 0.15, 0.25]
    assert galaxies[galaxies["split"] != ""].drop_duplicates(["group", "split"])["group"].is_unique


def test_groups_of_a_column_and_a_published_split(folder):
    hosts = [f"host {number // 2}" for number in range(40)]
    parts = ["train"] * 26 + ["test"] * 14
    edit(folder, lambda table: table.assign(host=hosts, part=parts))
    galaxies = manifest_of(folder, **by("column"), columns=COLUMNS | {"group": "host", "split": "part"})
    assert galaxies["group"].tolist() == [number // 2 for number in range(40)]
    assert set(galaxies["split"][26:]) == {"test"}
    assert set(galaxies["split"][:26]) == {"train", "validation"}
    assert galaxies.groupby("group")["split"].nunique().max() == 1


def test_input_files():
    assert input_files({"simulated": {"galaxies": 3}}, "raw") == ["raw/catalog.csv"]
    assert input_files({"galaxy10": {"url": "http://x", "sha256": "0"}}, "raw") == ["raw/Galaxy10_DECals.h5"]
    assert input_files({"galaxymnist": {"train": "a", "test": "b"}}, "raw") == ["a", "b"]


def test_files_that_the_user_forgot(folder):
    catalogue = {"path": str(folder / "catalog.csv"), "root": str(folder)}
    check_source("own", {"catalogue": catalogue})
    with pytest.raises(GalaxAlignError, match=r"'datasets.own.source.catalogue.path' is '.*no such file"):
        check_source("own", {"catalogue": catalogue | {"path": str(folder / "catalogue.csv")}})
    with pytest.raises(GalaxAlignError, match=r"'datasets.own.source.catalogue.root' is '.*no such folder"):
        check_source("own", {"catalogue": catalogue | {"root": str(folder / "images")}})
    check_source("galaxy10", {"galaxy10": {"url": "http://x", "sha256": "0"}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": "column"}, r"'datasets.own.source.catalogue.labels' is column: name the column in columns.label"),
        ({"labels": "votes"}, r"labels' is votes: name those that count in datasets.own.source.catalogue.votes"),
        ({"field": {"arcsec": 60, "times": 3}}, r"field' has arcsec and times: leave one of them out"),
        ({"field": {"times": 3}}, r"field.times' needs the column of sizes: name it in columns.size"),
    ],
)
def test_settings_that_need_a_column(folder, change, words):
    catalogue = {"path": str(folder / "catalog.csv"), "root": str(folder), "columns": {"id": "name"}}
    with pytest.raises(GalaxAlignError, match=words):
        check_source("own", {"catalogue": catalogue | change})
