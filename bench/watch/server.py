"""The local server of `bench watch`: for this machine, GET alone, nothing but a page, its data and sample grids."""

from __future__ import annotations

import json
import re
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.errors import BenchError
from bench.watch.state import WatchedStudy

ADDRESS = "127.0.0.1"
# Any port: an ssh tunnel has another at its other end. A page of another site, whose name was made to point here (DNS
# rebinding), sends that name.
_OWN_HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
_STATIC = {
    "/": ("watch.html", "text/html; charset=utf-8"),
    "/watch.css": ("watch.css", "text/css; charset=utf-8"),
    "/watch.js": ("watch.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CURVES = re.compile(r"/curves/(\d{1,6})\.json")
_GRID = re.compile(r"/samples/(\d{1,6})/(\d{1,12})\.png")


class WatchServer(ThreadingHTTPServer):
    """Serves one study at `url` once `serve_forever` is called. Raises BenchError where the port is taken."""

    daemon_threads = True

    def __init__(self, study: WatchedStudy, port: int = 0) -> None:
        self.study = study
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise BenchError(
                f"Port {port} of {ADDRESS} cannot be used: {error.strerror or error}",
                hint="Leave out --port: a free one is found.",
            ) from error

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Say nothing: a browser that closes a connection early is no error, and the terminal is the user's."""


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    server_version, sys_version = "bench", ""
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that an idle connection is kept

    def do_GET(self) -> None:
        if not _OWN_HOSTS.fullmatch(self.headers.get("Host", "")) or self._is_asked_by_another_site():
            self._send(HTTPStatus.FORBIDDEN, b"bench watch answers this machine alone\n", "text/plain")
            return
        found = self._find(*urlsplit(self.path)[2:4])
        if found is None:
            self._send(HTTPStatus.NOT_FOUND, b"There is no such page\n", "text/plain")
        else:
            self._send(HTTPStatus.OK, *found)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: a page asks every two seconds."""

    def _is_asked_by_another_site(self) -> bool:
        """Tell whether a page of another site asks, say for a grid as its picture; a followed link is none."""
        site, mode = self.headers.get("Sec-Fetch-Site", "none"), self.headers.get("Sec-Fetch-Mode", "navigate")
        return site not in ("none", "same-origin") and mode != "navigate"

    def _find(self, path: str, query: str) -> tuple[bytes, str] | None:
        """Return the content at a path and its type. No part of it is ever taken for the name of a file."""
        study = self.server.study
        if path in _STATIC:
            name, kind = _STATIC[path]
            return files("bench.watch").joinpath("static", name).read_bytes(), kind
        if path == "/study.json":
            asked = parse_qs(query)
            try:
                return _as_json(study.changes(_number(asked, "since", 0), _number(asked, "generation", -1)))
            except BenchError as error:  # the plan cannot be read
                return _as_json({"study": study.name, "error": error.message})
        if (match := _CURVES.fullmatch(path)) and (curves := study.curves(int(match[1]))) is not None:
            return _as_json(curves)
        if (match := _GRID.fullmatch(path)) and (grid := study.grid(int(match[1]), int(match[2]))) is not None:
            return grid, "image/png"
        return None

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _as_json(value: Any) -> tuple[bytes, str]:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="replace"), "application/json"


def _number(asked: dict[str, list[str]], name: str, otherwise: int) -> int:
    text = asked.get(name, [""])[0]
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else otherwise
