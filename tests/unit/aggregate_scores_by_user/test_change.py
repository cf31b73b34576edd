from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.aggregate_scores_by_user import change
from handlers.aggregate_scores_by_user.change import Change, fold
from handlers.shared.errors import PoisonRecordError
from handlers.shared.lambda_types import DynamoDBRecord
from tests.fakes.stream import LABEL, NOW, TABLE_ARN, insert, modify, remove, stream_record

VERSION = f"{LABEL}#{'7'.zfill(40)}"


def parse(record: DynamoDBRecord, position: int) -> Change:
    return change.parse(record, position, TABLE_ARN)


def withdrawal(record: DynamoDBRecord, position: int) -> Change | None:
    return change.withdrawal(record, position, TABLE_ARN)


def test_an_insert_says_what_the_item_holds_now() -> None:
    assert parse(insert(1, 7, "ann", "42"), 3) == Change("1", VERSION, "ann", Decimal(42), True, 3, NOW)


def test_an_update_says_what_the_item_holds_now() -> None:
    assert parse(modify(1, 7, "ann", "-0.5"), 0) == Change("1", VERSION, "ann", Decimal("-0.5"), False, 0, NOW)


def test_a_delete_says_that_the_item_holds_nothing() -> None:
    assert parse(remove(1, 7), 0) == Change("1", VERSION, None, Decimal(0), False, 0, NOW)


def test_the_labs_test_event_counts_though_its_key_is_a_string() -> None:
    record: Any = insert(2, 111, "Jane Doe", "100")
    record["dynamodb"]["Keys"] = {"RecordID": {"S": "2"}}

    assert parse(record, 0).record_id == "2"


@pytest.mark.parametrize("spelling", ["10", "10.0", "1E+1", "+10", "010"])
def test_a_key_has_one_spelling(spelling: str) -> None:
    record = insert(1, 7, "ann", "42")
    record["dynamodb"]["Keys"] = {"RecordID": {"N": spelling}}

    assert parse(record, 0).record_id == "10"


def test_versions_sort_as_numbers_though_they_are_strings() -> None:
    numbers = [9, 10, 999, 10**21, 10**39]
    versions = [parse(remove(1, number), 0).version for number in numbers]

    assert versions == sorted(versions)


def test_versions_of_a_later_stream_are_later() -> None:
    record = remove(1, 5)
    record["eventSourceARN"] = record["eventSourceARN"].replace("2026-11-23", "2026-11-24")

    assert parse(record, 0).version > parse(remove(1, 10**21), 0).version


@pytest.mark.parametrize(
    "arn",
    [
        None,
        "stream-ARN",
        TABLE_ARN,
        f"{TABLE_ARN}/stream/",
        f"{TABLE_ARN}/stream/made-up",
        f"{TABLE_ARN}/stream/2026-11-23T\ud800",
        f"{TABLE_ARN}2/stream/9999-01-01T00:00:00.000",
        "arn:aws:dynamodb:us-east-1:210987654321:table/GameScoreRecords/stream/9999-01-01T00:00:00.000",
    ],
)
def test_an_event_of_no_stream_of_the_table_is_a_test_and_precedes_every_change_of_the_table(arn: Any) -> None:
    record = remove(1, 10**21)
    record["eventSourceARN"] = arn

    test = parse(record, 0)

    assert test.is_test
    assert test.version < parse(remove(1, 5), 0).version


def test_a_label_in_other_digits_is_none_of_a_stream() -> None:
    record = remove(1, 5)
    table, _, label = record["eventSourceARN"].partition("/stream/")
    other = label.translate({ord(str(digit)): chr(0x660 + digit) for digit in range(10)})

    assert parse(record | {"eventSourceARN": f"{table}/stream/{other}"}, 0).is_test


def test_a_change_of_the_table_is_no_test() -> None:
    assert not parse(remove(1, 5), 0).is_test


@pytest.mark.parametrize("at", [None, "now", [], float("nan"), -1.0, 1e11])
def test_a_change_of_unknown_age_was_made_at_zero(at: Any) -> None:
    assert parse(stream_record("REMOVE", 1, 5, ApproximateCreationDateTime=at), 0).at == 0


@pytest.mark.parametrize("at", [1_795_392_000, 1_795_392_000.5])
def test_a_change_was_made_when_dynamodb_says_with_a_fraction_or_without(at: float) -> None:
    assert parse(stream_record("REMOVE", 1, 5, ApproximateCreationDateTime=at), 0).at == at


@pytest.mark.parametrize("make", [insert, modify])
def test_a_well_formed_record_takes_the_fast_path(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "_examine", None)

    assert parse(make(1, 7, "ann", "42"), 0).version == VERSION


@pytest.mark.parametrize("record", [None, [], "record", 1])
def test_what_is_no_object_is_poison(record: Any) -> None:
    with pytest.raises(PoisonRecordError, match=r"^The record is not an object$"):
        parse(record, 0)

    assert withdrawal(record, 0) is None


