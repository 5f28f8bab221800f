"""A sanctions list as this service holds it, whichever file it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListedEntity:
    """One listed person, organisation, vessel or aircraft; the first name is the primary, the others aliases."""

    entity_id: str
    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SanctionsList:
    """All entities of one list. `version` is the SHA-256 of its content, so that equal content has equal version."""

    list_id: str
    version: str
    entities: tuple[ListedEntity, ...]

    @classmethod
    def of(cls, list_id: str, entities: Iterable[ListedEntity]) -> SanctionsList:
        """Return the list in order of entity id, with its version."""
        ordered = tuple(sorted(entities, key=lambda entity: entity.entity_id))
        digest = hashlib.sha256()
        for entity in ordered:
            digest.update("\x1f".join((entity.entity_id, entity.kind, *entity.names)).encode())
            digest.update(b"\x1e")
        return cls(list_id, digest.hexdigest(), ordered)

    @property
    def name_count(self) -> int:
        """Names of all entities together, aliases included."""
        return sum(len(entity.names) for entity in self.entities)
