"""What a consumer's message says, and how its producer gets it; what an answer says. Where `compat` has a say in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from rivta.router.messages import Answer, ProducerAnswer
from rivta.router.policy import Policy
from rivta.soap.charsets import (
    UTF_8,
    Document,
    charset_of,
    encoded_as,
    is_foreign,
    names_what_is_read,
    read_answer,
    read_document,
    written,
)
from rivta.soap.head import Head, parse_head, read_head, refuse_ambiguous, refuse_second_address
from rivta.soap.identifiers import Profile
from rivta.soap.mtom import envelope_only, is_package, read_package
from rivta.soap.profiles import translate, translate_namespace
from rivta.soap.xml import XmlRefused, parse_xml


@dataclass(frozen=True, slots=True)
class Message:
    """A request that has been read: the document and what its head says."""

    document: Document
    head: Head
    source: bytes
    """What the document was read from."""
    charset: str | None
    """Of its Content-Type."""
    passes: bool
    """A producer of the same profile gets the source as it is."""
    is_whole: bool
    """The document was read to its end, not only its head."""


def read_message(body: bytes, content_type: str, policy: Policy) -> Message:
    """The message in a request's body. Raises XmlRefused for what is none, or may be read in two ways."""
    try:
        return _read_message(body, content_type, policy)
    except XmlRefused as error:
        if is_package(content_type) or not content_type.lower().startswith("multipart/"):
            raise
        reason = "the body is multipart but no MTOM package: send attachments as MTOM (type application/xop+xml)"
        raise XmlRefused(f"{reason}; {error.reason}", private_reason=reason) from error


def _read_message(body: bytes, content_type: str, policy: Policy) -> Message:
    compat = policy.compat
    charset, is_whole = charset_of(content_type), True
    if not is_package(content_type) or compat.mtom_attachments_dropped:
        body = envelope_only(body) if is_package(content_type) else body
        document, is_whole = _read_as_far_as_it_goes(body, charset, policy)
        passes = document.is_plain or (
            compat.declaration_kept and document.encoding == UTF_8 and names_what_is_read(body)
        )
    else:
        document, passes = read_package(body, content_type, max_bytes=policy.max_answer_bytes), False
    head = read_head(document.root)
    refuse_ambiguous(document.root, head, soap_12=compat.soap_12)
    return Message(document, head, body, charset, passes, is_whole)


def for_producer(message: Message, profile: Profile, policy: Policy) -> bytes:
    """The message as a producer of that profile gets it: in UTF-8, with its own address entry.

    The source itself wherever that will do. Raises XmlRefused where the message was not read to its end before, and
    cannot be, and where the producer may find another address in it. The document is changed in place.
    """
    head, document = message.head, message.document
    if head.profile is profile:
        refuse_second_address(head)
    if head.profile is profile and message.passes:
        return message.source
    if not message.is_whole:
        document = _read_document(message.source, message.charset, policy, only_head=False)
        head = read_head(document.root)
    if head.profile is profile:
        return written(document.root, UTF_8)
    if policy.compat.whole_namespace_translated:
        return translate_namespace(document.root, head, profile)
    return translate(document.root, head, profile)


def unpacked(answer: ProducerAnswer, max_bytes: int) -> ProducerAnswer:
    """An answer with attachments beside it as the message that it stands for, in UTF-8; as it came if it cannot be."""
    try:
        document = read_package(answer.body, answer.header("Content-Type"), max_bytes=max_bytes)
    except XmlRefused:
        return answer
    return dataclasses.replace(answer, body=written(document.root, UTF_8))


def read_head_of_answer(answer: ProducerAnswer) -> Head:
    """What the head of a producer's answer says. Raises XmlRefused."""
    return read_head(read_answer(answer.body, charset_of(answer.header("Content-Type"))).root)


def is_to_be_recoded(answer: ProducerAnswer, encoding: str, policy: Policy) -> bool:
    """Whether an answer has to be written anew for a consumer that wrote in `encoding`.

    Better than the incumbent, which tells every consumer of UTF-8 that the answer is UTF-8: an answer that is not
    becomes so.
    """
    if encoding != UTF_8:
        return bool(answer.body)
    return not policy.compat.declaration_kept and is_foreign(answer.body, charset_of(answer.header("Content-Type")))


def recoded(answer: ProducerAnswer, encoding: str, policy: Policy) -> bytes | None:
    """The answer's body written in `encoding`; None when it cannot be."""
    charset = charset_of(answer.header("Content-Type"))
    return encoded_as(answer.body, encoding, charset=charset, keep_declaration=policy.compat.declaration_kept)


def fault_recoded(fault: Answer, encoding: str, policy: Policy) -> Answer:
    """A fault of the platform's own, written in `encoding`; as it is if it cannot be."""
    body = encoded_as(fault.body, encoding, keep_declaration=policy.compat.declaration_kept)
    if body is None:
        return fault
    typed = f"text/xml; charset={encoding}"
    lines = tuple((name, typed if name == "Content-Type" else value) for name, value in fault.headers)
    return dataclasses.replace(fault, headers=lines, body=body)


def _read_as_far_as_it_goes(body: bytes, charset: str | None, policy: Policy) -> tuple[Document, bool]:
    """The document, and whether that is all of it: with `head_only` malformed XML behind the head is borne with. What
    is whole is read whole there too, since it may have a second body, which nobody has permitted."""
    try:
        return _read_document(body, charset, policy, only_head=False), True
    except XmlRefused:
        if not policy.compat.head_only:
            raise
    return _read_document(body, charset, policy, only_head=True), False


def _read_document(body: bytes, charset: str | None, policy: Policy, *, only_head: bool) -> Document:
    parse = parse_head if only_head else parse_xml
    first = policy.compat.content_type_before_declaration
    return read_document(body, charset, parse=parse, content_type_first=first)
