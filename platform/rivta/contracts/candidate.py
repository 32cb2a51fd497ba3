"""Looking at a release before it is installed: what would be wrong with it later is found now, and named."""

import contextlib
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from lxml import etree

from rivta import shipped
from rivta.contracts import samples, wsdl
from rivta.contracts.domain import (
    Contract,
    ContractFileError,
    MissingImport,
    NotAnInteraction,
    Operation,
    imported_files,
    importing_elements,
    local_file,
    read_contract_file,
    read_versions,
    read_wsdl,
)
from rivta.contracts.generation import CannotGenerate, generate, matching
from rivta.contracts.installed import Contracts
from rivta.contracts.patterns import is_slow
from rivta.contracts.sources import Source, SourceRefused
from rivta.contracts.validation import Message, Validators, compile_schema
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.xml import XmlRefused, parse_xml

_MOST_PARTICLES = 1_000
"""Elements in one content model, attributes of one type or types in one union, with all that it is made of; libxml2's
time grows with their square."""
_MOST_WORK = 2_000_000
"""The sum of those squares in a schema: some ten seconds."""
_MOST_DEFINITIONS = 20_000
"""Elements of XML Schema in all files of a contract, a few seconds' work; a contract of RIV-TA has 650 at most."""
_LONGEST_PATTERN = 1_000
"""Characters; libxml2's time grows with their square. Those of RIV-TA have 125 at most."""
_TEXTS_TRIED = 4
"""For each pattern, to see how long it takes."""
_MOST_SHOWN = 200
_INTERACTIONS, _CORE, _SAMPLES = "interactions", "core_components", "samples"
_USUAL_FOLDERS = (_INTERACTIONS, _CORE)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")
_PLAIN_DOMAIN = re.compile(r"[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)*")
_NOT_A_LOCAL_PATH = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+:|/|\\)")
_XS = f"{{{namespaces.XML_SCHEMA}}}"
_MADE_OF_OTHERS = tuple(f"{_XS}{name}" for name in ("complexType", "group", "attributeGroup", "simpleType"))
_PARTS = tuple(f"{_XS}{name}" for name in ("element", "any", "attribute"))
_PARTS_OF_MODELS = (
    *(
        f"{_XS}{name}"
        for name in ("sequence", "choice", "all", "group", "attributeGroup", "simpleType", "union", "list")
    ),
    *(f"{_XS}{name}" for name in ("complexContent", "simpleContent", "extension", "restriction")),
)
_SAYING_NOTHING = tuple(f"{_XS}{name}" for name in ("annotation", "documentation", "appinfo"))
_MADE = "Made from the schema by rivta: the release came without a sample."


@dataclass(frozen=True, slots=True)
class Candidate:
    """One service domain, ready to be moved to where it is to lie."""

    folder: Path
    source: str
    """Name of the archive or folder."""
    place: str
    """Which folder in the source it is; `.` for the source itself."""
    domain: str
    contracts: tuple[Contract, ...]
    """Every version in it; their files are in `folder`."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The service domains of one source."""

    releases: tuple[Candidate, ...]
    warnings: tuple[str, ...]


def candidates(
    source: Source, staging: Path, progress: Callable[[str], None], *, with_samples: bool = True
) -> Candidates:
    """Writes the domains of `source` below `staging` and checks them: each WSDL, schema and sample.

    A source without any contract is refused, as is one with something wrong in a file that a contract needs. Raises
    SourceRefused. The farther in a domain lies, the earlier it comes: of two copies the one nearest to the top counts.
    """
    warnings = list(source.notes)
    releases = []
    roots = sorted(_domain_roots(source.files), key=lambda root: (-len(root), root))
    for number, root in enumerate(roots):
        files = _files_of(root, roots, source)
        domain = _Domain(source, "/".join(root) or ".", files, staging / str(number), progress)
        found = domain.check(warnings, with_samples=with_samples)
        if found is not None:
            releases.append(found)
    if not releases:
        raise SourceRefused(source.path, f"holds no contract{_why_none(source, roots, warnings)}")
    return Candidates(tuple(releases), tuple(warnings))


