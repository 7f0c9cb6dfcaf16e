"""Which AMD cards reach each other, and over what: KFD's links between its nodes."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.kfd import NODES, KfdNode, parse_properties

XGMI = 11  # of the link types in Linux' kfd_crat.h; 2 is PCI Express
_ENABLED, _NO_PEER_TO_PEER = 1 << 0, 1 << 4  # flags of the same header

Cards = Mapping[str, tuple[KfdNode, ...]]


class Peers(Struct, frozen=True):
    """Other cards, by the index of their first node: over XGMI, and by any way that kernels may copy on.

    One whose index is not known is left out.
    """

    xgmi: tuple[int, ...] = ()
    p2p: tuple[int, ...] = ()


def peers_of(host: Host, issues: Issues, address: str, cards: Cards) -> Peers:
    """The peers of the card at `address`, as its first node's links and its hive tell.

    `io_links` are direct; `p2p_links` exist where the kernel allows one card to read another's memory over
    PCI Express. Each partition has links of its own, four thousand on eight cards in CPX mode, which say of
    other cards what the first one's say; and those to its own card are none to a peer.
    """
    node = cards[address][0]
    owners = {other.number: nodes[0] for nodes in cards.values() for other in nodes}
    # all cards of a hive reach each other; some recorded trees have the id and no links
    xgmi = {nodes[0] for nodes in cards.values() if node.hive_id and nodes[0].hive_id == node.hive_id}
    reached = set(xgmi)
    for kind in ("io_links", "p2p_links"):
        folder = f"{NODES}/{node.number}/{kind}"
        listing = host.listdir(folder)
        # kernels before 6.0 have no p2p_links; io_links every node has
        read = issues.value if kind == "p2p_links" and listing.error == NOT_FOUND else issues.listed
        for name in read(folder, listing) or ():
            path = f"{folder}/{name}/properties"
            facts = parse_properties(issues.listed(path, host.read(path)) or "")
            owner = owners.get(facts.get("node_to", -1))
            flags = facts.get("flags", 0)
            if owner is None or not flags & _ENABLED or flags & _NO_PEER_TO_PEER:
                continue
            if facts.get("type") == XGMI:
                xgmi.add(owner)
                reached.add(owner)
            elif kind == "p2p_links":
                reached.add(owner)
    return Peers(_numbers(xgmi - {node}), _numbers(reached - {node}))


def _numbers(nodes: set[KfdNode]) -> tuple[int, ...]:
    return tuple(sorted(node.index for node in nodes if node.index is not None))
