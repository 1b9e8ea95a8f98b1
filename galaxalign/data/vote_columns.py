"""How the columns of Galaxy Zoo's votes are called, and which kind of votes they hold.

Kinds of votes: `fraction`, as they were cast (or, for GZ DESI, predicted); `weighted_fraction`, less those of
volunteers who disagree with all others; `debiased`, what would have been cast were the galaxy near (Hart et al. 2016).

Names of columns are understood as they are published:

* Galaxy Zoo 1 (Lintott et al. 2011): ``P_EL P_CW P_ACW P_EDGE P_DK P_MG``, in capitals or not;
* Galaxy Zoo 2 (Hart et al. 2016): ``t01_smooth_or_features_a01_smooth_debiased``;
* Galaxy Zoo DECaLS and DESI (Walmsley et al. 2022, 2023): ``smooth-or-featured_smooth_fraction``, with or without the
  campaign (``smooth-or-featured-dr5_smooth_fraction``), and ``smooth-or-featured_total-votes``, the people asked.

Questions and answers of a tree have underscores where the columns have dashes.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.tree import DecisionTree

_GZ1 = {
    "p_el": "galaxy/elliptical",
    "p_cw": "galaxy/clockwise",
    "p_acw": "galaxy/anticlockwise",
    "p_edge": "galaxy/edge_on",
    "p_dk": "galaxy/dont_know",
    "p_mg": "galaxy/merger",
}
_GZ2 = re.compile(r"t\d\d_(?P<question>\w+)_a\d\d_(?P<answer>\w+?)_(?P<kind>debiased|weighted_fraction|fraction)$")
_DECALS = re.compile(
    r"(?P<question>[a-z]+(?:-[a-z]+)*?)(?:-(?:dr\d+|desi))?_"
    r"(?:(?P<answer>[a-z0-9]+(?:-[a-z0-9]+)*)_(?P<kind>debiased|fraction)|(?P<total>total-votes))$"
)
# The kind that `_meaning` gives to people asked, and the kinds that tell how many volunteers gave an answer.
TOTAL = "total"
CAST = ("weighted_fraction", "fraction")


@lru_cache(4096)
def _meaning(column: str) -> tuple[str, str] | None:
    """``question/answer`` and kind of votes of a column, or ``question`` and `TOTAL`; None for other columns."""
    if column.lower() in _GZ1:
        return _GZ1[column.lower()], "fraction"
    if match := _GZ2.match(column):
        return f"{match['question']}/{match['answer']}", match["kind"]
    if match := _DECALS.match(column):
        question = match["question"].replace("-", "_")
        return (
            (question, TOTAL) if match["total"] else (f"{question}/{match['answer'].replace('-', '_')}", match["kind"])
        )
    return None


def vote_columns(names: Sequence[str], kind: str) -> dict[str, str]:
    """Columns with votes of one kind, by answer (``question/answer``); of kind `TOTAL`, people asked by question.

    Raises `GalaxAlignError` where two columns mean the same, as votes of two campaigns in one table do.
    """
    columns: dict[str, str] = {}
    for name in names:
        meaning = _meaning(str(name))
        if meaning is None or meaning[1] != kind:
            continue
        if meaning[0] in columns:
            raise GalaxAlignError(
                f"the catalogue's columns {columns[meaning[0]]!r} and {name!r} are both {kind} votes for "
                f"{meaning[0]!r}: leave out the columns of all campaigns but one"
            )
        columns[meaning[0]] = name
    return columns


def needed_columns(names: Sequence[str], kind: str, tree: DecisionTree) -> list[str]:
    """Columns of a catalogue that tell the votes of one kind on a tree, and how many people were asked."""
    known = {*tree.names, *(question.name for question in tree.questions)}
    wanted = {kind, TOTAL, *CAST}
    meanings = {name: _meaning(name) for name in names}
    return [name for name, meaning in meanings.items() if meaning and meaning[0] in known and meaning[1] in wanted]
