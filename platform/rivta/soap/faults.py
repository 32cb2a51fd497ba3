"""The closed list of what a platform refuses with, and the envelope that says so: the incumbent's codes."""

from dataclasses import dataclass
from enum import Enum
from xml.sax.saxutils import escape

from rivta.soap import namespaces


class Side(Enum):
    """Who has to act: the fault code of SOAP 1.1 section 4.4.1."""

    CLIENT = "Client"
    SERVER = "Server"


@dataclass(frozen=True, slots=True)
class FaultText:
    """How a fault is spelled on the wire. `detail` is a template; its names are given where the fault is raised."""

    code: str
    side: Side
    text: str
    detail: str = "{detail}"


class Fault(Enum):
    """Each fault of the platform, named for what is wrong; the value is its wire form."""

    NO_PROFILE = FaultText(
        "VP001",
        Side.CLIENT,
        "Rivta-version saknas i anrop eller stöds ej av tjänsteplattformen.",
        "No RIV version configured",
    )
    NO_SENDER = FaultText(
        "VP002", Side.CLIENT, "Fel i klientcertifikat. Saknas, är av felaktig typ, eller är felaktigt utformad."
    )
    NO_RECEIVER = FaultText(
        "VP003",
        Side.CLIENT,
        "Logisk adressat (ReceiverId) saknas i RivHeadern i inkommande meddelande.",
        "No receiverId (logical address) found in message header. ",
    )
    NO_ROUTE = FaultText(
        "VP004",
        Side.CLIENT,
        "Det finns inget vägval i tjänsteadresseringskatalogen som matchar anropets logiska adressat (ReceiverId) och "
        "tjänstekontrakt. Kontrollera uppgifterna i anropet och vid behov, beställ konfigurering i aktuell "
        "tjänsteplattform.",
        "No receiverId (logical address) found for serviceNamespace: {contract}, receiverId: {logical_address}{hint}",
    )
    PROFILE_NOT_TRANSLATABLE = FaultText(
        "VP005",
        Side.CLIENT,
        "Tjänsteproducenten stödjer inte anropets angivna rivta-version. Kontrollera uppgifterna.",
        "No receiverId (logical address) with matching Riv-version found for {profile}",
    )
    SEVERAL_ROUTES = FaultText(
        "VP006",
        Side.SERVER,
        "Internt fel i tjänsteplattformen. Det finns fler än en tjänsteproducent definierad i "
        "tjänsteadresseringskatalogen som matchar logisk adressat (ReceiverId), tjänstekontrakt och dagens datum. "
        "Tyder på felkonfiguration. Rapportera felet till tjänsteplattformsförvaltningen.",
        "More than one receiverId (logical address) with matching Riv-version found for serviceNamespace: {contract}, "
        "receiverId: {logical_address}",
    )
    NO_PERMISSION = FaultText(
        "VP007",
        Side.SERVER,
        "Tjänstekonsumenten saknar behörighet att anropa den logiska adressaten via detta tjänstekontrakt. "
        "Kontrollera uppgifterna och vid behov, tillse att det beställs konfiguration i aktuell tjänsteplattform.",
        "Authorization missing for serviceNamespace: {contract}, receiverId: {logical_address}, senderId: {sender}",
    )
    NO_TABLE = FaultText(
        "VP008",
        Side.SERVER,
        "Internt fel i tjänsteplattformen. Ingen kontakt med tjänsteadresseringskatalogen. Informera "
        "tjänsteplattformsförvaltningen.",
        "No contact with TAK at startup, and no local cache to fallback on, not possible to route call",
    )
    PRODUCER_TROUBLE = FaultText("VP009", Side.SERVER, "Fel vid kontakt med tjänsteproducenten.")
    NO_URL = FaultText(
        "VP010",
        Side.SERVER,
        "Internt fel i tjänsteplattformen. URL saknas för tjänsteproducenten i tjänsteplattformens "
        "tjänsteadresseringskatalog.",
        "Physical Address field is empty in Service Producer for serviceNamespace: {contract}, "
        "receiverId: {logical_address}",
    )
    NOT_WHITELISTED = FaultText(
        "VP011",
        Side.CLIENT,
        "Anrop har gjorts utanför TLS vilket ej är tillåtet. Tjänstekonsumenten ska alltid använda TLS för säker "
        "kommunikation.",
        "Caller was not on the white list of accepted IP-addresses.  IP-address: {address}. HTTP header that caused "
        "checking: {header}",
    )
    TRANSLATION_FAILED = FaultText(
        "VP012", Side.SERVER, "Internt fel i tjänsteplattformen. Nödvändiga resurser saknas för att VP skall fungera."
    )
    ORIGINAL_CONSUMER_REFUSED = FaultText(
        "VP013",
        Side.CLIENT,
        "Enligt tjänsteplattformens konfiguration saknar tjänstekonsumenten rätt att använda headern "
        "x-rivta-original-serviceconsumer-hsaid. Kontakta tjänsteplattformsförvaltningen.",
        "Sender is not approved to set header x-rivta-original-serviceconsumer-hsaid.",
    )
    LOOP = FaultText(
        "VP014",
        Side.SERVER,
        "Anropsförmedlingen för den logiska adressaten har givit upphov till rundgång mellan tjänsteplattformar. "
        "Rapportera felet till tjänsteplattformsförvaltningen.",
        "",
    )
    UNREADABLE = FaultText("VP015", Side.CLIENT, "Anrop ej korrekt utformat och kan därför inte behandlas.")


