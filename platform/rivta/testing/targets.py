"""Where messages are sent, as whom, and which hosts may be reached at all."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class TargetRefused(ValueError):
    """A URL, certificate or pair that cannot be used; the text says what and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate to send with."""

    name: str
    hsa_id: str | None
    """None where it is not known."""
    certificate: Path | None
    key: Path | None
    """None, both: no client certificate."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Where cases go and who may send them."""

    urls: Mapping[str, str]
    """By the name of the platform; one alone has the name `` (nothing), and is for all."""
    trusted: tuple[Path, ...]
    """Certificates of authorities, PEM."""
    identities: tuple[Identity, ...]
    default_identity: str
    default_via: str

    def url(self, via: str | None) -> str:
        """The URL for a case that says `via`. Raises TargetRefused."""
        if "" in self.urls:
            return self.urls[""]
        name = via or self.default_via
        if name not in self.urls:
            raise TargetRefused(f"there is no platform {name!r} here, but {', '.join(self.urls)}")
        return self.urls[name]

    def sender(self, identity: str | None, hsa_id: str | None) -> Identity:
        """Who sends: the identity named, else the one with the HSA-id, else the default. Raises TargetRefused."""
        if identity is not None and not self._is_single:
            return self._named(identity)
        if hsa_id is not None and not self._is_single:
            found = next((one for one in self.identities if one.hsa_id and one.hsa_id.upper() == hsa_id.upper()), None)
            if found is None:
                known = ", ".join(f"{one.name} ({one.hsa_id})" for one in self.identities)
                raise TargetRefused(
                    f"nobody here can send as {hsa_id}: there is {known}; name an identity, or use --as"
                )
            return found
        return self._named(self.default_identity)

    @property
    def _is_single(self) -> bool:
        """One certificate was given for everything: what cases say of senders is of another place."""
        return len(self.identities) == 1

    def _named(self, name: str) -> Identity:
        found = next((one for one in self.identities if one.name == name), None)
        if found is None:
            raise TargetRefused(f"identity {name!r} is not one of {', '.join(one.name for one in self.identities)}")
        return found


def of_pair(endpoints: Mapping[str, Any], *, via: str | None = None, identity: str | None = None) -> Targets:
    """The running pair that `endpoints.json` describes. `identity` overrules what cases say. Raises TargetRefused."""
    try:
        identities = tuple(
            Identity(name, one["hsa_id"], Path(one["cert"]), Path(one["key"]))
            for name, one in endpoints["identities"].items()
        )
        urls = {name: str(one["https"]) for name, one in endpoints["platforms"].items()}
        trusted = (Path(endpoints["ca"]),)
    except (KeyError, TypeError, AttributeError) as error:
        raise TargetRefused(f"endpoints.json has no {error}: was it written by another version?") from error
    if via is not None:
        if via not in urls:
            raise TargetRefused(f"there is no platform {via!r} here, but {', '.join(urls)}")
        urls = {"": urls[via]}
    found = Targets(urls, trusted, identities, identity or identities[0].name, next(iter(urls)))
    if identity is None:
        return found
    return Targets(urls, trusted, (found._named(identity),), identity, found.default_via)


def of_url(url: str, *, certificate: Path | None, key: Path | None, trusted: tuple[Path, ...]) -> Targets:
    """One URL, with one certificate or none. Raises TargetRefused."""
    parts = _split(url)
    if (certificate is None) != (key is None):
        raise TargetRefused("a certificate and its key go together: give both, or neither")
    if parts.scheme == "https" and not trusted:
        raise TargetRefused(f"{url}: say whom to trust there, with --ca FILE")
    for file in (*(one for one in (certificate, key) if one), *trusted):
        if not file.is_file():
            raise TargetRefused(f"{file}: there is no such file")
    identity = Identity("given", None, certificate, key)
    return Targets({"": url}, trusted, (identity,), identity.name, "")


def check_host(url: str, allowed: Collection[str]) -> None:
    """Raises TargetRefused for a host that is neither this machine nor allowed by name."""
    host = (_split(url).hostname or "").lower()
    if _is_this_machine(host) or host in {name.lower().strip("[]") for name in allowed}:
        return
    raise TargetRefused(
        f"{url}: {host} is not this machine, and messages are not sent elsewhere unasked: --allow-host {host}"
    )


def hosts_of(endpoints: Mapping[str, Any]) -> set[str]:
    """The hosts of a running pair."""
    return {host for one in endpoints["platforms"].values() if (host := urlsplit(str(one["https"])).hostname)}


def read_endpoints(home: Path) -> dict[str, Any]:
    """What the pair in a folder says of itself. Raises TargetRefused."""
    file = home / "endpoints.json"
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise TargetRefused(f"no running pair in {home}: start one with `rivta up --home {home}`") from None
    except (OSError, ValueError) as error:
        raise TargetRefused(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise TargetRefused(f"{file} is not what `rivta up` writes")
    return found


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise TargetRefused(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or not url.isprintable() or " " in url:
        raise TargetRefused(f"{url!r} is no URL to send to: https://host[:port]/path")
    if parts.username or parts.password:
        raise TargetRefused(
            f"{parts.hostname}: a name or password in a URL is not RIV-TA: who calls is in the certificate"
        )
    return parts


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
