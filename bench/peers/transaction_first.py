"""AggregateScoresByUser as it was before it read the ledger: every change is tried as if it were an insert.

An update or a delete then fails its first transaction, which returns the entry, and is planned against that.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from bench.peers import Peer, ours
from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger
from handlers.aggregate_scores_by_user.ledger import Entry


class UnreadLedger(DynamoDBLedger):
    """A ledger that answers every read with "no entry", without asking DynamoDB."""

    def read(self, record_ids: Sequence[str]) -> Mapping[str, Entry | None]:
        """See Ledger."""
        return dict.fromkeys(record_ids)


PEER = Peer("a transaction first", ours.PEER.client, partial(ours.handler, ledger_of=UnreadLedger))
