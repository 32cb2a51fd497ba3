"""The admin API's part for the question why a patient's data does not show: what this platform knows of the chain.

The filters of the aggregating service, and the decisions of the table in force, are asked as the workers ask them:
nothing is decided here. Whom something is about stands in a request's body only, and in no log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from rivta.aggregation.permitted import Asking, permitted
from rivta.aggregation.plan import plan
from rivta.aggregation.question import Question, index_question
from rivta.aggregation.service import Rules
from rivta.aggregation.services import Asks, Service, keys_of
from rivta.catalogue import decide
from rivta.catalogue.as_json import explanation_json
from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.table import Table
from rivta.index.client import Question as IndexQuestion
from rivta.index.engagement import FIELDS, Engagement
from rivta.index.store import EngagementStore
from rivta.run.admin_door import ApiPath, Role, caller_of
from rivta.run.admin_request import body, contract_namespace
from rivta.run.indexing import Indexing
from rivta.run.router_settings import aggregation_rules_of
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, short_name

if TYPE_CHECKING:
    from rivta.run.admin import Kept

_log = logging.getLogger(__name__)

MOST_ROWS = 1000
"""Engagements in an answer."""
NOT_ASKED_FOR, TOO_OLD = "category", "too old"
"""Why the index is not asked for an engagement: its category, or the age of its newest content."""

_TEXT = {"type": "string", "minLength": 1, "maxLength": 255}
_WHY = {
    "type": "object",
    "required": ["patient", "contract", "consumer"],
    "properties": {
        "patient": _TEXT | {"description": "the id of the person"},
        "contract": _TEXT | {"description": "the contract"},
        "consumer": _TEXT | {"description": "the HSA-id of whoever calls this platform"},
        "original_consumer": _TEXT | {"description": "the HSA-id of whoever began"},
        "source": _TEXT | {"description": "the source system, or its logical address"},
    },
    "additionalProperties": False,
}
_FIND = {
    "type": "object",
    "properties": {
        "patient": _TEXT | {"description": "the id of a person"},
        "domain": _TEXT | {"description": "a service domain"},
        "source": _TEXT | {"description": "a source system"},
        "after": _TEXT | {"description": "the id that the answer before ended with"},
        "limit": {"type": "integer", "description": f"a number from 1 to {MOST_ROWS}"},
    },
    "additionalProperties": False,
}

WHY_PATHS = (
    ApiPath("/aggregation/services", "services", "The aggregating services of this platform, and their address"),
    ApiPath(
        "/aggregation/why",
        "why",
        "What an aggregate for a consumer makes of each engagement of a patient, and why",
        verb="POST",
        role=Role.ADMIN,  # patient data
        body=_WHY,
    ),
    ApiPath(
        "/index/engagements",
        "engagements",
        "Engagements by person, domain or source, in pages",
        verb="POST",
        role=Role.ADMIN,  # patient data
        body=_FIND,
    ),
)


class WhyApi:
    """Serves `WHY_PATHS` over what a keeper has."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    @property
    def _rules(self) -> Rules:
        return aggregation_rules_of(self._kept.settings)

    async def services(self, _request: web.Request) -> web.StreamResponse:
        rules = self._rules
        return web.json_response(
            {
                "address": rules.address,
                "services": {
                    contract: {"contract_name": short_name(contract), **keys_of(service)}
                    for contract, service in rules.services.items()
                },
            }
        )

    async def why(self, request: web.Request) -> web.StreamResponse:
        wish = await body(request, _WHY)
        contract = ContractNamespace(contract_namespace(self._kept.contracts, wish["contract"]))
        rules = self._rules
        service = rules.services.get(contract)
        if service is None:
            raise web.HTTPNotFound(text=f"{short_name(contract)} is not aggregated here: it has no row in the settings")
        table = self._kept.table.table
        if table is None:
            raise web.HTTPServiceUnavailable(text="no table has ever been published")
        consumer = wish["consumer"]
        # Who asked about somebody, but not about whom.
        _log.info("%s asks why %s does not show for %s", caller_of(request).name, short_name(contract), consumer)
        found = await findings(
            wish["patient"],
            service,
            Asking(consumer, wish.get("original_consumer", consumer), self._kept.now(), rules.compat),
            source=wish.get("source"),
            rules=rules,
            indexing=self._kept.indexing,
            table=table,
        )
        return web.json_response(found)

    async def engagements(self, request: web.Request) -> web.StreamResponse:
        wish = await body(request, _FIND)
        limit = wish.get("limit", MOST_ROWS)
        if limit > MOST_ROWS:
            raise web.HTTPBadRequest(text=f"limit={limit}: a number from 1 to {MOST_ROWS}")
        _log.info("%s reads engagements", caller_of(request).name)
        rows = await asyncio.to_thread(
            lambda: self._kept.indexing.store.page(
                after=wish.get("after", ""),
                limit=limit,
                registered_resident_id=wish.get("patient"),
                service_domain=wish.get("domain"),
                source_system=wish.get("source"),
            )
        )
        return web.json_response(
            {
                "hsa_id": self._kept.indexing.identity.hsa_id,
                "engagements": [engagement_json(one) for one in rows],
                "after": rows[-1].id if len(rows) == limit else None,
            }
        )