def _domain_roots(names: Iterable[str]) -> set[tuple[str, ...]]:
    """The folders whose `interactions` hold a WSDL."""
    roots = set()
    for name in names:
        *folders, file = PurePosixPath(name).parts
        lowered = [folder.lower() for folder in folders]
        if file.lower().endswith(".wsdl") and _INTERACTIONS in lowered:
            roots.add(tuple(folders[: lowered.index(_INTERACTIONS)]))
    return roots


def _files_of(root: tuple[str, ...], roots: list[tuple[str, ...]], source: Source) -> dict[PurePosixPath, str]:
    """The files below `root` and not below another one, by their path there. Samples may also lie beside the root."""
    others = [other for other in roots if other != root and len(other) >= len(root)]
    files = {}
    for name in source.files:
        parts = PurePosixPath(name).parts
        if any(parts[: len(other)] == other for other in others):
            continue
        if parts[: len(root)] == root:
            files[PurePosixPath(*parts[len(root) :])] = name
        elif name.lower().endswith(".xml"):
            files[PurePosixPath(_SAMPLES, "beside", *parts)] = name
    return files


def _why_none(source: Source, roots: list[tuple[str, ...]], warnings: list[str]) -> str:
    if roots:
        return f" of RIV-TA: {'; '.join(warnings)}"
    elsewhere = next((name for name in source.files if name.lower().endswith(".wsdl")), None)
    archives = next((note for note in source.notes if ".zip" in note), None)
    if archives:
        return f"; {archives}"
    seen = f", and {elsewhere} is not" if elsewhere else ""
    return f": a release has its WSDLs in a folder named interactions{seen}. Give the folder that holds interactions"


