"""`expand[]`: objects in place of their ids, where an endpoint offers it."""

from collections.abc import Collection, Sequence

from rialto_common.errors import InvalidRequest

MOST_PATHS = 10


class ExpandInvalid(InvalidRequest):
    """Not a path that this endpoint can expand."""

    code = "expand_invalid"


def read_expand(paths: Sequence[str], offered: Collection[str]) -> frozenset[str]:
    """Return what is to be expanded. What is offered is written out, so that no path leads any deeper.

    Raises: ExpandInvalid: a path that is not offered, or more than MOST_PATHS.
    """
    if len(paths) > MOST_PATHS:
        raise ExpandInvalid(f"at most {MOST_PATHS} paths can be expanded at once", param="expand[]")
    for path in paths:
        if path not in offered:
            raise ExpandInvalid(
                f"'{path[:60]}' cannot be expanded here; {', '.join(sorted(offered))} can", param="expand[]"
            )
    return frozenset(paths)