async def findings(
    patient: str,
    service: Service,
    asking: Asking,
    *,
    source: str | None,
    rules: Rules,
    indexing: Indexing,
    table: Table,
) -> dict[str, Any]:
    """What an aggregate makes of the engagements of a patient, of one source or all, as JSON."""
    announced, asked = await asyncio.to_thread(_announced, patient, service, asking, indexing.store)
    rows = [one for one in announced if source in (None, one.source_system, one.logical_address)]
    found = await _examined(rows[:MOST_ROWS], asked, service, asking, DecisionCache(table), rules.address)
    return {
        "hsa_id": rules.platform,
        "publication": table.publication,
        "contract": service.contract,
        "address": rules.address,
        "domain": service.domain,
        "categories": list(service.categories),
        "asks": service.asks.value,
        "index": {"hsa_id": indexing.identity.hsa_id, "address": rules.index_address},
        "announced": len(announced),
        "matching": len(rows),
        "found": found,
        **await asyncio.to_thread(_explained, found, service, asking, table, rules),
    }


def _announced(
    patient: str, service: Service, asking: Asking, store: EngagementStore
) -> tuple[list[Engagement], frozenset[str]]:
    """Everything in the service's domain about a patient, and the ids of what the index is asked for of it."""
    announced = store.find(IndexQuestion(registered_resident_id=patient, service_domain=service.domain))
    asked = store.find(index_question(_question(patient), service, now=asking.now))
    return announced, frozenset(one.id for one in asked)


async def _examined(
    rows: Sequence[Engagement],
    asked: frozenset[str],
    service: Service,
    asking: Asking,
    decisions: DecisionCache,
    own_address: str,
) -> list[dict[str, Any]]:
    """Each engagement with what the plan of an aggregate does to it."""
    allowed = await permitted(rows, service, asking, decisions)
    found = []
    for row in rows:
        dropped = plan(service, _question(""), (row,), permitted=allowed, own_address=own_address).filtered
        reason = dropped[0].reason.value if dropped else None
        outcome = dropped[0].outcome.value if dropped and dropped[0].outcome else None
        if row.id not in asked:
            reason, outcome = _unasked(row, service), None
        found.append({**engagement_json(row), "dropped": reason, "outcome": outcome})
    return found


def _explained(
    found: Sequence[dict[str, Any]], service: Service, asking: Asking, table: Table, rules: Rules
) -> dict[str, Any]:
    """The decisions about the addresses of engagements, and about the call to the index."""

    def about(address: str) -> dict[str, Any]:
        question = {"sender": asking.sender, "contract": service.contract, "logical_address": address}
        return explanation_json(decide.explain(table, **question, now=asking.now))

    addresses = {one["logicalAddress"] for one in found}
    looks_at_sources = service.asks is Asks.SOURCE_SYSTEM and not asking.compat.aggregate_source_unchecked
    sources = {one["sourceSystem"] for one in found} if looks_at_sources else set()
    explained = {address: about(address) for address in sorted(addresses | sources)}
    asked = {"contract": namespaces.FIND_CONTENT_1, "logical_address": rules.index_address}
    return {
        "index_call": explanation_json(decide.explain(table, sender=rules.platform, **asked, now=asking.now)),
        "addresses": {address: explained[address] for address in sorted(addresses)},
        "sources": {address: explained[address] for address in sorted(sources)},
    }


def engagement_json(one: Engagement) -> dict[str, Any]:
    """An engagement by the names of its elements on the wire."""
    return {field.wire: getattr(one, field.name) for field in FIELDS}


def _question(patient: str) -> Question:
    """A request for everything about the patient."""
    return Question(patient=patient, source="", categories=())


def _unasked(row: Engagement, service: Service) -> str:
    of_service = not service.categories or row.categorization in service.categories
    return TOO_OLD if of_service else NOT_ASKED_FOR
