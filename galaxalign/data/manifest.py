"""The manifest: what is known of every galaxy before any image is read."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.data.cells import UNKNOWN
from galaxalign.data.duplicates import duplicate_groups, read_fingerprints
from galaxalign.data.galaxies import read_galaxies
from galaxalign.data.marks import Marks
from galaxalign.data.rejects import Reject, check_rejected, write_rejects
from galaxalign.data.splits import (
    SPLITS,
    join_groups,
    named_groups,
    published_splits,
    renumber,
    sdss_fields,
    sky_groups,
    split_galaxies,
)
from galaxalign.data.votes import labels_from_votes, total_votes, vote_table, votes_of
from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.symbols.sheet import ClassSheet

logger = logging.getLogger(__name__)

FIRST = ["id", "source", "label", "ra", "dec", "group", "split", "flag", "reason"]


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How galaxies are shared out: the section ``data.split`` of the configuration."""

    group_by: str
    radius: float
    duplicates: bool
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
    fingerprints: Path | None,
    manifest: Path,
    rejects_if_failed: Path,
) -> None:
    """Write the manifest of a data set, a parquet file with a row a galaxy, those that cannot be used included.

    Columns: id, source, label (of the class sheet, null where unlabelled), ra, dec, group, split (train,
    validation, test, or "" where there is nothing to learn from or a flag), flag, reason; where labels come from
    votes `rivals`, other classes whose rules hold too; and where the catalogue has votes those of `votes.vote_table`.

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
        Share of galaxies that may be rejected before any image is read.
    fingerprints
        Of the pictures, so that those of the same sky stay in one split; None where nobody asks.
    manifest
        What is written.
    rejects_if_failed
        The table of rejects, written where they are too many.

    Raises
    ------
    GalaxAlignError
        A catalogue, label or class that will not do, or too many rows that will not.
    """
    galaxies = read_galaxies(source, inputs, sheet, bands)
    labels, rivals = find_labels(galaxies, source, sheet, inputs[0])
    galaxies["label"] = pd.array(labels, dtype="string")
    marks = Marks.of(galaxies)
    galaxies["group"] = find_groups(galaxies, split, marks)
    marks.note(galaxies)
    if fingerprints is not None:
        prints = read_fingerprints(fingerprints, galaxies["id"].tolist())
        galaxies["group"] = join_groups(galaxies["group"].to_numpy(), duplicate_groups(*prints))
    _check_rejected(galaxies, max_rejected, inputs[0], rejects_if_failed)
    index = pd.Index(sheet.labels).get_indexer(pd.Index(labels)).astype(np.int64)
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
        _log_left_out(galaxies, index)
    votes = find_votes(galaxies, source, sheet)
    published = published_splits(galaxies["given"].tolist(), split.fractions, galaxies["group"].to_numpy())
    galaxies = pd.concat([galaxies[FIRST].assign(**({} if rivals is None else {"rivals": rivals})), votes], axis=1)
    galaxies["split"] = share_voted(galaxies, published)
    _log_counts(galaxies, sheet.labels)
    part = manifest.with_name(f".{manifest.name}.part")
    galaxies.to_parquet(part, index=False)
    part.replace(manifest)


def find_votes(galaxies: pd.DataFrame, source: Mapping[str, Any], sheet: ClassSheet) -> pd.DataFrame:
    """The votes of every answer (`votes.vote_table`); no column where the source does not say which votes count."""
    (settings,) = source.values()
    kind = settings.get("votes")
    total = None if kind is None or sheet.tree is None else total_votes(galaxies, sheet.tree)
    if kind is None or sheet.tree is None or total is None:
        return pd.DataFrame(index=galaxies.index)
    return vote_table(galaxies, total, sheet.tree, kind)


def share_voted(galaxies: pd.DataFrame, published: NDArray[np.int64]) -> NDArray[np.str_]:
    """The split of each galaxy, now also of those with votes but no class.

    Parameters
    ----------
    galaxies
        Rows of a manifest.
    published
        Index of the split that each galaxy is given, (N,), -1 for none.
    """
    splits = galaxies["split"].astype(object)
    votes = votes_of(galaxies)
    if votes is not None:
        used, groups = (splits != "").to_numpy(bool), galaxies["group"]
        last = pd.Series(published, index=galaxies.index).groupby(groups).transform("max").to_numpy()
        own = np.array([*SPLITS, "train"], dtype=object)[last]
        shared = groups.map(galaxies[used].drop_duplicates("group").set_index("group")["split"])
        found = shared.astype(object).where(shared.notna(), own).to_numpy()
        waiting = votes.known & ~used & ((galaxies["flag"] == "") & galaxies["label"].isna()).to_numpy(bool)
        # Who is published in another split than its group would tell what is to be judged.
        kept = (published < 0) | (np.array([*SPLITS, ""], dtype=object)[published] == found)
        splits[waiting & kept] = found[waiting & kept]
    return splits.to_numpy(dtype=np.str_)


