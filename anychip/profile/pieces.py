"""Cuts the played path into set-up, repeated pieces (steps or forward passes) and what follows them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from anychip.profile.profile import Unit
from anychip.programs.graph import Graph, Mark, Transfer


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the path with the transfers that belong to it.

    Args:
        name: what it is.
        plays: how often each segment is played in it.
        transfers: copies between host and device.
        items: samples; None if unknown.
        tokens: tokens; None if not a token workload.
    """

    name: Unit
    plays: Counter[int]
    transfers: tuple[Transfer, ...] = ()
    items: int | None = None
    tokens: int | None = None

    @property
    def to_device_bytes(self) -> int:
        """Copied from the host."""
        return sum(transfer.to_device_bytes for transfer in self.transfers)

    @property
    def to_host_bytes(self) -> int:
        """Copied to the host."""
        return sum(transfer.to_host_bytes for transfer in self.transfers)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The whole path: ``setup + sum(repeated) + rest``."""

    setup: Piece
    repeated: tuple[Piece, ...]
    rest: Piece


def cut(graph: Graph) -> Pieces:
    """Divides a graph's path at its marks.

    Training steps count if there are any, otherwise forward passes. Copies to the device before or in the
    first piece are set-up (moving the model) as far as they exceed the inputs that the piece reads.
    """
    kind = "step" if any(mark.kind == "step" for mark in graph.marks) else "forward"
    pieces: list[Piece] = []
    start = 0
    for mark in graph.marks:
        if mark.kind == kind:
            pieces.append(_stretch(graph, start, mark.position, mark))
            start = mark.position
    rest = _stretch(graph, start, len(graph.path) + 1, None)
    setup = Piece("run", Counter())
    if pieces:
        setup, pieces[0] = _without_setup(graph, pieces[0])
    return Pieces(setup, tuple(pieces), rest)


def usual(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """The pieces that stand for all: of the most frequent size, the first of all pieces left out if possible.

    Of equally frequent sizes the later one counts: decoding, not the prompt.
    """
    later = pieces[1:] or pieces
    sizes = Counter((piece.items, piece.tokens) for piece in reversed(later))
    usual = max(sizes, key=lambda size: sizes[size]) if sizes else None
    return tuple(piece for piece in later if (piece.items, piece.tokens) == usual)


def add(pieces: tuple[Piece, ...]) -> Piece:
    """The sum of several pieces, under the name of the first; counts that one of them lacks are None."""
    plays: Counter[int] = Counter()
    for piece in pieces:
        plays.update(piece.plays)
    worked = [piece for piece in pieces if piece.name != "run"]
    return Piece(
        pieces[0].name,
        plays,
        tuple(transfer for piece in pieces for transfer in piece.transfers),
        _sum([piece.items for piece in worked]),
        _sum([piece.tokens for piece in worked]),
    )


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _stretch(graph: Graph, start: int, stop: int, mark: Mark | None) -> Piece:
    transfers = tuple(transfer for transfer in graph.transfers if start <= transfer.position < stop)
    plays = Counter(graph.path[start:stop])
    if mark is None:
        return Piece("run", plays, transfers)
    return Piece("step" if mark.kind == "step" else "inference", plays, transfers, mark.items, mark.tokens)


def _without_setup(graph: Graph, first: Piece) -> tuple[Piece, Piece]:
    """Takes what moved the model out of the first piece."""
    inputs = 0
    for index, plays in first.plays.items():
        storages = {v.storage: v.size_bytes for v in graph.segments[index].values if v.kind == "input"}
        inputs += plays * sum(storages.values())
    kept: list[Transfer] = []
    moved: list[Transfer] = []
    for transfer in reversed(first.transfers):
        own = min(transfer.to_device_bytes, inputs)
        inputs -= own
        if own or transfer.to_host_bytes:
            kept.append(replace(transfer, to_device_bytes=own))
        if transfer.to_device_bytes > own:
            moved.append(Transfer(transfer.position, transfer.to_device_bytes - own))
    return (
        Piece("run", Counter(), tuple(reversed(moved))),
        replace(first, transfers=tuple(reversed(kept))),
    )
