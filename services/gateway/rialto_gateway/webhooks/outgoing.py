"""Calls to addresses that merchants chose: to public hosts only, at the address that was checked, without redirects."""

import asyncio
import ipaddress
import socket

import httpx

from rialto_common.errors import InvalidRequest
from rialto_common.runtime import Runtime

TIMEOUT_SECONDS = 10.0
"""For the whole call: a host that sends a byte now and then must not hold a delivery past its lease."""
MAX_ANSWER_BYTES = 64 * 1024


class UrlRefused(InvalidRequest):
    """Not a URL we will call."""

    code = "webhook_url_refused"


def check_url(url: str, *, allow_private: bool) -> httpx.URL:
    """Return the URL as it will be called.

    Raises: UrlRefused: not http(s), with credentials or a fragment; unless private hosts are allowed, also plain http
    and an address in place of a name that is not public. (What a name resolves to is checked at each call.)
    """
    try:
        parts = httpx.URL(url)
        parts.raw_host.decode().encode("idna")  # as the resolver will do: labels of 1 to 63 characters
    except (httpx.InvalidURL, ValueError) as error:
        raise UrlRefused("this is not a URL", param="url") from error
    if (
        parts.scheme not in ("https", "http")
        or not parts.host
        or not 0 < (443 if parts.port is None else parts.port) < 65536
    ):
        raise UrlRefused("a webhook URL is https://host/…", param="url")
    if parts.userinfo or parts.fragment:
        raise UrlRefused("a webhook URL carries no credentials and no fragment", param="url")
    if not allow_private:
        if parts.scheme == "http":
            raise UrlRefused("a webhook URL must be https", param="url")
        if _is_private_literal(parts.host):
            raise UrlRefused("the host is an address that is not public", param="url")
    return parts


def is_public(address: str) -> bool:
    """Say whether an IP address is a public host's, also where an IPv6 address only wraps an IPv4 one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour is not None or ip.teredo is not None or ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _is_private_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not is_public(host)


class OutgoingCalls:
    """Posts to a URL after resolving its host once and checking every address it has."""

    def __init__(self, runtime: Runtime, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        # A connection each: the pool knows connections by address, and one that proved to be host A must not be used
        # for host B, which happens to have the same address.
        self._http = runtime.http_client(
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Return the status of the answer.

        Raises: UrlRefused: the host is not public; httpx.HTTPError, TimeoutError: no answer; OSError: the host has no
        address.
        """
        target = check_url(url, allow_private=self._allow_private)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            address = await self._resolve(target)
            # Call the very address that was checked: a second look-up could answer differently (DNS rebinding).
            request = self._http.build_request(
                "POST",
                target.copy_with(host=address),
                content=body,
                headers={**headers, "Host": target.netloc.decode()},
                extensions={"sni_hostname": target.raw_host.decode()},
            )
            response = await self._http.send(request, stream=True)
            try:
                read = 0
                async for chunk in response.aiter_raw():
                    read += len(chunk)
                    if read > MAX_ANSWER_BYTES:
                        break
            finally:
                await response.aclose()
        return response.status_code

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _resolve(self, target: httpx.URL) -> str:
        port = target.port or (443 if target.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.raw_host.decode(), port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise UrlRefused("the host has an address that is not public", param="url")
        return addresses[0]
