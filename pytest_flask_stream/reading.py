"""How far a claim reads, and how it fails.

An error that ends the stream is on the tape: it fails every claim that has to read that far, but
the claims that expect it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

from . import explain
from .body import Body
from .errors import StreamTimeout
from .finding import Finding, failure
from .tape import Tape


class Reading:
    """Reads on for a claim, and raises what it has to say."""

    _tape: Tape
    """What the app handed to the server."""
    _body: Body
    """What arrived."""
    _shown_chunks: int | None

    def _advance(self, count: int) -> None:
        """Read on until ``count`` chunks have arrived, or the stream ends."""
        raise NotImplementedError

    def _read_out(self) -> None:
        """Read to the end."""
        raise NotImplementedError

    def _advance_within_limit(self) -> None:
        """Read one more chunk on the way to the end."""
        raise NotImplementedError

    def _require_streamed(self, claim: str) -> None:
        __tracebackhide__ = True
        if not self._tape.streamed:
            self._quietly(self._advance, 1)
            self._fail(claim, explain.not_streamed(self._tape))

    def _require_reading(self, claim: str, count: int) -> None:
        """Read ``count`` chunks; an error that comes first fails the claim."""
        __tracebackhide__ = True
        self._quietly(self._advance, count)
        if len(self._body) < count:
            self._require_no_error(claim)

    def _require_end(self, claim: str) -> None:
        __tracebackhide__ = True
        self._quietly(self._read_out)
        self._require_no_error(claim)

    def _require_no_error(self, claim: str) -> None:
        __tracebackhide__ = True
        error = self._tape.error
        if isinstance(error, StreamTimeout):
            raise error
        if self._tape.state == "failed":
            self._fail(claim, explain.ended_by_error(self._tape), cause=error)

    def _read_to_error(self, *expected: type[BaseException]) -> None:
        __tracebackhide__ = True
        self._quietly(self._read_out, expected=expected)
        if isinstance(self._tape.error, StreamTimeout):
            raise self._tape.error

    def _require_after(self, claim: str, after: int | None) -> None:
        __tracebackhide__ = True
        if after is not None and self._tape.delivered != after:
            self._fail(claim, explain.error_elsewhere(self._tape, after), cause=self._tape.error)

    def _quietly(
        self,
        read: Callable[..., None],
        *args: int,
        expected: tuple[type[BaseException], ...] = (),
    ) -> None:
        """Read; an error of the app's is on the tape then, and the claim judges it."""
        __tracebackhide__ = True
        try:
            read(*args)
        except BaseException as error:
            told = isinstance(error, (Exception, *expected)) and error is self._tape.error
            if not told or isinstance(error, StreamTimeout):
                raise

    def _arriving(self, chunks: list[bytes]) -> list[bytes]:
        """Leave away of what is expected what cannot arrive."""
        return chunks

    def _arrived_chunks(self, wanted: str) -> Iterator[bytes]:
        """Give the chunks from the first one on, reading as far as they are asked for."""
        __tracebackhide__ = True
        index = 0
        while True:
            if index == len(self._body):
                self._quietly(self._advance_within_limit)
                if index == len(self._body):
                    return
            yield self._body.chunk(index, wanted)
            index += 1

    def _fail(
        self, claim: str, finding: Finding, *, cause: BaseException | None = None
    ) -> NoReturn:
        __tracebackhide__ = True
        text = failure(self._tape, claim, finding, self._shown_chunks)
        raise AssertionError(text) from cause
