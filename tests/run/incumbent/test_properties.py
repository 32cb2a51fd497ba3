"""Java properties, as java.util.Properties and Spring Boot read them."""

from pathlib import Path

import pytest

from rivta.run.incumbent.properties import Properties, PropertiesError, read_properties


def of(tmp_path: Path, text: str, **environment: str) -> Properties:
    file = tmp_path / "application.properties"
    file.write_bytes(text.encode())
    return Properties.load(file, environment=environment)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("a=b", "a", "b"),
        ("a = b ", "a", "b"),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("  a\t=\tb", "a", "b"),
        ("a", "a", ""),
        ("a=b=c", "a", "b=c"),
        ("a\\ b=c", "a b", "c"),
        ("a\\:b=c", "a:b", "c"),
        ("a=b\\\n   c", "a", "bc"),
        ("a=b\\\r\n  # c", "a", "b# c"),
        ("a=b\\\\\nc=d", "a", "b\\"),
        ("# x\n! y\n\na=1", "a", "1"),
        ("a=\\u00e5\\u00E4\\n", "a", "åä"),
        ("a=(?i)x-vp\\\\..*", "a", "(?i)x-vp\\..*"),
        ("a=Öland", "a", "Öland"),
        ("a=1\\", "a", "1"),
    ],
)
def test_a_line_is_read_as_java_reads_it(tmp_path: Path, text: str, name: str, value: str) -> None:
    file = tmp_path / "application.properties"
    file.write_bytes(text.encode())
    assert next((n, v) for _, n, v in read_properties(file)) == (name, value)


def test_a_file_that_is_not_utf8_is_latin1(tmp_path: Path) -> None:
    file = tmp_path / "application.properties"
    file.write_bytes("a=Öland".encode("latin-1"))
    assert Properties.load(file).value("a") == "Öland"


def test_the_last_one_wins_and_the_environment_over_all(tmp_path: Path) -> None:
    first, second = tmp_path / "a.properties", tmp_path / "b.properties"
    first.write_text("vp.instance.id=A\nvp.host=a\nx=1\nx=2\n")
    second.write_text("vp.instance.id=B\n")
    found = Properties.load(first, second, environment={"VP_HOST": "e", "UNHEARD_OF": "1"})
    assert [found.value(name) for name in ("vp.instance.id", "vp.host", "x")] == ["B", "e", "2"]
    assert found.get("unheard.of") is None


@pytest.mark.parametrize(
    "spelling", ["vp.tls.default-config.name", "vp.tls.defaultConfig.name", "VP_TLS_DEFAULTCONFIG_NAME"]
)
def test_a_name_is_found_in_every_spelling(tmp_path: Path, spelling: str) -> None:
    assert of(tmp_path, f"{spelling}=x").value("vp.tls.default-config.name") == "x"


def test_placeholders_are_replaced_from_file_environment_and_default(tmp_path: Path) -> None:
    found = of(tmp_path, "a=${b}/${HOME_DIR:/x}/${c:${d:deep}}/${E}\nb=${e}\ne=ee", E="env")
    assert found.value("a") == "env//x/deep/env"


def test_what_has_no_value_is_told_and_left_in_place(tmp_path: Path) -> None:
    found = of(tmp_path, "a=x${nope}y${nor}\nb=${b}")
    a, b = found.get("a"), found.get("b")
    assert a is not None
    assert b is not None
    assert (a.value, a.unresolved) == ("x${nope}y${nor}", ("nope", "nor"))
    assert b.unresolved == ("b",)


def test_lists_are_written_in_two_ways(tmp_path: Path) -> None:
    found = of(tmp_path, "a=1, 2 ,,3\nb[0]=1\nb[1]=2\nvp.tls.overrides[0].name=x\nvp.tls.overrides[10].name=y")
    assert (found.texts("a"), found.texts("b"), found.texts("c")) == (("1", "2", "3"), ("1", "2"), ())
    assert found.below("vp.tls.overrides") == ["0", "10"]


@pytest.mark.parametrize(("name", "words"), [("none.properties", "No such file"), ("application.yml", "is YAML")])
def test_what_is_no_properties_file_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "application.yml").write_text("vp:\n  host: x\n")
    with pytest.raises(PropertiesError, match=words):
        Properties.load(tmp_path / name)


def test_a_value_that_grows_without_end_is_left_out(tmp_path: Path) -> None:
    lines = [f"b{number}=${{b{number + 1}}}${{b{number + 1}}}" for number in range(60)]
    found = of(tmp_path, "\n".join([*lines, "b60=x"])).get("b0")
    assert found is not None
    assert (found.value, found.unresolved) == ("", ("b0",))
