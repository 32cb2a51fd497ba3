"""The settings of one platform: one TOML file, read and checked once when a process starts.

Every key carries its description, unit and, where there is one, the property of the incumbent router (VP) that it
corresponds to; `keys()` lists them, and the manual, the console and `rivta config` are made from that list.
"""

import dataclasses
import difflib
import ipaddress
import re
import tomllib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from rivta.aggregation.services import Service, services
from rivta.catalogue.quirks import QUIRKS, Dates, RegistryRules
from rivta.router.deviations import DEVIATIONS, Compat, Insecure
from rivta.router.headers import HeaderRules
from rivta.router.policy import CERTIFICATE_HEADER
from rivta.run.ports import host_and_port
from rivta.run.toml import toml_value
from rivta.soap.identifiers import ContractNamespace
from rivta.tls.contexts import TlsSetupError, check_offer

Policy = Literal["reject", "report", "off"]
"""What to do with a message that breaks its contract: refuse it, pass it on and report it, or not look."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a settings file."""

    key: str
    """Its path, as `validation.request`."""
    value: str
    """As it stands in the file; empty when a mandatory key is missing or the value may be a secret."""
    expected: str


class SettingsError(ValueError):
    """A settings file that cannot be used, with everything that is wrong in it."""

    def __init__(self, file: Path, problems: tuple[Problem, ...]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(f"{file}: {_worded(problem)}" for problem in problems))


def _worded(problem: Problem) -> str:
    where = f"{problem.key}: " if problem.key else ""
    found = f"found {problem.value}, " if problem.value else ""
    return f"{where}{found}{problem.expected}"


def _in_folder_of_the_file(path: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path.cwd())
    return folder / path.expanduser()


