"""Calls to addresses that merchants chose: to public hosts only, at the address that was checked, without redirects."""

import asyncio
import ipaddress
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from rialto_common.runtime import Runtime
from rialto_gateway.webhooks.addresses import HTTPS, UrlRefused, check_url, is_public

TIMEOUT_SECONDS = 10.0
"""For the whole call: a host that sends a byte now and then must not hold a delivery past its lease."""
MAX_ANSWER_BYTES = 64 * 1024
KEPT_ANSWER_BYTES = 2 * 1024
"""How much of an answer is kept for the merchant to see."""
RESOLVER_THREADS = 32
"""Look-ups at once. Each host has one at a time, so hosts whose look-up hangs take a thread each, not one a call."""


_SECRETS = re.compile(rb"\b((?:whsec|[a-z]{2}_(?:test|live))_|[Bb]earer )[^\s\"'<>,;]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and the beginning of the body."""

    status: int
    body: bytes


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
        # Threads of its own: the event loop's few are everyone's, and a look-up cannot be called off.
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="webhook-resolver")
        self._look_ups: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Return the answer.

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
                kept, read = bytearray(), 0
                async for chunk in response.aiter_raw():
                    kept += chunk[: KEPT_ANSWER_BYTES - len(kept)]
                    read += len(chunk)
                    if read > MAX_ANSWER_BYTES:
                        break
            finally:
                await response.aclose()
        return Answer(response.status_code, without_secrets(bytes(kept)))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _resolve(self, target: httpx.URL) -> str:
        port = target.port or (HTTPS if target.scheme == "https" else 80)
        addresses = await self._addresses(target.raw_host.decode(), port)
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise UrlRefused("the host has an address that is not public", param="url")
        return addresses[0]

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        under_way = self._look_ups.get((host, port))
        if under_way is None:
            loop = asyncio.get_running_loop()
            under_way = loop.run_in_executor(self._threads, _look_up, host, port)
            self._look_ups[host, port] = under_way

            def forget(found: asyncio.Future[list[str]]) -> None:
                del self._look_ups[host, port]
                if not found.cancelled():
                    found.exception()  # seen, even where nobody waits for it any more

            under_way.add_done_callback(forget)
        return await asyncio.shield(under_way)  # several may wait for it, and one that gives up must not end it


def without_secrets(body: bytes) -> bytes:
    """Return an answer's body without what looks like a signing secret, an API key or a token: servers print such."""
    return _SECRETS.sub(rb"\1[removed]", body)


def _look_up(host: str, port: int) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
