"""From survey tiles, and from a cutout service, to stores of pictures."""

import json

import h5py
import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.wcs import WCS

from galaxalign.data.pictures import ImageRecipe, make_picture
from galaxalign.data.store import read_store
from galaxalign.data.survey import simulate_survey
from galaxalign.settings import merge
from tests.conftest import ROOT
from tests.data.cutout_server import CutoutServer, fits_cutout
from tests.data.sky_tiles import tile_header
from tests.workflow.conftest import SMALL, snakemake, write_overlay

SIDE, COLUMNS, GALAXIES = 64, 6, 24


def write_survey(folder):
    """Two tiles that overlap, of rendered galaxies side by side; a catalogue of them and of two that will not do."""
    simulate_survey(
        sheet=ROOT / "config/morphology/galaxy10.yaml",
        galaxies=GALAXIES,
        seed=0,
        pixels=SIDE,
        labelled=True,
        folder=folder / "cubes",
        catalogue=folder / "simulated.csv",
    )
    table = pd.read_csv(folder / "simulated.csv", dtype=str)
    sky = np.zeros((3, SIDE * GALAXIES // COLUMNS, SIDE * COLUMNS), np.float32)
    header = tile_header(180.0, 30.0, sky.shape[2], sky.shape[1])
    for number, file in enumerate(table["file"]):
        low, left = SIDE * (number // COLUMNS), SIDE * (number % COLUMNS)
        sky[:, low : low + SIDE, left : left + SIDE] = fits.getdata(folder / file)
        place = WCS(header).pixel_to_world(left + SIDE / 2 - 0.5, low + SIDE / 2 - 0.5)
        table.loc[number, ["ra", "dec"]] = [repr(float(place.ra.deg)), repr(float(place.dec.deg))]
    edge = WCS(header).pixel_to_world(-10, 100)
    table.loc[len(table)] = [
        "over the edge",
        "",
        repr(float(edge.ra.deg)),
        repr(float(edge.dec.deg)),
        table["label"][0],
    ]
    table.loc[len(table)] = ["elsewhere", "", "10.0", "-5.0", table["label"][0]]
    # Fields of view are four times as large.
    table.drop(columns="file").assign(radius=SIDE * 0.262 / 4).to_csv(folder / "catalog.csv", index=False)
    for name, first in (("west", 0), ("east", 2 * SIDE)):
        part = header.copy()
        part["CRPIX1"] -= first
        for band, plane in zip("grz", sky[:, :, first : first + 4 * SIDE], strict=True):
            image = fits.CompImageHDU(plane, part, compression_type="GZIP_1", quantize_level=0)
            image.writeto(folder / f"{name}_{band}.fits.fz")
    return table


def test_tiles_become_a_store(workflow):
    folder = workflow("tiles")
    table = write_survey(folder)
    overlay = {
        "active": {"datasets": ["mine"], "runs": ["frozen"]},
        "figures": {"run": "frozen"},
        "datasets": {
            "mine": {
                "morphology": "galaxy10",
                "source": {
                    "tiles": {
                        "path": "catalog.csv",
                        "columns": {"id": "id", "ra": "ra", "dec": "dec", "label": "label", "size": "radius"},
                        "labels": "none",
                        "tiles": "*_{band}.fits.fz",
                        "field": {"times": 4, "smallest": 1, "largest": 100},
                    }
                },
                "data": {"max_rejected": 0.1},
            }
        },
    }
    write_overlay(folder / "mine.yaml", merge(SMALL, overlay))
    done = snakemake(folder, "--configfile", "mine.yaml", "--", "results/mine/images.h5")
    assert done.returncode == 0, done.stdout[-4000:]
    store = read_store(folder / "results/mine/images.h5")
    assert list(store.id) == list(table["id"])
    assert list(store.flag) == [""] * GALAXIES + ["edge", "outside"]
    # A cutout shows what the galaxy's own cube shows, whichever tile it was cut from.
    pictures = store.pictures(np.arange(GALAXIES))
    for number, file in enumerate(table["file"][:GALAXIES]):
        assert np.array_equal(pictures[number], make_picture(str(folder / file), store.recipe, 0.2).pixels)
    manifest = pd.read_parquet(folder / "results/mine/manifest.parquet")
    used = manifest["source"].str.partition("_")[0]
    assert {"west", "east"} <= set(used)
    rejects = pd.read_csv(folder / "results/mine/rejects.tsv", sep="\t")
    assert list(rejects["id"]) == ["over the edge", "elsewhere"]

    # Another tile is noticed, and nothing else is done again.
    quiet = snakemake(folder, "-n", "--configfile", "mine.yaml", "--", "results/mine/images.h5")
    assert "Nothing to be done" in quiet.stdout
    for band in "grz":
        (folder / f"west_{band}.fits.fz").rename(folder / f"older_{band}.fits.fz")
    again = snakemake(folder, "-n", "--configfile", "mine.yaml", "--", "results/mine/images.h5")
    assert "rule tiles" in again.stdout
    for band in "grz":
        (folder / f"older_{band}.fits.fz").unlink()
        (folder / f"east_{band}.fits.fz").rename(folder / f"east_{band}.fits")
    gone = snakemake(folder, "-n", "--configfile", "mine.yaml", "--", "results/mine/images.h5")
    assert "no file of band 'g' fits this pattern; correct it" in gone.stdout


def test_a_cutout_service_becomes_stores(workflow, monkeypatch):
    folder, server = workflow("service"), CutoutServer({"11.000000": [500, 404], "12.000000": ["cut", "page"]})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    table = pd.DataFrame({"id": [f"g{number}" for number in range(30)], "ra": range(30), "dec": 1.5})
    table.to_csv(folder / "catalog.csv", index=False)
    table[5:10].to_csv(folder / "some.csv", index=False)
    settings = {
        "columns": {"id": "id", "ra": "ra", "dec": "dec"},
        "labels": "none",
        "url": server.url,
        "format": "fits",
        "layer": "ls-dr10",
        "bands": "grz",
        "pixscale": 0.262,
        "size": 48,
        "requests_per_second": 100.0,
        "connections": 2,
        "attempts": 4,
        "cache": "cache",
    }
    overlay = {
        "active": {"datasets": ["all", "some"], "runs": ["frozen"]},
        "figures": {"run": "frozen"},
        # The cutouts are noise.
        "data": {"quality": {"min_signal": 0}},
        "datasets": {
            name: {"morphology": "galaxy10", "source": {"legacy_survey": settings | {"path": path}}}
            for name, path in (("all", "catalog.csv"), ("some", "some.csv"))
        },
    }
    write_overlay(folder / "mine.yaml", merge(SMALL, overlay))
    stores = ["results/all/images.h5", "results/some/images.h5"]
    try:
        done = snakemake(folder, "--configfile", "mine.yaml", "--", *stores)
        assert done.returncode == 0, done.stdout[-4000:]
        assert len(server.requests) == 33
        failed = read_store(folder / stores[0])
        assert [(name, flag) for name, flag in zip(failed.id, failed.flag, strict=True) if flag] == [
            ("g11", "missing_file")
        ]
        assert "the server answers 404" in failed.reason[11]
        (folder / "results/all/images.h5").unlink()
        again = snakemake(folder, "--configfile", "mine.yaml", "--forcerun", "fetch", "--", *stores)
        assert again.returncode == 0, again.stdout[-4000:]
        # What had failed is asked for once more; it is there now.
        assert len(server.requests) == 34
    finally:
        server.stop()
    with h5py.File(folder / stores[0]) as file:
        recipe = ImageRecipe.from_dict(json.loads(file.attrs["recipe"]))
        assert set(file["flag"].asstr()[:]) == {""}
        (folder / "g7.fits").write_bytes(fits_cutout(7.0, 1.5, size=48, bands="grz", pixscale=0.262))
        assert np.array_equal(file["images"][7], make_picture(str(folder / "g7.fits"), recipe, 0.2).pixels)
    assert len(read_store(folder / stores[1]).id) == 5
