"""Calls to an engagement index through its platform, as a consumer or source system makes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from rivta.router.headers import CORRELATION_ID

if TYPE_CHECKING:
    import requests
    from lxml import etree

    from rivta.run.home import Home

_SECONDS = 60.0
DEFAULT_IDENTITY = "journal"
"""Who is permitted everything at the indexes of the demo."""


class FaultAnswered(click.ClickException):
    """The index, or its platform, answered with a fault."""


@dataclass(frozen=True, slots=True)
class IndexCaller:
    """A way to an index: through its platform, with somebody's certificate."""

    url: str
    address: str
    session: requests.Session

    def call(self, payload: etree._Element) -> etree._Element:
        """The payload of the answer. Raises FaultAnswered, or ClickException when none came."""
        import requests
        from lxml import etree

        from rivta.contracts import samples
        from rivta.soap.identifiers import Profile

        try:
            message = samples.envelope(etree.tostring(payload), self.address, Profile.RIVTABP21)
        except ValueError as error:
            raise click.UsageError(f"that cannot stand in a message: {error}") from error
        headers = {
            "Content-Type": "text/xml; charset=UTF-8",
            "SOAPAction": '""',
            CORRELATION_ID: str(uuid.uuid4()),
        }
        try:
            answer = self.session.post(self.url, data=message, headers=headers, timeout=_SECONDS, allow_redirects=False)
        except (requests.RequestException, OSError) as error:
            raise click.ClickException(
                f"no answer from {self.url} ({type(error).__name__}): see `rivta status`"
            ) from error
        return _payload(answer)


@contextmanager
def caller(home: Home, platform: str, identity: str | None, address: str | None) -> Iterator[IndexCaller]:
    """The way to the index of `platform` as `identity`: one of the pair's, or a stub producer by its name.

    Without `address` it is the one that the platform says its index has. Raises ClickException.
    """
    import requests

    from rivta.cli.admin import AdminClient
    from rivta.run.home import HomeError

    try:
        endpoints = home.endpoints()
    except HomeError as error:
        raise click.ClickException(str(error)) from error
    if platform not in endpoints["platforms"]:
        raise click.UsageError(f"{home.folder} has no platform {platform!r}, but {', '.join(endpoints['platforms'])}")
    certificate = _certificate(home, identity or DEFAULT_IDENTITY)
    index = address or AdminClient.of_platform(home, platform).get("/index/queues")["hsa_id"]
    with requests.Session() as session:
        session.trust_env = False  # a proxy in the environment is not for this machine
        session.cert, session.verify = certificate, endpoints["ca"]
        yield IndexCaller(endpoints["platforms"][platform]["https"], index, session)


def _certificate(home: Home, name: str) -> tuple[str, str]:
    endpoints = home.endpoints()
    if name in endpoints["identities"]:
        identity = endpoints["identities"][name]
        return identity["cert"], identity["key"]
    producers = [producer["name"] for producer in endpoints["producers"]]
    if name not in producers:
        known = ", ".join([*endpoints["identities"], *producers])
        raise click.UsageError(f"identity {name!r} is not one of this pair's: {known}")
    issued = home.certs / "issued"
    return str(issued / f"{name}.pem"), str(issued / f"{name}.key")


def _payload(answer: requests.Response) -> etree._Element:
    from rivta.cli.call_answer import read_answer
    from rivta.soap.head import read_head
    from rivta.soap.xml import parse_xml

    fault, response = read_answer(answer.status_code, answer.content)
    if fault is not None:
        raise FaultAnswered(" ".join(f"{fault.text} {fault.detail}".split()))
    payload = read_head(parse_xml(answer.content)).payload if response else None
    if payload is None:
        raise click.ClickException(f"{answer.url} answered HTTP {answer.status_code} without a message")
    return payload
