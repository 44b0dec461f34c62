"""The ``iter_*`` methods of a response, which put chunks and decoders together."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from werkzeug.datastructures import Headers
from werkzeug.http import parse_options_header

from pytest_flask_stream.errors import DecodeError

from .base import Decoder
from .charset import check_encoding
from .content import ContentDecoder
from .csv_rows import CSVDecoder
from .driver import Decoding
from .lines import LineDecoder
from .multipart import MultipartDecoder, Part
from .ndjson import NDJSONDecoder
from .part_headers import find_boundary
from .sse import ServerSentEvent, SSEDecoder
from .text import TextDecoder

T = TypeVar("T")


class Decoders:
    """Reads the body as text, lines, NDJSON, CSV, server-sent events or multipart parts.

    Each method gives a lazy iterator of its own that starts at the body's first byte: what was
    delivered is replayed, then further chunks are pulled as they are needed, and none while
    values of the chunks before are left. Keep the iterator to go on. How the body was cut never
    matters.

    A body with a ``Content-Encoding`` of ``gzip`` or ``deflate`` is decoded first;
    byte offsets in errors are those of the decoded body then, chunk numbers those of the chunks.
    After ``disconnect()``, what was delivered of such a body is read, although its coding has not
    ended. Any other content coding, like anything else in the header that makes the body
    unreadable, raises :class:`~pytest_flask_stream.DecodeError` at the call.

    A record that cannot be decoded raises :class:`~pytest_flask_stream.DecodeError` with its
    number, chunk and byte offset; every record before it is given first. An error that ends the
    stream is raised when the iterator comes to it.

    .. versionadded:: 0.1
    """

    if TYPE_CHECKING:
        # The host has them. Defined here, they would hide the host's.
        headers: Headers

        @property
        def mimetype_params(self) -> dict[str, str]:
            """The parameters of the ``Content-Type``."""

    def _iter_chunks(self) -> Iterator[bytes]:
        """Give the chunks from the body's first byte, anew at every call."""
        raise NotImplementedError

    def _has_left(self) -> bool:
        """Say whether the body has ended only because the client left."""
        return False

    def iter_text(self, encoding: str | None = None) -> Iterator[str]:
        """Read text as it becomes decodable: what each chunk adds, never an empty ``str``.

        :param encoding: The name of a charset; ``None`` takes the response's, else UTF-8.
        :raises TypeError: at the call, if ``encoding`` is no ``str``.
        :raises ValueError: at the call, if there is no such charset.
        :raises DecodeError: at the call, if the response's charset is unknown; while reading, for
            bytes that are not of the charset. ``record`` is the number of the chunk and ``offset``
            that of the first bad byte. The iterator is over then.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        if encoding is None:
            encoding = response_charset(self.mimetype_params)
        return self._decoded_by(TextDecoder(encoding))

    def iter_lines(self) -> Iterator[str]:
        r"""Read lines of text, without their ends: ``\n``, ``\r\n`` or ``\r``, and no others.

        A last line without an end counts. The charset is the response's, else UTF-8.

        :raises DecodeError: at the call, if the response's charset is unknown; while reading, for
            a line that is not of the charset. ``record`` is the number of the line and ``offset``
            where it starts. The iterator is over then.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        return self._decoded_by(LineDecoder(response_charset(self.mimetype_params)))

    def iter_ndjson(self) -> Iterator[Any]:
        r"""Read the values of NDJSON / JSON Lines: one JSON text per line, always UTF-8.

        As ``json.loads`` gives them. Blank lines are passed over, and a last line without an end
        counts (https://github.com/ndjson/ndjson-spec, https://jsonlines.org).

        :raises DecodeError: while reading, for a line that is no JSON or no UTF-8. ``record`` is
            the number of the line, blank ones not counted, and ``offset`` where it starts. Ask
            for the next value to go on with the next line.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        return self._decoded_by(NDJSONDecoder())

    def iter_csv(
        self,
        dialect: str | csv.Dialect | type[csv.Dialect] = "excel",
        *,
        encoding: str = "utf-8-sig",
        **fmtparams: str | int | None,
    ) -> Iterator[list[str]]:
        """Read the rows of a CSV body, as ``csv.reader`` gives them, quoted newlines included.

        :param dialect: The name of a registered dialect, or a ``csv.Dialect``.
        :param encoding: The name of a charset; ``utf-8-sig`` is UTF-8 with or without a byte
            order mark. The response's charset is not asked.
        :param fmtparams: What ``csv.reader`` takes: ``delimiter``, ``quotechar``, ``strict`` …
        :raises TypeError: at the call, for an argument of the wrong type or name.
        :raises ValueError: at the call, for an unknown charset or dialect, or a bad parameter.
        :raises DecodeError: while reading, for a row that ``csv.reader`` refuses; ask for the next
            row to go on. Also for a row that is not of the charset; the iterator is over then.
            ``record`` is the number of the row and ``offset`` where it starts.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        return self._decoded_by(CSVDecoder(dialect, encoding=encoding, **fmtparams))

    def iter_sse(self) -> Iterator[ServerSentEvent]:
        """Read server-sent events, by the rules of WHATWG HTML, section 9.2.6.

        Always UTF-8, invalid bytes replaced. Comments, and blocks without data, are no events; an
        event counts once its block has ended.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        return self._decoded_by(SSEDecoder())

    def iter_parts(self) -> Iterator[Part]:
        """Read the parts of a ``multipart/*`` body (RFC 2046), also of MJPEG.

        A part ends where the next delimiter starts. A last part without a delimiter behind it
        counts if it has a ``Content-Length`` and as many bytes are there.

        :raises DecodeError: at the call, if the ``Content-Type`` is not ``multipart/*`` or names
            no boundary; while reading, for a part whose header cannot be read, and at the end of a
            body in which the boundary does not occur. ``record`` is the number of the part and
            ``offset`` where its headers start. The iterator is over then.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        return self._decoded_by(MultipartDecoder(_boundary(self.headers)))

    def _decoded_by(self, decoder: Decoder[T]) -> Iterator[T]:
        __tracebackhide__ = True
        codings = content_codings(self.headers)
        content = ContentDecoder(codings) if codings else None
        return Decoding(self._iter_chunks(), decoder, content=content, left=self._has_left)


def content_codings(headers: Headers) -> str:
    """Give the codings of all ``Content-Encoding`` fields, in the order they were applied."""
    return ",".join(headers.getlist("Content-Encoding"))


def response_charset(mimetype_params: dict[str, str]) -> str:
    """Give the charset that a ``Content-Type`` names, or else UTF-8."""
    __tracebackhide__ = True
    try:
        return check_encoding(mimetype_params.get("charset") or "utf-8")
    except ValueError as error:
        reason = f"the response's charset is unknown: {error}"
        raise _unreadable(reason) from error.with_traceback(None)


def _boundary(headers: Headers) -> str:
    __tracebackhide__ = True
    content_type = headers.get("Content-Type", "")
    if not parse_options_header(content_type)[0].lower().startswith("multipart/"):
        raise _unreadable(f"the response is not multipart: its Content-Type is {content_type!r}")
    boundary = find_boundary(content_type)
    if boundary is None:
        raise _unreadable(f"the Content-Type names no boundary: {content_type!r}")
    return boundary


def _unreadable(reason: str) -> DecodeError:
    return DecodeError(reason, record=0, chunk=0, offset=0)
