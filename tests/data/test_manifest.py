"""From catalogues to manifests: ids, labels, files, groups, splits, and what wrong input gets."""

import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest

from galaxalign.data.building import build_store
from galaxalign.data.manifest import SplitRule, share_voted, write_manifest
from galaxalign.data.sources import check_source, input_files
from galaxalign.data.splits import published_splits
from galaxalign.data.store import read_store
from galaxalign.data.votes import votes_of
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.sheet import read_sheet
from tests.conftest import ROOT
from tests.data.synthetic_images import RECIPE, write_galaxy10, write_galaxymnist, write_jpeg

SPLIT = SplitRule(
    group_by="none", radius=60, duplicates=False, fractions={"train": 0.6, "validation": 0.15, "test": 0.25}, seed=0
)
COLUMNS = {"id": "name", "file": "file", "label": "class"}
GZ1 = ["elliptical", "clockwise spiral", "anticlockwise spiral", "edge-on", "merger"]


def sheet(name):
    return read_sheet(ROOT / f"config/morphology/{name}.yaml")


@pytest.fixture
def folder(tmp_path):
    """Forty galaxies of GZ1's five classes as files that are there but never opened, and their catalogue."""
    names = [f"{number:04d}" for number in range(40)]
    for name in names:
        (tmp_path / f"{name}.jpg").touch()
    table = pd.DataFrame({"name": names, "file": [f"{name}.jpg" for name in names], "class": GZ1 * 8})
    table.to_csv(tmp_path / "catalog.csv", index=False)
    return tmp_path


def edit(folder, change):
    change(pd.read_csv(folder / "catalog.csv", dtype=str)).to_csv(folder / "catalog.csv", index=False)


def cell(column, row, value):
    return lambda table: table.assign(**{column: table[column].where(table.index != row, value)})


def manifest_of(folder, *, source=None, name="gz1", split=SPLIT, max_rejected=0.05, columns=COLUMNS, labels="column"):
    settings = {"path": str(folder / "catalog.csv"), "root": str(folder), "columns": columns, "labels": labels}
    source = source or {"catalogue": settings}
    write_manifest(
        source=source,
        inputs=[folder / file for file in input_files(source, str(folder))],
        sheet=sheet(name),
        split=split,
        bands=("g", "r", "z"),
        max_rejected=max_rejected,
        manifest=folder / "manifest.parquet",
        fingerprints=None,
        rejects_if_failed=folder / "manifest.rejects.tsv",
    )
    return pd.read_parquet(folder / "manifest.parquet")


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
    for row, label in ((3, ""), (4, "dont know"), (5, "1")):
        edit(folder, cell("class", row, label))
    galaxies = manifest_of(folder)
    assert galaxies["label"][3:5].isna().all()
    assert set(galaxies["split"][3:5]) == {""}
    assert galaxies["label"][5] == "clockwise spiral"


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


def unchanged(table):
    return table


