"""Where a request goes: what both HTTP implementations take from a URL and the environment."""

import base64
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies_environment, proxy_bypass

from nexau.transports.http import HttpError

CONNECT_TIMEOUT = 30.0
"""Seconds."""
KEEPALIVE = 15.0
"""Seconds that an idle connection is kept."""
MAX_REDIRECTS = 5
DEFAULT_HEADERS = (
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate"),
    ("user-agent", "nexau"),
)

_KNOWN_TARGETS = 1024


class Target(NamedTuple):
    url: str
    """Without userinfo and fragment."""
    authorization: str | None
    """Basic credentials, where the URL holds userinfo."""
    proxy: str | None


class Targets:
    """URLs looked at once each; the environment's proxies as they were when it was made."""

    def __init__(self) -> None:
        self._proxies = getproxies_environment()
        self._known: dict[str, Target] = {}

    def of(self, url: str) -> Target:
        """Raises `HttpError` for anything but a whole http or https URL."""
        known = self._known.get(url)
        if known is None:
            if len(self._known) >= _KNOWN_TARGETS:
                self._known.clear()
            known = self._known[url] = self._look_at(url)
        return known

    def _look_at(self, url: str) -> Target:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise HttpError("url", "not a URL", url) from None
        if not host or parts.scheme not in ("http", "https"):
            raise HttpError("url", "not an http or https URL", url)
        userinfo, at, netloc = parts.netloc.rpartition("@")
        clean = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
        authorization = None
        if at:
            credentials = base64.b64encode(unquote(userinfo).encode()).decode()
            authorization = f"Basic {credentials}"
        return Target(clean, authorization, self._proxy(parts.scheme, host, netloc))

    def _proxy(self, scheme: str, host: str, netloc: str) -> str | None:
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        if not proxy or is_loopback(host) or proxy_bypass(netloc):
            return None
        whole = proxy if "://" in proxy else f"http://{proxy}"
        if not whole.startswith(("http://", "https://")):
            raise HttpError("connect", "the proxy of the environment is not an HTTP proxy", netloc)
        return whole


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def redirected(url: str, status: int, location: str | None) -> str | None:
    """The URL to send the same request to, where an answer asks for that within its origin."""
    if status not in (307, 308) or not location:
        return None
    try:
        new = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(new)
    except ValueError:
        return None
    same = (here.scheme, here.netloc) == (there.scheme, there.netloc)
    return new if same else None


def lowered(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
