"""The pages of the hosted checkout: plain HTML that works without JavaScript, for a keyboard and a screen reader too.

Everything that is not ours is escaped. The Content-Security-Policy allows one style sheet, by its hash, and forms to
ourselves, and nothing else.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape

from rialto_common.money import currency_exponent, to_major
from rialto_gateway.payment_links.store import PaymentLink

STYLE = (
    "*{box-sizing:border-box}body{font:1.05rem/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1a1d21}"
    "main{max-width:30rem;margin:2rem auto;padding:2rem;background:#fff;border-radius:.75rem}"
    "h1{font-size:1.3rem;margin:0 0 .25rem}.amount{font-size:2rem;font-weight:700;margin:.25rem 0 1.5rem}"
    "label,legend{display:block;font-weight:600;margin-top:1rem}fieldset{border:0;margin:1rem 0 0;padding:0}"
    "fieldset label{display:inline-block;font-weight:400;margin:.5rem 1.5rem 0 0}"
    "input[type=text],input[type=email]{width:100%;font:inherit;padding:.6rem;border:1px solid #6b7280;"
    "border-radius:.4rem}"
    "input[aria-invalid=true]{border-color:#b00020}:focus-visible{outline:3px solid #1d4ed8;outline-offset:2px}"
    "button,.button{display:block;width:100%;margin-top:1.75rem;padding:.8rem;font:inherit;font-weight:700;border:0;"
    "border-radius:.4rem;background:#1d4ed8;color:#fff;text-align:center;text-decoration:none;cursor:pointer}"
    ".hint{font-size:.9rem;color:#4b5563;margin:.25rem 0 0}.error{color:#b00020}"
    "[role=alert]{border-left:4px solid #b00020;padding:.5rem 1rem;background:#fdf0f1}footer{margin-top:2rem}"
)
POLICY = (
    "default-src 'none'; style-src 'sha256-"
    + b64encode(sha256(STYLE.encode()).digest()).decode()
    + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
REFRESH_SECONDS = 2

STATUSES: Mapping[str, tuple[str, str]] = {
    "created": ("Your payment is being checked", "This page shows by itself what comes of it."),
    "approved": ("Your payment is being checked", "This page shows by itself what comes of it."),
    "unknown": (
        "Your bank has not answered yet",
        "We are asking what became of your payment. Please do not pay again: this page shows what comes of it.",
    ),
    "review": ("Your payment is being looked at", "The shop will tell you; you need not pay again."),
    "requires_action": ("Your bank wants to hear from you", "Please confirm the payment with your bank."),
    "authorised": ("Thank you, you have paid", ""),
    "captured": ("Thank you, you have paid", ""),
    "settled": ("Thank you, you have paid", ""),
    "declined": ("Your payment was declined", "Nothing was taken. You can try again, or in another way."),
    "failed": ("Your payment did not go through", "Nothing was taken. You can try again."),
    "voided": ("Your payment was cancelled", "Nothing was taken, or you have it back."),
    "expired": ("Your payment has expired", "Nothing was taken. You can try again."),
}
WAITING = frozenset({"created", "approved", "unknown"})
PAID = frozenset({"authorised", "captured", "settled"})
TRY_AGAIN = frozenset({"declined", "failed", "expired"})


@dataclass(frozen=True, slots=True)
class Form:
    """What a payer has filled in, and what is wrong with it by the field's name; "" is for the whole."""

    nonce: str
    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


def amount_text(amount_minor: int, currency: str) -> str:
    """Return an amount as people write it."""
    return f"{to_major(amount_minor, currency):,.{currency_exponent(currency)}f} {currency}"


