"""Every exception of this package, each with its evidence and its own text.

A claim that does not hold is no error of ours but an :class:`AssertionError`, and misuse is a
:class:`TypeError`, a :class:`ValueError` or a ``pytest.UsageError``. What stands here is what
can happen to a *stream*. The texts name the way out, so that a reader of a failing test need
not look anything up; the attributes hold the same facts for a program.
"""

from __future__ import annotations

from typing import Protocol


class Transcript(Protocol):
    """What an error needs of a record: its text."""

    def transcript(self, *, times: bool = True, limit: int | None = None) -> str:
        """Give the record as text."""
        ...


def _with_transcript(text: str, record: Transcript | None) -> str:
    if record is None:
        return text
    lines = record.transcript(limit=3).splitlines()
    return "\n".join([text, *("  " + line for line in lines)])


class StreamError(Exception):
    """The root of everything that can go wrong with a stream.

    ``record`` is the :class:`~pytest_flask_stream.StreamRecord` of the stream, or ``None`` where
    there is none.
    """

    record: object

    def __init__(self, text: str, record: Transcript | None = None) -> None:
        super().__init__(_with_transcript(text, record))
        self.record = record

    def _add_note(self, note: str) -> None:
        """Say more, above the remedy; the same is said once."""
        head, remedy, rest = str(self).partition("  remedy:")
        line = f"  note:    {note}\n"
        if line not in head:
            BaseException.__init__(self, head + line + remedy + rest)


_LET_END = {
    "opening": "let the view return, and nothing else read its body (an after_request function, a"
    " WSGI layer)",
    "pull": "let the generator end or yield; for an endless stream take() what the test needs and"
    " disconnect()",
    "closing": "let the generator end or yield, and its finally, close() and the teardown functions"
    " end",
}


NEVER_TRUE = (
    "start(until=…) never became true; it has to ask for something that the first pull brings about"
)


class StreamTimeout(StreamError, TimeoutError):
    """The app kept the test waiting longer than ``timeout`` on one stream.

    Opening, pulls and closing are added up; the time that the test spends by itself is not
    counted. ``timeout`` and ``waited`` are in seconds, ``activity`` is what the app was doing
    (``"opening"``, ``"pull"`` or ``"closing"``), ``stuck`` is the line it was in, as
    ``file:line  source``, or ``None`` where that cannot be known.
    """

    def __init__(
        self,
        activity: str,
        timeout: float,
        waited: float,
        *,
        stuck: str | None = None,
        note: str | None = None,
        record: Transcript | None = None,
    ) -> None:
        text = f"the app kept the test waiting for {waited:.3f} s, timeout is {timeout:g} s"
        lines = [f"{text} ({activity})"]
        if stuck is not None:
            lines.append(f"  stuck:   {stuck}")
        if note is not None:
            lines.append(f"  note:    {note}")
        lines.append(
            f"  remedy:  {_LET_END[activity]}; where the app may be this slow, raise timeout"
        )
        super().__init__("\n".join(lines), record)
        self.activity = activity
        self.timeout = timeout
        self.waited = waited
        self.stuck = stuck


class EndlessStream(StreamError):
    """A call that reads to the end met more than ``max_chunks`` chunks. The stream stays open.

    ``max_chunks`` is the limit that was passed.
    """

    def __init__(self, max_chunks: int, record: Transcript | None = None) -> None:
        super().__init__(
            f"the stream gave more than max_chunks={max_chunks} chunks and had not ended\n"
            "  remedy:  of an endless stream take(n) or take_until(…) what the test needs, then"
            " disconnect() and claim; for a long one raise max_chunks",
            record,
        )
        self.max_chunks = max_chunks


class StreamClosed(StreamError):
    """A chunk was asked for after ``disconnect()``, a timeout, or the end of the test.

    ``reason`` says after which of them. Also raised for a request of a client that is closed;
    ``record`` is ``None`` then.
    """

    def __init__(self, reason: str, record: Transcript | None = None) -> None:
        refused = "no further chunk can be read"
        remedy = "read before that; what was delivered is in .chunks and read()"
        if record is None:
            refused = "no request can be made"
            remedy = "make it before that, or with another client: make_stream_client()"
        super().__init__(f"{refused}: {reason}\n  remedy:  {remedy}", record)
        self.reason = reason


class ChunksNotKept(StreamError):
    """The body is longer than ``keep_bytes``, and ``wanted`` needs all of it.

    ``wanted`` is the call that does, ``keep_bytes`` the setting.
    """

    def __init__(self, wanted: str, keep_bytes: int, record: Transcript | None = None) -> None:
        super().__init__(
            f"{wanted} needs the whole body, and only its first keep_bytes={keep_bytes} bytes"
            " are kept\n"
            "  remedy:  raise keep_bytes, or look at the chunks as they come: for chunk in stream",
            record,
        )
        self.wanted = wanted
        self.keep_bytes = keep_bytes


class DecodeError(StreamError, ValueError):
    """A record of the body cannot be decoded.

    ``record`` is the number of that record, ``chunk`` that of the chunk in which it starts, and
    ``offset`` the byte of the body at which it starts, all from 0. ``reason`` says what is wrong.
    """

    record: int

    def __init__(self, reason: str, *, record: int, chunk: int, offset: int) -> None:
        super().__init__(f"{reason} (record {record}, chunk {chunk}, byte offset {offset})")
        self.reason = reason
        self.record = record
        self.chunk = chunk
        self.offset = offset


class StreamTruncated(StreamError):
    """The body was cut off on the wire and the app raised nothing.

    ``end`` is how the exchange ended, as in ``wire.end``.
    """

    def __init__(
        self,
        end: str,
        detail: str,
        record: Transcript | None = None,
        *,
        remedy: str | None = None,
    ) -> None:
        remedy = remedy or "see which layer ended the response early: the app raised nothing"
        super().__init__(
            f"the body was cut off on the wire ({end}): {detail}\n  remedy:  {remedy}", record
        )
        self.end = end
        self.detail = detail


class StreamServerError(StreamError):
    """No server could be started, or it did not answer as HTTP says.

    ``reason`` says what went wrong, ``server`` is the name of the server, or ``None`` where it
    has none.
    """

    def __init__(
        self,
        reason: str,
        record: Transcript | None = None,
        *,
        server: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(f"{reason}\n  remedy:  {remedy}" if remedy else reason, record)
        self.reason = reason
        self.server = server
