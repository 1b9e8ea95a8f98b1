"""What a JSON schema finds wrong with settings, as a sentence with the cure."""

import math
from typing import Any

import jsonschema

from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.settings import Settings

# What YAML calls the types of a JSON schema.
YAML = {"object": "map", "array": "list"}


def _is_whole(_: Any, value: Any) -> bool:
    """Whether a value is an integer to Python; JSON schemas call 2.0 one, which counts and indexes nothing."""
    return isinstance(value, int) and not isinstance(value, bool)


Validator = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)


def check_against(value: Any, part: Settings, schema: Settings, where: str) -> None:
    """A value is as a part of a schema, whose ``$defs`` it may use, wants it; `where` is the value's key.

    Raises `GalaxAlignError`, with the first thing that is wrong.
    """
    validator = Validator({**part, "$defs": schema["$defs"]})
    errors = sorted(validator.iter_errors(value), key=lambda error: (list(map(str, error.path)), error.message))
    if errors:
        raise GalaxAlignError(_sentence(_deepest(errors[0]), where))


def _deepest(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of alternatives that all fail, the complaint of the one that came furthest."""
    while error.context:
        error = max(error.context, key=lambda inner: (len(inner.path), inner.validator != "type"))
    return error


def _sentence(error: Any, where: str) -> str:
    key = ".".join(filter(None, [where, *map(str, error.absolute_path)])) or "the configuration"
    value, rule = error.instance, error.validator_value
    meaning = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    cure = f" ({meaning.rstrip('.')})" if meaning else ""
    prefix = "" if key == "the configuration" else f"{key}."
    match error.validator:
        case "additionalProperties":
            known = list(error.schema.get("properties", {}))
            unknown = next(name for name in value if name not in known)
            return f"unknown key '{prefix}{unknown}': {nearest(str(unknown), known)}"
        case "required" | "dependentRequired":
            wanted = rule if error.validator == "required" else [name for key in value for name in rule.get(key, [])]
            missing = next(name for name in wanted if name not in value)
            example = "config/README.md" if key.startswith("datasets.") else "config/config.yaml"
            return f"missing key '{prefix}{missing}': add it, {example} shows how{cure}"
        case "enum":
            return f"'{key}' is {value!r}: it must be one of {', '.join(map(str, rule))}{cure}"
        case "type":
            wanted = " or ".join(rule) if isinstance(rule, list) else YAML.get(rule, rule)
            hint = _hint(value) if {"number", "integer"} & set(wanted.split()) else ""
            return f"'{key}' is {value!r}: it must be of type {wanted}{hint}{cure}"
        case "const":
            form = "or of another form that config/README.md names"
            return f"'{key}' is {value!r}: it must be {rule!r}, {form}{_hint(value)}{cure}"
        case "minProperties" | "maxProperties":
            count = "exactly one key" if "maxProperties" in error.schema else "a key"
            return f"'{key}' must have {count}{cure}"
        case _:
            return f"'{key}' is {value!r}: {error.message}{cure}"


def _hint(value: Any) -> str:
    """How to write a number that is text to YAML, or a whole one that is not written as such."""
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    if number.is_integer():
        return f"; write {int(number)}" + (" in a configuration file, without quotes" if isinstance(value, str) else "")
    if isinstance(value, str) and math.isfinite(number):
        return (
            "; write it in a configuration file, without quotes and, where it has an exponent, with a decimal point "
            "and a sign: 1.0e-5, 1.0e+3"
        )
    return ""
