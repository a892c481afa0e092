"""A server that answers as a test says, in place of a node."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Answer = tuple[int, Any] | None


class Cut(bytes):
    """An answer that breaks off after these bytes."""


class Fake:
    """`answer(method, path, body)` gives the status and the JSON; none: the connection breaks without an answer."""

    def __init__(self, answer: Callable[[str, str, Any], Answer], cluster: str | None = None) -> None:
        asked: list[tuple[str, str, Any]] = []
        headers: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                text = self.rfile.read(length)
                lines = (self.headers.get("content-type") or "") == "application/x-ndjson"
                body = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text) if text else None
                asked.append((self.command, self.path, body))
                headers.append({name.lower(): value for name, value in self.headers.items()})
                told = answer(self.command, self.path, body)
                if told is None:
                    self.close_connection = True
                    return
                status, value = told
                raw = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw) + isinstance(raw, Cut)))
                if cluster is not None:
                    self.send_header("Forename-Cluster", cluster)
                self.end_headers()
                self.wfile.write(raw)
                self.close_connection |= isinstance(raw, Cut)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

        self.asked, self.headers = asked, headers
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def problem(status: int, kind: str, **more: Any) -> Answer:
    return status, {"type": f"urn:forename:problem:{kind}", "title": kind, "status": status, "detail": kind, **more}


def registration(id: str, status: str = "confirmed") -> dict[str, Any]:
    return {"id": id, "status": status, "owner": "ann", "node": "0" * 16, "stamp": "1.0@" + "0" * 16, "accepted_at": ""}
