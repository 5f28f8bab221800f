# ruff: noqa: RUF001 - letters that look alike are what these tables are about
"""Tables that carry other scripts into Latin letters, one letter at a time.

They follow the romanisation that sanctions lists use most (BGN/PCGN simplified for Cyrillic and Arabic, Revised
Romanisation for Hangul), because a query is only as good as its likeness to the spelling on the list. Arabic and
Hebrew write no short vowels; the consonant skeleton in `names` bridges that. Han characters stay as they are: the
standard library holds no readings for them.
"""

from __future__ import annotations

import unicodedata


def _table(pairs: str) -> dict[str, str]:
    """Read `letter:latin` pairs; nothing after the colon means that the letter is silent."""
    return dict(pair.split(":") for pair in pairs.split())


def _sounds(sounds: str) -> tuple[str, ...]:
    """Read a row of sounds; a dash is none."""
    return tuple(sound.replace("-", "") for sound in sounds.split())


_CYRILLIC = _table(
    "а:a б:b в:v г:g ґ:g д:d ђ:dj е:e ё:e є:ye ж:zh з:z и:i і:i ї:yi й:y ј:j к:k л:l љ:lj м:m н:n њ:nj о:o п:p р:r "
    "с:s т:t ћ:c у:u ў:u ф:f х:kh ц:ts ч:ch џ:dz ш:sh щ:shch ъ: ы:y ь: э:e ю:yu я:ya қ:q ғ:gh ү:u ұ:u ө:o ң:ng ә:a "
    "һ:h"
)
_GREEK = _table(
    "α:a β:v γ:g δ:d ε:e ζ:z η:i θ:th ι:i κ:k λ:l μ:m ν:n ξ:x ο:o π:p ρ:r σ:s ς:s τ:t υ:y φ:f χ:ch ψ:ps ω:o"
)
_ARABIC = _table(
    "ا:a أ:a إ:i آ:a ٱ:a ء: ئ:i ؤ:u ب:b پ:p ت:t ث:th ج:j چ:ch ح:h خ:kh د:d ذ:dh ر:r ز:z ژ:zh س:s ش:sh ص:s ض:d ط:t "
    "ظ:z ع:a غ:gh ف:f ق:q ک:k ك:k گ:g ل:l م:m ن:n ه:h ة:a و:u ي:i ی:i ى:a ـ:"
)
_HEBREW = _table(
    "א:a ב:b ג:g ד:d ה:h ו:v ז:z ח:h ט:t י:y כ:k ך:k ל:l מ:m ם:m נ:n ן:n ס:s ע:a פ:p ף:f צ:ts ץ:ts ק:k ר:r ש:sh ת:t"
)
# Latin letters that NFKD leaves whole, because Unicode counts the stroke or the joining as part of the letter.
_LATIN = _table("ø:o ł:l đ:d ð:d þ:th æ:ae œ:oe ı:i ħ:h ŋ:n ə:a ƒ:f ŧ:t")
# Marks that stand inside a word and are no letter: apostrophes, primes, the Arabic half-ring, the ayin.
_SILENT = dict.fromkeys("'`´’‘ʼʻʾʿʹʺ′", "")

_TABLES = (_CYRILLIC, _GREEK, _ARABIC, _HEBREW, _LATIN, _SILENT)
LETTERS = {ord(letter): latin for table in _TABLES for letter, latin in table.items()}

_HANGUL_FIRST, _HANGUL_LAST = 0xAC00, 0xD7A3
_LEADS = _sounds("g kk n d tt r m b pp s ss - j jj ch k t p h")
_VOWELS = _sounds("a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i")
_TAILS = _sounds("- k k k n n n t l k m l l l l l m p p t t ng t t k t p t")


def latin_letter(character: str) -> str:
    """Return the Latin spelling of one Hangul syllable or kana; any other character comes back unchanged."""
    code = ord(character)
    if _HANGUL_FIRST <= code <= _HANGUL_LAST:
        syllable = code - _HANGUL_FIRST
        return _LEADS[syllable // 588] + _VOWELS[syllable % 588 // 28] + _TAILS[syllable % 28]
    if 0x3041 <= code <= 0x30FA:
        # Unicode names a kana by its reading: HIRAGANA LETTER SA, KATAKANA LETTER SMALL TU.
        return unicodedata.name(character, "").rpartition(" ")[2].lower() or character
    return character
