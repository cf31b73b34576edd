"""AggregateScoresByUser as it was before it read the ledger: every change is tried as if it were an insert.

An update or a delete then fails its first transaction, which returns the entry, and is planned against that. Its
client is the lean one of then, which left answers to botocore's parser.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

from bench.peers import Peer, ours
from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger
from handlers.aggregate_scores_by_user.ledger import Entry
from handlers.shared import aws


class UnreadLedger(DynamoDBLedger):
    """A ledger that answers every read with "no entry", without asking DynamoDB."""

    def read(self, record_ids: Sequence[str]) -> Mapping[str, Entry | None]:
        """See Ledger."""
        return dict.fromkeys(record_ids)


class FormerLoader(aws._LeanLoader):
    """Declares a transaction's writes opaque, and nothing else."""

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """See Loader."""
        model = Loader.load_service_model(self, service_name, type_name, api_version)
        if (service_name, type_name) == ("dynamodb", "service-2"):
            model["shapes"]["TransactWriteItemsInput"]["members"]["TransactItems"] = {"shape": "Opaque"}
            model["shapes"]["Opaque"] = {"type": "string"}
            model["operations"]["TransactWriteItems"].pop("operationContextParams", None)
        return model


def client() -> Any:
    """The client as it was, with the settings of the present one."""
    session = botocore.session.Session()
    session.register_component("data_loader", FormerLoader("dynamodb"))
    config = Config(max_pool_connections=32, retries={"total_max_attempts": 1}, parameter_validation=False)
    return session.create_client("dynamodb", config=config)


PEER = Peer("a transaction first", client, partial(ours.handler, ledger_of=UnreadLedger))
