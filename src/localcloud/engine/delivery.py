"""What becomes of a batch after each attempt to deliver it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from localcloud.engine.mapping import Mapping
from localcloud.engine.record import Record

FIRST_PAUSE = 0.4
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Records delivered together: a batch, or what is left of one.

    `invokes` counts since the last progress; `refusals` to invoke, since the last invocation.
    """

    records: Sequence[Record]
    invokes: int = 0
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an invocation leaves: records done with, pieces to deliver next, in order, or one to give up."""

    done: Sequence[Record] = ()
    next: Sequence[Piece] = ()
    given_up: Piece | None = None


def settle(piece: Piece, accepted: int | None, mapping: Mapping) -> Settlement:
    """What becomes of a piece of which a function accepted so many leading records, or failed all (None).

    Progress restarts the retry count, and halving does not consume it: only what fails again, uncut, does.
    """
    piece = replace(piece, invokes=piece.invokes + 1, refusals=0)
    if accepted:
        rest = piece.records[accepted:]
        return Settlement(piece.records[:accepted], [Piece(rest)] if rest else ())
    if accepted is None and mapping.bisect and len(piece.records) > 1:
        middle = len(piece.records) // 2
        return Settlement(next=[Piece(piece.records[:middle]), Piece(piece.records[middle:])])
    if mapping.max_retries is not None and piece.invokes > mapping.max_retries:
        return Settlement(given_up=piece)
    return Settlement(next=[piece])


def expire(piece: Piece, oldest: float) -> tuple[Piece, Piece]:
    """The leading records that arrived before `oldest`, and the rest."""
    fresh = next((i for i, record in enumerate(piece.records) if record.arrived >= oldest), len(piece.records))
    return replace(piece, records=piece.records[:fresh]), replace(piece, records=piece.records[fresh:])


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row (1, 2, ...).

    AWS documents no curve. A maximum age of 60 s was seen to hold 8 invocations; 0.4 s, doubling, gives that:
    at 0, 0.4, 1.2, 2.8, 6, 12.4, 25.2 and 50.8 s.
    """
    return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE)
