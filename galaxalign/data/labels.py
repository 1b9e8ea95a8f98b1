"""How many galaxies each class got, how many none, and where the rules of several classes hold."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.data.splits import SPLITS
from galaxalign.data.store import Store
from galaxalign.data.votes import RIVALS

# Columns of the table that count galaxies of a class by what becomes of them; together they are `galaxies`.
FATES = (*SPLITS, "unused", "rejected")
# The last row of the table: galaxies of no class.
NO_CLASS = "(no class)"


def write_labels(store: Store, manifest: Path, table: Path) -> None:
    """Write what `label_table` counts, tab-separated."""
    galaxies = pd.read_parquet(manifest)
    rivals = dict(zip(galaxies["id"], galaxies["rivals"], strict=True)) if "rivals" in galaxies else {}
    label_table(store, np.array([rivals.get(name, "") for name in store.id], dtype=object)).to_csv(
        table, sep="\t", index=False
    )


def label_table(store: Store, rivals: NDArray[np.object_]) -> pd.DataFrame:
    """A row a class in the order of the sheet, and one of galaxies without a class.

    Columns: label; galaxies; of these train, validation, test, unused (in no split, with no flag) and rejected (with a
    flag); conflicts, galaxies of the class for which the rules of other classes hold too; and for each class a column
    `also LABEL`, how many of them it is that also holds.

    Parameters
    ----------
    store
        The galaxies.
    rivals
        Labels of the other classes whose rules hold for each galaxy, as `votes.labels_from_votes` gives them, (N,).
    """
    fate = np.where(store.flag != "", "rejected", np.where(store.split == "", "unused", store.split))
    others = [cell.split(RIVALS) if cell else [] for cell in rivals]
    rows = []
    for index, label in [*enumerate(store.classes), (-1, NO_CLASS)]:
        own = store.label == index
        also = [other for row in np.flatnonzero(own) for other in others[row]]
        rows.append(
            {"label": label, "galaxies": int(own.sum())}
            | {name: int((fate[own] == name).sum()) for name in FATES}
            | {"conflicts": sum(bool(others[row]) for row in np.flatnonzero(own))}
            | {f"also {other}": also.count(other) for other in store.classes}
        )
    return pd.DataFrame(rows)
