"""The manifest: what is known of every galaxy before any image is read."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.data import catalog
from galaxalign.data.cutouts import locate_cutouts
from galaxalign.data.service import SUFFIXES
from galaxalign.data.sources import CUTOUTS
from galaxalign.data.splits import SPLITS, sdss_fields, sky_groups, split_galaxies
from galaxalign.data.tiles import assign_tiles, fields_of_view
from galaxalign.data.votes import labels_from_votes, vote_table, votes_of
from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.symbols.sheet import ClassSheet

logger = logging.getLogger(__name__)

FIRST = ["id", "source", "label", "ra", "dec", "group", "split", "flag", "reason"]
# Columns of the catalogue that a simulated survey writes.
SIMULATED = {"id": "id", "file": "file", "ra": "ra", "dec": "dec"}


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How galaxies are shared out: the section ``data.split`` of the configuration."""

    group_by: str
    radius: float
    fractions: Mapping[str, float]
    seed: int


def write_manifest(
    *,
    source: Mapping[str, Any],
    inputs: Sequence[Path],
    sheet: ClassSheet,
    split: SplitRule,
    bands: Sequence[str],
    max_rejected: float,
    manifest: Path,
) -> None:
    """Write the manifest of a data set, a parquet file with a row a galaxy.

    Columns: id, source, label (of the class sheet, null where unlabelled), ra, dec, group, split (train,
    validation, test, or "" where there is nothing to learn from or a flag), flag, reason, and where the catalogue
    has votes those of `votes.vote_table`.

    Votes teach without a class: galaxies of no class that have votes follow the split of their group, and go to
    train where it has none, since what has no class cannot be judged.

    Parameters
    ----------
    source
        The data set's ``source`` in the configuration.
    inputs
        The files it is read from, as `sources.input_files` names them.
    sheet
        The classes.
    split
        How galaxies are shared out.
    bands
        Bands that the colours need, of which files one a band must exist.
    max_rejected
        Share of galaxies whose files may be missing.
    manifest
        What is written.

    Raises
    ------
    GalaxAlignError
        A catalogue, label, file or class that will not do.
    """
    galaxies = read_galaxies(source, inputs, bands)
    labels = find_labels(galaxies, source, sheet, inputs[0])
    galaxies["label"] = pd.array(labels, dtype="string")
    galaxies = flag_missing(galaxies, bands)
    _check_missing(galaxies, max_rejected, inputs[0])
    galaxies["group"] = find_groups(galaxies, split)
    place = {label: index for index, label in enumerate(sheet.labels)}
    index = np.array([-1 if label is None else place[label] for label in labels], np.int64)
    galaxies["split"] = ""
    if (index >= 0).any():
        index[galaxies["flag"] != ""] = -1
        galaxies["split"] = split_galaxies(
            index,
            galaxies["group"].to_numpy(),
            list(galaxies["given"]),
            classes=sheet.labels,
            fractions=split.fractions,
            seed=split.seed,
        )
    votes = find_votes(galaxies, source, sheet)
    galaxies = pd.concat([galaxies[FIRST], votes], axis=1)
    galaxies["split"] = share_voted(galaxies)
    _log_counts(galaxies, sheet.labels)
    part = manifest.with_name(f".{manifest.name}.part")
    galaxies.to_parquet(part, index=False)
    part.replace(manifest)


def read_galaxies(source: Mapping[str, Any], inputs: Sequence[Path], bands: Sequence[str]) -> pd.DataFrame:
    """Galaxies of any kind of source, in the form of `catalog`, with columns flag and reason where it knows of any."""
    (kind, settings), *_ = source.items()
    match kind:
        case "catalogue":
            return catalog.galaxies_of_catalogue(inputs[0], Path(settings["root"]), settings["columns"])
        case "tiles":
            galaxies = catalog.galaxies_of_catalogue(inputs[0], Path(), settings["columns"])
            arcsec = fields_of_view(settings["field"], galaxies.get("size", galaxies["ra"]).to_numpy(np.float64))
            return galaxies.assign(**assign_tiles(galaxies, arcsec, pd.read_parquet(inputs[1]), bands))
        case "legacy_survey":
            galaxies = catalog.galaxies_of_catalogue(inputs[0], Path(), settings["columns"])
            folder = inputs[1].with_name(CUTOUTS)
            return galaxies.assign(**locate_cutouts(galaxies, inputs[1], folder, SUFFIXES[settings["format"]]))
        case "simulated":
            columns = SIMULATED | ({"label": "label"} if settings["labelled"] else {})
            return catalog.galaxies_of_catalogue(inputs[0], inputs[0].parent, columns)
        case "galaxy10":
            return catalog.galaxies_of_galaxy10(inputs[0])
        case "galaxymnist":
            return catalog.galaxies_of_galaxymnist(inputs[0], inputs[1])
        case _:
            known = ["simulated", "catalogue", "tiles", "legacy_survey", "galaxy10", "galaxymnist"]
            raise GalaxAlignError(f"source {kind!r} is of no known kind: {nearest(kind, known)}")


