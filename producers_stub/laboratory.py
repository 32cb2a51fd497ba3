"""Records of the domain clinicalprocess:healthcond:actoutcome: laboratory results, in both contract versions."""

from __future__ import annotations

from collections.abc import Sequence

from producers_stub.headers import Asked, professional, role, summary_header
from producers_stub.journals import Analysis, Document, LaboratoryResult
from producers_stub.nodes import HSA_IDS, OWN_IDS, Node, boolean, coded, identified, prefixed, seconds

NPU = "1.2.752.108.1"
RESULT_TYPES = "1.2.752.129.2.2.2.54"
ANALYSIS_STATUSES = "1.2.752.129.2.2.2.53"
INTERPRETATIONS = "2.16.840.1.113883.5.83"

_FLAGS = {"H": "hög", "L": "låg"}


def outcome_3(one: LaboratoryResult, asked: Asked) -> Sequence[Node]:
    """LaboratoryOrderOutcomeType of version 3."""
    body: list[Node] = [
        ("resultType", "DEF"),
        ("registrationTime", seconds(one.document.time)),
        ("discipline", "Klinisk kemi"),
        ("resultReport", one.comment),
        ("accountableHealthcareProfessional", professional(one.document)),
        *(("analysis", _analysis_3(analysis, one, asked)) for analysis in one.analyses),
        ("order", [("orderId", one.referral), ("orderReason", one.question)]),
    ]
    header = summary_header(one.document, asked, title=one.group)
    return (("laboratoryOrderOutcomeHeader", header), ("laboratoryOrderOutcomeBody", body))


def _analysis_3(analysis: Analysis, one: LaboratoryResult, asked: Asked) -> Sequence[Node]:
    measured: list[Node] = [
        ("outcomeValue", analysis.value.replace(".", ",")),
        ("outcomeUnit", analysis.unit),
        ("observationTime", seconds(one.document.time)),
        ("pathologicalFlag", boolean(bool(analysis.flag))),
        ("referenceInterval", _interval_text(analysis)),
    ]
    return (
        ("analysisId", identified(OWN_IDS, f"{prefixed(asked.source, one.document.id)}-{analysis.npu}")),
        ("analysisCode", coded(analysis.npu, NPU, "NPU", analysis.name)),
        ("analysisStatus", "Slutsvar"),
        ("analysisComment", analysis.comment),
        ("specimen", "Venblod"),
        ("analysisOutcome", measured),
    )


def _interval_text(analysis: Analysis) -> str:
    low, high = analysis.low.replace(".", ","), analysis.high.replace(".", ",")
    if low and high:
        return f"{low} - {high}"
    return f"< {high}" if high else f"> {low}" if low else ""


def outcome_4(one: LaboratoryResult, asked: Asked) -> Sequence[Node]:
    """LaboratoryOrderOutcomeType of version 4."""
    document = one.document
    body: list[Node] = [
        ("identifier", identified(OWN_IDS, prefixed(asked.source, document.id))),
        ("type", coded("DEF", RESULT_TYPES, "Svarstyp", "Definitivt svar")),
        ("text", one.comment),
        (
            "referral",
            [
                ("identifier", identified(OWN_IDS, one.referral)),
                ("timestamp", seconds(document.time)),
                ("question", one.question),
                (
                    "requester",
                    [
                        ("id", identified(HSA_IDS, document.author.hsa_id)),
                        ("name", document.author.name),
                        ("byRole", role(document.author)),
                        ("orgUnit", _unit(document)),
                    ],
                ),
            ],
        ),
        (
            "groupOfAnalyses",
            [("name", one.group), *(("analysis", _analysis_4(analysis, one)) for analysis in one.analyses)],
        ),
        ("recipientUnit", _unit(document)),
    ]
    return (("header", _header_4(document, asked)), ("body", body))


def _header_4(document: Document, asked: Asked) -> Sequence[Node]:
    """HeaderType. What access control goes by stands apart; a record that is no longer in force is not told of."""
    written = seconds(document.time)
    author: list[Node] = [
        ("id", identified(HSA_IDS, document.author.hsa_id)),
        ("name", document.author.name),
        ("timestamp", written),
        ("byRole", role(document.author)),
    ]
    access: list[Node] = [
        ("accountableCareGiver", identified(HSA_IDS, document.unit.care_provider)),
        ("accountableCareUnit", identified(HSA_IDS, document.unit.hsa_id)),
        ("originalPatientId", identified(asked.id_type, document.patient)),
        ("blockComparisonTime", written),
        ("approvedForPatient", boolean(document.approved_for_patient)),
    ]
    record: list[Node] = [
        ("id", identified(OWN_IDS, prefixed(asked.source, document.id))),
        ("timestamp", written),
    ]
    return (
        ("accessControlHeader", access),
        ("sourceSystemId", identified(HSA_IDS, asked.source)),
        ("record", record),
        ("author", author),
    )


def _analysis_4(analysis: Analysis, one: LaboratoryResult) -> Sequence[Node]:
    interval: list[Node] = [
        ("low", analysis.low),
        ("lowClosed", boolean(True) if analysis.low else None),
        ("high", analysis.high),
        ("highClosed", boolean(True) if analysis.high else None),
        ("unit", analysis.unit),
    ]
    flag = analysis.flag
    measured: list[Node] = [
        ("value", [("pq", [("value", analysis.value), ("unit", analysis.unit)])]),
        ("interpretation", coded(flag, INTERPRETATIONS, "ObservationInterpretation", _FLAGS[flag]) if flag else ()),
        ("reference", [("interval", interval)] if analysis.low or analysis.high else ()),
    ]
    specimen: list[Node] = [
        ("identifier", identified(OWN_IDS, one.specimen)),
        ("timestamp", seconds(one.document.time)),
    ]
    return (
        ("timestamp", seconds(one.document.time)),
        ("code", coded(analysis.npu, NPU, "NPU", analysis.name)),
        ("status", coded("F", ANALYSIS_STATUSES, "Analysstatus", "Slutsvar")),
        ("comment", analysis.comment),
        ("specimen", specimen),
        ("result", measured),
    )


def _unit(document: Document) -> Sequence[Node]:
    return (("id", identified(HSA_IDS, document.unit.hsa_id)), ("name", document.unit.name))
