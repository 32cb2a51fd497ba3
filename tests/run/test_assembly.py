"""Putting a pair together: what is on the disk, who gets which socket, and what is published."""

import ipaddress
import os
import ssl
import stat
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from producers_stub.world import World
from rivta import shipped
from rivta.run import ports
from rivta.run.assembly import (
    Assembly,
    Options,
    TrustedFile,
    assemble_pair,
    assemble_platform,
    child_environment,
    keep_certificates,
    tables_are_ours,
)
from rivta.run.home import Home, HomeError
from rivta.run.ports import PortInUse
from rivta.run.settings import Settings
from rivta.tls.authority import Authority
from rivta.tls.profiles import KeyKind, Profiles
from tests.support import HAS_IPV6

pytestmark = pytest.mark.sockets


def assemble(home: Home, options: Options = Options(port_base=None)) -> Assembly:  # noqa: B008 - frozen
    assembly = assemble_pair(home, options, lambda _: None)
    for listener in assembly.listeners.values():
        ports.close(listener)
    return assembly


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("h"))


@pytest.fixture(scope="module")
def assembly(home: Home) -> Assembly:
    return assemble(home)


def settings(home: Home, platform: str) -> Settings:
    return Settings.load(home.settings_file(platform))


def test_every_platform_has_settings_that_can_be_read(home: Home, assembly: Assembly) -> None:
    assert settings(home, "national").platform.hsa_id == "SE165565594230-NTJP"
    assert settings(home, "regional").platform.title == "Regional service platform, Region Stockholm"


def test_the_certificates_and_keys_in_the_settings_exist_and_belong_together(home: Home, assembly: Assembly) -> None:
    for platform in ("national", "regional"):
        tls = settings(home, platform).tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.trusted[0])
        assert stat.S_IMODE(tls.key.stat().st_mode) == 0o600
        assert tls.crl[0].is_file()


def test_every_consumer_can_be_used_from_what_is_published(assembly: Assembly) -> None:
    assert set(assembly.endpoints["identities"]) == {"npo", "journal", "stranger"}
    for identity in assembly.endpoints["identities"].values():
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(identity["cert"], identity["key"])


def test_each_platform_lets_the_other_say_for_whom_it_calls(home: Home, assembly: Assembly) -> None:
    national, regional = settings(home, "national"), settings(home, "regional")
    assert national.original_consumer.allowed == (regional.platform.hsa_id,)
    assert regional.original_consumer.allowed == (national.platform.hsa_id,)


def test_the_timeouts_nest(home: Home, assembly: Assembly) -> None:
    assert (
        settings(home, "regional").timeouts.producer_seconds < settings(home, "national").timeouts.producer_seconds < 28
    )


def test_the_tables_get_the_addresses_of_the_pair_and_of_every_producer(home: Home, assembly: Assembly) -> None:
    variables = settings(home, "national").variables
    assert variables["regional"] == assembly.endpoints["platforms"]["regional"]["https"]
    assert variables["national"] == assembly.endpoints["platforms"]["national"]["https"]
    own = f"unix:{home.sockets}/national.sock"
    assert variables["monitoring"] == variables["catalogue"] == variables["index"] == own
    assert variables["aggregation"] == "aggregation:"
    assert {name: variables[name] for name in (one.name for one in World.load().producers)} == {
        producer["name"]: producer["url"] for producer in assembly.endpoints["producers"]
    }


def test_every_role_gets_sockets_that_are_open_and_every_socket_goes_to_a_role(assembly: Assembly) -> None:
    given = [theirs for role in assembly.roles for _, theirs in role.listeners]
    assert set(given) == set(assembly.listeners)


def test_the_workers_of_a_platform_share_its_listener(tmp_path: Path) -> None:
    roles = assemble(Home(tmp_path), Options(port_base=None, workers=3)).roles
    workers = [role for role in roles if role.name.startswith("national-worker-")]
    assert [role.listeners for role in workers] == [(("https", "national-https"),)] * 3
    assert [role.command[-1] for role in workers] == ["0", "1", "2"]


def test_workers_stop_before_what_keeps_their_records(assembly: Assembly) -> None:
    stops = {role.name: role.stops for role in assembly.roles}
    assert stops["national-worker-0"] < min(stops["national-keeper"], stops["producers"])


