"""Two platforms for `rivta why`, without processes: real tables, real indexes, and what their admin APIs would answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
from sqlalchemy import Engine

from rivta.aggregation.permitted import Asking
from rivta.catalogue import content, decide
from rivta.catalogue.as_json import explanation_json, route_json
from rivta.catalogue.compile import compile_table
from rivta.catalogue.files import read_draft
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.table import Table
from rivta.cli.why_chain import Chain, Question, examine
from rivta.cli.why_steps import State, Step
from rivta.index.changes import Kind
from rivta.index.engagement import Transaction
from rivta.index.outbox import Outbox, RetryRules
from rivta.index.store import EngagementStore
from rivta.index.subscriptions import Subscriptions
from rivta.run.admin_index import IndexApi
from rivta.run.admin_why import WhyApi, engagement_json, findings
from rivta.run.indexing import Indexing, identity_of
from rivta.run.router_settings import aggregation_rules_of
from rivta.run.settings import Settings
from rivta.store.engine import open_database
from tests.calls import Clock
from tests.catalogue.tables import DIAGNOSIS, FakeContracts
from tests.index.built import NATIONAL as INDEX
from tests.index.built import NOON, REGIONAL, TOLVAN, put
from tests.run.test_settings import LEAST

CONSUMER, NTJP, SOURCE, DIRECT, SYSTEM = "SE1-NPO", "SE165565594230-NTJP", "SE1-KS", "SE1-SUS", "SE1-TC"
_UPDATE = "urn:riv:itintegration:engagementindex:UpdateResponder:1"
_FIND = "urn:riv:itintegration:engagementindex:FindContentResponder:1"
_PEOPLE = f"components: {{{NTJP}: {{name: n, platform: true}}, {REGIONAL}: {{name: r, platform: true}}, "

TABLES = {
    "national": f"""\
{_PEOPLE}{DIRECT}: {{name: d}}}}
producer_addresses:
  agp: {{component: {NTJP}, url: "aggregation:", profile: RIVTABP21}}
  index: {{component: {NTJP}, url: "unix:/n.sock", profile: RIVTABP21}}
  rtp: {{component: {REGIONAL}, url: "https://regional.test/vp", profile: RIVTABP21}}
  direct: {{component: {DIRECT}, url: "https://direct.test/", profile: RIVTABP21}}
routes:
  - {{logical_address: "{INDEX}", contracts: GetDiagnosis:2, producer_address: agp}}
  - {{logical_address: "{INDEX}", contracts: [ProcessNotification:1, "{_FIND}"], producer_address: index}}
  - {{logical_address: {SOURCE}, contracts: GetDiagnosis:2, producer_address: rtp}}
  - {{logical_address: {DIRECT}, contracts: GetDiagnosis:2, producer_address: direct}}
permissions:
  - {{consumer: {CONSUMER}, logical_address: "{INDEX}", contracts: GetDiagnosis:2, agreement: may ask}}
  - {{consumer: {NTJP}, logical_address: "{INDEX}", contracts: "{_FIND}", agreement: index}}
  - {{consumer: {CONSUMER}, logical_address: {SOURCE}, contracts: GetDiagnosis:2, agreement: may see}}
  - {{consumer: {CONSUMER}, logical_address: {DIRECT}, contracts: GetDiagnosis:2, agreement: may see}}
  - {{consumer: {REGIONAL}, logical_address: "{INDEX}", contracts: ProcessNotification:1, agreement: notify}}
""",
    "regional": f"""\
{_PEOPLE}{SYSTEM}: {{name: t}}}}
producer_addresses:
  tc: {{component: {SYSTEM}, url: "https://tc.test/", profile: RIVTABP21}}
  index: {{component: {REGIONAL}, url: "unix:/r.sock", profile: RIVTABP21}}
  ntjp: {{component: {NTJP}, url: "https://national.test/vp", profile: RIVTABP21}}
routes:
  - {{logical_address: {SOURCE}, contracts: GetDiagnosis:2, producer_address: tc}}
  - {{logical_address: {REGIONAL}, contracts: "{_UPDATE}", producer_address: index}}
  - {{logical_address: "{INDEX}", contracts: ProcessNotification:1, producer_address: ntjp}}
permissions:
  - {{consumer: {NTJP}, logical_address: {SOURCE}, contracts: GetDiagnosis:2, agreement: for all}}
  - {{consumer: {SYSTEM}, logical_address: {REGIONAL}, contracts: "{_UPDATE}", agreement: announce}}
  - {{consumer: {REGIONAL}, logical_address: "{INDEX}", contracts: ProcessNotification:1, agreement: tell}}
