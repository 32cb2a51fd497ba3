"""Does a message fit its contract? lxml decides, fast; why it does not is told by `explanation`."""

import copy
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from lxml import etree

from rivta.contracts.domain import Contract, ContractFileError, read_contract_file
from rivta.contracts.explanation import Explainer, Finding, Names, is_long, wrong_root
from rivta.contracts.installed import Contracts, UnknownContract
from rivta.contracts.verdict import Verdict, Violation
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.xml import fits_schema

Message = Literal["request", "response"]

MAX_VIOLATIONS = 20

_VALID = Verdict(valid=True)
_SOAP = (namespaces.SOAP_ENVELOPE, namespaces.SOAP_12_ENVELOPE)
_FAULTS = tuple(f"{{{namespace}}}Fault" for namespace in _SOAP)
_ENVELOPES = tuple(f"{{{namespace}}}Envelope" for namespace in _SOAP)
_PROCESSING_STATUS = f"{{{namespaces.INTEROPERABILITY_HEADERS}}}ProcessingStatus"
_HEADER_ENTRIES = (
    f"{{{namespaces.REGISTRY_1}}}LogicalAddress",
    f"{{{namespaces.REGISTRY_2}}}LogicalAddress",
    f"{{{namespaces.INTEROPERABILITY_HEADERS}}}Actor",
    _PROCESSING_STATUS,
)


# SOAP 1.1, section 4.4: what a fault holds, in this order and without a namespace; the first two have to be there.
_FAULT_PARTS = ("faultcode", "faultstring", "faultactor", "detail")


def fault_in(root: etree._Element) -> etree._Element | None:
    """The SOAP fault that a document is, or that its body holds."""
    payload = read_head(root).payload if root.tag in _ENVELOPES else root
    return payload if payload is not None and payload.tag in _FAULTS else None


def check_fault(fault: etree._Element) -> Verdict:
    """Whether a SOAP fault has the form that SOAP 1.1 gives it; it belongs to no contract."""
    names = Names(fault)
    names.learn(frozenset(_FAULT_PARTS))
    children = list(fault.iterchildren(etree.Element))
    wrong: list[tuple[etree._Element, str]] = []
    if fault.tag != _FAULTS[0]:
        wrong.append((fault, "a fault of SOAP 1.2; RIV-TA messages are SOAP 1.1"))
    else:
        wrong += [(fault, f"{name} is missing") for name in _FAULT_PARTS[:2] if fault.find(name) is None]
        wrong += [(one, "is not a part of a SOAP fault") for one in children if one.tag not in _FAULT_PARTS]
        known = [_FAULT_PARTS.index(str(one.tag)) for one in children if one.tag in _FAULT_PARTS]
        if known != sorted(set(known)):
            wrong.append((fault, f"its parts have to be {', '.join(_FAULT_PARTS)}, in this order and once each"))
    return _verdict([Finding(element, reason, reason) for element, reason in wrong], names) if wrong else _VALID


