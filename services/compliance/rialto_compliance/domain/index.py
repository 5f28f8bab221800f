"""Finds the listed names worth comparing with a query, among tens of thousands, in well under 10 ms.

The vocabulary (each distinct listed word once) is searched instead of the names: a query's word yields the listed
words like it, remembered per word, because names are made of few words. Their postings lead to the names. Rare words
come first, and the common ones at the end add no candidates once a name holding only those could not reach the cut-
off any more.
"""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

from rapidfuzz import process
from rapidfuzz.distance import OSA

from rialto_compliance.domain.matching import (
    JOINED_SIMILARITY,
    Alignment,
    Hit,
    Pair,
    align,
    features_of,
    pairs_between,
    token_similarity,
)
from rialto_compliance.domain.names import base_weight, skeleton, tokens
from rialto_compliance.domain.sanctions import ListedEntity, SanctionsList

MAXIMUM_HITS = 10
_JOINED_MINIMUM = 5
# Words of up to this many letters (and common, so of little weight) are not joined with a neighbour.
_MAXIMUM_JOINABLE = 8
_REMEMBERED_WORDS = 20_000
# Scores are rounded to four digits, so one may reach the cut-off from just below.
_ROUNDING = 0.0001
# From this similarity on, a word that no list holds is taken for a spelling of the listed one, and weighs as much.
_SAME_WORD = 0.9


@dataclass(frozen=True, slots=True)
class _ListedName:
    words: tuple[str, ...]
    weights: tuple[float, ...]
    weight: float
    source: SanctionsList
    entity: ListedEntity
    alias: bool


