"""The columns of a store beside its pictures: what is known of each galaxy, a value a row."""

import json
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.data.splits import SPLITS
from galaxalign.data.votes import Votes, votes_of

Columns = dict[str, NDArray[Any]]


def made_columns(
    ids: Sequence[str],
    flags: Sequence[str],
    reasons: Sequence[str],
    keys: NDArray[np.uint64],
    checksums: NDArray[np.uint32],
) -> Columns:
    """What is known once the pictures are made: id, flag, reason, and key and checksum of each picture."""
    # Nearly all reasons are empty, and a few long.
    varying = np.array(reasons, h5py.string_dtype("utf-8"))
    return {"id": fixed(ids), "flag": fixed(flags), "reason": varying, "key": keys, "checksum": checksums}


def catalogue_columns(galaxies: pd.DataFrame, flags: Sequence[str], classes: Sequence[str]) -> Columns:
    """What the manifest says: split, label, ra, dec, and votes where there are any; what has a flag gets no split.

    Parameters
    ----------
    galaxies
        Rows of a manifest.
    flags
        Of their pictures.
    classes
        Labels of the classes in order.
    """
    splits = ["" if flag else split for flag, split in zip(flags, galaxies["split"], strict=True)]
    place = {label: index for index, label in enumerate(classes)}
    labels = [-1 if pd.isna(label) else place[label] for label in galaxies["label"]]
    columns: Columns = {
        # The same length in every part of a store.
        "split": fixed(splits, max(map(len, SPLITS))),
        "label": np.array(labels, np.int16),
        "ra": galaxies["ra"].to_numpy(np.float64),
        "dec": galaxies["dec"].to_numpy(np.float64),
    }
    votes = votes_of(galaxies)
    return columns if votes is None else columns | {"votes": votes.fractions, "asked": votes.asked}


def describe_votes(file: h5py.File, galaxies: pd.DataFrame) -> None:
    """Say which answer and which question the votes in a file are of, where there are any."""
    votes = votes_of(galaxies)
    if votes is not None:
        file["votes"].attrs["answers"] = json.dumps(votes.answers)
        file["asked"].attrs["questions"] = json.dumps(votes.questions)


def write_columns(file: h5py.File, columns: Columns, first: int, total: int) -> None:
    """Write rows of columns from row `first` on; a column that is not there yet is made, `total` rows long."""
    for name, values in columns.items():
        if name not in file:
            file.create_dataset(name, (total, *values.shape[1:]), values.dtype)
        file[name][first : first + len(values)] = values


def fixed(texts: Sequence[str], length: int = 0) -> NDArray[np.bytes_]:
    """Texts in UTF-8 of one length, that of the longest or `length`: they are read far faster than others."""
    encoded = [text.encode() for text in texts]
    longest = max(map(len, encoded), default=0)
    return np.array(encoded, h5py.string_dtype("utf-8", max(1, length, longest)))


def read_texts(column: h5py.Dataset) -> NDArray[np.str_]:
    """Texts of a column, whether of fixed length or not."""
    if h5py.check_string_dtype(column.dtype).length is None:
        return column.asstr()[:].astype(np.str_)  # type: ignore[no-any-return]
    return np.char.decode(column[:], "utf-8")


def read_votes(file: h5py.File) -> Votes | None:
    """The votes of a store; None where it has none."""
    if "votes" not in file:
        return None
    return Votes(
        fractions=file["votes"][:],
        asked=file["asked"][:],
        answers=tuple(json.loads(file["votes"].attrs["answers"])),
        questions=tuple(json.loads(file["asked"].attrs["questions"])),
    )
