"""Which URLs are called, and when an attempt is made again."""

from datetime import UTC, datetime, timedelta

import pytest

from rialto_gateway.webhooks.addresses import UrlRefused, check_url, is_public
from rialto_gateway.webhooks.outgoing import TIMEOUT_SECONDS
from rialto_gateway.webhooks.ports import LEASE
from rialto_gateway.webhooks.retries import RETRY_AFTER, next_attempt

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999999])
def test_retries_come_ever_later_and_end_within_three_days_wherever_the_jitter_puts_them(draw: float) -> None:
    assert list(RETRY_AFTER) == sorted(RETRY_AFTER)
    at, attempts, pauses = NOW, 1, []
    while (again := next_attempt(attempts, at, draw)) is not None:
        pauses.append(again - at)
        at, attempts = again, attempts + 1
    assert pauses == sorted(pauses)
    assert pauses[0] > timedelta()
    assert attempts == len(RETRY_AFTER) + 1
    assert timedelta(days=2) < at - NOW <= timedelta(days=3)


def test_jitter_parts_what_failed_together() -> None:
    assert len({next_attempt(3, NOW, draw / 10) for draw in range(10)}) == 10


def test_a_call_ends_before_its_lease_so_that_no_other_process_sends_it_meanwhile() -> None:
    assert timedelta(seconds=TIMEOUT_SECONDS) * 2 < LEASE


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "::ffff:0:127.0.0.1",
        "::ffff:0:10.0.0.1",
        "2606:4700::5efe:10.0.0.1",
        "2606:4700::200:5efe:10.0.0.1",
        "192.88.99.1",
        "192.0.0.8",
        "198.18.0.1",
        "100::1",
        "2001:2::1",
        "2001:20::1",
        "3fff::1",
        "5f00::1",
        "4000::1",
        "2130706433",
        "0x7f000001",
        "127.1",
        "2002:7f00:1::1",
        "2001:0:1::1",
        "2001:db8::1",
        "not an address",
    ],
)
def test_an_address_that_is_not_a_public_hosts_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example/hook",
        "//shop.example/hook",
        "/hook",
        "ftp://shop.example/hook",
        "file:///etc/passwd",
        "gopher://shop.example/",
        "javascript:alert(1)",
        "https://",
        "https:///hook",
        "https://shop.example:0/hook",
        "https://shop.example:99999/hook",
        "https://shop.example:port/hook",
        "https://user@shop.example/hook",
        "https://user:pass@shop.example/hook",
        "https://shop.example/hook#part",
        "https://shop.example/\x00",
        "https://shop.example/\nhook",
        "https://shop\u0000.example/",
        "https://" + "a" * 64 + ".example/",
        "https://shop..example/",
        "https://[::1/",
        "https://0177.0.0.1/",
        "https://shop.example\\@127.0.0.1/",
    ],
)
@pytest.mark.parametrize("allow_private", [True, False])
def test_what_is_not_a_plain_web_address_is_refused(url: str, allow_private: bool) -> None:
    with pytest.raises(UrlRefused):
        check_url(url, allow_private=allow_private)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "https://127.0.0.1/hook",
        "https://127.1/hook",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://127.0.0.1./",
        "https://134744072/",
        "https://[64:ff9b::7f00:1]/",
        "https://shop.example:22/hook",
        "https://shop.example:80/hook",
        "https://8.8.8.8:25/",
        "https://10.0.0.1:8443/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
        "https://[::1]/hook",
        "https://[::ffff:127.0.0.1]/hook",
        "https://[fd00::1]/hook",
    ],
)
def test_private_hosts_and_plain_http_are_for_test_installations_only(url: str) -> None:
    check_url(url, allow_private=True)
    with pytest.raises(UrlRefused):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    ["https://shop.example/hook", "https://shop.example:8443/a?b=c", "https://8.8.8.8/", "https://bücher.example/"],
)
def test_public_https_addresses_are_taken(url: str) -> None:
    check_url(url, allow_private=False)
