"""The galaxies of a data set, whatever its source, with what is wrong with them before an image is opened."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from galaxalign.data import catalog
from galaxalign.data.files import check_files
from galaxalign.data.marks import Marks
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
    galaxies = _read(source, inputs, sheet)
    marks = Marks.of(galaxies)
    check_files(galaxies["source"].tolist(), bands, _root_of(source, inputs), marks)
    marks.note(galaxies)
    return galaxies


def _read(source: Mapping[str, Any], inputs: Sequence[Path], sheet: ClassSheet) -> pd.DataFrame:
    (kind, settings), *_ = source.items()
    match kind:
        case "catalogue":
            return catalog.galaxies_of_catalogue(
                inputs[0], Path(settings["root"]), settings["columns"], kind=settings.get("votes"), tree=sheet.tree
            )
        case "simulated":
            columns = SIMULATED | ({"label": "label"} if settings["labelled"] else {})
            return catalog.galaxies_of_catalogue(inputs[0], inputs[0].parent, columns)
        case "galaxy10":
            return catalog.galaxies_of_galaxy10(inputs[0])
        case "galaxymnist":
            return catalog.galaxies_of_galaxymnist(inputs[0], inputs[1])
        case _:
            known = ["simulated", "catalogue", "galaxy10", "galaxymnist"]
            raise GalaxAlignError(f"source {kind!r} is of no known kind: {nearest(kind, known)}")


def _root_of(source: Mapping[str, Any], inputs: Sequence[Path]) -> Path | None:
    """The folder that the files of galaxies must be in; None where the configuration names the files themselves."""
    match source:
        case {"catalogue": settings}:
            return Path(settings["root"])
        case {"simulated": _}:
            return inputs[0].parent
        case _:
            return None
