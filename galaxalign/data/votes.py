"""The votes of Galaxy Zoo volunteers: fractions of every answer, people asked, and labels by rule.

A galaxy belongs to a class when, at every step of the class's way down the decision tree, at least the
stated share of the votes agrees and at least the stated number of people were asked, as Galaxy10 DECaLS
and GalaxyMNIST were made.  Soft targets need no rule: they are the fractions themselves.

Kinds of votes: `fraction`, as they were cast; `weighted_fraction`, less those of volunteers who disagree
with all others; `debiased`, what would have been cast were the galaxy near (Hart et al. 2016).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.symbols.sheet import ClassSheet, VoteStep
from galaxalign.symbols.tree import DecisionTree

# Galaxy Zoo 2's names of vote columns (Hart et al. 2016), such as t01_smooth_or_features_a01_smooth_debiased.
COLUMN = re.compile(r"t\d\d_(?P<question>\w+)_a\d\d_(?P<answer>\w+?)_(?P<kind>debiased|weighted_fraction|fraction)$")
# Names of the columns of a manifest that say how many people were asked a question begin so.
ASKED = "asked/"


@dataclass(frozen=True)
class Votes:
    """What the volunteers said about N galaxies.

    Attributes
    ----------
    fractions : (N, A) float32, the share of each answer among the answers to its question, which add up to 1;
        not a number where nobody was asked or the catalogue does not say.
    asked : (N, Q) float32, people who were asked each question; not a number where the catalogue does not say.
    answers, questions : their names, ``question/answer`` and ``question``.
    """

    fractions: NDArray[np.float32]
    asked: NDArray[np.float32]
    answers: tuple[str, ...]
    questions: tuple[str, ...]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the first question was asked and answered about each galaxy, (N,)."""
        first = [answer.startswith(f"{self.questions[0]}/") for answer in self.answers]
        known: NDArray[np.bool_] = (self.asked[:, 0] > 0) & np.isfinite(self.fractions[:, first]).all(axis=1)
        return known


def vote_columns(names: Sequence[str], kind: str) -> dict[str, str]:
    """Columns with votes of one kind, by answer (``question/answer``)."""
    matches = {name: COLUMN.match(str(name)) for name in names}
    return {
        f"{match['question']}/{match['answer']}": name
        for name, match in matches.items()
        if match and match["kind"] == kind
    }


def people_asked(
    votes: pd.DataFrame, question: str, total: NDArray[np.float64], tree: DecisionTree
) -> NDArray[np.float64]:
    """How many people were asked a question about each galaxy.

    They are those who classified the galaxy times the weighted fractions of the answers that lead to the
    question, along the tree.

    Parameters
    ----------
    votes
        Rows of galaxies, with columns of weighted fractions.
    question
        Name of a question of the tree.
    total
        People who classified each galaxy, shape (N,).
    tree
        Which answer leads to which question.
    """
    leads = tree.question(question).leads
    if leads is None:
        return total
    answer, gave_it = leads
    share = _votes(votes, answer, "weighted_fraction")
    before = people_asked(votes, _question(answer), total, tree)
    return before * (share if gave_it else 1 - share)


def vote_table(votes: pd.DataFrame, total: NDArray[np.float64], tree: DecisionTree, kind: str) -> pd.DataFrame:
    """Fractions of every answer of the tree, and people asked every question (columns `ASKED` + question).

    Debiased votes are corrected answer by answer and rounded ones lose a digit, so that neither adds up to 1:
    within a question the fractions are made to.  How many were asked is told by the weighted fractions, the votes
    that were cast, whatever the kind.

    Returns
    -------
    A row a galaxy.  Fractions are not a number where all answers to the question are 0 or one is unknown, people
    asked where the catalogue lacks the answer that leads to the question.
    """
    columns = vote_columns(list(votes.columns), kind)
    fractions: dict[str, NDArray[np.float64]] = {}
    asked: dict[str, NDArray[np.float64]] = {}
    for question in tree.questions:
        names = [answer.name for answer in question.answers]
        values = np.full((len(votes), len(names)), np.nan)
        if all(name in columns for name in names):
            values = votes[[columns[name] for name in names]].to_numpy(np.float64)
        sums = values.sum(axis=1, keepdims=True)
        shares = np.divide(values, sums, out=np.full_like(values, np.nan), where=sums > 0)
        fractions |= zip(names, shares.T, strict=True)
        try:
            people = people_asked(votes, question.name, total, tree)
        except GalaxAlignError:
            # A catalogue may be cut down to the votes that its labels need.
            people = np.full(len(votes), np.nan)
        asked[f"{ASKED}{question.name}"] = people
    return pd.DataFrame(fractions | asked, index=votes.index)


def votes_of(table: pd.DataFrame) -> Votes | None:
    """The votes among the columns of a manifest, as `vote_table` names them; None where there are none."""
    questions = [name.removeprefix(ASKED) for name in table.columns if name.startswith(ASKED)]
    if not questions:
        return None
    answers = [name for name in table.columns if _question(name) in questions and "/" in name]
    return Votes(
        fractions=np.array(table[answers], np.float32),
        asked=np.array(table[[f"{ASKED}{question}" for question in questions]], np.float32),
        answers=tuple(answers),
        questions=tuple(questions),
    )


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
        A sheet without rules, or an answer of which the catalogue has no votes.
    """
    labels: list[str | None] = [None] * len(votes)
    tree = tree_of(sheet)
    for entry in sheet.classes:
        if not entry.votes:
            raise GalaxAlignError(
                f"class {entry.label!r} of class sheet {sheet.name} has no `votes`, by which labels are to be made: "
                "add its steps, or take labels from a column"
            )
        holds = np.ones(len(votes), bool)
        for step in entry.votes:
            holds &= _step_holds(votes, total, step, tree, sheet.asked, kind)
        for row in np.flatnonzero(holds):
            labels[row] = labels[row] or entry.label
    return labels


def tree_of(sheet: ClassSheet) -> DecisionTree:
    """The decision tree of a sheet; an error where votes are wanted but the sheet names none."""
    if sheet.tree is None:
        raise GalaxAlignError(
            f"class sheet {sheet.name} has no `tree`, whose answers votes are for: add it with the `votes` of each "
            "class, or take labels from a column"
        )
    return sheet.tree


def _step_holds(
    votes: pd.DataFrame, total: NDArray[np.float64], step: VoteStep, tree: DecisionTree, enough: int, kind: str
) -> NDArray[np.bool_]:
    asked = people_asked(votes, _question(step.answer), total, tree)
    holds: NDArray[np.bool_] = (_votes(votes, step.answer, kind) >= step.at_least) & (asked >= enough)
    return holds


def _question(answer: str) -> str:
    return answer.partition("/")[0]


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
