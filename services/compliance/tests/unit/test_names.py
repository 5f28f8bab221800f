"""Normalising names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_compliance.domain.names import MAXIMUM_TOKENS, base_weight, normalise, skeleton, tokens


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("PUTIN, Vladimir Vladimirovich", "putin vladimir vladimirovich"),
        ("Łukasz Ørsted-Müller", "lukasz orsted muller"),
        ("KIM, CHIN-SO'K", "kim chin sok"),
        ("Дмитрий Медведев", "dmitriy medvedev"),
        ("김정은", "gimjeongeun"),
        ("さゆり", "sayuri"),
        ("محمد علي", "mhmd ali"),
        ("Vargas Giraldo\u200b", "vargas giraldo"),
        ("\uff21\uff23\uff2d\uff25 \uff2c\uff34\uff24", "acme ltd"),
        ("a1-assad", "al assad"),
        ("Flight 17", "flight 17"),
        ("", ""),
        ("…---…", ""),
    ],
)
def test_spellings_of_one_name_become_plain_latin(written: str, expected: str) -> None:
    assert normalise(written) == expected


@given(st.text(max_size=200))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(max_size=2000))
def test_the_number_of_words_is_bounded_whatever_the_input(text: str) -> None:
    assert len(tokens(text)) <= MAXIMUM_TOKENS


@given(st.text(max_size=100))
def test_case_never_matters(text: str) -> None:
    assert normalise(text.casefold()) == normalise(text)


@pytest.mark.parametrize("spelling", ["mohammed", "muhammad", "mohamad", "muhamed", "mhmd"])
def test_one_sound_has_one_skeleton(spelling: str) -> None:
    assert skeleton(spelling) == skeleton("mohamed")


def test_different_sounds_have_different_skeletons() -> None:
    assert skeleton("martin") != skeleton("marvin")


def test_titles_and_legal_forms_weigh_less_than_names() -> None:
    assert base_weight("mr") < base_weight("llc") < base_weight("quexelbraum")
