"""Dated versions of the API. A key speaks the version that was current when it was made; `Rialto-Version` overrides it.

The code knows the newest version alone. An older one is reached by going back through the changes since, the newest
first, each a pure function of an answer; requests go the other way.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from rialto_common.errors import InvalidRequest

Body = dict[str, Any]


class VersionUnknown(InvalidRequest):
    """Rialto-Version names a version that this API does not know."""

    code = "version_unknown"


@dataclass(frozen=True, slots=True)
class Change:
    """What a version changed of one kind of object (its `object`): back for answers, forward for requests."""

    version: str
    kind: str
    down: Callable[[Body], Body]
    up: Callable[[Body], Body]


def _key_down(answer: Body) -> Body:
    """Before 2026-11-01 a new API key's secret was in `key`, and a key had no kind or scopes."""
    newer = {"secret", "kind", "scopes", "api_version"}
    older = {name: value for name, value in answer.items() if name not in newer}
    return older | ({"key": answer["secret"]} if "secret" in answer else {})


def _key_up(request: Body) -> Body:
    """Before 2026-11-01 every key was a secret one."""
    return {"kind": "secret", **request}


OLDEST = "2026-06-01"
CHANGES = (Change("2026-11-01", "api_key", _key_down, _key_up),)
"""In the order of their versions."""

VERSIONS = (OLDEST, *dict.fromkeys(change.version for change in CHANGES))
LATEST = VERSIONS[-1]

CURRENT: ContextVar[str] = ContextVar("api_version", default=LATEST)
"""The version of the request that is being served."""


class AsShown(dict[str, Any]):
    """A part of an answer that is as it is to be shown already: no version changes it any more."""


def known(version: str, param: str = "Rialto-Version") -> str:
    """Return a version that is known.

    Raises: VersionUnknown: with the list of those that are.
    """
    if version not in VERSIONS:
        raise VersionUnknown(
            f"this API knows the versions {', '.join(VERSIONS)}; leave {param} out to use the key's", param=param
        )
    return version


def down(answer: Any, version: str, written: str | None = None) -> Any:
    """Return an answer as a version has it, objects within it too.

    `written` is the version that it is in, the newest where that is not said: what was kept stays as it was written,
    and the changes that came after it have nothing to take back.
    """
    newest = LATEST if written is None else written
    if version >= newest or isinstance(answer, AsShown):
        return answer
    if isinstance(answer, list):
        return [down(item, version, newest) for item in answer]
    if not isinstance(answer, Mapping):
        return answer
    body = {name: down(value, version, newest) for name, value in answer.items()}
    for change in reversed(CHANGES):
        if version < change.version <= newest and body.get("object") == change.kind:
            body = change.down(body)
    return body


def up(kind: str, request: Body, version: str) -> Body:
    """Return a request for an object as the newest version has it."""
    for change in CHANGES:
        if change.version > version and change.kind == kind:
            request = change.up(request)
    return request
