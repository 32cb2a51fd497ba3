"""`rivta cert` as a user and a script meet it."""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from rivta.cli import cert
from rivta.cli.main import main
from rivta.tls.authority import Authority
from rivta.tls.certificates import RevocationReason
from rivta.tls.profiles import KeyKind
from rivta.tls.revocation import Revocations

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `rivta cert ...` on the home of this test: exit code, output, errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["cert", *arguments, "--home", str(home)])
        output, errors = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, output, errors

    return run


@pytest.fixture
def issued(run: Run) -> dict[str, Any]:
    """A certificate named `journal`, as `issue --json` describes it."""
    described: dict[str, Any] = from_json(
        run("issue", "journal", "--hsa-id", "SE1-J", "--key-kind", "ec-p256", "--json")
    )
    return described


def from_json(result: tuple[int, str, str]) -> Any:
    code, output, errors = result
    assert (code, errors) == (0, "")
    return json.loads(output)


def listed(run: Run, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = from_json(run("list", *arguments, "--json"))["certificates"]
    return rows


def test_issuing_makes_the_authority_and_says_where_everything_is(issued: dict[str, Any], home: Path) -> None:
    certificate = x509.load_pem_x509_certificate(Path(issued["certificate"]).read_bytes())

    assert certificate.subject.rfc4514_string() == "2.5.4.5=SE1-J,CN=journal,O=rivta demo,C=SE"
    assert (issued["name"], issued["hsa_id"]) == ("journal", "SE1-J")
    assert f"{certificate.serial_number:x}" == issued["serial"]
    assert Path(issued["ca"]) == home / "certs" / "ca.pem"
    assert stat.S_IMODE(Path(issued["key"]).stat().st_mode) == 0o600


def test_issuing_for_people_names_the_files_and_never_the_key(run: Run) -> None:
    code, output, _ = run("issue", "journal", "--hsa-id", "SE1-J", "--key-kind", "ec-p256")

    assert code == 0
    assert "journal: SE1-J, valid to " in output
    assert "issued/journal.key" in output
    assert "PRIVATE KEY" not in output


def test_issuing_again_keeps_what_is_there(run: Run, issued: dict[str, Any]) -> None:
    assert from_json(run("issue", "journal", "--hsa-id", "SE1-J", "--json")) == issued


def test_hosts_and_organisation_are_put_in(run: Run) -> None:
    run("issue", "x", "--hsa-id", "SE1", "--host", "a.example.se", "--host", "10.0.0.1", "--organisation", "Region Ö")

    [row] = listed(run)
    assert (row["hosts"], row["organisation"]) == (["a.example.se", "10.0.0.1"], "Region Ö")


def test_certificates_to_test_with_can_be_made(run: Run) -> None:
    future = f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}"
    run("issue", "old", "--hsa-id", "SE1", "--not-after", "2021-01-01", "--key-kind", "ec-p256")
    run("issue", "new", "--hsa-id", "SE1", "--not-before", future, "--key-kind", "ec-p256")
    run("issue", "nameless", "--without-hsa-id", "--key-kind", "ec-p256")

    rows = {row["name"]: row for row in listed(run)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "old": "expired",
        "new": "not yet valid",
        "nameless": "valid",
    }
    assert rows["old"]["not_after"] == "2020-12-31T23:00:00+00:00"  # midnight in Sweden
    assert rows["nameless"]["hsa_id"] is None


def test_the_list_shows_days_left_and_state(run: Run, issued: dict[str, Any]) -> None:
    code, output, _ = run("list")

    assert code == 0
    heading, row = output.splitlines()[:2]
    assert heading.split() == ["Name", "HSA-id", "Hosts", "State", "Valid", "to", "Days", "left"]
    assert row.split()[:2] == ["journal", "SE1-J"]
    assert row.split()[-1] == "729"


def test_renewing_supersedes_and_the_old_one_is_revoked_by_serial_number(run: Run, issued: dict[str, Any]) -> None:
    renewed = from_json(run("renew", "journal", "--json"))

    revoked = from_json(run("revoke", "--serial", issued["serial"], "--reason", "superseded", "--json"))

    assert revoked["serial"] == issued["serial"] != renewed["serial"]
    assert [(row["serial"], row["state"], row["superseded"]) for row in listed(run, "--all")] == [
        (renewed["serial"], "valid", False),
        (issued["serial"], "revoked", True),
    ]
    assert [row["serial"] for row in listed(run)] == [renewed["serial"]]


def test_revoking_by_name_puts_it_on_the_list_that_platforms_read(run: Run, issued: dict[str, Any]) -> None:
    code, output, _ = run("revoke", "journal")

    assert code == 0
    assert "Revoked journal" in output
    folder = Path(issued["ca"]).parent
    assert len(Revocations.load(folder / "crl.pem", folder / "ca.pem")) == 1


def test_the_lists_are_signed_anew(run: Run, issued: dict[str, Any]) -> None:
    run("revoke", "journal")

    lists = from_json(run("crl", "--json"))["lists"]

    assert [item["number"] for item in lists] == [3, 3]
    assert [item["revoked"] for item in lists] == [[issued["serial"]], []]
    assert "1 revoked" in run("crl")[1]


