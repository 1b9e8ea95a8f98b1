"""The votes of Galaxy Zoo volunteers: fractions of every answer, people asked, and labels by rule.

A galaxy belongs to a class when, at every step of the class's way down the decision tree, at least the
stated share of the votes agrees and at least the stated number of people were asked, as Galaxy10 DECaLS
and GalaxyMNIST were made.  Soft targets need no rule: they are the fractions themselves.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.data.vote_columns import CAST, TOTAL, vote_columns
from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.symbols.sheet import ClassSheet, VoteStep
from galaxalign.symbols.tree import DecisionTree

logger = logging.getLogger(__name__)

# Names of the columns of a manifest that say how many people were asked a question begin so.
ASKED = "asked/"
# What single precision takes from a share, and rounded shares from the number of people that is told from them.
LAST_DIGIT, PART_OF_ONE = 1e-6, 0.05
# Between the labels of several classes in one cell.
RIVALS = " | "


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


def total_votes(votes: pd.DataFrame, tree: DecisionTree) -> NDArray[np.float64] | None:
    """How many people classified each galaxy, (N,): column ``total``, or who was asked the first question, or None."""
    name = "total" if "total" in votes else vote_columns(list(votes.columns), TOTAL).get(tree.questions[0].name)
    return None if name is None else votes[name].to_numpy(np.float64)


def people_asked(
    votes: pd.DataFrame, question: str, total: NDArray[np.float64], tree: DecisionTree
) -> NDArray[np.float64]:
    """How many people were asked a question about each galaxy.

    They are who the catalogue says they are, or else those who classified the galaxy times the fractions of the
    answers that lead to the question, along the tree: the weighted ones where the catalogue has them.

    Parameters
    ----------
    votes
        Rows of galaxies, with columns of votes.
    question
        Name of a question of the tree.
    total
        People who classified each galaxy, shape (N,).
    tree
        Which answer leads to which question.
    """
    counted = vote_columns(list(votes.columns), TOTAL).get(question)
    if counted is not None:
        return votes[counted].to_numpy(np.float64)
    leads = tree.question(question).leads
    if leads is None:
        return total
    answer, gave_it = leads
    cast = next((kind for kind in CAST if answer in vote_columns(list(votes.columns), kind)), CAST[0])
    share = _votes(votes, answer, cast)
    before = people_asked(votes, _question(answer), total, tree)
    return before * (share if gave_it else 1 - share)


def vote_table(votes: pd.DataFrame, total: NDArray[np.float64], tree: DecisionTree, kind: str) -> pd.DataFrame:
    """Fractions of every answer of the tree, and people asked every question (columns `ASKED` + question).

    Debiased votes are corrected answer by answer and rounded ones lose a digit, so that neither adds up to 1:
    within a question the fractions are made to.  How many were asked is told by the votes that were cast, whatever
    the kind.

    Returns
    -------
    A row a galaxy.  Fractions are not a number where all answers to the question are 0 or one is unknown, people
    asked where the catalogue lacks the answer that leads to the question.

    Raises `GalaxAlignError` where the catalogue has no votes of the kind; answers that it lacks are told to the log.
    """
    columns = vote_columns(list(votes.columns), kind)
    if not columns:
        raise _no_votes(kind)
    unknown = [question.name for question in tree.questions if any(a.name not in columns for a in question.answers)]
    if unknown:
        words = "the catalogue has no %s votes for every answer to %s, so that votes teach nothing of them"
        logger.warning(
            words + ("" if tree.questions[0].name not in unknown else ", nor of anything else"), kind, unknown
        )
    fractions: dict[str, NDArray[np.float32]] = {}
    asked: dict[str, NDArray[np.float32]] = {}
    for question in tree.questions:
        names = [answer.name for answer in question.answers]
        values = np.full((len(votes), len(names)), np.nan)
        if all(name in columns for name in names):
            values = votes[[columns[name] for name in names]].to_numpy(np.float64)
        sums = values.sum(axis=1, keepdims=True)
        shares = np.divide(values, sums, out=np.full_like(values, np.nan), where=sums > 0)
        fractions |= zip(names, shares.T.astype(np.float32), strict=True)
        try:
            people = people_asked(votes, question.name, total, tree)
        except GalaxAlignError:
            # A catalogue may be cut down to the votes that its labels need.
            people = np.full(len(votes), np.nan)
        asked[f"{ASKED}{question.name}"] = people.astype(np.float32)
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
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """The class of each galaxy, and the other classes whose rules hold too.

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

    Returns
    -------
    labels : (N,), the first class of the sheet whose rule holds; None where none does.
    rivals : (N,), labels of the others with `RIVALS` between them; "" where there are none.

    Raises
    ------
    GalaxAlignError
        A sheet without rules, or an answer of which the catalogue has no votes.
    """
    holds = _rules_that_hold(votes, total, sheet, kind)
    first = holds.argmax(axis=1)
    labels: NDArray[np.object_] = np.array(sheet.labels, dtype=object)[first]
    labels[~holds.any(axis=1)] = None
    rivals = np.full(len(holds), "", dtype=object)
    for row in map(int, np.flatnonzero(holds.sum(axis=1) > 1)):
        rivals[row] = RIVALS.join(sheet.labels[index] for index in np.flatnonzero(holds[row]) if index != first[row])
    return labels, rivals


def _rules_that_hold(
    votes: pd.DataFrame, total: NDArray[np.float64], sheet: ClassSheet, kind: str
) -> NDArray[np.bool_]:
    """Whether the votes for each galaxy satisfy the rule of each class, (N, C)."""
    tree = tree_of(sheet)
    holds = np.ones((len(votes), len(sheet.classes)), bool)
    for index, entry in enumerate(sheet.classes):
        if not entry.votes:
            raise GalaxAlignError(
                f"class {entry.label!r} of class sheet {sheet.name} has no `votes`, by which labels are to be made: "
                "add its steps, or take labels from a column"
            )
        for step in entry.votes:
            holds[:, index] &= _step_holds(votes, total, step, tree, sheet.asked, kind)
    return holds


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
    enough_agree = _votes(votes, step.answer, kind) >= step.at_least - LAST_DIGIT
    holds: NDArray[np.bool_] = enough_agree & (asked >= enough - PART_OF_ONE)
    return holds


def _question(answer: str) -> str:
    return answer.partition("/")[0]


def _no_votes(kind: str) -> GalaxAlignError:
    return GalaxAlignError(
        f"the catalogue has no columns of {kind} votes such as t01_smooth_or_features_a01_smooth_{kind} or "
        f"smooth-or-featured_smooth_{kind}: take labels from a column, or name another kind in `votes`"
    )


def _votes(votes: pd.DataFrame, answer: str, kind: str) -> NDArray[np.float64]:
    columns = vote_columns(list(votes.columns), kind)
    if not columns:
        raise _no_votes(kind)
    if answer not in columns:
        raise GalaxAlignError(f"the catalogue has no column of {kind} votes for {answer!r}: {nearest(answer, columns)}")
    values: NDArray[np.float64] = votes[columns[answer]].to_numpy(np.float64)
    return values
