"""Two messages compared by what they mean."""

from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivta.soap.xml import parse_xml
from rivta.testing.comparison import Difference, Kind, Rules, compare
from rivta.testing.documents import Document

NAMES = st.sampled_from(["a", "b", "c", "record"])
NAMESPACES = st.sampled_from(["urn:one", "urn:two", ""])
TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_characters="\x7f"), max_size=8)
TREES = st.recursive(
    st.tuples(NAMESPACES, NAMES, st.dictionaries(NAMES, TEXTS, max_size=3), TEXTS, st.just(())),
    lambda inner: st.tuples(
        NAMESPACES,
        NAMES,
        st.dictionaries(NAMES, TEXTS, max_size=3),
        st.just(""),
        st.lists(inner, max_size=4).map(tuple),
    ),
    max_leaves=12,
)


def written(tree, *, prefix: str = "p", spaced: bool = False, reversed_attributes: bool = False) -> str:
    """The tree as XML, in one of the spellings that mean the same."""
    namespace, name, attributes, text, children = tree
    names = list(attributes.items())
    listed = "".join(f" {key}={quoteattr(value)}" for key, value in (names[::-1] if reversed_attributes else names))
    inner = ("\n  " if spaced else "").join(
        written(one, prefix=prefix, spaced=spaced, reversed_attributes=reversed_attributes) for one in children
    )
    if spaced and children:
        inner = f"<!-- c -->\n {inner}\n"
    if not namespace:
        return f'<{name} xmlns=""{listed}>{escape(text)}{inner}</{name}>'
    if not prefix:
        return f'<{name} xmlns="{namespace}"{listed}>{escape(text)}{inner}</{name}>'
    own = f"{prefix}{len(namespace)}{namespace[-1]}"
    return f'<{own}:{name} xmlns:{own}="{namespace}"{listed}>{escape(text)}{inner}</{own}:{name}>'


def document(text: str) -> Document:
    return Document(parse_xml(text.encode()))


def differences(expected: str, actual: str, **rules: tuple[str, ...]) -> list[str]:
    return [str(one) for one in compare(document(expected), document(actual), Rules(**rules))]


@settings(max_examples=50)
@given(TREES, st.sampled_from(["", "q", "ns"]))
def test_prefixes_attribute_order_comments_and_blanks_between_elements_mean_nothing(tree, prefix) -> None:
    other = written(tree, prefix=prefix, spaced=True, reversed_attributes=True)
    assert differences(written(tree), other) == []


@settings(max_examples=50)
@given(TREES, st.data())
def test_another_value_is_a_difference_at_its_place(tree, data) -> None:
    leaves = list(places(tree))
    path = data.draw(st.sampled_from(leaves))
    changed = with_text(tree, path)
    found = compare(document(written(tree)), document(written(changed, prefix="x")))
    assert [one.kind for one in found] != []
    assert all(one.path.count("/") <= len(path) + 1 for one in found)


def places(tree, path=()):
    if not tree[4]:
        yield path
    for number, child in enumerate(tree[4]):
        yield from places(child, (*path, number))


def with_text(tree, path):
    namespace, name, attributes, text, children = tree
    if not path:
        return namespace, name, attributes, f"{text}!", children
    return (
        namespace,
        name,
        attributes,
        text,
        tuple(with_text(one, path[1:]) if number == path[0] else one for number, one in enumerate(children)),
    )


@settings(max_examples=25)
@given(st.lists(TREES, min_size=2, max_size=5), st.randoms())
def test_order_means_nothing_where_it_was_said_to(trees, random) -> None:
    mixed = list(trees)
    random.shuffle(mixed)
    one, other = (f"<all>{''.join(f'<item>{written(tree)}</item>' for tree in some)}</all>" for some in (trees, mixed))
    assert differences(one, other, unordered=("//item",)) == []


def test_order_means_something_otherwise() -> None:
    assert differences("<r><a>1</a><a>2</a></r>", "<r><a>2</a><a>1</a></r>") != []


