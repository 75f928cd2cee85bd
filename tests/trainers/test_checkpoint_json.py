import json

import pytest

from trainers.checkpoint_json import DamageError, parse_checkpoint_json, require_intact, to_json


def test_what_was_written_is_intact():
    description = {"digests": {"file": "00"}, "scaler": {}}
    assert require_intact(to_json(description))["digests"] == {"file": "00"}


def test_an_edited_entry_is_damage():
    content = json.loads(to_json({"digests": {}, "test_top1": 61.0}))
    with pytest.raises(DamageError, match="its digest is another"):
        require_intact(json.dumps({**content, "test_top1": 99.0}).encode())


def test_a_file_without_a_digest_is_an_older_one():
    assert require_intact(b'{"digests": {}}') == {"digests": {}}


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"digests": 1}', b"[" * 100_000])
def test_a_file_of_another_shape_is_damage(content):
    with pytest.raises(DamageError):
        require_intact(content)


def test_an_intact_file_without_a_field_names_it():
    with pytest.raises(ValueError, match=r"^origin is missing$"):
        parse_checkpoint_json(to_json({"digests": {}}))