class _Domain:
    """A service domain in the source, on its way into a folder of its own."""

    def __init__(
        self,
        source: Source,
        place: str,
        files: dict[PurePosixPath, str],
        folder: Path,
        progress: Callable[[str], None],
    ) -> None:
        """`files` gives the name in the source for each path in the domain."""
        self._source = source
        self._place = place
        self._files = files
        self._folder = folder
        self._progress = progress
        self._plain = _plain_names(list(files))
        self._by_lower_case = {str(path).lower(): path for path in files}
        self._original = {plain: files[path] for path, plain in self._plain.items()}

    def check(self, warnings: list[str], *, with_samples: bool) -> Candidate | None:
        """None when the domain has no contract of RIV-TA. Adds to `warnings`; raises SourceRefused."""
        try:
            self._write()
            if not self._keep_interactions(warnings):
                return None
            contracts = read_versions(self._folder)
            self._keep_used(contracts, warnings)
            for contract in contracts:
                self._progress(f"{contract.name} {contract.major}.{contract.minor}")
                _refuse_odd_names(contract)
                _refuse_giant_schemas(contract)
                _refuse_giant_models(contract)
                compile_schema(contract.schema)
                _refuse_undeclared(contract)
                _refuse_slow_patterns(contract)
                _refuse_unservable(contract)
                warnings += (f"{self._source.path.name}: {one}" for one in _second_schemas(contract, self._folder))
            if with_samples:
                self._install_samples(contracts, warnings)
        except ContractFileError as error:
            raise SourceRefused(self._source.path, self._worded(error)) from error
        return Candidate(self._folder, self._source.path.name, self._place, contracts[0].domain, contracts)

    def _write(self) -> None:
        for path, name in self._files.items():
            if _is_sample(path):
                continue
            target = self._folder / self._plain[path]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self._with_plain_imports(path, self._source.files[name]))

    def _with_plain_imports(self, importer: PurePosixPath, content: bytes) -> bytes:
        """The file with its imports as the plain names of files have them; as it is where that changes nothing.

        Spaces, letters with dots and rings, percent signs, backslashes and other case are read differently by every
        library that follows imports, libxml2 among them; under plain names all agree.
        """
        try:
            root = parse_xml(content)
        except XmlRefused:
            return content  # said when it is checked, if it is needed
        changed = False
        includes_itself: list[etree._Element] = []
        for element in importing_elements(root):
            location = element.get("schemaLocation", "")
            imported = self._meant(importer, location)
            if imported is None:
                continue
            if imported == importer and element.tag == f"{_XS}include" and element.getparent() is root:
                includes_itself.append(element)
                continue
            spelled = _relative(self._plain[imported], self._plain[importer].parent)
            if not _is_same_plainly(location, spelled, importer):
                element.set("schemaLocation", spelled)
                changed = True
        for element in includes_itself:  # legal, says nothing, and libxml2 refuses it
            root.remove(element)
        if not changed and not includes_itself:
            return content
        return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)

    def _meant(self, importer: PurePosixPath, location: str) -> PurePosixPath | None:
        """The file of the domain that a location leads to, as it is spelled or as Windows would read it."""
        if _NOT_A_LOCAL_PATH.match(location):
            return None
        slashed = location.strip().replace("\\", "/")
        for spelled in (slashed, unquote(slashed)):
            path = _normal(importer.parent / unicodedata.normalize("NFC", spelled))
            if path is not None:
                found = path if path in self._files else self._by_lower_case.get(str(path).lower())
                if found is not None:
                    return found
        return None

    def _keep_interactions(self, warnings: list[str]) -> bool:
        """Takes away WSDLs that are none of RIV-TA's, saying so; whether any is left."""
        kept = False
        for file in sorted(self._folder.glob("**/*.wsdl")):
            if file.relative_to(self._folder).parts[0] != _INTERACTIONS:
                file.unlink()
                continue
            try:
                found = read_wsdl(file, self._folder)
            except NotAnInteraction as error:
                warnings.append(f"{self._named(file)} is left out: {error.reason}")
                found = None
            if found is None:
                file.unlink()
            kept = kept or found is not None
        return kept

    def _keep_used(self, contracts: tuple[Contract, ...], warnings: list[str]) -> None:
        """Takes away schemas that no contract imports and that cannot be read, or lie where no schema belongs."""
        used = {contract.schema.resolve() for contract in contracts}
        for contract in contracts:
            for file in (contract.schema, *(file for _, file in contract.wsdls)):
                used |= {imported.resolve() for _, imported in imported_files(file, self._folder)}
        for file in sorted(self._folder.glob("**/*.xsd")):
            if file.resolve() in used:
                continue
            if file.relative_to(self._folder).parts[0] not in _USUAL_FOLDERS:
                file.unlink()
                continue
            try:
                read_contract_file(file)
            except ContractFileError as error:
                warnings.append(f"{self._named(file)} is left out, and no contract needs it: {error.reason}")
                file.unlink()

    def _install_samples(self, contracts: tuple[Contract, ...], warnings: list[str]) -> None:
        """Puts each sample where it is looked for, named by its contract; makes one where the release has none."""
        found = [(path, name) for path, name in self._files.items() if _is_sample(path)]
        for path, name in sorted(found, key=lambda one: (not _has_canonical_name(one[0], contracts), one[0])):
            content = self._source.files[name]
            where = f"{self._source.path.name}: {name}"
            try:
                message = _message_of(parse_xml(content), contracts, path.name)
            except XmlRefused as error:
                line = f"line {error.line}: " if error.line else ""
                warnings.append(f"{where} is left out: {line}{error.reason}")
                continue
            if message is None:
                continue
            contract, operation, kind, flaw = message
            if flaw:
                warnings.append(f"{where} is not a valid {kind} of {contract.name}: {flaw}")
            target = samples.sample_file(contract, kind, operation)
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(content)
        for contract, operation, missing, target in _missing_samples(contracts):
            self._progress(f"{contract.name} {contract.major}.{contract.minor}: a sample {missing}")
            try:
                made = generate(contract, operation.request if missing == "request" else operation.response, seed=0)
            except (CannotGenerate, LookupError) as error:
                warnings.append(f"{self._source.path.name}: there is no sample {missing} of {contract.name}: {error}")
                continue
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(_with_comment(made, _MADE))

    def _named(self, file: Path) -> str:
        return f"{self._source.path.name}: {self._original_name(file)}"

    def _original_name(self, file: Path) -> str:
        return self._original.get(PurePosixPath(file.relative_to(self._folder).as_posix()), file.name)

    def _worded(self, error: ContractFileError) -> str:
        """What is wrong, with names as they are in the source and not in our staging folder."""
        reason = error.reason
        for base in (self._folder.resolve(), self._folder):
            reason = reason.replace(f"{base.as_uri()}/", "").replace(f"{base}/", "")
            reason = reason.replace(f"outside {base}", "outside its service domain")
        path = error.path.resolve()
        inside = path.is_relative_to(self._folder.resolve())
        file = self._original_name(self._folder / path.relative_to(self._folder.resolve())) if inside else path.name
        return f"{file}: {reason}{self._advice(error)}"

    def _advice(self, error: ContractFileError) -> str:
        if not isinstance(error, MissingImport):
            return ""
        wanted = PurePosixPath(error.reason.rpartition("there is no ")[2]).name
        if not wanted.lower().endswith(".xsd"):
            return ". Name the schema that is meant"
        elsewhere = [name for name in self._source.files if PurePosixPath(name).name.lower() == wanted.lower()]
        if elsewhere:
            return f". {elsewhere[0]} has that name: move it there, or correct the import"
        ours = sorted((shipped.folder("contracts") / "xsd").rglob(wanted))
        if ours:
            return f". Put it there: {ours[0]} says the same"
        return ". Put it there, from the release that it belongs to"