SPOILT_IMAGES = [
    ("Username", None, "Username is missing or is not of type S"),
    ("Username", {"N": "1"}, "Username is missing or is not of type S"),
    ("Username", {"S": ""}, "Username is empty"),
    ("Username", {"S": "é" * 1025}, "Username is too long for a key"),
    ("Username", {"S": "\ud800"}, "Username is not text"),
    ("Score", None, "Score is missing or is not of type N"),
    ("Score", {"S": "42"}, "Score is missing or is not of type N"),
    ("Score", {"N": 42}, "Score is missing or is not of type N"),
    ("Score", {"N": "NaN"}, "Score is not a number"),
    ("Score", {"N": "1" * 39}, "Score does not fit a DynamoDB number"),
]


@pytest.mark.parametrize(("name", "value", "reason"), SPOILT_IMAGES)
@pytest.mark.parametrize("make", [insert, modify])
def test_an_item_without_a_countable_score_is_poison_that_withdraws(
    make: Any, name: str, value: Any, reason: str
) -> None:
    record = make(1, 7, "ann", "42")
    record["dynamodb"]["NewImage"][name] = value

    with pytest.raises(PoisonRecordError, match=f"^{reason}$"):
        parse(record, 2)

    assert withdrawal(record, 2) == Change("1", VERSION, None, Decimal(0), False, 2, NOW)


@pytest.mark.parametrize("image", [None, "absent", []])
def test_a_missing_image_is_poison(image: Any) -> None:
    record = stream_record("MODIFY", 1, 7, image)

    with pytest.raises(PoisonRecordError, match=r"^NewImage is missing$"):
        parse(record, 0)


@pytest.mark.parametrize("event_name", [None, "insert", "REPLACE", 1])
def test_an_unknown_event_name_is_poison(event_name: Any) -> None:
    record = insert(1, 7, "ann", "42")
    record["eventName"] = event_name

    with pytest.raises(PoisonRecordError, match=r"^eventName is unknown$"):
        parse(record, 0)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Keys", None, "RecordID is missing"),
        ("Keys", {"Other": {"N": "1"}}, "RecordID is missing"),
        ("Keys", {"RecordID": {"B": "MQ=="}}, "RecordID is not of type N"),
        ("Keys", {"RecordID": {"S": "jane"}}, "RecordID is not a number"),
        ("Keys", {"RecordID": {"N": "1" * 39}}, "RecordID does not fit a DynamoDB number"),
        ("SequenceNumber", None, "SequenceNumber is not a number"),
        ("SequenceNumber", 7, "SequenceNumber is not a number"),
        ("SequenceNumber", "-7", "SequenceNumber is not a number"),
        ("SequenceNumber", "٣", "SequenceNumber is not a number"),
        ("SequenceNumber", "1" * 41, "SequenceNumber has too many digits"),
    ],
)
def test_a_record_of_no_item_or_no_version_is_poison_and_withdraws_nothing(name: str, value: Any, reason: str) -> None:
    record: Any = deepcopy(insert(1, 7, "ann", "42"))
    record["dynamodb"][name] = value

    with pytest.raises(PoisonRecordError, match=f"^{reason}$"):
        parse(record, 0)

    assert withdrawal(record, 0) is None


def test_a_record_without_a_body_is_poison() -> None:
    record: Any = {"eventName": "INSERT"}

    with pytest.raises(PoisonRecordError, match=r"^dynamodb is missing$"):
        parse(record, 0)


def test_changes_of_one_item_fold_into_the_last() -> None:
    changes = [parse(record, at) for at, record in enumerate([insert(1, 7, "ann", "1"), remove(2, 8)])]
    changes.append(parse(modify(1, 9, "ann", "2"), 2)._replace(at=NOW + 60))

    last = changes[2]._replace(is_insert=True)
    assert fold(changes) == {"1": last, "2": changes[1]}


def test_a_stale_change_folds_into_the_later_one_before_it() -> None:
    later, stale = parse(modify(1, 10, "ann", "2"), 0), parse(insert(1, 9, "ann", "1"), 1)

    assert fold([later, stale]) == {"1": later}


ODD: st.SearchStrategy[Any] = st.sampled_from(
    ["1", "0", "07", "-1", "1.5", ".", "", "1_0", "\u0661", "9" * 41, 1, None, [], {}, True]
)


@given(st.tuples(ODD, ODD, ODD, ODD, ODD, st.sampled_from(["INSERT", "MODIFY", "REMOVE", "INVENTED", [], None])))
def test_what_is_read_in_haste_is_what_a_careful_reader_finds(odd: tuple[Any, ...]) -> None:
    record_id, number, username, score, arn, event_name = odd
    record: Any = insert(1, 7, "ann", "1")
    record["dynamodb"]["Keys"]["RecordID"]["N"] = record_id
    record["dynamodb"]["SequenceNumber"] = number
    record["dynamodb"]["NewImage"] |= {"Username": {"S": username}, "Score": {"N": score}}
    record |= {"eventSourceARN": arn, "eventName": event_name}

    try:
        careful = change._examine(record, 3, TABLE_ARN)
    except PoisonRecordError as error:
        with pytest.raises(PoisonRecordError) as poison:
            parse(record, 3)
        assert str(poison.value) == str(error)
    else:
        assert parse(record, 3) == careful