def find_labels(
    galaxies: pd.DataFrame, source: Mapping[str, Any], sheet: ClassSheet, path: Path
) -> tuple[NDArray[np.object_], NDArray[np.object_] | None]:
    """The class of each galaxy, from its column, from its votes, or none at all; and from votes its rivals."""
    (settings,) = source.values()
    rule = settings.get("labels", "column")
    if rule == "votes":
        total = None if sheet.tree is None else total_votes(galaxies, sheet.tree)
        if sheet.tree is not None and total is None:
            raise GalaxAlignError(
                "labels from votes need columns.total: the column with the number of people who classified a galaxy, "
                "or one number for all"
            )
        return labels_from_votes(galaxies, np.zeros(0) if total is None else total, sheet, settings["votes"])
    if rule == "none":
        return np.full(len(galaxies), None, dtype=object), None
    codes, said = pd.factorize(galaxies["label"].to_numpy(object))
    first = pd.Series(np.arange(len(codes))).groupby(codes).first()
    known = [_class_of(label, first[code], sheet, path) if label else None for code, label in enumerate(said)]
    return np.array([*known, None], dtype=object)[codes], None


def _class_of(label: str, row: int, sheet: ClassSheet, path: Path) -> str | None:
    """The class that a catalogue calls by its label or by its number in the sheet."""
    if label in sheet.labels:
        return label
    if label in sheet.unclassified:
        return None
    if label.lower() in UNKNOWN:
        return None
    # Of a column with gaps pandas writes 3 as 3.0.
    number = re.fullmatch(r"(\d{1,9})(?:\.0)?", label)
    if number and int(number[1]) < len(sheet.labels):
        return sheet.labels[int(number[1])]
    known = [*sheet.labels, *sheet.unclassified]
    raise GalaxAlignError(
        f"{path}, row {row + 1}: label {label!r} is no class of class sheet {sheet.name} ({nearest(label, known)}); "
        "correct it, add the class, or list it under `unclassified`"
    )


def _check_rejected(galaxies: pd.DataFrame, max_rejected: float, path: Path, table: Path) -> None:
    """Raise where too many rows are flagged already; then the table of rejects stays."""
    bad = galaxies[galaxies["flag"] != ""]
    rejects = [
        Reject(id=name, source=source, flag=flag, reason=reason)
        for name, source, flag, reason in bad[["id", "source", "flag", "reason"]].itertuples(index=False)
    ]
    error = check_rejected(rejects, len(galaxies), max_rejected, table)
    if error:
        write_rejects(rejects, table)
        raise GalaxAlignError(f"{path}, before any image was read: {error}")
    table.unlink(missing_ok=True)


def find_groups(galaxies: pd.DataFrame, split: SplitRule, marks: Marks) -> NDArray[np.int64]:
    """Groups of galaxies that share sky, as ``data.split.group_by`` says; who cannot be grouped is flagged."""
    match split.group_by:
        case "sky":
            known = (np.isfinite(galaxies["ra"]) & np.isfinite(galaxies["dec"])).to_numpy(bool)
            if known.any():
                marks.add(
                    ~known, "position", lambda row: f"galaxy {galaxies['id'][row]!r} has no position to group it by"
                )
            elif galaxies["label"].notna().any():
                raise GalaxAlignError(
                    "data.split.group_by is sky, but no galaxy has a position: name columns.ra and columns.dec, "
                    "or group by sdss_field, column or none"
                )
            return sky_groups(galaxies["ra"].to_numpy(), galaxies["dec"].to_numpy(), split.radius)
        case "sdss_field":
            ids = galaxies["id"].tolist()
            fields = sdss_fields(ids)
            if (fields < 0).all():
                raise GalaxAlignError(
                    f"galaxy {ids[0]!r} (number 1) has no SDSS objid as its id, nor has any other, which "
                    "data.split.group_by: sdss_field needs: name the objid column in columns.id, or group by sky, "
                    "column or none"
                )
            marks.add(fields < 0, "no_objid", lambda row: f"galaxy {ids[row]!r}, number {row + 1}")
            return renumber(np.where(fields < 0, fields.max() + 1 + np.arange(len(fields)), fields))
        case "column":
            if "member" not in galaxies or not (galaxies["member"] != "").any():
                raise GalaxAlignError(
                    "data.split.group_by is column, but no galaxy has a group: name its column in columns.group, or "
                    "group by sky, sdss_field or none"
                )
            return named_groups(galaxies["member"].tolist())
        case _:
            return np.arange(len(galaxies))


def _log_left_out(galaxies: pd.DataFrame, index: NDArray[np.int64]) -> None:
    """Say how many galaxies a published split trains on although they share a group with what it judges."""
    left = int(((index >= 0) & (galaxies["split"] == "")).sum())
    if left:
        logger.warning(
            "%d galaxies are left out: the published split gives them to another split than galaxies of their group "
            "that are judged later",
            left,
        )


def _log_counts(galaxies: pd.DataFrame, classes: Sequence[str]) -> None:
    counts = Counter(zip(galaxies["label"].fillna(""), galaxies["split"], strict=True))
    labelled = int(galaxies["label"].notna().sum())
    for label in classes if labelled else ():
        shares = ", ".join(f"{counts[label, split]} {split}" for split in SPLITS)
        logger.info("%s: %s", label, shares)
    flagged = int((galaxies["flag"] != "").sum())
    logger.info("%d galaxies, %d of no class, %d flagged", len(galaxies), len(galaxies) - labelled, flagged)
