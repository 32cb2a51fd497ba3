"""One platform's settings: read once, refused with everything that is wrong."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.catalogue.quirks import RegistryRules
from rivta.router.deviations import Compat, Insecure
from rivta.run.assembly import child_environment
from rivta.run.settings import Settings, SettingsError, keys
from rivta.run.toml import to_toml

FILE = Path("/etc/rivta/platform.toml")
LEAST: dict[str, dict[str, Any]] = {
    "platform": {"hsa_id": "SE165565594230-NTJP", "name": "NTJP"},
    "listen": {"https": "127.0.0.1:20010"},
    "tls": {"certificate": "own.pem", "key": "own.key", "trusted": ["ca.pem"]},
}


def problems(**changes: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as error:
        Settings.parse({**LEAST, **changes}, FILE)
    return str(error.value).splitlines()


def test_the_least_that_a_platform_needs_is_enough() -> None:
    settings = Settings.parse(LEAST, FILE)
    assert settings.validation.request == "reject"
    assert settings.validation.response == "report"
    assert settings.limits.max_body_bytes == 50 * 1024 * 1024


def test_a_platform_alone_waits_29_seconds_for_a_producer() -> None:
    assert Settings.parse(LEAST, FILE).timeouts.producer_seconds == 29


def test_paths_are_of_the_files_own_folder() -> None:
    settings = Settings.parse(LEAST, FILE)
    assert settings.tls.certificate == Path("/etc/rivta/own.pem")
    assert settings.tls.trusted == (Path("/etc/rivta/ca.pem"),)
    assert settings.platform.state == Path("/etc/rivta")
    assert settings.database_url == "sqlite:////etc/rivta/rivta.sqlite"


def test_an_unknown_key_is_refused_with_the_one_that_was_probably_meant() -> None:
    assert problems(validation={"requests": "off"}) == [
        f"{FILE}: validation.requests: unknown key: did you mean request?"
    ]


def test_an_unknown_section_is_refused_with_the_one_that_was_probably_meant() -> None:
    assert problems(timeout={}) == [f"{FILE}: timeout: unknown key: did you mean timeouts?"]


def test_an_insecure_switch_that_does_not_exist_is_refused() -> None:
    (problem,) = problems(insecure={"hostnames": True})
    assert problem.startswith(f"{FILE}: insecure.hostnames: unknown key: ")


def test_compat_vp_is_every_switch_of_compat_and_weakens_nothing() -> None:
    settings = Settings.parse(LEAST | {"compat": "vp"}, FILE)
    assert settings.compat_switches == Compat.vp()
    assert settings.insecure_switches == Insecure()


def test_a_wrong_value_is_shown_with_what_was_expected() -> None:
    assert problems(validation={"request": "rejekt"}) == [
        f"{FILE}: validation.request: found \"rejekt\", expected 'reject', 'report' or 'off'"
    ]


@pytest.mark.parametrize("address", ["20010", ":20010", "localhost:", "localhost:99999", "localhost:x"])
def test_a_listener_needs_an_address_and_a_port(address: str) -> None:
    (problem,) = problems(listen={"https": address})
    assert problem.startswith(f'{FILE}: listen.https: found "{address}", expected an address and a port')


@pytest.mark.parametrize("address", ["::1:20010", "[::1:20010", "::1]:20010", "[localhost]:20010", "[]:20010"])
def test_an_address_of_ipv6_stands_in_brackets(address: str) -> None:
    """Without them nobody can tell where it ends."""
    (problem,) = problems(listen={"https": address})
    assert problem.endswith('expected an address of IPv6 in brackets and a port, as "[::1]:20010"')


@pytest.mark.parametrize(
    "name", ["*.example.se", "https://example.se", "example.se:8443", "-x.se", "a..se", "a b", "a@b", "x/y"]
)
@pytest.mark.parametrize("key", ["domain", "domain_suffix"])
def test_a_target_that_could_match_nothing_is_refused(key: str, name: str) -> None:
    tls = {"certificate": "a", "key": "b", "trusted": ["c"], "targets": {"x": {key: name}}}
    (problem,) = problems(tls=tls)
    assert "a host or the last labels of one" in problem


@pytest.mark.parametrize(
    "name", ["example.se", "Räka.se", "xn--rka-qla.se", "[2001:db8::1]", "2001:db8::1", "10.0.0.1"]
)
def test_a_target_has_a_host(name: str) -> None:
    tls = {"certificate": "a", "key": "b", "trusted": ["c"], "targets": {"x": {"domain": name}}}
    assert Settings.parse(LEAST | {"tls": tls}, FILE).tls.targets["x"].domain == name


def test_everything_that_is_wrong_is_said_at_once() -> None:
    found = problems(
        platform={"hsa_id": "SE 1", "workers": 0},
        validation={"contracts": {"urn:riv:x": {"request": "no"}}},
        call_log={"mode": "fast"},
    )
    assert [line.split(": ")[1] for line in found] == [
        "platform.hsa_id",
        "platform.name",
        "platform.workers",
        "validation.contracts.urn:riv:x.request",
        "call_log.mode",
    ]


def test_a_number_in_quotes_is_not_a_number() -> None:
    assert problems(platform={**LEAST["platform"], "workers": "2"})[0].endswith("expected a valid integer")


def with_target(**target: Any) -> dict[str, Any]:
    return {"tls": {**LEAST["tls"], "targets": {"other": target}}}


def test_other_certificates_for_some_producers_keep_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    targets = "".join(f'[tls.targets.{name}]\ndomain = "{name}.test"\n' for name in ("z", "a", "m"))
    file.write_text(to_toml(LEAST) + targets)
    assert list(Settings.load(file).tls.targets) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"certificate": "c.pem"}, "tls.targets.other: .*certificate and key together, or neither"),
        ({"port": 443}, "tls.targets.other: .*a port alone matches nothing"),
        ({"domain": "a.test", "port": 65536}, "tls.targets.other.port: "),
        ({"trusted": ["a.pem"], "crl": ["a.crl", "b.crl"]}, "as many files in crl as in trusted"),
        ({"protocols": ["TLSv1"]}, "in tls.targets.other, protocol TLSv1: not among those that may be spoken"),
        ({"ciphers": ["NULL"]}, "in tls.targets.other, cipher NULL: not among those that may be offered"),
    ],
)
def test_a_target_that_cannot_be_meant_so_is_refused(target: dict[str, Any], words: str) -> None:
    assert re.search(words, "\n".join(problems(**with_target(**target))))


def test_old_tls_towards_a_producer_takes_the_switch_that_weakens() -> None:
    old = with_target(domain="a.test", protocols=["TLSv1", "TLSv1.1"])
    assert Settings.parse({**LEAST, **old, "insecure": {"old_tls": True}}, FILE).tls.targets["other"].protocols


def test_the_database_url_may_hold_a_password_and_is_never_shown() -> None:
    assert problems(database={"url": ["postgresql://rivta:hemligt@db/rivta"]}) == [
        f"{FILE}: database.url: expected a valid string"
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file"):
        Settings.load(tmp_path / "missing.toml")


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    file.write_text("[platform]\nhsa_id = SE1\n")
    with pytest.raises(SettingsError, match=r"platform\.toml: is not TOML: .*line 2"):
        Settings.load(file)


def test_every_key_is_described_and_has_a_default_or_is_mandatory() -> None:
    documented = list(keys())
    assert [key.path for key in documented if not key.description] == []
    assert {key.path for key in documented if key.default == "-"} == {
        "platform.hsa_id",
        "platform.name",
        "listen.https",
        "tls.certificate",
        "tls.key",
        "tls.trusted",
    }


def test_every_time_and_size_has_a_unit() -> None:
    for key in keys():
        assert key.unit or not key.path.endswith(("_seconds", "_bytes", "_days")), key.path


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    content = {**LEAST, "variables": {"takecare-ks": "https://localhost:20031/", "national": "https://[::1]:1/vp"}}
    file = tmp_path / "platform.toml"
    file.write_text(to_toml(content), encoding="utf-8")
    assert Settings.load(file) == Settings.parse(content, file)


@given(
    st.dictionaries(
        st.text(), st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.lists(st.text()))
    )
)
def test_any_text_survives_being_written_as_toml(values: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml({"table": values}))["table"] == values


def test_reading_settings_needs_nothing_heavy() -> None:
    program = (
        "import sys, rivta.run.settings;"
        "print(sorted({m.partition('.')[0] for m in sys.modules}"
        "& {'yaml', 'sqlalchemy', 'spyne', 'lxml', 'aiohttp', 'cryptography', 'requests', 'rich', 'click'}))"
    )
    assert (
        subprocess.check_output([sys.executable, "-c", program], text=True, env=child_environment(os.environ)) == "[]\n"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_the_admin_api_is_not_opened_to_other_machines(host: str) -> None:
    content = LEAST | {"listen": {"https": "127.0.0.1:20010", "admin": f"{host}:20012"}}
    with pytest.raises(SettingsError, match=r"listen\.admin: .*plain http"):
        Settings.parse(content, FILE)


@pytest.mark.parametrize("pattern", ["(", "x(?i)y", "[a"])
def test_a_filter_that_is_no_regular_expression_is_refused_with_its_place(pattern: str) -> None:
    (problem,) = problems(headers={"response_keep": pattern})
    assert f'headers.response_keep: found "{pattern}", expected a regular expression: ' in problem


@pytest.mark.parametrize("name", ["", "a b", "a:"])
def test_a_header_has_a_name_of_http(name: str) -> None:
    (problem,) = problems(forwarded={"host": name})
    assert "forwarded.host: found " in problem


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]"])
def test_the_admin_api_may_be_at_any_address_of_this_machine(host: str) -> None:
    content = LEAST | {"listen": {"https": "127.0.0.1:20010", "admin": f"{host}:20012"}}
    assert Settings.parse(content, FILE).listen.admin == f"{host}:20012"


def test_plain_http_is_off_and_believes_this_machine_only() -> None:
    settings = Settings.parse(LEAST, FILE)
    assert (settings.listen.http, settings.http.whitelist, dict(settings.proxies)) == (None, ("127.0.0.1/32",), {})


@pytest.mark.parametrize(
    ("written", "meant"),
    [("10.1.2.3", "10.1.2.3/32"), ("10.1.0.0/16", "10.1.0.0/16"), ("2001:db8::/32", "2001:db8::/32"),
     ("::ffff:10.1.0.0/112", "10.1.0.0/16")],
)  # fmt: skip
def test_a_whitelist_has_addresses_and_networks(written: str, meant: str) -> None:
    assert Settings.parse(LEAST | {"http": {"whitelist": [written]}}, FILE).http.whitelist == (meant,)


@pytest.mark.parametrize("written", ["10.1.", "10.1.2.3/16", "localhost", ""])
def test_the_incumbents_beginnings_of_addresses_are_refused(written: str) -> None:
    with pytest.raises(SettingsError, match=r"http\.whitelist\.0: found .*an address, or a network"):
        Settings.parse(LEAST | {"http": {"whitelist": [written]}}, FILE)


def test_a_proxy_is_named_by_its_hsa_id() -> None:
    settings = Settings.parse(LEAST | {"proxies": {"SE1-P": {}, "SE1-Q": {"certificate_header": "SSL_CERT"}}}, FILE)
    assert {name: one.certificate_header for name, one in settings.proxies.items()} == {
        "SE1-P": "x-vp-auth-cert",
        "SE1-Q": "SSL_CERT",
    }
    with pytest.raises(SettingsError, match=r"proxies\.SE1-P\.certificate_header"):
        Settings.parse(LEAST | {"proxies": {"SE1-P": {"certificate_header": "no header"}}}, FILE)


def test_the_catalogues_services_may_be_open_to_other_machines_and_answer_as_tak() -> None:
    content = LEAST | {"registry": {"dates": "zoned", "bare_ping": True}}
    content["listen"] = LEAST["listen"] | {"tak": "0.0.0.0:20013"}

    settings = Settings.parse(content, FILE)

    assert settings.listen.tak == "0.0.0.0:20013"
    assert settings.registry_rules == RegistryRules(dates="zoned", bare_ping=True)
    with pytest.raises(SettingsError, match="registry.dates"):
        Settings.parse(LEAST | {"registry": {"dates": "local"}}, FILE)
