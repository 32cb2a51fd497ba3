"""`endpoints.json`: what a running pair tells others about itself. Its fields are fixed: scripts read them."""

from typing import TypedDict

TAK_BASE = "/tak-services"
"""Where the catalogue's SOAP services are, below the URL of the door that they are behind: the incumbent's path."""


class PlatformEndpoints(TypedDict):
    """One platform; a URL is None when that door is closed."""

    id: str
    """HSA-id of the platform."""
    name: str
    """Its name on the wire, in faults."""
    https: str
    """The whole URL of `/vp`, from this machine."""
    public_url: str
    """The same from other machines, as it stands in WSDLs: by the name of `rivta up --name`, if any."""
    http: str | None
    """The whole URL of `/vp` without TLS."""
    admin: str
    """Base URL of its admin API."""
    tak: str
    """Base URL of the catalogue's SOAP services, as http://127.0.0.1:20012/tak-services."""
    aggregation_address: str
    """Logical address of its aggregating services and its engagement index."""
    insecure: list[str]
    """Names of the switches of `insecure` that are on."""


class Identity(TypedDict):
    """A consumer whose certificate anybody at this machine may use."""

    hsa_id: str
    cert: str
    key: str


class ProducerEndpoint(TypedDict):
    """A stub producer."""

    name: str
    hsa_id: str
    url: str
    logical_addresses: list[str]
    contracts: list[str]
    behaviour: str


class Patient(TypedDict):
    """A test person."""

    id: str
    name: str
    shows: str
    """What a call about the person shows, or what is special about them; may be empty."""


class Endpoints(TypedDict):
    """The whole file. Paths are absolute."""

    home: str
    platforms: dict[str, PlatformEndpoints]
    console: str | None
    viewer: str | None
    aggregation_address: str | None
    """The national platform's."""
    ca: str
    crl: str | None
    admin_token_file: str
    identities: dict[str, Identity]
    producers: list[ProducerEndpoint]
    patients: list[Patient]
    stubs: str | None
    """Base URL of the stub producers' admin API."""
