"""Whatever event a function is given, it answers, and every record is logged, stored, parked or reported.

HISTORIES sets how many events are tried.
"""

import base64
import io
import json
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from handlers.aggregate_scores_by_user import handler as aggregate_scores_by_user
from handlers.process_kinesis_records import handler as process_kinesis_records
from handlers.process_kinesis_records.ingestion import Ingestor
from handlers.process_kinesis_records.settings import Settings
from tests.fakes.invocation import Function, InMemoryParking, LambdaInvocation, ShuffledWorkers
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.records import InMemoryScoreRecords
from tests.fakes.stream import ARN, NOW, TABLE_ARN
from tests.property.strategies import any_attribute, any_json, any_text, json_text, numerals, object_of

EVENTS = int(os.environ.get("HISTORIES", "1000"))
STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream"

small = st.integers(1, 4).map(str)
score_like = st.builds(
    '{{"RecordID": {}, "Username": {}, "Score": {}{}'.format,
    st.one_of(small, small, numerals, json_text),
    st.one_of(st.just('"jane"'), st.just('"jane"'), json_text),
    st.one_of(small, numerals, json_text),
    st.sampled_from(["}", "}", "}", ', "more": [1e999]}', "", "} "]),
)
payloads = st.one_of(score_like.map(str.encode), st.binary(max_size=50), json_text.map(str.encode))
encoded = payloads.map(lambda payload: base64.b64encode(payload).decode())
sound_records = st.fixed_dictionaries(
    {
        "eventID": st.integers(0, 10**9).map("shardId-000000000000:{}".format),
        "eventSourceARN": st.just(STREAM),
        "kinesis": st.fixed_dictionaries(
            {
                "data": score_like.map(lambda text: base64.b64encode(text.encode()).decode()),
                "sequenceNumber": st.integers(0, 10**56).map(str),
                "approximateArrivalTimestamp": st.just(1_795_392_000.0),
            }
        ),
    }
)
odd_records = object_of(
    eventID=any_text,
    eventSourceARN=st.sampled_from([STREAM, "arn:aws:kinesis:us-east-1:123456789012:stream/another"]),
    kinesis=object_of(
        data=st.one_of(encoded, any_text),
        sequenceNumber=st.one_of(any_text, numerals),
        approximateArrivalTimestamp=st.one_of(st.floats(), st.integers()),
        partitionKey=any_text,
    ),
)
batches = st.lists(st.one_of(sound_records, sound_records, odd_records, any_json), max_size=6)
kinesis_events = st.one_of(
    batches.map(lambda records: {"Records": records}),
    batches.map(lambda records: {"Records": records}),
    object_of(Records=batches),
    any_json,
)


