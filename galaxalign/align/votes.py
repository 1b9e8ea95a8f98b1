"""The losses of alignment with the votes of volunteers as soft targets, over a whole decision tree.

A volunteer who looks at galaxy i comes to question q with the share r_iq and there gives the answer a with the
fraction p_ia.  The mass m_ia = r_iq p_ia is the share of i's volunteers who gave the answer a.  The model's
probability of an answer is a softmax over the answers of its question alone,

    P(a | i) = exp(s_ia) / sum over b of the same question of exp(s_ib),
    s_ia = log of the sum, over the rows of B that show a, of exp(scale u_i.b_m),

so that - sum over a of m_ia log P(a | i) is exactly the expected negative log-likelihood of a volunteer's way
through the tree.  docs/method.md has the derivation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from galaxalign.align.classification import TreePrompts
from galaxalign.align.losses import Weights
from galaxalign.data.store import Store
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.tree import DecisionTree

# Stands in for 0 in a denominator, which would make gradients that are no numbers.
TINY = 1e-300


@dataclass(frozen=True)
class TreeTargets:
    """A decision tree of A answers as losses need it.

    Attributes
    ----------
    questions : (A,) index of the question of each answer.
    shown : (A, S), whether a symbol shows an answer.
    symbols : (S, A), the mass of a symbol, looked at as galaxies are by volunteers who all see what it shows.
    rules : (C, A), that of a galaxy of which only the class is known, as of a rendered one.
        In both what is not known is not a number.
    """

    questions: Tensor
    shown: Tensor
    symbols: Tensor
    rules: Tensor

    @classmethod
    def of(cls, prompts: TreePrompts) -> "TreeTargets":
        """From a vocabulary's tree."""
        return cls(
            questions=torch.from_numpy(prompts.questions),
            shown=torch.from_numpy(prompts.shown),
            symbols=torch.from_numpy(prompts.symbol_mass).float(),
            rules=torch.from_numpy(prompts.class_mass).float(),
        )

    def to(self, device: torch.device) -> "TreeTargets":
        """The same on another device."""
        return TreeTargets(*(part.to(device) for part in (self.questions, self.shown, self.symbols, self.rules)))


def store_mass(store: Store, tree: DecisionTree, targets: TreeTargets) -> Tensor:
    """m (N, A) of every galaxy of a store: by its votes, else as far as its class tells, else all zero.

    Raises
    ------
    GalaxAlignError
        The store has no votes, those of another tree, or none on its first question.
    """
    votes = store.needed_votes()
    if votes.answers != tree.names or votes.questions != tuple(question.name for question in tree.questions):
        raise GalaxAlignError(
            f"the votes of {store.path} are not for the answers of the decision tree {tree.name}: delete it, its "
            "manifest.parquet and symbols.h5 to make them again"
        )
    if not votes.known.any():
        raise GalaxAlignError(
            f"{store.path} has votes, but of no galaxy those on {votes.questions[0]!r}, where the tree begins: the "
            "catalogue needs the votes for all of its answers, and how many people were asked"
        )
    mass = answer_mass(torch.from_numpy(votes.fractions), torch.from_numpy(votes.asked), targets.questions)
    by_class = torch.from_numpy((store.label >= 0) & ~votes.known)
    mass[~torch.from_numpy(votes.known)] = 0
    mass[by_class] = targets.rules[torch.from_numpy(store.label.astype("int64"))[by_class]]
    return mass


def answer_mass(fractions: Tensor, asked: Tensor, questions: Tensor) -> Tensor:
    """m (N, A): the share of each galaxy's volunteers who came to a question and gave an answer.

    Parameters
    ----------
    fractions : (N, A) of each answer among the answers to its question; not a number where unknown.
    asked : (N, Q) people who were asked each question, the first question first; not a number where unknown.
    questions : (A,) index of the question of each answer.

    Returns
    -------
    Zero for all that is unknown; all zero for a galaxy that nobody was asked about.
    """
    reached = torch.nan_to_num(asked / asked[:, :1], nan=0.0, posinf=0.0)
    return torch.nan_to_num(fractions, nan=0.0) * reached[:, questions]


