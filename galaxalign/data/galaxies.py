"""The galaxies of a data set, whatever its source, with what is wrong with them before an image is opened."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from galaxalign.data.catalog import galaxies_of_catalogue
from galaxalign.data.cutouts import locate_cutouts
from galaxalign.data.files import check_files
from galaxalign.data.marks import Marks
from galaxalign.data.published import galaxies_of_galaxy10, galaxies_of_galaxymnist
from galaxalign.data.service import SUFFIXES
from galaxalign.data.sources import CUTOUTS
from galaxalign.data.tiles import assign_tiles, fields_of_view
from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.symbols.sheet import ClassSheet

# Columns of the catalogue that a simulated survey writes.
SIMULATED = {"id": "id", "file": "file", "ra": "ra", "dec": "dec"}


def read_galaxies(
    source: Mapping[str, Any], inputs: Sequence[Path], sheet: ClassSheet, bands: Sequence[str]
) -> pd.DataFrame:
    """Galaxies in the form of `catalog`; those with bad rows or files that are not there are flagged.

    Parameters
    ----------
    source
        The data set's ``source`` in the configuration.
    inputs
        The files it is read from: a catalogue, or one or two HDF5 files.
    sheet
        The classes, with the tree that votes answer.
    bands
        Bands of which files one a band must exist.

    Raises
    ------
    GalaxAlignError
        A catalogue that will not do as a whole.
    """
    galaxies = _read(source, inputs, sheet, bands)
    marks = Marks.of(galaxies)
    check_files(galaxies["source"].tolist(), bands, _root_of(source, inputs), marks)
    marks.note(galaxies)
    return galaxies


def _read(source: Mapping[str, Any], inputs: Sequence[Path], sheet: ClassSheet, bands: Sequence[str]) -> pd.DataFrame:
    (kind, settings), *_ = source.items()
    match kind:
        case "tiles":
            galaxies = _positioned(inputs[0], settings, sheet)
            sizes = galaxies["size"] if "size" in galaxies else galaxies["ra"]
            arcsec = fields_of_view(settings["field"], sizes.to_numpy(np.float64))
            return _located(galaxies, assign_tiles(galaxies, arcsec, pd.read_parquet(inputs[1]), bands))
        case "legacy_survey":
            galaxies = _positioned(inputs[0], settings, sheet)
            folder = inputs[1].with_name(CUTOUTS)
            return _located(galaxies, locate_cutouts(galaxies, inputs[1], folder, SUFFIXES[settings["format"]]))
        case "catalogue":
            return galaxies_of_catalogue(
                inputs[0], Path(settings["root"]), settings["columns"], kind=settings.get("votes"), tree=sheet.tree
            )
        case "simulated":
            columns = SIMULATED | ({"label": "label"} if settings["labelled"] else {})
            return galaxies_of_catalogue(inputs[0], inputs[0].parent, columns)
        case "galaxy10":
            return galaxies_of_galaxy10(inputs[0])
        case "galaxymnist":
            return galaxies_of_galaxymnist(inputs[0], inputs[1])
        case _:
            known = ["simulated", "catalogue", "tiles", "legacy_survey", "galaxy10", "galaxymnist"]
            raise GalaxAlignError(f"source {kind!r} is of no known kind: {nearest(kind, known)}")


def _positioned(path: Path, settings: Mapping[str, Any], sheet: ClassSheet) -> pd.DataFrame:
    """Galaxies of a catalogue that tells where they are, not which files they have."""
    return galaxies_of_catalogue(path, Path(), settings["columns"], kind=settings.get("votes"), tree=sheet.tree)


def _located(galaxies: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The galaxies with the `source` that was found for each, and its flag and reason where the row had none."""
    good = galaxies["flag"] == ""
    kept = {name: galaxies[name].where(~good, found[name]) for name in ("flag", "reason")}
    return galaxies.assign(source=found["source"], **kept)


def _root_of(source: Mapping[str, Any], inputs: Sequence[Path]) -> Path | None:
    """The folder that the files of galaxies must be in; None where the configuration names the files themselves."""
    match source:
        case {"catalogue": settings}:
            return Path(settings["root"])
        case {"simulated": _}:
            return inputs[0].parent
        case _:
            return None
