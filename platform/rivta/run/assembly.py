"""Putting a pair, or one platform, together: ports, certificates, tables, settings, roles, from top to bottom."""

import importlib.util
import logging
import shutil
import socket
import sysconfig
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from producers_stub.situations import Situations
from producers_stub.world import Patient, Platform, Producer, World
from rivta import shipped
from rivta.files import write_file
from rivta.run import ports
from rivta.run.endpoints import TAK_BASE, Endpoints, Identity, PlatformEndpoints, ProducerEndpoint
from rivta.run.home import Home, HomeError, create_token
from rivta.run.ports import Port
from rivta.run.roles import Renewal, Role
from rivta.run.settings import Settings, is_of_this_machine
from rivta.run.toml import to_toml
from rivta.soap import namespaces
from rivta.tls.authority import Authority, check_authorities

_log = logging.getLogger("rivta.run.assembly")

PRODUCER_SECONDS = {"national": 27.0, "regional": 25.0}
"""Timeouts nest: the national platform waits longer than the regional one that it waits for."""

_PLATFORM_SECONDS = {"national": 27.0, "regional": 29.0}
"""The regional platform waits longer for the national one, whose aggregates may have to wait for it."""
_AGGREGATE_SECONDS = {"national": 28.0, "regional": 26.0}

_OWN_SERVICES = ("monitoring", "catalogue", "index")
"""Variables of the tables for what a platform's keeper answers."""
_AGGREGATION = "aggregation:"
"""Variable `aggregation`: what the worker that took the call answers itself."""

_LOOPBACK = "127.0.0.1"
_EVERYWHERE = (ports.EVERYWHERE, ports.EVERYWHERE_V6)
_DEMO_ORGANISATION = "rivta demo"
_SETTINGS_HEADER = """\
# Settings of this platform, written anew each time `rivta up` starts it: changes here are lost.
# To run a platform from settings of your own, copy this file and use `rivta serve --config FILE`.

"""


@dataclass(frozen=True, slots=True)
class TrustedFile:
    """A PEM file with authorities to trust, and the file with their revocation lists, if there is one."""

    authorities: Path
    crl: Path | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator may choose about a pair."""

    port_base: int | None = ports.DEFAULT_BASE
    """None: any free block."""
    workers: int = 1
    """Of each platform."""
    tables: Path | None = None
    """Folder with national/, regional/ and hsa/ to work on instead of the home's own copy."""
    listen: str = _LOOPBACK
    """Address that the platforms' https listeners are open on."""
    names: tuple[str, ...] = ()
    """Further host names of this machine, for the certificates; the first one stands in WSDLs."""
    trusted: tuple[TrustedFile, ...] = ()
    """Authorities of real systems, beside the pair's own CA."""
    keep_messages: bool = False
    """Keep requests and answers as they are, to make test cases of them."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything that the supervisor needs, and what to publish when it all runs."""

    roles: tuple[Role, ...]
    listeners: Mapping[str, socket.socket]
    endpoints: Endpoints


def assemble_pair(home: Home, options: Options, report: Callable[[str], None]) -> Assembly:
    """Make the pair's folders, certificates, tables and settings, and open its sockets. `report` is told each step.

    Raises HomeError, PortInUse, AuthorityError or ValueError, having closed what it opened.
    """
    world = World.load()
    home.create()
    home.endpoints_file.unlink(missing_ok=True)
    create_token(home.admin_token_file)
    create_token(home.viewer_token_file)
    report("opening ports")
    base, listeners = _open_listeners(home, world, options)
    try:
        report("making certificates")
        _issue_certificates(home, world, options)
        tables = options.tables or _working_tables(home)
        urls = _urls(home, world, base, options)
        for platform in world.platforms:
            _write_settings(home, world, platform, options=options, tables=tables, base=base, urls=urls)
        endpoints = _pair_endpoints(home, world, base, urls)
        _write_console(home, world, endpoints, base)
    except BaseException:
        for listener in listeners.values():
            ports.close(listener)
        raise
    return Assembly(
        roles=_pair_roles(home, world, options.workers),
        listeners=listeners,
        endpoints=endpoints,
    )