def _an_address(text: str) -> str:
    host, separator, port = text.rpartition(":")
    is_v6 = host[:1] == "[" and host[-1:] == "]" and _is_ip(host[1:-1])
    if not (separator and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError('an address and a port, as "127.0.0.1:20010"')
    if not is_v6 and any(sign in host for sign in ":[]"):
        raise ValueError('an address of IPv6 in brackets and a port, as "[::1]:20010"')
    return text


def _of_this_machine(address: str) -> str:
    if not is_of_this_machine(address):
        raise ValueError('an address of this machine only, as "127.0.0.1:20012": the admin API speaks plain http')
    return address


def is_of_this_machine(address: str) -> bool:
    """Whether an address and port can be reached from this machine only."""
    host, _ = host_and_port(address)
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _a_network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError('an address, or a network with its first address, as "10.1.0.0/16"') from error
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        return str(ipaddress.IPv4Network((mapped, network.prefixlen - 96)))
    return str(network)


FilePath = Annotated[Path, AfterValidator(_in_folder_of_the_file)]
"""Relative to the folder of the settings file."""
OptionalFilePath = Annotated[FilePath | None, BeforeValidator(lambda given: None if given == "" else given)]
"""The same, or the empty text, which TOML has in place of nothing."""
Address = Annotated[str, AfterValidator(_an_address)]
Network = Annotated[str, AfterValidator(_a_network)]
IdentityHeader = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,18}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, pattern=r"^\S+$")]
Seconds = Annotated[float, Field(gt=0, strict=True)]
Count = Annotated[int, Field(gt=0, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


def _key(
    description: str, default: Any = ..., *, unit: str = "", vp: str = "", factory: type[Any] | None = None
) -> Any:
    """A key of the settings; `vp` names the incumbent's property of the same meaning."""
    extra: JsonDict = {"unit": unit, "vp": vp}
    if factory is not None:
        return Field(default_factory=factory, description=description, json_schema_extra=extra)
    return Field(default, description=description, json_schema_extra=extra)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Platform(_Section):
    """Who this platform is."""

    hsa_id: Identifier = _key("HSA-id of the platform: the sender that other platforms see.", vp="vp.instance.id")
    name: Annotated[str, StringConstraints(min_length=1)] = _key(
        "Name on the wire, shown in every fault.", vp="vp.instance.name"
    )
    title: str = _key("Name for people.", "")
    short_name: Word = _key("Name of its processes, logs and sockets, at most 19 characters.", "platform")
    workers: Count = _key("Worker processes that share the listeners.", 1, unit="processes")
    state: FilePath = _key("Folder for the database, compiled tables, spools, metrics and ECS log.", Path())


class Listen(_Section):
    """Where the platform can be reached."""

    https: Address = _key("Address and port of the mutual-TLS listener.", vp="vp.https.route.url")
    http: Address | None = _key(
        "Address and port of a listener without TLS; left out: none. It serves WSDLs and schemas, and refuses every "
        "call (VP011) unless `insecure.trusted_headers` is on.",
        None,
        vp="vp.http.route.url",
    )
    url: str | None = _key(
        "Where consumers reach the platform, as https://host:port/vp; left out: made of the address of `https`.", None
    )
    admin: Annotated[Address, AfterValidator(_of_this_machine)] = _key(
        "Address and port of the admin API, on this machine.", "127.0.0.1:20012"
    )
    admin_token: FilePath = _key("File with the first token of the admin API.", Path("admin.token"))
    viewer_token: FilePath | None = _key(
        "File with the token by which the patient overview's process writes the access log; left out: none does.", None
    )
    tak: Address | None = _key(
        "Address and port of the catalogue's SOAP services, for routers of another make; left out: only on the admin "
        "API's port, below /tak-services, without a token. Plain http on this machine; on any other address mutual "
        "TLS, for every certificate that the platform trusts.",
        None,
    )
    status: Address = _key(
        "Address and port of the incumbent's status, reset and actuator pages, open only with `compat.status_pages`. "
        "Whoever reaches it needs no token.",
        "127.0.0.1:1080",
        vp="vp.status.url, vp.reset.cache.url, vp.hsa.reset.cache.url, server.port",
    )


def _check_host(name: str) -> None:
    from rivta.tls.hosts import plain_host  # here, since few have targets, and it brings a library

    try:
        good = not name or (bool(plain_host(name)) and re.search(r"[*\\/:@\s]|^-|^\.|\.\.", name) is None)
    except ValueError:
        good = False
    if not (good or _is_ip(name.strip("[]"))):
        raise ValueError(f"a host or the last labels of one, without wildcard, port or path, in place of {name!r}")


class TlsTarget(_Section):
    """How some producers are called, and by whom they are trusted."""

    certificate: FilePath | None = _key(
        "PEM file with the certificate to show and its chain; left out, with `key`: the platform's own.",
        None,
        vp="vp.tls.overrides[i].bundle",
    )
    key: FilePath | None = _key("PEM file with its private key.", None, vp="vp.tls.overrides[i].bundle")
    trusted: tuple[FilePath, ...] = _key(
        "PEM files with the authorities that these producers' certificates may be from; empty: those of the platform.",
        (),
        vp="vp.tls.overrides[i].bundle",
    )
    crl: tuple[OptionalFilePath, ...] = _key(
        "Revocation lists for `trusted`, as those of the platform; without `trusted` those of the platform count.", ()
    )
    protocols: tuple[Identifier, ...] = _key(
        "Protocols to offer, as TLSv1.2; empty: TLSv1.2 and TLSv1.3.", (), vp="vp.tls.overrides[i].protocols-include"
    )
    ciphers: tuple[Identifier, ...] = _key(
        "Cipher suites to offer, named as by OpenSSL or as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; empty: all that the "
        "platform accepts. Those of TLS 1.3 go together.",
        (),
        vp="vp.tls.overrides[i].cipher-suites-include",
    )
    domain: str = _key(
        "Host of the URL, whole, in any case; then `domain_suffix` does not count.",
        "",
        vp="vp.tls.overrides[i].match.domain-name",
    )
    domain_suffix: str = _key(
        "End of the host, in whole labels and any case: example.se, or .example.se for all but that host itself. (The "
        "incumbent: as text, so that example.se is evilexample.se too.)",
        "",
        vp="vp.tls.overrides[i].match.domain-suffix",
    )
    port: Annotated[int, Field(gt=0, lt=65536, strict=True)] | None = _key(
        "Port of the URL, 443 where it has none: a condition beside domain or suffix.",
        None,
        vp="vp.tls.overrides[i].match.port",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key together, or neither")
        if self.crl and len(self.crl) != len(self.trusted):
            raise ValueError(f"as many files in crl as in trusted ({len(self.trusted)}), or none")
        for name in (self.domain, self.domain_suffix.removeprefix(".")):
            _check_host(name)
        if self.port is not None and not (self.domain or self.domain_suffix):
            raise ValueError("domain or domain_suffix beside port: a port alone matches nothing")
        return self


class Tls(_Section):
    """Certificates: the platform's own, and whom it trusts."""

    certificate: FilePath = _key(
        "PEM file with the platform's certificate and its chain, for both directions.",
        vp="spring.ssl.bundle.pem.<name>.keystore.certificate",
    )
    key: FilePath = _key("PEM file with the private key.", vp="spring.ssl.bundle.pem.<name>.keystore.private-key")
    trusted: tuple[FilePath, ...] = _key(
        "PEM files with the certificate authorities that are trusted, for both directions.",
        vp="spring.ssl.bundle.pem.<name>.truststore.certificate",
    )
    crl: tuple[OptionalFilePath, ...] = _key(
        "Files with revocation lists, PEM or DER, one for each file of `trusted` in the same order; read again when "
        'they change. "" for a file of `trusted` without one, or none at all: nothing of those authorities is revoked.',
        (),
    )
    targets: dict[Identifier, TlsTarget] = _key(
        "Other certificates for some producers. The first entry whose domain, or suffix, and port match the producer's "
        "URL is taken, in the order of the file; or the one that the producer address names in the routing tables.",
        vp="vp.tls.overrides",
        factory=dict,
    )

    @model_validator(mode="after")
    def _one_list_for_each_authority(self) -> Self:
        if self.crl and len(self.crl) != len(self.trusted):
            raise ValueError(f"as many files in crl as in trusted ({len(self.trusted)}), or none")
        return self


class Tables(_Section):
    """The routing tables and the HSA tree."""

    draft: FilePath | None = _key("Folder of the draft: routing tables as YAML.", None)
    hsa: FilePath | None = _key("Folder of the HSA tree: YAML, or the official cache as XML.", None, vp="hsa.files")
    autopublish: Switch = _key("Every valid save of a file becomes a publication by itself.", False)
    four_eyes: Switch = _key(
        "Nothing is published, nor rolled back, that not a second person has approved; without `autopublish`.", False
    )
    approval_days: Count = _key("Time to approve a proposal; then it lapses.", 7, unit="days")
    expiring_days: Count = _key("Lint warns so long before a row ends that nothing follows.", 30, unit="days")

    @model_validator(mode="after")
    def _approved_or_by_itself(self) -> Self:
        if self.four_eyes and self.autopublish:
            raise ValueError("four_eyes or autopublish: what is published by itself is approved by nobody")
        return self


class ContractValidation(_Section):
    """Validation of one contract, where it differs."""

    request: Policy | None = _key("Policy for its requests; left out: as for the platform.", None)
    response: Policy | None = _key("Policy for its answers; left out: as for the platform.", None)


class Validation(_Section):
    """Messages are checked against the schemas of their contracts."""

    request: Policy = _key("Policy for requests: reject, report or off.", "reject")
    response: Policy = _key("Policy for answers: reject, report or off.", "report")
    unknown_contract: Literal["route", "reject"] = _key("What becomes of a contract without a schema here.", "route")
    max_bytes: Count = _key("Bodies over this are large.", 2 * 1024 * 1024, unit="bytes")
    large: Literal["thread", "off"] = _key("Large bodies are validated in a thread, or pass unchecked.", "thread")
    contracts: dict[Identifier, ContractValidation] = _key(
        "Other policies for some contracts, by contract namespace.", factory=dict
    )


class Limits(_Section):
    """How much the platform takes on."""

    max_body_bytes: Count = _key(
        "Longest message, in either direction.", 50 * 1024 * 1024, unit="bytes", vp="vp.max.receive.length"
    )
    header_seconds: Seconds = _key(
        "Time for a TLS handshake, for a request head, and for each portion of a body at the lowest rate.",
        10.0,
        unit="seconds",
    )
    min_bytes_per_second: Count = _key(
        "Lowest rate at which a consumer may send a body or read an answer.", 1024, unit="bytes per second"
    )
    keep_alive_seconds: Seconds = _key("A connection without a request for so long is closed.", 75.0, unit="seconds")
    unread_seconds: Seconds = _key(
        "A connection on which nothing of an answer is read for so long is cut.", 30.0, unit="seconds"
    )
    max_target_bytes: Count = _key("Longest path and query of a request.", 8192, unit="bytes")
    max_header_bytes: Count = _key("Longest head of a request, without its first line.", 65_536, unit="bytes")
    max_headers: Count = _key("Headers of a request.", 128)
    connections: Count = _key("Connections in all; more are not accepted.", 10_000)
    connections_per_sender: Count = _key("Connections of one sender; more are answered 503.", 1000)
    held_bytes: Count = _key(
        "Long messages (over 64 KB) that are held together, requests and answers, until their answers have been read; "
        "what goes beyond it, or beyond three quarters of it by one sender, is answered 503, or VP009 when it is the "
        "producer's answer. The workers share it; each has room for four messages of `max_body_bytes`.",
        1024**3,
        unit="bytes",
    )
    handshakes_per_address: Count = _key(
        "Connections of one address (of IP version 6: one /64 network) that have not finished their TLS handshake.", 256
    )
    in_flight_per_producer: Count = _key("Calls under way to one producer address.", 64, unit="calls")
    in_flight_per_platform: Count = _key(
        "Calls under way to one address of a component marked `platform: true`.", 1000, unit="calls"
    )


class Timeouts(_Section):
    """How long a producer may take."""

    producer_seconds: Seconds = _key("Time for a producer to answer.", 29.0, unit="seconds", vp="timeout.json.file")
    connect_seconds: Seconds = _key(
        "Time to connect to a producer, and again to agree on TLS with it.",
        2.0,
        unit="seconds",
        vp="producer.https.connect.timeout",
    )
    platform_seconds: Seconds | None = _key(
        "Time for an address of a component marked `platform: true` to answer: behind it may be an aggregate, or a "
        "producer with a time of its own. Left out: as for any other.",
        None,
        unit="seconds",
    )
    contracts: dict[Identifier, Seconds] = _key(
        "Other times to answer for some contracts, by contract namespace.",
        unit="seconds",
        vp="timeout.json.file",
        factory=dict,
    )


class Retry(_Section):
    """A call is tried again only when no byte of the request had been sent."""

    attempts: Annotated[int, Field(ge=0, le=10, strict=True)] = _key("Extra tries.", 1, vp="vp.producer.retry.attempts")
    delay_seconds: Annotated[float, Field(ge=0, strict=True)] = _key(
        "Wait before each.", 2.0, unit="seconds", vp="vp.producer.retry.delay"
    )


class BreakerSettings(_Section):
    """A producer that does not answer is not asked for a while; each worker counts for itself."""

    failures: Annotated[int, Field(ge=0, strict=True)] = _key(
        "Calls to one producer address, logical address and contract that get no answer in time before such calls are "
        "refused at once; and calls in a row that cannot connect to the producer address, or not with TLS, before all "
        "of it is. 0: never. (The incumbent has none.)",
        5,
    )
    within_seconds: Seconds = _key("Time within which they count.", 30.0, unit="seconds")
    open_seconds: Seconds = _key("Time until one call may try it again.", 10.0, unit="seconds")


class Producers(_Section):
    """Connections to producers."""

    keep_alive: Switch = _key(
        "Connections are kept for the next call. Off: each call says `Connection: close`.",
        True,
        vp="producer.https.keepAlive",
    )
    idle_seconds: Seconds = _key(
        "Time that a kept connection may wait for its next call: less than producers allow, so that they never close "
        "one that is about to be used. What a producer says in a Keep-Alive header is kept to as well.",
        15.0,
        unit="seconds",
    )
    chunked: Switch = _key(
        "Requests are sent in chunks (Transfer-Encoding), without Content-Length.",
        False,
        vp="producer.chunked.encoding",
    )
    disconnect: Switch = _key(
        "The connection is closed after each call, without a word about it in the request.",
        False,
        vp="producer.https.disconnect",
    )


class CallLog(_Section):
    """The record of every call."""

    mode: Literal["asynchronous", "durable"] = _key(
        "asynchronous: written every 100 ms; durable: on disk before the answer leaves.", "asynchronous"
    )
    capacity: Count = _key("Records that wait to be written; beyond it, calls are counted but not recorded.", 20_000)
    segment_bytes: Count = _key("Length at which a worker begins a new spool segment.", 8 * 1024 * 1024, unit="bytes")
    retention_days: Count = _key("Age at which records are deleted.", 90, unit="days")
    service_name: str = _key("`service.name` in the ECS log.", "vp-services", vp="camel.springboot.name")
    payload: Switch = _key(
        "Keep every request and answer beside the records, for as long: they hold patient data. Printed at the start, "
        "and told in the platform's readiness.",
        False,
        vp="log4j2: loggers se.skl.tp.vp.logging at DEBUG",
    )
    payload_personal_numbers: Switch = _key(
        "Leave personal numbers in what is kept; otherwise they are replaced.", False
    )


class AccessLogSettings(_Section):
    """Who has looked at which patient's data, in a database of its own."""

    database: str | None = _key(
        "SQLAlchemy URL of its database, which is no platform's; left out: access.sqlite in the state folder.", None
    )
    checkpoints: FilePath | None = _key(
        "File with the log's signed heads, which is only appended to: keep copies on another machine. Left out: "
        "access-checkpoints.jsonl in the state folder.",
        None,
    )
    checkpoint_seconds: Seconds = _key("Time between two of them, when the log has grown.", 300.0, unit="seconds")
    retention_years: Annotated[int, Field(ge=5, strict=True)] = _key(
        "Age at which entries are taken away, at least 5 (HSLF-FS 2016:40 4 kap. 9 §).", 5, unit="years"
    )
    patient_services: tuple[Identifier, ...] = _key(
        "HSA-ids of the consumers that have made sure who the patient is, and may read a patient's log with "
        "GetAccessLogsForPatient; empty: all that have the permission.",
        (),
    )


class OriginalConsumer(_Section):
    """Who may say on whose behalf it calls (x-rivta-original-serviceconsumer-hsaid)."""

    allowed: tuple[Identifier, ...] = _key(
        "HSA-ids of the senders that may name another than themselves: other platforms. (The incumbent: empty is all.)",
        (),
        vp="sender.id.allowed.list",
    )


class Proxy(_Section):
    """A proxy in front, which ends its clients' TLS and hands on their certificates."""

    certificate_header: IdentityHeader = _key(
        "Header with its client's certificate: PEM in one line or escaped as in a URL, or base64 of DER. The proxy "
        "must remove what clients send by that name.",
        CERTIFICATE_HEADER,
    )


class Http(_Section):
    """Whom the listener without TLS believes, with `insecure.trusted_headers` only."""

    whitelist: tuple[Network, ...] = _key(
        "Addresses and networks of the peers whose headers are believed, as 10.1.2.3 or 10.1.0.0/16; empty: nobody's. "
        "(The incumbent: beginnings of addresses, as text.)",
        ("127.0.0.1/32",),
        vp="ip.whitelist",
    )
    certificate_header: IdentityHeader = _key(
        "Header with the certificate of a peer's client.", CERTIFICATE_HEADER, vp="http.forwarded.header.auth_cert"
    )
    forwarded_for_header: IdentityHeader = _key(
        "Header with the address of a peer's client: logged, and for internal calls looked up in the whitelist. Taken "
        "from named proxies too.",
        "X-Forwarded-For",
        vp="http.forwarded.header.xfor",
    )


class Loops(_Section):
    """Calls that come back (VP014)."""

    routing_history: Switch = _key(
        "Look for loops in x-rivta-routing-history, and enter this platform in it; otherwise it passes as it came.",
        True,
        vp="vp.use.routing.history",
    )


class Correlation(_Section):
    """The correlation id (x-skltp-correlation-id)."""

    to_https: Switch = _key(
        "Pass it to every https producer; otherwise only to components marked `platform: true`.",
        False,
        vp="propagate.correlation.id.for.https",
    )


def _a_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_a_pattern)]
"""A regular expression, as Python has them."""
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]


