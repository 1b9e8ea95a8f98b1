"""The files that a data set is read from, as its `source` in the configuration names them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from galaxalign.errors import GalaxAlignError

# The keys of each kind of source that name files of the user's.
KEYS = {"simulated": [], "catalogue": ["path"], "galaxy10": ["path"], "galaxymnist": ["train", "test"]}
# What the workflow makes or fetches into a data set's folder `raw`.
SIMULATED = "catalog.csv"
DOWNLOADED = "Galaxy10_DECals.h5"


def input_files(source: Mapping[str, Any], raw: str) -> list[str]:
    """The catalogue or the HDF5 files of a source.

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
    if "url" in settings:
        return [f"{raw}/{DOWNLOADED}"]
    return [settings[key] for key in KEYS[kind]]


def check_source(dataset: str, source: Mapping[str, Any]) -> None:
    """Raise `GalaxAlignError` where a file that the user must bring is not there."""
    ((kind, settings),) = source.items()
    for key in KEYS[kind]:
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
