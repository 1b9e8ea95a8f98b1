"""Votes as targets, against their definition one galaxy at a time, and at the limits that are known."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from galaxalign.align.classification import tree_prompts
from galaxalign.align.losses import Weights, class_contrast
from galaxalign.align.votes import TreeTargets, answer_mass, store_mass, tree_contrast, vote_losses
from galaxalign.data.store import read_store
from galaxalign.data.votes import Votes, vote_table, votes_of
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.sheet import read_sheet, read_tree
from tests.conftest import ROOT
from tests.synthetic_results import write_store

# Three questions: all are asked the first, those who said its answer 0 the second, those who did not the third.
QUESTIONS = torch.tensor([0, 0, 0, 1, 1, 2, 2])
# Six rows: answer 0 has two, row 3 shows an answer to each question, answer 4 has no row.
SHOWN = torch.zeros(7, 6, dtype=torch.bool)
SHOWN[[0, 0, 1, 2, 3, 5, 5, 6], [0, 1, 2, 3, 3, 3, 5, 4]] = True
SYMBOL_MASS = SHOWN.T.double()
SCALE = torch.tensor(7.0, dtype=torch.float64)
ONES = Weights(image_text=1.0, symbol_text=1.0, image_symbol=1.0, classifier=1.0)


def unit(rows: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=-1)


def votes(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Fractions (N, A) and people asked (N, Q) along the little tree."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.rand(count, len(QUESTIONS), generator=generator, dtype=torch.float64)
    sums = torch.zeros(count, 3, dtype=torch.float64).index_add(1, QUESTIONS, raw)
    fractions = raw / sums[:, QUESTIONS]
    total = torch.randint(20, 60, (count,), generator=generator).double()
    return fractions, torch.stack([total, total * fractions[:, 0], total * (1 - fractions[:, 0])], 1)


def plain_tree_contrast(a, b, mass, shown, questions, scale):
    """The definition again, one volunteer's answer at a time."""
    n, m, answers = len(a), len(b), len(questions)
    s = [[scale * float(a[i] @ b[j]) for j in range(m)] for i in range(n)]
    rows = {k: [j for j in range(m) if shown[k][j]] for k in range(answers)}
    known = [[not math.isnan(share) for share in row] for row in mass]
    mass = [[0.0 if math.isnan(share) else share for share in row] for row in mass]
    asked = [i for i in range(n) if sum(mass[i]) > 0]
    forward = 0.0
    for i, k in itertools.product(asked, range(answers)):
        if mass[i][k] and rows[k]:
            own = sum(math.exp(s[i][j]) for j in rows[k])
            others = [r for r in range(answers) if questions[r] == questions[k]]
            forward -= mass[i][k] * math.log(own / sum(math.exp(s[i][j]) for r in others for j in rows[r])) / len(asked)
    total = weight = 0.0
    for k in range(answers):
        given = sum(mass[i][k] for i in asked)
        for j in rows[k]:
            if given:
                everybody = math.log(sum(math.exp(s[i][j]) for i in asked if known[i][k]))
                counts = min(1.0, given)
                total += counts * sum(mass[i][k] / given * (everybody - s[i][j]) for i in asked)
                weight += counts
    return (forward + (total / weight if weight else 0.0)) / 2


@pytest.mark.parametrize("silent", [(), (1, 4), (0, 1, 2, 3)])
def test_tree_contrast_is_its_definition(silent):
    a, b = unit(5), unit(6, seed=1)
    fractions, asked = votes(5)
    asked[list(silent)] = 0
    mass = answer_mass(fractions, asked, QUESTIONS)
    mass[2, 3:5], mass[3, 5:], mass[4] = math.nan, math.nan, math.nan
    got = tree_contrast(a, b, mass, SHOWN, QUESTIONS, SCALE)
    want = plain_tree_contrast(a, b, mass.tolist(), SHOWN.tolist(), QUESTIONS.tolist(), 7.0)
    assert got.item() == pytest.approx(want, rel=1e-9)


