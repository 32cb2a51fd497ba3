"""An aggregate from its request to its answer: what the index is asked, whom it asks, what its consumer gets."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from rivta.catalogue.hsa import HsaTree, Unit
from rivta.router.deviations import Compat
from rivta.router.load import Load, carry_with
from rivta.router.messages import ProducerAnswer, ProducerFailure, Trouble
from rivta.router.policy import Handling, Validation
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import ContractNamespace, HsaId, Profile
from rivta.soap.xml import parse_xml
from tests.aggregation.world import (
    ADDRESS,
    CONSUMER,
    DIAGNOSIS,
    PATIENT,
    PLATFORM,
    Found,
    Source,
    Worlds,
    answered,
    answering,
    envelope,
    fault,
    faultstring,
    found,
    is_valid,
    never,
    ok,
    question,
    records,
    statuses,
)
from tests.router.platforms import Sent, header
from tests.router.platforms import fault as platform_fault

THREE = [Found("SE1-A"), Found("SE1-B"), Found("SE1-C")]
LABORATORY_3 = namespaces.GET_LABORATORY_ORDER_OUTCOME_3


async def test_every_source_that_the_index_names_is_in_one_answer(worlds: Worlds) -> None:
    answer = await worlds(THREE).ask()
    assert sorted(answered(answer)) == ["SE1-A", "SE1-B", "SE1-C"]
    assert {one.status for one in statuses(answer).values()} == {"DataFromSource"}


async def test_the_index_is_asked_in_the_platforms_name_for_one_patient_domain_and_category(worlds: Worlds) -> None:
    platform = worlds(THREE)
    await platform.ask(None, ("x-skltp-correlation-id", "c-1"))
    (asked,) = platform.questions
    root = parse_xml(asked.body)
    payload = read_head(root).payload
    assert payload is not None
    assert {str(one.tag).rpartition("}")[2]: one.text for one in payload} == {
        "registeredResidentIdentification": PATIENT,
        "serviceDomain": "riv:clinicalprocess:healthcond:description",
        "categorization": "dia",
    }
    assert read_head(root).logical_address == ADDRESS
    assert asked.values("x-skltp-correlation-id") == ["c-1"]
    assert asked.values("x-rivta-original-serviceconsumer-hsaid") == [CONSUMER]
    assert [record.sender for record in platform.records if record.contract == namespaces.FIND_CONTENT_1] == [PLATFORM]


async def test_a_source_gets_the_very_bytes_of_the_request_but_for_the_address(worlds: Worlds) -> None:
    body = question().replace(b"<soapenv:Body>", b"<!-- as it was -->\n <soapenv:Body  >")
    platform = worlds(THREE[:1])
    answered(await platform.ask(body))
    (sent,) = [one for one in platform.network.sent if one.target.url.startswith("https")]
    assert sent.body == body.replace(ADDRESS.encode(), b"SE1-A")


async def test_a_request_of_the_older_profile_is_asked_on(worlds: Worlds) -> None:
    assert answered(await worlds(THREE[:1]).ask(question(profile=Profile.RIVTABP20))) == ["SE1-A"]


async def test_a_call_to_a_source_is_the_senders_and_begins_a_new_history(worlds: Worlds) -> None:
    platform = worlds(THREE[:1])
    await platform.ask(
        None,
        ("SOAPAction", '"anything"'),
        ("x-rivta-acting-on-behalf-of-hsaid", "SE1-WHO"),
        ("x-rivta-routing-history", "SE1-BEFORE"),
        ("breadcrumbId", "b"),
    )
    (sent,) = [one for one in platform.network.sent if one.target.url.startswith("https")]
    assert sent.values("x-rivta-routing-history") == [f"{CONSUMER}#{PLATFORM}"]
    assert sent.values("x-rivta-original-serviceconsumer-hsaid") == [CONSUMER]
    assert sent.values("x-rivta-acting-on-behalf-of-hsaid") == ["SE1-WHO"]
    assert sent.values("SOAPAction") == [f'"{DIAGNOSIS}:GetDiagnosis"']
    assert sent.values("breadcrumbId") == []
    assert sent.values("x-rivta-history-segments") == []
    assert {one.sender for one in platform.records if one.logical_address == "SE1-A"} == {CONSUMER}


async def test_each_source_is_called_once_by_its_source_system(worlds: Worlds) -> None:
    units = ["SE1-UNIT-1", "SE1-UNIT-2", "SE1-UNIT-1"]
    platform = worlds([Found(unit, "SE1-SYSTEM") for unit in units])
    assert answered(await platform.ask()) == ["SE1-SYSTEM"]
    assert platform.asked == ["SE1-SYSTEM"]


def _many(number: int) -> list[Found]:
    return [Found(f"SE1-{one}") for one in range(number)]


SOME: dict[str, tuple[Sequence[Found], dict[str, Source], int, set[str]]] = {
    "1 no engagement": ([], {}, 0, set()),
    "2 one source": (THREE[:1], {}, 1, set()),
    "3 three sources": (THREE, {}, 3, set()),
    "4 a thousand records": (THREE[:1], {"SE1-A": answering(1000)}, 1000, set()),
    "5 twenty sources": (_many(20), {f"SE1-{one}": answering(5) for one in range(20)}, 100, set()),
    "6 one of three empty": (THREE, {"SE1-B": answering(0)}, 2, set()),
    "7 one of three too slow": (THREE, {"SE1-B": never}, 2, {"504"}),
    "8 all too slow": (THREE, {f"SE1-{one}": never for one in "ABC"}, 0, {"504"}),
    "9 one of three says error": (THREE, {"SE1-B": answering(0, result="ERROR")}, 2, set()),
    "10 all say error": (THREE, {f"SE1-{one}": answering(0, result="ERROR") for one in "ABC"}, 0, set()),
    "11 one of three answers with a fault": (THREE, {"SE1-B": lambda sent: fault()}, 2, {"500"}),
    "12 all answer with a fault": (THREE, {f"SE1-{one}": lambda sent: fault() for one in "ABC"}, 0, {"500"}),
}


@pytest.mark.parametrize(("hits", "sources", "number", "codes"), SOME.values(), ids=SOME)
async def test_the_testers_twelve_situations(
    worlds: Worlds, hits: Sequence[Found], sources: dict[str, Source], number: int, codes: set[str]
) -> None:
    answer = await worlds(hits, sources, source_seconds=0.1).ask()
    assert len(answered(answer)) == number
    told = statuses(answer)
    assert set(told) == {hit.logical_address for hit in hits}
    assert {one.code for one in told.values() if one.status == "NoDataSynchFailed"} == codes


AGGREGATED = {
    "GetAlertInformation 2": (namespaces.GET_ALERT_INFORMATION_2, "alertInformation", None),
    "GetCareContacts 2": (namespaces.GET_CARE_CONTACTS_2, "careContact", None),
    "GetCareContacts 3": (namespaces.GET_CARE_CONTACTS_3, "careContact", "INFO"),
    "GetCareDocumentation 2": (namespaces.GET_CARE_DOCUMENTATION_2, "careDocumentation", None),
    "GetDiagnosis 2": (namespaces.GET_DIAGNOSIS_2, "diagnosis", None),
    "GetLaboratoryOrderOutcome 3": (LABORATORY_3, "laboratoryOrderOutcome", "INFO"),
    "GetLaboratoryOrderOutcome 4": (namespaces.GET_LABORATORY_ORDER_OUTCOME_4, "laboratoryOrderOutcome", None),
    "GetMedicationHistory 2": (namespaces.GET_MEDICATION_HISTORY_2, "medicationMedicalRecord", "INFO"),
    "GetVaccinationHistory 2": (namespaces.GET_VACCINATION_HISTORY_2, "vaccinationMedicalRecord", "INFO"),
}


@pytest.mark.parametrize(("contract", "kind", "code"), AGGREGATED.values(), ids=AGGREGATED)
async def test_every_contract_that_is_shipped_is_aggregated_into_a_valid_answer(
    worlds: Worlds, contract: str, kind: str, code: str | None
) -> None:
    sources: dict[str, Source] = {"SE1-A": answering(2, contract=contract), "SE1-B": lambda sent: fault()}
    platform = worlds([Found("SE1-A"), Found("SE1-B")], sources, contract=contract)
    answer = await platform.ask(question(contract))
    root = parse_xml(answer.body)
    assert len(root.findall(f".//{{{contract}}}{kind}")) == 2
    assert root.xpath("string(//*[local-name()='Body']/*/*[local-name()='result']/*[local-name()='resultCode'])") == (
        code or ""
    )
    assert platform.record.violations == ()
    assert {one.code for one in statuses(answer).values()} == {None, "500"}
    assert is_valid(answer, contract)


async def test_the_patient_is_asked_about_by_the_extension_where_the_contract_has_one(worlds: Worlds) -> None:
    contract = namespaces.GET_LABORATORY_ORDER_OUTCOME_4
    platform = worlds([], contract=contract)
    await platform.ask(question(contract))
    assert PATIENT.encode() in platform.questions[0].body


# Faults


async def test_an_element_of_another_name_is_not_recognized(worlds: Worlds) -> None:
    body = question().replace(b"GetDiagnosis ", b"GetDiagnoses ").replace(b"GetDiagnosis>", b"GetDiagnoses>")
    assert faultstring(await worlds(THREE).ask(body)).endswith("was not recognized")


async def test_a_request_without_a_patient_or_with_two_is_a_fault_and_nobody_is_asked(worlds: Worlds) -> None:
    text = question().decode()
    inner = text[text.index("<r:patientId") : text.index("</r:patientId>") + len("</r:patientId>")]
    platform = worlds(THREE)
    assert "patientId/id is missing" in faultstring(await platform.ask(text.replace(inner, "").encode()))
    assert "2 times" in faultstring(await platform.ask(text.replace(inner, inner + inner).encode()))
    assert platform.network.sent == []


async def test_a_contract_without_a_row_is_a_fault_that_says_so(worlds: Worlds) -> None:
    contract = namespaces.PING_FOR_CONFIGURATION_1
    assert "has no row in aggregation.services" in faultstring(
        await worlds([], contract=contract).ask(question(contract))
    )


async def test_what_the_index_refuses_the_consumer_is_told_in_its_words(worlds: Worlds) -> None:
    platform = worlds(lambda sent: fault("EI000: A technical error has occurred"))
    assert faultstring(await platform.ask()) == "EI000: A technical error has occurred"
    assert platform.asked == []


async def closed(sent: Sent) -> ProducerAnswer:
    raise ProducerFailure(Trouble.CANNOT_CONNECT, "refused")


BAD_INDEX: dict[str, tuple[Source, str]] = {
    "down": (closed, "VP009"),
    "slow": (never, "VP009"),
    "another answer": (lambda sent: ok(records("SE1-A")), "something else than FindContentResponse"),
    "not XML": (lambda sent: ok(b"<nothing"), "something else than FindContentResponse"),
    "not SOAP": (lambda sent: ProducerAnswer(404, "Not Found", (), b"no"), "VP009"),
}


@pytest.mark.parametrize(("index", "text"), BAD_INDEX.values(), ids=BAD_INDEX)
async def test_without_the_index_there_is_a_fault_and_never_an_empty_answer(
    worlds: Worlds, index: Source, text: str
) -> None:
    assert text in faultstring(await worlds(index, index_seconds=0.1).ask())


async def test_without_a_table_it_is_a_fault_and_no_empty_answer(worlds: Worlds) -> None:
    assert platform_fault(await worlds(THREE, has_table=False).ask()).code == "VP008"


async def test_mandatory_headers_are_missed_in_one_fault(worlds: Worlds) -> None:
    answer = await worlds(THREE).aggregation.answer((("X-VP-Sender-Id", ""),), question())
    assert answer.status == 500
    assert parse_xml(answer.body).findtext(".//faultstring") == (
        "Mandatory HTTP header x-rivta-original-serviceconsumer-hsaid is missing\n"
        "Mandatory HTTP header x-skltp-correlation-id is missing\n"
    )


# How each source fared


def broken(sent: Sent) -> ProducerAnswer:
    """A record without its own id, which it must have."""
    return ok(records("SE1-B").replace(b"documentId>", b"documentName>"))


async def hangs_up(sent: Sent) -> ProducerAnswer:
    raise ProducerFailure(Trouble.CUT_SHORT, "the connection was closed before the end of the answer")


FARES: dict[str, tuple[Source, str | None, str | None]] = {
    "a fault": (lambda sent: fault("VP007 [X] Nej"), "500", "VP007 [X] Nej"),
    "a fault in wrongly read letters": (lambda sent: fault("lÃ¤karen Ã¤r hÃ¤r"), "500", "läkaren är här"),
    "half an answer": (hangs_up, "500", None),
    "half an envelope": (lambda sent: ok(records("SE1-B")[:-40]), "43000", None),
    "not XML": (lambda sent: ok(b"no XML"), "43000", None),
    "another contract": (lambda sent: ok(records("SE1-B", contract=namespaces.GET_CARE_CONTACTS_3)), "43000", None),
    "an index's answer": (lambda sent: ok(found([])), "43000", None),
    "an empty body": (lambda sent: ok(envelope("")), "43000", None),
    "nothing accepted": (lambda sent: ProducerAnswer(202, "Accepted", (), b""), "43000", None),
    "a web server's page": (lambda sent: ProducerAnswer(404, "Not Found", (), b"<html/>"), "500", None),
    "nobody there": (closed, "500", None),
    "a fault that says 200": (lambda sent: ok(fault().body), "500", "It went wrong"),
    "a broken record": (broken, None, None),
    "none": (answering(0), None, None),
}


@pytest.mark.parametrize(("source", "code", "text"), FARES.values(), ids=FARES)
async def test_a_source_fares_as_the_incumbent_says_and_hurts_no_other(
    worlds: Worlds, source: Source, code: str | None, text: str | None
) -> None:
    answer = await worlds(THREE, {"SE1-B": source}).ask()
    told = statuses(answer)
    assert answer.status == 200
    assert told["SE1-B"].status == ("DataFromSource" if code is None else "NoDataSynchFailed")
    assert told["SE1-B"].code == code
    assert text is None or told["SE1-B"].text == text
    assert {told["SE1-A"].status, told["SE1-C"].status} == {"DataFromSource"}


async def test_a_source_that_breaks_the_schema_is_named_in_its_record(worlds: Worlds) -> None:
    platform = worlds(THREE, {"SE1-B": broken})
    await platform.ask()
    assert [one.logical_address for one in platform.records if one.violations] == ["SE1-B"]


async def test_with_reject_it_is_a_failed_source_and_the_others_still_show(worlds: Worlds) -> None:
    policy = {"validation": Validation(response=Handling.REJECT)}
    answer = await worlds(THREE, {"SE1-B": broken}, policy=policy).ask()
    assert sorted(answered(answer)) == ["SE1-A", "SE1-C"]
    assert statuses(answer)["SE1-B"].code == "500"


async def test_one_dead_and_one_slow_source_take_no_more_than_the_whole_time(worlds: Worlds) -> None:
    hits = _many(100)
    platform = worlds(hits, {"SE1-7": never, "SE1-8": closed}, deadline_seconds=1.5)
    answer = await platform.ask()
    assert len(answered(answer)) == 98
    told = statuses(answer)
    assert (told["SE1-7"].code, told["SE1-7"].text) == ("43000", "Unknown error")
    assert told["SE1-8"].code == "500"


async def test_time_that_the_index_took_is_missing_at_the_sources(worlds: Worlds) -> None:
    body = found(THREE[:1])

    async def late(sent: Sent) -> ProducerAnswer:
        await asyncio.sleep(0.4)
        return ok(body)

    platform = worlds(late, permitted=["SE1-A"], deadline_seconds=1.0)
    assert answered(await platform.ask()) == ["SE1-A"]
    (sent,) = [one for one in platform.network.sent if one.target.url.startswith("https")]
    assert sent.target.answer_seconds < 0.15


async def test_a_source_whose_breaker_is_open_is_answered_for_at_once(worlds: Worlds) -> None:
    platform = worlds(THREE, {"SE1-B": never}, source_seconds=0.02, policy={"breaker_failures": 2})
    for _ in range(2):
        await platform.ask()
    platform.network.sent.clear()
    answer = await platform.ask()
    assert sorted(platform.asked) == ["SE1-A", "SE1-C"]
    assert statuses(answer)["SE1-B"].code == "500"


@pytest.mark.parametrize("does", [Trouble.TIMEOUT, Trouble.CONNECT_TIMEOUT])
async def test_a_source_that_got_what_little_time_was_left_is_not_held_to_be_in_trouble(
    worlds: Worlds, does: Trouble
) -> None:
    """Else a slow index would have healthy sources refused to everybody."""

    async def slow(sent: Sent) -> ProducerAnswer:
        raise ProducerFailure(does, "no answer in time")

    policy = {"breaker_failures": 1, "retry_attempts": 0}
    platform = worlds(THREE, {"SE1-B": slow}, deadline_seconds=10, policy=policy)
    for _ in range(2):
        await platform.ask()
    assert platform.asked.count("SE1-B") == 2
    assert platform.calling.open_breakers == []


async def test_more_sources_at_one_address_than_it_takes_wait_for_each_other(worlds: Worlds) -> None:
    under_way = most = 0

    async def counting(sent: Sent) -> ProducerAnswer:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return ok(records("SE1-X"))

    policy = {"in_flight_per_platform": 8, "in_flight_per_producer": 8}
    platform = worlds(_many(30), policy=policy, in_flight=3)
    platform.network.other = counting
    assert len(answered(await platform.ask())) == 30
    assert most <= 3


# Who is asked


async def test_a_source_that_may_not_be_called_is_left_out_without_a_word(
    worlds: Worlds, caplog: pytest.LogCaptureFixture
) -> None:
    platform = worlds([*THREE, Found("SE1-SECRET")], permitted=["SE1-A", "SE1-B", "SE1-C"])
    with caplog.at_level(logging.INFO, "rivta.aggregation"):
        answer = await platform.ask()
    assert b"SECRET" not in answer.body
    assert len(answered(answer)) == 3
    assert "'SE1-SECRET' (FT logical address)" in caplog.text
    assert PATIENT not in caplog.text
    (recorded,) = [one for one in platform.record.sources if one.status == "Filtered"]
    assert (recorded.source, recorded.code, recorded.ms) == ("SE1-SECRET", "FT logical address", None)


@pytest.mark.parametrize("hit", [Found("SE1-A", "SE1-NO"), Found("SE1-NO", "SE1-A")], ids=["source", "address"])
async def test_both_addresses_of_an_engagement_need_a_permission(worlds: Worlds, hit: Found) -> None:
    platform = worlds([hit], permitted=["SE1-A"])
    assert answered(await platform.ask()) == []
    assert platform.asked == []


async def test_those_who_are_named_are_told_which_sources_were_left_out(worlds: Worlds) -> None:
    platform = worlds([*THREE, Found("SE1-NO")], permitted=["SE1-A", "SE1-B", "SE1-C"], filtered_shown_to={CONSUMER})
    answer = await platform.ask()
    (told,) = parse_xml(answer.body).iter(f"{{{namespaces.AGGREGATION}}}source")
    assert {str(name): value for name, value in told.attrib.items()} == {
        "address": "SE1-NO",
        "logicalAddress": "SE1-NO",
        "reason": "FT logical address",
        "outcome": "VP004",
    }
    assert len(answered(answer)) == 3  # and the answer is still valid


@pytest.mark.parametrize("hit", [Found(ADDRESS, "SE1-A"), Found("SE1-A", ADDRESS)], ids=["address", "source"])
async def test_it_never_asks_itself(worlds: Worlds, hit: Found, caplog: pytest.LogCaptureFixture) -> None:
    platform = worlds([hit, Found("SE1-B")])
    assert answered(await platform.ask()) == ["SE1-B"]
    assert [one.levelno for one in caplog.records if one.name == "rivta.aggregation"] == [logging.WARNING]


@pytest.mark.parametrize("is_incumbent", [False, True], ids=["ours", "incumbent"])
@pytest.mark.parametrize("address", [f"SE1-X#{ADDRESS}", f"{ADDRESS}#SE1-X", "SE1-BELOW"])
async def test_nor_by_another_address_that_leads_to_it(worlds: Worlds, address: str, is_incumbent: bool) -> None:
    """Each of them would ask for as many more aggregates, three deep."""
    tree = HsaTree({"SE1-BELOW": Unit("SE1-BELOW", "", ADDRESS), ADDRESS: Unit(ADDRESS, "", None)})
    compat = Compat(aggregate_source_unchecked=is_incumbent)
    hits = [Found(address), Found("SE1-B", address), Found("SE1-B")]
    platform = worlds(hits, permitted=["SE1-B"], hsa=tree, policy={"compat": compat})
    assert answered(await platform.ask()) == ["SE1-B"]
    assert platform.asked == ["SE1-B"]
    assert len(platform.questions) == 1
    assert {one.code for one in platform.record.sources if one.status == "Filtered"} == {"own address"}


async def test_one_source_may_be_asked_for_by_its_logical_address(worlds: Worlds) -> None:
    platform = worlds([Found("SE1-UNIT", "SE1-SYSTEM"), Found("SE1-B")])
    assert answered(await platform.ask(question(source="SE1-UNIT"))) == ["SE1-SYSTEM"]
    assert {one.code for one in platform.record.sources if one.status == "Filtered"} == {"FS"}


# The incumbent's ways


def on_behalf_of(original: str) -> tuple[str, str]:
    return ("x-rivta-original-serviceconsumer-hsaid", original)


BY_ORIGINAL = f"""
  - {{consumer: SE1-ORIGINAL, logical_address: [SE1-UNIT], contracts: ["{DIAGNOSIS}"], agreement: test}}
