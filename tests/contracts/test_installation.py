"""Installing official releases as they come, refusing what is not one, and never leaving half of anything."""

import io
import json
import os
import shutil
import stat
import struct
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivta import shipped
from rivta.contracts import installation, samples, sources, wsdl
from rivta.contracts.domain import Contract, ContractFileError
from rivta.contracts.installation import CannotInstall, Installed, SourceRefused, install, remove
from rivta.contracts.installed import MARKER, RELEASES, Contracts, UnknownContract
from rivta.contracts.validation import Message, Validators
from rivta.soap.xml import parse_xml
from tests.contracts.releases import release, schema, written, zip_bytes, zipped
from tests.contracts.releases import wsdl as ask_wsdl

SHIPPED = shipped.folder("contracts") / "xsd"
ASK = "urn:riv:test:asking:AskResponder:1"
IN = "interactions/AskInteraction"
CORE = "core_components/core_1.0.xsd"
CORE_SCHEMA = (
    '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:riv:test:asking:1">'
    '<xs:simpleType name="T"><xs:restriction base="xs:string"/></xs:simpleType></xs:schema>'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home/contracts"


def pattern(value: str) -> str:
    """The schema of Ask whose question fits a pattern."""
    return schema(
        f'<xs:element name="question"><xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="{value}"/>'
        "</xs:restriction></xs:simpleType></xs:element>"
    )


def importing(location: str) -> str:
    """The schema of Ask with an import of the core components by that location."""
    return schema(
        '<xs:element name="question" type="core:T" xmlns:core="urn:riv:test:asking:1"/>',
        head=f'<xs:import namespace="urn:riv:test:asking:1" schemaLocation="{location}"/>',
    )


def load(folder: Path) -> Contracts:
    return Contracts.load(folder)


def only(folder: Path) -> Contract:
    (contract,) = load(folder)
    return contract


def is_usable(contract: Contract) -> bool:
    """Its messages can be checked, its WSDL served with all it imports, and a stub can answer from its sample."""
    validators = Validators(Contracts([contract]))
    base = "https://localhost/vp"
    for profile, file in contract.wsdls:
        served = parse_xml(wsdl.wsdl(contract, profile, base))
        for element in served.iter("{http://www.w3.org/2001/XMLSchema}import"):
            assert wsdl.schema(contract, profile, element.get("schemaLocation", "").partition("?xsd=")[2], base), file
    return all(
        validators.check(contract, parse_xml(make(contract)), cast(Message, kind)).valid
        for make, kind in zip((samples.request, samples.response), samples.MESSAGES, strict=True)
    )


def effects(done: Installed) -> list[tuple[str, str, str, str | None]]:
    return [(str(one.version), one.effect, one.served, one.shipped) for one in done.versions]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file that counts; the lock and the empty folder of releases do not."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


# What is installed


def test_archive_is_installed_and_of_use(folder: Path, tmp_path: Path) -> None:
    done = install([zipped(tmp_path / "ask.zip", release())], folder)
    assert effects(done) == [("Ask 1.0", "added", "1.0", None)]
    assert done.warnings == ()
    assert only(folder).domain == "test:asking"
    assert is_usable(only(folder))


def official() -> dict[str, bytes]:
    """A shipped domain with what an official archive has beside its schemas."""
    domain = SHIPPED / "clinicalprocess.healthcond.description"
    files = {path.relative_to(domain).as_posix(): path.read_bytes() for path in domain.rglob("*") if path.is_file()}
    return {
        **{f"TD_DESCRIPTION_2.1/schemas/{name}": content for name, content in files.items() if "samples" not in name},
        "TD_DESCRIPTION_2.1/pom.xml": b"<project/>",
        "TD_DESCRIPTION_2.1/docs/TKB_description.docx": b"PK not really",
        "TD_DESCRIPTION_2.1/test-suite/GetDiagnosis/soapui.xml": b"<!DOCTYPE x><broken>",
        "TD_DESCRIPTION_2.1/test-suite/GetDiagnosis/old/copy.xsd": b"not a schema",
        "TD_DESCRIPTION_2.1/code_gen/jaxws/pom.xml": b"<project/>",
        "__MACOSX/TD_DESCRIPTION_2.1/._schemas.xsd": b"\0\5",
        "TD_DESCRIPTION_2.1/.git/config.wsdl": b"?",
    }


@pytest.mark.parametrize("pack", ["zip", "folder", "folder of the domain", "folder of releases"])
def test_release_with_all_that_comes_with_it_is_installed_from_an_archive_and_from_folders(
    pack: str, folder: Path, tmp_path: Path
) -> None:
    source = {
        "zip": lambda: zipped(tmp_path / "TD.zip", official()),
        "folder": lambda: written(tmp_path / "TD", official()),
        "folder of the domain": lambda: written(tmp_path / "TD", official()) / "TD_DESCRIPTION_2.1/schemas",
        "folder of releases": lambda: written(tmp_path / "all/TD", official()).parent,
    }[pack]()
    done = install([source], folder)
    assert [str(one.version) for one in done.versions] == [
        "GetAlertInformation 2.0",
        "GetCareDocumentation 2.1",
        "GetDiagnosis 2.0",
    ]
    assert {one.effect for one in done.versions} == {"added"}
    assert [one.shipped for one in done.versions] == ["2.0", "2.1", "2.0"]
    assert done.warnings == ()
    assert all(is_usable(contract) for contract in load(folder))
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {"", ".json", ".xsd", ".wsdl", ".xml"}
    assert not list(folder.rglob("copy.xsd"))


def test_several_sources_with_several_domains_are_installed_at_once(folder: Path, tmp_path: Path) -> None:
    everything = zipped(
        tmp_path / "all.zip",
        {
            f"a b/{path.relative_to(SHIPPED).as_posix()}": path.read_bytes()
            for path in SHIPPED.rglob("*")
            if path.is_file()
        },
    )
    done = install([everything, zipped(tmp_path / "ask.zip", release())], folder)
    assert len(done.versions) == len(Contracts.load(SHIPPED)) + 1
    assert {contract.namespace for contract in load(folder)} == {
        ASK,
        *(one.namespace for one in Contracts.load(SHIPPED)),
    }
    assert done.warnings == ()


def test_byte_order_marks_are_fine(folder: Path, tmp_path: Path) -> None:
    files = {**release(schema=importing("../../" + CORE)), CORE: CORE_SCHEMA}
    install(
        [zipped(tmp_path / "ask.zip", {name: b"\xef\xbb\xbf" + text.encode() for name, text in files.items()})], folder
    )
    assert is_usable(only(folder))


def test_schemas_in_utf_16_are_fine(folder: Path, tmp_path: Path) -> None:
    files = {**release(schema=importing("../../" + CORE)), CORE: CORE_SCHEMA}
    install([zipped(tmp_path / "ask.zip", {name: text.encode("utf-16") for name, text in files.items()})], folder)
    assert is_usable(only(folder))


@pytest.mark.parametrize(
    ("name", "location"),
    [
        ("core typer.xsd", "../../core_components/core typer.xsd"),
        ("core typer.xsd", "../../core_components/core%20typer.xsd"),
        ("kärna_å.xsd", "../../core_components/kärna_å.xsd"),
        ("kärna_å.xsd", "../../core_components/k%C3%A4rna_%C3%A5.xsd"),
        ("ka\u0308rna.xsd", "../../core_components/kärna.xsd"),
        ("100%.xsd", "../../core_components/100%.xsd"),
        ("a%20b.xsd", "../../core_components/a%20b.xsd"),
        ("a#b.xsd", "../../core_components/a#b.xsd"),
        ("core.xsd", "..\\..\\core_components\\core.xsd"),
        ("core.xsd", " ../../core_components/core.xsd "),
        ("core.xsd", "../../Core_Components/CORE.xsd"),
        ("core.XSD", "../../core_components/core.xsd"),
        ("core.xsd", "./../AskInteraction/../../core_components//core.xsd"),
    ],
)
def test_odd_file_names_and_spellings_of_imports_are_understood(
    name: str, location: str, folder: Path, tmp_path: Path
) -> None:
    files = {**release(schema=importing(location)), f"core_components/{name}": CORE_SCHEMA}
    done = install([zipped(tmp_path / "ask.zip", {f"My %20 dömän/{it}": text for it, text in files.items()})], folder)
    assert done.warnings == ()
    assert is_usable(only(folder))


def test_two_odd_names_that_are_plainly_the_same_stay_two_files(folder: Path, tmp_path: Path) -> None:
    other = CORE_SCHEMA.replace("asking:1", "asking:more:1")
    text = importing("../../core_components/a b.xsd").replace(
        '<xs:element name="Ask">',
        '<xs:import namespace="urn:riv:test:asking:more:1" schemaLocation="../../core_components/a_b.xsd"/><xs:element name="Ask">',
    )
    files = {**release(schema=text), "core_components/a b.xsd": CORE_SCHEMA, "core_components/a_b.xsd": other}
    install([zipped(tmp_path / "ask.zip", files)], folder)
    assert is_usable(only(folder))


@pytest.mark.parametrize("encoding", ["cp437", "cp850", "utf-8"])
def test_names_are_read_as_windows_and_macos_write_them(encoding: str, folder: Path, tmp_path: Path) -> None:
    files = {
        **release(schema=importing("../../core_components/ärende_ÅÖ.xsd")),
        "core_components/ärende_ÅÖ.xsd": CORE_SCHEMA,
    }
    raw = {name.replace("/", "\\").encode(encoding): text for name, text in files.items()}
    placeholders = {chr(ord("p") + number) * len(name): text for number, (name, text) in enumerate(raw.items())}
    packed = zip_bytes(placeholders)
    for placeholder, name in zip(placeholders, raw, strict=True):
        packed = packed.replace(placeholder.encode(), name)
    (tmp_path / "windows.zip").write_bytes(packed)
    install([tmp_path / "windows.zip"], folder)
    assert is_usable(only(folder))


def test_files_stay_as_they_were_released(folder: Path, tmp_path: Path) -> None:
    files = {**release(schema=importing("../../" + CORE)), CORE: f"<!-- licence -->\n{CORE_SCHEMA}"}
    install([zipped(tmp_path / "ask.zip", files)], folder)
    installed = {
        path.relative_to(only(folder).folder).as_posix(): path.read_text()
        for path in only(folder).folder.rglob("*")
        if path.is_file()
    }
    assert installed.items() >= files.items()


def test_import_and_include_in_circles_are_fine(folder: Path, tmp_path: Path) -> None:
    back = f'<xs:import namespace="{ASK}" schemaLocation="../{IN}/AskResponder_1.0.xsd"/>'
    itself = '<xs:include schemaLocation="core_1.0.xsd"/>'
    other = '<xs:include schemaLocation="more.xsd"/>'
    core = CORE_SCHEMA.replace("<xs:simpleType", f"{itself}{other}{back}<xs:simpleType", 1)
    more = CORE_SCHEMA.replace("<xs:simpleType", f"{itself}<xs:simpleType", 1).replace('"T"', '"More"')
    files = {**release(schema=importing("../../" + CORE)), CORE: core, "core_components/more.xsd": more}
    install([zipped(tmp_path / "ask.zip", files)], folder)
    assert is_usable(only(folder))


# Versions


def test_two_minor_versions_are_both_kept_and_the_highest_is_served(folder: Path, tmp_path: Path) -> None:
    done = install([zipped(tmp_path / "ask.zip", {**release("1.9"), **release("1.10")})], folder)
    assert effects(done) == [("Ask 1.9", "added", "1.10", None), ("Ask 1.10", "added", "1.10", None)]
    assert only(folder).minor == 10
    assert is_usable(only(folder))
    assert len(list(only(folder).folder.glob("interactions/*/*.xsd"))) == 2


def test_lower_minor_version_that_comes_later_does_not_count(folder: Path, tmp_path: Path) -> None:
    install([zipped(tmp_path / "new.zip", release("1.2"))], folder)
    done = install([zipped(tmp_path / "old.zip", release("1.1"))], folder)
    assert effects(done) == [("Ask 1.1", "added", "1.2", None)]
    assert only(folder).minor == 2
    assert [str(version) for version in remove("Ask", folder)] == ["Ask 1.2", "Ask 1.1"]
    assert len(load(folder)) == 0


def test_two_major_versions_are_two_contracts(folder: Path, tmp_path: Path) -> None:
    install([zipped(tmp_path / "ask.zip", {**release("1.0"), **release("2.0")})], folder)
    assert [contract.short_name for contract in load(folder)] == ["Ask:1", "Ask:2"]


def test_same_version_again_replaces_it_and_the_very_same_changes_nothing(folder: Path, tmp_path: Path) -> None:
    first = zipped(tmp_path / "first.zip", release())
    other = zipped(tmp_path / "other.zip", release(schema=schema('<xs:element name="other"/>')))
    install([first], folder)
    assert effects(install([other], folder)) == [("Ask 1.0", "replaced", "1.0", None)]
    assert b"other" in only(folder).schema.read_bytes()
    assert effects(install([other], folder)) == [("Ask 1.0", "unchanged", "1.0", None)]
    assert effects(install([first], folder)) == [("Ask 1.0", "replaced", "1.0", None)]


def test_contract_of_a_release_that_is_replaced_in_part_stays(folder: Path, tmp_path: Path) -> None:
    install([zipped(tmp_path / "both.zip", {**release("1.0"), **release("2.0")})], folder)
    install([zipped(tmp_path / "one.zip", release("2.0", schema=schema('<xs:element name="new"/>', major=2)))], folder)
    one, two = load(folder)
    assert one.folder != two.folder
    assert b'"new"' in two.schema.read_bytes()
    remove("Ask:2", folder)
    assert only(folder).major == 1


def test_same_version_twice_in_what_is_given_is_said_and_the_one_nearest_the_top_counts(
    folder: Path, tmp_path: Path
) -> None:
    copy = release(schema=schema('<xs:element name="copy"/>'))
    files = {**release(), **{f"target/classes/{name}": text for name, text in copy.items()}}
    done = install([zipped(tmp_path / "ask.zip", files)], folder)
    assert done.warnings == (
        "Ask 1.0 comes twice, from target/classes of ask.zip and from . of ask.zip: the latter counts",
    )
    assert b"question" in only(folder).schema.read_bytes()
    assert (
        install(
            [written(tmp_path / "twice", {f"{n}/{name}": text for n in "ab" for name, text in release().items()})],
            folder,
        ).warnings
        == ()
    )


def test_shipped_contract_is_replaced_and_counts_again_when_the_other_is_removed(folder: Path, tmp_path: Path) -> None:
    done = install([SHIPPED / "itintegration.monitoring"], folder)
    assert effects(done) == [("PingForConfiguration 1.0", "added", "1.0", "1.0")]
    assert Contracts.shipped(folder).find("PingForConfiguration").folder.is_relative_to(folder)
    remove("PingForConfiguration:1", folder)
    assert Contracts.shipped(folder).find("PingForConfiguration").folder.is_relative_to(SHIPPED)


def test_replaced_release_stays_for_those_who_still_use_it_and_goes_later(folder: Path, tmp_path: Path) -> None:
    install([zipped(tmp_path / "a.zip", release())], folder)
    old = only(folder)
    install([zipped(tmp_path / "b.zip", release(schema=schema('<xs:element name="b"/>')))], folder)
    assert is_usable(old)
    an_hour_ago = old.folder.stat().st_mtime - 3700
    os.utime(old.folder, (an_hour_ago, an_hour_ago))
    install([zipped(tmp_path / "b.zip", release(schema=schema('<xs:element name="b"/>')))], folder)
    assert not old.folder.exists()
    assert is_usable(only(folder))


def test_release_that_somebody_damaged_is_said_and_repaired_by_adding_it_again(folder: Path, tmp_path: Path) -> None:
    source = zipped(tmp_path / "ask.zip", release())
    install([source], folder)
    next(iter(only(folder).folder.rglob("*.wsdl"))).unlink()
    with pytest.raises(ContractFileError, match=r"no longer holds Ask 1.0: add ask.zip again"):
        load(folder)
    install([source], folder)
    assert is_usable(only(folder))


def test_minor_version_of_thousands_of_digits_is_none(folder: Path, tmp_path: Path) -> None:
    text = schema().replace("<xs:schema ", f'<xs:schema version="1.{"9" * 5000}" ', 1)
    files = {f"{IN}/Ask.xsd": text, f"{IN}/Ask.wsdl": ask_wsdl("Ask.xsd")}
    install([zipped(tmp_path / "ask.zip", files)], folder)
    assert only(folder).minor == 0


def test_two_schemas_for_one_namespace_are_said_and_two_copies_of_one_are_not(folder: Path, tmp_path: Path) -> None:
    other = CORE_SCHEMA.replace("xs:string", "xs:int")
    text = importing("../../" + CORE).replace(
        "<xs:element name",
        '<xs:import namespace="urn:riv:test:asking:1" schemaLocation="other.xsd"/><xs:element name',
        1,
    )
    for second, warnings in (
        (other, (f"ask.zip: Ask imports {CORE} and {IN}/other.xsd for one namespace: only the first counts",)),
        (CORE_SCHEMA, ()),
    ):
        files = {**release(schema=text), CORE: CORE_SCHEMA, f"{IN}/other.xsd": second}
        assert install([zipped(tmp_path / "ask.zip", files)], folder).warnings == warnings


def test_redefinition_within_the_release_is_fine(folder: Path, tmp_path: Path) -> None:
    base = CORE_SCHEMA.replace("urn:riv:test:asking:1", ASK)
    text = schema(
        '<xs:element name="question" type="t:T"/>',
        head='<xs:redefine schemaLocation="base.xsd"><xs:simpleType name="T"><xs:restriction base="t:T">'
        '<xs:maxLength value="3"/></xs:restriction></xs:simpleType></xs:redefine>',
    )
    install([zipped(tmp_path / "ask.zip", {**release(schema=text), f"{IN}/base.xsd": base})], folder)
    assert is_usable(only(folder))


# Samples


def envelope(payload: str) -> str:
    return f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body>{payload}</s:Body></s:Envelope>'


REQUEST = f'<Ask xmlns="{ASK}"><question>Varför?</question></Ask>'


@pytest.mark.parametrize(
    "name", ["samples/Ask_1.0.request.xml", "samples/fråga 1.xml", "../samples/Ask/x.xml", "Exempel/fråga.xml"]
)
def test_sample_of_the_release_is_found_whatever_it_is_called(name: str, folder: Path, tmp_path: Path) -> None:
    files = {
        os.path.normpath(f"TD/schemas/{name}"): envelope(REQUEST),
        **{f"TD/schemas/{it}": text for it, text in release().items()},
    }
    done = install([zipped(tmp_path / "ask.zip", files)], folder)
    assert done.warnings == ()
    assert "Varför?" in samples.request(only(folder)).decode()
    assert b"rivta" not in samples.sample_file(only(folder), "request").read_bytes()


def test_where_the_release_has_no_sample_one_is_made_and_says_so(folder: Path, tmp_path: Path) -> None:
    install([zipped(tmp_path / "ask.zip", release())], folder)
    assert is_usable(only(folder))
    assert b"Made from the schema" in samples.sample_file(only(folder), "response").read_bytes()


def test_samples_that_are_not_valid_or_not_xml_are_named_and_stand_in_nobodys_way(folder: Path, tmp_path: Path) -> None:
    files = {
        **release(),
        "samples/wrong.xml": REQUEST.replace("question", "answer"),
        "samples/broken.xml": "<a>",
        "samples/entities.xml": '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
        "samples/other.xml": "<a/>",
    }
    done = install([zipped(tmp_path / "ask.zip", files)], folder)
    assert len(done.warnings) == 3
    for warning, expected in zip(
        done.warnings,
        (
            "broken.xml is left out: line 1: ",
            "entities.xml is left out: a document type",
            "wrong.xml is not a valid request of Ask: line 1: ns1:answer is not expected",
        ),
        strict=True,
    ):
        assert warning.startswith("ask.zip: samples/")
        assert expected in warning


def test_no_sample_can_be_made_is_said(folder: Path, tmp_path: Path) -> None:
    endless = schema(
        '<xs:element name="a" type="t:E"/>',
        types='<xs:complexType name="E"><xs:sequence><xs:element name="a" type="t:E"/></xs:sequence></xs:complexType>',
    )
    done = install([zipped(tmp_path / "ask.zip", release(schema=endless))], folder)
    assert done.warnings == (
        "ask.zip: there is no sample request of Ask: a message has more than 5000 elements, or is nested without end",
    )


# What is left out, and what is refused


def test_wsdl_of_something_else_is_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    foreign = '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" targetNamespace="urn:x"><wsdl:portType name="p"/></wsdl:definitions>'
    done = install([zipped(tmp_path / "ask.zip", {**release(), f"{IN}/other.wsdl": foreign})], folder)
    assert done.warnings == (
        f"ask.zip: {IN}/other.wsdl is left out: expected a WSDL whose targetNamespace is RIV-TA's <domain>:<Name>:<major>:<profile>, found 'urn:x'",
    )
    assert is_usable(only(folder))


def test_schema_that_nobody_needs_is_left_out_when_it_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    files = {**release(), "core_components/hl7/broken.xsd": "<xs:schema", "core_components/unused_1.0.xsd": CORE_SCHEMA}
    done = install([zipped(tmp_path / "ask.zip", files)], folder)
    assert len(done.warnings) == 1
    assert "core_components/hl7/broken.xsd is left out, and no contract needs it: line 1" in done.warnings[0]
    assert [path.name for path in only(folder).folder.rglob("core_components/**/*.xsd")] == ["unused_1.0.xsd"]


def refusal(source: Path, folder: Path) -> str:
    """The reason, once it is known that nothing has changed."""
    install([SHIPPED / "itintegration.monitoring"], folder)
    before = snapshot(folder)
    with pytest.raises(SourceRefused) as refused:
        install([SHIPPED / "itintegration.registry", source], folder)
    assert snapshot(folder) == before
    assert "staging" not in str(refused.value)
    assert str(refused.value).startswith(f"{source}: ")
    return refused.value.reason


WRONG_RELEASES: dict[str, tuple[Mapping[str, str | bytes], str]] = {
    "reaches for the network": (
        release(schema=importing("http://example.org/core.xsd")),
        "AskResponder_1.0.xsd: imports 'http://example.org/core.xsd', which is not a file of the release: put that schema",
    ),
    "reaches for the network two steps away": (
        {**release(schema=importing("../../" + CORE)), CORE: CORE_SCHEMA.replace("<xs:simple", '<xs:include schemaLocation="https://example.org/x.xsd"/><xs:simple', 1)},
        "core_1.0.xsd: imports 'https://example.org/x.xsd'",
    ),
    "reaches for a file outside": (release(schema=importing("../../../../../etc/passwd")), "which lies outside its service domain"),
    "absolute path": (release(schema=importing("/etc/passwd")), "imports '/etc/passwd', which is not a file of the release"),
    "file url": (release(schema=importing("file:///etc/passwd")), "imports 'file:///etc/passwd'"),
    "missing import": (
        release(schema=importing("../../" + CORE)),
        "AskResponder_1.0.xsd: imports '../../core_components/core_1.0.xsd', and there is no core_components/core_1.0.xsd. Put it there, from the release that it belongs to",
    ),
    "missing import that we have": (
        release(schema=importing("../../core_components/itintegration_registry_1.0.xsd")),
        "core_components/itintegration_registry_1.0.xsd says the same",
    ),
    "import that lies elsewhere": (
        {**release(schema=importing("../../" + CORE)), "core/core_1.0.xsd": CORE_SCHEMA},
        "core/core_1.0.xsd has that name: move it there, or correct the import",
    ),
    "schema with an error": (release(schema=importing("../../" + CORE)) | {CORE: CORE_SCHEMA.replace('"T"', '"U"')}, "is not a valid schema: "),
    "schema that is not XML": (release(schema="<xs:schema"), "AskResponder_1.0.xsd: line 1"),
    "document type": (release(schema="<!DOCTYPE x>" + schema()), "AskResponder_1.0.xsd: a document type declaration"),
    "entities": (release(schema='<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + schema()), "document type"),
    "document type in a WSDL": (release(wsdl="<!DOCTYPE x>" + ask_wsdl()), "document type declaration"),
    "WSDL that is not XML": (release(wsdl="<wsdl:definitions"), "AskInteraction_1.0_RIVTABP21.wsdl: line 1"),
    "group of itself": (release(schema=schema('<xs:group ref="t:G"/>', types='<xs:group name="G"><xs:sequence><xs:group ref="t:G"/></xs:sequence></xs:group>')), "is not a valid schema: "),
    "redefines itself": (release(schema=schema(head='<xs:redefine schemaLocation="AskResponder_1.0.xsd"/>')), "is not a valid schema: "),
    "model that fills the memory": (
        release(schema=schema('<xs:group ref="t:g0"/>', types="".join(f'<xs:group name="g{n}"><xs:sequence><xs:group ref="t:g{n + 1}"/><xs:group ref="t:g{n + 1}"/></xs:sequence></xs:group>' for n in range(40)) + '<xs:group name="g40"><xs:sequence><xs:element name="x"/></xs:sequence></xs:group>')),
        "a type in it holds 1099511627776 parts with all that it is made of; at most 1000 are read",
    ),
    "models that take a minute to compile": (
        release(schema=schema(types="".join(f'<xs:complexType name="T{n}"><xs:sequence>{"".join(f"""<xs:element name="e{m}"/>""" for m in range(300))}</xs:sequence></xs:complexType>' for n in range(30)))),
        "its types hold more parts in all than are read",
    ),
    "attribute groups that fill the memory": (
        release(schema=schema('<xs:element name="q"><xs:complexType><xs:attributeGroup ref="t:a0"/></xs:complexType></xs:element>', types="".join(f'<xs:attributeGroup name="a{n}"><xs:attributeGroup ref="t:a{n + 1}"/><xs:attributeGroup ref="t:a{n + 1}"/></xs:attributeGroup>' for n in range(30)) + '<xs:attributeGroup name="a30"><xs:attribute name="z"/></xs:attributeGroup>')),
        "parts with all that it is made of; at most 1000 are read",
    ),
    "unions that fill the memory": (
        release(schema=schema('<xs:element name="q" type="t:u0"/>', types="".join(f'<xs:simpleType name="u{n}"><xs:union memberTypes="t:u{n + 1} t:u{n + 1}"/></xs:simpleType>' for n in range(40)) + '<xs:simpleType name="u40"><xs:restriction base="xs:int"/></xs:simpleType>')),
        "parts with all that it is made of; at most 1000 are read",
    ),
    "unions within unions that fill the memory": (
        release(schema=schema('<xs:element name="q" type="t:u0"/>', types="".join(f'<xs:simpleType name="u{n}"><xs:union><xs:simpleType><xs:restriction base="t:u{n + 1}"/></xs:simpleType><xs:simpleType><xs:restriction base="t:u{n + 1}"/></xs:simpleType></xs:union></xs:simpleType>' for n in range(40)) + '<xs:simpleType name="u40"><xs:union memberTypes="xs:int xs:date"/></xs:simpleType>')),
        "parts with all that it is made of; at most 1000 are read",
    ),
    "thousands that stand in for one": (
        release(schema=schema('<xs:element ref="t:h"/>', types='<xs:element name="h"/>' + "".join(f'<xs:element name="s{n}" substitutionGroup="t:h"/>' for n in range(1500)))),
        "a type in it holds 1501 parts with all that it is made of",
    ),
    "types of types without end": (
        release(schema=schema('<xs:element name="q" type="t:r0"/>', types="".join(f'<xs:simpleType name="r{n}"><xs:restriction base="t:r{n + 1}"/></xs:simpleType>' for n in range(5000)) + '<xs:simpleType name="r5000"><xs:restriction base="xs:int"/></xs:simpleType>')),
        "its types are made of one another too many times",
    ),
    "hundred thousand allowed values": (
        release(schema=schema('<xs:element name="q" type="t:E"/>', types='<xs:simpleType name="E"><xs:restriction base="xs:string">' + "".join(f'<xs:enumeration value="{n}"/>' for n in range(100_000)) + "</xs:restriction></xs:simpleType>")),
        "has, with what it imports, 100011 definitions; at most 20000 are read",
    ),
    "long chain of includes": (
        {**release(schema=importing("../../core_components/c0.xsd")), **{f"core_components/c{n}.xsd": CORE_SCHEMA.replace("<xs:simple", f'<xs:include schemaLocation="c{n + 1}.xsd"/><xs:simple', 1).replace('"T"', f'"T{n}"') for n in range(150)}, "core_components/c150.xsd": CORE_SCHEMA},
        "is made of more than 100 files, or they import one another 500 times: so many are not read",
    ),
    "files that all include each other": (
        {**release(schema=importing("../../core_components/c0.xsd")), **{f"core_components/c{n}.xsd": CORE_SCHEMA.replace("<xs:simple", "".join(f'<xs:include schemaLocation="c{m}.xsd"/>' for m in range(40)) + "<xs:simple", 1).replace('"T"', f'"T{n}"') for n in range(40)}},
        "is made of more than 100 files, or they import one another 500 times: so many are not read",
    ),
    "pattern that is a book": (release(schema=pattern("|".join(f"a{n}" for n in range(400)))), "line 1: has a pattern of more than 1000 characters"),
    "pattern that never ends": (release(schema=pattern("(a|aa)+b")), "the pattern '(a|aa)+b' takes too long: write it so that"),
    "pattern that never ends, of longer parts": (release(schema=pattern("x(ab|abab)+c")), "the pattern 'x(ab|abab)+c' takes too long"),
    "pattern with all ways to read it": (release(schema=pattern("(.*)(.*)(.*)(.*)(.*)(.*)[^a]b")), "takes too long"),
    "base elsewhere": (
        {**release(schema=importing("core.xsd").replace("<xs:import ", '<xs:import xml:base="/etc/" ')), f"{IN}/core.xsd": CORE_SCHEMA},
        "AskResponder_1.0.xsd: line 1: xml:base makes its imports lead elsewhere: take it away",
    ),
    "base of the whole schema elsewhere": (
        {**release(schema=importing("core.xsd").replace("<xs:schema ", '<xs:schema xml:base="http://127.0.0.1:9/" ')), f"{IN}/core.xsd": CORE_SCHEMA},
        "xml:base makes its imports lead elsewhere",
    ),
    "base elsewhere two steps away": (
        {**release(schema=importing("../../" + CORE)), CORE: CORE_SCHEMA.replace("<xs:simple", '<xs:include xml:base="../../" schemaLocation="more.xsd"/><xs:simple', 1), "core_components/more.xsd": CORE_SCHEMA},
        "core_1.0.xsd: line 1: xml:base",
    ),
    "import of a folder": (release(schema=importing("../")), "imports '../', and there is no interactions. Name the schema that is meant"),
    "import of nothing": (release(schema=importing("")), ". Name the schema that is meant"),
    "import without a location": (
        release(schema=importing("x.xsd").replace(' schemaLocation="x.xsd"', "")),
        "is not a valid schema: ",
    ),
    "redefines from the network": (release(schema=schema(head='<xs:redefine schemaLocation="http://example.org/x.xsd"/>')), "imports 'http://example.org/x.xsd', which is not a file"),
    "overrides, as later XML Schema does": (release(schema=schema(head='<xs:override schemaLocation="http://127.0.0.1:9/x.xsd"/>')), "is not a valid schema: "),
    "messages of another contract": (
        release(wsdl=ask_wsdl(name="GetDiagnosis", domain="clinicalprocess:healthcond:description")),
        f"is that of clinicalprocess:healthcond:description:GetDiagnosis:1, and its messages are of {ASK}; expected urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:1",
    ),
    "messages of another version": (release(wsdl=ask_wsdl().replace("Ask:1:rivtabp21", "Ask:2:rivtabp21")), f"is that of test:asking:Ask:2, and its messages are of {ASK}"),
    "a request that is its response": (release(wsdl=ask_wsdl().replace('"t:AskResponse"', '"t:Ask"')), "as request and as response: one of them is wrong"),
    "a header in the SOAPAction": (
        release(wsdl=ask_wsdl().replace("</wsdl:definitions>", '<wsdl:binding name="b" type="i:AskResponderInterface" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"><wsdl:operation name="Ask"><soap:operation soapAction="a&#13;&#10;X-Evil: 1"/></wsdl:operation></wsdl:binding></wsdl:definitions>')),
        "has the SOAPAction 'a\\r\\nX-Evil: 1'; expected one line of text",
    ),
    "a version of 5000 digits": (release(wsdl=ask_wsdl().replace("Ask:1:rivtabp21", f"Ask:{'9' * 5000}:rivtabp21")), "holds no contract of RIV-TA: "),
    "undeclared message": (release(schema=schema().replace('name="AskResponse"', 'name="Other"')), f"speaks of {{{ASK}}}AskResponse, which no schema declares"),
    "name that is a path": (release(wsdl=ask_wsdl(name="../../../x")), "is called '../../../x'; expected letters and digits"),
    "domain that is a path": (release(wsdl=ask_wsdl(domain="../../x")), "is of the domain '../../x'; expected words"),
    "nothing of RIV-TA": ({f"{IN}/x.wsdl": '<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" targetNamespace="urn:x"/>'}, "holds no contract of RIV-TA: "),
    "no WSDL": ({CORE: CORE_SCHEMA}, "holds no contract: a release has its WSDLs in a folder named interactions. Give"),
    "WSDL elsewhere": ({"wsdl/x.wsdl": ask_wsdl()}, "and wsdl/x.wsdl is not"),
    "empty": ({}, "holds no contract"),
    "same name in other case": ({**release(), f"{IN}/askresponder_1.0.XSD": "<x/>"}, "are one file on Windows; rename one of them"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "reason"), WRONG_RELEASES.values(), ids=WRONG_RELEASES)
def test_release_with_something_wrong_is_refused_whole_and_the_reason_named(
    files: dict[str, str | bytes], reason: str, folder: Path, tmp_path: Path
) -> None:
    assert reason in refusal(zipped(tmp_path / "wrong.zip", files), folder)
    if "one file on Windows" not in reason:
        assert reason in refusal(written(tmp_path / "wrong", files or {"x": ""}), folder)


def entry(name: str, *, mode: int = 0, content: bytes = b"x") -> Callable[[Path], None]:
    """Adds an entry with that name, as it stands, and Unix mode."""

    def pack(path: Path) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        info.external_attr, info.create_system = mode << 16, 3
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)

    return pack


def patched(old: bytes, new: bytes) -> Callable[[Path], None]:
    def patch(path: Path) -> None:
        path.write_bytes(path.read_bytes().replace(old, new))

    return patch


def flagged(bit: int, *, method: int | None = None) -> Callable[[Path], None]:
    """Sets a flag, or the way of packing, of every entry in the archive's directory."""

    def patch(path: Path) -> None:
        data = bytearray(path.read_bytes())
        at = data.find(b"PK\x01\x02")
        while at >= 0:
            data[at + 8] |= bit
            data[at + 10] = method if method is not None else data[at + 10]
            at = data.find(b"PK\x01\x02", at + 1)
        path.write_bytes(data)

    return patch


HOSTILE = {
    "slip": (entry("../../evil.xsd"), "'../../evil.xsd' in it leads out of the archive"),
    "slip in a file that is not read": (entry("docs/../../evil.txt"), "leads out of the archive"),
    "slip with backslashes": (entry("..\\..\\evil.xsd"), "leads out of the archive"),
    "absolute": (entry("/etc/cron.d/evil"), "is an absolute path"),
    "drive": (entry("C:\\Windows\\evil.dll"), "is an absolute path"),
    "share": (entry("\\\\host\\share\\evil.xsd"), "is an absolute path"),
    "zero byte": (entry("evil.xsd\0.txt"), "control characters"),
    "line feed": (entry("evil\n.xsd"), "control characters"),
    "link": (entry("interactions/evil.xsd", mode=stat.S_IFLNK | 0o777, content=b"/etc/passwd"), "is a link"),
    "link to a folder": (entry("core_components", mode=stat.S_IFLNK | 0o777, content=b"/etc"), "is a link"),
    "device": (entry("interactions/evil.xsd", mode=stat.S_IFCHR | 0o600), "neither a file nor a folder"),
    "deep": (entry("a/" * 40 + "evil.xsd"), "more than 32 folders deep"),
    "bomb": (entry("core_components/bomb.xsd", content=b" " * 10_000_000), "unpacks to "),
    "giant": (entry("core_components/giant.xsd", content=os.urandom(17_000_000)), "17000000 bytes, over 16000000"),
    "encrypted": (flagged(0x1), "is encrypted"),
    "packed otherwise": (flagged(0, method=97), "packed in a way that is not read"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "is neither a zip archive"),
    "damaged": (patched(b"PK\x03\x04", b"PK\x03\x05"), "is a damaged zip archive"),
    "no archive": (lambda path: path.write_bytes(b"<xml/>"), "is neither a zip archive nor a folder"),
    "not there": (Path.unlink, "there is no such file or folder"),
    "many entries": (lambda path: path.write_bytes(_with_count(path.read_bytes(), 0xFFFE)), "more than 20000 files"),
    "many entries, said where large archives say it": (
        lambda path: path.write_bytes(_with_large_count(path.read_bytes(), 30_000)),
        "more than 20000 files",
    ),
    "the same name in other letters": (entry("core_components/ka\u0308.xsd"), "is in it twice, with two contents"),
}


def _with_large_count(data: bytes, count: int) -> bytes:
    """With the end record of an archive over 4 GB, which counts whatever the usual one says."""
    at = data.rfind(b"PK\x05\x06")
    size, offset = struct.unpack_from("<II", data, at + 12)
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    return data[:at] + large + struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1) + data[at:]


def _with_count(data: bytes, count: int) -> bytes:
    at = data.rfind(b"PK\x05\x06")
    return data[: at + 8] + count.to_bytes(2, "little") * 2 + data[at + 12 :]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("change", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_archive_is_refused_and_the_reason_named(
    change: Callable[[Path], None], reason: str, folder: Path, tmp_path: Path
) -> None:
    archive = zipped(tmp_path / "evil.zip", {**release(), "core_components/kä.xsd": CORE_SCHEMA})
    change(archive)
    assert reason in refusal(archive, folder)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "evil.zip") == ["home"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_file_that_is_in_the_archive_twice_with_two_contents_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "twice.zip", release())
    entry(f"{IN}/AskResponder_1.0.xsd", content=b"<other/>")(archive)
    assert "is in it twice, with two contents" in refusal(archive, folder)


def test_sizes_that_lie_are_found_while_unpacking(folder: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "lie.zip", {**release(), "core_components/lie.xsd": b" " * 3_000_000})
    data = archive.read_bytes()
    archive.write_bytes(data.replace((3_000_000).to_bytes(4, "little"), (3_000).to_bytes(4, "little")))
    assert "is a damaged zip archive" in refusal(archive, folder)


def test_total_of_an_archive_is_bounded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1_000)
    assert "over 1000" in refusal_of_ask(folder, zipped(tmp_path / "ask.zip", release()))
    assert "more than 1000 bytes" in refusal_of_ask(folder, written(tmp_path / "ask", release()))