def test_export_writes_pkcs12_for_its_owner_only(run: Run, issued: dict[str, Any], tmp_path: Path) -> None:
    password, out = tmp_path / "password", tmp_path / "journal.p12"
    password.write_text("lösenord\n", encoding="utf-8")

    code, output, errors = run("export", "journal", "--out", str(out), "--password-file", str(password))

    assert (code, errors) == (0, "")
    assert str(out) in output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    key, certificate, chain = pkcs12.load_key_and_certificates(out.read_bytes(), "lösenord".encode())
    assert key is not None
    assert certificate is not None
    assert len(chain) == 2


def test_export_does_not_replace_a_file_unasked(run: Run, issued: dict[str, Any], tmp_path: Path) -> None:
    password, out = tmp_path / "password", tmp_path / "precious"
    password.write_text("x\n")
    out.write_text("precious")
    arguments = ("export", "journal", "--out", str(out), "--password-file", str(password))

    code, _, errors = run(*arguments)

    assert (code, out.read_text()) == (1, "precious")
    assert "give --force" in errors
    assert run(*arguments, "--force")[0] == 0


def test_export_as_pem_holds_key_certificate_and_chain(run: Run, issued: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "journal-all.pem"

    code, _, errors = run("export", "journal", "--out", str(out), "--pem")

    assert (code, errors) == (0, "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    content = out.read_bytes()
    key = serialization.load_pem_private_key(content, password=None)
    leaf, issuing, root = x509.load_pem_x509_certificates(content)
    assert leaf.public_key() == key.public_key()
    assert (leaf.issuer, issuing.issuer) == (issuing.subject, root.subject)


def test_a_trust_store_holds_both_authorities_and_no_key(run: Run, issued: dict[str, Any], tmp_path: Path) -> None:
    password, out = tmp_path / "password", tmp_path / "trust.p12"
    password.write_text("trusting\n")

    made = from_json(run("trust", "--out", str(out), "--password-file", str(password), "--json"))

    store = pkcs12.load_pkcs12(out.read_bytes(), b"trusting")
    assert (store.key, store.cert) == (None, None)
    assert [one.friendly_name for one in store.additional_certs] == [b"rivta-issuing", b"rivta-root"]
    assert made == {"file": str(out), "ca": issued["ca"]}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["export", "x", "--pem", "--password-file", "-", "--out", "x.pem"], 2, "a PEM file has no password here"),
        (["issue", "x"], 2, "give --hsa-id ID, or --without-hsa-id"),
        (["issue", "x", "--hsa-id", "SE1", "--without-hsa-id"], 2, "give --hsa-id ID, or --without-hsa-id"),
        (["issue", "x", "--hsa-id", "SE1", "--days", "0"], 2, "days"),
        (["issue", "../x", "--hsa-id", "SE1"], 1, "certificate name '../x'"),
        (["issue", "x", "--hsa-id", "SE1", "--host", "a b"], 1, "host 'a b' is neither"),
        (["issue", "x", "--hsa-id", "SE1", "--not-before", "soon"], 2, "soon"),
        (["revoke"], 2, "give the NAME of a certificate, or --serial HEX"),
        (["revoke", "journal", "--serial", "1"], 2, "give the NAME of a certificate, or --serial HEX"),
        (["revoke", "--serial", "xyz"], 2, "serial number 'xyz' is not hexadecimal"),
        (["revoke", "--serial", "12"], 1, "no certificate with serial number 12"),
        (["revoke", "gone"], 1, "no certificate was issued under this name"),
        (["revoke", "journal", "--reason", "boredom"], 2, "boredom"),
        (["renew", "gone"], 1, "no certificate was issued under this name"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    run: Run, issued: dict[str, Any], arguments: list[str], code: int, says: str
) -> None:
    result, output, errors = run(*arguments)

    assert (result, output) == (code, "")
    assert says in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["list"], ["crl"], ["renew", "x"], ["revoke", "x"]])
def test_without_an_authority_it_says_how_to_get_one(run: Run, arguments: list[str]) -> None:
    code, _, errors = run(*arguments)

    assert code == 1
    assert "there is no CA here; `rivta up` makes one" in errors


def test_an_empty_password_is_refused(run: Run, issued: dict[str, Any], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("\n")

    code, _, errors = run("export", "journal", "--out", str(tmp_path / "x"), "--password-file", str(password))

    assert code == 2
    assert "the password is empty" in errors


def test_a_folder_that_does_not_exist_is_named(run: Run, issued: dict[str, Any], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("x\n")

    code, _, errors = run(
        "export", "journal", "--out", str(tmp_path / "gone" / "x.p12"), "--password-file", str(password)
    )

    assert code == 1
    assert "gone" in errors
    assert "No such file or directory" in errors


def test_the_choices_offered_are_those_of_the_authority() -> None:
    assert tuple(kind.value for kind in KeyKind) == cert.KEY_KINDS
    assert tuple(reason.value for reason in RevocationReason) == cert.REASONS


@pytest.mark.parametrize("name", sorted(cert.command.commands))
def test_every_command_has_an_example(name: str, run: Run) -> None:
    code, output, _ = run(name, "--help")

    assert code == 0
    assert f"Example: rivta cert {name}" in output


def test_listing_changes_nothing(run: Run, issued: dict[str, Any], home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}

    run("list")

    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
    assert Authority.open(home / "certs").find("journal").hsa_id == "SE1-J"
