import pytest

from trainers.data.thrift import read_struct, read_varint


def test_integers_booleans_and_structs_are_read_and_texts_skipped():
    # 1: i32 -3; 2: text "ab"; 3: true; 20: struct of 1: i64 300; end. A field's header is its step and its type.
    content = b"\x15\x05" + b"\x18\x02ab" + b"\x11" + b"\x0c\x28" + b"\x16\xd8\x04\x00" + b"\x00" + b"rest"
    found, end = read_struct(b"x" + content, 1)
    assert found.numbers == {1: -3, 3: 1}
    assert found.child(20).numbers == {1: 300}
    assert content[end - 1 :] == b"rest"


def test_a_missing_integer_needs_a_default():
    found, _ = read_struct(b"\x00", 0)
    assert found.number(7, default=1) == 1
    with pytest.raises(IndexError, match="field 7 is missing"):
        found.number(7)


@pytest.mark.parametrize("content", [b"", b"\x15", b"\x15\x80", b"\x19\x00", b"\x1c" * 100])
def test_what_is_cut_off_or_of_another_kind_is_refused(content):
    with pytest.raises(IndexError):
        read_struct(content, 0)


def test_integers_have_seven_bits_a_byte_the_lowest_first():
    assert read_varint(b"\xac\x02", 0) == (300, 2)