"""


@pytest.mark.parametrize("is_incumbent", [False, True], ids=["ours", "incumbent"])
async def test_only_the_incumbent_counts_a_permission_of_the_original_consumer(
    worlds: Worlds, is_incumbent: bool
) -> None:
    """The unit's permission is the original consumer's alone; the system may be called by the sender."""
    platform = worlds(
        [Found("SE1-UNIT", "SE1-SYSTEM")],
        permitted=["SE1-SYSTEM"],
        more=BY_ORIGINAL,
        policy={
            "compat": Compat(aggregate_by_original_consumer=is_incumbent),
            "original_consumer_allowed": frozenset({HsaId(CONSUMER)}),
        },
        routed=["SE1-UNIT"],
    )
    answer = await platform.ask(None, on_behalf_of("SE1-ORIGINAL"))
    assert answered(answer) == (["SE1-SYSTEM"] if is_incumbent else [])


@pytest.mark.parametrize("is_incumbent", [False, True], ids=["ours", "incumbent"])
async def test_only_the_incumbent_asks_a_source_that_it_may_not_call(worlds: Worlds, is_incumbent: bool) -> None:
    compat = Compat(aggregate_source_unchecked=is_incumbent)
    platform = worlds([Found("SE1-UNIT", "SE1-SYSTEM")], permitted=["SE1-UNIT"], policy={"compat": compat})
    told = statuses(await platform.ask())
    assert {one.code for one in told.values()} == ({"500"} if is_incumbent else set())
    assert all("VP004" in (one.text or "") for one in told.values())


@pytest.mark.parametrize("is_incumbent", [False, True], ids=["ours", "incumbent"])
@pytest.mark.parametrize("address", ["SE1-CHILD", "SE1-GIVER#SE1-NONE"], ids=["unit above", "delimiter"])
async def test_only_the_incumbent_leaves_out_what_is_reached_by_another_address(
    worlds: Worlds, is_incumbent: bool, address: str
) -> None:
    """A call to that address is carried; by an aggregate of the incumbent it is never made."""
    tree = HsaTree({"SE1-CHILD": Unit("SE1-CHILD", "", "SE1-PARENT"), "SE1-PARENT": Unit("SE1-PARENT", "", None)})
    compat = Compat(aggregate_without_climb=is_incumbent)
    platform = worlds(
        [Found(address, "SE1-SYSTEM")],
        permitted=["SE1-SYSTEM", "SE1-PARENT", "SE1-GIVER"],
        hsa=tree,
        policy={"compat": compat},
    )
    assert answered(await platform.ask()) == ([] if is_incumbent else ["SE1-SYSTEM"])


# Chains of aggregates


@pytest.mark.parametrize(("before", "outcome"), [("", "routed"), ("2", "routed"), ("3", "VP014"), ("many", "VP014")])
async def test_aggregates_ask_for_aggregates_three_deep_at_most(worlds: Worlds, before: str, outcome: str) -> None:
    platform = worlds(THREE[:1])
    await platform.ask(None, *([("x-rivta-history-segments", before)] if before else []))
    assert platform.record.outcome == outcome


# What is left of it


async def test_the_record_of_an_aggregate_has_its_sources_and_theirs_its_correlation_id(worlds: Worlds) -> None:
    platform = worlds(THREE, {"SE1-A": answering(3), "SE1-B": lambda sent: fault("Nej")}, in_order=True)
    answer = await platform.ask()
    found_sources = {one.source: (one.status, one.code, one.text, one.records) for one in platform.record.sources}
    assert found_sources == {
        "SE1-A": ("DataFromSource", "", "", 3),
        "SE1-B": ("NoDataSynchFailed", "500", "a fault of the source", 0),
        "SE1-C": ("DataFromSource", "", "", 1),
    }
    assert all(one.ms is not None for one in platform.record.sources)
    assert {one.correlation_id for one in platform.records} == {header(answer, "x-skltp-correlation-id")}
    assert len(platform.records) == 5  # the aggregate, the index, three sources


async def test_sources_stand_in_the_order_of_their_addresses_where_that_is_wanted(worlds: Worlds) -> None:
    platform = worlds([Found("SE1-C"), Found("SE1-A"), Found("SE1-B")], in_order=True)
    answer = await platform.ask()
    assert answered(answer) == ["SE1-A", "SE1-B", "SE1-C"]
    assert list(statuses(answer)) == ["SE1-A", "SE1-B", "SE1-C"]


# Size


async def test_ten_thousand_hits_of_three_sources_are_three_calls(worlds: Worlds) -> None:
    hits = [Found(f"SE1-UNIT-{one % 500}", f"SE1-{'ABC'[one % 3]}") for one in range(10_000)]
    platform = worlds(hits)
    assert sorted(answered(await platform.ask())) == ["SE1-A", "SE1-B", "SE1-C"]


async def test_a_source_with_megabytes_comes_whole_between_small_ones(worlds: Worlds) -> None:
    platform = worlds(THREE, {"SE1-B": answering(3000)})
    answer = await platform.ask()
    assert len(answer.body) > 4_000_000
    assert len(answered(answer)) == 3002


async def test_a_contract_of_an_installation_is_aggregated_by_its_row(worlds: Worlds) -> None:
    contract = ContractNamespace("urn:riv:test:GetThingsResponder:1")
    row = {"domain": "riv:test", "categories": ["a", "b"], "patient": "person", "records": ["thing"]}
    body = f'<t:GetThings xmlns:t="{contract}"><t:person>{PATIENT}</t:person></t:GetThings>'
    reply = f'<t:GetThingsResponse xmlns:t="{contract}"><t:thing>1</t:thing><t:rest/></t:GetThingsResponse>'
    hits = [Found("SE1-A", categorization="A"), Found("SE1-B", categorization="c")]
    platform = worlds(hits, {"SE1-A": lambda sent: ok(envelope(reply))}, contract=contract, rows={contract: row})
    request = envelope(body).replace(
        b"<s:Header/>",
        f'<s:Header><r:LogicalAddress xmlns:r="{namespaces.REGISTRY_1}">{ADDRESS}</r:LogicalAddress></s:Header>'.encode(),
    )
    answer = await platform.ask(request)
    payload = read_head(parse_xml(answer.body)).payload
    assert payload is not None
    assert [(one.tag, one.text) for one in payload] == [(f"{{{contract}}}thing", "1")]
    assert b"categorization" not in platform.questions[0].body
    assert list(statuses(answer)) == ["SE1-A"]


async def test_what_a_source_says_in_a_fault_is_told_to_the_consumer_and_not_recorded(worlds: Worlds) -> None:
    platform = worlds(
        THREE, {"SE1-A": lambda sent: fault(PATIENT), "SE1-B": lambda sent: fault(f"VP009 [X] {PATIENT}")}
    )
    told = statuses(await platform.ask())
    assert told["SE1-A"].text == PATIENT
    assert PATIENT not in platform.record.to_json()
    assert {one.source: one.text for one in platform.record.sources if one.text} == {
        "SE1-A": "a fault of the source",
        "SE1-B": "VP009",
    }


async def test_what_namespaces_make_of_records_counts_too(worlds: Worlds) -> None:
    many = " ".join(f'xmlns:n{number}="urn:{number:0100}"' for number in range(20))
    body = f'<a:GetDiagnosisResponse xmlns:a="{DIAGNOSIS}" {many}>{"<a:diagnosis/>" * 30}</a:GetDiagnosisResponse>'
    load = Load(most=40_000)
    carry_with(load.share(CONSUMER))
    told = statuses(await worlds(THREE[:1], {"SE1-A": lambda sent: ok(envelope(body))}).ask())
    assert told["SE1-A"].code == "43000"


async def test_short_answers_count_together_and_what_there_is_no_room_for_is_a_failed_source(worlds: Worlds) -> None:
    load = Load(most=20_000)
    carry_with(load.share(CONSUMER))
    answer = await worlds(_many(20)).ask()
    told = statuses(answer).values()
    assert {one.code for one in told} == {None, "43000"}
    assert len(answered(answer)) == sum(one.code is None for one in told)
    assert all("as many long messages as it can" in (one.text or "") for one in told if one.code)
