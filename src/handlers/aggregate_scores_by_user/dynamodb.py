"""The ledger in DynamoDB: the only module of this function that talks to it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handlers.aggregate_scores_by_user.ledger import (
    DAMAGED,
    Add,
    Entry,
    OutdatedError,
    Put,
    Transaction,
    UncountableError,
)
from handlers.shared import aws, decimals, usernames
from handlers.shared.errors import PoisonRecordError, RefusedError, RetryableError
from handlers.shared.lambda_types import AttributeValue

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef


class DynamoDBLedger:
    """A Ledger in two tables. `expires_at` returns when a tombstone written now may go, in epoch seconds."""

    def __init__(
        self, client: "DynamoDBClient", *, ledger_table: str, totals_table: str, expires_at: Callable[[], int]
    ) -> None:
        self._client = client
        self._ledger_table = ledger_table
        self._totals_table = totals_table
        self._expires_at = expires_at

    def read(self, record_ids: Sequence[str]) -> Mapping[str, Entry | None]:
        """See Ledger. Keys that DynamoDB leaves unprocessed, as when it throttles, are a RetryableError."""
        request: dict[str, Any] = {
            self._ledger_table: {
                "Keys": [{"RecordID": {"N": record_id}} for record_id in record_ids],
                "ConsistentRead": True,
            }
        }
        try:
            response = self._client.batch_get_item(RequestItems=request)
        except aws.AWS_ERRORS as error:
            raise aws.classify(error) from error
        if response.get("UnprocessedKeys"):
            raise RetryableError("DynamoDB left keys unprocessed")
        entries: dict[str, Entry | None] = dict.fromkeys(record_ids)
        items: list[dict[str, Any]] = response["Responses"][self._ledger_table]
        for item in items:
            entries[decimals.canonical(decimals.parse(item["RecordID"]["N"]))] = parse_entry(item)
        return entries

    def commit(self, transaction: Transaction) -> None:
        """See Ledger. No answer to a call, as after a timeout, is a RetryableError."""
        items = [*map(self._put, transaction.puts), *map(self._add, transaction.adds)]
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            raise _why_cancelled(transaction, error.response["CancellationReasons"]) from error
        except aws.AWS_ERRORS as error:
            raise aws.classify(error) from error

    def _put(self, put: Put) -> "TransactWriteItemTypeDef":
        item: dict[str, AttributeValue] = {
            "RecordID": {"N": put.record_id},
            "Version": {"S": put.entry.version},
        }
        if put.entry.username is None:
            item["ExpiresAt"] = {"N": str(self._expires_at())}
        else:
            item["Username"] = {"S": put.entry.username}
            item["Score"] = {"N": decimals.canonical(put.entry.score)}
        write: PutTypeDef = {
            "TableName": self._ledger_table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(RecordID)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if put.replaces is not None:
            write["ConditionExpression"] = "Version = :replaced"
            write["ExpressionAttributeValues"] = {":replaced": {"S": put.replaces}}
        return {"Put": write}

    def _add(self, add: Add) -> "TransactWriteItemTypeDef":
        return {
            "Update": {
                "TableName": self._totals_table,
                "Key": {"Username": {"S": add.username}},
                "UpdateExpression": "ADD Score :score, RecordCount :records",
                "ExpressionAttributeValues": {
                    ":score": {"N": decimals.canonical(add.score)},
                    ":records": {"N": str(add.records)},
                },
            }
        }


def _why_cancelled(
    transaction: Transaction, reasons: Sequence[Mapping[str, Any]]
) -> OutdatedError | UncountableError | RetryableError | RefusedError:
    """The most telling of the reasons, of which there is one for each item, in the order of the items.

    A failed condition comes first, as the rest may not concern what is planned once the entry is known.
    """
    puts, adds = reasons[: len(transaction.puts)], reasons[len(transaction.puts) :]
    found = {
        put.record_id: parse_entry(reason.get("Item"))
        for put, reason in zip(transaction.puts, puts, strict=True)
        if reason["Code"] == "ConditionalCheckFailed"
    }
    if found:
        return OutdatedError(found)
    invalid = [reason for reason in reasons if reason["Code"] == "ValidationError"]
    if invalid:
        return UncountableError(
            invalid[0].get("Message", "ValidationError"),
            record_ids=[put.record_id for put, r in zip(transaction.puts, puts, strict=True) if r in invalid],
            usernames=[add.username for add, r in zip(transaction.adds, adds, strict=True) if r in invalid],
        )
    codes = {reason["Code"] for reason in reasons} - {"None"}
    error = RetryableError if all(map(aws.is_retryable, codes)) else RefusedError
    return error(f"TransactionCanceledException: {', '.join(sorted(codes))}")


def parse_entry(item: Mapping[str, AttributeValue] | None) -> Entry | None:
    """Return the entry that an item of the ledger's table holds: DAMAGED where it holds none, None for no item."""
    if not item:
        return None
    try:
        version, is_tombstone = item["Version"]["S"], "Username" not in item and "Score" not in item
        if is_tombstone:
            return Entry(version, None, decimals.ZERO)
        return Entry(version, usernames.check(item["Username"]["S"]), decimals.parse(item["Score"]["N"]))
    except (LookupError, ValueError, PoisonRecordError):
        return DAMAGED