def assemble_platform(home: Home, config: Path, settings: Settings) -> Assembly:
    """One platform, from its own settings. Raises HomeError or PortInUse, having closed what it opened."""
    name = settings.platform.short_name
    listeners: dict[str, socket.socket] = {}
    home.create()
    home.endpoints_file.unlink(missing_ok=True)
    create_token(settings.listen.admin_token)
    try:
        for door, address in settings.doors.items():
            listeners[f"{name}-{door}"] = ports.listen_at(address, role=f"{name}-{door}")
        listeners[f"{name}-services"] = _listen_for_services(home, name)
    except BaseException:
        for listener in listeners.values():
            ports.close(listener)
        raise
    return Assembly(
        roles=_platform_roles(name, config, settings.platform.workers, doors=settings.doors),
        listeners=listeners,
        endpoints=_platform_endpoints(home, settings),
    )


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the roles: they import the very packages that this process runs, wherever it was started.

    The working folder is no place to import from: a stray `queue.py` there must not end up in a worker.
    """
    installed = {Path(path) for name, path in sysconfig.get_paths().items() if name in ("purelib", "platlib")}
    roots = [root for root in map(_root_of, ("rivta", "producers_stub")) if root not in installed]
    given = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
    paths = dict.fromkeys([*map(str, roots), *(str(Path(path).absolute()) for path in given)])
    return {**environment, "PYTHONPATH": ":".join(paths), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def tables_are_ours(folder: Path) -> bool:
    """Whether the tables in `folder` are, byte for byte, the shipped ones."""
    return _contents(folder) == _contents(shipped.folder("routing"))


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.yaml")}


def _root_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise HomeError(f"package {package} is not installed: reinstall rivta")
    return Path(spec.origin).parents[1]


def _open_listeners(home: Home, world: World, options: Options) -> tuple[int, dict[str, socket.socket]]:
    wanted = tuple(_ports(world, options.listen))
    if options.port_base is None:
        base, listeners = ports.open_free_block(wanted)
    else:
        base, listeners = options.port_base, ports.open_ports(wanted, options.port_base)
    for platform in world.platforms:
        listeners[f"{platform.key}-services"] = _listen_for_services(home, platform.key)
    return base, listeners


def _ports(world: World, listen: str) -> Iterable[Port]:
    for platform in world.platforms:
        offset = ports.PLATFORM_OFFSETS[platform.key]
        yield Port(f"{platform.key}-https", offset + ports.HTTPS, listen)
        yield Port(f"{platform.key}-admin", offset + ports.ADMIN)
    yield Port("console", ports.CONSOLE)
    yield Port("stubs-admin", ports.STUBS_ADMIN)
    for number, producer in enumerate(world.producers):
        yield Port(f"stub-{producer.name}", ports.FIRST_PRODUCER + number)


def _listen_for_services(home: Home, platform: str) -> socket.socket:
    path = _services_socket(home, platform)
    home.create_sockets()
    try:
        return ports.listen_unix(path)
    except OSError as error:
        raise HomeError(f"{path} cannot be made: {error.strerror}. Name another home with --home") from error


def _services_socket(home: Home, platform: str) -> Path:
    return home.sockets / f"{platform}.sock"


def _issue_certificates(home: Home, world: World, options: Options) -> None:
    authority = Authority.ensure(home.certs)
    for one in options.trusted:
        check_authorities(one.authorities, now=datetime.now(UTC))
    hosts = list(dict.fromkeys(["localhost", _LOOPBACK, *_addresses(options.listen), *options.names]))
    for name, hsa_id, title in _members(world):
        authority.issue(name, hsa_id=hsa_id, common_name=title, organisation=_DEMO_ORGANISATION, hosts=hosts)
    authority.refresh_crl()


def _members(world: World) -> list[tuple[str, str, str]]:
    """Name of the certificate, HSA-id and title of each who has one."""
    return [
        *((platform.key, platform.hsa_id, platform.title) for platform in world.platforms),
        *((identity.name, identity.hsa_id, identity.title) for identity in world.identities),
        *((producer.name, producer.hsa_id, producer.title) for producer in world.producers),
    ]


def keep_certificates(home: Home) -> None:
    """Renew what of the pair's certificates and revocation lists runs out soon; they are read again while it runs.

    It is the supervisor's to do: no role has the CA's key. Raises AuthorityError or OSError.
    """
    authority = Authority.open(home.certs)
    if authority.refresh_crl():
        _log.info("revocation lists signed anew: %s", authority.crl_file)
    for name in authority.renew_due([name for name, _, _ in _members(World.load())]):
        _log.info("certificate renewed: %s", name)


def _addresses(listen: str) -> tuple[str, ...]:
    return () if listen in (_LOOPBACK, *_EVERYWHERE) else (listen,)


def _local_host(options: Options) -> str:
    """What programs on this machine call the platforms by."""
    return next(iter(_addresses(options.listen)), "localhost")


def _working_tables(home: Home) -> Path:
    """The home's copy of the shipped tables, made at the first start and the operator's from then on."""
    if not home.routing.exists():
        unfinished = home.folder / ".routing.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(shipped.folder("routing"), unfinished)
        unfinished.rename(home.routing)
    return home.routing


@dataclass(frozen=True, slots=True)
class _Urls:
    """Where everything of the pair is reached from this machine."""

    https: dict[str, str]
    public: dict[str, str]
    """The platforms, from other machines."""
    services: dict[str, str]
    producers: dict[str, str]


def _urls(home: Home, world: World, base: int, options: Options) -> _Urls:
    doors = {one.key: base + ports.PLATFORM_OFFSETS[one.key] + ports.HTTPS for one in world.platforms}
    host = _local_host(options)
    public = next((name for name in options.names if not name.startswith("*")), host)
    return _Urls(
        https={key: f"https://{ports.at(host, port)}/vp" for key, port in doors.items()},
        public={key: f"https://{ports.at(public, port)}/vp" for key, port in doors.items()},
        services={one.key: f"unix:{_services_socket(home, one.key)}" for one in world.platforms},
        producers={
            producer.name: f"https://localhost:{base + ports.FIRST_PRODUCER + number}/"
            for number, producer in enumerate(world.producers)
        },
    )


def _write_settings(
    home: Home, world: World, platform: Platform, *, options: Options, tables: Path, base: int, urls: _Urls
) -> None:
    offset = base + ports.PLATFORM_OFFSETS[platform.key]
    content: dict[str, dict[str, Any]] = {
        "platform": {
            "hsa_id": platform.hsa_id,
            "name": platform.name,
            "title": platform.title,
            "short_name": platform.key,
            "workers": options.workers,
            "state": home.platform(platform.key),
        },
        "listen": {
            "https": ports.at(options.listen, offset + ports.HTTPS),
            "url": urls.public[platform.key],
            "admin": f"{_LOOPBACK}:{offset + ports.ADMIN}",
            "admin_token": home.admin_token_file,
            "viewer_token": home.viewer_token_file,
        },
        "tls": {
            "certificate": home.certs / "issued" / f"{platform.key}.pem",
            "key": home.certs / "issued" / f"{platform.key}.key",
            "trusted": [home.certs / "ca.pem", *(one.authorities for one in options.trusted)],
            "crl": [home.certs / "crl.pem", *(one.crl or "" for one in options.trusted)],
        },
        "tables": {
            "draft": tables.absolute() / platform.key,
            "hsa": tables.absolute() / "hsa",
            "autopublish": True,
        },
        "variables": {
            **urls.https,
            **urls.producers,
            **dict.fromkeys(_OWN_SERVICES, urls.services[platform.key]),
            "aggregation": _AGGREGATION,
        },
        "timeouts": {
            "producer_seconds": PRODUCER_SECONDS[platform.key],
            "platform_seconds": _PLATFORM_SECONDS[platform.key],
        },
        "index": {"hsa_id": platform.aggregation_address},
        "aggregation": {
            "address": platform.aggregation_address,
            "deadline_seconds": _AGGREGATE_SECONDS[platform.key],
        },
        "original_consumer": {"allowed": [one.hsa_id for one in world.platforms if one.key != platform.key]},
        "contracts": {"installed": home.contracts},
    }
    if options.keep_messages:
        content["call_log"] = {"payload": True, "payload_personal_numbers": True}
    file = home.settings_file(platform.key)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_file(file, (_SETTINGS_HEADER + to_toml(content)).encode("utf-8"), mode=0o600)


def _write_console(home: Home, world: World, endpoints: Endpoints, base: int) -> None:
    """What the console's process is told: it is the patient overview, as a consumer at the national platform."""
    overview, national = endpoints["identities"]["npo"], endpoints["platforms"]["national"]
    port = base + ports.CONSOLE
    registers = [one for one in world.producers if namespaces.GET_DISPENSED_MEDICINES_1 in one.contracts]
    content = {
        "console": {
            "hosts": [f"localhost:{port}", f"{_LOOPBACK}:{port}"],
            "hsa_id": overview["hsa_id"],
            "certificate": overview["cert"],
            "key": overview["key"],
            "trusted": endpoints["ca"],
            "national": national["https"],
            "admin": national["admin"],
            "token": home.viewer_token_file,
            "index_address": national["aggregation_address"],
            "register_address": str(registers[0].addresses[0].logical_address),
            "log_address": national["id"],
        }
    }
    write_file(home.console_file, to_toml(content).encode("utf-8"), mode=0o600)