def test_ports_are_where_the_manual_says(home: Home, assembly: Assembly) -> None:
    url = assembly.endpoints["platforms"]["national"]["https"]
    base = int(url.rpartition(":")[2].partition("/")[0]) - 10
    assert assembly.endpoints["platforms"]["national"]["admin"] == f"http://127.0.0.1:{base + 12}"
    assert assembly.endpoints["platforms"]["regional"]["https"] == f"https://localhost:{base + 20}/vp"
    assert assembly.endpoints["platforms"]["regional"]["admin"] == f"http://127.0.0.1:{base + 22}"
    assert assembly.endpoints["stubs"] == f"http://127.0.0.1:{base + 30}"
    assert assembly.endpoints["producers"][0]["url"] == f"https://localhost:{base + 31}/"


def test_what_is_published_has_exactly_the_agreed_fields(assembly: Assembly) -> None:
    endpoints: dict[str, Any] = dict(assembly.endpoints)
    agreed = "home platforms console viewer aggregation_address ca crl admin_token_file identities producers patients"
    assert set(endpoints) == {*agreed.split(), "stubs"}
    fields = "id name https public_url http admin tak aggregation_address insecure"
    assert set(endpoints["platforms"]["national"]) == set(fields.split())
    national = endpoints["platforms"]["national"]
    assert national["tak"] == f"{national['admin']}/tak-services"
    assert set(endpoints["identities"]["npo"]) == {"hsa_id", "cert", "key"}
    agreed = "name hsa_id url logical_addresses contracts behaviour"
    assert set(endpoints["producers"][0]) == set(agreed.split())
    assert set(endpoints["patients"][0]) == {"id", "name", "shows"}


def test_what_is_published_names_the_aggregating_services_and_what_each_patient_shows(
    home: Home, assembly: Assembly
) -> None:
    endpoints = assembly.endpoints
    addresses = {name: one["aggregation_address"] for name, one in endpoints["platforms"].items()}
    assert addresses == {"national": "5565594230", "regional": "SE2321000016-RTP"}
    assert endpoints["aggregation_address"] == "5565594230"
    assert {name: settings(home, name).aggregation.address for name in addresses} == addresses
    assert {name: settings(home, name).index.hsa_id for name in addresses} == addresses
    shows = {patient["id"]: patient["shows"] for patient in endpoints["patients"]}
    assert shows["199008022387"] == "all of three too slow"
    assert shows["201504122381"] == "a child"


def test_the_working_tables_are_copied_once_and_then_left_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assemble(home)
    assert tables_are_ours(home.routing)
    own = home.routing / "national" / "own.yaml"
    own.write_text("routes: []\n")
    assemble(home)
    assert own.exists()
    assert not tables_are_ours(home.routing)


def test_other_tables_are_worked_on_where_they_are(tmp_path: Path) -> None:
    home = Home(tmp_path / "pair")
    assemble(home, Options(port_base=None, tables=shipped.folder("routing")))
    assert settings(home, "national").tables.draft == shipped.folder("routing") / "national"
    assert not home.routing.exists()


def test_certificates_and_token_stay_the_same_over_a_restart(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assemble(home)
    before = (
        home.admin_token(),
        (home.certs / "issued" / "npo.pem").read_bytes(),
        (home.certs / "ca.pem").read_bytes(),
    )
    assemble(home)
    after = (home.admin_token(), (home.certs / "issued" / "npo.pem").read_bytes(), (home.certs / "ca.pem").read_bytes())
    assert after == before


def test_a_port_in_use_leaves_no_port_open(home: Home, assembly: Assembly) -> None:
    base = int(assembly.endpoints["platforms"]["national"]["https"].rpartition(":")[2].partition("/")[0]) - 10
    taken = ports.listen("127.0.0.1", base + 22, role="somebody else")
    try:
        with pytest.raises(PortInUse, match=f"port {base + 22} on 127.0.0.1, which regional-admin needs"):
            assemble_pair(home, Options(port_base=base), lambda _: None)
        ports.close(ports.listen("127.0.0.1", base + 10, role="test"))
    finally:
        ports.close(taken)


def test_a_home_with_a_long_path_works(tmp_path: Path) -> None:
    home = Home(tmp_path / ("å" * 60))
    try:
        assemble(home)
        monitoring = settings(home, "national").variables["monitoring"]
        assert len(os.fsencode(monitoring.removeprefix("unix:"))) <= 107
    finally:
        home.remove_sockets()


def test_a_platform_alone_has_its_own_endpoints(home: Home, assembly: Assembly, tmp_path: Path) -> None:
    alone = Home(tmp_path)
    config = home.settings_file("regional")
    content = tomllib.loads(config.read_text(encoding="utf-8"))
    content["listen"] |= {
        "https": "127.0.0.1:31997",
        "http": "127.0.0.1:31996",
        "admin": "127.0.0.1:31998",
        "admin_token": str(tmp_path / "token"),
    }
    content["insecure"] = {"trusted_headers": True}
    content["listen"]["tak"] = "127.0.0.1:31995"
    one = assemble_platform(alone, config, Settings.parse(content, config))
    for listener in one.listeners.values():
        ports.close(listener)
    assert [role.name for role in one.roles] == ["regional-keeper", "regional-worker-0"]
    assert one.roles[1].listeners == (("https", "regional-https"), ("http", "regional-http"))
    assert one.endpoints["platforms"]["regional"]["https"] == "https://127.0.0.1:31997/vp"
    assert one.endpoints["platforms"]["regional"]["http"] == "http://127.0.0.1:31996/vp"
    assert one.endpoints["platforms"]["regional"]["insecure"] == ["trusted_headers"]
    assert one.endpoints["platforms"]["regional"]["tak"] == "http://127.0.0.1:31995/tak-services"
    assert ("tak", "regional-tak") in one.roles[0].listeners
    assert one.endpoints["producers"] == []
    assert one.endpoints["aggregation_address"] == "SE2321000016-RTP"
    assert (tmp_path / "token").is_file()


def test_a_home_in_a_source_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "setup.cfg").touch()
    with pytest.raises(HomeError, match="source folder"):
        assemble(Home(tmp_path))