def by(rule):
    return {"split": replace(SPLIT, group_by=rule)}


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
        (lambda table: table[:2], {}, "too few to be in each of train"),
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
table.to_parquet(folder / "catalog.parquet")
(folder / "one.jpg").touch()
columns = {"id": "id", "file": "file", "ra": "ra", "dec": "dec", "label": "label"}
write_manifest(
    source={"catalogue": {"root": str(folder), "columns": columns, "labels": "column"}},
    inputs=[folder / "catalog.parquet"],
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
    galaxies = pd.read_parquet(tmp_path / "manifest.parquet", columns=["id", "flag", "split", "label", "group"])
    assert len(galaxies) == 10**6
    assert galaxies["id"].is_unique
    bad = galaxies[galaxies["flag"] != ""]
    assert bad["flag"].to_dict() == {123456: "position", 500000: "outside_root", 999999: "duplicate_id"}
    assert set(bad["split"]) == {""}
    shares = galaxies["split"].value_counts(normalize=True)
    assert [round(shares[name], 3) for name in ("train", "validation", "test")] == [0.6, 0.15, 0.25]
    assert galaxies[galaxies["split"] != ""].drop_duplicates(["group", "split"])["group"].is_unique


def test_galaxy10_without_a_position_or_cut_in_half(tmp_path):
    write_galaxy10(tmp_path / "g.h5")
    with h5py.File(tmp_path / "g.h5", "a") as file:
        file["ra"][4] = np.nan
    galaxies = manifest_of(tmp_path, source={"galaxy10": {"path": "g.h5"}}, name="galaxy10", **by("sky"))
    assert np.flatnonzero(galaxies["flag"] == "position").tolist() == [4]
    whole = (tmp_path / "g.h5").read_bytes()
    (tmp_path / "g.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GalaxAlignError, match=r"g\.h5 cannot be read as HDF5"):
        manifest_of(tmp_path, source={"galaxy10": {"path": "g.h5"}}, name="galaxy10")


def test_groups_of_a_column_and_a_published_split(folder):
    hosts = [f"host {number // 2}" for number in range(40)]
    parts = ["train"] * 26 + ["test"] * 14
    edit(folder, lambda table: table.assign(host=hosts, part=parts))
    galaxies = manifest_of(folder, **by("column"), columns=COLUMNS | {"group": "host", "split": "part"})
    assert galaxies["group"].tolist() == [number // 2 for number in range(40)]
    assert set(galaxies["split"][26:]) == {"test"}
    assert set(galaxies["split"][:26]) == {"train", "validation"}
    assert galaxies.groupby("group")["split"].nunique().max() == 1


def test_galaxy10(tmp_path):
    write_galaxy10(tmp_path / "g.h5")
    galaxies = manifest_of(tmp_path, source={"galaxy10": {"path": "g.h5"}}, name="galaxy10")
    assert galaxies["id"][12] == "galaxy10_00012"
    assert galaxies["source"][12] == f"{tmp_path / 'g.h5'}#12"
    assert galaxies["label"][12] == sheet("galaxy10").labels[2]
    assert np.isfinite(galaxies["ra"]).all()
    assert set(galaxies["split"]) == {"train", "validation", "test"}


def test_galaxymnist_keeps_its_test_file(tmp_path):
    write_galaxymnist(tmp_path / "train.hdf5", galaxies=80)
    write_galaxymnist(tmp_path / "test.hdf5", galaxies=20)
    source = {"galaxymnist": {"train": "train.hdf5", "test": "test.hdf5"}}
    galaxies = manifest_of(tmp_path, source=source, name="galaxymnist")
    assert list(galaxies["id"][[0, 80]]) == ["train_00000", "test_00000"]
    assert (galaxies["split"][80:] == "test").all()
    assert galaxies["split"][:80].value_counts().to_dict() == {"train": 64, "validation": 16}


def test_hdf5_without_the_published_keys(tmp_path):
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["images"], file["labels"] = np.zeros((3, 8, 8, 3), np.uint8), np.zeros(3)
    with pytest.raises(GalaxAlignError, match=r"g.h5 has no 'ans', its keys are images, labels"):
        manifest_of(tmp_path, source={"galaxy10": {"path": "g.h5"}}, name="galaxy10")
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["images"] = np.zeros((3, 3, 8, 8), np.uint8)
        file["labels"] = np.zeros(3)
    with pytest.raises(GalaxAlignError, match=r"uint8 \(3, 3, 8, 8\), not uint8 \(N, H, W, 3\)"):
        manifest_of(tmp_path, source={"galaxymnist": {"train": "g.h5", "test": "g.h5"}}, name="galaxymnist")
    (tmp_path / "g.h5").write_bytes(b"nothing")
    with pytest.raises(GalaxAlignError, match="cannot be read as HDF5"):
        manifest_of(tmp_path, source={"galaxy10": {"path": "g.h5"}}, name="galaxy10")


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


def test_voted_galaxies_of_no_class_follow_their_group_or_train(folder):
    tree = sheet("gz2").tree
    cast = {"t01_smooth_or_features_a01_smooth": 0.75, "t01_smooth_or_features_a02_features_or_disk": 0.25}
    cast |= {"t01_smooth_or_features_a03_star_or_artifact": 0.0}
    edit(
        folder,
        lambda table: table.assign(
            # Galaxies 2n and 2n + 1 are a group; every second has no class, the last group and galaxy 1 neither.
            ra=[number // 2 for number in range(40)],
            dec="10.0",
            people=["40"] * 39 + ["0"],
            **{"class": [label if row % 2 == 0 and row < 38 else "" for row, label in enumerate(table["class"])]},
            **{
                f"{name}_{kind}": str(share)
                for name, share in cast.items()
                for kind in ("weighted_fraction", "debiased")
            },
        ),
    )
    (folder / "0003.jpg").unlink()
    columns = COLUMNS | {"ra": "ra", "dec": "dec", "total": "people"}
    settings = {"path": str(folder / "catalog.csv"), "root": str(folder), "columns": columns, "labels": "column"}
    write_manifest(
        source={"catalogue": settings | {"votes": "debiased"}},
        inputs=[folder / "catalog.csv"],
        sheet=replace(sheet("gz1"), tree=tree),
        split=replace(SPLIT, group_by="sky"),
        bands=(),
        max_rejected=0.1,
        manifest=folder / "manifest.parquet",
        fingerprints=None,
        rejects_if_failed=folder / "manifest.rejects.tsv",
    )
    galaxies = pd.read_parquet(folder / "manifest.parquet")
    split = list(galaxies["split"])
    assert set(split[:38:2]) == {"train", "validation", "test"}
    assert [split[row + 1] for row in range(0, 38, 2) if row != 2] == [
        split[row] for row in range(0, 38, 2) if row != 2
    ]
    # A missing file; no class in its group; nobody asked.
    assert (split[3], split[38], split[39]) == ("", "train", "")
    votes = votes_of(galaxies)
    assert votes.fractions[0, :3].tolist() == [0.75, 0.25, 0.0]
    assert not [name for name in galaxies if name.startswith("t01")]


def test_voted_galaxies_of_no_class_keep_their_published_split():
    given = ["train", "test", "validation", "", "train", "test", "test"]
    galaxies = pd.DataFrame({"group": [0, 1, 2, 3, 4, 4, 5], "split": "", "flag": "", "label": None})
    galaxies.loc[6, "split"] = "test"
    galaxies = galaxies.assign(**{"shape/round": 0.25, "shape/flat": 0.75, "asked/shape": 40.0})
    fractions = {"train": 0.6, "validation": 0.15, "test": 0.25}
    splits = share_voted(galaxies, published_splits(given, fractions))
    # The fifth shares its group with one that is to be judged.
    assert splits.tolist() == ["train", "test", "validation", "train", "", "test", "test"]


def test_galaxy_zoo_2_supports_eight_classes(real_data, tmp_path):
    columns = {"id": "objid", "file": "file", "total": "total_classifications"}
    catalogue = {"path": str(real_data / "gz2/catalog.csv"), "root": str(real_data / "gz2"), "columns": columns}
    source = {"catalogue": catalogue | {"labels": "votes", "votes": "debiased"}}
    write_manifest(
        source=source,
        inputs=[real_data / "gz2/catalog.csv"],
        sheet=sheet("gz2"),
        split=replace(SPLIT, group_by="sdss_field"),
        bands=(),
        max_rejected=0,
        manifest=tmp_path / "manifest.parquet",
        fingerprints=None,
        rejects_if_failed=tmp_path / "manifest.rejects.tsv",
    )
    galaxies = pd.read_parquet(tmp_path / "manifest.parquet")
    counts = galaxies["label"].value_counts()
    assert len(galaxies) == 760
    assert len(counts) == 8
    assert counts.min() >= 20
    votes = votes_of(galaxies)
    assert votes.answers == sheet("gz2").tree.names
    assert votes.known.all()
    # Who has no class learns from votes alone; nobody of another split shares a group with them.
    unlabelled = galaxies[galaxies["label"].isna()]
    assert set(unlabelled["split"]) <= {"train", "validation", "test"}
    assert (unlabelled["split"] == "train").mean() > 0.5
    assert (galaxies["split"] != "").all()
    assert galaxies[galaxies["split"] != ""].groupby("group")["split"].nunique().max() == 1