def test_mass_is_the_share_of_volunteers_who_gave_an_answer():
    fractions = torch.tensor([[0.5, 0.5, math.nan, math.nan], [0.75, 0.25, 0.5, 0.5], [0.5, 0.5, 1.0, 0.0]])
    asked = torch.tensor([[40.0, 0.0], [40.0, 10.0], [0.0, 0.0]])
    mass = answer_mass(fractions, asked, torch.tensor([0, 0, 1, 1]))
    assert mass.tolist() == [[0.5, 0.5, 0, 0], [0.75, 0.25, 0.125, 0.125], [0, 0, 0, 0]]
    asked[1, 1] = math.nan
    assert answer_mass(fractions, asked, torch.tensor([0, 0, 1, 1]))[1].tolist() == [0.75, 0.25, 0, 0]


def walked(*given: str) -> dict[str, float]:
    """Answers with shares above 0 of what is known of something by the answers given, and the questions left open."""
    tree = read_tree(ROOT / "config/morphology/trees/gz2.yaml")
    (shares,) = tree.walked(np.array([[name in given for name in tree.names]]))
    open_questions = {tree.questions[place].name: math.nan for place in tree.question_of[np.isnan(shares)]}
    return {name: share for name, share in zip(tree.names, shares, strict=True) if share > 0} | open_questions


def test_whoever_gives_an_answer_came_to_its_question_and_to_none_that_others_are_asked():
    found = walked("rounded/completely_round", "odd/no")
    assert found == {"smooth_or_features/smooth": 1, "rounded/completely_round": 1, "odd/no": 1}
    found = walked("arms_winding/tight")
    assert {name for name, share in found.items() if share == 1} == {
        "smooth_or_features/features_or_disk", "edgeon/no", "spiral/spiral", "arms_winding/tight",
    }  # fmt: skip
    # Bars, bulges and arms are asked for, and whether it is odd; what was answered is not known.
    unknown = {name for name, share in found.items() if math.isnan(share)}
    assert unknown == {"bar", "bulge_prominence", "odd", "odd_feature", "arms_number"}
    assert walked("smooth_or_features/star_or_artifact") == {"smooth_or_features/star_or_artifact": 1}


def test_who_is_odd_may_be_smooth_or_not():
    found = walked("odd_feature/merger")
    assert found["odd/yes"] == found["odd_feature/merger"] == 1
    assert math.isnan(found["smooth_or_features"])
    assert math.isnan(found["edgeon"])


def test_several_answers_share_those_who_come_to_the_question():
    found = walked("smooth_or_features/smooth", "edgeon/yes", "odd/no")
    assert found["smooth_or_features/smooth"] == found["smooth_or_features/features_or_disk"] == 0.5
    assert found["edgeon/yes"] == 0.5
    assert found["odd/no"] == 1


def test_a_symbol_is_drawn_to_the_text_of_every_answer_on_its_way_and_pushed_from_none_that_is_not_known():
    sheet = read_sheet(ROOT / "config/morphology/gz2.yaml")
    prompts = tree_prompts(sheet, np.zeros((len(sheet.tree.symbols), 8, 8, 3), np.uint8))
    targets = TreeTargets.of(prompts)
    # Equal similarities, so that gradients are what the targets alone say.
    scores = torch.zeros(targets.symbols.shape, dtype=torch.float64, requires_grad=True)
    texts = torch.eye(scores.shape[1], dtype=torch.float64)
    one = torch.tensor(1.0, dtype=torch.float64)
    loss = tree_contrast(scores, texts, targets.symbols, texts.bool(), targets.questions, one)
    (gradient,) = torch.autograd.grad(loss, scores)

    def pull(symbol, answer):
        return -gradient[sheet.tree.symbols.index(symbol), sheet.tree.names.index(answer)].item()

    for symbol in ("smooth", "smooth_round", "smooth_cigar"):
        assert pull(symbol, "smooth_or_features/smooth") > 0
    assert pull("spiral_tight", "spiral/spiral") > 0
    assert pull("spiral_bar", "edgeon/no") > 0
    assert pull("spiral_tight", "rounded/completely_round") < 0
    assert pull("merger", "smooth_or_features/smooth") == 0
    assert pull("smooth_round", "odd/yes") == 0


