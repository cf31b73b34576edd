"""Put made-up scores into GameScoreRecords: `make put-scores [N=] [USERS=] [RATE=] [SEED=] [VIA=] [MIX=]`."""

import json
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli import UserError
from scripts.deployment import Deployed, deployed
from scripts.stage import LOCAL, StageName
from scripts.traffic.sender import PUT_RECORDS, Destination, Event, Meter, ignore, send_all, stream

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestOutputTypeDef, WriteRequestTypeDef

_BATCH_WRITE_ITEMS = 25
_RECENT = 10_000  # records that an update or a delete may hit: what is remembered has to have a bound
_NO_DELETES = "A score event cannot delete a record: leave delete out of MIX, or choose VIA=table"
_MIX = re.compile(r"(insert|update|delete):(\d+)")


class Via(StrEnum):
    """Where scores enter the system."""

    STREAM = "stream"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Write:
    """A score to put, in place of any of its record, or a record to delete."""

    record_id: int
    username: str | None
    """None to delete."""
    score: Decimal = Decimal(0)

    @property
    def key(self) -> str:
        """See Keyed."""
        return str(self.record_id)


def writes(n: int, *, users: int, mix: Mapping[str, int], seed: int, first_record: int) -> Iterator[Write]:
    """Made-up writes, the same for the same arguments: `mix` weighs insert, update and delete.

    Updates, which may move a record to another user, and deletes hit one of the last records inserted; there
    being none, they are inserts.
    """
    dice = random.Random(seed)  # noqa: S311
    kinds, weights = list(mix), list(mix.values())
    recent: list[int] = []
    for _ in range(n):
        (kind,) = dice.choices(kinds, weights)
        if kind == "delete" and recent:
            yield Write(_take(recent, dice), None)
            continue
        if kind == "update" and recent:
            record_id = dice.choice(recent)
        else:
            record_id, first_record = first_record, first_record + 1
            recent.append(record_id)
            if len(recent) > _RECENT:
                _take(recent, dice)
        yield Write(record_id, f"player-{dice.randrange(users)}", Decimal(dice.randrange(1, 10_000)).scaleb(-2))


def _take(records: list[int], dice: random.Random) -> int:
    """One of the records, which is then no longer among them, without moving them all."""
    index = dice.randrange(len(records))
    records[index], records[-1] = records[-1], records[index]
    return records.pop()


def parse_mix(text: str) -> dict[str, int]:
    """`insert:80,update:15,delete:5` as a mapping. Raises UserError."""
    parts = [_MIX.fullmatch(part) for part in text.split(",")]
    mix = {part[1]: int(part[2]) for part in parts if part}
    if None in parts or not any(mix.values()):
        raise UserError(f"MIX={text} is not a mix. Weigh insert, update and delete: MIX=insert:80,update:15,delete:5")
    return mix


def produce(
    system: Deployed,
    scores: Iterable[Write],
    *,
    via: Via = Via.STREAM,
    rate: float = 0,
    on_sent: Callable[[int, int], None] = ignore,
) -> None:
    """Send the writes to a deployed system, in order; see send_all. A stream takes no deletes."""
    if via is Via.STREAM:
        destination = stream(system.session.client("kinesis"), system.outputs["stream"]["name"])
        send_all(map(_event, scores), destination, request_items=PUT_RECORDS, rate=rate, on_sent=on_sent)
    else:
        table = _table(system.session.client("dynamodb"), system.table("GameScoreRecords")["name"])
        send_all(scores, table, request_items=_BATCH_WRITE_ITEMS, rate=rate, on_sent=on_sent)


def _event(write: Write) -> Event:
    if write.username is None:
        raise UserError(_NO_DELETES)
    # The key keeps the events of a record in one shard, and thereby in order.
    score = f'{{"RecordID": {write.record_id}, "Username": {json.dumps(write.username)}, "Score": {write.score}}}'
    return Event(write.key, score.encode())


def _table(dynamodb: "DynamoDBClient", name: str) -> Destination[Write]:
    def send(writes: Sequence[Write]) -> Sequence[Write]:
        answer = dynamodb.batch_write_item(RequestItems={name: [_request(write) for write in writes]})
        left = {_record_id(request) for request in answer.get("UnprocessedItems", {}).get(name, [])}
        return [write for write in writes if write.record_id in left]

    return send


def _record_id(request: "WriteRequestOutputTypeDef") -> int:
    key = request["DeleteRequest"]["Key"] if "DeleteRequest" in request else request["PutRequest"]["Item"]
    return int(key["RecordID"]["N"])


def _request(write: Write) -> "WriteRequestTypeDef":
    key = {"RecordID": {"N": write.key}}
    if write.username is None:
        return {"DeleteRequest": {"Key": key}}
    return {"PutRequest": {"Item": key | {"Username": {"S": write.username}, "Score": {"N": str(write.score)}}}}


def main(
    stage: StageName = LOCAL,
    n: int = typer.Option(1000, min=1, help="how many writes"),
    users: int = typer.Option(20, min=1, help="of how many users"),
    rate: float = typer.Option(0, min=0, help="writes a second; 0 for as fast as it goes"),
    seed: int = typer.Option(None, help="of the made-up scores, to have the same again"),
    first: int = typer.Option(None, help="the first RecordID; by default one that no earlier run has used"),
    via: Annotated[Via, typer.Option(help="through Demo-Stream, or straight to the table")] = Via.STREAM,
    mix: str = typer.Option("insert:100", help="weights of insert, update and delete"),
    as_json: bool = typer.Option(False, "--json", help="print the summary as JSON"),
) -> None:
    """Put made-up scores through Demo-Stream, or straight into GameScoreRecords."""
    weights = parse_mix(mix)
    if via is Via.STREAM and weights.get("delete"):
        raise UserError(_NO_DELETES)
    system = deployed(stage)
    scores = writes(
        n,
        users=users,
        mix=weights,
        seed=random.randrange(2**32) if seed is None else seed,  # noqa: S311
        first_record=time.time_ns() // 1000 if first is None else first,
    )
    where = system.outputs["stream"]["name"] if via is Via.STREAM else system.table("GameScoreRecords")["name"]
    with Meter(n, where, as_json=as_json) as meter:
        produce(system, scores, via=via, rate=rate, on_sent=meter.on_sent)
