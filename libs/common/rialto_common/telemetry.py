"""Logs: one JSON object a line, a constant event name plus fields; correlation is bound once per request or batch."""

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from rialto_common.problems import REQUEST_ID

_NEVER_LOGGED = frozenset(
    {"name", "payer", "payee", "authorization", "secret", "token", "key_secret", "iban", "pan", "password"}
)


def configure_logs(service: str, level: str = "INFO") -> None:
    """Send structured logs of this process to stderr; the standard library's loggers (uvicorn) join in from WARNING."""

    def stamp(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        fields["service"] = service
        if (request_id := REQUEST_ID.get()) is not None:
            fields.setdefault("request_id", request_id)
        return fields

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            stamp,
            redact,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(service))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def redact(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank the fields that may hold personal data or secrets, at any depth; a structlog processor."""
    for field, value in fields.items():
        fields[field] = "[redacted]" if field.lower() in _NEVER_LOGGED else _redacted(value)
    return fields


def _redacted(value: object) -> object:
    if isinstance(value, dict):
        return redact(None, "", {str(field): inner for field, inner in value.items()})
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


class _Json(logging.Formatter):
    """The standard library's records as one JSON object a line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        fields = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "service": self._service,
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)
