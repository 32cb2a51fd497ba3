"""The last steps of `rivta why`: what a source's answer comes to."""

from typing import Any, cast

import pytest
from lxml import etree

from rivta.aggregation.answers import read_content
from rivta.aggregation.services import services
from rivta.cli.source_call import Fetched
from rivta.cli.why_call import Caller, steps_of
from rivta.cli.why_chain import CALL, MERGE, SCHEMA, SourceChain
from rivta.cli.why_steps import State, Step
from rivta.router.messages import Answer
from rivta.soap.identifiers import ContractNamespace
from tests.aggregation.world import DIAGNOSIS, fault, records
from tests.router.platforms import contracts, validators

SOURCE = "SE1-KS"
CHAIN = SourceChain(SOURCE, "national", "SE1-NPO", ())
NPO = Caller("npo", cast(Any, {"hsa_id": "SE1-NPO"}))


def steps(body: bytes, status: int = 200, caller: Caller = NPO) -> list[Step]:
    service = services({})[ContractNamespace(DIAGNOSIS)]
    content = read_content(Answer(status, (("Content-Type", "text/xml"),), body), service)
    contract = contracts().get(DIAGNOSIS)
    assert contract is not None
    fetched = Fetched("id-1", status, 12.0, body, content)
    return list(steps_of(CHAIN, fetched, validators(), contract, caller))


def told(found: list[Step]) -> list[tuple[str, State]]:
    return [(one.name, one.state) for one in found]


def test_records_that_fit_show() -> None:
    found = steps(records(SOURCE, 3))
    assert told(found) == [(CALL, State.PASSED), (SCHEMA, State.PASSED), (MERGE, State.PASSED)]
    assert found[-1].text == "3 records in the aggregate"
    assert found[0].text == "HTTP 200, 12 ms, as npo (SE1-NPO)"


def test_who_calls_in_whose_place_is_said() -> None:
    other = Caller("journal", cast(Any, {"hsa_id": "SE1-J"}))
    assert steps(records(SOURCE), caller=other)[0].text.endswith("as journal (SE1-J), in place of SE1-NPO")


def test_an_answer_without_records_ends_at_the_merge() -> None:
    found = steps(records(SOURCE, 0))
    assert told(found) == [(CALL, State.PASSED), (SCHEMA, State.PASSED), (MERGE, State.FAILED)]
    assert found[-1].remedy is not None
    assert found[-1].remedy.commands[0][:2] == ("index", "check")


def test_records_that_break_the_schema_are_told_of_and_show() -> None:
    broken = records(SOURCE).replace(b"documentId>", b"dokumentId>")
    found = steps(broken)
    assert told(found) == [(CALL, State.PASSED), (SCHEMA, State.DOUBTFUL), (MERGE, State.PASSED)]
    assert "passed on (validation.response)" in found[1].text
    assert found[1].details


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (fault("VP007 no").body, 500, "500 VP007 no"),
        (b"<half", 200, "43000 The answer cannot be read"),
        (etree.tostring(etree.Element("other")), 200, "43000"),
    ],
    ids=["fault", "no-xml", "foreign"],
)
def test_what_is_no_answer_ends_at_the_call_with_where_to_look(body: bytes, status: int, text: str) -> None:
    (found,) = steps(body, status)
    assert (found.name, found.state) == (CALL, State.FAILED)
    assert text in found.text
    assert found.remedy is not None
    assert found.remedy.commands == (("log", "show", "id-1"),)
