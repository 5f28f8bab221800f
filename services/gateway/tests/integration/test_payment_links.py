"""Payment links and their page, as a payer's browser without JavaScript meets them."""

import asyncio
import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from .platform_in_process import Merchant, Platform

TEXT = "<b>Order</b> 1001"


class Page(HTMLParser):
    """What a test asks about a page: its fields with their labels, its texts, and its links."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1][0] not in ("style", "title"):
            self.text += f" {data}"

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def fields(self) -> dict[str, str]:
        """What a browser would send, choices as they stand."""
        return {
            field["name"]: field.get("value", "")
            for field in self.all("input")
            if field.get("type") != "radio" or "checked" in field
        }


async def make(platform: Platform, merchant: Merchant, **changes: Any) -> dict[str, Any]:
    """Make a link."""
    body = {"amount_minor": "1250", "currency": "USD", "description": TEXT, "metadata": {"order": "1001"}} | changes
    answer = await platform.call(
        "POST", "/v1/payment_links", body, key=merchant.test_key, Idempotency_Key=platform.new_key()
    )
    assert answer.status_code == 201, answer.text
    link: dict[str, Any] = answer.json()
    return link


def path_of(link: dict[str, Any]) -> str:
    """Return the path of a link's page."""
    return "/pay/" + str(link["url"]).rpartition("/")[2]


async def send(platform: Platform, path: str, fields: dict[str, str]) -> httpx.Response:
    """Send a form as a browser does."""
    return await platform.http.post(
        path, content=urlencode(fields), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )


async def fill(platform: Platform, link: dict[str, Any], wallet_id: str, **changes: str) -> dict[str, str]:
    """Open a link's page and fill its form in."""
    page = Page(await platform.http.get(path_of(link)))
    return page.fields | {"name": "Ada Example", "country": "gb", "method": "wallet", "wallet_id": wallet_id} | changes


async def test_a_payer_pays_by_a_link_and_sees_what_becomes_of_it(platform: Platform, merchant: Merchant) -> None:
    link = await make(platform, merchant, return_url="https://shop.example/thanks?order=1001&x=1")
    sent = await send(platform, path_of(link), await fill(platform, link, merchant.wallet_id))
    assert sent.status_code == 303
    place = sent.headers["location"]
    waiting = await platform.http.get(place)
    assert "being checked" in waiting.text
    assert Page(waiting).all("meta")[2] == {"http-equiv": "refresh", "content": "2"}
    payment = await platform.get(merchant, place.rpartition("/")[2])
    assert payment["metadata"] == {"order": "1001", "payment_link": link["id"]}
    assert (payment["amount_minor"], payment["description"]) == ("1250", TEXT)
    await platform.decide(payment)
    paid = await platform.http.get(place)
    assert "you have paid" in paid.text
    assert not [tag for tag in Page(paid).all("meta") if tag.get("http-equiv") == "refresh"]
    assert Page(paid).all("a")[0]["href"] == "https://shop.example/thanks?order=1001&x=1"
    gone = await platform.http.get(path_of(link))
    assert (gone.status_code, "takes no payment any more" in gone.text) == (410, True)