def _pair_roles(home: Home, world: World, workers: int) -> tuple[Role, ...]:
    platforms: list[Role] = []
    for platform in world.platforms:
        platforms += _platform_roles(platform.key, home.settings_file(platform.key), workers)
    console = Role(
        name="console",
        command=_command("console", "--config", home.console_file),
        listeners=(("console", "console"),),
        renewal=Renewal.IN_TURN,
    )
    return (*platforms, _producers_role(home, world.producers), console)


def _platform_roles(
    name: str, config: Path, workers: int, *, doors: Collection[str] = ("https", "admin")
) -> tuple[Role, ...]:
    def named(*wanted: str) -> tuple[tuple[str, str], ...]:
        return tuple((door, f"{name}-{door}") for door in wanted if door in doors)

    keeper = Role(
        name=f"{name}-keeper",
        command=_command("keeper", "--config", config),
        listeners=(*named("admin", "status", "tak"), ("services", f"{name}-services")),
        stops=1,
        renewal=Renewal.IN_TURN,
    )
    return keeper, *(
        Role(
            name=f"{name}-worker-{index}",
            command=_command("worker", "--config", config, "--index", index),
            listeners=named("https", "http"),
            renewal=Renewal.BESIDE,
        )
        for index in range(workers)
    )


def _producers_role(home: Home, producers: Sequence[Producer]) -> Role:
    return Role(
        name="producers",
        command=_command("producers", "--home", home.folder),
        listeners=(("admin", "stubs-admin"), *((producer.name, f"stub-{producer.name}") for producer in producers)),
        stops=1,
    )


