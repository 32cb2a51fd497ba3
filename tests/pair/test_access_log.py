"""A patient's consumer reads the access log through the router, and the operator proves that it is whole."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from rivta.audit.access.entry import Entry, Kind, Outcome, Reader
from rivta.audit.access.log import AccessLog
from rivta.soap.namespaces import GET_ACCESS_LOGS_FOR_PATIENT_1
from tests.pair.consumer import Consumer, envelope
from tests.support import Pair, run_rivta, until

ADDRESS = "SE165565594230-LOGTEST"
PATIENT = "194110192392"
ROWS = f"""\
logical_addresses: {{{ADDRESS}: {{name: "Access log of the test"}}}}
routes: [{{logical_address: {ADDRESS}, contracts: GetAccessLogsForPatient:1, producer_address: catalogue}}]
permissions:
- {{consumer: SE165565594230-NPO, logical_address: {ADDRESS}, contracts: GetAccessLogsForPatient:1, agreement: test}}
"""
READER = Reader(
    user_id="SE2321000016-1001",
    unit_id="SE2321000016-KS-KARD",
    unit_name="Hjärtmottagningen",
    care_provider_id="SE2321000016",
    care_provider_name="Region Stockholm",
    purpose="Vård och behandling",
)


@pytest.fixture
def rows(pair: Pair) -> Iterator[Path]:
    file = pair.home / "routing" / "national" / "access_log_of_the_test.yaml"
    file.write_text(ROWS)
    yield file
    file.unlink()


def question(patient: str = PATIENT) -> bytes:
    name = "GetAccessLogsForPatientRequest"
    fields = (
        f"<PatientId>{patient}</PatientId><FromDate>2026-01-01T00:00:00</FromDate><ToDate>2126-01-01T00:00:00</ToDate>"
    )
    return envelope(f'<{name} xmlns="{GET_ACCESS_LOGS_FOR_PATIENT_1}">{fields}</{name}>', to=ADDRESS)


def test_a_look_that_is_written_down_is_read_by_its_patient_and_proven(pair: Pair, npo: Consumer, rows: Path) -> None:
    until(lambda: npo.call(question()).status_code == 200)
    log = AccessLog.open(f"sqlite:///{pair.home / 'national' / 'access.sqlite'}")
    writer = log.writer("console", clock=lambda: datetime.now(UTC))
    look = Entry(Kind.INTENT, READER, PATIENT, correlation_id="e2e", information_set="Diagnoser", relation="booked")
    (intent,) = writer.record(look)
    writer.record(
        Entry(Kind.OUTCOME, READER, PATIENT, "e2e", intent.id, "Diagnoser", ("SE2321000016-KS",), Outcome.SHOWN)
    )
    log.close()

    body = etree.fromstring(npo.call(question()).content)

    assert [one.text for one in body.iter("{*}ResultCode", "{*}ResourceType")] == ["OK", "Diagnoser"]
    other = etree.fromstring(npo.call(question("199001012385")).content)
    assert list(other.iter("{*}AccessLog")) == []
    verified = json.loads(run_rivta("log", "verify", "--json", home=pair.home).stdout)
    assert verified["intact"]
    assert verified["entries"] >= 2
