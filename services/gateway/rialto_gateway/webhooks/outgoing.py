"""Calls to addresses that merchants chose: to public hosts only, at the address that was checked, without redirects."""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

import httpx
from rialto_common.errors import InvalidRequest
from rialto_common.runtime import Runtime

TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024


class UrlRefused(InvalidRequest):
    """Not a URL we will call."""

    code = "webhook_url_refused"


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises: UrlRefused: not http(s), with credentials in it, or plain http where only public hosts are allowed."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlRefused("this is not a URL", param="url") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise UrlRefused("a webhook URL is https://host/…", param="url")
    if parts.username or parts.password or parts.fragment:
        raise UrlRefused("a webhook URL carries no credentials and no fragment", param="url")
    if parts.scheme == "http" and not allow_private:
        raise UrlRefused("a webhook URL must be https", param="url")


class OutgoingCalls:
    """Posts to a URL after resolving its host once and checking every address it has."""

    def __init__(self, runtime: Runtime, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._http = runtime.http_client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Return the status of the answer.

        Raises: UrlRefused: the host is not public; httpx.HTTPError: no answer; OSError: the host has no address.
        """
        check_url(url, allow_private=self._allow_private)
        target = httpx.URL(url)
        address = await self._resolve(target)
        # Call the very address that was checked: a second look-up could answer differently (DNS rebinding).
        pinned = target.copy_with(host=address)
        request = self._http.build_request(
            "POST",
            pinned,
            content=body,
            headers={**headers, "Host": target.netloc.decode()},
            extensions={"sni_hostname": target.host},
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
        found = await asyncio.get_running_loop().getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not self._allow_private:
            for address in addresses:
                if not ipaddress.ip_address(address.partition("%")[0]).is_global:
                    raise UrlRefused("the host has an address that is not public", param="url")
        return addresses[0]