def test_number_of_files_is_bounded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_ENTRIES", 1)
    assert "more than 1 files" in refusal_of_ask(folder, zipped(tmp_path / "ask.zip", release()))
    assert "more than 1 files" in refusal_of_ask(folder, written(tmp_path / "ask", release()))


def refusal_of_ask(folder: Path, source: Path) -> str:
    with pytest.raises(SourceRefused) as refused:
        install([source], folder)
    assert not folder.exists()
    return refused.value.reason


def test_archive_within_the_archive_is_not_opened_but_named(folder: Path, tmp_path: Path) -> None:
    inner = zip_bytes(release())
    assert "the archive inner.zip in it is not opened; add it by itself" in refusal(
        zipped(tmp_path / "outer.zip", {"inner.zip": inner}), folder
    )


def test_links_in_folders_are_not_followed(folder: Path, tmp_path: Path) -> None:
    domain = written(tmp_path / "ask", release())
    elsewhere = written(tmp_path / "elsewhere", {"core_1.0.xsd": CORE_SCHEMA})
    (domain / "core_components").symlink_to(elsewhere)
    assert install([domain], folder).warnings == ("ask: core_components is a link and was not followed",)
    (domain / IN / "core_1.0.xsd").symlink_to(elsewhere / "core_1.0.xsd")
    assert "core_1.0.xsd' in it is a link; put the file itself there" in refusal(domain, folder)


