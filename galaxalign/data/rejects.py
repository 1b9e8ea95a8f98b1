"""The galaxies that could not be used: their table, and the sentence when there are too many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd

from galaxalign.data.flags import MEANINGS
from galaxalign.errors import GalaxAlignError

# What mends the flags that files are seldom to blame for.
CURES = {
    "missing_band": "name the bands of the files in data.bands (or say data.fits.image: bands), and those of the "
    "colours in data.stretch.colours, where a weight of 0 takes a default band out",
    "missing_extension": "correct data.fits",
    "outside_root": "name as root the folder that holds the files once links are followed",
    "outside": "leave those galaxies out of the catalogue, or add tiles",
    "too_large": "name cutouts in place of whole frames, of which the source `tiles` makes some, or a smaller `field`",
    "faint": "choose data.stretch for this flux (python -m galaxalign.data show FILE), or lower "
    "data.quality.min_signal",
}


@dataclass(frozen=True, kw_only=True)
class Reject:
    """A galaxy that cannot be used, and why."""

    id: str
    source: str
    flag: str
    reason: str


def check_rejected(rejects: Sequence[Reject], total: int, max_rejected: float, table: Path) -> GalaxAlignError | None:
    """The error to raise if more than the share `max_rejected` of `total` galaxies is rejected.

    Its sentence names the commonest reason, its first files, the counts of all, and the table.
    """
    if len(rejects) <= max_rejected * total:
        return None
    counts = Counter(reject.flag for reject in rejects).most_common()
    worst = counts[0][0]
    first = [reject.reason for reject in rejects if reject.flag == worst][:3]
    others = ", ".join(f"{count} {flag}" for flag, count in counts)
    return GalaxAlignError(
        f"{len(rejects)} of {total} galaxies were rejected ({others}), data.max_rejected allows "
        f"{100 * max_rejected:g} %; the worst is {worst}, {MEANINGS[worst]}: {'; '.join(first)}; "
        f"{CURES.get(worst, 'mend the files')}, or raise data.max_rejected; all are listed in {table}"
    )


def write_rejects(rejects: Sequence[Reject], table: Path) -> None:
    """Write the table, tab-separated: id, source, flag, reason."""
    table.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame([astuple(reject) for reject in rejects], columns=[field.name for field in fields(Reject)])
    rows.to_csv(table, sep="\t", index=False)
