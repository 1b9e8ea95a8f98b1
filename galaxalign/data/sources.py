"""The files that a data set is read from, as its `source` in the configuration names them."""

import math
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from galaxalign.data.patterns import BAND, has_tile
from galaxalign.errors import GalaxAlignError, nearest

# The keys of each kind of source that name files of the user's.
KEYS = {
    "simulated": [],
    "catalogue": ["path"],
    "tiles": ["path"],
    "legacy_survey": ["path"],
    "galaxy10": ["path"],
    "galaxymnist": ["train", "test"],
}
# What the workflow makes or fetches into a data set's folder `raw`.
SIMULATED = "catalog.csv"
DOWNLOADED = "Galaxy10_DECals.h5"
TILES = "tiles.parquet"
CUTOUTS, FAILURES = "cutouts", "failures.tsv"
# What a source reads beside its catalogue.
BESIDE = {"tiles": [TILES], "legacy_survey": [FAILURES]}
# What the address of a cutout may name.
FIELDS = ("ra", "dec", "layer", "bands", "pixscale", "size", "format")


def input_files(source: Mapping[str, Any], raw: str) -> list[str]:
    """The catalogue or the HDF5 files of a source, and what the workflow makes of tiles and fetches beside them.

    Parameters
    ----------
    source
        A map with one key, the kind.
    raw
        The folder of what the workflow makes or fetches itself.
    """
    ((kind, settings),) = source.items()
    if kind == "simulated":
        return [f"{raw}/{SIMULATED}"]
    if kind == "galaxy10" and "url" in settings:
        return [f"{raw}/{DOWNLOADED}"]
    return [*(settings[key] for key in KEYS[kind]), *(f"{raw}/{file}" for file in BESIDE.get(kind, []))]


def check_source(
    dataset: str, source: Mapping[str, Any], bands: Sequence[str] = (), band_axis: str | int = "header"
) -> None:
    """Raise `GalaxAlignError` where a file that the user must bring is not there, or a band will not be.

    Parameters
    ----------
    dataset, source
        Its name, and its ``source`` in the configuration.
    bands
        Those that its colours are made of.
    band_axis
        Of ``data.fits``.
    """
    ((kind, settings),) = source.items()
    for key in KEYS[kind]:
        if "{" in settings.get(key, "") or "}" in settings.get(key, ""):
            raise GalaxAlignError(
                f"'datasets.{dataset}.source.{kind}.{key}' is {settings[key]!r}: braces stand for other words in a "
                "workflow; give the file a name without them"
            )
        if key in settings and not Path(settings[key]).is_file():
            raise GalaxAlignError(
                f"'datasets.{dataset}.source.{kind}.{key}' is {settings[key]!r}: "
                "there is no such file; correct the path"
            )
    if kind == "catalogue" and not Path(settings["root"]).is_dir():
        raise GalaxAlignError(
            f"'datasets.{dataset}.source.catalogue.root' is {settings['root']!r}: "
            "there is no such folder; correct the path"
        )
    _check_columns(f"datasets.{dataset}.source.{kind}", settings)
    if kind == "tiles":
        if band_axis not in ("header", 3):
            raise GalaxAlignError(
                f"'datasets.{dataset}.data.fits.band_axis' is {band_axis}, but of tiles it is 3 (the first two are "
                "on the sky): set it to header, and write cubes of another order anew"
            )
        _check_tiles(f"datasets.{dataset}.source.tiles.tiles", settings["tiles"], bands)
    if kind == "legacy_survey":
        _check_service(f"datasets.{dataset}.source.legacy_survey", settings, bands)


def _check_columns(where: str, settings: Mapping[str, Any]) -> None:
    """Raise where a setting needs a column that is not named."""
    columns = settings.get("columns", {})
    if settings.get("labels") == "column" and "label" not in columns:
        raise GalaxAlignError(f"'{where}.labels' is column: name the column in columns.label, or set labels to none")
    if settings.get("labels") == "votes" and "votes" not in settings:
        raise GalaxAlignError(f"'{where}.labels' is votes: name those that count in {where}.votes, such as debiased")
    field = settings.get("field", {})
    if {"arcsec", "times"} <= field.keys():
        raise GalaxAlignError(f"'{where}.field' has arcsec and times: leave one of them out")
    if field.get("smallest", 0) > field.get("largest", math.inf):
        raise GalaxAlignError(f"'{where}.field.smallest' is above {where}.field.largest: exchange them")
    if "times" in field and "size" not in columns:
        raise GalaxAlignError(
            f"'{where}.field.times' needs the column of sizes: name it in columns.size, or give arcsec"
        )


def _check_tiles(key: str, pattern: str, bands: Sequence[str]) -> None:
    for band in bands if BAND in pattern else [""]:
        if not has_tile(pattern, band):
            what = f"file of band {band!r}" if band else "file"
            raise GalaxAlignError(f"'{key}' is {pattern!r}: no {what} fits this pattern; correct it")


def _check_service(where: str, settings: Mapping[str, Any], bands: Sequence[str]) -> None:
    try:
        parts = [part for part in string.Formatter().parse(settings["url"]) if part[1] is not None]
    except ValueError as error:
        raise GalaxAlignError(f"'{where}.url' has braces that do not close ({error}): correct it") from error
    named = [name for _, name, _, _ in parts if name is not None]
    for name in named:
        if name not in FIELDS:
            raise GalaxAlignError(f"'{where}.url' names {{{name}}}, which is not known: {nearest(name, FIELDS)}")
    for _, name, form, conversion in parts:
        if form or conversion:
            raise GalaxAlignError(f"'{where}.url' says how to write {{{name}}}: leave the name alone in the braces")
    for name in ("ra", "dec", "size"):
        if name not in named:
            raise GalaxAlignError(
                f"'{where}.url' does not name {{{name}}}, so it would be the same for every galaxy: add it"
            )
    missing = [band for band in bands if band not in settings["bands"]]
    if settings["format"] == "fits" and missing:
        raise GalaxAlignError(
            f"'{where}.bands' is {settings['bands']!r}, but the colours of the data set need band {missing[0]!r}: "
            "add it, or change data.stretch.colours"
        )
