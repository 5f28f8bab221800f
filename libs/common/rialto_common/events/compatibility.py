"""Whether a new version of an event's JSON Schema breaks the consumers of an older one.

Within a `v1` only optional fields may be added, at any depth. Everything else is a break for someone: an old consumer
cannot read a new enum value or a missing field, and a new one finds no new required field in events of yesterday.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

# What tells people something and readers of data nothing.
_FOR_PEOPLE = frozenset({"$id", "$schema", "$defs", "title", "description", "default", "examples"})


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Return a line for each change from `old` to `new` that is more than an optional field; empty when none is."""
    return list(_compare("", old, new, old, new))


def _compare(path: str, old: Any, new: Any, old_root: Schema, new_root: Schema) -> Iterator[str]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _compare_schemas(path, old, new, old_root, new_root)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _compare(f"{path}/{index}", before, after, old_root, new_root)
    elif old != new:
        yield f"{path or '/'} was {old!r} and is {new!r}"


def _compare_schemas(path: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema) -> Iterator[str]:
    for word in sorted((old.keys() | new.keys()) - _FOR_PEOPLE - {"properties", "required"}):
        if word not in old or word not in new:
            yield f"{path}/{word} was {old.get(word)!r} and is {new.get(word)!r}"
        else:
            yield from _compare(f"{path}/{word}", old[word], new[word], old_root, new_root)
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name in after:
            yield from _compare(f"{path}/{name}", before[name], after[name], old_root, new_root)
        else:
            yield f"{path}/{name} is gone"
    was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(was_required & after.keys() - is_required):
        yield f"{path}/{name} is no longer always there"
    for name in sorted(is_required - was_required):
        yield f"{path}/{name} is now required"


def _resolved(schema: Any, root: Schema) -> Any:
    if isinstance(schema, Mapping) and "$ref" in schema:
        return root["$defs"][str(schema["$ref"]).removeprefix("#/$defs/")]
    return schema