class Headers(_Section):
    """HTTP headers on the way through. Those of one connection, and those that tell who calls, never pass."""

    user_agent: str = _key("User-Agent.", "rivta", vp="vp.header.user.agent")
    content_type: str = _key("Content-Type.", "text/xml;charset=UTF-8", vp="vp.header.content.type")
    request_remove: Pattern = _key(
        "Names of a consumer's headers that do not go on to the producer: a regular expression for the whole name.",
        HeaderRules().request_remove,
        vp="headers.reg.exp.requestHeadersToRemove",
    )
    request_keep: Pattern = _key(
        "Those that go on in spite of it.", HeaderRules().request_keep, vp="headers.reg.exp.requestHeadersToKeep"
    )
    response_remove: Pattern = _key(
        "Names of a producer's headers that do not go on to the consumer: a regular expression for the whole name.",
        HeaderRules().response_remove,
        vp="headers.reg.exp.responseHeadersToRemove",
    )
    response_keep: Pattern = _key(
        "Those that go on in spite of it.", HeaderRules().response_keep, vp="headers.reg.exp.responseHeadersToKeep"
    )


class Forwarded(_Section):
    """Headers in which a proxy in front tells where its clients reach it: what WSDLs say, in place of `listen.url`."""

    proto: HeaderName = _key("http or https.", "X-VP-Forwarded-Proto", vp="http.forwarded.header.proto")
    host: HeaderName = _key("Host name.", "X-VP-Forwarded-Host", vp="http.forwarded.header.host")
    port: HeaderName = _key("Port.", "X-VP-Forwarded-Port", vp="http.forwarded.header.port")


