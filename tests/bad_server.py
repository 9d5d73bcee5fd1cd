"""An HTTP server that does what bad servers do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 2000
"""512 000 bytes."""


@dataclass
class Server:
    """What the server does, and the `Range` of each request it had."""

    url: str = ""
    content: bytes = CONTENT
    behave: Callable[[BaseHTTPRequestHandler], None] | None = None
    ranges: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def respond(
    request: BaseHTTPRequestHandler, status: int, body: bytes, *, length: int | None = None, **headers: str
) -> None:
    """An answer; `length` larger than the body is a connection that drops."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body) if length is None else length))
    request.end_headers()
    request.wfile.write(body)
    request.close_connection = length is not None and length > len(body)


def start_of(request: BaseHTTPRequestHandler) -> int:
    asked = request.headers.get("Range")
    return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0


def part_from(request: BaseHTTPRequestHandler, content: bytes, upto: int | None = None) -> None:
    """A correct server: 200, 206 or 416; it drops the connection at `upto`."""
    start, size = start_of(request), len(content)
    if start >= size:
        respond(request, 416, b"", Content_Range=f"bytes */{size}")
    elif start:
        where = f"bytes {start}-{size - 1}/{size}"
        respond(request, 206, content[start:upto], length=size - start, Content_Range=where)
    else:
        respond(request, 200, content[:upto], length=size)


@contextmanager
def serving() -> Iterator[Server]:
    """A server of this machine, for as long as the `with` lasts."""
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told.ranges.append(self.headers.get("Range"))
            told.paths.append(self.path)
            if told.behave is None:
                part_from(self, told.content)
            else:
                told.behave(self)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
