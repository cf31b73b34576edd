"""CPU time and calls of reading records, and memory: no AWS in sight."""

import io
import json
import logging
import tracemalloc
from binascii import a2b_base64
from contextlib import redirect_stdout
from decimal import Decimal
from functools import partial
from typing import Any, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import DynamoDBStreamEvent

from bench.endpoint import endpoint
from bench.events import Context, stream_event, table_records
from bench.measuring import Findings, Row, calls, cpu, medians
from bench.peers import ours
from bench.writing import client_of, function
from handlers.aggregate_scores_by_user import change
from handlers.process_kinesis_records import handler as process_kinesis_records
from handlers.shared.lambda_types import DynamoDBEvent, DynamoDBRecord, KinesisEvent
from tests.fakes.stream import TABLE_ARN

BATCH = 10_000
_INVOCATION_BYTES = 6 * 1024 * 1024  # of its event


def parse_and_fold(records: list[DynamoDBRecord]) -> dict[str, change.Change]:
    """What AggregateScoresByUser does with a batch before it counts."""
    return change.fold([change.parse(record, position, TABLE_ARN) for position, record in enumerate(records)])


def plain_loop(records: list[DynamoDBRecord]) -> dict[str, Decimal]:
    """What anybody would write: each field that counting needs, looked up once and believed, and sums by user."""
    sums: dict[str, Decimal] = {}
    for record in cast(list[Any], records):
        body = record["dynamodb"]
        record["eventID"], body["SequenceNumber"], body["Keys"]["RecordID"]["N"]
        image = body["NewImage"]
        image["RecordID"]["N"]
        username, score = image["Username"]["S"], Decimal(image["Score"]["N"])
        sums[username] = sums.get(username, 0) + score
    return sums


def barest_loop(records: list[DynamoDBRecord]) -> dict[str, int]:
    """The sums alone, of whole numbers."""
    sums: dict[str, int] = {}
    for record in cast(list[Any], records):
        image = record["dynamodb"]["NewImage"]
        username = image["Username"]["S"]
        sums[username] = sums.get(username, 0) + int(image["Score"]["N"])
    return sums


def keeping_loop(records: list[DynamoDBRecord]) -> dict[str, change.Change]:
    """The plain loop when it keeps what counting needs, the last of each record, unchecked: our floor in Python."""
    last: dict[str, change.Change] = {}
    for position, record in enumerate(cast(list[Any], records)):
        body = record["dynamodb"]
        image = body["NewImage"]
        record_id = body["Keys"]["RecordID"]["N"]
        last[record_id] = change.Change(
            record_id,
            "2026-11-23T00:00:00.000#" + body["SequenceNumber"],
            image["Username"]["S"],
            Decimal(image["Score"]["N"]),
            record["eventName"] == "INSERT",
            position,
            body["ApproximateCreationDateTime"],
        )
    return last


def powertools_loop(records: list[DynamoDBRecord]) -> dict[str, Decimal]:
    """The sums, by Powertools' data classes."""
    sums: dict[str, Decimal] = {}
    for record in DynamoDBStreamEvent({"Records": records}).records:
        image = record.dynamodb.new_image if record.dynamodb else {}
        sums[image["Username"]] = sums.get(image["Username"], Decimal(0)) + image["Score"]
    return sums


def parsing(repetitions: int = 21) -> Findings:
    """Parse and fold, beside loops that do less, and Powertools' that does about as much."""
    records = table_records(BATCH, 100)
    loops = (parse_and_fold, plain_loop, barest_loop, keeping_loop, powertools_loop)
    seconds = medians({loop.__name__: cpu(partial(loop, records)) for loop in loops}, repetitions)
    mine, plain = seconds["parse_and_fold"], seconds["plain_loop"]
    ms = {name: f"{1000 * each:.1f} ms" for name, each in seconds.items()}
    return Findings(
        [
            Row(
                f"Parse and fold {BATCH:,} records, CPU",
                ms["parse_and_fold"],
                f"a plain loop over the same event: {ms['plain_loop']}",
                mine / plain,
                1.5,
            ),
            Row(
                "The same",
                ms["parse_and_fold"],
                f"the barest loop: {ms['barest_loop']}",
                mine / seconds["barest_loop"],
                None,
            ),
            Row(
                "The same",
                ms["parse_and_fold"],
                f"the plain loop that keeps what counting needs, unchecked: {ms['keeping_loop']}",
                mine / seconds["keeping_loop"],
                None,
            ),
            Row(
                "The same by Powertools' DynamoDBRecord, sums alone",
                ms["powertools_loop"],
                f"a plain loop over the same event: {ms['plain_loop']}",
                seconds["powertools_loop"] / plain,
                None,
            ),
        ]
    )