def _registry() -> type[_Section]:
    """The section of the switches that `rivta.catalogue.quirks` defines, each described by what it brings."""
    dates = _key(
        "How SokVagvalsInfo writes whole days: tak, midnights without zone, which the incumbent's routers read up to "
        "14 hours wider; zoned: first and last millisecond with offset.",
        RegistryRules().dates,
    )
    switches = {
        one.switch: (Switch, _key(f"{one.service}: as the incumbent's TAK, {one.tak}.", False)) for one in QUIRKS
    }
    return create_model("Registry", __base__=_Section, dates=(Dates, dates), **switches)  # type: ignore[call-overload, no-any-return]


if TYPE_CHECKING:

    class _Registry(_Section): ...

else:
    _Registry = _registry()


class AggregatingService(_Section):
    """How one contract is aggregated. A service of your own needs `domain`, `patient` and `records`; of one that is
    shipped, what is left out stays as it is."""

    domain: Identifier | None = _key("Service domain in the index, as riv:crm:scheduling.", None)
    categories: tuple[Identifier, ...] | None = _key(
        "Categories in the index. The index is asked for one; of several, for all, and the others are dropped.", None
    )
    patient: Identifier | None = _key(
        "Where the patient's id stands in a request: names of elements, as patientId/id.", None
    )
    source: str | None = _key("Where a request says that it wants one source, as sourceSystemHSAId.", None)
    wanted_categories: str | None = _key("Where a request says which categories it wants.", None)
    records: tuple[Identifier, ...] | None = _key(
        "Names of the elements of an answer that are joined, in the order of the schema; none: the answer is empty.",
        None,
    )
    request_element: str | None = _key("Root element of a request, where it is not the contract's name.", None)
    response_element: str | None = _key("Root element of an answer, where it is not the name and Response.", None)
    result_code: str | None = _key("resultCode of the `result` that is put into every answer; empty: none is.", None)
    log_id: str | None = _key("Its logId; empty: none.", None)
    asks: Literal["source_system", "logical_address"] | None = _key("Which address of an engagement is called.", None)
    address_in_request: str | None = _key("Where a request names the address that it goes to, beside its header.", None)
    newest_years: Annotated[int, Field(ge=0, strict=True)] | None = _key(
        "Only engagements with content at most so old; 0: all.", None, unit="years"
    )
    refused: dict[Identifier, str] | None = _key(
        "Elements that a request must not have, and the text of the fault that it gets.", None
    )
    source_seconds: Seconds | None = _key("Time for a source to answer.", None, unit="seconds")


