"""An environ, as the test client builds it, as a request on the wire.

What a request line, headers and a body can say goes over the wire. What they cannot (a user who is
logged in by the server, a scheme that a proxy has ended, whatever a test puts into the environ)
is carried to the app's environ beside it, for the server runs in this process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_SAFE = "/!$&'()*+,:;=@~"
_SAFE_QUERY = _SAFE + "?%"
_ON_THE_WIRE = {"REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "RAW_URI"}
_OF_THE_SERVER = {"SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SCRIPT_NAME"}
_CARRIED_WSGI = {"wsgi.url_scheme"}


class WireRequest(NamedTuple):
    """A request to be sent, and what its environ has beside it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    carried: dict[str, Any]


def wire_request(environ: WSGIEnvironment) -> WireRequest:
    """Make the request of an environ; its body is read."""
    headers = list(_headers(environ))
    body = _body(environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or -1))
    return WireRequest(
        environ["REQUEST_METHOD"], _target(environ), headers, body, _carried(environ)
    )


def _body(stream: IO[bytes], size: int) -> bytes:
    position = stream.tell()
    body = stream.read(size)
    stream.seek(position)  # it is sent once more where the response redirects with 307
    return body


def _target(environ: WSGIEnvironment) -> str:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    target = quote(path.encode("latin-1"), safe=_SAFE) or "/"
    query = environ.get("QUERY_STRING", "")
    return f"{target}?{quote(query.encode('latin-1'), safe=_SAFE_QUERY)}" if query else target


def _headers(environ: WSGIEnvironment) -> Iterator[tuple[str, str]]:
    # A host comes first, by good habit (RFC 9112, section 3.2).
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "localhost")
    yield "Host", host
    for key, value in environ.items():
        if key.startswith("HTTP_") and key != "HTTP_HOST":
            yield key[5:].replace("_", "-").title(), str(value)
    if environ.get("CONTENT_TYPE"):
        yield "Content-Type", environ["CONTENT_TYPE"]
    if "HTTP_TRANSFER_ENCODING" not in environ and environ.get("CONTENT_LENGTH"):
        yield "Content-Length", str(environ["CONTENT_LENGTH"])


def _carried(environ: WSGIEnvironment) -> dict[str, Any]:
    carried = {key: value for key, value in environ.items() if _is_carried(key)}
    if environ.get("SCRIPT_NAME"):
        carried |= {key: environ[key] for key in ("SCRIPT_NAME", "PATH_INFO")}
    if environ.get("wsgi.errors") not in (None, sys.stderr):
        carried["wsgi.errors"] = environ["wsgi.errors"]
    return carried


def _is_carried(key: str) -> bool:
    if key.startswith(("wsgi.", "werkzeug.", "flask.")):
        return key in _CARRIED_WSGI
    sent = key.startswith(("HTTP_", "CONTENT_")) or key in _ON_THE_WIRE
    return not sent and key not in _OF_THE_SERVER
