"""What came back for a message that was sent: an HTTP answer, or nothing; and the answer read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from lxml import etree

from rivta.contracts.validation import fault_in
from rivta.soap.head import read_head
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.testing.documents import PREFIXES, Document, text_of

_VP_CODE = re.compile(r"(VP\d{3})\b")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    elapsed_s: float
    """From before the request was sent to after the last byte of the answer."""

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class SoapFault:
    """A SOAP fault in an answer."""

    code: str | None
    """As `VP004`; None when it is not a platform's own."""
    text: str
    detail: str


class ReadAnswer:
    """An answer with what its body says, parsed once, when first asked for."""

    def __init__(self, answer: Answer, prefixes: tuple[tuple[str, str], ...] = tuple(PREFIXES.items())) -> None:
        self.answer = answer
        self._prefixes = dict(prefixes)

    @cached_property
    def document(self) -> Document | None:
        """None for what is no XML; `problem` says why."""
        root = self._parsed[0]
        return None if root is None else Document(root, self._prefixes)

    @property
    def problem(self) -> str:
        """Why the answer cannot be read; empty when it can."""
        return self._parsed[1]

    @cached_property
    def payload(self) -> etree._Element | None:
        """The first element of the SOAP body."""
        return None if self.document is None else read_head(self.document.root).payload

    @cached_property
    def fault(self) -> SoapFault | None:
        """The fault that the answer is, if it is one."""
        found = None if self.document is None else fault_in(self.document.root)
        if found is None:
            return None
        text = _text(found, "faultstring")
        code = _VP_CODE.match(text)
        return SoapFault(code[1] if code else None, text, _text(found, "detail"))

    @cached_property
    def _parsed(self) -> tuple[etree._Element | None, str]:
        body = self.answer.body
        if not body.strip():
            return None, "the answer is empty"
        try:
            return parse_xml(body), ""
        except XmlRefused as error:
            where = f" (line {error.line})" if error.line else ""
            return None, f"the answer is no XML: {error.reason}{where}"


def _text(fault: etree._Element, name: str) -> str:
    found = (child for child in fault.iterchildren(etree.Element) if etree.QName(child).localname == name)
    return next(map(text_of, found), "")
