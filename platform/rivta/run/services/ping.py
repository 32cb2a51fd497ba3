"""PingForConfiguration 1.0: that the platform is alive, and what it runs with."""

from __future__ import annotations

from lxml import etree

import rivta
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.run.services.catalogue import Catalogue
from rivta.soap import namespaces
from rivta.soap.service import Answer, Call, ServiceFault

_NAMESPACE = namespaces.PING_FOR_CONFIGURATION_1
_NAME_OF_TAK = "tk-admin-services"


def ping(catalogue: Catalogue) -> Answer:
    """The service; with `bare_ping` it answers as the incumbent's catalogue does."""

    def answer(_call: Call) -> etree._Element:
        table = catalogue.table_in_force()
        if not catalogue.rules.bare_ping:
            publication = "-" if table is None else str(table.publication)
            return _response(
                catalogue, rivta.__version__, (("Applikation", catalogue.title), ("Publicering", publication))
            )
        if table is None:
            raise ServiceFault(
                "Severe error in TK admin service access to TAK Cache, message: no publication is in force"
            )
        return _response(catalogue, None, (("Applikation", _NAME_OF_TAK),))

    return answer


def _response(catalogue: Catalogue, version: str | None, configuration: tuple[tuple[str, str], ...]) -> etree._Element:
    root = etree.Element(f"{{{_NAMESPACE}}}PingForConfigurationResponse", nsmap={None: _NAMESPACE})  # type: ignore[dict-item]
    if version is not None:
        _add(root, "version", version)
    _add(root, "pingDateTime", catalogue.now().astimezone(SWEDISH_TIME).strftime("%Y%m%d%H%M%S"))
    for name, value in configuration:
        entry = etree.SubElement(root, f"{{{_NAMESPACE}}}configuration")
        _add(entry, "name", name)
        _add(entry, "value", value)
    return root


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{_NAMESPACE}}}{name}").text = text
