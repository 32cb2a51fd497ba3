"""Messages and answers for tests of the bench."""

from rivta.contracts.installed import Contracts
from rivta.testing.answers import Answer, ReadAnswer
from rivta.testing.documents import PREFIXES

CONTRACTS = Contracts.shipped()
"""Read once: it takes a twentieth of a second."""

PING = "urn:riv:itintegration:monitoring:PingForConfigurationResponder:1"
DIAGNOSIS = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"
HEALTHCOND = "urn:riv:clinicalprocess:healthcond:description:2"


def envelope(body: str, *, address: str = "SE1-KS", header: str = "") -> bytes:
    """A SOAP envelope addressed by RIVTABP21."""
    to = f'<r:LogicalAddress xmlns:r="urn:riv:itintegration:registry:1">{address}</r:LogicalAddress>' if address else ""
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Header>{to}{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def ping(address: str = "SE1-KS") -> bytes:
    """A request that only asks."""
    body = (
        f'<p:PingForConfiguration xmlns:p="{PING}"><p:serviceContractNamespace>{PING}</p:serviceContractNamespace>'
        f"<p:logicalAddress>{address}</p:logicalAddress></p:PingForConfiguration>"
    )
    return envelope(body, address=address)


def pong(version: str = "1.0", time: str = "20261124120000") -> bytes:
    """Its answer."""
    body = (
        f'<p:PingForConfigurationResponse xmlns:p="{PING}"><p:version>{version}</p:version>'
        f"<p:pingDateTime>{time}</p:pingDateTime></p:PingForConfigurationResponse>"
    )
    return envelope(body, address="")


def fault(text: str = "VP004 [P] Det finns inget vägval", detail: str = "receiverId: SE1-KS") -> bytes:
    """A fault as a platform makes it."""
    body = (
        f"<s:Fault><faultcode>s:Client</faultcode><faultstring>{text}</faultstring>"
        f"<detail><detailString>{detail}</detailString></detail></s:Fault>"
    )
    return envelope(body, address="")


def diagnoses(*patients: str, header: str = "") -> bytes:
    """An answer with a record of each patient."""
    records = "".join(
        f"<d:diagnosis><h:diagnosisHeader><h:patientId><h:extension>{one}</h:extension></h:patientId>"
        "</h:diagnosisHeader></d:diagnosis>"
        for one in patients
    )
    body = f'<d:GetDiagnosisResponse xmlns:d="{DIAGNOSIS}" xmlns:h="{HEALTHCOND}">{records}</d:GetDiagnosisResponse>'
    return envelope(body, address="", header=header)


def read(body: bytes, *, status: int = 200, elapsed_s: float = 0.5, **headers: str) -> ReadAnswer:
    """An answer, with headers whose names have `_` for `-`."""
    lines = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return ReadAnswer(Answer(status, lines, body, elapsed_s), tuple(PREFIXES.items()))
