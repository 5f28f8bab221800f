"""Which URLs are called, and when an attempt is made again."""

from datetime import UTC, datetime, timedelta

import pytest

from rialto_gateway.webhooks.deliver import LEASE, RETRY_AFTER, next_attempt
from rialto_gateway.webhooks.outgoing import TIMEOUT_SECONDS, UrlRefused, check_url, is_public

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_retries_come_ever_later_and_end_within_three_days() -> None:
    assert list(RETRY_AFTER) == sorted(RETRY_AFTER)
    assert timedelta(days=2) < sum(RETRY_AFTER, timedelta()) <= timedelta(days=3)
    at, attempts = NOW, 1
    while (again := next_attempt(attempts, at)) is not None:
        assert again > at
        at, attempts = again, attempts + 1
    assert attempts == len(RETRY_AFTER) + 1
    assert at - NOW <= timedelta(days=3)


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
    if url != "https://127.1/hook":  # a name to us; what it resolves to is checked at each call
        with pytest.raises(UrlRefused):
            check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    ["https://shop.example/hook", "https://shop.example:8443/a?b=c", "https://8.8.8.8/", "https://bücher.example/"],
)
def test_public_https_addresses_are_taken(url: str) -> None:
    check_url(url, allow_private=False)
