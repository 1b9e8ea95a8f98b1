"""Class sheets: what each class of a vocabulary is called, looks like and is said to be."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.symbols.library import SYMBOLS

SCHEMA = Path(__file__).parents[2] / "workflow/schemas/morphology.schema.yaml"


@dataclass(frozen=True)
class VoteStep:
    """A step down the decision tree: at least this share of the votes for ``question/answer``."""

    answer: str
    at_least: float


@dataclass(frozen=True)
class GalaxyClass:
    """One class.

    Attributes
    ----------
    label : as the catalogue writes it.
    name : as figures write it.
    symbols : keys of `library.SYMBOLS`.
    texts : ways to say what a galaxy of this class looks like.
    votes : steps that must all hold; empty where labels do not come from votes.
    """

    label: str
    name: str
    symbols: tuple[str, ...]
    texts: tuple[str, ...]
    votes: tuple[VoteStep, ...]


@dataclass(frozen=True)
class ClassSheet:
    """A vocabulary of morphology; the index of a class is its place in `classes`.

    Attributes
    ----------
    source : where the classes come from.
    classes : in order; where votes make labels, the first whose rule holds wins.
    unclassified : labels of the catalogue that mean no class.
    asked : people that must have been asked at each step of a vote rule; 0 without rules.
    """

    name: str
    source: str
    classes: tuple[GalaxyClass, ...]
    unclassified: tuple[str, ...]
    asked: int

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the classes, in order."""
        return tuple(entry.label for entry in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Display names of the classes, in order."""
        return tuple(entry.name for entry in self.classes)

    @property
    def handed(self) -> bool:
        """Whether the mirror image of some class is another class, so that no galaxy may be flipped."""
        return any(SYMBOLS[symbol].handed for entry in self.classes for symbol in entry.symbols)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for checkpoints."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "ClassSheet":
        """The sheet that `to_dict` wrote, or that a checked file says."""
        return cls(
            name=plain["name"],
            source=plain["source"],
            classes=tuple(
                GalaxyClass(
                    label=entry["label"],
                    name=entry["name"],
                    symbols=tuple(entry["symbols"]),
                    texts=tuple(entry["texts"]),
                    votes=tuple(VoteStep(step["answer"], step["at_least"]) for step in entry.get("votes", ())),
                )
                for entry in plain["classes"]
            ),
            unclassified=tuple(plain.get("unclassified", ())),
            asked=plain.get("asked", 0),
        )


def read_sheet(path: Path) -> ClassSheet:
    """Read and check a class sheet.

    Raises
    ------
    GalaxAlignError
        One sentence that names the file, the class, the key and the cure.
    """
    try:
        plain = yaml.safe_load(path.read_text())
    except OSError as error:
        raise GalaxAlignError(f"class sheet {path} cannot be read ({error.strerror}): correct its path") from error
    except yaml.YAMLError as error:
        raise GalaxAlignError(f"class sheet {path} is not YAML: {' '.join(str(error).split())}; correct it") from error
    _check_form(plain, path)
    sheet = ClassSheet.from_dict(plain)
    _check_meaning(sheet, path)
    return sheet


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _check_form(plain: Any, path: Path) -> None:
    """Keys and types, by the schema."""
    validator = jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text()))
    errors = sorted(validator.iter_errors(plain), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        error = errors[0]
        where = _place(plain, list(error.absolute_path))
        raise GalaxAlignError(f"class sheet {path}{where}: {_complaint(error)}")


def _place(plain: Any, steps: list[str | int]) -> str:
    """The path of an error in words: the class by its label, then the key."""
    words = ""
    if len(steps) > 1 and steps[0] == "classes":
        entry = plain["classes"][steps[1]]
        label = entry.get("label", steps[1]) if isinstance(entry, Mapping) else steps[1]
        words, steps = f", class {label!r}", steps[2:]
    key = ".".join(map(str, steps))
    return f"{words}, key {key!r}" if key else words


def _complaint(error: jsonschema.ValidationError) -> str:
    """What is wrong, and the cure."""
    value: Any = error.instance
    rule: Any = error.validator_value
    schema: Any = error.schema
    meaning = schema.get("description", "a map of keys, see workflow/schemas/morphology.schema.yaml")
    match error.validator:
        case "additionalProperties":
            known = list(schema["properties"])
            unknown = next(str(key) for key in value if key not in known)
            return f"there is no key {unknown!r}: {nearest(unknown, known)}"
        case "required":
            missing = next(key for key in rule if key not in value)
            return f"the key {missing!r} is missing: add it ({schema['properties'][missing]['description']})"
        case "minItems" | "minLength":
            return f"is {value!r}: give at least {rule} ({meaning})"
        case _:
            return f"{error.message}: correct it ({meaning})"


def _check_meaning(sheet: ClassSheet, path: Path) -> None:
    """What a schema cannot see: names that must exist, and be one of a kind."""
    if sheet.name != path.stem:
        raise GalaxAlignError(
            f"class sheet {path}, key 'name': is {sheet.name!r} in a file called {path.name}; give both one name"
        )
    for label, times in Counter([*sheet.labels, *sheet.unclassified]).items():
        if times > 1:
            raise GalaxAlignError(
                f"class sheet {path}, class {label!r}: the label occurs {times} times; "
                "merge those classes or rename all but one"
            )
    for entry in sheet.classes:
        for symbol in entry.symbols:
            if symbol not in SYMBOLS:
                raise GalaxAlignError(
                    f"class sheet {path}, class {entry.label!r}, key 'symbols': there is no symbol {symbol!r}; "
                    f"{nearest(symbol, SYMBOLS)}"
                )
        if entry.votes and not sheet.asked:
            raise GalaxAlignError(
                f"class sheet {path}, class {entry.label!r}, key 'votes': a vote rule needs the sheet's key 'asked', "
                "the number of people that must have been asked; add it"
            )