async def test_a_form_is_one_payment_however_often_it_is_sent(platform: Platform, merchant: Merchant) -> None:
    link = await make(platform, merchant)
    fields = await fill(platform, link, merchant.wallet_id)
    answers = await asyncio.gather(*(send(platform, path_of(link), fields) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    changed = await send(platform, path_of(link), fields | {"name": "Ada Other"})
    assert changed.headers["location"] == answers[0].headers["location"]
    listed = (await platform.call("GET", "/v1/payments", key=merchant.test_key)).json()["data"]
    assert len(listed) == 1


async def test_a_link_makes_no_more_payments_than_it_is_for(platform: Platform, merchant: Merchant) -> None:
    link = await make(platform, merchant, max_payments=2)
    forms = [await fill(platform, link, merchant.wallet_id) for _ in range(6)]
    answers = await asyncio.gather(*(send(platform, path_of(link), form) for form in forms))
    assert sorted(answer.status_code for answer in answers) == [303, 303, 410, 410, 410, 410]
    listed = (await platform.call("GET", "/v1/payments", key=merchant.test_key)).json()["data"]
    assert len(listed) == 2


async def test_who_was_declined_may_try_again(platform: Platform, merchant: Merchant) -> None:
    link, poor = await make(platform, merchant), await platform.wallet(merchant.test_key)
    first = await send(platform, path_of(link), await fill(platform, link, poor))
    await platform.decide(await platform.get(merchant, first.headers["location"].rpartition("/")[2]))
    declined = await platform.http.get(first.headers["location"])
    assert "was declined" in declined.text
    assert Page(declined).all("a")[0]["href"] == path_of(link)
    second = await send(platform, path_of(link), await fill(platform, link, merchant.wallet_id))
    assert second.status_code == 303


async def test_what_is_wrong_is_said_at_the_field_and_what_was_filled_in_stays(
    platform: Platform, merchant: Merchant
) -> None:
    link = await make(platform, merchant)
    for changes, field, status in (
        ({"name": ""}, "name", 400),
        ({"country": "Britain"}, "country", 400),
        ({"wallet_id": "wal_nonsense"}, "wallet_id", 400),
        ({"wallet_id": link["id"].replace("plink", "wal")}, "wallet_id", 404),
    ):
        form = await fill(platform, link, merchant.wallet_id) | changes
        answer = await send(platform, path_of(link), form)
        page = Page(answer)
        assert answer.status_code == status, (changes, answer.text)
        [marked] = [tag for tag in page.all("input") if tag.get("aria-invalid")]
        assert marked["name"] == field
        assert f"{field}-error" in marked["aria-describedby"].split()
        assert page.fields["nonce"] == form["nonce"]
        assert page.fields["wallet_id"] == form["wallet_id"]
        assert [tag for tag in page.all("p") if tag.get("role") == "alert"]
    assert (await send(platform, path_of(link), await fill(platform, link, merchant.wallet_id))).status_code == 303


async def test_every_field_has_a_label_and_nothing_of_others_is_taken_for_html(
    platform: Platform, merchant: Merchant
) -> None:
    link = await make(platform, merchant)
    answer = await platform.http.get(path_of(link))
    page = Page(answer)
    labelled = {label["for"] for label in page.all("label") if "for" in label}
    assert {tag["id"] for tag in page.all("input") if tag["type"] in ("text", "email")} == labelled
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert page.all("html") == [{"lang": "en"}]
    assert "12.50 USD" in page.text
    assert TEXT in page.text
    assert not page.all("b")
    assert not page.all("script")
    hostile = '"><script>alert(1)</script>'
    shown = await send(platform, path_of(link), {"nonce": page.fields["nonce"], "name": "", "wallet_id": hostile})
    assert not Page(shown).all("script")
    assert Page(shown).fields["wallet_id"] == hostile


async def test_the_page_may_load_nothing_and_be_framed_by_nobody(platform: Platform, merchant: Merchant) -> None:
    link = await make(platform, merchant)
    answer = await platform.http.get(path_of(link))
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    [style] = re.findall(r"<style>(.*?)</style>", answer.text)
    hashed = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{hashed}'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert " style=" not in answer.text


async def test_a_link_that_is_closed_takes_nothing(platform: Platform, merchant: Merchant) -> None:
    now = platform.runtime.now()
    expiring = await make(platform, merchant, expires_at=(now + timedelta(hours=1)).isoformat())
    taken_back = await make(platform, merchant)
    forms = [await fill(platform, link, merchant.wallet_id) for link in (expiring, taken_back)]
    path = f"/v1/payment_links/{taken_back['id']}/deactivate"
    assert (await platform.call("POST", path, key=merchant.test_key)).json()["active"] is False
    platform.runtime.ahead += timedelta(hours=2)
    for link, form in zip((expiring, taken_back), forms, strict=True):
        assert (await platform.http.get(path_of(link))).status_code == 410
        assert (await send(platform, path_of(link), form)).status_code == 410
    assert (await platform.call("GET", "/v1/payments", key=merchant.test_key)).json()["data"] == []


async def test_an_address_opens_one_link_and_its_payments_only(platform: Platform, merchant: Merchant) -> None:
    stranger = await platform.merchant("Stranger")
    link, other = await make(platform, merchant), await make(platform, stranger)
    private = await platform.pay(merchant)
    sent = await send(platform, path_of(link), await fill(platform, link, merchant.wallet_id))
    paid = sent.headers["location"].rpartition("/")[2]
    for path in (
        "/pay/nonsense",
        path_of(link) + f"/{private['id']}",
        path_of(other) + f"/{paid}",
        path_of(link) + "/pay_nonsense",
        f"/pay/{link['id']}",
    ):
        assert (await platform.http.get(path)).status_code == 404, path
    for method, path in (("GET", ""), ("POST", "/deactivate")):
        answer = await platform.call(method, f"/v1/payment_links/{link['id']}{path}", key=stranger.test_key)
        assert (answer.status_code, answer.json()["code"]) == (404, "payment_link_not_found")
    listed = await platform.call("GET", "/v1/payment_links", key=stranger.test_key)
    assert [each["id"] for each in listed.json()["data"]] == [other["id"]]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"amount_minor": "0"}, "amount_minor"),
        ({"currency": "EUR"}, "currency"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"return_url": "http://shop.example"}, "return_url"),
        ({"description": ""}, "description"),
        ({"max_payments": 0}, "max_payments"),
    ],
)
async def test_what_is_no_link_is_refused(
    platform: Platform, merchant: Merchant, changes: dict[str, Any], param: str
) -> None:
    body = {"amount_minor": "1250", "currency": "USD", "description": "Order"} | changes
    answer = await platform.call("POST", "/v1/payment_links", body, key=merchant.test_key, Idempotency_Key="k")
    assert (answer.status_code, answer.json()["param"]) == (400, param), answer.text
    assert (await platform.call("GET", "/v1/payment_links", key=merchant.test_key)).json()["data"] == []