def _is_sample(path: PurePosixPath) -> bool:
    return path.suffix.lower() == ".xml"


def _plain_names(paths: list[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """A path of plain ASCII for each path of the domain; no two have the same, whatever the case."""
    plain: dict[PurePosixPath, PurePosixPath] = {}
    taken: set[str] = set()
    for path in sorted(paths):
        folders = [_plain_part(part) for part in path.parent.parts]
        if folders and folders[0].lower() in (*_USUAL_FOLDERS, _SAMPLES):
            folders[0] = folders[0].lower()
        stem, suffix = _plain_part(path.stem), path.suffix.lower()
        wanted = PurePosixPath(*folders, f"{stem}{suffix}")
        number = 1
        while str(wanted).lower() in taken:
            number += 1
            wanted = PurePosixPath(*folders, f"{stem}-{number}{suffix}")
        taken.add(str(wanted).lower())
        plain[path] = wanted
    return plain


def _plain_part(part: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]", "_", ascii_only).lstrip(".-")[:100] or "_"


def _normal(path: PurePosixPath) -> PurePosixPath | None:
    """The path without `..`; None when it leads out."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return PurePosixPath(*parts)


def _relative(path: PurePosixPath, start: PurePosixPath) -> str:
    common = 0
    for ours, theirs in zip(path.parts, start.parts, strict=False):
        if ours != theirs:
            break
        common += 1
    return "/".join([".."] * (len(start.parts) - common) + list(path.parts[common:]))


def _is_same_plainly(location: str, spelled: str, importer: PurePosixPath) -> bool:
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", location):
        return False
    meant, plain = (_normal(importer.parent / one) for one in (location, spelled))
    return meant == plain


def _refuse_odd_names(contract: Contract) -> None:
    """Names become part of URLs and file names; the schemas of RIV-TA have plain ones."""
    file = contract.wsdls[0][1]
    for name in (contract.name, *(operation.name for operation in contract.operations)):
        if not _PLAIN_NAME.fullmatch(name):
            raise ContractFileError(file, f"is called {name!r}; expected letters and digits")
    if not _PLAIN_DOMAIN.fullmatch(contract.domain):
        raise ContractFileError(file, f"is of the domain {contract.domain!r}; expected words with colons between")
    for operation in contract.operations:
        if not operation.soap_action.isprintable():
            raise ContractFileError(file, f"has the SOAPAction {operation.soap_action!r}; expected one line of text")
        if operation.request == operation.response:
            raise ContractFileError(file, f"has {operation.request} as request and as response: one of them is wrong")
    owner = ":".join(contract.namespace.split(":")[:2])
    expected = f"{owner}:{contract.domain}:{contract.name}Responder:{contract.major}"
    if contract.wsdls[0][0] and contract.namespace != expected:
        # Its WSDL would be served, and names in tables understood, as those of a contract that it is not.
        reason = f"is that of {contract.domain}:{contract.name}:{contract.major}, and its messages are of"
        raise ContractFileError(file, f"{reason} {contract.namespace}; expected {expected}")


def _refuse_undeclared(contract: Contract) -> None:
    declared = set()
    for root in map(read_contract_file, _schema_files(contract)):
        target = root.get("targetNamespace") or etree.QName(contract.request).namespace
        declared |= {f"{{{target}}}{element.get('name')}" for element in root.iterchildren(f"{_XS}element")}
    for root_element in (*contract.requests, *contract.responses):
        if root_element not in declared:
            raise ContractFileError(contract.wsdls[0][1], f"speaks of {root_element}, which no schema declares")


def _refuse_slow_patterns(contract: Contract) -> None:
    """Some patterns take seconds for sixty characters: a message in such a contract could hold up all others."""
    for file in _schema_files(contract):
        for element in read_contract_file(file).iter(f"{_XS}pattern"):
            pattern = element.get("value", "")
            if _is_slow(pattern):
                advice = "write it so that each text can be read in one way only"
                reason = f"line {element.sourceline}: the pattern {pattern[:_MOST_SHOWN]!r} takes too long"
                raise ContractFileError(file, f"{reason}: {advice}")


@lru_cache(maxsize=1024)
def _is_slow(pattern: str) -> bool:
    """Asked once: the versions of a contract, and whole domains, have the same patterns."""
    texts = set()
    for seed in range(_TEXTS_TRIED):
        with contextlib.suppress(CannotGenerate):
            texts.add(matching(pattern, random.Random(seed)))
    return is_slow(pattern, sorted(texts))


def _refuse_unservable(contract: Contract) -> None:
    base = "https://localhost/vp"
    for profile, _ in contract.wsdls:
        wsdl.wsdl(contract, profile, base)
        for _ in wsdl.served_schemas(contract, profile, base):
            pass


def _second_schemas(contract: Contract, folder: Path) -> Iterator[str]:
    """Schemas of a namespace that another file was imported for before; libxml2 passes them by."""
    first: dict[str, Path] = {}
    for importer in _schema_files(contract):
        for element in read_contract_file(importer).iterchildren(f"{_XS}import"):
            if (location := element.get("schemaLocation")) is None:
                continue
            file = local_file(importer, location, folder)
            earlier = first.setdefault(element.get("namespace", ""), file)
            if earlier != file and earlier.read_bytes() != file.read_bytes():
                names = " and ".join(str(one.relative_to(folder.resolve())) for one in (earlier, file))
                yield f"{contract.name} imports {names} for one namespace: only the first counts"


def _schema_files(contract: Contract) -> tuple[Path, ...]:
    """The schema of its messages and all that it reaches, each once."""
    reached = (file for _, file in imported_files(contract.schema, contract.folder))
    return tuple(dict.fromkeys((contract.schema.resolve(), *reached)))


def _refuse_giant_schemas(contract: Contract) -> None:
    """What takes minutes to compile, or to word a violation by."""
    definitions = 0
    for file in _schema_files(contract):
        root = read_contract_file(file)
        definitions += sum(1 for element in root.iter(f"{_XS}*") if element.tag not in _SAYING_NOTHING)
        for pattern in root.iter(f"{_XS}pattern"):
            if len(pattern.get("value", "")) > _LONGEST_PATTERN:
                reason = f"line {pattern.sourceline}: has a pattern of more than {_LONGEST_PATTERN} characters"
                raise ContractFileError(file, reason)
    if definitions > _MOST_DEFINITIONS:
        reason = f"has, with what it imports, {definitions} definitions; at most {_MOST_DEFINITIONS} are read"
        raise ContractFileError(contract.schema, reason)


def _refuse_giant_models(contract: Contract) -> None:
    """A few lines of groups within groups make a content model that fills the memory when it is compiled."""
    sizes = _ModelSizes([read_contract_file(file) for file in _schema_files(contract)])
    try:
        largest, work = sizes.measure()
    except RecursionError:
        raise ContractFileError(contract.schema, "its types are made of one another too many times") from None
    if largest > _MOST_PARTICLES or work > _MOST_WORK:
        reason = f"a type in it holds {largest} parts with all that it is made of; at most {_MOST_PARTICLES} are read"
        if largest <= _MOST_PARTICLES:
            reason = "its types hold more parts in all than are read"
        raise ContractFileError(contract.schema, reason)


class _ModelSizes:
    """How many parts each type of some schemas holds, all that it is made of counted in.

    Of a content model its elements, of attributes and of a union each, and of the types that a simple type restricts.
    """

    def __init__(self, roots: list[etree._Element]) -> None:
        self._named: dict[tuple[str, str], list[etree._Element]] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._substitutes: dict[str, list[str]] = {}
        for root in roots:
            for element in root.iterchildren(f"{_XS}element"):
                if head := element.get("substitutionGroup"):
                    self._substitutes.setdefault(_local(head), []).append(element.get("name", ""))
        self._models = [model for root in roots for model in root.iter(*_MADE_OF_OTHERS)]
        for root in roots:
            for definition in root.iterchildren(*_MADE_OF_OTHERS):
                key = (etree.QName(definition).localname, definition.get("name", ""))
                self._named.setdefault(key, []).append(definition)

    def measure(self) -> tuple[int, int]:
        """The size of the largest model, and the sum of the squares of all."""
        sizes = [self._size(model) for model in self._models]
        return max(sizes, default=0), sum(size * size for size in sizes)

    def _size(self, part: etree._Element) -> int:
        total = 0
        if (reference := part.get("ref")) is not None:
            total += self._of_named(etree.QName(part).localname, reference)
        if (base := part.get("base")) is not None:
            if part.tag == f"{_XS}extension":
                total += self._of_named("complexType", base)
            total += self._of_named("simpleType", base)
        for member in (part.get("memberTypes") or "").split():
            total += 1 + self._of_named("simpleType", member)
        for child in part.iterchildren(etree.Element):
            if child.tag in _PARTS:
                total += 1 + self._standing_in(_local(child.get("ref", "")))
            elif child.tag in _PARTS_OF_MODELS:
                total += self._size(child)
        return total

    def _of_named(self, kind: str, name: str) -> int:
        """Namesakes of other namespaces count too: the largest is taken. What is made of itself is refused later."""
        key = (kind, _local(name))
        if key not in self._sizes:
            self._sizes[key] = 0
            self._sizes[key] = max((self._size(one) for one in self._named.get(key, [])), default=0)
        return self._sizes[key]

    def _standing_in(self, name: str) -> int:
        """How many elements may stand in the place of the one with this name: each is a part of the model too."""
        key = ("substitutes", name)
        if key not in self._sizes:
            self._sizes[key] = 0
            self._sizes[key] = sum(1 + self._standing_in(one) for one in self._substitutes.get(name, []))
        return self._sizes[key]


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _has_canonical_name(path: PurePosixPath, contracts: tuple[Contract, ...]) -> bool:
    return any(
        path.name == samples.sample_file(contract, kind, operation).name
        for contract in contracts
        for operation in contract.operations
        for kind in samples.MESSAGES
    )


def _message_of(
    root: etree._Element, contracts: tuple[Contract, ...], name: str
) -> tuple[Contract, Operation, Message, str] | None:
    """Which contract and message a sample is of, and what is wrong with it; None when it is of none of these.

    Of several versions it is of the one that it names, else of the highest that it fits.
    """
    head = read_head(root)
    payload = head.payload if head.payload is not None else root
    fitting: list[tuple[bool, Contract, Operation, Message, str]] = []
    for contract in contracts:
        for operation in contract.operations:
            for kind in samples.MESSAGES:
                if payload.tag == (operation.request if kind == "request" else operation.response):
                    verdict = Validators(Contracts([contract])).check(contract, payload, kind)
                    flaw = "" if verdict.valid else f"line {verdict.violations[0].line}: {verdict.violations[0].reason}"
                    named = samples.sample_file(contract, kind, operation).name == name
                    fitting.append((named, contract, operation, kind, flaw))
    if not fitting:
        return None
    _, contract, operation, kind, flaw = max(fitting, key=lambda one: (one[0], not one[4], one[1].minor))
    return contract, operation, kind, flaw


def _missing_samples(contracts: tuple[Contract, ...]) -> Iterator[tuple[Contract, Operation, str, Path]]:
    for contract in contracts:
        for operation in contract.operations:
            for kind in samples.MESSAGES:
                target = samples.sample_file(contract, kind, operation)
                if not target.exists():
                    yield contract, operation, kind, target


def _with_comment(message: bytes, comment: str) -> bytes:
    root = parse_xml(message)
    root.addprevious(etree.Comment(f" {comment} "))
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)