class Aggregation(_Section):
    """The aggregating services: what is routed to `aggregation:`."""

    address: Identifier | None = _key(
        "Logical address of the aggregating services: engagements that point at it are dropped. Left out: the "
        "platform's HSA-id.",
        None,
    )
    index_address: Identifier | None = _key(
        "Logical address of the engagement index; left out: that of the aggregating services.",
        None,
    )
    deadline_seconds: Seconds = _key(
        "Time for a whole aggregate, index included: what has come by then is answered.",
        28.0,
        unit="seconds",
    )
    index_seconds: Seconds = _key("Of it, time for the index.", 20.0, unit="seconds")
    source_seconds: Seconds = _key("Time for a source to answer.", 27.0, unit="seconds")
    in_flight: Count = _key("Calls to sources that are under way for aggregates; more wait.", 2000, unit="calls")
    order: Literal["arrival", "source"] = _key(
        "Sources stand in the order in which they have answered, or in that of their addresses.", "arrival"
    )
    filtered_shown_to: tuple[Identifier, ...] = _key(
        "HSA-ids of the senders that are told, in an extension of ProcessingStatus, which sources were not asked and "
        "why. That a source has something about a patient is itself patient data.",
        (),
    )
    logical_errors: Literal["data", "failed"] = _key(
        "What a source is that answers resultCode ERROR: DataFromSource, as with the incumbent, which loses the text; "
        "or NoDataSynchFailed with it.",
        "data",
    )
    strict_status: Switch = _key(
        "A failed source has an empty lastSuccessfulSynch, which the schema demands and the incumbent leaves out.",
        False,
    )
    services: dict[Identifier, AggregatingService] = _key(
        "Services beside those that are shipped, or other keys of those, by contract namespace.", factory=dict
    )

    @field_validator("services")
    @classmethod
    def _usable(cls, given: dict[str, AggregatingService]) -> dict[str, AggregatingService]:
        services(_rows(given))
        return given

    @model_validator(mode="after")
    def _room_for_the_index(self) -> Self:
        if self.deadline_seconds < 1:
            raise ValueError("deadline_seconds of at least 1")
        return self

    @property
    def rows(self) -> dict[ContractNamespace, Service]:
        """Every aggregating service."""
        return services(_rows(self.services))


