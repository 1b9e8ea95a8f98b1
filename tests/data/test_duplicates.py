"""Pictures of the same sky are found however they are turned, and those of different galaxies are told apart."""

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from galaxalign.data.crop import crop_centre
from galaxalign.data.duplicates import (
    BITS,
    LIMIT,
    differences,
    duplicate_groups,
    fingerprint,
    read_fingerprints,
    symmetries,
)
from galaxalign.data.fingerprints import write_fingerprints
from galaxalign.data.manifest import SplitRule, write_manifest
from galaxalign.data.pictures import make_picture
from galaxalign.data.resizing import resize
from galaxalign.symbols.sheet import read_sheet
from tests.conftest import ROOT
from tests.data.synthetic_images import RECIPE


def galaxy(seed, side=128):
    """A galaxy on noise, with neighbours, as a picture (side, side, 3)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    light = 180 * np.exp(-6 * np.hypot(x, y * generator.uniform(1, 2)))
    for _ in range(12):
        at = generator.uniform(-1, 1, 2)
        light += generator.uniform(10, 60) * np.exp(-200 * ((x - at[0]) ** 2 + (y - at[1]) ** 2))
    light = light[..., None] * [0.8, 1, 1.1] + generator.normal(8, 3, (side, side, 3))
    return np.clip(light, 0, 255).astype(np.uint8)


def turned(picture, number):
    """One of the eight turns and mirrors of a square."""
    picture = np.rot90(picture, number % 4)
    return np.ascontiguousarray(picture[:, ::-1] if number > 3 else picture)


def jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def distance(one, other):
    (_, shares), *_ = differences(np.array([fingerprint(one), fingerprint(other)]))
    return shares[0, 1]


def test_the_eight_symmetries_follow_from_one_fingerprint():
    picture = galaxy(0)
    whole = {signs.tobytes() for signs in symmetries(fingerprint(picture)[None])[:, 0]}
    assert len(whole) == 8
    assert np.array_equal(symmetries(fingerprint(picture)[None])[0, 0], fingerprint(picture))
    found = {fingerprint(turned(picture, number)).tobytes() for number in range(8)}
    assert found == whole


@pytest.mark.parametrize("number", range(8))
def test_turned_and_compressed_pictures_are_known(number):
    picture = galaxy(1)
    assert distance(picture, turned(picture, number)) == 0
    assert distance(picture, jpeg(turned(picture, number), 60)) < LIMIT
    assert distance(picture, turned(resize(picture, 64), number)) < LIMIT


def test_different_galaxies_are_told_apart():
    prints = np.array([fingerprint(galaxy(seed)) for seed in range(60)])
    (start, shares), *_ = differences(prints)
    assert start == 0
    np.testing.assert_allclose(shares, shares.T, atol=1e-6)
    assert (np.diag(shares) == 0).all()
    assert shares[np.triu_indices(60, 1)].min() > LIMIT


def test_blocks_cover_every_pair_once(monkeypatch):
    prints = np.random.default_rng(0).integers(0, 2, (25, BITS)).astype(bool)
    whole = next(shares for _, shares in differences(prints))
    monkeypatch.setattr("galaxalign.data.duplicates.BLOCK", 7)
    for start, shares in differences(prints):
        np.testing.assert_array_equal(shares, whole[start : start + 7, start:])
    plain = min((prints[3] != other).mean() for other in symmetries(prints[4:5])[:, 0])
    assert whole[3, 4] == pytest.approx(plain)


def test_groups_of_duplicates():
    pictures = [galaxy(0), galaxy(1), turned(galaxy(0), 5), galaxy(2), jpeg(galaxy(1), 80), galaxy(0)]
    prints = np.array([fingerprint(picture) for picture in pictures])
    known = np.array([True] * 5 + [False])
    assert duplicate_groups(prints, known).tolist() == [0, 1, 0, 2, 1, 3]
    assert duplicate_groups(prints[:0], known[:0]).tolist() == []


def test_many_copies_of_one_picture_take_no_more_memory_than_others():
    prints = np.repeat(np.array([fingerprint(galaxy(seed)) for seed in range(4)]), 2000, axis=0)
    tracemalloc.start()
    groups = duplicate_groups(prints, np.ones(len(prints), bool))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert groups.tolist() == np.repeat(np.arange(4), 2000).tolist()
    # Eight million pairs of 16 bytes.
    assert peak < 50e6


def test_chains_of_like_pictures_are_one_group_across_blocks(monkeypatch):
    """Each is like the next alone."""
    signs = np.random.default_rng(0).integers(0, 2, BITS).astype(bool)
    step = int(LIMIT * BITS) - 2
    prints = []
    for start in range(0, BITS - step, step):
        prints.append(signs.copy())
        signs[start : start + step] ^= True
    monkeypatch.setattr("galaxalign.data.duplicates.BLOCK", 2)
    (_, shares), *_ = differences(np.array(prints[:2]))
    assert shares[0, 1] <= LIMIT
    assert duplicate_groups(np.array(prints), np.ones(len(prints), bool)).tolist() == [0] * len(prints)


def test_no_picture_has_a_fingerprint(tmp_path):
    pd.DataFrame({"id": ["a", "b"], "bits": [None, None]}).to_parquet(tmp_path / "prints.parquet")
    prints, known = read_fingerprints(tmp_path / "prints.parquet", ["a", "b"])
    assert prints.shape == (2, BITS)
    assert not known.any()


@pytest.fixture
def folder(tmp_path):
    """Thirty galaxies of five classes; the last ten are the first ten turned, and one is no picture."""
    labels = ["elliptical", "clockwise spiral", "anticlockwise spiral", "edge-on", "merger"]
    for number in range(30):
        picture = galaxy(number) if number < 20 else turned(galaxy(number - 20), number % 8)
        Image.fromarray(picture).save(tmp_path / f"{number}.jpg", quality=90)
    (tmp_path / "15.jpg").write_bytes(b"<html>")
    table = pd.DataFrame({"id": [f"{n:02d}" for n in range(30)], "file": [f"{n}.jpg" for n in range(30)]})
    table["label"] = [labels[number % 5] for number in range(30)]
    table.to_csv(tmp_path / "catalog.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2])
def test_duplicates_share_a_split(folder, monkeypatch, workers):
    monkeypatch.setattr("galaxalign.data.fingerprints.FEW", 0 if workers == 2 else 1000)
    monkeypatch.setattr("galaxalign.data.fingerprints.CHUNK", 7)
    columns = {"id": "id", "file": "file", "label": "label"}
    common = {
        "source": {"catalogue": {"root": str(folder), "columns": columns, "labels": "column"}},
        "inputs": [folder / "catalog.csv"],
        "sheet": read_sheet(ROOT / "config/morphology/gz1.yaml"),
    }
    recipe = replace(RECIPE, size=128)
    prints = folder / "fingerprints.parquet"
    write_fingerprints(**common, recipe=recipe, max_blank=0.2, workers=workers, fingerprints=prints)
    bits, known = read_fingerprints(prints, [f"{n:02d}" for n in range(30)] + ["none"])
    assert np.flatnonzero(~known).tolist() == [15, 30]
    for row in range(15):
        assert np.array_equal(bits[row], fingerprint(make_picture(f"{folder}/{row}.jpg", recipe, 0.2).pixels))
    fractions = {"train": 0.5, "validation": 0.25, "test": 0.25}
    write_manifest(
        **common,
        split=SplitRule(group_by="none", radius=0, duplicates=True, fractions=fractions, seed=0),
        bands=(),
        max_rejected=0.1,
        fingerprints=prints,
        manifest=folder / "manifest.parquet",
        rejects_if_failed=folder / "rejects.tsv",
    )
    galaxies = pd.read_parquet(folder / "manifest.parquet")
    assert galaxies["group"].tolist() == [*range(20), *range(10)]
    assert galaxies["split"][:10].tolist() == galaxies["split"][20:].tolist()


def test_real_galaxies_are_told_apart_and_their_copies_found(real_data):
    files = sorted((real_data / "gz1/images").iterdir())[::25] + sorted((real_data / "gz2/images").iterdir())[::10]
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    stored = [resize(crop_centre(picture, 1.0), 128) for picture in pictures]
    prints = np.array([fingerprint(picture) for picture in stored])
    shares = np.concatenate([np.triu(block, 1)[np.triu(block, 1) > 0] for _, block in differences(prints)])
    assert len(shares) > 35000
    assert shares.min() > LIMIT + 0.04
    for number, (picture, own) in enumerate(zip(pictures[:60], prints, strict=False)):
        copy = fingerprint(resize(jpeg(turned(picture, number % 8), 60), 128))
        assert min((own != other).mean() for other in symmetries(copy[None])[:, 0]) < LIMIT
