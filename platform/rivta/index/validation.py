"""What an Update or a notification must be, in the incumbent's order and words: the first mistake is the answer.

The words are on the wire, spelling mistakes included: clients have been seen to look for them. A mistake never quotes
whom a change is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from rivta.index.client import QUESTION_FIELDS, Question
from rivta.index.engagement import FIELDS, Transaction, read_timestamp
from rivta.index.wire import ReadTransaction
from rivta.soap.service import ServiceFault

MOST_TRANSACTIONS = 1000
"""In one message."""

_MANDATORY = tuple(one for one in FIELDS if one.mandatory)
_OWNER = next(one for one in FIELDS if one.name == "owner")
_WIRE = {one.name: one.wire for one in FIELDS}
_BLANKS = "".join(map(chr, range(0x21)))
"""What Java's trim takes for white space."""


class IndexFault(Enum):
    """Every fault of the index: code and text."""

    TECHNICAL = "EI000: A technical error has occurred, error message: {0}"
    NOT_BY_SCHEMA = "EI001: The payload does not follow the XML Schema, error messge: {0}"
    SAME_KEY = (
        "EI002: EngagementTransaction #{0} and #{1} have the same key. That is not allowed. "
        "See rule for Update-R1 in service contract"
    )
    WRONG_ADDRESS = (
        "EI003: Invalid routing. Logical address is {0} but the owner is {1}. They must be the same. "
        "See rule for Update-R7 in service contract"
    )
    NOT_VALID = "EI004: The payload does not validate, error messge: {0}"
    RESERVED_ADDRESS = (
        "EI005: The logicalAddress in EngagementTransaction #{0} is reserved and not allowed, hsa-id: {1}"
    )
    RESERVED_SOURCE = "EI006: The sourceSystem in EngagementTransaction #{0} is reserved and not allowed, hsa-id: {1}"

    def with_words(self, *words: str) -> ServiceFault:
        """The fault, ready to be raised."""
        return ServiceFault(self.value.format(*words))


_TOO_MANY = "The request contains more than 1000 engagements. Maximum number of engagements per request is 1000."
_TOO_FEW = "The request contains less than 1 engagements. Minium number of engagements per request is 1."
_BAD_DATE = 'Input date is not according to expected format "YYYYMMDDhhmmss": {0}'


@dataclass(frozen=True, slots=True)
class IndexIdentity:
    """Who an index is, and whom it takes no engagements of."""

    hsa_id: str
    """Its logical address, and the owner of what is reported to it."""
    alternatives: frozenset[str] = frozenset()
    """Other logical addresses that it answers to."""
    reserved: frozenset[str] = frozenset()
    """HSA-ids that no engagement may point at: the platform's own, which would call itself."""

    def is_reserved(self, hsa_id: str) -> bool:
        """Whether an engagement may not point at it: in any case of letters, as the tables compare addresses."""
        return hsa_id.upper() in map(str.upper, self.reserved)


def check_correlation(correlation_id: str | None) -> None:
    """Every operation but GetUpdates asks for one first. Raises ServiceFault."""
    if correlation_id is None:
        raise ServiceFault("Mandatory HTTP header x-skltp-correlation-id is missing")


def update_transactions(
    read: Sequence[ReadTransaction], *, logical_address: str, identity: IndexIdentity
) -> list[Transaction]:
    """The changes of an Update, all owned by this index and known to no other. Raises ServiceFault for the first
    mistake."""
    if logical_address not in (identity.hsa_id, *identity.alternatives):
        raise IndexFault.WRONG_ADDRESS.with_words(logical_address or "missing", identity.hsa_id)
    _check(read, identity, owner_is_mandatory=False)
    return [replace(one.transaction(owner=identity.hsa_id), visited=()) for one in read]


def notified_transactions(read: Sequence[ReadTransaction], *, identity: IndexIdentity) -> list[Transaction]:
    """The changes of a notification, each owned by whom it says. Raises ServiceFault for the first mistake."""
    _check(read, identity, owner_is_mandatory=True)
    return [one.transaction() for one in read]


def check_question(question: Question) -> None:
    """Raises ServiceFault for a FindContent that does not say what it must, or whose time is none."""
    for name in ("registered_resident_id", "service_domain"):
        if not getattr(question, name):
            raise _missing(dict(QUESTION_FIELDS)[name])
    if question.most_recent_content is not None:
        _check_date(question.most_recent_content)


def check_updates_question(service_domain: str, since: str) -> None:
    """The same of GetUpdates, which has no words of the incumbent's: they are as FindContent's."""
    if not service_domain:
        raise _missing("serviceDomain")
    if not since:
        raise _missing("timeStamp")
    _check_date(since)


def _missing(wire: str) -> ServiceFault:
    return IndexFault.TECHNICAL.with_words(f"{wire} is mandatory but missing")


def _check_date(text: str) -> None:
    if not _is_date(text):
        raise ServiceFault(_BAD_DATE.format(text))


def _check(read: Sequence[ReadTransaction], identity: IndexIdentity, *, owner_is_mandatory: bool) -> None:
    if len(read) > MOST_TRANSACTIONS:
        raise IndexFault.TECHNICAL.with_words(_TOO_MANY)
    if not read:
        raise IndexFault.TECHNICAL.with_words(_TOO_FEW)
    mandatory = (*_MANDATORY, _OWNER) if owner_is_mandatory else _MANDATORY
    seen: dict[str, int] = {}
    for number, one in enumerate(read, start=1):
        # Ours: the incumbent takes a change that says neither for an addition, and fails on one without engagement.
        if one.delete is None or not one.fields:
            what = "deleteFlag is missing or not a boolean" if one.fields else "engagement is missing"
            raise IndexFault.NOT_BY_SCHEMA.with_words(f"{what} in EngagementTransaction #{_written(number)}")
        newest = one.fields.get("most_recent_content")
        if newest is not None:
            _check_date(newest)
        first = seen.setdefault(one.transaction().engagement.id, number)
        if first != number:
            raise IndexFault.SAME_KEY.with_words(_written(first), _written(number))
        _each(one, (field.name for field in _MANDATORY), _is_padded, "contains white space in beginning or end")
        for name, fault in (
            ("logical_address", IndexFault.RESERVED_ADDRESS),
            ("source_system", IndexFault.RESERVED_SOURCE),
        ):
            if identity.is_reserved(one.get(name)):
                raise fault.with_words(_written(number), one.get(name))
        _each(one, (field.name for field in mandatory), lambda text: not text, "is missing")
        for field in FIELDS:
            if len(one.get(field.name)) > field.longest:
                raise IndexFault.NOT_VALID.with_words(f'Field "{field.wire}" is to long')
        for name in ("update_time", "creation_time"):
            text = one.fields.get(name)
            if text is not None and not _is_date(text):
                raise IndexFault.NOT_VALID.with_words(f'Field "{_WIRE[name]}": {_BAD_DATE.format(text)}')


def _each(one: ReadTransaction, names: Iterable[str], is_wrong: Callable[[str], bool], words: str) -> None:
    for name in names:
        if is_wrong(one.get(name)):
            raise IndexFault.NOT_VALID.with_words(f'mandatory field "{_WIRE[name]}" {words}')


def _is_padded(text: str) -> bool:
    """Blanks alone are not: as the incumbent has it."""
    bare = text.strip(_BLANKS)
    return bool(bare) and bare != text


def _is_date(text: str) -> bool:
    try:
        read_timestamp(text)
    except ValueError:
        return False
    return True


def _written(number: int) -> str:
    """A number as the incumbent's MessageFormat prints it: a thousand has its separator."""
    return f"{number:,}"
