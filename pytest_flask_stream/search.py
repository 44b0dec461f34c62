"""Finds fragments in a body that arrives in chunks. Sans-I/O: bytes in, positions out.

Taking each fragment at the first place after the one before finds an order where there is one, so
nothing is ever looked at twice. Of what was searched only as much is held as may be the beginning
of a fragment that the next chunk goes on with.
"""

from __future__ import annotations

from collections.abc import Sequence


class OrderedSearch:
    """Looks for fragments that follow each other and do not overlap."""

    def __init__(self, fragments: Sequence[bytes]) -> None:
        self.fragments = fragments
        self.found: list[int] = []
        """Where each fragment found so far begins, in bytes of the body."""
        self._held = b""
        self._offset = 0

    def feed(self, chunk: bytes) -> bool:
        """Search the next chunk; tell whether every fragment is found by now."""
        held = self._held + chunk
        while len(self.found) < len(self.fragments):
            fragment = self.fragments[len(self.found)]
            index = held.find(fragment)
            if index < 0:
                held = self._hold(held, len(held) - len(fragment) + 1)
                break
            self.found.append(self._offset + index)
            held = self._hold(held, index + len(fragment))
        done = len(self.found) == len(self.fragments)
        self._held = b"" if done else held
        return done

    def _hold(self, held: bytes, start: int) -> bytes:
        start = max(0, start)
        self._offset += start
        return held[start:]


class Needle:
    """Looks for one fragment; it may stretch over chunks."""

    def __init__(self, fragment: bytes) -> None:
        self._search = OrderedSearch([fragment])

    def __call__(self, chunk: bytes) -> bool:
        """Search the next chunk; tell whether the fragment is found by now."""
        return self._search.feed(chunk)
