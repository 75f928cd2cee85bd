import pytest

from results.json_fields import entries, entry, optional, parse_object, scalars


def test_an_object_is_read():
    assert parse_object(b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_json_that_is_nested_too_deeply_is_refused(opening):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_object(opening * 200_000)


@pytest.mark.parametrize("content", [b"[]", b"1", b"null", b'"text"'])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(ValueError, match="expected an object, found"):
        parse_object(content)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_is_a_value_error(content):
    with pytest.raises(ValueError):  # noqa: PT011  json's own words
        parse_object(content)


def test_an_entry_has_its_type():
    found = {"text": "t", "number": 1, "flag": True}
    assert entry(found, "text", str) == "t"
    assert entry(found, "flag", bool) is True
    for name, kind in (("text", int), ("flag", int), ("none", str)):
        with pytest.raises(ValueError, match=f"^{name} is "):
            entry(found, name, kind)


def test_an_optional_entry_may_be_missing_or_null():
    assert optional({}, "a", str) is None
    assert optional({"a": None}, "a", str) is None
    assert optional({"a": "t"}, "a", str) == "t"


def test_the_items_of_a_list_have_one_type():
    assert entries({"a": [1, 2]}, "a", int) == [1, 2]
    assert entries({}, "a", int) == []
    with pytest.raises(ValueError, match="an item of a is 'x', expected int"):
        entries({"a": [1, "x"]}, "a", int)


def test_scalars_are_text_numbers_or_lists_of_these():
    assert scalars({"a": {"b": [1, None], "c": "t"}}, "a") == {"b": [1, None], "c": "t"}
    with pytest.raises(ValueError, match=r"a\.b is a dict, expected text or a number"):
        scalars({"a": {"b": {}}}, "a")
