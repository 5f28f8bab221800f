"""Merkle trees as in RFC 6962: leaves and nodes hashed apart, any number of leaves.

Level by level, two neighbours become a node and an odd one at the end moves up as it is, which gives the RFC's tree.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

_LEAF = b"\x00"
_NODE = b"\x01"


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the tree's root; without leaves it is the hash of nothing."""
    level = [_leaf(data) for data in leaves]
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else sha256().digest()


def path(leaves: Iterable[bytes], index: int) -> tuple[bytes, ...]:
    """Return the hashes that, joined to the leaf at `index`, give the root; the leaf's neighbour first."""
    level = [_leaf(data) for data in leaves]
    hashes = []
    while len(level) > 1:
        neighbour = index ^ 1
        if neighbour < len(level):
            hashes.append(level[neighbour])
        level, index = _above(level), index // 2
    return tuple(hashes)


def root_of_path(data: bytes, index: int, size: int, hashes: Iterable[bytes]) -> bytes | None:
    """Return the root that a path leads to, from the leaf `data` at `index` of a tree with `size` leaves.

    None when there is no such leaf, or the path is longer or shorter than that leaf's.
    """
    if not 0 <= index < size:
        return None
    rest = iter(hashes)
    node = _leaf(data)
    while size > 1:
        if index % 2 or index + 1 < size:
            neighbour = next(rest, None)
            if neighbour is None:
                return None
            node = _node(neighbour, node) if index % 2 else _node(node, neighbour)
        index, size = index // 2, (size + 1) // 2
    return node if next(rest, None) is None else None


def _above(level: Sequence[bytes]) -> list[bytes]:
    nodes = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*nodes, level[-1]] if len(level) % 2 else nodes


def _leaf(data: bytes) -> bytes:
    return sha256(_LEAF + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()
