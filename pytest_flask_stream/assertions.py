"""The claims: judgements of a tape, with a way to pull the next chunk.

A claim is about the whole response, whatever was read before. Each first checks its arguments,
then reads as far as it must, which is in :mod:`.reading`, then judges what stands on the tape, so
it can be repeated and gives the same answer. What it says is made in :mod:`.explain`; it is raised
without any help of pytest's, and is the same under ``--assert=plain``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

from . import early, explain, missing
from .arguments import (
    byte_strings,
    check_count,
    count_bounds,
    exception_types,
    listed,
    pattern_of,
)
from .context import missing_context_kind
from .errors import StreamTruncated
from .finding import called
from .reading import Reading
from .search import OrderedSearch

E = TypeVar("E", bound=BaseException)


class Claims(Reading):
    """The ``assert_*`` methods of a response.

    Each raises :class:`AssertionError` where it does not hold, :class:`TypeError` or
    :class:`ValueError` where it is called wrongly, and lets :class:`StreamTimeout` and
    :class:`EndlessStream` pass.
    """

    # Streaming

    def assert_streamed(self) -> None:
        """Claim that the view streams, and that nobody reads its body before the server does.

        Holds when the view handed over an iterator, none of its items was produced before the
        first pull, and the first chunk came without the iterable being read out (one item or none
        excepted). Reads at most one chunk, so it also decides on an endless stream.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        claim = called("assert_streamed")
        self._require_streamed(claim)
        self._require_reading(claim, 1)
        tape = self._tape
        read_out = tape.exhausted_at == 0 and tape.delivered and tape.lead[0] > 1
        if tape.produced_early or read_out:
            self._fail(claim, early.read_early(tape))

    def assert_lazy(self, *, read_ahead: int = 0) -> None:
        """Claim that no more is produced than is asked for.

        Holds when the view streams and, whenever a chunk was handed over, at most as many items
        had been produced as chunks, plus ``read_ahead``. What a generator or a view collects
        before it yields is not seen here. Reads to the end.

        :param read_ahead: Items, at least 0.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        check_count("read_ahead", read_ahead, 0)
        claim = called("assert_lazy", read_ahead=read_ahead or None)
        self._require_streamed(claim)
        self._require_end(claim)
        tape = self._tape
        for indexes, lead in tape.lead.spans(tape.delivered):
            if lead > 1 + read_ahead:
                self._fail(claim, early.not_lazy(tape, indexes[0], read_ahead))

    def assert_complete(self) -> None:
        """Claim that the body came whole.

        Holds when the stream ended by itself, without an error, with as many bytes as its
        ``Content-Length`` declares, if it does (RFC 9110, section 8.6; the responses to ``HEAD``
        and those of status 304 declare the length of a body that they do not have). Reads to the
        end.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        claim = called("assert_complete")
        self._quietly(self._read_out)
        tape = self._tape
        wrong = self._another_length()
        if not (wrong and isinstance(tape.error, StreamTruncated)):  # its cause is the length then
            self._require_no_error(claim)
        if tape.state == "closed" or wrong:
            self._fail(claim, explain.incomplete(tape, self._body), cause=tape.error)

    def _another_length(self) -> bool:
        """Tell whether the app declares another length than it gives, or than arrives."""
        tape = self._tape
        declared = tape.headers.get("Content-Length")
        bodiless = tape.method == "HEAD" or (tape.status or "").startswith("304")
        if declared is None or bodiless:
            return False
        return not declared.strip() == str(self._body.size) == str(tape.body.size)

    # Chunks

    def assert_chunk_count(
        self, n: int | None = None, *, at_least: int | None = None, at_most: int | None = None
    ) -> None:
        """Claim how many chunks there are; empty ones count.

        Reads at most one chunk more than is allowed, so it also decides on an endless stream.

        :param n: Exactly so many, at least 0; without the others.
        :param at_least: At least so many.
        :param at_most: At most so many.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        claim = called(
            "assert_chunk_count",
            *([] if n is None else [n]),
            at_least=at_least,
            at_most=at_most,
        )
        least, most = count_bounds(n, at_least, at_most)
        self._require_reading(claim, least if most is None else most + 1)
        count = len(self._body)
        if count < least:
            self._fail(claim, explain.too_few(self._tape, count, least))
        if most is not None and count > most:
            self._fail(claim, explain.too_many(self._tape, count, most))

    def assert_chunks(self, expected: Iterable[bytes | str]) -> None:
        """Claim exactly these chunks, in this order and with these boundaries, to the end.

        Stops at the first difference, so it also decides on an endless stream.

        :param expected: The chunks; ``str`` means its UTF-8 bytes.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        given = listed("expected", expected)
        chunks = self._arriving(byte_strings("expected", given))
        claim = called("assert_chunks", given)
        body = self._body
        for index, chunk in enumerate(chunks):
            self._require_reading(claim, index + 1)
            if len(body) == index:
                self._fail(claim, explain.too_few(self._tape, index, len(chunks)))
            actual = body.chunk(index, "assert_chunks()")
            if actual != chunk:
                self._fail(claim, explain.different_chunk(self._tape, index, chunk, actual))
        self._require_reading(claim, len(chunks) + 1)
        if len(body) > len(chunks):
            body.chunk(len(chunks), "assert_chunks()")  # what is not kept is not judged
            self._fail(claim, explain.too_many(self._tape, len(body), len(chunks)))

    def assert_order(self, *fragments: bytes | str) -> None:
        """Claim that these fragments occur in the body in this order.

        They do not overlap, anything may stand between them, and each may stretch over several
        chunks. Reads until the last one is found, so it also decides on an endless stream where
        they do occur.

        :param fragments: At least one; ``str`` means its UTF-8 bytes; none is empty.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        wanted = byte_strings("fragments", fragments)
        if not wanted:
            raise TypeError("assert_order() needs at least one fragment")
        if b"" in wanted:
            raise ValueError("an empty fragment occurs everywhere: claim something")
        claim = called("assert_order", *fragments)
        search = OrderedSearch(wanted)
        for chunk in self._arrived_chunks("assert_order()"):
            if search.feed(chunk):
                return
        self._require_no_error(claim)
        self._fail(claim, explain.not_in_order(self._tape, self._body, search))

    # Templates and contexts

    def assert_template_buffering(self, size: int) -> None:
        """Claim that a template is streamed in buffers of so many events.

        Holds when each chunk but the last was made of ``size`` non-empty template events, as
        ``TemplateStream.enable_buffering(size)`` does, and the last of 1 to ``size``. With
        ``size=1``, the unbuffered stream, each event is a chunk of its own, also an empty one. A
        template without output has no chunks, and holds. Reads to the end.

        :param size: Events, at least 1.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        check_count("size", size, 1)
        claim = called("assert_template_buffering", size)
        self._require_end(claim)
        tape = self._tape
        if not tape.templates or not tape.streamed:
            self._fail(claim, explain.no_template(tape, size))
        last = tape.delivered - 1
        for index in range(tape.delivered):
            events, pieces = tape.events[index], tape.pieces[index]
            partly = index == last and 1 <= events < size
            right = pieces == 1 if size == 1 else events == size or partly
            if not right:
                self._fail(claim, explain.not_buffered(tape, size, index, last))

    def assert_request_context(self) -> None:
        """Claim that the request's context was active whenever a chunk was yielded.

        Holds when there is at least one chunk, and the context of this very request was active
        when each was yielded, as ``stream_with_context`` has it. Reads to the end.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        claim = called("assert_request_context")
        self._require_end(claim)
        tape = self._tape
        if not tape.delivered:
            self._fail(claim, explain.no_chunks(tape))
        without = [
            index
            for indexes, (request, _app) in tape.contexts.spans(tape.delivered)
            if not request
            for index in indexes
        ]
        if without:
            self._fail(claim, missing.no_request_context(tape, without))

    def assert_context_error(
        self, kind: Literal["request", "app"] | None = None, *, after: int | None = None
    ) -> RuntimeError:
        """Claim that the stream ends because a Flask context is missing.

        Holds when it ends in the ``RuntimeError`` that Flask raises then, or in an error with
        that one as its ``__cause__``. Reads to the end.

        :param kind: Which context is missing, ``"request"`` or ``"app"``; ``None``: either.
        :param after: How many chunks come before, at least 0.
        :return: Flask's error.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        claim = called("assert_context_error", *([kind] if kind else []), after=after)
        if kind not in (None, "request", "app"):
            raise ValueError(f"kind must be 'request', 'app' or None, not {kind!r}")
        if after is not None:
            check_count("after", after, 0)
        self._read_to_error(RuntimeError)
        tape = self._tape
        found = missing.find_missing_context(tape.error)
        if found is None:
            self._fail(claim, explain.no_context_error(tape), cause=tape.error)
        actual = missing_context_kind(found)
        if kind is not None and actual != kind:
            self._fail(claim, missing.other_context_error(tape, found, kind), cause=found)
        self._require_after(claim, after)
        return found

    def assert_raises(
        self,
        exception_type: type[E] | tuple[type[E], ...],
        *,
        after: int | None = None,
        match: str | None = None,
    ) -> E:
        """Claim that the stream ends in such an exception.

        Reads to the end.

        :param exception_type: What it is an instance of.
        :param after: How many chunks come before, at least 0.
        :param match: A regular expression that is to be found in the exception's text.
        :return: The exception.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        claim = called("assert_raises", exception_type, after=after, match=match)
        types = exception_types(exception_type)
        if after is not None:
            check_count("after", after, 0)
        pattern = pattern_of(match)
        self._read_to_error(*types)
        tape = self._tape
        error = tape.error
        if not isinstance(error, exception_type):
            self._fail(claim, explain.no_such_error(tape, types), cause=error)
        self._require_after(claim, after)
        if pattern is not None and not pattern.search(str(error)):
            self._fail(claim, explain.error_without_match(tape, pattern.pattern), cause=error)
        return error
