"""Structs in Thrift's compact protocol, as far as headers of Parquet pages need it: integers, booleans and structs.

Texts and binaries are skipped. The protocol: github.com/apache/thrift, doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TRUE = 1
FALSE = 2
BYTE = 3
INTEGERS = (4, 5, 6)  # of 16, 32 and 64 bits
DOUBLE = 7
BINARY = 8
STRUCT = 12


@dataclass
class ThriftStruct:
    """The integers (booleans as 0 and 1) and structs of a struct, by the identifiers of their fields."""

    numbers: dict[int, int] = field(default_factory=dict)
    structs: dict[int, ThriftStruct] = field(default_factory=dict)

    def number(self, identifier: int, default: int | None = None) -> int:
        """An integer or boolean. IndexError if it is missing and there is no default."""
        value = self.numbers.get(identifier, default)
        if value is None:
            raise IndexError(f"field {identifier} is missing")
        return value

    def child(self, identifier: int) -> ThriftStruct:
        """A struct within this one; an empty one if it is missing."""
        return self.structs.get(identifier, ThriftStruct())


def read_struct(content: bytes | memoryview, position: int) -> tuple[ThriftStruct, int]:
    """The struct that begins at `position`, and where it ends. IndexError if it is cut off or of another protocol."""
    reader = _Reader(content, position)
    return reader.read_struct(), reader.position


def read_varint(content: bytes | memoryview, position: int) -> tuple[int, int]:
    """The unsigned integer of variable length that begins at `position`, and where it ends."""
    number = 0
    shift = 0
    byte = 0x80
    while byte & 0x80:
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
    return number, position


class _Reader:
    def __init__(self, content: bytes | memoryview, position: int) -> None:
        self.content = content
        self.position = position

    def read_struct(self, depth: int = 0) -> ThriftStruct:
        if depth > 8:  # headers of pages have 3
            raise IndexError("structs within structs")
        found = ThriftStruct()
        identifier = 0
        header = self._byte()
        while header:
            step = header >> 4
            identifier = identifier + step if step else self._signed()
            kind = header & 15
            if kind == STRUCT:
                found.structs[identifier] = self.read_struct(depth + 1)
            else:
                self._read_scalar(found, identifier, kind)
            header = self._byte()
        return found

    def _read_scalar(self, found: ThriftStruct, identifier: int, kind: int) -> None:
        if kind in (TRUE, FALSE):
            found.numbers[identifier] = int(kind == TRUE)
        elif kind == BYTE:
            found.numbers[identifier] = self._byte()
        elif kind in INTEGERS:
            found.numbers[identifier] = self._signed()
        elif kind == DOUBLE:
            self.position += 8
        elif kind == BINARY:
            size = self._unsigned()
            self.position += size
        else:
            raise IndexError(f"type {kind} in the header of a page")

    def _byte(self) -> int:
        byte = self.content[self.position]
        self.position += 1
        return byte

    def _unsigned(self) -> int:
        number, self.position = read_varint(self.content, self.position)
        return number

    def _signed(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)