def _command(*arguments: object) -> tuple[str, ...]:
    # With --traceback, because what a role prints goes to its log, which is where a developer looks.
    return ("-m", "rivta", "--traceback", *map(str, arguments))


def _pair_endpoints(home: Home, world: World, base: int, urls: _Urls) -> Endpoints:
    return {
        "home": str(home.folder),
        "platforms": {
            platform.key: _platform_entry(
                platform.hsa_id,
                platform.name,
                https=urls.https[platform.key],
                public_url=urls.public[platform.key],
                admin=f"{_LOOPBACK}:{base + ports.PLATFORM_OFFSETS[platform.key] + ports.ADMIN}",
                aggregation_address=platform.aggregation_address,
            )
            for platform in world.platforms
        },
        "console": None,
        "viewer": f"http://localhost:{base + ports.CONSOLE}/",
        "aggregation_address": world.platform("national").aggregation_address,
        "ca": str(home.certs / "ca.pem"),
        "crl": str(home.certs / "crl.pem"),
        "admin_token_file": str(home.admin_token_file),
        "identities": {
            identity.name: Identity(
                hsa_id=identity.hsa_id,
                cert=str(home.certs / "issued" / f"{identity.name}.pem"),
                key=str(home.certs / "issued" / f"{identity.name}.key"),
            )
            for identity in world.identities
        },
        "producers": [_producer_entry(producer, urls.producers[producer.name]) for producer in world.producers],
        "patients": [{"id": one.id, "name": one.name, "shows": one.note} for one in _patients(world)],
        "stubs": f"http://{_LOOPBACK}:{base + ports.STUBS_ADMIN}",
    }


