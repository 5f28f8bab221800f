"""A Merkle tree as in RFC 6962, grown leaf by leaf: it keeps one hash for each whole subtree, so a few dozen."""

from hashlib import sha256


class Tree:
    """The roots of the whole subtrees so far, the largest first; `count` leaves have been added."""

    def __init__(self) -> None:
        self.count = 0
        self._roots: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Add a leaf at the end. As in binary counting, each carry joins two subtrees of one size."""
        node = sha256(b"\0" + data).digest()
        carry = self.count
        while carry & 1:
            node = sha256(b"\1" + self._roots.pop() + node).digest()
            carry >>= 1
        self._roots.append(node)
        self.count += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._roots:
            return sha256(b"").digest()
        *larger, node = self._roots
        for left in reversed(larger):
            node = sha256(b"\1" + left + node).digest()
        return node