def find_votes(galaxies: pd.DataFrame, source: Mapping[str, Any], sheet: ClassSheet) -> pd.DataFrame:
    """The votes of every answer (`votes.vote_table`); no column where the source does not say which votes count."""
    (settings,) = source.values()
    kind = settings.get("votes")
    if kind is None or sheet.tree is None or "total" not in galaxies:
        return pd.DataFrame(index=galaxies.index)
    return vote_table(galaxies, galaxies["total"].to_numpy(), sheet.tree, kind)


def share_voted(galaxies: pd.DataFrame) -> NDArray[np.str_]:
    """The split of each galaxy, now also of those with votes but no class."""
    splits = galaxies["split"].to_numpy(dtype=np.str_).astype(object)
    votes = votes_of(galaxies)
    if votes is not None:
        of_group = dict(zip(galaxies["group"][splits != ""], splits[splits != ""], strict=True))
        for row in map(int, np.flatnonzero(votes.known & (splits == "") & (galaxies["flag"] == "").to_numpy())):
            splits[row] = of_group.get(galaxies["group"].iat[row], "train")
    return splits.astype(np.str_)


def find_labels(galaxies: pd.DataFrame, source: Mapping[str, Any], sheet: ClassSheet, path: Path) -> list[str | None]:
    """The class of each galaxy: from its column, from its votes, or none at all."""
    (settings,) = source.values()
    rule = settings.get("labels", "column")
    if rule == "votes":
        kind = settings["votes"]
        if "total" not in galaxies:
            raise GalaxAlignError(
                "labels from votes need columns.total, the column with the number of people who classified a galaxy"
            )
        return labels_from_votes(galaxies, galaxies["total"].to_numpy(), sheet, kind)
    if rule == "none":
        return [None] * len(galaxies)
    return [None if not label else _class_of(label, row, sheet, path) for row, label in enumerate(galaxies["label"])]


def _class_of(label: str, row: int, sheet: ClassSheet, path: Path) -> str | None:
    """The class that a catalogue calls by its label or by its number in the sheet."""
    if label in sheet.labels:
        return label
    if label in sheet.unclassified:
        return None
    if label.isdecimal() and int(label) < len(sheet.labels):
        return sheet.labels[int(label)]
    known = [*sheet.labels, *sheet.unclassified]
    raise GalaxAlignError(
        f"{path}, row {row + 1}: label {label!r} is no class of class sheet {sheet.name} ({nearest(label, known)}); "
        "correct it, add the class, or list it under `unclassified`"
    )


def flag_missing(galaxies: pd.DataFrame, bands: Sequence[str]) -> pd.DataFrame:
    """The galaxies with columns flag and reason: what is known already, else whether their files are there."""
    flags, reasons = find_missing(list(galaxies["source"]), bands)
    known = galaxies.get("flag", pd.Series("", galaxies.index)) != ""
    was = galaxies.reindex(columns=["flag", "reason"])
    return galaxies.assign(flag=was["flag"].where(known, flags), reason=was["reason"].where(known, reasons))


def find_missing(sources: Sequence[str], bands: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags and reasons of galaxies whose files are not there, without opening any."""
    there = lru_cache(lambda name: Path(name).is_file())
    flags, reasons = [], []
    for source in sources:
        file = source.partition("#")[0]
        wanted = [file.replace("{band}", band) for band in bands] if "{band}" in file else [file]
        absent = [name for name in wanted if not there(name)]
        some = 0 < len(absent) < len(wanted)
        flags.append("missing_band" if some else "missing_file" if absent else "")
        reasons.append(f"there is no {absent[0]}" if absent else "")
    return flags, reasons


def _check_missing(galaxies: pd.DataFrame, max_rejected: float, path: Path) -> None:
    missing = galaxies[galaxies["flag"] != ""]
    if len(missing) > max_rejected * len(galaxies):
        raise GalaxAlignError(
            f"{len(missing)} of {len(galaxies)} galaxies of {path} lack files, data.max_rejected allows "
            f"{100 * max_rejected:g} %: {'; '.join(missing['reason'][:3])}; correct `root` or `columns.file`, "
            "bring the files, or raise data.max_rejected"
        )


def find_groups(galaxies: pd.DataFrame, split: SplitRule) -> NDArray[np.int64]:
    """Groups of galaxies that share sky, as ``data.split.group_by`` says."""
    match split.group_by:
        case "sky":
            known = np.isfinite(galaxies["ra"]) & np.isfinite(galaxies["dec"])
            if not known.any() and galaxies["label"].notna().any():
                raise GalaxAlignError(
                    "data.split.group_by is sky, but no galaxy has a position: name columns.ra and columns.dec, "
                    "or group by sdss_field or none"
                )
            return sky_groups(galaxies["ra"].to_numpy(), galaxies["dec"].to_numpy(), split.radius)
        case "sdss_field":
            return sdss_fields(list(galaxies["id"]))
        case _:
            return np.arange(len(galaxies))


def _log_counts(galaxies: pd.DataFrame, classes: Sequence[str]) -> None:
    counts = Counter(zip(galaxies["label"].fillna(""), galaxies["split"], strict=True))
    labelled = int(galaxies["label"].notna().sum())
    for label in classes if labelled else ():
        shares = ", ".join(f"{counts[label, split]} {split}" for split in SPLITS)
        logger.info("%s: %s", label, shares)
    missing = int((galaxies["flag"] != "").sum())
    logger.info("%d galaxies, %d of no class, %d without a file", len(galaxies), len(galaxies) - labelled, missing)
