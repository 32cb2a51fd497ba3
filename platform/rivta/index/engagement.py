"""An engagement: that a source system holds something about a person. A pointer, never the content itself.

Imported by workers: standard library only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

NOT_USED = "NA"
"""What stands in the two ids that are mandatory on the wire and used by few contracts."""

_SWEDISH_TIME = ZoneInfo("Europe/Stockholm")
_TIMESTAMP = "%Y%m%d%H%M%S"
_TIMESTAMP_DIGITS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """A row of the index. Times are texts as on the wire: Swedish time, `yyyyMMddHHmmss`."""

    registered_resident_id: str = field(repr=False)
    service_domain: str
    categorization: str
    logical_address: str
    """Whom a consumer must be permitted to call."""
    business_object_instance_id: str = NOT_USED
    clinical_process_interest_id: str = NOT_USED
    most_recent_content: str | None = None
    source_system: str
    """Where the call goes."""
    creation_time: str | None = None
    update_time: str | None = None
    data_controller: str
    owner: str = ""
    """HSA-id of the index that the engagement was first reported to."""

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from others, in the order that the row's id is made in."""
        return (
            self.registered_resident_id,
            self.service_domain,
            self.categorization,
            self.logical_address,
            self.business_object_instance_id,
            self.source_system,
            self.data_controller,
            self.owner,
            self.clinical_process_interest_id,
        )

    @property
    def id(self) -> str:
        """The row's id, the incumbent's: SHA-256 of the key's fields with nothing between them, hexadecimal."""
        return hashlib.sha256("".join(self.key).encode("utf-8")).hexdigest()


@dataclass(frozen=True, slots=True)
class Transaction:
    """A change to the index, as it is reported or announced."""

    delete: bool
    engagement: Engagement
    visited: tuple[str, ...] = ()
    """HSA-ids of the indexes that have had this change: it is not announced to them again."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an engagement on the wire."""

    name: str
    """Of the attribute."""
    wire: str
    """Of the element."""
    longest: int
    mandatory: bool = True


FIELDS = (
    Field("registered_resident_id", "registeredResidentIdentification", 32),
    Field("service_domain", "serviceDomain", 255),
    Field("categorization", "categorization", 255),
    Field("logical_address", "logicalAddress", 64),
    Field("business_object_instance_id", "businessObjectInstanceIdentifier", 128),
    Field("clinical_process_interest_id", "clinicalProcessInterestId", 128),
    Field("most_recent_content", "mostRecentContent", _TIMESTAMP_DIGITS, mandatory=False),
    Field("source_system", "sourceSystem", 64),
    Field("creation_time", "creationTime", _TIMESTAMP_DIGITS, mandatory=False),
    Field("update_time", "updateTime", _TIMESTAMP_DIGITS, mandatory=False),
    Field("data_controller", "dataController", 64),
    Field("owner", "owner", 64, mandatory=False),
)
"""In the order of the schema (urn:riv:itintegration:engagementindex:1, EngagementType)."""


def timestamp(moment: datetime) -> str:
    """An instant as the index writes it."""
    return moment.astimezone(_SWEDISH_TIME).strftime(_TIMESTAMP)


def read_timestamp(text: str) -> datetime:
    """The instant, in UTC; of the two that a text of the hour after summer time may mean, the first.

    Raises ValueError for what is not `yyyyMMddHHmmss`.
    """
    if len(text) != _TIMESTAMP_DIGITS or not (text.isascii() and text.isdigit()):
        raise ValueError("not yyyyMMddHHmmss")
    try:
        return datetime.strptime(text, _TIMESTAMP).replace(tzinfo=_SWEDISH_TIME).astimezone(UTC)
    except OverflowError as error:  # of the first hour of the year 1 there is no instant in UTC
        raise ValueError("not a time that there is") from error
