"""An installation of VP, as real ones look, becomes settings that a platform starts from."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificates

from rivta.run.checking import Verdict, check_platform
from rivta.run.incumbent.properties import Properties
from rivta.run.incumbent.result import Finding, Takeover
from rivta.run.incumbent.rows import Fate
from rivta.run.incumbent.takeover import take_over
from rivta.run.settings import Settings
from rivta.tls.authority import Authority

LEAST = """\
vp.instance.id=SE165565594230-VP
vp.instance.name=VP
vp.https.route.url=https://0.0.0.0:20443/vp
tp.tls.store.consumer.bundle=vp
spring.ssl.bundle.pem.vp.keystore.certificate=own.pem
spring.ssl.bundle.pem.vp.keystore.private-key=file:own.key
spring.ssl.bundle.pem.vp.truststore.certificate=ca.pem
"""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates in every form: own.pem, own.key, ca.pem, own.p12, trust.p12, trust.jks."""
    folder = tmp_path_factory.mktemp("vp")
    authority = Authority.ensure(folder / "ca")
    authority.issue("own", hsa_id="SE165565594230-VP", common_name="VP", organisation="x", hosts=["localhost"])
    issued = folder / "ca" / "issued"
    (folder / "own.pem").write_bytes((issued / "own.pem").read_bytes())
    (folder / "own.key").write_bytes((issued / "own.key").read_bytes())
    (folder / "ca.pem").write_bytes((folder / "ca" / "ca.pem").read_bytes())
    own, *chain = load_pem_x509_certificates((folder / "own.pem").read_bytes())
    key: Any = load_pem_private_key((folder / "own.key").read_bytes(), None)
    hidden = BestAvailableEncryption(b"hemligt")
    (folder / "own.p12").write_bytes(pkcs12.serialize_key_and_certificates(b"vp", key, own, chain, hidden))
    trusted = [
        pkcs12.PKCS12Certificate(one, b"ca") for one in load_pem_x509_certificates((folder / "ca.pem").read_bytes())
    ]
    (folder / "trust.p12").write_bytes(pkcs12.serialize_java_truststore(trusted, hidden))
    (folder / "trust.jks").write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2")
    return folder


def taken(folder: Path, text: str, **environment: str) -> Takeover:
    file = folder / "application.properties"
    file.write_text(text, encoding="utf-8")
    return take_over(Properties.load(file, environment=environment), base=folder)


def finding(made: Takeover, name: str) -> Finding:
    return next(one for one in made.findings if one.property == name)


def settings_of(made: Takeover, folder: Path) -> Settings:
    for name, content in made.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return Settings.parse(tomllib.loads(made.settings_text(as_is=True, compat=False)), folder / "platform.toml")


def test_the_least_of_an_installation_is_a_platform(certificates: Path, tmp_path: Path) -> None:
    made = taken(certificates, LEAST)
    settings = settings_of(made, tmp_path)
    assert (settings.platform.hsa_id, settings.listen.https) == ("SE165565594230-VP", "0.0.0.0:20443")
    assert settings.tls.certificate == certificates / "own.pem"
    assert {one.fate for one in made.findings} == {Fate.TAKEN}
    assert made.files == {}


def test_what_weakened_security_is_only_a_comment(certificates: Path, tmp_path: Path) -> None:
    made = taken(certificates, LEAST + "producer.https.hostnameVerification=false\n")
    assert {"hostname_unchecked", "original_consumer_unchecked", "old_tls", "resend_after_reset"} == set(made.insecure)
    assert settings_of(made, tmp_path).insecure_switches.switched_on() == []
    assert "# hostname_unchecked = true" in made.settings_text(as_is=True, compat=False)
    assert "hostname_unchecked" not in made.settings_text(as_is=False, compat=False)
    assert finding(made, "producer.https.hostnameVerification").fate is Fate.LEFT


def test_what_was_safe_in_vp_is_not_told_as_weak(certificates: Path) -> None:
    made = taken(
        certificates,
        LEAST
        + "producer.https.hostnameVerification=true\ntp.tls.allowedIncomingProtocols=TLSv1.2\n"
        + "sender.id.allowed.list=A\nthrow.vp013.when.originalconsumer.not.allowed=true\n",
    )
    assert set(made.insecure) == {"resend_after_reset"}


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("vp.max.receive.length=1000", "limits.max_body_bytes", 1000),
        ("vp.header.user.agent=SKLTP VP/4.9", "headers.user_agent", "SKLTP VP/4.9"),
        ("propagate.correlation.id.for.https=true", "correlation.to_https", True),
        ("vp.producer.retry.delay=500", "retry.delay_seconds", 0.5),
        ("vp.producer.retry.attempts=-1", "retry.attempts", 10),
        ("producer.https.connect.timeout=2500", "timeouts.connect_seconds", 2.5),
        ("producer.https.keepAlive=false", "producers.keep_alive", False),
        ("producer.chunked.encoding=true", "producers.chunked", True),
        ("sender.id.allowed.list=A, B", "original_consumer.allowed", ("A", "B")),
        ("headers.reg.exp.responseHeadersToKeep=(?i)x-my-.*", "headers.response_keep", "(?i)x-my-.*"),
        ("vp.status.url=http://localhost:1081/status", "listen.status", "localhost:1081"),
        ("vp.status.url=http://localhost:1081/status", "compat.status_pages", True),
        ("vp.use.routing.history=false", "loops.routing_history", False),
        ("camel.main.name=vp-prod", "call_log.service_name", "vp-prod"),
        ("http.forwarded.header.host=X-Host", "forwarded.host", "X-Host"),
    ],
)
def test_a_property_becomes_a_setting(certificates: Path, tmp_path: Path, line: str, key: str, value: Any) -> None:
    found: Any = settings_of(taken(certificates, f"{LEAST}{line}\n"), tmp_path)
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


