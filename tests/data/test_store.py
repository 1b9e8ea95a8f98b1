"""From a manifest to the store: what it holds, that it repeats itself, and what bad images do to it."""

import dataclasses
import hashlib
import json
import zlib

import h5py
import numpy as np
import pandas as pd
import pytest

from galaxalign.data.crop import crop_centre
from galaxalign.data.filling import CHUNK
from galaxalign.data.pictures import ImageRecipe, make_picture
from galaxalign.data.quality import measure_picture
from galaxalign.data.rejects import Reject, check_rejected
from galaxalign.data.rgb import to_rgb
from galaxalign.data.store import read_store
from galaxalign.errors import GalaxAlignError
from tests.data.stores import CLASSES, NAMES, build
from tests.data.synthetic_images import RECIPE, noise, write_cube, write_galaxy10, write_jpeg


@pytest.fixture
def folder(tmp_path):
    """Twelve galaxies of three kinds of image, the last of no class."""
    galaxy10 = write_galaxy10(tmp_path / "g.h5", galaxies=10)
    cubes = [write_cube(tmp_path / f"{seed}.fits", noise(3, 24, 24, seed=seed)) for seed in range(4)]
    jpegs = [write_jpeg(tmp_path / f"{seed}.jpg", seed=seed) for seed in range(4)]
    rows = [f"{galaxy10}#{row}" for row in range(4)]
    table = pd.DataFrame(
        {"id": [f"G{n:02d}" for n in range(12)], "source": [*map(str, cubes), *map(str, jpegs), *rows]}
    )
    table["label"] = pd.array(["round", "edge-on"] * 5 + ["round", None], dtype="string")
    table["ra"], table["dec"] = 10.5, np.nan
    table["split"] = ["train"] * 11 + [""]
    table["flag"] = table["reason"] = ""
    table.to_parquet(tmp_path / "manifest.parquet")
    return tmp_path


def test_the_store(folder):
    store = build(folder)
    assert list(store.id) == [f"G{n:02d}" for n in range(12)]
    assert store.label.dtype == np.int16
    assert store.label.tolist() == [0, 1] * 5 + [0, -1]
    assert list(store.split) == ["train"] * 11 + [""]
    assert not store.flag.any()
    assert (store.ra == 10.5).all()
    assert np.isnan(store.dec).all()
    assert (store.classes, store.names, store.dataset, store.recipe) == (CLASSES, NAMES, "mixed", RECIPE)
    assert len(store.code) == 12
    pictures = store.pictures(np.array([8, 0, 4]))
    assert pictures.shape == (3, 16, 16, 3)
    assert pictures.dtype == np.uint8
    for picture, row in zip(pictures, (8, 0, 4), strict=True):
        source = pd.read_parquet(folder / "manifest.parquet")["source"][row]
        assert np.array_equal(picture, make_picture(source, RECIPE, 0.2).pixels)


def test_the_file_itself(folder):
    build(folder)
    with h5py.File(folder / "images.h5") as file:
        assert file["images"].chunks is None
        assert set(file) == {"images", "id", "label", "split", "flag", "reason", "ra", "dec", "key", "checksum"}
        assert file["checksum"][3] == zlib.crc32(file["images"][3])
        assert json.loads(file.attrs["classes"]) == list(CLASSES)
        assert ImageRecipe.from_dict(json.loads(file.attrs["recipe"])) == RECIPE
    assert sorted(path.name for path in folder.glob(".*")) == [".images.h5.kept"]
    assert (folder / ".images.h5.kept/images.h5").samefile(folder / "images.h5")
    assert (folder / "rejects.tsv").read_text() == "id\tsource\tflag\treason\n"


def test_votes_travel_with_the_pictures(folder):
    store = build(folder)
    assert store.votes is None
    with pytest.raises(GalaxAlignError, match=r"images\.h5 has no votes to learn from.*to make them again"):
        store.needed_votes()
    table = pd.read_parquet(folder / "manifest.parquet")
    columns = {"shape/round": 0.25, "shape/flat": 0.75, "asked/shape": 40.0}
    table.assign(**columns).assign(**{"tone/red": np.nan, "asked/tone": 0.0}).to_parquet(folder / "manifest.parquet")
    votes = build(folder).needed_votes()
    assert votes.answers == ("shape/round", "shape/flat", "tone/red")
    assert votes.questions == ("shape", "tone")
    assert votes.fractions.dtype == votes.asked.dtype == np.float32
    np.testing.assert_array_equal(votes.fractions[3], np.float32([0.25, 0.75, np.nan]))
    np.testing.assert_array_equal(votes.asked[3], np.float32([40, 0]))


def test_same_bytes_whatever_the_number_of_workers(folder, monkeypatch):
    monkeypatch.setattr("galaxalign.data.filling.FEW", 0)
    table = pd.read_parquet(folder / "manifest.parquet")
    many = pd.concat([table] * 9, ignore_index=True)
    many["id"] = [f"G{n:03d}" for n in range(len(many))]
    many.loc[50, "source"] = str(folder / "nowhere.jpg")
    many.to_parquet(folder / "manifest.parquet")
    assert len(many) > 3 * CHUNK
    digests = set()
    for workers in (1, 2):
        store = build(folder, workers=workers, images=folder / f"{workers}.h5")
        digests.add(hashlib.sha256((folder / f"{workers}.h5").read_bytes()).hexdigest())
    assert len(digests) == 1
    assert list(np.flatnonzero(store.flag != "")) == [50]


