"""The claim about records: how a body is cut, seen by its format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from werkzeug.datastructures import Headers

from .assertions import Claims
from .decoders.content import ContentDecoder
from .decoders.mixin import content_codings, response_charset
from .finding import called
from .record_cuts import FORMATS, Cut, RecordCuts, RecordFormat
from .record_findings import Tally, not_one_by_one


class RecordClaims(Claims):
    """The claims of a response, with the one about records."""

    if TYPE_CHECKING:
        # The host has them. Defined here, they would hide the host's.
        headers: Headers

        @property
        def mimetype_params(self) -> dict[str, str]:
            """The parameters of the ``Content-Type``."""

    def assert_one_record_per_chunk(self, format: RecordFormat) -> None:  # noqa: A002
        r"""Claim that each record arrives whole and alone in one chunk.

        So a client has a record as soon as it is made, and nobody behind the view merges or cuts
        what it yields. Empty chunks, and what is no record, are passed over wherever they stand.
        With no chunk it holds. Reads to the end. A body with a ``Content-Encoding`` of ``gzip`` or
        ``deflate`` is judged by what each chunk makes readable.

        :param format: ``"line"``: each line with its end (``\n``, ``\r\n`` or ``\r``), of which
            the last one may lack it, in the response's charset, else UTF-8. ``"ndjson"``: each line
            that is not blank. ``"sse"``: each block of fields with the empty line that ends it;
            comments, and blocks of nothing else, are no records.
        :raises ValueError: for another format.
        :raises DecodeError: if the response's charset or content coding is not known, if the body
            is not coded so, or lacks the byte order mark that its charset wants.
        :raises ChunksNotKept: if the body is longer than ``keep_bytes``.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        if format not in FORMATS:
            known = ", ".join(map(repr, FORMATS))
            raise ValueError(f"format must be one of {known}, not {format!r:.80}")
        encoding = response_charset(self.mimetype_params) if format == "line" else "utf-8"
        codings = content_codings(self.headers)
        content = ContentDecoder(codings) if codings else None
        claim = called("assert_one_record_per_chunk", format)
        self._require_end(claim)
        chunks = self._body.whole("assert_one_record_per_chunk()")
        tally = Tally(_cuts(chunks, content, RecordCuts(format, encoding)))
        if not tally.right:
            self._fail(claim, not_one_by_one(self._tape, format, chunks, tally))


def _cuts(
    chunks: Iterable[bytes], content: ContentDecoder | None, cuts: RecordCuts
) -> Iterator[Cut]:
    __tracebackhide__ = True
    for chunk in chunks:
        yield from cuts.feed(chunk if content is None else b"".join(content.feed(chunk)))
    yield from cuts.end()
