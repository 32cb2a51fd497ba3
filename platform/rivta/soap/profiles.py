"""Translation between the RIV-TA basic profiles 2.0 and 2.1: the header entry that carries the logical address."""

from lxml import etree

from rivta.soap import namespaces
from rivta.soap.head import Head
from rivta.soap.identifiers import Profile

_ENTRY = {
    Profile.RIVTABP20: f"{{{namespaces.WS_ADDRESSING}}}To",
    Profile.RIVTABP21: f"{{{namespaces.REGISTRY_1}}}LogicalAddress",
}


def translate(envelope: etree._Element, head: Head, profile: Profile) -> bytes:
    """The message in UTF-8 with its address entry as `profile` has it; everything else keeps its meaning.

    Unlike with the incumbent, other WS-Addressing entries stay in their own namespace, processing
    instructions and CDATA survive, and an entry goes that only `profile` would read: the producer must not find a
    second address beside the permitted one. `head` is `read_head(envelope)`; the tree is changed in place.
    """
    entry = head.address_element
    if entry is not None and entry.tag != _ENTRY[profile]:
        # A new element, since renaming in place would leave the entry under a prefix that lies about its namespace.
        namespace = etree.QName(_ENTRY[profile]).namespace
        renamed = etree.Element(_ENTRY[profile], dict(entry.attrib), nsmap={None: namespace})  # type: ignore[dict-item,misc]
        renamed.text, renamed.tail = entry.text, entry.tail
        renamed.extend(entry)
        parent = entry.getparent()
        assert parent is not None
        for other in list(parent.iterchildren(_ENTRY[profile])):
            parent.remove(other)
        parent.replace(entry, renamed)
    return serialise(envelope)


def serialise(envelope: etree._Element) -> bytes:
    """The whole document of `envelope` in UTF-8, with comments and instructions around the root."""
    return etree.tostring(envelope.getroottree(), encoding="UTF-8", xml_declaration=True)