def test_bad_images_are_flagged_and_the_job_goes_on(folder):
    (folder / "1.jpg").write_bytes((folder / "1.jpg").read_bytes()[:500])
    store = build(folder)
    assert store.flag[5] == "truncated"
    assert "1.jpg" in store.reason[5]
    assert store.split[5] == ""
    assert not store.pictures(np.array([5])).any()
    rejects = pd.read_csv(folder / "rejects.tsv", sep="\t")
    assert rejects.to_dict("records") == [
        {"id": "G05", "source": str(folder / "1.jpg"), "flag": "truncated", "reason": store.reason[5]}
    ]


def test_what_the_manifest_flagged_is_not_read(folder):
    table = pd.read_parquet(folder / "manifest.parquet")
    table.loc[2, ["flag", "reason"]] = ["missing_file", "there is no such"]
    table.to_parquet(folder / "manifest.parquet")
    store = build(folder)
    assert (store.flag[2], store.reason[2]) == ("missing_file", "there is no such")


def test_too_many_bad_images(folder):
    for name in ("0.jpg", "1.jpg"):
        (folder / name).write_bytes(b"<html>")
    (folder / "2.fits").write_bytes(b"")
    with pytest.raises(GalaxAlignError) as failure:
        build(folder)
    words = str(failure.value)
    assert words.startswith(
        "3 of 12 galaxies were rejected (2 unreadable, 1 empty_file), data.max_rejected allows 10 %"
    )
    assert f"the worst is unreadable, the file is not what its name says: {folder / '0.jpg'}" in words
    table = folder / "logs/images.rejects.tsv"
    assert words.endswith(f"mend the files, or raise data.max_rejected; all are listed in {table}")
    assert list(pd.read_csv(table, sep="\t")["id"]) == ["G02", "G04", "G05"]
    assert not (folder / "images.h5").exists()
    # A share that allows them lets the job pass, with the table where it belongs.
    assert (build(folder, max_rejected=0.25).flag != "").sum() == 3
    assert len((folder / "rejects.tsv").read_text().splitlines()) == 4
    assert not table.exists()


def test_images_that_are_too_large_have_a_cure_of_their_own(tmp_path):
    reject = Reject(id="1", source="a.fits", flag="too_large", reason="a.fits: the image in unit 0 has too many values")
    error = check_rejected([reject], 1, 0.1, tmp_path / "rejects.tsv")
    assert "; name cutouts in place of whole frames, of which the source `tiles` makes some" in str(error)


def test_what_is_no_store(folder):
    with pytest.raises(GalaxAlignError, match=r"g\.h5 is no store of galaxies"):
        read_store(folder / "g.h5")


def test_pictures_are_cut_before_they_are_judged_and_resized(tmp_path):
    flux = noise(3, 40, 40)
    flux[:, :8] = np.nan
    path = str(write_cube(tmp_path / "a.fits", flux))
    assert make_picture(path, RECIPE, 0.1).flag == "blank"
    cut = dataclasses.replace(RECIPE, crop=0.5, size=20)
    picture = make_picture(path, cut, 0.1)
    assert picture.flag == ""
    # Half of the side, around the centre, no resizing: the very pixels.
    assert np.array_equal(picture.pixels, to_rgb(flux[:, ::-1][:, 10:30, 10:30], ("g", "r", "z"), RECIPE.stretch))


def test_crops_of_oblong_images():
    image = np.arange(6 * 9).reshape(6, 9)
    assert crop_centre(image, 1.0).tolist() == image[:, 1:7].tolist()
    assert crop_centre(image, 0.5).shape == (3, 3)
    assert crop_centre(image, 0.01).shape == (1, 1)


def test_dark_skies_are_not_blank_but_a_missing_half_is():
    pixels = np.random.default_rng(0).integers(0, 3, (60, 60, 3), np.uint8)
    assert (pixels.max(axis=-1) == 0).mean() > 0.02
    assert measure_picture(pixels).blank == 0
    pixels[:, 30:] = 0
    assert measure_picture(pixels).blank == 0.5


def test_recipes_survive_the_store():
    assert ImageRecipe.from_dict(json.loads(json.dumps(RECIPE.to_dict()))) == RECIPE


@pytest.mark.parametrize("name", ["gz1", "gz2", "galaxy10_decals_sample"])
def test_real_pictures(real_data, name):
    files = sorted((real_data / name / "images").iterdir())[::100]
    recipe = dataclasses.replace(RECIPE, size=64)
    for file in files:
        picture = make_picture(str(file), recipe, 0.2)
        assert not picture.flag, picture.reason
        assert picture.pixels[24:40, 24:40].mean() > picture.pixels.mean(), f"{file.name} has no galaxy at its centre"


@pytest.mark.parametrize("galaxy", ["06e38a4_temp_small", "97f650e_example_a", "dr3dr5_example_c"])
def test_real_cutouts(real_data, galaxy):
    picture = make_picture(str(real_data / f"fits/decals_grz/{galaxy}.fits"), dataclasses.replace(RECIPE, size=64), 0.2)
    assert not picture.flag
    assert picture.pixels[24:40, 24:40].mean() > 1.5 * picture.pixels.mean()