@pytest.mark.parametrize("class_b", [[0, 1, 2], [0, 0, 1, 2, 2], [2, 1, 0, 3]])
def test_one_question_and_unanimous_votes_are_class_targets(class_b):
    labels, classes = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor(class_b)
    a, b = unit(6).requires_grad_(), unit(len(class_b), seed=1)
    count = int(classes.max()) + 1
    shown = torch.arange(count)[:, None] == classes[None, :]
    mass = F.one_hot(labels, count).double()
    soft = tree_contrast(a, b, mass, shown, torch.zeros(count, dtype=torch.int64), SCALE)
    hard = class_contrast(a, b, labels, classes, SCALE)
    assert soft.item() == pytest.approx(hard.item(), rel=1e-12)
    assert torch.allclose(torch.autograd.grad(soft, a)[0], torch.autograd.grad(hard, a)[0], atol=1e-12)


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_answers_to_each_question_asked():
    fractions, asked = votes(5)
    mass = answer_mass(fractions, asked, QUESTIONS)
    same = unit(1)
    loss = tree_contrast(same.expand(5, -1), same.expand(7, -1), mass, torch.eye(7).bool(), QUESTIONS, SCALE)
    path = (math.log(3) + (asked[:, 1] + asked[:, 2]) / asked[:, 0] * math.log(2)).mean().item()
    # The other way every galaxy is as likely.
    assert loss.item() == pytest.approx((path + math.log(5)) / 2)


