"""The ledger in DynamoDB: the only module of this function that talks to it."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from handlers.aggregate_scores_by_user.ledger import (
    Add,
    Entry,
    OutdatedError,
    Put,
    Transaction,
    UncountableError,
)
from handlers.shared import aws, decimals
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.lambda_types import AttributeValue

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef


class DynamoDBLedger:
    """A Ledger in two tables. `expires_at` is when a tombstone written now may go, in epoch seconds."""

    def __init__(
        self, client: "DynamoDBClient", *, ledger_table: str, totals_table: str, expires_at: Callable[[], int]
    ) -> None:
        self._client = client
        self._ledger_table = ledger_table
        self._totals_table = totals_table
        self._expires_at = expires_at

    def commit(self, transaction: Transaction) -> None:
        """See Ledger. No answer to a call, as after a timeout, is a RetryableError."""
        items = [*map(self._put, transaction.puts), *map(self._add, transaction.adds)]
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            raise _why_cancelled(transaction, error.response["CancellationReasons"]) from error
        except aws.AWS_ERRORS as error:
            raise aws.sort(error) from error

    def _put(self, put: Put) -> "TransactWriteItemTypeDef":
        item: dict[str, AttributeValue] = {
            "RecordID": {"N": put.record_id},
            "Version": {"S": put.entry.version},
        }
        if put.entry.username is None:
            item["ExpiresAt"] = {"N": str(self._expires_at())}
        else:
            item["Username"] = {"S": put.entry.username}
            item["Score"] = {"N": decimals.spell(put.entry.score)}
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
                    ":score": {"N": decimals.spell(add.score)},
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
    """The entry that an item of the ledger's table holds."""
    if not item:
        return None
    score = item["Score"]["N"] if "Score" in item else "0"
    return Entry(item["Version"]["S"], item.get("Username", {}).get("S"), Decimal(score))
