"""Which URLs and addresses of others may be called; pure."""

import ipaddress
import re

import httpx

from rialto_common.errors import InvalidRequest

HTTPS = 443
FIRST_UNPRIVILEGED = 1024
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# What IANA's registries of special addresses hold beyond what every Python we run on knows: protocol assignments (also
# Teredo's and ORCHID's), relays of 6to4, 6to4 itself, documentation.
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")))
_ISATAP = (0x00005EFE, 0x02005EFE)


class UrlRefused(InvalidRequest):
    """Not a URL we will call."""

    code = "webhook_url_refused"


def check_url(url: str, *, allow_private: bool) -> httpx.URL:
    """Return the URL as it will be called.

    Raises: UrlRefused: not http(s), with credentials or a fragment; unless private hosts are allowed, also plain http,
    a port other than 443 and those from 1024 on, and an address in place of a name that is not public or is written in
    another way than the usual. (What a name resolves to is checked at each call.)
    """
    try:
        parts = httpx.URL(url)
        parts.raw_host.decode().encode("idna")  # as the resolver will do: labels of 1 to 63 characters
    except (httpx.InvalidURL, ValueError) as error:
        raise UrlRefused("this is not a URL", param="url") from error
    port = HTTPS if parts.port is None else parts.port
    if parts.scheme not in ("https", "http") or not parts.host or not 0 < port < 65536:
        raise UrlRefused("a webhook URL is https://host/…", param="url")
    if parts.userinfo or parts.fragment:
        raise UrlRefused("a webhook URL carries no credentials and no fragment", param="url")
    if not allow_private:
        if parts.scheme == "http":
            raise UrlRefused("a webhook URL must be https", param="url")
        if port != HTTPS and port < FIRST_UNPRIVILEGED:
            raise UrlRefused("the port is 443, or one from 1024 on", param="url")
        if _is_private_literal(parts.host):
            raise UrlRefused("the host is an address that is not public", param="url")
    return parts


def is_public(address: str) -> bool:
    """Say whether an IP address is a public host's, also where an IPv6 address only wraps an IPv4 one.

    Of IPv6, global unicast (2000::/3) alone can be: NAT64's prefixes, translated and site-local addresses are outside.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip not in _GLOBAL_UNICAST or (int(ip) >> 32 & 0xFFFFFFFF) in _ISATAP:
            return False
    if any(ip in network for network in _SPECIAL):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _is_private_literal(host: str) -> bool:
    """Say whether a host is an address that is not public; names are not, and are looked up.

    What ends in a number is an address to a resolver, in decimal, octal, hexadecimal or with parts left out
    (`2130706433`, `0x7f.1`): of these only the usual form is taken.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None
    return not is_public(host)
