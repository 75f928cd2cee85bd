"""Reads typed entries of a JSON object; ValueError names an entry that is missing or of another type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def parse_object(content: bytes) -> Mapping[str, Any]:
    """The JSON object in `content`; ValueError if it is none, or nested too deeply to be read."""
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("its lists or objects are nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, found {describe(found)}")
    return found


def entry(found: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """The entry `name`, which must be there and of the type `kind`."""
    if name not in found:
        raise ValueError(f"{name} is missing")
    value = found[name]
    # JSON's true is an int to Python.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} is {describe(value)}, expected {kind.__name__}")
    return value


def optional(found: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """The entry `name`, or None if it is missing or null."""
    return None if found.get(name) is None else entry(found, name, kind)


def entries(found: Mapping[str, Any], name: str, kind: type[T]) -> list[T]:
    """The list `name`, all of whose items are of the type `kind`; empty if it is missing."""
    items = optional(found, name, list) or []
    return [entry({f"an item of {name}": item}, f"an item of {name}", kind) for item in items]


def scalars(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object `name`, whose values are text, numbers, null, or lists of these."""
    values = entry(found, name, dict)
    for key, value in values.items():
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, list | dict):
                raise ValueError(f"{name}.{key} is {describe(value)}, expected text or a number")
    return values


def describe(value: object) -> str:
    """The first letters of a value."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    return f"{value!r:.40}"