def _patients(world: World) -> Iterable[Patient]:
    """Everybody in the demo world, and the patient of each of the testers' situations."""
    return (*world.patients, *(situation.patient for situation in Situations.load(world).situations))


def _platform_entry(
    hsa_id: str,
    name: str,
    *,
    https: str,
    public_url: str,
    admin: str,
    aggregation_address: str,
    tak: str | None = None,
    http: str | None = None,
    insecure: Sequence[str] = (),
) -> PlatformEndpoints:
    return {
        "id": hsa_id,
        "name": name,
        "https": https,
        "public_url": public_url,
        "http": http,
        "admin": f"http://{admin}",
        "tak": f"{tak or f'http://{admin}'}{TAK_BASE}",
        "aggregation_address": aggregation_address,
        "insecure": list(insecure),
    }


def _producer_entry(producer: Producer, url: str) -> ProducerEndpoint:
    behaviours = {address.default.behaviour.value for address in producer.addresses}
    return {
        "name": producer.name,
        "hsa_id": producer.hsa_id,
        "url": url,
        "logical_addresses": [address.logical_address for address in producer.addresses],
        "contracts": list(producer.contracts),
        "behaviour": behaviours.pop() if len(behaviours) == 1 else "as the address says",
    }


def _platform_endpoints(home: Home, settings: Settings) -> Endpoints:
    entry = _platform_entry(
        settings.platform.hsa_id,
        settings.platform.name,
        https=f"https://{_reachable(settings.listen.https)}/vp",
        public_url=settings.url,
        admin=_reachable(settings.listen.admin),
        aggregation_address=settings.aggregation.address or settings.platform.hsa_id,
        tak=_tak_url(settings.listen.tak),
        http=f"http://{_reachable(settings.listen.http)}/vp" if settings.listen.http else None,
        insecure=settings.insecure_switches.switched_on(),
    )
    return {
        "home": str(home.folder),
        "platforms": {settings.platform.short_name: entry},
        "console": None,
        "viewer": None,
        "aggregation_address": entry["aggregation_address"],
        "ca": str(settings.tls.trusted[0]) if settings.tls.trusted else "",
        "crl": str(settings.tls.crl[0]) if settings.tls.crl else None,
        "admin_token_file": str(settings.listen.admin_token),
        "identities": {},
        "producers": [],
        "patients": [],
        "stubs": None,
    }


def _tak_url(address: str | None) -> str | None:
    if address is None:
        return None
    return f"{'http' if is_of_this_machine(address) else 'https'}://{_reachable(address)}"


def _reachable(address: str) -> str:
    host, port = ports.host_and_port(address)
    return f"localhost:{port}" if host in _EVERYWHERE else address
