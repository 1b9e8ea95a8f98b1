"""Manifests of sets as they are published: Galaxy10, GalaxyMNIST, and the votes of Galaxy Zoo."""

from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest

from galaxalign.data.manifest import share_voted
from galaxalign.data.splits import published_splits
from galaxalign.data.votes import votes_of
from galaxalign.errors import GalaxAlignError
from tests.data.manifests import COLUMNS, by, edit, folder, manifest_of, sheet
from tests.data.synthetic_images import write_galaxy10, write_galaxymnist

__all__ = ["folder"]


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
    galaxies = manifest_of(
        folder,
        source={"catalogue": settings | {"votes": "debiased"}},
        name=replace(sheet("gz1"), tree=tree),
        max_rejected=0.1,
        **by("sky"),
    )
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
    splits = share_voted(galaxies, published_splits(given, fractions, galaxies["group"].to_numpy()))
    # The fifth shares its group with one that is to be judged.
    assert splits.tolist() == ["train", "test", "validation", "train", "", "test", "test"]


def test_galaxy_zoo_2_supports_eight_classes(real_data, tmp_path):
    columns = {"id": "objid", "file": "file", "total": "total_classifications"}
    catalogue = {"path": str(real_data / "gz2/catalog.csv"), "root": str(real_data / "gz2"), "columns": columns}
    source = {"catalogue": catalogue | {"labels": "votes", "votes": "debiased"}}
    galaxies = manifest_of(tmp_path, source=source, name="gz2", max_rejected=0, **by("sdss_field"))
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
