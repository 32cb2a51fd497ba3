"""How an address was looked up, as the running router records it and logs it: the incumbent's traces (`vp-behaviour`
section 4)."""

import pytest

from rivta.audit.ecs import events
from tests.catalogue.tables import compiled, tree
from tests.router.platforms import CONSUMER, Platforms, question, request, sender

TREE = tree(
    SE0000000001_1234="SE0000000002-1234", SE0000000002_1234="SE0000000003-1234", SE0000000003_1234=None
)  # fmt: skip
TABLE = f"""
components: {{{CONSUMER}: {{name: c}}, SE1-PRODUCER: {{name: p}}}}
producer_addresses: {{p: {{component: SE1-PRODUCER, url: "https://producer.test/", profile: RIVTABP21}}}}
resolution: {{delimiter_senders: [{CONSUMER}]}}
routes:
  - {{logical_address: [A, SE0000000003-1234, "*"], contracts: GetDiagnosis:2, producer_address: p}}
permissions:
  - {{consumer: {CONSUMER}, logical_address: [A, SE0000000002-1234], contracts: GetDiagnosis:2, agreement: x}}
  - {{consumer: SE1-OTHER, logical_address: A, contracts: GetDiagnosis:2, agreement: x}}
"""
CLIMB = "SE0000000001-1234,(parent),SE0000000002-1234"


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    made = object.__new__(Platforms)
    made.table = compiled(tmp_path_factory.mktemp("table"), TABLE, hsa=TREE)
    return made


@pytest.mark.parametrize(
    ("caller", "address", "outcome", "route", "permission"),
    [
        pytest.param(CONSUMER, "A", "routed", "A", "A", id="the address itself"),
        pytest.param(CONSUMER, "a", "routed", "a", "a", id="in another case"),
        pytest.param(CONSUMER, "X", "VP007", "X,(parent),SE,(default),*", "X,(default),*,(parent),SE", id="unknown"),
        pytest.param(
            CONSUMER,
            "SE0000000001-1234",
            "routed",
            f"{CLIMB},SE0000000003-1234",
            CLIMB.replace(",(parent)", ",(default),*,(parent)"),
            id="units above",
        ),
        pytest.param(CONSUMER, "A#B", "routed", "(leaf),B,A", "(leaf),B,A", id="two in one"),
        pytest.param(CONSUMER, "A#B#C", "VP007", "(leaf),C,B,A", "(leaf),Invalid parameters", id="three in one"),
        pytest.param("SE1-OTHER", "A#B", "VP007", "(leaf),B,A", "(leaf),Invalid parameters", id="another sender"),
        pytest.param(CONSUMER, "C#B", "VP004", "(leaf),B,C", None, id="no route"),
    ],
)
async def test_are_the_incumbents(
    platforms: Platforms, caller: str, address: str, outcome: str, route: str, permission: str | None
) -> None:
    platform = platforms()

    await platform.carry(request(question(address), caller=sender(caller)))

    record = platform.record
    assert (record.outcome, record.route_trace, record.permission_trace) == (outcome, route, permission or "")
    last = events(record)[-1]
    assert (last["labels.routerVagvalTrace"], last.get("labels.routerBehorighetTrace")) == (route, permission)