def test_roles_import_what_this_process_runs_and_nothing_from_the_working_folder() -> None:
    environment = child_environment({"PATH": "/bin", "PYTHONPATH": "relative:/absolute"})
    root = str(Path(shipped.__file__).parents[1])
    paths = environment["PYTHONPATH"].split(":")
    assert root in paths
    assert all(Path(path).is_absolute() for path in paths)
    assert environment["PYTHONSAFEPATH"] == "1"


def test_the_name_of_the_machine_stands_in_wsdls_and_programs_here_call_its_address(tmp_path: Path) -> None:
    home = Home(tmp_path)
    made = assemble(home, Options(port_base=None, listen="0.0.0.0", names=("*.example.se", "vp.example.se")))
    national = made.endpoints["platforms"]["national"]
    assert national["https"].startswith("https://localhost:")
    assert national["public_url"] == national["https"].replace("localhost", "vp.example.se")
    assert settings(home, "national").url == national["public_url"]


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_a_pair_can_be_at_an_address_of_ipv6(tmp_path: Path) -> None:
    home = Home(tmp_path)
    national = assemble(home, Options(port_base=None, listen="::1")).endpoints["platforms"]["national"]
    found = settings(home, "national")
    assert national["https"] == national["public_url"] == found.url == f"https://{found.listen.https}/vp"
    assert found.listen.https.startswith("[::1]:")
    certificate = x509.load_pem_x509_certificate(found.tls.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("::1") in names.get_values_for_type(x509.IPAddress)


def test_other_authorities_are_trusted_with_their_lists_or_without(
    tmp_path: Path, home: Home, assembly: Assembly
) -> None:
    ca, crl = home.certs / "ca.pem", tmp_path / "comes-later.crl"
    own = Home(tmp_path / "h")
    assemble(own, Options(port_base=None, trusted=(TrustedFile(ca, crl), TrustedFile(ca))))
    tls = settings(own, "regional").tls
    assert tls.trusted == (own.certs / "ca.pem", ca, ca)
    assert tls.crl == (own.certs / "crl.pem", crl, None)


def test_what_runs_out_while_a_pair_is_up_is_renewed(tmp_path: Path) -> None:
    home, now = Home(tmp_path), datetime.now(UTC)
    shipped_profiles = Profiles.shipped()
    quick = replace(
        shipped_profiles,
        root=replace(shipped_profiles.root, key=KeyKind.EC_P256),
        issuing=replace(shipped_profiles.issuing, key=KeyKind.EC_P256),
        function=replace(shipped_profiles.function, key=KeyKind.EC_P256),
    )
    earlier = Authority.create(home.certs, profiles=quick, clock=lambda: now - timedelta(days=20))
    made = {
        name: earlier.issue(name, hsa_id="SE1", common_name=name, organisation="O", hosts=["localhost"], days=days)
        for name, days in (("national", 25), ("npo", 700), ("somebody-else", 25))
    }
    number = earlier.lists()[0].number

    keep_certificates(home)
    after = Authority.open(home.certs)
    keep_certificates(home)

    assert after.find("national").serial != made["national"].serial
    assert [after.find(name).serial for name in ("npo", "somebody-else")] == [
        made[name].serial for name in ("npo", "somebody-else")
    ]
    assert [one.number for one in after.lists()] == [number + 1] * 2
