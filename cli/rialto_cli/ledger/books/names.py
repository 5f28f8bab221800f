"""Our accounts' names in beancount: legal, readable, and never the same for two accounts.

`Liabilities:Test:Customer:Wal--01kj…:Wallet:USD` is root (the type), mode, the code part by part, currency. A part:

- a letter or digit stands for itself, `_` is `--`, any other byte of its UTF-8 `-` and two hex digits (`/` is `-2f`);
- beancount wants a capital or a digit first. A part that begins with a small letter is capitalised (`customer` is
  `Customer`), one that begins with two capitals or a digit is left as it is (`USD`). Where that would not tell the two
  apart, `-l` or `-u` after the first letter says that it was small (`uSD` is `U-lSD`) or capital (`Customer` is
  `C-uustomer`). A part that begins with anything else, or is empty, gets `X-n` in front.

`l`, `u` and `n` are no hex digits, so each name can be read back in one way only.
"""

import re

ROOTS = {"asset": "Assets", "liability": "Liabilities", "equity": "Equity", "income": "Income", "expense": "Expenses"}
_SPECIAL = re.compile(rb"[^A-Za-z0-9]")


def account_name(kind: str, mode: str, code: str, currency: str) -> str:
    """Return an account's name."""
    return ":".join(
        [ROOTS[kind], mode.capitalize(), *(component(part) for part in code.split(":")), component(currency)]
    )


def component(part: str) -> str:
    """Return one part of a name."""
    first, second = part[:1], part[1:2]
    if not (first.isascii() and first.isalnum()):
        return f"X-n{_escape(part)}"
    is_second_capital = second.isascii() and second.isupper()
    if first.isdigit() or (first.isupper() and is_second_capital):
        return _escape(part)
    rest = _escape(part[1:])
    if first.isupper():
        return f"{first}-u{rest}"
    return f"{first.upper()}-l{rest}" if is_second_capital else f"{first.upper()}{rest}"


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda found: b"--" if found[0] == b"_" else b"-%02x" % found[0][0], text.encode()).decode()
