"""Numbers for rows, as other catalogues have them: the same as long as its row is, whatever other rows come and go."""

import hashlib

_LARGEST = 2**31 - 1
"""A number must fit a whole number of 32 bits, which is what other programs keep it in."""


class RowIds:
    """The numbers of the rows of one kind in one table.

    A number is made of the row's natural key, so that every node and every publication makes the same one. Only where
    two keys of a table meet in one number does the later row get the next free one.
    """

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def number(self, *key: str) -> int:
        """From 1; the row's natural key is `key`."""
        digest = hashlib.sha256("\n".join(key).encode()).digest()
        number = int.from_bytes(digest[:8]) % _LARGEST + 1
        while number in self._taken:
            number = number % _LARGEST + 1
        self._taken.add(number)
        return number
