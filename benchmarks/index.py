"""`python -m benchmarks.index [--rows N] [--sqlite] [--url URL] [--json]`: what the engagement index costs.

An index of N engagements (by default 10,000,000, ten of each person) is filled and asked: FindContent for one person
at the store and through SOAP, bytes in and bytes out; and Updates of 1,000 rows, new, unchanged and taken away, with a
subscriber to be told. PostgreSQL is a server of its own, unless --url names one with an empty database.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from lxml import etree
from sqlalchemy import Engine, insert, text

from benchmarks import postgres
from benchmarks.load import percentile
from rivta.catalogue.quirks import RegistryRules
from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.index.changes import Kind
from rivta.index.client import Question, find_content
from rivta.index.engagement import Engagement, Transaction
from rivta.index.store import EngagementStore
from rivta.index.subscriptions import Subscriber
from rivta.index.validation import IndexIdentity
from rivta.index.wire import changes_element
from rivta.run.services.catalogue import Catalogue
from rivta.run.services.index import EngagementIndex
from rivta.run.services.server import application
from rivta.soap import namespaces
from rivta.soap.identifiers import CORRELATION_ID, Profile
from rivta.soap.wsgi import HttpRequest, call
from rivta.store.engine import open_database
from rivta.store.schema import engagements

OWN = "5565594230"
KINDS = (
    ("riv:clinicalprocess:healthcond:description", "dia"),
    ("riv:clinicalprocess:healthcond:description", "voo"),
    ("riv:clinicalprocess:healthcond:description", "upp"),
    ("riv:clinicalprocess:healthcond:actoutcome", "und-kkm-ure"),
    ("riv:clinicalprocess:logistics:logistics", "vko"),
)
ROWS_OF_A_PERSON = 10
SOURCES = 200
AT_ONCE = 20_000
QUESTIONS, SOAP_QUESTIONS, UPDATES = 5_000, 1_000, 20


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured, over and over. Times in milliseconds."""

    what: str
    number: int
    cpu_ms: float
    """Of this process, each."""
    p50_ms: float
    p99_ms: float
    aim: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="engagements in the index")
    parser.add_argument("--sqlite", action="store_true", help="SQLite in place of PostgreSQL")
    parser.add_argument("--url", help="an empty PostgreSQL database to use")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rv-index-"))
    try:
        with _database(folder, sqlite=arguments.sqlite, url=arguments.url) as url:
            engine = open_database(url)
            tell(f"filling {engine.dialect.name} with {arguments.rows:,} engagements")
            started = time.perf_counter()
            fill(engine, arguments.rows)
            tell(f"filled in {time.perf_counter() - started:.0f} s")
            rows = list(measure(engine, arguments.rows))
            engine.dispose()
    except postgres.NoServer as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps([_as_json(row) for row in rows]) if arguments.json else as_text(rows))
    return 0


def _database(folder: Path, *, sqlite: bool, url: str | None) -> AbstractContextManager[str]:
    if url:
        return nullcontext(url)
    return nullcontext(f"sqlite:///{folder}/rivta.sqlite") if sqlite else postgres.server(folder / "pg")


def person(number: int) -> str:
    """Nobody's number."""
    return f"{number:08}0000"


def engagement(number: int) -> Engagement:
    """Engagement `number` of the index."""
    who, kind = number // ROWS_OF_A_PERSON, KINDS[number % len(KINDS)]
    source = (who * 7 + number) % SOURCES
    return Engagement(
        registered_resident_id=person(who),
        service_domain=kind[0],
        categorization=kind[1],
        logical_address=f"SE2321000016-U{source}-{number % ROWS_OF_A_PERSON}",
        most_recent_content="20260101120000",
        source_system=f"SE2321000016-S{source}",
        creation_time="20260101120000",
        data_controller="SE2321000016",
        owner=OWN,
    )


