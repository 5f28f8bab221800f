"""Five stand-ins for the services, so that the supervisor can be tested without them: `install(folder)`, then put the
folder on PYTHONPATH. Each serves /readyz on its port; the gateway also makes merchants, wallets and top-ups.
"""

from collections.abc import Iterable
from pathlib import Path

NAMES = ("gateway", "fraud", "compliance", "ledger", "chain_bridge")

_PROGRAM = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = {name!r}
PREFIX = "RIALTO_" + NAME.upper() + "_"
for variable in (PREFIX + "DATABASE_URL", PREFIX + "HTTP_PORT", "RIALTO_SERVICE_TOKEN_SECRET"):
    os.environ[variable]
if os.environ.get("FAKE_BROKEN") == NAME:
    sys.exit("the model file is missing")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {{"status": "ready", "data": [], "bus_url": os.environ["RIALTO_BUS_URL"]}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201, {{"id": NAME + self.path.replace("/", "_"), "keys": {{"test": "sk_test_fake"}}}})

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(os.environ[PREFIX + "HTTP_PORT"])), Handler).serve_forever()
"""


def install(folder: Path, names: Iterable[str] = NAMES) -> Path:
    """Write the stand-ins' packages below a folder, and return it; services not named are the real ones."""
    for name in names:
        package = folder / f"rialto_{name}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(_PROGRAM.format(name=name))
    return folder
