"""`persistentCache`: the local file of the incumbent's routers, read and written.

The root and its rows have no namespace, what is in a row has that of SokVagvalsInfo version 2. A saved answer of that
service is read as well. The file says neither components nor agreements.
"""

from collections.abc import Iterable, Iterator, Mapping
from xml.sax.saxutils import escape

from rivta.catalogue.exchange.dates import write_bound
from rivta.catalogue.exchange.imported import Gatherer, Imported
from rivta.catalogue.exchange.vagvalsinfo import (
    PERMISSION,
    ROUTE,
    ServiceFault,
    gather_rows,
    refuse_malformed,
)
from rivta.catalogue.exchange.written import (
    Target,
    permission_key,
    route_key,
    sorted_permissions,
    sorted_routes,
    target_of,
    targets,
)
from rivta.catalogue.row_ids import RowIds
from rivta.catalogue.rows import Draft, NotificationFilter, PermissionRow, RouteRow
from rivta.soap.namespaces import VAGVALSINFO_2
from rivta.soap.xml import XmlRefused

_ROOT = "persistentCache"


def read(chunks: Iterable[bytes], *, file: str, tak_dates: bool = False) -> Imported:
    """The rows of a file that comes in pieces. Raises ImportRefused with every mistake, and whatever `chunks` does."""
    gatherer = Gatherer(file, tak_dates=tak_dates)
    try:
        if not gather_rows(gatherer, chunks):
            gatherer.complain(0, "empty-file", f"has neither {ROUTE} nor {PERMISSION}")
    except XmlRefused as error:
        refuse_malformed(gatherer, error)
    except ServiceFault as error:
        gatherer.complain(0, "soap-fault", f"is a SOAP fault: {error}")
    return gatherer.result()


def write(draft: Draft, *, variables: Mapping[str, str], is_zoned: bool = False) -> Iterator[bytes]:
    """The file in pieces. `is_zoned` gives whole days their offset. Raises ExportRefused before the first piece."""
    known = targets(draft, variables)
    routes = [(row, target_of(row, known)) for row in sorted_routes(draft)]
    permissions = sorted_permissions(draft)
    return _pieces(routes, permissions, is_zoned)


def _pieces(routes: list[tuple[RouteRow, Target]], permissions: list[PermissionRow], is_zoned: bool) -> Iterator[bytes]:
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<{_ROOT}>\n'.encode()
    ids = RowIds()
    for row, target in routes:
        number = ids.number(*route_key(row, target))
        yield _row(
            ROUTE,
            (
                ("virtualiseringsInfoId", str(number)),
                ("receiverId", row.logical_address),
                ("rivProfil", target.profile.value),
                ("tjansteKontrakt", row.contract),
                ("fromTidpunkt", write_bound(row.valid_from, is_end=False, is_zoned=is_zoned)),
                ("tomTidpunkt", write_bound(row.valid_to, is_end=True, is_zoned=is_zoned)),
                ("adress", target.url),
            ),
        )
    ids = RowIds()
    for permission in permissions:
        number = ids.number(*permission_key(permission))
        fields = (
            ("anropsBehorighetsInfoId", str(number)),
            ("receiverId", permission.logical_address),
            ("senderId", permission.consumer),
            ("tjansteKontrakt", permission.contract),
            ("fromTidpunkt", write_bound(permission.valid_from, is_end=False, is_zoned=is_zoned)),
            ("tomTidpunkt", write_bound(permission.valid_to, is_end=True, is_zoned=is_zoned)),
        )
        yield _row(PERMISSION, fields, "".join(map(_filter, permission.filters)))
    yield f"</{_ROOT}>\n".encode()


def _row(name: str, fields: Iterable[tuple[str, str]], more: str = "") -> bytes:
    texts = "".join(f"<v:{field}>{escape(text)}</v:{field}>" for field, text in fields)
    return f'  <{name} xmlns:v="{VAGVALSINFO_2}">{texts}{more}</{name}>\n'.encode()


def _filter(part: NotificationFilter) -> str:
    categories = "".join(f"<v:categorization>{escape(one)}</v:categorization>" for one in part.categories)
    return f"<v:filterInfo><v:serviceDomain>{escape(part.domain)}</v:serviceDomain>{categories}</v:filterInfo>"
