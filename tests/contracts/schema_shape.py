"""A schema as one comparable value: what it allows below an element, without names of types, order of files or words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from rivta.contracts.domain import imported_files, read_contract_file

_XS = "{http://www.w3.org/2001/XMLSchema}"


class Shapes:
    """The elements that are defined in a schema and all it imports."""

    def __init__(self, schema: Path, folder: Path) -> None:
        files = [schema, *(file for _, file in imported_files(schema, folder))]
        roots = {file.resolve(): read_contract_file(file) for file in files}.values()
        self._globals = {
            (item.tag, f"{{{root.get('targetNamespace')}}}{item.get('name')}"): item for root in roots for item in root
        }

        self._within: list[str] = []

    def element_names(self) -> Iterator[str]:
        """Every global element: a wildcard that is lax checks these, and only these."""
        return (name for tag, name in self._globals if tag == f"{_XS}element")

    def of_element(self, name: str) -> Any:
        """What may stand below a global element, as nested tuples; the languages of patterns are left out."""
        return self._element(self._globals[f"{_XS}element", name])

    def _element(self, element: etree._Element) -> Any:
        if element.get("ref"):
            name = _qualified(element, element.get("ref") or "")
            return ("ref", name, *_occurs(element), self.of_element(name))
        inline = next(element.iterchildren(f"{_XS}complexType", f"{_XS}simpleType"), None)
        if inline is None and not element.get("type"):
            return (element.get("name"), *_occurs(element), element.get("nillable"), "anyType")
        content = self._type(inline) if inline is not None else self._named(element, element.get("type") or "")
        return (element.get("name"), *_occurs(element), element.get("nillable"), content)

    def _named(self, user: etree._Element, name: str) -> Any:
        qualified = _qualified(user, name)
        for tag in (f"{_XS}complexType", f"{_XS}simpleType"):
            if (tag, qualified) in self._globals:
                return self._once(qualified, self._globals[tag, qualified])
        assert qualified.startswith(_XS), f"{qualified} is not defined"
        return etree.QName(qualified).localname

    def _once(self, name: str, definition: etree._Element) -> Any:
        """A named type; where it stands inside itself, its name only."""
        if name in self._within:
            return (name, "again")
        self._within.append(name)
        shape = self._type(definition)
        self._within.pop()
        return (name, shape)  # the name counts: xsi:type on the wire may say it

    def _type(self, definition: etree._Element) -> Any:
        restriction = definition.find(f"{_XS}restriction")
        if restriction is not None:
            enumerated = sorted(item.get("value", "") for item in restriction.iter(f"{_XS}enumeration"))
            facets = sorted({str(item.tag) for item in restriction if item.tag != f"{_XS}annotation"})
            return (self._named(restriction, restriction.get("base") or ""), tuple(enumerated), tuple(facets))
        extension = definition.find(f"{_XS}simpleContent/{_XS}extension")
        if extension is not None:
            return ("extends", self._named(extension, extension.get("base") or ""))
        return tuple(self._particle(item) for item in _parts(definition))

    def _particle(self, item: etree._Element) -> Any:
        if item.tag == f"{_XS}element":
            return self._element(item)
        if item.tag == f"{_XS}any":
            return ("any", item.get("namespace"), item.get("processContents"), *_occurs(item))
        assert item.tag in (f"{_XS}sequence", f"{_XS}choice"), f"{item.tag} is new here: say how it compares"
        return (item.tag, *_occurs(item), *(self._particle(inner) for inner in _parts(item)))


def _qualified(user: etree._Element, name: str) -> str:
    prefix, _, local = name.rpartition(":")
    return f"{{{user.nsmap.get(prefix or None)}}}{local}"


def _parts(definition: etree._Element) -> Iterator[etree._Element]:
    return (item for item in definition.iterchildren(etree.Element) if item.tag != f"{_XS}annotation")


def _occurs(item: etree._Element) -> tuple[str, str]:
    return item.get("minOccurs", "1"), item.get("maxOccurs", "1")
