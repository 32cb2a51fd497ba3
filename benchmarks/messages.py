"""GetDiagnosis of a wanted size, valid by its schema: requests for many care units, answers with many diagnoses."""

from rivta.soap.namespaces import GET_DIAGNOSIS_2, HEALTHCOND_DESCRIPTION_2, REGISTRY_1, SOAP_ENVELOPE

_PATIENT = "<d:id>191212121212</d:id><d:type>1.2.752.129.2.1.3.1</d:type>"
_NAMESPACES = f'xmlns:soapenv="{SOAP_ENVELOPE}" xmlns:r="{GET_DIAGNOSIS_2}" xmlns:d="{HEALTHCOND_DESCRIPTION_2}"'

_RECORD = f"""\
<r:diagnosis><d:diagnosisHeader><d:documentId>KS-2024-004183-D1</d:documentId>
<d:sourceSystemHSAId>SE2321000016-KS</d:sourceSystemHSAId><d:patientId>{_PATIENT}</d:patientId>
<d:accountableHealthcareProfessional><d:authorTime>20240311103200</d:authorTime>
<d:healthcareProfessionalName>Eva Lindqvist</d:healthcareProfessionalName>
<d:healthcareProfessionalCareUnitHSAId>SE2321000016-4F70</d:healthcareProfessionalCareUnitHSAId>
<d:healthcareProfessionalCareGiverHSAId>SE2321000016-1001</d:healthcareProfessionalCareGiverHSAId>
</d:accountableHealthcareProfessional><d:approvedForPatient>true</d:approvedForPatient></d:diagnosisHeader>
<d:diagnosisBody><d:typeOfDiagnosis>Huvuddiagnos</d:typeOfDiagnosis><d:diagnosisTime>20240311101500</d:diagnosisTime>
<d:diagnosisCode><d:code>I10.9</d:code><d:codeSystem>1.2.752.116.1.1.1.1.3</d:codeSystem>
<d:displayName>Essentiell hypertoni</d:displayName></d:diagnosisCode></d:diagnosisBody></r:diagnosis>
"""


def request(logical_address: str, size: int) -> bytes:
    """A request in RIVTABP21 of `size` bytes, or up to one care unit more."""
    before = (
        f'<soapenv:Envelope {_NAMESPACES} xmlns:urn="{REGISTRY_1}">'
        f"<soapenv:Header><urn:LogicalAddress>{logical_address}</urn:LogicalAddress></soapenv:Header>"
        "<soapenv:Body><r:GetDiagnosis>"
    )
    after = f"<r:patientId>{_PATIENT}</r:patientId></r:GetDiagnosis></soapenv:Body></soapenv:Envelope>"
    return _filled(before, "<r:careUnitHSAId>SE2321000016-4F70</r:careUnitHSAId>", after, size)


def answer(size: int) -> bytes:
    """An answer of `size` bytes, or up to one diagnosis more."""
    before = f"<soapenv:Envelope {_NAMESPACES}><soapenv:Body><r:GetDiagnosisResponse>"
    return _filled(before, _RECORD, "</r:GetDiagnosisResponse></soapenv:Body></soapenv:Envelope>", size)


def _filled(before: str, repeated: str, after: str, size: int) -> bytes:
    missing = size - len(before) - len(after)
    return (before + repeated * max(0, -(-missing // len(repeated))) + after).encode()
