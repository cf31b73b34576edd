"""Users of the deployed system, who play, and what the stream says of it."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import boto3

from tests.integration.deployment import System

_EMPTY_PAGES = 4

Totals = dict[str, tuple[Decimal | int, int]]
"""The score and the number of records of each user."""


class Players:
    """The users of one test, whose names begin with its own, and their records."""

    def __init__(self, system: System, name: str, first_record: int) -> None:
        tables: Any = boto3.resource("dynamodb")
        self._name = name
        self._first_record = first_record
        self._records = tables.Table(system.table("GameScoreRecords"))
        self._totals = tables.Table(system.table("GameScoresByUser"))

    def put(self, record: int, user: str, **attributes: Any) -> None:
        """Create or replace a record; without `Score`, say, when it is to be wrong."""
        key = {"RecordID": self._first_record + record}
        self._records.put_item(Item={**key, "Username": f"{self._name} {user}", **attributes})

    def delete(self, record: int) -> None:
        """Delete a record."""
        self._records.delete_item(Key={"RecordID": self._first_record + record})

    def totals(self) -> Totals:
        """What the totals are; a user without records, who reads 0, is left out."""
        totals: Totals = {
            item["Username"]: (item["Score"], int(item["RecordCount"]))
            for item in self._totals.scan(ConsistentRead=True)["Items"]
            if item["Username"].startswith(f"{self._name} ")
        }
        return {user: total for user, total in totals.items() if total != (0, 0)}

    def owed(self) -> Totals:
        """What the totals should be: the sums over the users' records that hold a number."""
        sums: Totals = defaultdict(lambda: (Decimal(0), 0))
        for item in self._records.scan(ConsistentRead=True)["Items"]:
            if item["Username"].startswith(f"{self._name} ") and isinstance(item.get("Score"), Decimal):
                score, records = sums[item["Username"]]
                sums[item["Username"]] = (score + item["Score"], records + 1)
        return sums

    def are_exact(self) -> bool:
        """Whether every total is what it should be."""
        return self.totals() == self.owed()


def delivered_records(system: System) -> list[dict[str, Any]]:
    """Every record of the stream of GameScoreRecords, as Lambda delivers them."""
    streams = boto3.client("dynamodbstreams")
    arn = system.outputs["tables"]["GameScoreRecords"]["stream_arn"]
    records: list[dict[str, Any]] = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator: str | None = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        empty = 0  # AWS may answer with pages that are empty before one that is not
        while iterator and empty < _EMPTY_PAGES:
            page = streams.get_records(ShardIterator=iterator)
            empty = 0 if page["Records"] else empty + 1
            for record in page["Records"]:
                created = record["dynamodb"]["ApproximateCreationDateTime"].timestamp()
                body = {**record["dynamodb"], "ApproximateCreationDateTime": created}
                records.append({**record, "eventSourceARN": arn, "dynamodb": body})
            iterator = page.get("NextShardIterator")
    return records