def fill(engine: Engine, count: int) -> None:
    """Puts the rows into the table without asking the store, by COPY where there is one."""
    names = [column.name for column in engagements.columns]
    for start in range(0, count, AT_ONCE):
        made = [engagement(number) for number in range(start, min(start + AT_ONCE, count))]
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                connection.execute(insert(engagements), [{name: getattr(one, name) for name in names} for one in made])
                continue
            driver = connection.connection.driver_connection
            assert driver is not None
            with driver.cursor() as cursor, cursor.copy(f"COPY engagements ({', '.join(names)}) FROM STDIN") as copy:
                for one in made:
                    copy.write_row([getattr(one, name) for name in names])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def measure(engine: Engine, count: int) -> Iterator[Row]:
    """Everything that is measured, one after the other."""
    store = EngagementStore(
        engine, own_id=OWN, subscribers=lambda: (Subscriber("SUBSCRIBER"),), now=lambda: datetime.now(UTC)
    )
    soap = Soap(store)
    chosen = random.Random(1)
    asked = [question(chosen, count) for _ in range(QUESTIONS)]
    for one in asked[:100]:
        store.find(one)  # connections are made, statements compiled
    yield timed("FindContent at the store", "p99 5 ms", [partial(store.find, one) for one in asked])
    messages = [soap.message(find_content(one)) for one in asked[:SOAP_QUESTIONS]]
    yield timed("FindContent through SOAP", "", [partial(soap.answer, one) for one in messages])

    def take(transactions: Sequence[Transaction]) -> Callable[[], None]:
        return partial(store.take, Kind.UPDATE, transactions, correlation_id="bench")

    new = [portion(count + number * 1000) for number in range(UPDATES)]
    yield timed("Update of 1,000 new rows at the store", "", [take(rows) for rows in new])
    yield timed("Update of 1,000 rows as they were", "", [take(rows) for rows in new])
    gone = [[Transaction(True, one.engagement) for one in rows] for rows in new]
    yield timed("Update that takes 1,000 rows away", "", [take(rows) for rows in gone])
    updates = [soap.message(changes_element(namespaces.UPDATE_1, "Update", rows)) for rows in new]
    tell(f"an Update of 1,000 rows has {len(updates[0]) // 1000} kB")
    yield timed("Update of 1,000 new rows through SOAP", "", [partial(soap.answer, one) for one in updates])


def question(chosen: random.Random, count: int) -> Question:
    """What there is of one kind about somebody, as aggregation asks."""
    domain, category = chosen.choice(KINDS)
    who = chosen.randrange(max(count // ROWS_OF_A_PERSON, 1))
    return Question(registered_resident_id=person(who), service_domain=domain, categorization=category)


def portion(first: int) -> list[Transaction]:
    """A thousand additions."""
    return [Transaction(False, engagement(number)) for number in range(first, first + 1000)]


class Soap:
    """The index's contracts as bytes."""

    def __init__(self, store: EngagementStore) -> None:
        contracts = Contracts.shipped()
        catalogue = Catalogue(lambda: contracts, "bench", lambda: None, RegistryRules(), lambda: datetime.now(UTC))
        self._services = application(catalogue, EngagementIndex(IndexIdentity(OWN), store, 500))

    def message(self, payload: etree._Element) -> bytes:
        """An envelope around `payload`."""
        return samples.envelope(etree.tostring(payload), OWN, Profile.RIVTABP21)

    def answer(self, body: bytes) -> None:
        """Sends it, and makes sure that it was answered."""
        answer = call(self._services, HttpRequest("POST", "/", headers=((CORRELATION_ID, "bench"),), body=body))
        assert answer.status == 200, answer.body


def timed(what: str, aim: str, actions: Sequence[Callable[[], object]]) -> Row:
    """Does each, one after the other."""
    tell(what)
    times = []
    cpu = time.process_time()
    for do in actions:
        started = time.perf_counter()
        do()
        times.append(time.perf_counter() - started)
    cpu = time.process_time() - cpu
    return Row(
        what,
        len(actions),
        cpu_ms=cpu / len(actions) * 1e3,
        p50_ms=percentile(times, 0.50) * 1e3,
        p99_ms=percentile(times, 0.99) * 1e3,
        aim=aim,
    )


def tell(words: str) -> None:
    """On the error stream, so that what is printed can be read by a program."""
    print(f"bench: {words}", file=sys.stderr, flush=True)


def _as_json(row: Row) -> dict[str, object]:
    return {
        "what": row.what,
        "number": row.number,
        "cpu_ms": round(row.cpu_ms, 2),
        "p50_ms": round(row.p50_ms, 2),
        "p99_ms": round(row.p99_ms, 2),
        "aim": row.aim,
    }


def as_text(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    widest = max(len(row.what) for row in rows)
    told = [f"{'what':{widest}}  {'number':>6}  {'CPU':>10}  {'p50':>10}  {'p99':>10}  {'aim':>8}"]
    for row in rows:
        times = "  ".join(f"{value:>7.2f} ms" for value in (row.cpu_ms, row.p50_ms, row.p99_ms))
        told.append(f"{row.what:{widest}}  {row.number:>6}  {times}  {row.aim:>8}")
    return "\n".join(told)


if __name__ == "__main__":
    sys.exit(main())
