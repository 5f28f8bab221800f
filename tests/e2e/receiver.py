"""A merchant's server that takes webhooks and keeps them as they came."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Received:
    """One request: its headers, in lower case, and the body's bytes."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """Listens on loopback. `refuse_first`: how many requests to answer with 500 before taking any."""

    def __init__(self, *, refuse_first: int = 0) -> None:
        self.taken: list[Received] = []
        self.refused: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received = Received({name.lower(): value for name, value in self.headers.items()}, body)
                refuse = len(receiver.refused) < refuse_first
                (receiver.refused if refuse else receiver.taken).append(received)
                self.send_response(500 if refuse else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
