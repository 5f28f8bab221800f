"""The test tokens, and what the acquirer does with the card that each stands for; docs/ACQUIRER_SIM.md shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Step = Literal["authorise", "increment", "capture", "void", "refund"]
Decision = Literal["approve", "decline", "challenge", "later_approve", "later_decline"]
Fault = Literal["slow", "timeout", "reset", "error", "unavailable"]
When = Literal["before", "after"]

NAME = "sim"
"""What an acquirer is called that was given no name."""

DECLINES = (
    "insufficient_funds",
    "card_expired",
    "do_not_honour",
    "lost_or_stolen",
    "fraud_suspected",
    "limit_exceeded",
    "invalid_card",
    "issuer_unavailable",
)
FAULTS: Mapping[Fault, str] = {
    "timeout": "no answer comes",
    "reset": "the connection is reset",
    "error": "HTTP 500",
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens to a step: what is decided, and what goes wrong on the way, before or after it is done."""

    decision: Decision = "approve"
    code: str | None = None
    fault: Fault | None = None
    when: When = "after"


@dataclass(frozen=True, slots=True)
class Token:
    """A test token: `steps` has what differs from an approval, `webhooks` how what it comes to is told."""

    says: str
    steps: Mapping[Step, Behaviour]
    webhooks: Literal["once", "twice", "out_of_order"] = "once"

    def behaviour(self, step: Step) -> Behaviour:
        """Return what happens to a step."""
        return self.steps.get(step, Behaviour())


def _declined(code: str) -> Token:
    return Token(f"declined: {code}", {"authorise": Behaviour("decline", code)})


def _failing(step: Step, fault: Fault, when: When) -> Token:
    done = "it is done and" if when == "after" else "it is not done:"
    return Token(f"{step}: {done} {FAULTS[fault]}", {step: Behaviour(fault=fault, when=when)})


TOKENS: Mapping[str, Token] = {
    "tok_approve": Token("approved", {}),
    **{f"tok_decline_{code}": _declined(code) for code in DECLINES},
    "tok_3ds": Token("the payer must confirm first (3-D Secure)", {"authorise": Behaviour("challenge")}),
    "tok_slow": Token("approved after a while", {"authorise": Behaviour(fault="slow")}),
    "tok_unavailable": Token(
        "it is not done: HTTP 503, which says so", {"authorise": Behaviour(fault="unavailable", when="before")}
    ),
    "tok_late_approve": Token("approved later, told by webhook", {"authorise": Behaviour("later_approve")}),
    "tok_late_decline": Token(
        "declined later, told by webhook", {"authorise": Behaviour("later_decline", "do_not_honour")}
    ),
    "tok_duplicate": Token("approved; every webhook comes twice", {}, "twice"),
    "tok_out_of_order": Token(
        "approved later; the news comes before the older one", {"authorise": Behaviour("later_approve")}, "out_of_order"
    ),
    **{f"tok_{fault}_{when}": _failing("authorise", fault, when) for fault in FAULTS for when in ("before", "after")},
    "tok_increment_decline": Token(
        "the increment is declined", {"increment": Behaviour("decline", "insufficient_funds")}
    ),
    "tok_capture_decline": Token("the capture is refused", {"capture": Behaviour("decline", "capture_refused")}),
    "tok_refund_decline": Token("the refund is refused", {"refund": Behaviour("decline", "refund_refused")}),
    **{
        f"tok_{step}_{fault}_{when}": _failing(step, fault, when)
        for step in ("increment", "capture", "void", "refund")
        for fault in FAULTS
        for when in ("before", "after")
    },
}
"""Any other token is declined as `invalid_card`."""

UNKNOWN = _declined("invalid_card")


def token(name: str, acquirer: str = NAME) -> Token:
    """Return what a token stands for at an acquirer: `tok_…-at-NAME` does so only at that one, others approve it."""
    name, _, only_at = name.partition("-at-")
    return TOKENS["tok_approve"] if only_at not in ("", acquirer) else TOKENS.get(name, UNKNOWN)


def table() -> str:
    """Return the tokens as the documentation shows them."""
    rows = [f"| `{name}` | {each.says} |" for name, each in TOKENS.items()]
    return "\n".join(("| token | what happens |", "|---|---|", *rows))
