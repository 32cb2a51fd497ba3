"""SokVagvalsInfo 1 and 2: the whole catalogue for other routers to read.

The requests come through spyne, as all that the platform is asked; the answers are written as bytes, a page of rows at
a time, since a list may have any number of rows and is never in memory as a whole. Everything of the publication in
force is there, past and future rows too: the incumbent has no time filter, and its routers have their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from lxml import etree

from rivta.catalogue import registry
from rivta.catalogue.exchange.dates import write_bound
from rivta.catalogue.table import ListedComponent, ListedPermission, ListedProducerAddress, ListedRoute, Table
from rivta.run.services.catalogue import PUBLICATION, Catalogue
from rivta.run.services.written import elements, enveloped, filter_element
from rivta.soap import namespaces
from rivta.soap.service import Answer, Call, Streamed

_Row = ListedRoute | ListedPermission
_Pieces = Iterator[str]


def sokvagvalsinfo(catalogue: Catalogue) -> Answer:
    """The service, of both versions: the namespace of the request is that of the answer."""

    def answer(call: Call) -> Streamed:
        table = catalogue.table
        name = etree.QName(call.payload).localname
        written = _Written(catalogue, table, has_filters=call.contract == namespaces.VAGVALSINFO_2)
        pieces = _LISTS[name](written)
        headers = {"ETag": catalogue.etag(table), PUBLICATION: str(table.publication)}
        return Streamed.started(enveloped(f"{name}Response", call.contract, pieces), headers)

    return answer


class _Written:
    """The lists of one table as XML, in pieces of about a page."""

    def __init__(self, catalogue: Catalogue, table: Table, *, has_filters: bool) -> None:
        self._contracts = catalogue.contracts
        self._table = table
        self._has_filters = has_filters
        self._is_zoned = catalogue.rules.dates == "zoned"

    def routes(self) -> _Pieces:
        for page in registry.routes(self._table):
            yield "".join(map(self._route, page))

    def permissions(self) -> _Pieces:
        for page in registry.permissions(self._table):
            yield "".join(map(self._permission, page))

    def contracts(self) -> _Pieces:
        """The contracts that rows mention; their minor version where they are installed. Nobody gives them words."""
        for _, namespace in self._table.contracts():
            known = self._contracts.get(namespace)
            fields = (
                ("namnrymd", namespace),
                ("majorVersion", _major(namespace)),
                ("minorVersion", str(known.minor) if known is not None else "0"),
            )
            yield f"<tjanstekontraktInfo>{elements(*fields)}</tjanstekontraktInfo>\n"

    def components(self) -> _Pieces:
        """Those that only a row mentions too; one with many rows is longer than a piece."""
        for page in self._table.component_pages(registry.PAGE):
            for one in page:
                yield from self._component(one)

    def _route(self, row: ListedRoute) -> str:
        fields = elements(
            ("virtualiseringsInfoId", str(row.row_id)),
            ("receiverId", row.address),
            ("rivProfil", row.profile),
            ("tjansteKontrakt", self._table.contract(row.contract)),
        )
        address = elements(("adress", row.url))
        return f"<virtualiseringsInfo>{fields}{self._validity(row)}{address}</virtualiseringsInfo>\n"

    def _permission(self, row: ListedPermission) -> str:
        fields = elements(
            ("anropsBehorighetsInfoId", str(row.row_id)),
            ("receiverId", row.address),
            ("senderId", row.consumer),
            ("tjansteKontrakt", self._table.contract(row.contract)),
        )
        filters = (
            "".join(filter_element("filterInfo", one) for one in registry.filters_of(row)) if self._has_filters else ""
        )
        return f"<anropsBehorighetsInfo>{fields}{self._validity(row)}{filters}</anropsBehorighetsInfo>\n"

    def _component(self, one: ListedComponent) -> _Pieces:
        words = (("beskrivning", one.name),) if one.name else ()
        yield f"<tjanstekomponentInfo>{elements(('hsaId', one.hsa_id), *words)}"
        for address in self._table.producer_addresses_of(one.id_key):
            yield from self._producer_address(address)
        for page in self._table.permission_pages_of(one.id_key, registry.PAGE):
            yield "".join(map(self._permission_of_component, page))
        yield "</tjanstekomponentInfo>\n"

    def _producer_address(self, address: ListedProducerAddress) -> _Pieces:
        yield f"<anropsAdressInfo>{elements(('adress', address.url), ('rivtaProfilNamn', address.profile))}"
        for page in registry.routes_to(self._table, address):
            yield "".join(
                f"<vagvalsInfo>{self._validity(row)}{self._contract_and_address(row)}</vagvalsInfo>" for row in page
            )
        yield "</anropsAdressInfo>"

    def _permission_of_component(self, row: ListedPermission) -> str:
        agreement = elements(("integrationsavtal", row.agreement))
        fields = f"{self._validity(row)}{agreement}{self._contract_and_address(row)}"
        return f"<anropsbehorighetInfo>{fields}</anropsbehorighetInfo>"

    def _contract_and_address(self, row: _Row) -> str:
        words = (("logiskAdressBeskrivning", row.address_name),) if row.address_name else ()
        return elements(
            ("tjanstekontraktNamnrymd", self._table.contract(row.contract)),
            ("logiskAdressHsaId", row.address),
            *words,
        )

    def _validity(self, row: _Row) -> str:
        first = _first(row.valid_from, row.instant_from, self._is_zoned)
        last = _last(row.valid_to, row.instant_to, self._is_zoned)
        return f"<fromTidpunkt>{first}</fromTidpunkt><tomTidpunkt>{last}</tomTidpunkt>"


_LISTS: dict[str, Callable[[_Written], _Pieces]] = {
    "hamtaAllaVirtualiseringar": _Written.routes,
    "hamtaAllaAnropsBehorigheter": _Written.permissions,
    "hamtaAllaTjanstekontrakt": _Written.contracts,
    "hamtaAllaTjanstekomponenter": _Written.components,
}


def _major(namespace: str) -> str:
    """The major version that RIV-TA has at the end of a contract's namespace; 0 where there is none."""
    last = namespace.rpartition(":")[2]
    return last if last.isascii() and last.isdigit() else "0"


# The rows of a table share few periods, and a date takes longer to write than all the rest of a row.


@lru_cache(maxsize=4096)
def _first(start: int, written: str | None, is_zoned: bool) -> str:
    return write_bound(registry.first_bound(start, written), is_end=False, is_zoned=is_zoned)


@lru_cache(maxsize=4096)
def _last(end: int, written: str | None, is_zoned: bool) -> str:
    return write_bound(registry.last_bound(end, written), is_end=True, is_zoned=is_zoned)