def checkout(link: PaymentLink, form: Form, *, cards: bool) -> str:
    """Return the page on which a link is paid; `cards`: whether one can pay by card."""
    methods = [_choice("wallet", "Wallet", form, checked=not cards)]
    fields = [_text("wallet_id", "Wallet", form, hint="wal_ and 26 characters; only if you pay by wallet")]
    if cards:
        methods.insert(0, _choice("card", "Card", form, checked=True))
        hint = "in test mode a test token such as tok_approve stands for a card" if link.mode == "test" else ""
        fields.insert(0, _text("card_token", "Card token", form, hint=hint))
    alert = ""
    if form.errors:
        others = "Please mend what is marked below." if any(form.errors) else ""
        alert = f'<p role="alert">{escape(form.errors.get("", others))}</p>'
    parts = [
        _head_of(link),
        alert,
        '<form method="post" autocomplete="on">',
        f'<input type="hidden" name="nonce" value="{escape(form.nonce)}">',
        _text("name", "Your full name", form, required=True, autocomplete="name"),
        _text("email", "E-mail", form, kind="email", autocomplete="email", hint="for the receipt; may stay empty"),
        _text("country", "Country", form, autocomplete="country", hint="two letters, such as GB; may stay empty"),
        f"<fieldset><legend>How do you pay?</legend>{''.join(methods)}</fieldset>",
        *fields,
        f'<button type="submit">Pay {escape(amount_text(link.amount_minor, link.currency))}</button>',
        "</form>",
    ]
    return _page(f"Pay {link.merchant_name}", "".join(parts))


def status(link: PaymentLink, payment: Mapping[str, str | None], again: str) -> str:
    """Return the page that says what has become of a payment, and looks again while that is open.

    Args: payment: its `status`, `id` and, where the payer must act, the `url` for it. again: the link's own address.
    """
    state = payment["status"] or "unknown"
    title, text = STATUSES[state]
    parts = [_head_of(link), f'<div role="status"><h2>{escape(title)}</h2><p>{escape(text)}</p></div>']
    if state == "requires_action" and payment.get("url"):
        parts.append(f'<a class="button" rel="noreferrer" href="{escape(payment["url"] or "")}">Go to your bank</a>')
    if state in TRY_AGAIN:
        parts.append(f'<a class="button" href="{escape(again)}">Try again</a>')
    if state in PAID and link.return_url is not None:
        parts.append(f'<a class="button" rel="noreferrer" href="{escape(link.return_url)}">Back to the shop</a>')
    parts.append(f'<footer class="hint">Payment {escape(payment["id"] or "")}</footer>')
    refresh = REFRESH_SECONDS if state in WAITING or state == "requires_action" else None
    return _page(title, "".join(parts), refresh=refresh)


def closed(link: PaymentLink | None) -> str:
    """Return the page of a link that takes no payment, or of an address that is none."""
    if link is None:
        return _page("No such link", "<h1>There is nothing at this address</h1><p>Please ask for the link again.</p>")
    text = "It has expired, was taken back, or has been paid. Please ask the shop if you think that this is wrong."
    return _page("Link closed", f"{_head_of(link)}<h2>This link takes no payment any more</h2><p>{text}</p>")


def _head_of(link: PaymentLink) -> str:
    test = ' <span class="hint">(test mode: no real money)</span>' if link.mode == "test" else ""
    return (
        f"<h1>{escape(link.merchant_name)}{test}</h1><p>{escape(link.description)}</p>"
        f'<p class="amount">{escape(amount_text(link.amount_minor, link.currency))}</p>'
    )


def _choice(value: str, label: str, form: Form, *, checked: bool) -> str:
    chosen = form.values.get("method")
    mark = " checked" if chosen == value or (chosen is None and checked) else ""
    return f'<label><input type="radio" name="method" value="{value}"{mark}> {escape(label)}</label>'


def _text(
    name: str,
    label: str,
    form: Form,
    *,
    kind: str = "text",
    hint: str = "",
    autocomplete: str = "off",
    required: bool = False,
) -> str:
    error = form.errors.get(name, "")
    described = " ".join(f"{name}-{part}" for part, text in (("hint", hint), ("error", error)) if text)
    attributes = f' id="{name}" name="{name}" type="{kind}" autocomplete="{autocomplete}" maxlength="255"'
    attributes += f' value="{escape(form.values.get(name, ""))}"'
    attributes += " required" if required else ""
    attributes += f' aria-describedby="{described}"' if described else ""
    attributes += ' aria-invalid="true"' if error else ""
    parts = [f'<label for="{name}">{escape(label)}</label><input{attributes}>']
    if hint:
        parts.append(f'<p class="hint" id="{name}-hint">{escape(hint)}</p>')
    if error:
        parts.append(f'<p class="error" id="{name}-error">{escape(error)}</p>')
    return "".join(parts)


def _page(title: str, content: str, *, refresh: int | None = None) -> str:
    again = "" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}">'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{again}'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><main>{content}</main></body></html>"
    )