class Index:
    """The lists, ready to be asked. Immutable but for its bounded memories, so a new list means a new index.

    Args: cutoff: the lowest score worth returning. salt: keys the digests under which whole names are remembered, so
    that no name lies in this memory in clear.
    """

    def __init__(
        self, lists: Sequence[SanctionsList], *, cutoff: float, salt: bytes = b"", remembered_names: int = 100_000
    ) -> None:
        self.lists = tuple(lists)
        self.cutoff = cutoff
        self._salt = salt
        self._remembered_names = remembered_names
        self._hits: OrderedDict[bytes, tuple[Hit, ...]] = OrderedDict()
        self._similar: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._names: list[_ListedName] = []
        self._postings: dict[str, list[int]] = defaultdict(list)
        self._joined: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._load()
        self._by_shape: dict[tuple[str, int], list[str]] = defaultdict(list)
        self._by_tail: dict[str, list[str]] = defaultdict(list)
        self._by_skeleton: dict[str, list[str]] = defaultdict(list)
        for word in self._postings:
            self._by_shape[word[0], len(word)].append(word)
            self._by_tail[word[1:]].append(word)
            self._by_skeleton[skeleton(word)].append(word)

    def _load(self) -> None:
        """Number the names, count in how many entities each word stands, and weigh the words by that."""
        rows = []
        entities_with: dict[str, int] = defaultdict(int)
        entity_count = 0
        for source in self.lists:
            for entity in source.entities:
                entity_count += 1
                spelt = dict.fromkeys(filter(None, (tokens(name) for name in entity.names)))
                rows.append((source, entity, tuple(spelt)))
                for word in {word for words in spelt for word in words}:
                    entities_with[word] += 1
        scale = math.log(entity_count + 1.0)
        self._weights = {
            word: base_weight(word) * max(0.1, min(1.0, 1.0 - math.log(count) / scale))
            for word, count in entities_with.items()
        }
        for source, entity, spellings in rows:
            for ordinal, words in enumerate(spellings):
                self._add(source, entity, words, alias=ordinal > 0)

    def _add(self, source: SanctionsList, entity: ListedEntity, words: tuple[str, ...], *, alias: bool) -> None:
        number = len(self._names)
        weights = tuple(self._weights[word] for word in words)
        self._names.append(_ListedName(words, weights, sum(weights), source, entity, alias))
        for word in set(words):
            self._postings[word].append(number)
        for at, (left, right) in enumerate(pairwise(words)):
            if len(left) + len(right) >= _JOINED_MINIMUM:
                self._joined[left + right].append((number, at))

    @property
    def entity_count(self) -> int:
        """Entities over all lists."""
        return sum(len(source.entities) for source in self.lists)

    @property
    def name_count(self) -> int:
        """Distinct spellings over all entities."""
        return len(self._names)

    def remembered(self, name: str) -> tuple[Hit, ...] | None:
        """Return the hits of a name that was screened before and is still remembered, or None."""
        key = self._key(name)
        hits = self._hits.get(key)
        if hits is not None:
            self._hits.move_to_end(key)
        return hits

    def screen(self, name: str) -> tuple[Hit, ...]:
        """Return the entities that the name resembles, best first, at most `MAXIMUM_HITS`; each entity once."""
        hits = self.remembered(name)
        if hits is None:
            hits = self._search(tokens(name))
            self._hits[self._key(name)] = hits
            if len(self._hits) > self._remembered_names:
                self._hits.popitem(last=False)
        return hits

    def _key(self, name: str) -> bytes:
        return blake2b(name.encode(errors="surrogatepass"), digest_size=16, key=self._salt).digest()

    def _search(self, written: tuple[str, ...]) -> tuple[Hit, ...]:
        if not written:
            return ()
        positions = sorted(range(len(written)), key=written.__getitem__)
        query = [written[at] for at in positions]
        similar = [self._similar_words(word) for word in query]
        weights = [self._query_weight(word, like) for word, like in zip(query, similar, strict=True)]
        joined = self._joined_pairs(query)
        best: dict[tuple[str, str], tuple[Alignment, _ListedName]] = {}
        for number in self._candidates(query, similar, weights, joined):
            listed = self._names[number]
            pairs = pairs_between(query, similar, listed.words, listed.weights)
            pairs.extend(joined.get(number, ()))
            alignment = align(pairs, weights, listed.weights)
            if alignment.score < self.cutoff:
                continue
            entity = (listed.source.list_id, listed.entity.entity_id)
            if entity not in best or alignment.score > best[entity][0].score:
                best[entity] = (alignment, listed)
        ranked = sorted(best.items(), key=lambda item: (-item[1][0].score, item[0]))
        return tuple(
            Hit(
                list_id=listed.source.list_id,
                list_version=listed.source.version,
                entity_id=listed.entity.entity_id,
                score=alignment.score,
                features=features_of(alignment, positions, len(listed.words), alias=listed.alias),
            )
            for _, (alignment, listed) in ranked[:MAXIMUM_HITS]
        )

    def _candidates(
        self,
        query: Sequence[str],
        similar: Sequence[dict[str, float]],
        weights: Sequence[float],
        joined: dict[int, list[Pair]],
    ) -> Iterable[int]:
        """Return the names that could reach the cut-off, judged by upper bounds of what may pair on either side."""
        cutoff = self.cutoff - _ROUNDING
        total = sum(weights)
        # A score of c needs at least c / (2 - c) of either side paired (harmonic mean, the other side whole).
        needed = total * cutoff / (2.0 - cutoff)
        reach = self._reach(query, similar, weights, joined, needed)
        initials = {word: weight for word, weight in zip(query, weights, strict=True) if len(word) == 1}
        granted = sum(initials.values())
        alike: set[str] = set().union(*similar)
        for number, reached in reach.items():
            if reached + granted < needed:
                continue
            if number not in joined:
                listed = self._names[number]
                pairable = 0.0
                for word, weight in zip(listed.words, listed.weights, strict=True):
                    if word in alike or word[0] in initials:
                        pairable += weight
                of_query, of_listed = min(1.0, (reached + granted) / total), pairable / listed.weight
                if 2.0 * of_query * of_listed < cutoff * (of_query + of_listed):
                    continue
            yield number

    def _reach(
        self,
        query: Sequence[str],
        similar: Sequence[dict[str, float]],
        weights: Sequence[float],
        joined: dict[int, list[Pair]],
        needed: float,
    ) -> dict[int, float]:
        """Return per name how much of the query's weight its words could pair, initials aside.

        Rare words go first; once the rest together weighs less than what is needed, it opens no more names. Initials go
        last: they pair with words that nobody searched for, so until then they count as what may still come.
        """
        reach = {number: sum(weights[at] for pair in pairs for at in pair.query) for number, pairs in joined.items()}
        remaining = sum(weights)
        for at in sorted(range(len(query)), key=lambda at: (len(query[at]) == 1, -weights[at])):
            opening = remaining >= needed
            weight = weights[at]
            remaining -= weight
            seen: dict[int, float] = {}
            for word, similarity in similar[at].items():
                for number in self._postings[word]:
                    if similarity > seen.get(number, 0.0):
                        seen[number] = similarity
            for number in seen if opening else reach.keys() & seen.keys():
                reach[number] = reach.get(number, 0.0) + seen[number] * weight
        return reach

    def _query_weight(self, word: str, similar: dict[str, float]) -> float:
        """Weigh a word as the lists know it, else as the listed word it resembles most, else as unheard of."""
        known = self._weights.get(word)
        if known is not None:
            return known
        if similar:
            closest = max(similar, key=lambda other: (similar[other], other))
            if similar[closest] >= _SAME_WORD:
                return max(self._weights[closest], 0.5 * base_weight(word))
        return base_weight(word)

    def _similar_words(self, word: str) -> dict[str, float]:
        remembered = self._similar.get(word)
        if remembered is not None:
            self._similar.move_to_end(word)
            return remembered
        found = {other: similarity for other in self._nearby(word) if (similarity := token_similarity(word, other))}
        self._similar[word] = found
        if len(self._similar) > _REMEMBERED_WORDS:
            self._similar.popitem(last=False)
        return found

    def _nearby(self, word: str) -> set[str]:
        """Return listed words that may be like this one: by sound, by few edits, or but for the first letter."""
        near = {word} if word in self._postings else set()
        near.update(self._by_skeleton.get(skeleton(word), ()))
        if len(word) >= 4:
            for length in range(max(4, len(word) - 2), len(word) + 3):
                choices = self._by_shape.get((word[0], length), ())
                near.update(
                    found for found, _, _ in process.extract_iter(word, choices, scorer=OSA.distance, score_cutoff=2)
                )
            # A wrong, missing or added first letter, or the first two swapped.
            for tail in (word[1:], word):
                near.update(self._by_tail.get(tail, ()))
            near.update(self._by_shape_of(word[1:]))
            near.update(self._by_shape_of(word[1] + word[0] + word[2:]))
        return near

    def _by_shape_of(self, word: str) -> tuple[str, ...]:
        return (word,) if word in self._postings else ()

    def _joined_pairs(self, query: Sequence[str]) -> dict[int, list[Pair]]:
        """Return, per listed name, the pairs in which one side wrote two words as one."""
        found: dict[int, list[Pair]] = defaultdict(list)
        for i, word in enumerate(query):
            for number, at in self._joined.get(word, ()):
                listed = self._names[number]
                found[number].append(
                    Pair(JOINED_SIMILARITY, listed.weights[at] + listed.weights[at + 1], (i,), (at, at + 1))
                )
        if len(query) > _MAXIMUM_JOINABLE:
            return found
        for i, left in enumerate(query):
            for j, right in enumerate(query):
                if i == j or len(left) + len(right) < _JOINED_MINIMUM:
                    continue
                for number in self._postings.get(left + right, ()):
                    listed = self._names[number]
                    at = listed.words.index(left + right)
                    both = (min(i, j), max(i, j))
                    found[number].append(Pair(JOINED_SIMILARITY, listed.weights[at], both, (at,)))
        return found
