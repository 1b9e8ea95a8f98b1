"""Decision trees: the questions volunteers are asked, and how each answer looks and is said."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answer:
    """One answer: ``question/answer``, keys of `library.SYMBOLS` (none if it shows nothing), and texts."""

    name: str
    symbols: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """One question, the answer that leads to it (``question/answer`` or ``not question/answer``) and its answers.

    `after` is None for the first question, which everybody is asked.
    """

    name: str
    after: str | None
    answers: tuple[Answer, ...]

    @property
    def leads(self) -> tuple[str, bool] | None:
        """The answer that leads here, and whether those are asked who gave it (or else those who gave another)."""
        return None if self.after is None else (self.after.removeprefix("not "), not self.after.startswith("not "))


@dataclass(frozen=True)
class DecisionTree:
    """Questions in an order in which each comes after those that lead to it."""

    name: str
    source: str
    questions: tuple[Question, ...]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every answer, question by question; A of them."""
        return tuple(answer for question in self.questions for answer in question.answers)

    @property
    def names(self) -> tuple[str, ...]:
        """``question/answer`` of every answer."""
        return tuple(answer.name for answer in self.answers)

    @property
    def question_of(self) -> NDArray[np.int64]:
        """Index (A,) of the question of each answer."""
        return np.repeat(np.arange(len(self.questions)), [len(question.answers) for question in self.questions])

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of all symbols, each once, in order of appearance; S of them."""
        return tuple(dict.fromkeys(symbol for answer in self.answers for symbol in answer.symbols))

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Whether a symbol shows an answer, (A, S)."""
        return np.array([[symbol in answer.symbols for symbol in self.symbols] for answer in self.answers], bool)

    def walked(self, given: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The shares (N, A) of volunteers who give each answer to things of which some answers are known.

        Everybody gives the answers `given` (N, A), and those that lead to their questions; several answers to one
        question share those who come to it.  Nobody gives an answer to a question that none of them leads to.

        Returns
        -------
        Not a number for the answers to questions that are not known to be asked, or of which the answer is not known.
        """
        own = {question.name: self.question_of == place for place, question in enumerate(self.questions)}
        given = given.copy()
        for question in reversed(self.questions):
            if question.leads is not None and question.leads[1]:
                given[:, self.names.index(question.leads[0])] |= given[:, own[question.name]].any(1)
        shares = np.full(given.shape, np.nan)
        for question in self.questions:
            answers, asked = own[question.name], np.ones(len(given))
            if question.leads is not None:
                lead = self.names.index(question.leads[0])
                others = own[question.leads[0].partition("/")[0]] & (np.arange(len(self.names)) != lead)
                came = shares[:, lead] if question.leads[1] else shares[:, others].sum(1)
                asked = np.where(np.isnan(came), 1.0, came)
                shares[np.ix_(came == 0, answers)] = 0
            known = given[:, answers].any(1) & (asked > 0)
            count = given[known][:, answers].sum(1, keepdims=True)
            shares[np.ix_(known, answers)] = asked[known, None] * given[known][:, answers] / count
        return shares

    def question(self, name: str) -> Question:
        """A question by name; KeyError where there is none."""
        return {question.name: question for question in self.questions}[name]

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "DecisionTree":
        """The tree that a checked file says, whose answers are named within their question."""
        return cls(
            name=plain["name"],
            source=plain["source"],
            questions=tuple(
                Question(
                    name=entry["name"],
                    after=entry.get("after"),
                    answers=tuple(
                        Answer(
                            name=f"{entry['name']}/{answer['name']}",
                            symbols=tuple(answer["symbols"]),
                            texts=tuple(answer["texts"]),
                        )
                        for answer in entry["answers"]
                    ),
                )
                for entry in plain["questions"]
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values as in a file, for JSON and for checkpoints."""
        return {
            "name": self.name,
            "source": self.source,
            "questions": [
                {"name": question.name}
                | ({} if question.after is None else {"after": question.after})
                | {
                    "answers": [
                        {
                            "name": answer.name.partition("/")[2],
                            "symbols": list(answer.symbols),
                            "texts": list(answer.texts),
                        }
                        for answer in question.answers
                    ]
                }
                for question in self.questions
            ],
        }


def complaint_of(tree: DecisionTree) -> str | None:
    """What a schema cannot see is wrong with the questions, or None."""
    before: dict[str, int] = {}
    for place, question in enumerate(tree.questions):
        if question.name in {earlier.name for earlier in tree.questions[:place]}:
            return f"question {question.name!r} occurs twice; rename one"
        if (question.leads is None) != (place == 0):
            return f"question {question.name!r}: the first question, and no other, lacks the key 'after'; correct it"
        if question.leads is not None and question.leads[0] not in before:
            return f"question {question.name!r}, key 'after': {question.leads[0]!r} is no answer of an earlier question"
        for answer in question.answers:
            if answer.name in before:
                return f"answer {answer.name!r} occurs twice; rename one"
            before[answer.name] = place
    if not tree.symbols:
        return "key 'symbols': no answer has a symbol to learn from; give one to those that show something"
    return None