def test_pipe_in_a_folder_is_not_waited_for(folder: Path, tmp_path: Path) -> None:
    domain = written(tmp_path / "ask", release())
    os.mkfifo(domain / IN / "pipe.xsd")
    assert "is no ordinary file" in refusal(domain, folder)


# In one step


class PowerCut(BaseException):
    """Nothing that the program could catch and tidy up after."""


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power goes off at the given call of what changes names or makes them last."""
    calls = 0

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls > step:
                raise PowerCut
            return original(*arguments, **named)

        return call

    monkeypatch.setattr(Path, "rename", counted(Path.rename))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))


def test_power_cut_at_any_step_leaves_all_of_the_old_or_all_of_the_new(folder: Path, tmp_path: Path) -> None:
    install([SHIPPED / "itintegration.monitoring", zipped(tmp_path / "old.zip", release())], folder)
    new = [
        zipped(tmp_path / "new.zip", release(schema=schema('<xs:element name="new"/>'))),
        SHIPPED / "itintegration.registry",
    ]
    seen = set()
    for step in range(60):
        with pytest.MonkeyPatch.context() as patch:
            cut_at(step, patch)
            done = True
            try:
                install(new, folder)
            except PowerCut:
                done = False
        names = {contract.name for contract in load(folder)}
        has_new = b'"new"' in load(folder).find("Ask").schema.read_bytes()
        assert all(is_usable(contract) for contract in load(folder))
        assert ("GetSupportedServiceContracts" in names) == has_new, step
        seen.add(has_new)
        if done:
            break
    assert done
    assert seen == {False, True}
    install(new, folder)
    assert not list(folder.glob(".staging*"))


def test_full_disk_is_named_and_changes_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install([zipped(tmp_path / "old.zip", release())], folder)
    before = snapshot(folder)

    def no_space(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device", str(folder / MARKER))

    monkeypatch.setattr(installation, "write_file", no_space)
    with pytest.raises(CannotInstall, match=r"installed.json: No space left on device; nothing was changed"):
        install([zipped(tmp_path / "new.zip", release("1.1"))], folder)
    monkeypatch.undo()
    assert {name for name in snapshot(folder) if not name.startswith(RELEASES)} == {MARKER}
    assert snapshot(folder).items() >= before.items()
    assert only(folder).minor == 0


def test_two_installations_at_once_are_both_done(folder: Path, tmp_path: Path) -> None:
    archives = [zipped(tmp_path / f"{major}.zip", release(f"{major}.0")) for major in range(1, 7)]
    threads = [threading.Thread(target=install, args=([archive], folder)) for archive in archives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [contract.major for contract in load(folder)] == [1, 2, 3, 4, 5, 6]


def test_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotInstall, match=r"file/contracts.*: Not a directory; nothing was changed"):
        install([SHIPPED / "itintegration.monitoring"], tmp_path / "file/contracts")


@pytest.mark.parametrize("content", ["{", "[]", '{"releases": [{"folder": "../../x", "source": "", "contracts": []}]}'])
def test_marker_that_makes_no_sense_is_named(content: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MARKER).write_text(content)
    with pytest.raises(ContractFileError, match=r"installed.json: does not say what is installed: put a backup"):
        load(folder)
    with pytest.raises(ContractFileError):
        install([SHIPPED / "itintegration.monitoring"], folder)


# Removing


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("GetDiagnosis", "contract GetDiagnosis:2 comes with rivta and cannot be removed"),
        ("Ask", "contract 'Ask' is ambiguous: say one of urn:riv:test:asking:AskResponder:1, "),
        ("Answer", "contract 'Answer' is not installed"),
        ("MyPing", "by hand: remove that folder"),
    ],
)
def test_what_cannot_be_removed_is_said(name: str, reason: str, folder: Path, tmp_path: Path) -> None:
    install([zipped(tmp_path / "ask.zip", {**release("1.0"), **release("2.0")})], folder)
    mine = Path(shutil.copytree(SHIPPED / "itintegration.monitoring", folder / "mine"))
    for file in mine.rglob("*.wsdl"):
        file.write_text(file.read_text().replace("monitoring:PingForConfiguration:1:", "monitoring:MyPing:1:"))
    before = snapshot(folder)
    with pytest.raises(UnknownContract, match=reason):
        remove(name, folder)
    assert snapshot(folder) == before


def test_removing_from_a_folder_that_is_not_there_makes_none(folder: Path) -> None:
    with pytest.raises(UnknownContract, match="comes with rivta"):
        remove("GetDiagnosis", folder)
    assert not folder.exists()


def test_removed_contract_is_gone_by_any_of_its_names(folder: Path, tmp_path: Path) -> None:
    for name in ("Ask", "Ask:1", ASK):
        install([zipped(tmp_path / "ask.zip", release())], folder)
        assert [str(version) for version in remove(name, folder)] == ["Ask 1.0"]
        assert len(load(folder)) == 0
    assert json.loads((folder / MARKER).read_text()) == {"releases": []}


# Whatever the bytes


def names() -> st.SearchStrategy[str]:
    odd = st.sampled_from(["..", ".", "", "interactions", "core_components", "a b", "å", "C:", "~", "CON", "x" * 300])
    return st.lists(odd | st.text(max_size=8), min_size=1, max_size=6).flatmap(
        lambda parts: st.sampled_from(["/", "\\"]).map(lambda slash: slash.join(parts) + ".xsd")
    )


@settings(max_examples=80)
@given(
    extra=st.dictionaries(names(), st.binary(max_size=40), max_size=3),
    damage=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
)
def test_whatever_is_in_an_archive_nothing_is_written_outside_and_nothing_half(
    extra: dict[str, bytes], damage: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("any")
    folder = tmp_path / "home/deep/contracts"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in release().items():
            archive.writestr(zipfile.ZipInfo(name), text)
        for name, content in extra.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    data = bytearray(target.getvalue())
    for at, value in damage:
        data[at % len(data)] = value
    (tmp_path / "any.zip").write_bytes(data)
    try:
        install([tmp_path / "any.zip"], folder)
        assert is_usable(only(folder))
    except SourceRefused:
        assert snapshot(folder) == {}
    assert {path.name for path in tmp_path.iterdir()} <= {"any.zip", "home"}
    assert not folder.exists() or {path.name for path in folder.iterdir()} <= {".lock", RELEASES, MARKER}
    assert {path.name for path in (tmp_path / "home").rglob("*") if folder not in (path, *path.parents)} <= {"deep"}