@pytest.fixture(params=[True, False], ids=["stores", "only logs"])
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether ProcessKinesisRecords is deployed with a table."""
    monkeypatch.delenv("RECORDS_TABLE", raising=False)
    if request.param:
        monkeypatch.setenv("RECORDS_TABLE", "GameScoreRecords")
    yield request.param


def looks_like_a_score_event(record: Any) -> bool:
    """Whether a payload is a JSON object with the three keys, as json alone reads it."""
    try:
        payload = json.loads(
            base64.b64decode(record["kinesis"]["data"], validate=True).decode(), parse_float=str, parse_int=str
        )
        return bool({"RecordID", "Username", "Score"} <= payload.keys())
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return False


@settings(
    max_examples=EVENTS,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(kinesis_events)
def test_process_kinesis_records_answers_any_event_and_loses_no_record(stores: bool, given_event: Any) -> None:
    records, parking = InMemoryScoreRecords(), InMemoryParking()
    ingestor = Ingestor(records, parking, ShuffledWorkers(Random(0)), "ProcessKinesisRecords", STREAM)
    configured = Settings("GameScoreRecords", "failures", STREAM, 16, 5, "GameScores")
    buffer = io.BytesIO()
    stdout = io.TextIOWrapper(buffer, encoding="utf-8", errors="strict")

    with patch.object(process_kinesis_records, "_ingestor", lambda _: (ingestor, configured)), redirect_stdout(stdout):
        response = process_kinesis_records.handler(given_event, LambdaInvocation())

    json.dumps(response, ensure_ascii=False).encode()  # as Lambda's runtime sends it
    lines = [json.loads(line) for line in buffer.getvalue().splitlines()]
    failures = [each["itemIdentifier"] for each in response["batchItemFailures"]]
    batch = given_event.get("Records") if isinstance(given_event, dict) else None
    if not isinstance(batch, list):
        event("no batch")
        assert (failures, [line["level"] for line in lines]) == ([""], ["ERROR"])
        return

    per_record = ("Decoded payload: ", "Payload is not ", "Found a record without data: ", "Record ")
    assert len([line for line in lines if line["message"].startswith(per_record)]) == len(batch)
    unlogged = [line for line in lines if "cannot be logged" in line["message"] and line["level"] == "ERROR"]
    assert len(failures) <= 1
    if unlogged:
        assert failures
    scores = sum(map(looks_like_a_score_event, batch)) if stores else 0
    booked = {name: lines[-1].get(name, 0) for name in ("Stored", "Outdated", "Folded", "Parked", "Failed")}
    assert bool(failures) == bool(unlogged or booked["Failed"])
    assert (len(records.items), len(parking.documents) <= booked["Parked"]) == (booked["Stored"], True)
    if booked["Failed"] == 0:
        assert sum(booked.values()) == scores
    for name in [*(name for name, number in booked.items() if number), *(["reported"] if failures else [])]:
        event(name)


changes = st.fixed_dictionaries(
    {
        "eventID": st.integers(0, 10**9).map(str),
        "eventName": st.sampled_from(["INSERT", "MODIFY", "REMOVE"]),
        "eventSourceARN": st.just(ARN),
        "dynamodb": st.fixed_dictionaries(
            {
                "ApproximateCreationDateTime": st.just(NOW),
                "Keys": st.fixed_dictionaries({"RecordID": st.fixed_dictionaries({"N": small})}),
                "NewImage": st.fixed_dictionaries(
                    {
                        "Username": st.one_of(st.just({"S": "jane"}), any_attribute),
                        "Score": st.one_of(st.fixed_dictionaries({"N": st.one_of(small, numerals)}), any_attribute),
                    }
                ),
                "SequenceNumber": st.integers(0, 10**40 - 1).map(str),
            }
        ),
    }
)
odd_changes = object_of(
    eventID=any_text,
    eventName=st.sampled_from(["INSERT", "MODIFY", "REMOVE", "", "insert"]),
    eventSourceARN=st.one_of(st.sampled_from([ARN, TABLE_ARN, ""]), any_text),
    dynamodb=object_of(
        ApproximateCreationDateTime=st.one_of(st.floats(), st.integers()),
        Keys=object_of(RecordID=any_attribute),
        NewImage=object_of(Username=any_attribute, Score=any_attribute),
        SequenceNumber=st.one_of(any_text, numerals, st.integers(0, 10**40).map(str)),
    ),
)
table_batches = st.lists(st.one_of(changes, changes, odd_changes, any_json), max_size=6)
dynamodb_events = st.one_of(
    table_batches.map(lambda records: {"Records": records}),
    table_batches.map(lambda records: {"Records": records}),
    object_of(Records=table_batches),
    any_json,
)


@settings(
    max_examples=EVENTS,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(dynamodb_events)
def test_aggregate_scores_by_user_answers_any_event_and_loses_no_record(given_event: Any) -> None:
    ledger, parking = InMemoryLedger(), InMemoryParking()
    aggregator = Function(ledger, parking).aggregator
    buffer = io.BytesIO()
    stdout = io.TextIOWrapper(buffer, encoding="utf-8", errors="strict")

    with patch.object(aggregate_scores_by_user, "_aggregator", lambda _: (aggregator, 5)), redirect_stdout(stdout):
        response = aggregate_scores_by_user.handler(given_event, LambdaInvocation())

    json.dumps(response, ensure_ascii=False).encode()  # as Lambda's runtime sends it
    lines = [json.loads(line) for line in buffer.getvalue().splitlines()]
    failures = [each["itemIdentifier"] for each in response["batchItemFailures"]]
    batch = given_event.get("Records") if isinstance(given_event, dict) else None
    if not isinstance(batch, list):
        event("no batch")
        assert (failures, [line["level"] for line in lines]) == ([""], ["ERROR"])
        return

    assert len(failures) <= 1
    booked = {name: lines[-1][name] for name in ("Applied", "Duplicates", "Parked", "Failed")}
    assert bool(failures) == bool(booked["Failed"])
    assert len(parking.documents) <= booked["Parked"]
    assert len(ledger.entries) <= booked["Applied"]
    if not failures:
        folded = lines[-1]["Folded"]
        assert booked["Applied"] + booked["Duplicates"] + folded + booked["Parked"] >= len(batch)
    for name in [*(name for name, number in booked.items() if number), *(["reported"] if failures else [])]:
        event(name)
