"""`endpoints.json`: what a running pair tells others about itself. Its fields are fixed: scripts read them."""

from typing import TypedDict


class PlatformEndpoints(TypedDict):
    """One platform; a URL is None when that door is closed."""

    id: str
    """HSA-id of the platform."""
    name: str
    """Its name on the wire, in faults."""
    https: str
    """The whole URL of `/vp`."""
    http: str | None
    admin: str
    """Base URL of its admin API."""
    tak: str | None
    """Base URL of the catalogue's SOAP services."""


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


class Endpoints(TypedDict):
    """The whole file. Paths are absolute."""

    home: str
    platforms: dict[str, PlatformEndpoints]
    console: str | None
    viewer: str | None
    aggregation_address: str | None
    ca: str
    crl: str | None
    admin_token_file: str
    identities: dict[str, Identity]
    producers: list[ProducerEndpoint]
    patients: list[Patient]
    stubs: str | None
    """Base URL of the stub producers' admin API."""