def _rows(given: dict[str, AggregatingService]) -> dict[str, dict[str, Any]]:
    return {contract: row.model_dump(exclude_unset=True, exclude_none=True) for contract, row in given.items()}


class Database(_Section):
    """Where the keeper keeps publications and the call log."""

    url: str | None = _key(
        "SQLAlchemy URL, as postgresql+psycopg://user@host/rivta; left out: rivta.sqlite in the state folder.", None
    )


class IndexSettings(_Section):
    """The engagement index."""

    hsa_id: str = _key(
        "HSA-id of the index: its logical address, and the owner of what is reported to it; empty: the platform's.",
        "",
        vp="ei.hsa.id",
    )
    alternative_hsa_ids: tuple[Identifier, ...] = _key(
        "Other logical addresses that an Update may have.", (), vp="ei.alternative.hsa.id"
    )
    reserved: tuple[Identifier, ...] = _key(
        "HSA-ids that no engagement may point at, beside those of the index itself: what would have the platform call "
        "itself.",
        (),
        vp="update-notification.not.allowed.hsaid.list",
    )
    attempts: Count = _key("Tries to deliver a notification before it is a dead letter.", 12)
    delay_seconds: Seconds = _key(
        "Wait before the second; three times as long before each after it.", 1.0, unit="seconds"
    )
    most_delay_seconds: Seconds = _key("Longest wait between two tries.", 600.0, unit="seconds")
    answer_seconds: Seconds = _key("Time for a subscriber to answer.", 60.0, unit="seconds")
    persons_per_answer: Count = _key("Persons in one answer of GetUpdates; more come when asked again.", 500)