def test_the_namespace_is_part_of_a_name() -> None:
    assert differences('<a xmlns="urn:1"/>', '<a xmlns="urn:2"/>') == ["/a: expected '{urn:1}a', got '{urn:2}a'"]


@pytest.mark.parametrize(
    ("expected", "actual", "told"),
    [
        ("<r><a>1</a></r>", "<r><a>2</a></r>", ["/r/a: expected '1', got '2'"]),
        ("<r><a>1</a><b/></r>", "<r><b/></r>", ["/r/a: missing, expected '1'"]),
        ("<r><b/></r>", "<r><b/><a>1</a></r>", ["/r/a: not expected, got '1'"]),
        ('<r x="1"/>', '<r x="2"/>', ["/r/@x: expected '1', got '2'"]),
        ('<r x="1"/>', "<r/>", ["/r/@x: missing, expected '1'"]),
        ("<r/>", '<r x="1"/>', ["/r/@x: not expected, got '1'"]),
        ("<r>1 </r>", "<r>1</r>", ["/r: expected '1 ', got '1'"]),
    ],
    ids=["value", "missing", "extra", "attribute", "no attribute", "more attributes", "blank in a value"],
)
def test_a_difference_is_told_with_its_path(expected, actual, told) -> None:
    assert differences(expected, actual) == told


def test_one_record_more_in_the_middle_is_one_difference() -> None:
    records = [f"<record><id>{number}</id></record>" for number in range(50)]
    more = [*records[:20], "<record><id>new</id></record>", *records[20:]]
    found = compare(document(f"<r>{''.join(records)}</r>"), document(f"<r>{''.join(more)}</r>"))
    assert found == [Difference("/r/record[21]", Kind.EXTRA, "", "new")]


def test_an_unordered_record_is_compared_with_the_one_most_like_it() -> None:
    expected = "<r><x><id>1</id><v>a</v></x><x><id>2</id><v>b</v></x></r>"
    actual = "<r><x><id>2</id><v>B</v></x><x><id>1</id><v>a</v></x></r>"
    assert differences(expected, actual, unordered=("//x",)) == ["/r/x[2]/v: expected 'b', got 'B'"]


def test_what_is_masked_may_be_anything_but_has_to_be_there() -> None:
    masks = ("//logId", "//@at")
    assert differences('<r at="1"><logId>a</logId></r>', '<r at="2"><logId>b</logId></r>', masks=masks) == []
    assert differences("<r><logId>a</logId></r>", "<r/>", masks=masks) == ["/r/logId: missing"]


def test_a_mask_with_prefixes_goes_by_namespaces() -> None:
    one, other = '<r><a xmlns="urn:n">1</a></r>', '<r><a xmlns="urn:n">2</a></r>'
    prefixes = {"n": "urn:n", "m": "urn:m"}

    def found(mask: str) -> list[Difference]:
        expected, actual = (Document(parse_xml(text.encode()), prefixes) for text in (one, other))
        return compare(expected, actual, Rules(masks=(mask,)))

    assert found("//n:a") == []
    assert len(found("//m:a")) == 1


def test_the_type_of_an_element_and_a_faultcode_are_names_whose_prefix_says_nothing() -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    assert differences(f'<r {xsi} xmlns:a="urn:t" xsi:type="a:T"/>', f'<r {xsi} xmlns:b="urn:t" xsi:type="b:T"/>') == []
    assert (
        differences(
            '<f xmlns:a="urn:s"><faultcode>a:Client</faultcode></f>',
            '<f xmlns:b="urn:s"><faultcode>b:Client</faultcode></f>',
        )
        == []
    )
    assert (
        len(
            differences(
                '<f xmlns:a="urn:s"><faultcode>a:Client</faultcode></f>',
                '<f xmlns:a="urn:t"><faultcode>a:Client</faultcode></f>',
            )
        )
        == 1
    )


def test_an_empty_header_says_what_none_says() -> None:
    soap = 'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
    assert (
        differences(
            f"<s:Envelope {soap}><s:Header/><s:Body/></s:Envelope>", f"<s:Envelope {soap}><s:Body/></s:Envelope>"
        )
        == []
    )
