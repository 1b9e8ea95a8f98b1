"""The columns of a store beside its pictures: what is known of each galaxy, a value a row."""

import json
from collections.abc import Sequence

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.data.votes import Votes, votes_of


def write_made(
    file: h5py.File,
    ids: Sequence[str],
    flags: Sequence[str],
    reasons: Sequence[str],
    keys: NDArray[np.uint64],
    checksums: NDArray[np.uint32],
) -> None:
    """What is known once the pictures are made: id, flag, reason, and key and checksum of each picture."""
    write_texts(file, "id", ids)
    write_texts(file, "flag", flags)
    # Nearly all are empty, and a few long.
    file.create_dataset("reason", data=list(reasons), dtype=h5py.string_dtype("utf-8"), shape=(len(reasons),))
    file.create_dataset("key", data=keys)
    file.create_dataset("checksum", data=checksums)


def write_catalogue(file: h5py.File, galaxies: pd.DataFrame, flags: Sequence[str], classes: Sequence[str]) -> None:
    """What the manifest says: split, label, ra, dec, and votes where there are any; what has a flag gets no split."""
    splits = ["" if flag else split for flag, split in zip(flags, galaxies["split"], strict=True)]
    write_texts(file, "split", splits)
    place = {label: index for index, label in enumerate(classes)}
    labels = [-1 if pd.isna(label) else place[label] for label in galaxies["label"]]
    file.create_dataset("label", data=np.array(labels, np.int16))
    for name in ("ra", "dec"):
        file.create_dataset(name, data=galaxies[name].to_numpy(np.float64))
    votes = votes_of(galaxies)
    if votes is not None:
        file.create_dataset("votes", data=votes.fractions).attrs["answers"] = json.dumps(votes.answers)
        file.create_dataset("asked", data=votes.asked).attrs["questions"] = json.dumps(votes.questions)


def write_texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    """Texts of a fixed length, that of the longest: they are read a hundred times faster than others."""
    encoded = [text.encode() for text in texts]
    length = max(map(len, encoded), default=0) or 1
    file.create_dataset(name, data=np.array(encoded, h5py.string_dtype("utf-8", length)))


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
