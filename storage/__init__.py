"""Bytes that survive a crash: folders here and on object stores, locks, checksums."""