class Contracts(_Section):
    """Contract schemas."""

    installed: FilePath | None = _key("Folder of contracts installed beside those that are shipped.", None)


def _switches(section: str, switches: type[Any]) -> type[_Section]:
    """The section of the switches that `rivta.router.deviations` defines, each described by the deviations it ends."""

    def described(name: str) -> str:
        ended = [one for one in DEVIATIONS if one.switch == f"{section}.{name}"]
        return " ".join(f"{one.about}: {one.incumbent}." for one in ended)

    keys = {one.name: (Switch, _key(described(one.name), False)) for one in dataclasses.fields(switches)}
    return create_model(section.capitalize(), __base__=_Section, **keys)  # type: ignore[call-overload, no-any-return]


if TYPE_CHECKING:

    class _Compat(_Section): ...

    class _Insecure(_Section): ...

else:
    _Compat = _switches("compat", Compat)
    _Insecure = _switches("insecure", Insecure)


class Settings(_Section):
    """Everything about one platform."""

    platform: Platform = _key("Who this platform is.")
    listen: Listen = _key("Where it can be reached.")
    tls: Tls = _key("Its certificates and whom it trusts.")
    tables: Tables = _key("Routing tables and HSA tree.", factory=Tables)
    variables: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")], str] = _key(
        "Values for ${name} in the URLs of the tables.", factory=dict
    )
    validation: Validation = _key("Checking messages against their contracts.", factory=Validation)
    limits: Limits = _key("How much it takes on.", factory=Limits)
    timeouts: Timeouts = _key("How long a producer may take.", factory=Timeouts)
    retry: Retry = _key("Calls that are tried again.", factory=Retry)
    breaker: BreakerSettings = _key("Producers that are not asked for a while.", factory=BreakerSettings)
    producers: Producers = _key("Connections to producers.", factory=Producers)
    call_log: CallLog = _key("The record of every call.", factory=CallLog)
    access_log: AccessLogSettings = _key("The record of every look at a patient's data.", factory=AccessLogSettings)
    original_consumer: OriginalConsumer = _key("Who may set the original consumer.", factory=OriginalConsumer)
    proxies: dict[Identifier, Proxy] = _key(
        "Proxies in front, by the HSA-id of the certificate that each shows. They call for their clients only.",
        factory=dict,
    )
    http: Http = _key("Whom the listener without TLS believes.", factory=Http)
    loops: Loops = _key("Calls that come back.", factory=Loops)
    correlation: Correlation = _key("The correlation id.", factory=Correlation)
    headers: Headers = _key("HTTP headers on the way through.", factory=Headers)
    registry: _Registry = _key("How the catalogue's own services answer.", factory=_Registry)
    aggregation: Aggregation = _key("The aggregating services.", factory=Aggregation)
    forwarded: Forwarded = _key("Where a proxy in front is reached.", factory=Forwarded)
    database: Database = _key("The keeper's database.", factory=Database)
    index: IndexSettings = _key("The engagement index.", factory=IndexSettings)
    contracts: Contracts = _key("Contract schemas.", factory=Contracts)
    compat: _Compat = _key("The incumbent's ways on the wire, one by one.", factory=_Compat)
    insecure: _Insecure = _key("Weakened security, each by its own name.", factory=_Insecure)

    @model_validator(mode="after")
    def _targets_can_be_offered(self) -> Self:
        for name, target in self.tls.targets.items():
            try:
                check_offer(target.protocols, target.ciphers, old_tls=self.insecure_switches.old_tls)
            except TlsSetupError as error:
                raise ValueError(f"in tls.targets.{name}, {error}") from error
        return self

    @field_validator("compat", mode="before")
    @classmethod
    def _all_of_the_incumbent(cls, given: Any) -> Any:
        """`compat = "vp"` is every switch."""
        return dataclasses.asdict(Compat.vp()) if given == "vp" else given

    @classmethod
    def load(cls, file: Path) -> Self:
        """The settings in `file`; relative paths in it are taken from its folder. Raises SettingsError."""
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(file, (Problem("", "", f"cannot be read: {error.strerror}"),)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(file, (Problem("", "", f"is not TOML: {error}"),)) from error
        return cls.parse(content, file)

    @classmethod
    def parse(cls, content: dict[str, Any], file: Path) -> Self:
        """The settings in `content`, as if it had been read from `file`. Raises SettingsError."""
        try:
            return cls.model_validate(content, context={"folder": file.resolve().parent})
        except ValidationError as error:
            raise SettingsError(file, tuple(_problem(detail) for detail in error.errors(include_url=False))) from error

    @property
    def compat_switches(self) -> Compat:
        """The section `compat` as the router reads it."""
        return Compat(**self.compat.model_dump())

    @property
    def registry_rules(self) -> RegistryRules:
        """The section `registry` as the catalogue's services read it."""
        return RegistryRules(**self.registry.model_dump())

    @property
    def index_id(self) -> str:
        """HSA-id and logical address of the engagement index."""
        return self.index.hsa_id or self.platform.hsa_id

    @property
    def insecure_switches(self) -> Insecure:
        """The section `insecure` as the router reads it."""
        return Insecure(**self.insecure.model_dump())

    @property
    def doors(self) -> dict[str, str]:
        """The addresses to listen on by name: `https`, `admin`; `http`, `status` and `tak` where they are wanted."""
        listen = self.listen
        doors = {"https": listen.https, "admin": listen.admin}
        if listen.http is not None:
            doors["http"] = listen.http
        if self.compat_switches.status_pages:
            doors["status"] = listen.status
        if listen.tak is not None:
            doors["tak"] = listen.tak
        return doors

    @property
    def url(self) -> str:
        """Where consumers reach the platform."""
        return self.listen.url or f"https://{self.listen.https}/vp"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the keeper's database."""
        return self.database.url or f"sqlite:///{self.platform.state / 'rivta.sqlite'}"

    @property
    def access_log_url(self) -> str:
        """SQLAlchemy URL of the access log's database."""
        return self.access_log.database or f"sqlite:///{self.platform.state / 'access.sqlite'}"

    @property
    def access_checkpoints(self) -> Path:
        """File with the access log's signed heads."""
        return self.access_log.checkpoints or self.platform.state / "access-checkpoints.jsonl"


@dataclass(frozen=True, slots=True)
class Key:
    """What there is to know about one key of the settings file."""

    path: str
    """As `validation.request`; `<name>` stands for a name that the operator chooses."""
    description: str
    unit: str
    default: str
    """As it would be written in TOML; empty when the key may be left out and has no value, `-` when it is mandatory."""
    vp: str
    """The incumbent's property of the same meaning, or empty."""


def keys() -> Iterator[Key]:
    """Every key, in the order of the file."""
    return _keys_of(Settings, "")


def _keys_of(section: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        nested = _section_in(field.annotation)
        if nested is None:
            yield _documented(path, field)
        else:
            yield from _keys_of(nested, f"{path}." if nested is field.annotation else f"{path}.<name>.")


def _documented(path: str, field: FieldInfo) -> Key:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return Key(
        path=path,
        description=field.description or "",
        unit=str(extra.get("unit", "")),
        default=_default_text(field),
        vp=str(extra.get("vp", "")),
    )


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "-"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined:
        return ""
    return toml_value(default)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation is, or that it maps names to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation) if typing.get_origin(annotation) is dict else ():
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return argument
    return None


def _problem(detail: ErrorDetails) -> Problem:
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        return Problem(key, "", _unknown_key(location))
    if detail["type"] == "missing":
        return Problem(key, "", "missing: it is mandatory")
    value = "" if key.startswith("database.") or key == "access_log.database" else toml_value(detail["input"])
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return Problem(key, value, f"expected {message.replace('String should match pattern', 'text that matches')}")


def _unknown_key(location: list[str]) -> str:
    known = _names_at(location[:-1])
    close = difflib.get_close_matches(location[-1], known, n=1)
    if close:
        return f"unknown key: did you mean {close[0]}?"
    return f"unknown key: known here are {', '.join(known)}" if known else "unknown key: none is known here"


def _names_at(location: list[str]) -> list[str]:
    section: type[BaseModel] = Settings
    for part in location:
        field = section.model_fields.get(part)
        nested = _section_in(field.annotation) if field else None
        section = nested or section
    return list(section.model_fields)
