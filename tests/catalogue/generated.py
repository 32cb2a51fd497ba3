"""Small random tables and HSA trees, in pairs that have much in common: what was, and what is to be."""

from datetime import date, timedelta

from hypothesis import strategies as st

from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.rows import Draft, PermissionRow, Place, ProducerAddress, Resolution, RouteRow
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile
from tests.catalogue.tables import CONTACTS, DIAGNOSIS, NOW, tree

ADDRESSES = ["A", "B", "b", "C", "SE", "*", "A#B"]
UNITS = ["A", "B", "C", "D", "E"]
TODAY = date(2026, 11, 24)
_bounds_of_rows = st.sampled_from(
    [None, None, None, NOW, *(TODAY + timedelta(days=days) for days in (-3, -1, 0, 1, 2, 4))]
)


def _place(number: int) -> Place:
    return Place("t.yaml", number)


_routes = st.builds(
    RouteRow,
    st.sampled_from(ADDRESSES).map(LogicalAddress),
    st.sampled_from([DIAGNOSIS, CONTACTS]),
    st.sampled_from(["a", "b"]),
    _bounds_of_rows,
    _bounds_of_rows,
    st.just(_place(9)),
)
_permissions = st.builds(
    PermissionRow,
    st.sampled_from(["K", "L"]).map(HsaId),
    st.sampled_from(ADDRESSES).map(LogicalAddress),
    st.sampled_from([DIAGNOSIS, CONTACTS]),
    st.just("x"),
    _bounds_of_rows,
    _bounds_of_rows,
    st.just(()),
    st.just(_place(9)),
)
_rules = st.builds(
    Resolution,
    climb_routes=st.booleans(),
    climb_permissions=st.booleans(),
    climb_except=st.sampled_from([(), ("urn:riv:clinicalprocess:healthcond",)]),
    delimiter=st.sampled_from(["#", "#", "", "#:"]),
    delimiter_contracts=st.sampled_from([(), (ContractNamespace(DIAGNOSIS),)]),
    delimiter_senders=st.sampled_from([(), (HsaId("K"),)]),
)


def _producers(profile: Profile) -> tuple[ProducerAddress, ...]:
    rows_of = [("a", "https://a.test/", profile), ("b", "https://b.test/", Profile.RIVTABP21)]
    return tuple(ProducerAddress(name, HsaId("P"), url, kind, None, None, _place(1)) for name, url, kind in rows_of)


@st.composite
def pairs_of_drafts(draw: st.DrawFn) -> tuple[Draft, Draft]:
    """Two drafts that have much in common, as a change has with what it changes."""
    common_routes, common_permissions = draw(st.lists(_routes, max_size=4)), draw(st.lists(_permissions, max_size=5))
    rules = draw(_rules)
    drafts = []
    for _ in range(2):
        drafts.append(
            Draft(
                producer_addresses=_producers(draw(st.sampled_from([Profile.RIVTABP21] * 4 + [Profile.RIVTABP20]))),
                routes=(*common_routes, *draw(st.lists(_routes, max_size=2))),
                permissions=(*common_permissions, *draw(st.lists(_permissions, max_size=2))),
                resolution=draw(st.sampled_from([rules, rules, rules, draw(_rules)])),
            )
        )
    return drafts[0], drafts[1]


@st.composite
def pairs_of_trees(draw: st.DrawFn, *, always_other: bool = False) -> tuple[HsaTree, HsaTree]:
    """Two trees of the same units; mostly the same one, unless `always_other`."""

    def one() -> HsaTree:
        units: dict[str, str | None] = {}
        for unit in draw(st.permutations(UNITS)):
            units[unit] = draw(st.none() | st.sampled_from(["SE", *units]))
        return tree(**units)

    first = one()
    return first, one() if always_other else draw(st.sampled_from([first, first, one()]))