def tree_contrast(a: Tensor, b: Tensor, mass: Tensor, shown: Tensor, questions: Tensor, scale: Tensor) -> Tensor:
    """L(A, B) with votes as targets; of one question with unanimous votes, `class_contrast`.

    From A to B each row of A is asked its questions: the expected negative log-likelihood, in nats, of the way a
    volunteer takes through the tree, counting the answers that rows of B show.  From B to A each row of B looks,
    for each answer it shows, for the volunteers who gave it: cross-entropy between m_ia / sum over i of m_ia and
    the softmax over the rows of A of which it is known whether it was given.  An answer counts in the mean as one,
    or less where the batch holds less than one galaxy's worth of it.

    Parameters
    ----------
    a, b : (N, D) and (M, D), unit length.
    mass : m (N, A), see `answer_mass`; not a number where it is not known. Rows that have none take no part.
    shown : (A, M), whether a row of B shows an answer; a row may show several, an answer may have none.
    questions : (A,) index of the question of each answer.
    scale : a scalar.
    """
    # In double precision e to the power of twice the largest scale is no overflow: sums of exponentials can be matrix
    # products, which single precision would need logarithms for.
    logits, known = (scale * a @ b.T).double(), mass.isfinite()
    mass = mass.double().nan_to_num(nan=0.0)
    takes_part, drawn = mass.sum(1) > 0, shown.any(1)
    shows, same = shown.double(), (questions[:, None] == questions[None, :]).double()

    of_answer = (logits - logits.detach().amax(1, keepdim=True)).exp() @ shows.T
    surprise = (of_answer @ same).masked_fill(~drawn, 1.0).log() - of_answer.masked_fill(~drawn, 1.0).log()
    forward = (mass * drawn * surprise).sum() / takes_part.sum().clamp(min=1)

    given = mass.sum(0)
    targets = mass / given.clamp(min=TINY)
    counts = shows * given.clamp(max=1.0)[:, None]
    logits = logits - logits.detach().amax(0)
    everybody = (known & takes_part[:, None]).double().T @ logits.exp()
    within = targets.T @ logits - everybody.masked_fill(counts == 0, 1.0).log()
    backward = -(counts * within).sum() / counts.sum().clamp(min=TINY)
    return ((forward + backward) / 2).to(a.dtype)


def vote_losses(
    *,
    weights: Weights,
    scale: Tensor,
    mass: Tensor,
    questions: Tensor,
    labels: Tensor,
    images: Tensor,
    texts: Tensor | None,
    symbols: Tensor | None,
    shown: Tensor,
    symbol_mass: Tensor,
    head_logits: Tensor | None,
) -> dict[str, Tensor]:
    """Each loss that has a weight, by the names of `alignment_losses`.

    Parameters
    ----------
    mass : m (N, A) of the batch, see `answer_mass`.
    questions : (A,) index of the question of each answer.
    labels : (N,) class of each galaxy, -1 for none; the linear head learns from the others alone.
    images : U (N, D), unit length.
    texts : W (A, D), one prototype an answer; None where no loss needs it.
    symbols : V (M, D), every view of every symbol in this step; None where no loss needs it.
    shown : (A, M), whether a view shows an answer.
    symbol_mass : m (M, A) of the views, see `TreeTargets`.
    head_logits : (N, C) of the linear head; None where there is none.
    """
    losses: dict[str, Tensor] = {}
    own_text = torch.eye(len(questions), dtype=torch.bool, device=images.device)
    if weights.image_text and texts is not None:
        losses["image_text"] = tree_contrast(images, texts, mass, own_text, questions, scale)
    if weights.symbol_text and symbols is not None and texts is not None:
        losses["symbol_text"] = tree_contrast(symbols, texts, symbol_mass, own_text, questions, scale)
    if weights.image_symbol and symbols is not None:
        losses["image_symbol"] = tree_contrast(images, symbols, mass, shown, questions, scale)
    if weights.classifier and head_logits is not None:
        # A mean over no galaxy is not a number, a sum is 0.
        summed = F.cross_entropy(head_logits, labels, ignore_index=-1, reduction="sum")
        losses["classifier"] = summed / (labels >= 0).sum().clamp(min=1)
    return losses
