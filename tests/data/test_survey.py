"""The simulated survey: real FITS files, the same ones for the same seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from synthetic_images import RECIPE

from galaxalign.data.survey import FEWEST, class_numbers, render_examples, simulate_survey
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.sheet import read_sheet

SHEETS = Path(__file__).parents[2] / "config/morphology"


def survey(folder: Path, **changes: object) -> pd.DataFrame:
    settings = {"galaxies": 40, "seed": 5, "pixels": 48, "labelled": True} | changes
    simulate_survey(
        sheet=SHEETS / "galaxy10.yaml", **settings, folder=folder / "images", catalogue=folder / "catalog.csv"
    )
    return pd.read_csv(folder / "catalog.csv")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("survey")
    return folder, survey(folder)


def test_cubes_are_cutouts_of_the_legacy_survey(small):
    folder, table = small
    assert len(table) == table["id"].nunique() == 40
    for row in table.itertuples():
        with fits.open(folder / row.file) as hdus:
            cube, header = hdus[0].data, hdus[0].header
        assert cube.shape == (3, 48, 48)
        assert cube.dtype == np.dtype(">f4")
        assert np.isfinite(cube).all()
        assert header["BANDS"] == "grz"
        wcs = WCS(header, naxis=2)
        centre = wcs.pixel_to_world(23.5, 23.5)
        assert centre.separation(SkyCoord(row.ra, row.dec, unit="deg")).arcsec < 0.01
        east, north = wcs.pixel_to_world(13.5, 23.5), wcs.pixel_to_world(23.5, 33.5)
        assert centre.position_angle(east).deg == pytest.approx(90, abs=0.1)
        assert centre.position_angle(north).wrap_at("180d").deg == pytest.approx(0, abs=0.1)
        assert centre.separation(north).arcsec == pytest.approx(2.62, rel=1e-3)


def test_the_galaxy_is_in_the_middle_and_the_sky_at_the_edge(small):
    folder, table = small
    brighter = 0
    for file in table["file"]:
        red = fits.getdata(folder / file)[1]
        brighter += red[20:28, 20:28].mean() > 3 * abs(np.median(red[[0, -1]]))
    assert brighter > 0.9 * len(table)


def test_the_same_seed_writes_the_same_bytes(small, tmp_path):
    folder, table = small
    again = survey(tmp_path)
    assert (tmp_path / "catalog.csv").read_bytes() == (folder / "catalog.csv").read_bytes()
    for file in again["file"]:
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()
    other = survey(tmp_path / "other", seed=6, galaxies=10)
    assert set(other["id"]).isdisjoint(table["id"])


def test_labels_are_the_sheets_or_absent(small, tmp_path):
    _, table = small
    assert set(table["label"]) == set(read_sheet(SHEETS / "galaxy10.yaml").labels)
    assert "label" not in survey(tmp_path, labelled=False, galaxies=10)


def test_some_galaxies_share_their_sky(tmp_path):
    table = survey(tmp_path, galaxies=150, pixels=16)
    places = SkyCoord(table["ra"], table["dec"], unit="deg")
    _, nearest, _ = places.match_to_catalog_sky(places, nthneighbor=2)
    close = nearest.arcsec < 60
    assert 4 <= close.sum() <= 30
    # Outside each other's pictures of 160 pixels.
    assert nearest.arcsec.min() > 160 * 0.262 / np.sqrt(2)


def test_class_numbers_follow_galaxy10_but_no_class_is_too_rare():
    sheet = read_sheet(SHEETS / "galaxy10.yaml")
    numbers = class_numbers(sheet, 600)
    assert numbers.sum() == 600
    assert numbers.min() >= FEWEST
    assert numbers.argmax() == 2
    assert class_numbers(sheet, 61).sum() == 61
    equal = class_numbers(read_sheet(SHEETS / "galaxymnist.yaml"), 42)
    assert sorted(equal) == [10, 10, 11, 11]
    with pytest.raises(GalaxAlignError, match="fewer than the 10 classes"):
        class_numbers(sheet, 9)


def test_examples_of_a_symbol():
    pictures = render_examples(SYMBOLS["spiral_bar"], 3, 0, 48, RECIPE.stretch)
    assert pictures.shape == (3, 48, 48, 3)
    assert pictures.dtype == np.uint8
    assert pictures[:, 20:28, 20:28].mean() > 2 * pictures[:, :4].mean()
    assert np.array_equal(pictures, render_examples(SYMBOLS["spiral_bar"], 3, 0, 48, RECIPE.stretch))