""",
}


def announced(source: str = SOURCE, **changes: Any) -> Transaction:
    """An engagement whose two addresses are the same, unless said otherwise."""
    return put(**{"logical_address": source, "source_system": source, **changes})


@dataclass
class Side:
    """One platform."""

    name: str
    hsa_id: str
    folder: Path
    settings: Settings
    engine: Engine
    table: Table = field(init=False)
    indexing: Indexing = field(init=False)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.publish(TABLES[self.name])
        identity = identity_of(self.settings)
        outbox = Outbox(self.engine, RetryRules(attempts=2))
        subscriptions = Subscriptions(
            lambda: self.table,
            platform=self.hsa_id,
            index=identity.hsa_id,
            folder=self.folder / self.name / "index",
            now=Clock(NOON),
        )
        store = EngagementStore(self.engine, own_id=identity.hsa_id, subscribers=subscriptions.current, now=Clock(NOON))
        nobody_sends = cast(Any, SimpleNamespace(in_flight=0, problem=None))
        self.indexing = Indexing(identity, store, outbox, subscriptions, nobody_sends, 500)

    def publish(self, text: str, name: str = "tables") -> None:
        """Writes a file of the draft, and puts the draft in force."""
        draft = self.folder / "routing" / self.name
        draft.mkdir(parents=True, exist_ok=True)
        (draft / f"{name}.yaml").write_text(text, encoding="utf-8")
        reading = read_draft(draft, contracts=FakeContracts(), relative_to=draft.parent)
        assert reading.problems == ()
        path = compile_table(
            content.encode(reading.draft),
            hsa=HsaTree(),
            variables={},
            folder=self.folder / self.name,
            publication=7,
            hsa_version=3,
        )
        self.table = Table.open(path)

    def change(self, old: str, new: str) -> None:
        """The tables with another text at one place."""
        text = (self.folder / "routing" / self.name / "tables.yaml").read_text(encoding="utf-8")
        assert old in text
        self.publish(text.replace(old, new))

    def store(self, *transactions: Transaction, told: bool = True) -> None:
        """Rows in the index; `told`: its subscribers were told."""
        own = self.indexing.identity.hsa_id
        kind = Kind.UPDATE if all(one.engagement.owner == own for one in transactions) else Kind.NOTIFICATION
        self.indexing.store.take(kind, transactions, correlation_id="c")
        while told and (one := self.indexing.outbox.next(INDEX)) is not None:
            self.indexing.outbox.delivered(one, NOON)


class World:
    """The pair, with one engagement that leads from the region's source to the consumer."""

    def __init__(self, folder: Path, **compat: bool) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.sides = {
            name: self._side(name, hsa_id, address, folder, compat)
            for name, hsa_id, address in (("national", NTJP, INDEX), ("regional", REGIONAL, REGIONAL))
        }

    def _side(self, name: str, hsa_id: str, address: str, folder: Path, compat: dict[str, bool]) -> Side:
        engine = open_database(f"sqlite:///{folder / name}.sqlite")
        settings = Settings.parse(
            LEAST
            | {
                "platform": {"hsa_id": hsa_id, "name": name, "state": str(folder / name)},
                "index": {"hsa_id": address, "attempts": 2},
                "aggregation": {"address": address},
                "compat": cast(Any, compat),
            },
            folder / f"{name}.toml",
        )
        return Side(name, hsa_id, folder, settings, engine)

    def close(self) -> None:
        for side in self.sides.values():
            side.table.close()
            side.engine.dispose()

    def ask(self, platform: str, verb: str, path: str, content: Mapping[str, Any]) -> Any:
        """What an admin API answers, by the code that answers there."""
        side = self.sides[platform]
        self.asked.append((platform, verb, path))
        kept = cast(Any, SimpleNamespace(indexing=side.indexing, settings=side.settings, now=Clock(NOON)))
        match verb, path:
            case "GET", "/explain":
                return explanation_json(decide.explain(side.table, **content, now=NOON))
            case "GET", "/status":
                return {"draft": {"folder": str(side.folder / "routing" / side.name)}}
            case "GET", "/calls":
                return {"calls": side.calls}
            case "GET", "/tables/routes":
                return {"routes": [route_json(one) for one in side.table.routes(limit=100)]}
            case "GET", "/index":
                return read(asyncio.run(IndexApi(kept).stats(cast(Any, None))))
            case "GET", "/aggregation/services":
                return read(asyncio.run(WhyApi(kept).services(cast(Any, None))))
            case "POST", "/index/engagements":
                rows = side.indexing.store.page(
                    limit=100, registered_resident_id=content["patient"], service_domain=content["domain"]
                )
                return {"engagements": [engagement_json(one) for one in rows]}
            case "POST", "/aggregation/why":
                return self._findings(side, content)
        raise AssertionError(path)

    def _findings(self, side: Side, content: Mapping[str, Any]) -> Any:
        rules = aggregation_rules_of(side.settings)
        service = rules.services.get(content["contract"])
        if service is None:
            raise click.ClickException("not aggregated here")
        asking = Asking(content["consumer"], content["original_consumer"], NOON, rules.compat)
        return asyncio.run(
            findings(
                content["patient"],
                service,
                asking,
                source=content.get("source"),
                rules=rules,
                indexing=side.indexing,
                table=side.table,
            )
        )

    def why(
        self, source: str | None = SOURCE, *, consumer: str = CONSUMER, to: str = INDEX, via: str = "national"
    ) -> Chain:
        """The chain about the patient."""
        question = Question(patient=TOLVAN, contract=DIAGNOSIS, consumer=consumer, via=via, to=to, source=source)
        platforms = {
            name: {"id": side.hsa_id, "aggregation_address": INDEX if name == "national" else REGIONAL}
            for name, side in self.sides.items()
        }
        return examine(question, cast(Any, {"platforms": platforms}), self.ask)


def read(response: Any) -> Any:
    return json.loads(response.text)


def failing(chain: Chain) -> Step:
    """The one step that fails."""
    steps = [*chain.steps, *(step for one in chain.sources for step in one.steps)]
    (found,) = [one for one in steps if one.state is State.FAILED]
    return found
