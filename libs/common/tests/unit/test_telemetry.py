"""Logs are one JSON object a line, whoever writes them, and never hold what must not be logged."""

import json
import subprocess
import sys

import pytest

from rialto_common.telemetry import redact

SCRIPT = """
import logging
import structlog
from rialto_common.telemetry import configure_logs

configure_logs("ledger", "INFO")
log = structlog.get_logger()
log.debug("not.shown")
log.info("hold.placed", hold_id="hold_1", payer="Ada", inner={"deep": [{"iban": "GB33BUKB20201555555555"}]})
with structlog.contextvars.bound_contextvars(payment_id="pay_1"):
    log.warning("hold.slow")
try:
    raise KeyError('a "quoted"\\nline')
except KeyError as error:
    log.error("hold.failed", exc_info=error)
logging.getLogger("uvicorn").info("not shown")
logging.getLogger("uvicorn").warning('said "%s"\\nand more', "no")
try:
    raise ValueError("stdlib")
except ValueError:
    logging.getLogger("asyncio").exception("lost")
"""


def test_every_line_is_an_object_with_its_event_level_and_service() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["level"], line["event"], line["service"]) for line in lines] == [
        ("info", "hold.placed", "ledger"),
        ("warning", "hold.slow", "ledger"),
        ("error", "hold.failed", "ledger"),
        ("warning", 'said "no"\nand more', "ledger"),
        ("error", "lost", "ledger"),
    ]
    assert lines[0]["hold_id"] == "hold_1"
    assert lines[1]["payment_id"] == "pay_1"
    assert "KeyError" in lines[2]["exception"]
    assert "ValueError: stdlib" in lines[4]["exception"]
    assert "Ada" not in done.stderr
    assert "GB33" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("field", ["name", "payer", "payee", "Authorization", "secret", "token", "iban", "pan"])
def test_what_must_not_be_logged_is_blanked_at_any_depth(field: str) -> None:
    fields = {"event": "x", field: "clear", "inner": {field: {"deeper": "clear"}}, "list": [({field: "clear"},)]}
    assert "clear" not in str(redact(None, "info", fields))


def test_what_may_be_logged_is_left_alone() -> None:
    fields = {"event": "hold.placed", "amount_minor": 12, "ids": ["a", "b"], "facts": {"currency": "USD"}}
    assert redact(None, "info", dict(fields)) == fields
