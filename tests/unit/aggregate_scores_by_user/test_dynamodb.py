"""What the contract suite cannot ask of an emulator: the answers of a DynamoDB in trouble."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError, ReadTimeoutError
from botocore.session import Session
from botocore.stub import Stubber

from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger, parse_entry
from handlers.aggregate_scores_by_user.ledger import (
    DAMAGED,
    Add,
    Entry,
    OutdatedError,
    Put,
    Transaction,
    UncountableError,
)
from handlers.shared import aws
from handlers.shared.errors import RefusedError, RetryableError

TRANSACTION = Transaction(
    (Put("1", Entry("v", "ann", Decimal(1)), None), Put("2", Entry("v", "bob", Decimal(2)), None)),
    (Add("ann", Decimal(1), 1), Add("bob", Decimal(2), 1)),
)
NONE = {"Code": "None"}
FAILED = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
CONFLICT = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
OVERFLOW = {
    "Code": "ValidationError",
    "Message": "Number overflow. Attempting to store a number with magnitude larger than supported range",
}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY":
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # botocore's own: a stub checks its answers against the model, which the lean client cuts short.
    return Session().create_client("dynamodb", config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def stubber(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber


@pytest.fixture
def ledger(client: Any) -> DynamoDBLedger:
    return DynamoDBLedger(client, ledger_table="ledger", totals_table="totals", expires_at=lambda: 0)


def cancelled(stubber: Stubber, *reasons: dict[str, Any]) -> None:
    stubber.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        http_status_code=400,
        modeled_fields={"CancellationReasons": list(reasons)},
    )


def test_an_entry_is_written_where_there_is_none_or_in_place_of_the_version_that_was_seen(
    ledger: DynamoDBLedger, stubber: Stubber
) -> None:
    fresh, replacing = (
        Put(id_, Entry("w", "ann", Decimal(1)), replaces) for id_, replaces in (("1", None), ("2", "v"))
    )
    stubber.add_response(
        "transact_write_items",
        {},
        {
            "TransactItems": [
                {
                    "Put": {
                        "TableName": "ledger",
                        "Item": {
                            "RecordID": {"N": id_},
                            "Version": {"S": "w"},
                            "Username": {"S": "ann"},
                            "Score": {"N": "1"},
                        },
                        # An item without a Version is there all the same, and must not be written over.
                        "ConditionExpression": condition,
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                        **values,
                    }
                }
                for id_, condition, values in (
                    ("1", "attribute_not_exists(RecordID)", {}),
                    ("2", "Version = :replaced", {"ExpressionAttributeValues": {":replaced": {"S": "v"}}}),
                )
            ]
        },
    )

    ledger.commit(Transaction((fresh, replacing), ()))


def test_an_overflow_blames_the_users_whose_totals_it_concerns(ledger: DynamoDBLedger, stubber: Stubber) -> None:
    cancelled(stubber, NONE, NONE, NONE, OVERFLOW)

    with pytest.raises(UncountableError, match="Number overflow") as uncountable:
        ledger.commit(TRANSACTION)

    assert uncountable.value.usernames == {"bob"}
    assert not uncountable.value.record_ids


def test_an_entry_that_cannot_be_stored_blames_its_record(ledger: DynamoDBLedger, stubber: Stubber) -> None:
    cancelled(stubber, NONE, {"Code": "ValidationError", "Message": "too big"}, NONE, NONE)

    with pytest.raises(UncountableError, match="too big") as uncountable:
        ledger.commit(TRANSACTION)

    assert uncountable.value.record_ids == {"2"}
    assert not uncountable.value.usernames


def test_a_reason_without_a_message_goes_by_its_code(ledger: DynamoDBLedger, stubber: Stubber) -> None:
    cancelled(stubber, NONE, {"Code": "ValidationError"}, NONE, NONE)

    with pytest.raises(UncountableError, match=r"^ValidationError$"):
        ledger.commit(TRANSACTION)


def test_a_failed_condition_outweighs_other_reasons(ledger: DynamoDBLedger, stubber: Stubber) -> None:
    old = {"RecordID": {"N": "1"}, "Version": {"S": "u"}, "ExpiresAt": {"N": "1"}}
    cancelled(stubber, FAILED | {"Item": old}, CONFLICT, OVERFLOW, NONE)

    with pytest.raises(OutdatedError) as outdated:
        ledger.commit(TRANSACTION)

    assert outdated.value.found == {"1": Entry("u", None, Decimal(0))}


@pytest.mark.parametrize(
    "code",
    ["TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError", "RequestLimitExceeded"],
)
def test_a_cancellation_that_may_pass_is_retryable(code: str, ledger: DynamoDBLedger, stubber: Stubber) -> None:
    cancelled(stubber, NONE, {"Code": code}, NONE, CONFLICT)

    with pytest.raises(RetryableError, match=code):
        ledger.commit(TRANSACTION)


def test_a_cancellation_for_an_unknown_reason_is_refused(ledger: DynamoDBLedger, stubber: Stubber) -> None:
    cancelled(stubber, NONE, {"Code": "AccessDenied"}, NONE, CONFLICT)

    with pytest.raises(RefusedError, match="AccessDenied, TransactionConflict"):
        ledger.commit(TRANSACTION)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("RequestLimitExceeded", 400),
        ("TransactionConflictException", 400),
        ("TransactionInProgressException", 400),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
        ("502", 502),
    ],
)
def test_a_passing_trouble_is_retryable(code: str, status: int, ledger: DynamoDBLedger, stubber: Stubber) -> None:
    stubber.add_client_error("transact_write_items", code, http_status_code=status)

    with pytest.raises(RetryableError, match=code):
        ledger.commit(TRANSACTION)


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException", "Unheard"]
)
def test_what_only_a_person_can_mend_is_refused(code: str, ledger: DynamoDBLedger, stubber: Stubber) -> None:
    stubber.add_client_error("transact_write_items", code)

    with pytest.raises(RefusedError, match=f"^{code}: "):
        ledger.commit(TRANSACTION)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ReadTimeoutError(endpoint_url="x"), RetryableError),
        (ConnectTimeoutError(endpoint_url="x"), RetryableError),
        (NoCredentialsError(), RefusedError),
    ],
)
def test_no_answer_is_retryable_and_no_credentials_are_not(
    error: Exception, expected: type[Exception], client: Any, ledger: DynamoDBLedger
) -> None:
    def fail(**_: Any) -> None:
        raise error

    client.meta.events.register("before-send.dynamodb.*", fail)

    with pytest.raises(expected, match=type(error).__name__):
        ledger.commit(TRANSACTION)


def test_a_client_leaves_retrying_to_us_and_is_not_slower_than_the_margin() -> None:
    config = aws.client("dynamodb", connections=1).meta.config

    assert config.retries["total_max_attempts"] == 1
    assert config.connect_timeout + config.read_timeout < 5


def test_the_largest_transaction_is_far_below_four_megabytes(ledger: DynamoDBLedger, client: Any) -> None:
    sizes: list[int] = []

    def measure(request: Any, **_: Any) -> None:
        sizes.append(len(request.body))
        raise ReadTimeoutError(endpoint_url="x")

    client.meta.events.register("before-send.dynamodb.*", measure)
    widest = Decimal("-" + "9" * 38 + "E+88")
    names = [chr(ord("a") + i % 26) * (2048 - i) for i in range(50)]
    entries = [Put("9" * 38 + "0" * 88, Entry("l" * 23 + "#" + "0" * 40, name, widest), None) for name in names]

    with pytest.raises(RetryableError):
        ledger.commit(Transaction(tuple(entries), tuple(Add(name, widest, 1) for name in names)))

    assert 200_000 < sizes[0] < 1_000_000


@pytest.mark.parametrize("read", [[], [{"RecordID": {"N": "2"}, "Version": {"S": "v"}}]])
def test_keys_left_unprocessed_are_read_again(
    read: list[dict[str, Any]], ledger: DynamoDBLedger, stubber: Stubber
) -> None:
    keys = {"ledger": {"Keys": [{"RecordID": {"N": "1"}}, {"RecordID": {"N": "2"}}], "ConsistentRead": True}}
    left = {"ledger": {"Keys": [{"RecordID": {"N": "1"}}], "ConsistentRead": True}}
    stubber.add_response(
        "batch_get_item", {"Responses": {"ledger": read}, "UnprocessedKeys": left}, {"RequestItems": keys}
    )

    with pytest.raises(RetryableError, match=r"^DynamoDB left keys unprocessed$"):
        ledger.read(["1", "2"])


def test_a_read_that_is_refused_is_sorted_as_any_call(ledger: DynamoDBLedger, stubber: Stubber) -> None:
    stubber.add_client_error("batch_get_item", "AccessDeniedException")

    with pytest.raises(RefusedError, match="AccessDeniedException"):
        ledger.read(["1"])


def test_an_entry_is_found_however_dynamodb_spells_its_key(ledger: DynamoDBLedger, stubber: Stubber) -> None:
    item = {"RecordID": {"N": "1.2E+3"}, "Version": {"S": "v"}, "ExpiresAt": {"N": "1"}}
    stubber.add_response("batch_get_item", {"Responses": {"ledger": [item]}, "UnprocessedKeys": {}})

    assert ledger.read(["1200"]) == {"1200": Entry("v", None, Decimal(0))}


ENTRY = {"RecordID": {"N": "1"}, "Version": {"S": "v"}, "Username": {"S": "ann"}, "Score": {"N": "1"}}


@pytest.mark.parametrize(
    "damage",
    [
        {"Version": None},
        {"Version": {"N": "1"}},
        {"Username": None},
        {"Username": {"N": "1"}},
        {"Username": {"S": ""}},
        {"Score": None},
        {"Score": {"S": "1"}},
        {"Score": {"B": b"1"}},
        {"Score": {"N": "many"}},
    ],
)
def test_an_item_that_is_no_entry_is_damaged(damage: dict[str, Any]) -> None:
    item = {name: value for name, value in (ENTRY | damage).items() if value is not None}

    assert parse_entry(item) is DAMAGED