def test_the_whitelist_becomes_networks(certificates: Path, tmp_path: Path) -> None:
    made = taken(certificates, LEAST + "ip.whitelist=127.0.0.1, 10.20., 192.168.1\n")
    assert made.tables["http"]["whitelist"] == ["127.0.0.1/32", "10.20.0.0/16", "192.168.1.0/24"]
    assert finding(made, "ip.whitelist").fate is Fate.CHANGED
    settings_of(made, tmp_path)


def test_times_per_contract_come_from_their_json_file(certificates: Path, tmp_path: Path) -> None:
    rows = [
        {"tjanstekontrakt": "default_timeouts", "routetimeout": 1, "producertimeout": 28000},
        {"tjanstekontrakt": "urn:x", "producertimeout": "5000"},
        {"tjanstekontrakt": "urn:y"},
    ]
    (certificates / "timeouts.json").write_text(json.dumps(rows))
    made = taken(certificates, LEAST + "timeout.json.file=timeouts.json\n")
    assert settings_of(made, tmp_path).timeouts.contracts == {"urn:x": 5.0}
    assert settings_of(made, tmp_path).timeouts.producer_seconds == 28.0
    assert finding(made, "timeout.json.file").remark == "1 entries of it have no usable time"


@pytest.mark.parametrize(
    ("content", "words"), [("{", "is not JSON"), ("{}", "is not a list"), (None, "cannot be read")]
)
def test_a_json_file_that_cannot_be_used_is_told(certificates: Path, content: str | None, words: str) -> None:
    file = certificates / "odd.json"
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_text(content)
    made = taken(certificates, LEAST + "timeout.json.file=odd.json\n")
    assert words in finding(made, "timeout.json.file").remark


def test_contracts_that_are_not_here_are_named(certificates: Path) -> None:
    (certificates / "wsdl.json").write_text('[{"tjanstekontrakt": "urn:here"}, {"tjanstekontrakt": "urn:not-here"}]')
    (certificates / "a.properties").write_text("wsdl.json.file=wsdl.json\n")
    made = take_over(Properties.load(certificates / "a.properties"), base=certificates, shipped=["urn:here"])
    assert finding(made, "wsdl.json.file").remark == "1 of its 2 contracts are here; not here: urn:not-here"


def test_hsa_files_are_copied_in_their_order(certificates: Path, tmp_path: Path) -> None:
    (certificates / "hsacache.xml").write_text("<a/>")
    made = taken(certificates, LEAST + "hsa.files=classpath:hsacache.xml, gone.xml\n")
    assert made.files == {"hsa/00-hsacache.xml": b"<a/>"}
    assert "gone.xml cannot be read" in finding(made, "hsa.files").remark
    assert settings_of(made, tmp_path).tables.hsa == tmp_path / "hsa"


def test_lookup_rules_go_to_the_routing_tables(certificates: Path) -> None:
    made = taken(
        certificates,
        "hsa.lookup.vagval.defaultEnabled=true\nhsa.lookup.behorighet.defaultEnabled=false\n"
        "hsa.lookup.vagval.exceptedNamespaces=urn:a\ndefaultrouting.delimiter=\n",
    )
    assert made.resolution == {
        "hsa_climb": {"routes": True, "permissions": False, "except": ["urn:a"]},
        "delimiter": "",
    }
    assert finding(made, "hsa.lookup.vagval.exceptedNamespaces").fate is Fate.CHANGED


KEYSTORES = """\
tp.tls.store.location=.
tp.tls.store.producer.file=own.p12
tp.tls.store.producer.password=hemligt
tp.tls.store.truststore.file=trust.p12
tp.tls.store.truststore.password=hemligt
"""


def test_keystores_are_written_as_pem(certificates: Path, tmp_path: Path) -> None:
    made = taken(certificates, LEAST.replace("tp.tls.store.consumer.bundle=vp\n", KEYSTORES))
    settings = settings_of(made, tmp_path)
    assert load_pem_x509_certificates(settings.tls.certificate.read_bytes())[0].subject
    assert settings.tls.trusted == (tmp_path / "tls" / "truststore.pem",)
    assert b"PRIVATE KEY" in settings.tls.key.read_bytes()
    assert [one.value for one in made.findings if "password" in one.property] == ["***", "***"]


