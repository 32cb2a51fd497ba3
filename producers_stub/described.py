"""Records of the domain clinicalprocess:healthcond:description: notes, diagnoses and alerts."""

from __future__ import annotations

from collections.abc import Sequence

from producers_stub.headers import Asked, summary_header
from producers_stub.journals import Alert, Diagnosis, Note
from producers_stub.nodes import Node, boolean, coded, day, prefixed, seconds

ICD_10_SE = "1.2.752.116.1.1.1.1.3"
ATC = "1.2.752.129.2.2.3.1.3"
ALERTS = "1.2.752.129.2.2.3.1.1"
HYPERSENSITIVITIES = "1.2.752.129.2.2.3.1.2"
SEVERITIES = "1.2.752.129.2.2.3.4"

_SEVERITIES = {"1": "Skadlig", "2": "Livshotande", "3": "Besvärande"}


def note(one: Note, asked: Asked) -> Sequence[Node]:
    """CareDocumentationType, whose header spells the source system's element in its own way."""
    header = [
        ("sourceSystemHSAid" if name == "sourceSystemHSAId" else name, content)
        for name, content in summary_header(one.document, asked, title=one.title)
    ]
    return (
        ("careDocumentationHeader", header),
        (
            "careDocumentationBody",
            [
                (
                    "clinicalDocumentNote",
                    [
                        ("clinicalDocumentNoteCode", one.code),
                        ("clinicalDocumentNoteTitle", one.title),
                        ("clinicalDocumentNoteText", one.text),
                    ],
                )
            ],
        ),
    )


def diagnosis(one: Diagnosis, asked: Asked) -> Sequence[Node]:
    """DiagnosisType."""
    return (
        ("diagnosisHeader", summary_header(one.document, asked, title="Diagnos")),
        (
            "diagnosisBody",
            [
                ("typeOfDiagnosis", "Huvuddiagnos" if one.is_main else "Bidiagnos"),
                ("chronicDiagnosis", boolean(one.chronic)),
                ("diagnosisTime", seconds(one.document.time)),
                ("diagnosisCode", coded(one.code, ICD_10_SE, "ICD-10-SE", one.text)),
                *(("relatedDiagnosis", [("documentId", prefixed(asked.source, related))]) for related in one.related),
            ],
        ),
    )


def alert(one: Alert, asked: Asked) -> Sequence[Node]:
    """AlertInformationType."""
    is_treatment = not (one.atc or one.agent)
    kind = ("3", "Behandling") if is_treatment else ("1", "Överkänslighet")
    return (
        ("alertInformationHeader", summary_header(one.document, asked, title=one.title)),
        (
            "alertInformationBody",
            [
                ("typeOfAlertInformation", coded(kind[0], ALERTS, "Typ av uppmärksamhetsinformation", kind[1])),
                ("ascertainedDate", day(one.document.time)),
                ("validityTimePeriod", [("start", seconds(one.document.time))]),
                ("alertInformationComment", one.comment),
                ("hypersensitivity", () if is_treatment else _hypersensitivity(one)),
                ("treatment", [("treatmentDescription", one.title)] if is_treatment else ()),
            ],
        ),
    )


def _hypersensitivity(one: Alert) -> Sequence[Node]:
    kind = ("LKM", "Läkemedelsöverkänslighet") if one.atc else ("ANN", "Annan överkänslighet")
    severity = coded(one.severity, SEVERITIES, "Allvarlighetsgrad", _SEVERITIES[one.severity])
    return (
        ("typeOfHypersensitivity", coded(kind[0], HYPERSENSITIVITIES, "Typ av överkänslighet", kind[1])),
        ("degreeOfSeverity", severity),
        (
            "pharmaceuticalHypersensitivity",
            [("atcSubstance", coded(one.atc, ATC, "ATC", one.title))] if one.atc else (),
        ),
        ("otherHypersensitivity", [("hypersensitivityAgent", one.agent)] if one.agent else ()),
    )
