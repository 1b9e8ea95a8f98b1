"""The pairs of galaxies across splits that are most alike, side by side."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from galaxalign.data.store import Store
from galaxalign.figures.plates import frame, name_above, name_below, plate, show
from galaxalign.figures.style import GREY, MEDIUM, PAGE, WRONG, sentence, styled

# Pairs in a row; pairs of each kind that are drawn at most.
ACROSS, PAIRS = 4, 8
HEADINGS = {"picture": "Most alike by their pictures", "sky": "Closest on the sky"}


@styled
def leak_plate(store: Store, leaks: pd.DataFrame) -> Figure:
    """Pairs of the table that `data.leaks.write_leaks` wrote, those that leak in a broken red frame."""
    kinds = {by: leaks[leaks["by"] == by][:PAIRS] for by in HEADINGS}
    kinds = {by: pairs for by, pairs in kinds.items() if len(pairs)}
    if not kinds:
        return sentence("no galaxies in different splits")
    rows = {by: -(-len(pairs) // ACROSS) for by, pairs in kinds.items()}
    starts = dict(zip(rows, np.cumsum([0, *rows.values()])[:-1].tolist(), strict=True))
    figure, panels = plate(
        sum(rows.values()),
        2 * ACROSS,
        width=PAGE,
        top=0.25,
        below=0.36,
        gaps=range(2, 2 * ACROSS, 2),
        row_gaps=[start for start in starts.values() if start],
        gap=0.22,
    )
    place = {name: row for row, name in enumerate(store.id)}
    for by, pairs in kinds.items():
        name_above(panels[starts[by], 0], HEADINGS[by], size=MEDIUM)
        for number, pair in enumerate(pairs.itertuples()):
            row, column = divmod(number, ACROSS)
            two = panels[starts[by] + row, 2 * column : 2 * column + 2]
            pictures = store.pictures(np.array([place[str(pair.first)], place[str(pair.second)]]))
            for panel, picture, split in zip(two, pictures, (pair.first_split, pair.second_split), strict=True):
                show(panel, picture)
                name_below(panel, str(split))
                if pair.leak:
                    frame(panel, WRONG, dashed=True)
            words = f"{100 * float(pair.difference):.0f} % differ"  # type: ignore[arg-type]
            if np.isfinite(pair.separation):  # type: ignore[arg-type]
                words += f", {_angle(float(pair.separation))}"  # type: ignore[arg-type]
            two[0].annotate(
                words,
                (1.02, 0),
                xytext=(0, -11),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="top",
                color=GREY,
                fontsize=7,
            )
    return figure


def _angle(arcsec: float) -> str:
    """An angle in the unit that needs the fewest digits."""
    if arcsec < 120:
        return f"{arcsec:.0f}″"
    return f"{arcsec / 60:.0f}′" if arcsec < 7200 else f"{arcsec / 3600:.0f}°"
