"""The field's identifiers as types, so that a signature says which string is which."""

from enum import Enum
from typing import NewType

HsaId = NewType("HsaId", str)
"""Identity of a person, organisation or system in the national directory (HSA), as `SE2321000016-KS`."""

LogicalAddress = NewType("LogicalAddress", str)
"""The receiver as the consumer names it: usually an HSA-id, never a URL."""

ContractNamespace = NewType("ContractNamespace", str)
"""`urn:riv:<domain>:<Name>Responder:<major>`: the namespace of the first element in a SOAP body."""


CORRELATION_ID = "x-skltp-correlation-id"
"""HTTP header with the id that one consumer's call keeps through every hop and log line."""


class Profile(Enum):
    """How the logical address travels in the SOAP header (RIV-TA basic profile 2.0 and 2.1)."""

    RIVTABP20 = "RIVTABP20"
    RIVTABP21 = "RIVTABP21"

    @classmethod
    def parse(cls, text: str) -> "Profile":
        """The profile named by `text` in any case; ValueError if there is none."""
        return cls(text.strip().upper())

    @classmethod
    def known(cls, text: str) -> "Profile | None":
        """The same, and None if there is none."""
        try:
            return cls.parse(text)
        except ValueError:
            return None


def short_name(contract: str | None) -> str:
    """`GetDiagnosis:2` for a contract's namespace; a namespace of another form as it is, none as `-`."""
    words = (contract or "-").rsplit(":", 2)
    if len(words) == 3 and words[1].endswith("Responder"):
        return f"{words[1].removesuffix('Responder')}:{words[2]}"
    return contract or "-"