@dataclass(frozen=True, slots=True)
class Form:
    """How the incumbent writes a fault differently from the others."""

    text: str = ""
    """The faultstring, where it has neither a code nor the platform's name."""
    has_type: bool = True
    """False: its answer has no Content-Type."""


class Refused(Exception):
    """The platform does not carry this call: which fault, and the detail for the caller and for everybody else."""

    def __init__(
        self, fault: Fault, *, private_detail: str | None = None, form: Form | None = None, **values: object
    ) -> None:
        """`values` fill the fault's detail template. `private_detail` is the detail without values of the message,
        for logs and storage; by default the detail itself. `form` is another than the usual one."""
        self.fault = fault
        self.form = form or _USUAL
        self.detail = fault.value.detail.format(**values)
        self.private_detail = self.detail if private_detail is None else private_detail
        super().__init__(f"{fault.value.code} {fault.name}: {self.private_detail}")


_USUAL = Form()


def fault_envelope(fault: Fault, *, detail: str, platform_name: str, text: str = "") -> bytes:
    """The SOAP envelope of a fault made by the platform, byte for byte in the incumbent's form.

    `text` is the faultstring if it is not code, name and text as usual.
    """
    spelled = fault.value
    return _envelope(spelled.side, text or f"{spelled.code} [{platform_name}] {spelled.text}", detail)


def unexpected_fault_envelope(*, detail: str, text: str = "Internal error in the service platform") -> bytes:
    """The fault for what should not have happened: the incumbent's shape without a VP code, and nothing internal."""
    return _envelope(Side.SERVER, text, detail)


def _envelope(side: Side, text: str, detail: str) -> bytes:
    return (
        f'<SOAP-ENV:Envelope xmlns:SOAP-ENV="{namespaces.SOAP_ENVELOPE}"><SOAP-ENV:Header/><SOAP-ENV:Body>'
        f"<SOAP-ENV:Fault><faultcode>SOAP-ENV:{side.value}</faultcode><faultstring>{_text(text)}</faultstring>"
        f"<detail><detailString>{_text(detail)}</detailString></detail></SOAP-ENV:Fault></SOAP-ENV:Body>"
        "</SOAP-ENV:Envelope>"
    ).encode()


def _text(text: str) -> str:
    """`text` as XML character data; what XML 1.0 cannot hold becomes the replacement character.

    A carriage return is written as a reference: as itself a parser would read it as a line feed (XML 1.0 section 2.11).
    """
    holdable = (
        c if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" else "\ufffd"
        for c in text
    )
    return escape("".join(holdable), {"\r": "&#13;"})
