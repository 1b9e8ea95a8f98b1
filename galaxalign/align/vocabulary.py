"""What galaxies are aligned with: the texts and symbols of a class sheet."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from galaxalign.align.batches import SymbolViews
from galaxalign.align.classification import ClassPrompts, texts_of, tree_prompts
from galaxalign.symbols.store import DrawnSymbols


@dataclass(frozen=True)
class Vocabulary:
    """What a run is shown and told with.

    Attributes
    ----------
    prompts : every text and every symbol as it is, by which classes are told apart.
    texts, text_items : the texts that training aligns with, and the index (T,) of the class or answer each says.
    text_count : how many classes or answers there are.
    views : variants of the symbols that training draws from, with their classes, or their own places in the tree.
    handed : whether a mirror image may be another class.
    mirror : (C,) of a handed vocabulary, the class of each class's mirror image; None where some have no such class,
        and where votes are learned, whose answers have none.
    """

    prompts: ClassPrompts
    texts: list[str]
    text_items: Tensor
    text_count: int
    views: SymbolViews
    handed: bool
    mirror: Tensor | None


def vocabulary_of(drawn: DrawnSymbols, targets: str) -> Vocabulary:
    """The classes of a sheet; with `targets` votes, the answers of its decision tree to align with.

    Raises `GalaxAlignError` where votes are wanted and the sheet has no tree, or a class no rule.
    """
    classes = drawn.classes.astype(np.int64)
    texts, text_classes = texts_of([list(entry.texts) for entry in drawn.sheet.classes])
    drawings = drawn.images[:0] if drawn.tree is None else drawn.tree.images
    tree = tree_prompts(drawn.sheet, drawings) if targets == "votes" else None
    prompts = ClassPrompts(
        classes=len(drawn.sheet.classes),
        texts=texts,
        text_classes=text_classes,
        drawings=drawn.images,
        symbol_classes=classes,
        tree=tree,
    )
    if tree is None or drawn.tree is None:
        views = SymbolViews(torch.from_numpy(drawn.views), torch.from_numpy(classes))
        items = texts, torch.from_numpy(text_classes), prompts.classes
    else:
        views = SymbolViews(torch.from_numpy(drawn.tree.views), torch.arange(len(drawn.tree.views)))
        items = tree.texts, torch.from_numpy(tree.text_answers), len(tree.questions)
    mirror = drawn.sheet.mirror if drawn.sheet.handed and tree is None else None
    return Vocabulary(
        prompts,
        *items,
        views=views,
        handed=drawn.sheet.handed,
        mirror=None if mirror is None else torch.tensor(mirror),
    )