class Validators:
    """One compiled schema per contract, made when first needed and shared by every thread."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._lock = threading.Lock()
        self._compiled: dict[Path, _Compiled] = {}
        self._header_schemas = _schemas_of_header_entries(contracts.header_schemas)

    def with_contracts(self, contracts: Contracts, *, forgetting: Callable[[Path], bool]) -> "Validators":
        """Validators of other contracts; schemas stay compiled unless `forgetting` says that they may have changed."""
        other = Validators(contracts)
        wanted = {contract.schema for contract in contracts} | set(other._header_schemas.values())
        with self._lock:
            kept = {path: one for path, one in self._compiled.items() if path in wanted and not forgetting(path)}
        other._compiled.update(kept)
        return other

    def accepts(
        self, contract: Contract, payload: etree._Element, message: Message, header: etree._Element | None = None
    ) -> bool:
        """Whether `check` would find nothing: a hundredth of what wording the violations takes."""
        return self._fits(contract, payload, message) and (header is None or not self._misfits(header))

    def check(
        self, contract: Contract, payload: etree._Element, message: Message, header: etree._Element | None = None
    ) -> Verdict:
        """Whether `payload`, the first element of a SOAP body, is the contract's request or response and fits.

        `header`, the SOAP header of the same message, has its LogicalAddress, Actor and ProcessingStatus checked too.
        A SOAP fault is a response of every contract. Elements are left as they are. Raises ContractFileError when the
        contract's schema cannot be compiled.
        """
        fits = self._fits(contract, payload, message)
        misfits = self._misfits(header) if header is not None else ()
        if fits and not misfits:
            return _VALID
        names = Names(payload)
        findings: list[Finding] = []
        for entry in misfits[:MAX_VIOLATIONS]:
            findings += self._explain_entry(entry, names)
        if not fits:
            findings += self._schema(contract.schema).explain(payload, names, contract=contract, message=message)
        return _verdict(findings, names)

    def check_document(self, root: etree._Element) -> tuple[Contract, Message, Verdict]:
        """The same for a whole document, either a SOAP envelope or the payload alone, of whatever contract it is.

        Raises ValueError for an envelope without a contract's message in it, and UnknownContract.
        """
        payload, header = root, None
        if root.tag in _ENVELOPES:
            head = read_head(root)
            if head.payload is None:
                raise ValueError("the envelope has an empty body")
            if head.payload.tag in _FAULTS:
                raise ValueError("the envelope holds a SOAP fault, which belongs to no contract")
            payload, header = head.payload, head.header
        contract, message = self.message_kind(payload)
        return contract, message, self.check(contract, payload, message, header)

    def message_kind(self, payload: etree._Element) -> tuple[Contract, Message]:
        """Which contract a payload belongs to by its namespace, and whether it is that contract's response.

        What is neither root element of a known contract counts as a request. Raises UnknownContract.
        """
        namespace = etree.QName(payload).namespace
        contract = self._contracts.get(namespace or "")
        if contract is None:
            near = self._contracts.near(namespace or "")
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UnknownContract(f"no installed contract has the namespace {namespace or '(none)'}{meant}")
        return contract, "response" if payload.tag in contract.responses else "request"

    def compile(self, contract: Contract, *, explaining: bool = False) -> None:
        """Makes ready now what `check` would make when first needed; ContractFileError when it cannot.

        `explaining` also loads what words the violations, which takes up to a few tenths of a second: for a thread.
        """
        compiled = self._schema(contract.schema)
        if explaining:
            compiled.explainer.prepare()

    def _schema(self, path: Path) -> "_Compiled":
        compiled = self._compiled.get(path)
        if compiled is not None:
            return compiled
        with self._lock:
            return self._compiled.setdefault(path, _Compiled(path))

    def _fits(self, contract: Contract, payload: etree._Element, message: Message) -> bool:
        if message == "response" and payload.tag in _FAULTS:
            return True
        expected = contract.requests if message == "request" else contract.responses
        return payload.tag in expected and self._schema(contract.schema).accepts(payload)

    def _misfits(self, header: etree._Element) -> list[etree._Element]:
        """The known header entries that do not fit their schema."""
        return [
            entry
            for entry in header
            if (path := self._header_schemas.get(entry.tag)) is not None
            and not self._schema(path).accepts(entry)
            and not self._schema(path).accepts(_as_contract_has_it(entry)[0])
        ]

    def _explain_entry(self, entry: etree._Element, names: Names) -> list[Finding]:
        adjusted, originals = _as_contract_has_it(entry)
        return self._schema(self._header_schemas[entry.tag]).explain(adjusted, names, originals=originals)


class _Compiled:
    """A schema in the two forms that are needed: to decide, without a lock, and to explain."""

    def __init__(self, path: Path) -> None:
        self._decides = compile_schema(path)
        self.explainer = Explainer(path, compile_schema(path))

    def accepts(self, element: etree._Element) -> bool:
        try:
            return fits_schema(element, self._decides) if is_long(element) else self._decides.validate(element)
        except etree.XMLSchemaValidateError:
            return False  # libxml2 takes no more than so many steps over one text and its pattern

    def explain(
        self,
        element: etree._Element,
        names: Names,
        *,
        contract: Contract | None = None,
        message: Message = "request",
        originals: Mapping[etree._Element, etree._Element] | None = None,
    ) -> list[Finding]:
        names.learn(self.explainer.vocabulary)
        if contract is not None:
            expected = contract.requests if message == "request" else contract.responses
            if element.tag not in expected:
                other = element.tag in (*contract.requests, *contract.responses)
                return [wrong_root(element, expected, message=message, is_other_message=other, names=names)]
        return self.explainer.explain(element, names, originals or {})


def compile_schema(path: Path) -> etree.XMLSchema:
    """The schema in `path` with all it imports; ContractFileError says which line is wrong."""
    tree = read_contract_file(path).getroottree()
    tree.docinfo.URL = str(path.resolve())  # what relative imports are relative to
    try:
        return etree.XMLSchema(tree)
    except etree.XMLSchemaParseError as error:
        entry = error.error_log.last_error
        where = f"{entry.filename}, line {entry.line}: " if entry is not None else ""
        raise ContractFileError(path, f"is not a valid schema: {where}{entry.message if entry else error}") from error


def _schemas_of_header_entries(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Header entry, as `{namespace}Local`, to the schema that defines it."""
    by_namespace = {read_contract_file(path).get("targetNamespace"): path for path in paths}
    return {tag: path for tag in _HEADER_ENTRIES if (path := by_namespace.get(etree.QName(tag).namespace)) is not None}


def _as_contract_has_it(entry: etree._Element) -> tuple[etree._Element, dict[etree._Element, etree._Element]]:
    """A copy of a header entry without what is legal around its schema, and the original of each element in it.

    SOAP's own attributes (mustUnderstand, actor) may stand on any entry: SOAP 1.1 section 4.2. And where a source
    failed, the incumbent's aggregation leaves out the lastSuccessfulSynch that the schema demands.
    """
    adjusted = copy.deepcopy(entry)
    originals = dict(zip(adjusted.iter(etree.Element), entry.iter(etree.Element), strict=True))
    for name in adjusted.attrib:
        if etree.QName(name).namespace in _SOAP:
            del adjusted.attrib[name]
    if entry.tag == _PROCESSING_STATUS:
        for record in adjusted:
            _complete_failed(record)
    return adjusted, originals


def _complete_failed(record: etree._Element) -> None:
    def child(name: str) -> etree._Element | None:
        return record.find(f"{{{namespaces.INTEROPERABILITY_HEADERS}}}{name}")

    status, before = child("statusCode"), child("isResponseInSynch")
    failed = status is not None and status.text == "NoDataSynchFailed"
    if failed and before is not None and child("lastSuccessfulSynch") is None:
        before.addnext(before.makeelement(f"{{{namespaces.INTEROPERABILITY_HEADERS}}}lastSuccessfulSynch"))


def _verdict(findings: list[Finding], names: Names) -> Verdict:
    violations = tuple(
        Violation(
            line=_line(finding.element),
            path=names.path(finding.element),
            reason=finding.reason,
            private_reason=finding.private_reason,
        )
        for finding in findings[:MAX_VIOLATIONS]
    )
    return Verdict(valid=False, violations=violations, namespaces=names.pairs())


def _line(element: etree._Element) -> int:
    line = element.sourceline
    return line if isinstance(line, int) else 0
