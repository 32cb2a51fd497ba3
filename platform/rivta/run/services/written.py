"""Answers of any length, written as text a piece at a time: never in memory as a whole."""

from collections.abc import Iterator

from rivta.catalogue.rows import NotificationFilter
from rivta.soap import namespaces
from rivta.soap.service import xml_text

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    f'<soap:Envelope xmlns:soap="{namespaces.SOAP_ENVELOPE}"><soap:Body><{{0}} xmlns="{{1}}">\n'
)
_END = "</{0}></soap:Body></soap:Envelope>\n"


def enveloped(name: str, namespace: str, pieces: Iterator[str]) -> Iterator[bytes]:
    """The envelope around `pieces`. The first of them comes with its start, so that both are made before it leaves."""
    yield (_ENVELOPE.format(name, namespace) + next(pieces, "")).encode()
    for piece in pieces:
        if piece:
            yield piece.encode()
    yield _END.format(name).encode()


def elements(*fields: tuple[str, str]) -> str:
    """An element for each name and text."""
    return "".join(f"<{name}>{xml_text(text)}</{name}>" for name, text in fields)


def filter_element(name: str, one: NotificationFilter) -> str:
    """What a subscription is narrowed to, as both catalogue services write it."""
    categories = (("categorization", category) for category in one.categories)
    return f"<{name}>{elements(('serviceDomain', one.domain), *categories)}</{name}>"