def test_a_wrong_password_and_javas_own_keystore_are_told_with_what_to_do(certificates: Path) -> None:
    wrong = KEYSTORES.replace("hemligt", "fel", 1).replace("trust.p12", "trust.jks")
    made = taken(certificates, wrong)
    assert "its password is wrong" in finding(made, "tp.tls.store.producer.file").remark
    remark = finding(made, "tp.tls.store.truststore.file").remark
    command = (
        f"keytool -importkeystore -srckeystore {certificates / 'trust.jks'} -destkeystore {certificates / 'trust.p12'}"
    )
    assert f"{command} -deststoretype PKCS12" in remark


def test_a_certificate_in_the_property_itself_is_written_to_a_file(certificates: Path, tmp_path: Path) -> None:
    pem = (certificates / "own.pem").read_text().replace("\n", "\\n\\\n")
    made = taken(certificates, LEAST.replace("certificate=own.pem", f"certificate={pem}"))
    assert settings_of(made, tmp_path).tls.certificate == tmp_path / "tls" / "vp.pem"
    assert finding(made, "spring.ssl.bundle.pem.vp.keystore.certificate").value == "PEM"


def test_overrides_become_targets_in_their_order(certificates: Path, tmp_path: Path) -> None:
    made = taken(
        certificates,
        LEAST
        + """\
vp.tls.overrides[0].name=Region X
vp.tls.overrides[0].bundle=vp
vp.tls.overrides[0].match.domain-name=vp.x.se
vp.tls.overrides[0].match.port=8443
vp.tls.overrides[0].protocols-include=TLSv1.1,TLSv1.2
vp.tls.overrides[1].name=all
vp.tls.overrides[1].match.domain-suffix=.se
vp.tls.overrides[1].cipher-suites-include[0]=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
vp.tls.overrides[1].cipher-suites-include[1]=TLS_RSA_WITH_AES_128_CBC_SHA
vp.tls.overrides[2].name=nothing
vp.tls.overrides[2].match.port=443
vp.tls.overrides[3].name=text
vp.tls.overrides[3].match.domain-suffix=example.se
""",
    )
    targets = settings_of(made, tmp_path).tls.targets
    assert list(targets) == ["Region-X", "all", "text"]
    first, other, _ = targets.values()
    assert (first.domain, first.port, first.protocols) == ("vp.x.se", 8443, ("TLSv1.2",))
    assert (other.domain_suffix, other.certificate, other.ciphers) == (
        ".se",
        None,
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",),
    )
    assert finding(made, "vp.tls.overrides[1].match.domain-suffix").remark == ""
    assert finding(made, "vp.tls.overrides[3].match.domain-suffix").remark == "in whole labels here, not as text"
    assert finding(made, "vp.tls.overrides[0].protocols-include").remark == "without TLSv1.1"
    assert finding(made, "vp.tls.overrides[2].name").fate is Fate.LEFT


def test_another_certificate_towards_producers_is_a_target_to_be_named(certificates: Path, tmp_path: Path) -> None:
    made = taken(
        certificates,
        LEAST
        + "vp.tls.default-config.name=out\nvp.tls.default-config.bundle=o\n"
        + "spring.ssl.bundle.jks.o.keystore.location=own.p12\nspring.ssl.bundle.jks.o.keystore.password=hemligt\n",
    )
    assert settings_of(made, tmp_path).tls.targets["out"].certificate == tmp_path / "tls" / "o.pem"
    assert "client_certificate: out" in finding(made, "vp.tls.default-config.bundle").remark


def test_the_same_certificate_towards_producers_is_nothing_special(certificates: Path, tmp_path: Path) -> None:
    made = taken(certificates, LEAST + "vp.tls.default-config.name=out\nvp.tls.default-config.bundle=vp\n")
    assert settings_of(made, tmp_path).tls.targets == {}
    assert finding(made, "vp.tls.default-config.bundle").fate is Fate.TAKEN


def test_every_property_is_spoken_of_once(certificates: Path) -> None:
    made = taken(certificates, LEAST + "what.is.this=1\nvp.logging.style=ECS\nx=${nope}\nvp.host=0.0.0.0\n")
    assert len(made.findings) == len({one.property for one in made.findings}) == len(list(made.properties))
    assert finding(made, "what.is.this").remark.startswith("unknown")
    assert finding(made, "x").remark == "${nope} has no value: give it with --set nope=VALUE"


@pytest.mark.sockets
def test_a_platform_would_start_from_it(certificates: Path, tmp_path: Path) -> None:
    settings = settings_of(taken(certificates, LEAST), tmp_path)
    checks = list(check_platform(settings, now=datetime.now(UTC)))
    assert [one for one in checks if one.verdict is Verdict.PROBLEM] == []
