"""How routes and permissions fit a terminal: a line each, and less in it when it is narrow."""

import pytest

from rivta.cli.route_output import print_rows

ROUTE = {
    "logical_address": "SE2321000016-KS",
    "producer_address": "takecare-ks",
    "url": "https://localhost:20031/",
    "valid_from": "2024-01-01",
    "valid_to": "2034-12-31",
    "source": "regional/stockholm.yaml:21",
}
FOUND = {
    "routes": [{**ROUTE, "contract_name": name} for name in ("GetDiagnosis:2", "GetCareContacts:3")],
    "permissions": [],
}


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int | None) -> list[str]:
    if columns is not None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
    print_rows(FOUND)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_file_gets_everything_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = shown(capsys, monkeypatch, None)[1]
    for text in (*ROUTE.values(), "GetCareContacts:3, GetDiagnosis:2"):
        assert text in line


@pytest.mark.parametrize(
    ("columns", "kept", "left_out"),
    [
        (120, ("2 contracts", "2024-01-01 to 2034-12-31", "regional/stockholm.yaml:21"), ("https://",)),
        (80, ("2 contracts", "takecare-ks", "regional/stockholm.yaml:21"), ("2024-01-01",)),
        (65, ("2 contracts", "takecare-ks", "stockholm.yaml:21"), ("regional/",)),
    ],
)
def test_a_terminal_gets_as_much_as_it_has_room_for(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    kept: tuple[str, ...],
    left_out: tuple[str, ...],
) -> None:
    lines = shown(capsys, monkeypatch, columns)
    text = "\n".join(lines)
    assert len(lines[1]) <= columns
    assert not [word for word in kept if word not in lines[1]]
    assert not [word for word in left_out if word in text]


def test_one_is_not_said_as_several(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FOUND, "routes", FOUND["routes"][:1])
    assert "1 route" in shown(capsys, monkeypatch, None)
