"""The one exception that speaks to the user."""

import difflib
from collections.abc import Iterable


class GalaxAlignError(Exception):
    """Something in the user's input is wrong: one sentence that names the key, row or file, and the cure."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that ends an error sentence: the closest known word, or all of them.

    >>> nearest("epocs", ["epochs", "seed"])
    "did you mean 'epochs'?"
    >>> nearest("colour", ["epochs", "seed"])
    'known: epochs, seed'
    """
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
