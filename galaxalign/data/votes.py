"""Labels from the votes of Galaxy Zoo volunteers, by the rule of a class sheet.

A galaxy belongs to a class when, at every step of the class's way down the decision tree, at least the
stated share of the votes agrees and at least the stated number of people were asked, as Galaxy10 DECaLS
and GalaxyMNIST were made.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.symbols.sheet import ClassSheet, VoteStep

# Galaxy Zoo 2's names of vote columns (Hart et al. 2016), such as t01_smooth_or_features_a01_smooth_debiased.
COLUMN = re.compile(r"t\d\d_(?P<question>\w+)_a\d\d_(?P<answer>\w+?)_(?P<kind>debiased|weighted_fraction|fraction)$")

# The answer that leads to each question of Galaxy Zoo 2 (Willett et al. 2013, MNRAS 435, 2835, table 2);
# None for the first.  Everybody is asked whether something is odd but those who saw a star or an artifact.
LEADS_TO: Mapping[str, str | None] = {
    "smooth_or_features": None,
    "edgeon": "smooth_or_features/features_or_disk",
    "bar": "edgeon/no",
    "spiral": "edgeon/no",
    "bulge_prominence": "edgeon/no",
    "odd": "not smooth_or_features/star_or_artifact",
    "rounded": "smooth_or_features/smooth",
    "odd_feature": "odd/yes",
    "bulge_shape": "edgeon/yes",
    "arms_winding": "spiral/spiral",
    "arms_number": "spiral/spiral",
}


def vote_columns(names: Sequence[str], kind: str) -> dict[str, str]:
    """Columns with votes of one kind, by answer (``question/answer``)."""
    matches = {name: COLUMN.match(str(name)) for name in names}
    return {
        f"{match['question']}/{match['answer']}": name
        for name, match in matches.items()
        if match and match["kind"] == kind
    }


def people_asked(votes: pd.DataFrame, question: str, total: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many people were asked a question about each galaxy.

    They are those who classified the galaxy times the weighted fractions of the answers that lead to the
    question, along the tree.

    Parameters
    ----------
    votes
        Rows of galaxies, with columns of weighted fractions.
    question
        A key of `LEADS_TO`.
    total
        People who classified each galaxy, shape (N,).
    """
    lead = LEADS_TO[question]
    if lead is None:
        return total
    answer = lead.removeprefix("not ")
    share = _votes(votes, answer, "weighted_fraction")
    before = people_asked(votes, answer.split("/")[0], total)
    return before * (1 - share if lead.startswith("not ") else share)


def labels_from_votes(
    votes: pd.DataFrame, total: NDArray[np.float64], sheet: ClassSheet, kind: str
) -> list[str | None]:
    """The class of each galaxy; where the rules of several hold, the first of them in the sheet; None where none.

    Parameters
    ----------
    votes
        Rows of galaxies, with Galaxy Zoo's vote columns as numbers.
    total
        People who classified each galaxy.
    sheet
        Classes with vote rules.
    kind
        The votes that the rules judge: ``debiased``, ``weighted_fraction`` or ``fraction``.

    Raises
    ------
    GalaxAlignError
        A sheet without rules, or a rule with an unknown answer.
    """
    labels: list[str | None] = [None] * len(votes)
    for entry in sheet.classes:
        if not entry.votes:
            raise GalaxAlignError(
                f"class {entry.label!r} of class sheet {sheet.name} has no `votes`, by which labels are to be made: "
                "add its steps, or take labels from a column"
            )
        holds = np.ones(len(votes), bool)
        for step in entry.votes:
            holds &= _step_holds(votes, total, step, sheet, kind)
        for row in np.flatnonzero(holds):
            labels[row] = labels[row] or entry.label
    return labels


def _step_holds(
    votes: pd.DataFrame, total: NDArray[np.float64], step: VoteStep, sheet: ClassSheet, kind: str
) -> NDArray[np.bool_]:
    question = step.answer.split("/")[0]
    if question not in LEADS_TO:
        raise GalaxAlignError(
            f"class sheet {sheet.name}: vote step {step.answer!r} asks no question of Galaxy Zoo 2: "
            f"{nearest(question, LEADS_TO)}"
        )
    asked = people_asked(votes, question, total)
    holds: NDArray[np.bool_] = (_votes(votes, step.answer, kind) >= step.at_least) & (asked >= sheet.asked)
    return holds


def _votes(votes: pd.DataFrame, answer: str, kind: str) -> NDArray[np.float64]:
    columns = vote_columns(list(votes.columns), kind)
    if answer not in columns:
        raise GalaxAlignError(
            f"the catalogue has no column of {kind} votes for {answer!r}: {nearest(answer, columns)}"
            if columns
            else f"the catalogue has no columns of {kind} votes such as t01_smooth_or_features_a01_smooth_{kind}: "
            "take labels from a column, or name another kind in `votes`"
        )
    values: NDArray[np.float64] = votes[columns[answer]].to_numpy(np.float64)
    return values
