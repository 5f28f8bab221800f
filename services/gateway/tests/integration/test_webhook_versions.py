"""Webhooks and events by the API's dated versions: each endpoint in its own, each request in its own."""

from typing import Any

import orjson
import pytest

from rialto_gateway import versions
from rialto_gateway.versions import Change
from rialto_gateway.webhooks.retries import RETRY_AFTER

from .merchant_server import BROKEN, Shop, deliver
from .platform_in_process import Merchant, Platform

OLD, NEW = versions.LATEST, "2027-01-01"


def _down(answer: dict[str, Any]) -> dict[str, Any]:
    return {"phase" if name == "status" else name: value for name, value in answer.items()}


def a_new_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring in a version in which a payment's `phase` has become its `status`."""
    monkeypatch.setattr(versions, "CHANGES", (*versions.CHANGES, Change(NEW, "payment", _down, dict)))
    monkeypatch.setattr(versions, "VERSIONS", (*versions.VERSIONS, NEW))
    monkeypatch.setattr(versions, "LATEST", NEW)


class Caller:
    """A merchant's calls, each in a version."""

    def __init__(self, platform: Platform, merchant: Merchant) -> None:
        self._platform = platform
        self._merchant = merchant

    async def __call__(
        self, method: str, path: str, body: Any = None, *, version: str | None = None, status: int = 200
    ) -> dict[str, Any]:
        headers = {} if version is None else {"Rialto_Version": version}
        answer = await self._platform.call(method, path, body, key=self._merchant.test_key, **headers)
        assert answer.status_code == status, answer.text
        view: dict[str, Any] = answer.json()
        return view

    async def listen(self, url: str, *, version: str | None = None, **fields: Any) -> dict[str, Any]:
        body = {"url": url, "events": ["payment.declined"]} | fields
        return await self("POST", "/v1/webhook_endpoints", body, version=version, status=201)


async def declined(platform: Platform, merchant: Merchant) -> str:
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "block"))
    payment_id: str = payment["id"]
    return payment_id


def field_of(body: bytes) -> str:
    """Return by which name the message has the payment's status."""
    data = orjson.loads(body)["data"]
    (name,) = {"phase", "status"} & set(data)
    assert data[name] == "declined"
    return name


@pytest.fixture
def call(platform: Platform, merchant: Merchant) -> Caller:
    return Caller(platform, merchant)


async def test_an_endpoint_is_sent_the_version_of_its_request_or_the_one_it_names(
    platform: Platform, merchant: Merchant, shop: Shop, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_new_version(monkeypatch)
    made = {
        "by_key": await call.listen(shop.url + "?by_key"),
        "by_header": await call.listen(shop.url + "?by_header", version=NEW),
        "named": await call.listen(shop.url + "?named", api_version=NEW),
        "named_old": await call.listen(shop.url + "?named_old", version=NEW, api_version=OLD),
    }
    shown = {name: each["api_version"] for name, each in made.items()}
    assert shown == {"by_key": OLD, "by_header": NEW, "named": NEW, "named_old": OLD}
    await declined(platform, merchant)
    await deliver(platform)
    sent = {headers["request"].partition("?")[2].split()[0]: field_of(body) for headers, body in shop.got}
    assert sent == {"by_key": "phase", "by_header": "status", "named": "status", "named_old": "phase"}
    for name, field in (("by_key", "phase"), ("by_header", "status")):
        path = f"/v1/webhook_endpoints/{made[name]['id']}/deliveries"
        [delivery] = (await call("GET", path))["data"]
        for version in (OLD, NEW):  # the log says what was sent, whoever asks
            assert field in (await call("GET", f"{path}/{delivery['id']}", version=version))["message"]["data"]


async def test_a_retry_is_the_same_bytes_until_the_endpoints_version_is_changed(
    platform: Platform, merchant: Merchant, shop: Shop, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_new_version(monkeypatch)
    endpoint = await call.listen(shop.url)
    await declined(platform, merchant)
    shop.script = [BROKEN, BROKEN]
    for _ in range(2):
        await deliver(platform)
        platform.runtime.ahead += RETRY_AFTER[2]
    changed = await call("PATCH", f"/v1/webhook_endpoints/{endpoint['id']}", {"api_version": NEW})
    assert (changed["api_version"], changed["events"]) == (NEW, ["payment.declined"])
    await deliver(platform)
    assert [field_of(body) for _, body in shop.got] == ["phase", "phase", "status"]
    assert shop.got[0][1] == shop.got[1][1]
    assert len({headers["webhook-id"] for headers, _ in shop.got}) == 1
    [delivery] = (await call("GET", f"/v1/webhook_endpoints/{endpoint['id']}/deliveries"))["data"]
    back = await call("PATCH", f"/v1/webhook_endpoints/{endpoint['id']}", {"api_version": OLD})
    assert back["api_version"] == OLD
    again = f"/v1/webhook_endpoints/{endpoint['id']}/deliveries/{delivery['id']}/redeliver"
    await call("POST", again, {})
    await deliver(platform)
    assert shop.got[3][1] == shop.got[0][1]


async def test_what_happened_before_a_version_stays_as_it_was_written(
    platform: Platform, merchant: Merchant, shop: Shop, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await call.listen(shop.url)
    before = await declined(platform, merchant)
    a_new_version(monkeypatch)
    after = await declined(platform, merchant)
    for version, fields in ((OLD, ["phase", "status"]), (NEW, ["status", "status"])):
        # What was written in the older version has no change of the newer in it to take back: it says `status` still.
        page = (await call("GET", "/v1/events?expand[]=data.payment", version=version))["data"]
        assert [event["data"]["id"] for event in page] == [after, before]
        for event, field in zip(page, fields, strict=True):
            assert {"phase", "status"} & set(event["data"]) == {field}
            now = "status" if version == NEW else "phase"  # the payment itself is as it is now
            assert now in event["payment"]
        assert [event["api_version"] for event in page] == [min(version, NEW), OLD]
        alone = await call("GET", f"/v1/events/{page[0]['id']}", version=version)
        assert alone["data"] == page[0]["data"]
    await deliver(platform)
    assert {orjson.loads(body)["data"]["id"]: field_of(body) for _, body in shop.got} == {
        before: "status",
        after: "phase",
    }


async def test_an_endpoint_in_a_version_that_there_is_not_is_refused(shop: Shop, call: Caller) -> None:
    body = {"url": shop.url, "api_version": "2020-01-01"}
    refused = await call("POST", "/v1/webhook_endpoints", body, status=400)
    assert (refused["code"], refused["param"]) == ("version_unknown", "api_version")
    endpoint = await call.listen(shop.url)
    path = f"/v1/webhook_endpoints/{endpoint['id']}"
    assert (await call("PATCH", path, {"api_version": "now"}, status=400))["code"] == "version_unknown"
    assert (await call("GET", path))["api_version"] == OLD