def coordinates(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors whose products, times a scale of 1, are `scores` (N, A)."""
    return scores, torch.eye(scores.shape[1], dtype=scores.dtype)


def test_both_directions_are_at_their_floor_and_still_where_scores_are_log_counts():
    fractions, asked = votes(5)
    mass = answer_mass(fractions, asked, QUESTIONS)
    # Counts of answers, up to a factor a question: P(answer | galaxy) and P(galaxy | answer) are both right.
    a, b = coordinates((mass * torch.tensor([2.0, 3.0, 5.0])[QUESTIONS]).log())
    a.requires_grad_()
    loss = tree_contrast(a, b, mass, torch.eye(7).bool(), QUESTIONS, torch.tensor(1.0))
    given = mass / mass.sum(0)
    forward = -(mass * fractions.log()).sum(1).mean()
    counts = mass.sum(0).clamp(max=1)
    backward = -((given * given.log()).sum(0) * counts).sum() / counts.sum()
    assert loss.item() == pytest.approx(((forward + backward) / 2).item())
    assert torch.autograd.grad(loss, a)[0].abs().max() < 1e-12
    # And nowhere lower.
    for seed in range(5):
        other = a.detach() + 0.1 * unit(5, 7, seed=seed)
        assert tree_contrast(other, b, mass, torch.eye(7).bool(), QUESTIONS, torch.tensor(1.0)) > loss


def test_the_gradient_is_what_the_model_expects_less_what_volunteers_say():
    a, b = unit(1).requires_grad_(), unit(7, seed=2)
    fractions, asked = votes(1)
    mass = answer_mass(fractions, asked, QUESTIONS)
    # From one galaxy alone the other direction is 0.
    loss = tree_contrast(a, b, mass, torch.eye(7).bool(), QUESTIONS, SCALE)
    reached = (asked / asked[:, :1])[0]
    want = torch.zeros(8, dtype=torch.float64)
    for question in range(3):
        own = question == QUESTIONS
        model = torch.softmax(SCALE * a.detach()[0] @ b[own].T, 0)
        want += SCALE * reached[question] * ((model - fractions[0, own]) @ b[own])
    assert torch.allclose(torch.autograd.grad(loss, a)[0][0], want / 2)


def test_few_volunteers_are_right_on_average():
    """The mean loss over all ways in which two volunteers may vote is that of the probabilities themselves."""
    a, b = unit(2), unit(4, seed=3)
    questions, shown = torch.tensor([0, 0, 1, 1]), torch.eye(4).bool()
    first, second = 0.3, 0.6
    ways = {(1, 0, 0, 0): first, (0, 1, 1, 0): (1 - first) * second, (0, 1, 0, 1): (1 - first) * (1 - second)}
    expected = torch.tensor([first, 1 - first, (1 - first) * second, (1 - first) * (1 - second)], dtype=torch.float64)
    other = torch.tensor([[0.5, 0.5, 0.2, 0.3]], dtype=torch.float64)

    def forward(mass):
        both = torch.cat([mass[None], other])
        whole = tree_contrast(a, b, both, shown, questions, SCALE)
        # Twice the loss is the sum of directions; the other one is not linear in the votes.
        within = F.log_softmax(SCALE * a @ b.T, 0)
        counts = both.sum(0).clamp(max=1)
        backward = -(((both / both.sum(0)) * within).sum(0) * counts).sum() / counts.sum()
        return 2 * whole - backward

    mean = torch.zeros((), dtype=torch.float64)
    for one, two in itertools.product(ways, ways):
        cast = (torch.tensor(one, dtype=torch.float64) + torch.tensor(two, dtype=torch.float64)) / 2
        mean += ways[one] * ways[two] * forward(cast)
    assert mean.item() == pytest.approx(forward(expected).item())


def test_what_a_store_says_of_each_galaxy(tmp_path):
    sheet = read_sheet(ROOT / "config/morphology/gz2.yaml")
    prompts = tree_prompts(sheet, np.zeros((len(sheet.tree.symbols), 8, 8, 3), np.uint8))
    targets = TreeTargets.of(prompts).to(torch.device("cpu"))
    assert [sheet.tree.names[answer] for answer in np.flatnonzero(targets.rules[1] == 1)] == [
        "smooth_or_features/features_or_disk", "edgeon/no", "bar/bar", "spiral/spiral",
    ]  # fmt: skip
    store = read_store(write_store(tmp_path / "images.h5", galaxies=5))
    with pytest.raises(GalaxAlignError, match="no votes to learn from"):
        store_mass(store, sheet.tree, targets)
    fractions = np.full((5, 37), np.nan, np.float32)
    fractions[0, :3], fractions[0, 16:19] = (0.75, 0.25, 0), (0.5, 0.5, 0)
    asked = np.zeros((5, 11), np.float32)
    asked[0, [0, 6]] = 40, 30
    questions = tuple(question.name for question in sheet.tree.questions)
    found = Votes(fractions, asked, sheet.tree.names, questions)
    store = replace(store, votes=found, label=np.array([0, 1, -1, -1, 0], np.int16))
    mass = store_mass(store, sheet.tree, targets)
    assert mass[0, :3].tolist() == [0.75, 0.25, 0]
    assert mass[0, 16:19].tolist() == [0.375, 0.375, 0]
    assert mass[0].sum() == 1.75
    assert torch.equal(mass[[1, 4]].isnan(), targets.rules[[1, 0]].isnan())
    assert torch.equal(mass[[1, 4]].nan_to_num(), targets.rules[[1, 0]].nan_to_num())
    assert not mass[2:4].any()
    with pytest.raises(GalaxAlignError, match="not for the answers of the decision tree gz2"):
        store_mass(replace(store, votes=replace(found, questions=questions[::-1])), sheet.tree, targets)
    with pytest.raises(GalaxAlignError, match="has votes, but of no galaxy those on 'smooth_or_features'"):
        store_mass(replace(store, votes=replace(found, fractions=np.full_like(fractions, np.nan))), sheet.tree, targets)


def losses(weights: Weights = ONES, **changes) -> dict[str, torch.Tensor]:
    fractions, asked = votes(4)
    given = {
        "mass": answer_mass(fractions, asked, QUESTIONS),
        "questions": QUESTIONS,
        "labels": torch.tensor([0, -1, 1, -1]),
        "images": unit(4),
        "texts": unit(7, seed=4),
        "symbols": unit(6, seed=5),
        "shown": SHOWN,
        "symbol_mass": SYMBOL_MASS,
        "head_logits": torch.zeros(4, 3, dtype=torch.float64),
    } | changes
    return vote_losses(weights=weights, scale=SCALE, **given)


def test_terms_are_those_that_weigh():
    assert set(losses()) == {"image_text", "symbol_text", "image_symbol", "classifier"}
    assert set(losses(Weights(0.0, 0.0, 1.0, 0.0))) == {"image_symbol"}
    assert set(losses(texts=None, head_logits=None)) == {"image_symbol"}


def test_terms_are_tree_contrasts_and_a_head_learns_from_classes_alone():
    got = losses()
    fractions, asked = votes(4)
    mass, text = answer_mass(fractions, asked, QUESTIONS), torch.eye(7).bool()
    u, w, v = unit(4), unit(7, seed=4), unit(6, seed=5)
    assert torch.equal(got["image_text"], tree_contrast(u, w, mass, text, QUESTIONS, SCALE))
    assert torch.equal(got["image_symbol"], tree_contrast(u, v, mass, SHOWN, QUESTIONS, SCALE))
    assert torch.equal(got["symbol_text"], tree_contrast(v, w, SYMBOL_MASS, text, QUESTIONS, SCALE))
    assert got["classifier"].item() == pytest.approx(math.log(3))
    assert losses(labels=torch.full((4,), -1))["classifier"].item() == 0


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_no_number_and_no_gradient_is_lost_where_little_is_known(kind):
    fractions, asked = votes(4)
    asked[1] = 0
    fractions[1] = math.nan
    fractions[2, 3:] = math.nan
    asked[3, 1:] = math.nan
    mass = answer_mass(fractions, asked, QUESTIONS).to(kind)
    for known in (mass, mass[:1], mass[1:2], torch.zeros_like(mass)):
        for shown in (SHOWN, torch.zeros_like(SHOWN)):
            images, symbols = unit(len(known)).to(kind).requires_grad_(), unit(6, seed=5).to(kind).requires_grad_()
            scale = torch.tensor(100.0, dtype=kind, requires_grad=True)
            loss = tree_contrast(images, symbols, known, shown, QUESTIONS, scale)
            loss.backward()
            assert torch.isfinite(loss)
            assert all(torch.isfinite(x.grad).all() for x in (images, symbols, scale))


def test_single_precision_is_enough_at_the_largest_scale():
    fractions, asked = votes(6)
    mass, scale = answer_mass(fractions, asked, QUESTIONS), torch.tensor(100.0)
    a, b = unit(6, width=2), unit(6, width=2, seed=5)
    exact = plain_tree_contrast(a, b, mass.tolist(), SHOWN.tolist(), QUESTIONS.tolist(), 100.0)
    got = tree_contrast(a.float(), b.float(), mass.float(), SHOWN, QUESTIONS, scale)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(exact, rel=1e-5)


def test_a_galaxy_without_votes_changes_nothing():
    fractions, asked = votes(4)
    mass = answer_mass(fractions, asked, QUESTIONS)
    more = torch.cat([mass, torch.zeros(2, 7, dtype=mass.dtype)])
    with_them = tree_contrast(unit(6), unit(6, seed=5), more, SHOWN, QUESTIONS, SCALE)
    without = tree_contrast(unit(6)[:4], unit(6, seed=5), mass, SHOWN, QUESTIONS, SCALE)
    assert with_them.item() == pytest.approx(without.item())


def test_a_volunteer_of_real_galaxies_gives_one_answer_to_each_question(real_data):
    tree = read_tree(ROOT / "config/morphology/trees/gz2.yaml")
    catalogue = pd.read_csv(real_data / "gz2/catalog.csv")
    total = catalogue["total_classifications"].to_numpy(np.float64)
    found = votes_of(vote_table(catalogue, total, tree, "weighted_fraction"))
    questions = torch.from_numpy(tree.question_of)
    mass = answer_mass(torch.from_numpy(found.fractions), torch.from_numpy(found.asked), questions)
    assert torch.isfinite(mass).all()
    given = torch.zeros(len(mass), 11).index_add(1, questions, mass)
    assert torch.allclose(given[:, 0], torch.ones(len(mass)))
    # Who comes to a question gave the answer that leads there.
    for index, question in enumerate(tree.questions):
        if question.leads and question.leads[1]:
            lead = mass[:, tree.names.index(question.leads[0])]
            # Published fractions have three digits.
            assert (given[:, index] <= lead + 2e-3).all()
            # They answer it, but for questions that fewer than one weighted person came to.
            assert torch.allclose(given[:, index], lead, atol=0.03)
