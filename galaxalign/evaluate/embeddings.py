"""What an embeddings file holds, read by name."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from galaxalign.errors import GalaxAlignError


@dataclass(frozen=True)
class Galaxies:
    """Embedded galaxies, a row each.

    Attributes
    ----------
    embedding : (N, D) float32, unit length.
    id, split, flag : (N,) text; a good galaxy has the flag "".
    label : (N,) class index, -1 without a label.
    used : (N,) whether the run was allowed to see the galaxy's label in training.
    logits : (N, C) of the run's linear head; None where it has none.
    """

    embedding: NDArray[np.float32]
    id: NDArray[np.str_]
    label: NDArray[np.int64]
    split: NDArray[np.str_]
    flag: NDArray[np.str_]
    used: NDArray[np.bool_]
    logits: NDArray[np.float32] | None

    def rows(self, split: str) -> NDArray[np.int64]:
        """Rows of the good, labelled galaxies of one split."""
        return np.flatnonzero((self.split == split) & (self.flag == "") & (self.label >= 0))


@dataclass(frozen=True)
class Prompts:
    """Embedded symbols or texts: embedding (M, D) of unit length, word (M,) the name or text, label (M,) class."""

    embedding: NDArray[np.float32]
    word: NDArray[np.str_]
    label: NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Embedded texts and symbols of a decision tree's A answers, for a run that learned from votes.

    Attributes
    ----------
    texts, text_answers : (T, D) of unit length and the index (T,) of the answer of each; None without text tower.
    symbols, shown : (S, D) of unit length, and whether each shows an answer, (A, S).
    questions : (A,) index of the question of each answer.
    paths : (C, A), whether the rule of a class names an answer.
    """

    texts: NDArray[np.float32] | None
    text_answers: NDArray[np.int64]
    symbols: NDArray[np.float32]
    shown: NDArray[np.bool_]
    questions: NDArray[np.int64]
    paths: NDArray[np.bool_]


@dataclass(frozen=True)
class Embeddings:
    """One run's galaxies, symbols and texts in its common space.

    Attributes
    ----------
    classes, names : labels of the classes as the catalogue has them, and as people read them.
    scale : a = exp(logit_scale).
    calibration : temperature of the scores of the run's own classifier, fitted on validation.
    classifier, fusion : the recipe's choice of method, and the text's share in the fused scores.
    trained : modalities that the run aligned with the images, of "text" and "symbol".
    texts : None where the run has no text tower.
    answers : by which a run that learned from votes knows the classes; None for other runs.
    """

    dataset: str
    run: str
    classes: list[str]
    names: list[str]
    scale: float
    calibration: float
    classifier: str
    fusion: float
    trained: list[str]
    galaxies: Galaxies
    symbols: Prompts
    texts: Prompts | None
    answers: Answers | None


def read_embeddings(path: Path) -> Embeddings:
    """Read one run's embeddings.

    Raises
    ------
    GalaxAlignError
        The file is no HDF5 file, or lacks a group, a dataset or an attribute.
    """
    try:
        with h5py.File(path, "r") as file:
            return Embeddings(
                dataset=str(file.attrs["dataset"]),
                run=str(file.attrs["run"]),
                classes=json.loads(file.attrs["classes"]),
                names=json.loads(file.attrs["names"]),
                scale=float(file.attrs["scale"]),
                calibration=float(file.attrs["calibration"]),
                classifier=str(file.attrs["classifier"]),
                fusion=float(file.attrs["fusion"]),
                trained=json.loads(file.attrs["trained"]),
                galaxies=_galaxies(file["galaxies"]),
                symbols=_prompts(file["symbols"], "name"),
                texts=_prompts(file["texts"], "text") if "texts" in file else None,
                answers=_answers(file["answers"]) if "answers" in file else None,
            )
    except (OSError, KeyError) as error:
        raise GalaxAlignError(
            f"{path} is no complete embeddings file ({error.args[0]}): remove it and run Snakemake again"
        ) from error


def _text(group: h5py.Group, key: str) -> NDArray[np.str_]:
    return np.array(group[key].asstr()[:], dtype=str)


def _galaxies(group: h5py.Group) -> Galaxies:
    return Galaxies(
        embedding=group["embedding"][:],
        id=_text(group, "id"),
        label=group["label"][:].astype(np.int64),
        split=_text(group, "split"),
        flag=_text(group, "flag"),
        used=group["used"][:].astype(bool),
        logits=group["logits"][:] if "logits" in group else None,
    )


def _prompts(group: h5py.Group, word: str) -> Prompts:
    return Prompts(embedding=group["embedding"][:], word=_text(group, word), label=group["class"][:].astype(np.int64))


def _answers(group: h5py.Group) -> Answers:
    return Answers(
        texts=group["texts"][:] if "texts" in group else None,
        text_answers=group["text_answers"][:].astype(np.int64),
        symbols=group["symbols"][:],
        shown=group["shown"][:].astype(bool),
        questions=group["questions"][:].astype(np.int64),
        paths=group["paths"][:].astype(bool),
    )
