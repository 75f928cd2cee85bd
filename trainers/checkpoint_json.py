"""The JSON of checkpoints and exports: written here, and checked field by field with pydantic before it is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from storage.digest import digest
from trainers.metadata import CheckpointMetadata
from trainers.trial_task import EpochMetrics

Layout = TypeVar("Layout")


class DamageError(ValueError):
    """A file is not as it was written."""


@dataclass(frozen=True)
class CheckpointJson:
    """A checkpoint's trainer.json: everything but the tensors, and the digests of their files."""

    metadata: Annotated[CheckpointMetadata, Field(alias="origin")]
    history: Annotated[tuple[EpochMetrics, ...], Field(min_length=1)]
    digests: dict[str, str]  # of the other files, by name
    optimizer: dict[str, Any]  # what of the optimizer's state is no tensor
    scaler: dict[str, Any]
    test_top1: FiniteFloat | None = None
    ema_test_top1: FiniteFloat | None = None


def to_json(description: Mapping[str, Any]) -> bytes:
    """The content of a trainer.json; it gets a digest of its own."""
    return json.dumps({**description, "digest": _digest_of(description)}).encode()


def parse_checkpoint_json(content: bytes) -> CheckpointJson:
    """The content of a trainer.json. DamageError if it is not as it was written.

    ValueError names the field if it is intact but wrong: another version of this code wrote it.
    """
    require_intact(content)
    return parse_json(CheckpointJson, content)


def require_intact(content: bytes) -> dict[str, Any]:
    """The entries of a trainer.json. DamageError unless it has its own digest; older ones have none, and pass."""
    try:
        description = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamageError("it is no JSON") from error
    if not isinstance(description, dict) or not isinstance(description.get("digests"), dict):
        raise DamageError("digests is missing")
    if description.get("digest") not in (None, _digest_of(description)):
        raise DamageError("its digest is another")
    return description


def parse_json(layout: type[Layout], content: bytes) -> Layout:
    """The JSON as this dataclass. ValueError names the first field that is wrong, its value and what is expected."""
    try:
        return TypeAdapter(layout).validate_json(content, strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"]) or "the file"
        if problem["type"] == "missing":
            message = f"{field} is missing"
        else:
            message = f"{field} is {problem['input']!r:.60}: {problem['msg']}"
        raise ValueError(message) from error


def _digest_of(description: Mapping[str, Any]) -> str:
    """The digest of all entries but the digest itself."""
    others = {name: value for name, value in description.items() if name != "digest"}
    return digest(json.dumps(others).encode())
