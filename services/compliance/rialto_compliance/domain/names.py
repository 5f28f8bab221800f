"""From a name as somebody wrote it to tokens that can be compared.

Nothing is thrown away: titles, particles and legal forms stay tokens, with a low weight (see `base_weight`), so that
a name made of nothing else can still be found and a name always equals itself.
"""

from __future__ import annotations

import re
import unicodedata

from rialto_compliance.domain.scripts import LETTERS, latin_letter

# Longer input is no name; the cut bounds the work that one payment can cause.
MAXIMUM_CHARACTERS = 400
MAXIMUM_TOKENS = 24

_TITLES = frozenset(
    "mr mrs ms miss mister dr prof professor eng sir lady lord rev sheikh shaykh shaikh sheik cheikh hajj haji "
    "hajji mullah mulla maulavi mawlawi maulana imam ayatollah sayyid general gen colonel col captain capt major "
    "maj lt lieutenant sgt brigadier commander cdr jr sr".split()
)
_PARTICLES = frozenset(
    "al el ul ur as ad an at az ash bin ben ibn bint abd abu abou umm ould wa u i y e de del della di da do dos "
    "das du van von der den la le les lo los las of the and et und for para".split()
)
_LEGAL_FORMS = frozenset(
    "llc ltd limited liability company co corp corporation inc incorporated ooo oao zao pao ao aao jsc pjsc ojsc "
    "cjsc joint stock public private open gmbh ag kg sa sas sarl srl spa bv nv plc kft doo dd ad fze fzc fzco "
    "fzllc cv c v s l r ltda pte pvt pt sdn bhd sirketi anonim ve ticaret sanayi dis society holding group".split()
)
_DIGIT_LOOKALIKES = str.maketrans("015", "ols")
_VOWELS = "aeiouy"
_DIGRAPHS = tuple(
    pair.split(":")
    for pair in (
        "shch:s sch:s tch:c kh:h gh:g sh:s zh:s ch:c ph:f th:t dh:d dj:j ts:s tz:s ck:k x:ks q:k c:k z:s w:v".split()
    )
)
_NOT_LATIN = re.compile(r"[^\x00-\u024f]")
_REPEATED = re.compile(r"(.)\1+")


def normalise(name: str) -> str:
    """Return the name in lower-case Latin letters and digits, its words parted by single spaces.

    Compatibility forms are unified (NFKC, then NFKD), case is folded, other scripts are spelled out where the
    standard library or a small table can, accents and apostrophes go, and every other sign parts words.
    """
    text = unicodedata.normalize("NFKC", name[:MAXIMUM_CHARACTERS]).casefold()
    if not text.isascii():
        text = _to_latin(text)
    else:
        text = text.replace("'", "").replace("`", "")
    words = "".join(character if character.isalnum() else " " for character in text).split()
    return " ".join(_unmask(word) for word in words)


def _to_latin(text: str) -> str:
    text = text.translate(LETTERS)
    if _NOT_LATIN.search(text):
        text = "".join(latin_letter(character) for character in text)
    kept = []
    for character in unicodedata.normalize("NFKD", text):
        category = unicodedata.category(character)
        if category in ("Mn", "Cf"):
            continue
        # Vowel signs of Indic scripts are spacing marks: part of the word, though not "alphanumeric".
        kept.append("a" if category == "Mc" else character)
    return "".join(kept).casefold()


def _unmask(word: str) -> str:
    """Read digits inside a word as the letters they resemble (scanned text: `a1-ali`); pure numbers stay numbers."""
    if word.isalpha() or word.isdigit():
        return word
    return word.translate(_DIGIT_LOOKALIKES)


def tokens(name: str) -> tuple[str, ...]:
    """Return the normalised words of a name, in its order."""
    return tuple(normalise(name).split()[:MAXIMUM_TOKENS])


def base_weight(token: str) -> float:
    """Return how much a word can say about who is meant, before the lists' own frequencies: between 0.05 and 1."""
    if token in _TITLES:
        return 0.05
    if token in _LEGAL_FORMS or token in _PARTICLES:
        return 0.15
    return 0.3 if len(token) == 1 else 1.0


def has_no_vowel(token: str) -> bool:
    """Return whether a word is written in consonants only."""
    return not any(vowel in token for vowel in _VOWELS)


def skeleton(token: str) -> str:
    """Return the consonants of a word, spellings of one sound unified: `mohammed`, `muhamad` and `mhmd` agree.

    A leading vowel is kept as `a`, later vowels and doubled letters fall away.
    """
    sound = token
    for spelling, simple in _DIGRAPHS:
        if spelling in sound:
            sound = sound.replace(spelling, simple)
    head = "a" if sound[0] in _VOWELS else sound[0]
    return _REPEATED.sub(r"\1", head + "".join(letter for letter in sound[1:] if letter not in _VOWELS))