def counts() -> Findings:
    """Calls a record, which are the same on every machine that has the same Python, and writes to the log."""
    records, event, context = (
        table_records(BATCH, 100),
        stream_event(BATCH),
        Context(function_name="ProcessKinesisRecords"),
    )
    written = Writes()
    with redirect_stdout(written):
        log = partial(process_kinesis_records.handler, event, context)
        log()
        writes, written.count = written.count, 0
        mine = {"parse": calls(partial(parse_and_fold, records)) / BATCH, "log": calls(log) / BATCH}
    floor = {"parse": calls(partial(plain_loop, records)) / BATCH, "log": calls(partial(decode, event)) / BATCH}
    return Findings(
        [
            Row(
                "Parse and fold, calls a record",
                f"{mine['parse']:.1f}",
                f"a plain loop over the same event: {floor['parse']:.1f}",
                mine["parse"] / floor["parse"],
                14,
                is_count=True,
            ),
            Row(
                "Kinesis decode and log, calls a record",
                f"{mine['log']:.1f}",
                f"decoding: {floor['log']:.1f}",
                mine["log"] / floor["log"],
                9,
                is_count=True,
            ),
            Row("Log writes a batch", str(writes), "1", writes, 1, is_count=True),
        ]
    )


def decode(event: KinesisEvent) -> None:
    """What no logging of payloads can do without."""
    for record in event["Records"]:
        a2b_base64(record["kinesis"]["data"]).decode()


class Writes(io.StringIO):
    """A log that counts the writes to it, and keeps nothing."""

    count = 0

    def write(self, text: str) -> int:
        """See io.StringIO."""
        self.count += 1
        return len(text)


def logging_(repetitions: int = 21) -> Findings:
    """Decode and log, beside decoding alone, and the two usual loggers."""
    event, context = stream_event(BATCH), Context(function_name="ProcessKinesisRecords")
    written = Writes()
    standard = logging.Logger("standard")
    standard.addHandler(logging.StreamHandler(written))
    powertools = Logger(service="bench", stream=written)

    def ours_(event: KinesisEvent) -> None:
        process_kinesis_records.handler(event, context)

    def each(write: Any, event: KinesisEvent) -> None:
        for record in event["Records"]:
            write(f"Decoded payload: {a2b_base64(record['kinesis']['data']).decode()}")

    with redirect_stdout(written):
        seconds = medians(
            {
                "decode": cpu(lambda: decode(event)),
                "ours": cpu(lambda: ours_(event)),
                "standard": cpu(lambda: each(standard.info, event)),
                "powertools": cpu(lambda: each(powertools.info, event)),
            },
            repetitions,
        )
    us = {name: f"{1e6 * each / BATCH:.2f} µs" for name, each in seconds.items()}
    floor = seconds["decode"]
    return Findings(
        [
            Row(
                "Kinesis decode and log, CPU a record",
                us["ours"],
                f"decoding: {us['decode']}",
                seconds["ours"] / floor,
                10,
            ),
            Row(
                "The same by stdlib logging, a line a record",
                us["standard"],
                f"decoding: {us['decode']}",
                seconds["standard"] / floor,
                None,
            ),
            Row(
                "The same by Powertools' Logger",
                us["powertools"],
                f"decoding: {us['decode']}",
                seconds["powertools"] / floor,
                None,
            ),
        ]
    )


def memory() -> Findings:
    """The most that a batch of 6 MB takes at any moment, the event included, by tracemalloc."""
    records = table_records(BATCH, 100)
    filler = "x" * (_INVOCATION_BYTES // BATCH - len(json.dumps(records[0])) - len(', "Nickname": {"S": ""}'))
    for record in records:
        record["dynamodb"]["NewImage"]["Nickname"] = {"S": filler}
    text = json.dumps({"Records": records})
    with endpoint() as server, client_of(server):
        handler = function(ours.PEER)
        handler({"Records": records[:1000]}, Context())
        del records
        tracemalloc.start()
        try:
            event: DynamoDBEvent = json.loads(text)
            decoded, _ = tracemalloc.get_traced_memory()
            handler(event, Context())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    return Findings(
        [
            Row(
                f"Peak memory for a batch of {len(event['Records']):,} records, {len(text) / 2**20:.1f} MB",
                f"{peak / 2**20:.1f} MB, the event included",
                f"the decoded event: {decoded / 2**20:.1f} MB",
                peak / decoded,
                4,
            )
        ]
    )
