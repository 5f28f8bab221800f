"""How alike two names are, and why.

A score is explained by what was aligned: each word of the query is paired with at most one word of the listed name,
best pairs first, wherever they stand. A pair is worth its words' weights (rare words say more) times their
similarity. The score is the harmonic mean of how much of the query and how much of the listed name was paired, so
that an unpaired rare word on either side costs, and an unpaired title hardly does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import OSA, JaroWinkler

from rialto_compliance.domain.names import has_no_vowel, skeleton

INITIAL_SIMILARITY = 0.8
JOINED_SIMILARITY = 0.97
PHONETIC_MINIMUM = 0.75
# Arabic and Hebrew spell a word by its consonants: then equal consonants are all the likeness there can be.
VOWELLESS_SIMILARITY = 0.85
_PHONETIC_LENGTH = 3


@dataclass(frozen=True, slots=True)
class Features:
    """Why a hit has its score, in figures that give away neither name."""

    matched_tokens: int
    query_tokens: int
    listed_tokens: int
    extra_tokens: int
    missing_tokens: int
    similarities: tuple[float, ...]
    same_order: bool
    specificity: float
    alias: bool

    def as_figures(self) -> dict[str, float]:
        """Return the features as named numbers: flags as 0 or 1, similarities numbered from the best pair on."""
        figures = {
            "matched_tokens": float(self.matched_tokens),
            "query_tokens": float(self.query_tokens),
            "listed_tokens": float(self.listed_tokens),
            "extra_tokens": float(self.extra_tokens),
            "missing_tokens": float(self.missing_tokens),
            "same_order": float(self.same_order),
            "specificity": self.specificity,
            "alias": float(self.alias),
        }
        figures.update({f"similarity_{rank}": similarity for rank, similarity in enumerate(self.similarities, start=1)})
        return figures


@dataclass(frozen=True, slots=True)
class Hit:
    """A listed entity that the screened name resembles; `score` lies in [0, 1], 1 is the very name."""

    list_id: str
    list_version: str
    entity_id: str
    score: float
    features: Features


@dataclass(frozen=True, slots=True)
class Pair:
    """One alignment: query word(s) against listed word(s); a joined pair has two positions on one side."""

    similarity: float
    weight: float
    query: tuple[int, ...]
    listed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Alignment:
    """The pairs chosen, and the score that follows."""

    score: float
    specificity: float
    pairs: tuple[Pair, ...]


def allowed_edits(length: int) -> int:
    """Return how many typing errors a word of this length may hold and still count as the same word."""
    if length < 4:
        return 0
    return 1 if length < 8 else 2


def token_similarity(left: str, right: str) -> float:
    """Return how alike two words are, in [0, 1]; 0 when they differ by more than typing errors or spelling.

    Damerau's distance or an equal consonant skeleton lets a pair in; Jaro-Winkler grades it, because it forgives late
    errors more than early ones, as readers do.
    """
    if left == right:
        return 1.0
    allowed = allowed_edits(max(len(left), len(right)))
    if allowed and OSA.distance(left, right, score_cutoff=allowed) <= allowed:
        return JaroWinkler.similarity(left, right)
    sound = skeleton(left)
    if len(sound) >= _PHONETIC_LENGTH and sound == skeleton(right):
        similarity = JaroWinkler.similarity(left, right)
        if has_no_vowel(left) or has_no_vowel(right):
            return max(similarity, VOWELLESS_SIMILARITY)
        return similarity if similarity >= PHONETIC_MINIMUM else 0.0
    return 0.0


def align(pairs: list[Pair], query_weights: Sequence[float], listed_weights: Sequence[float]) -> Alignment:
    """Choose pairs greedily, best first, and score them. Ties go to the first positions: give the query's words
    sorted.

    Args: pairs: every admissible pair between the two names. query_weights, listed_weights: one weight per word, > 0.
    """
    query_left = [True] * len(query_weights)
    listed_left = [True] * len(listed_weights)
    chosen: list[Pair] = []
    query_matched = listed_matched = specificity = 0.0
    pairs.sort(key=_preference)
    for pair in pairs:
        if not all(query_left[at] for at in pair.query) or not all(listed_left[at] for at in pair.listed):
            continue
        for at in pair.query:
            query_left[at] = False
            query_matched += pair.similarity * query_weights[at]
        for at in pair.listed:
            listed_left[at] = False
            listed_matched += pair.similarity * listed_weights[at]
        specificity += pair.similarity * pair.weight
        chosen.append(pair)
    covered_query = query_matched / sum(query_weights)
    covered_listed = listed_matched / sum(listed_weights)
    both = covered_query + covered_listed
    score = 2 * covered_query * covered_listed / both if both else 0.0
    # Rounded, so that the very name scores 1 whatever the order its weights were added in.
    return Alignment(round(min(1.0, score), 4), specificity, tuple(chosen))


def _preference(pair: Pair) -> tuple[float, float, tuple[int, ...], tuple[int, ...]]:
    return (-pair.similarity, -pair.weight, pair.query, pair.listed)


def features_of(alignment: Alignment, positions: Sequence[int], listed_tokens: int, *, alias: bool) -> Features:
    """Return the explanation of an alignment.

    Args: positions: where each of the query's words stood in the name as written.
    """
    matched_query = sum(len(pair.query) for pair in alignment.pairs)
    matched_listed = sum(len(pair.listed) for pair in alignment.pairs)
    as_written = sorted(alignment.pairs, key=lambda pair: min(positions[at] for at in pair.query))
    listed_order = [pair.listed[0] for pair in as_written]
    return Features(
        matched_tokens=matched_query,
        query_tokens=len(positions),
        listed_tokens=listed_tokens,
        extra_tokens=len(positions) - matched_query,
        missing_tokens=listed_tokens - matched_listed,
        similarities=tuple(round(pair.similarity, 3) for pair in alignment.pairs),
        same_order=listed_order == sorted(listed_order),
        specificity=round(alignment.specificity, 3),
        alias=alias,
    )


def pairs_between(
    query: Sequence[str], similar: Sequence[Mapping[str, float]], listed: Sequence[str], listed_weights: Sequence[float]
) -> list[Pair]:
    """Return every admissible pair of single words. An initial in the query stands for any word it begins.

    Args: query: the words asked for. similar: per query word, the listed words like it and how alike they are.
    """
    found = []
    for i, word in enumerate(query):
        like = similar[i]
        initial = len(word) == 1
        for j, other in enumerate(listed):
            similarity = like.get(other, 0.0)
            if initial and not similarity and word == other[0]:
                similarity = INITIAL_SIMILARITY
            if similarity:
                found.append(Pair(similarity, listed_weights[j], (i,), (j,)))
    return found
