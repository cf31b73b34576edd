"""Lines of the parity report: what a line is, and those about the control plane, payloads, logs and tables.

Those about batches are in `scripts.develop.parity`, which writes the report.
"""

from dataclasses import dataclass

from tests import sources
from tests.sources import Documented, Ours, Recorded, Sources, localstack, localstack_api

SAME, CHOSEN, DIFFERS = "as in AWS", "our choice", "differs"

BATCHES, CONTROL_PLANE, PAYLOADS, TABLES = "Batches", "Control plane", "Payloads, logs and metrics", "Tables"

_CONTROL = "tests/localcloud/test_control_plane.py::"
_MAPPINGS = "tests/localcloud/test_mappings.py::"
_FUNCTIONS = "tests/localcloud/test_functions.py::"
_DYNAMODB = "tests/localcloud/test_dynamodb.py::"
_LOG = "tests/unit/localcloud/emulator/test_invocation_log.py::"

_GUIDE = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
_EMBEDDED = Documented(
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"
)
_IN_USE = (
    Documented("https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html"),
    Ours("the words, as programs of others match them"),
)


@dataclass(frozen=True, slots=True)
class Semantic:
    """Something that AWS does, whether the local cloud does it, what shows it, how we know, and a note."""

    what: str
    status: str
    shown_by: str
    sources: Sources
    note: str = ""
    area: str = BATCHES


def _about(area: str, *lines: tuple[str, str, str, Sources, str]) -> list[Semantic]:
    return [Semantic(*line, area) for line in lines]


LINES = [
    *_about(
        CONTROL_PLANE,
        (
            "a stream that does not exist: 400 InvalidParameterValueException, with Type User",
            SAME,
            f"{_CONTROL}test_a_stream_that_does_not_exist_is_refused",
            (
                localstack("test_esm_with_not_existing_kinesis_stream"),
                localstack("test_esm_with_not_existing_dynamodb_stream", stream="dynamodbstreams"),
            ),
            "",
        ),
        (
            "the same stream and function again: 409 ResourceConflictException, with the mapping's UUID",
            SAME,
            f"{_CONTROL}test_the_same_stream_and_function_again_is_a_conflict",
            (
                localstack("test_duplicate_event_source_mappings"),
                Ours("a function by another qualifier is another function"),
            ),
            "",
        ),
        (
            "invalid filter patterns, in new and changed mappings: 400",
            SAME,
            f"{_CONTROL}test_an_invalid_filter_is_refused_when_a_mapping_is_made_and_changed",
            (
                localstack("test_dynamodb_invalid_event_filter", stream="dynamodbstreams"),
                Ours("rules that are not in Lambda's table, and patterns without a field, are invalid"),
            ),
            "",
        ),
        (
            "no event source, an unknown function, no starting position or an unknown one: 400",
            SAME,
            f"{_CONTROL}test_a_mapping_that_makes_no_sense_is_refused",
            (
                localstack_api("test_event_source_mapping_exceptions"),
                localstack_api("test_create_event_source_validation_kinesis"),
            ),
            "",
        ),
        (
            "AT_TIMESTAMP for a table's stream: 400",
            SAME,
            f"{_CONTROL}test_at_timestamp_is_not_for_tables",
            localstack_api("test_create_event_source_validation"),
            "",
        ),
        (
            "numbers out of range, in new and changed mappings: 400 ValidationException",
            SAME,
            f"{_CONTROL}test_a_number_out_of_range_is_refused",
            (sources.CREATE_MAPPING, localstack_api("test_create_event_source_validation")),
            "The ranges are documented, the form of the message is recorded.",
        ),
        (
            "MaximumRecordAgeInSeconds from 0 to 59: 400",
            SAME,
            f"{_CONTROL}test_a_record_age_below_a_minute_is_refused",
            Recorded(
                "ewbankkit, in terraform-provider-aws 16113",
                "https://github.com/hashicorp/terraform-provider-aws/pull/16113",
            ),
            "",
        ),
        (
            "an unknown mapping: 404 ResourceNotFoundException",
            SAME,
            f"{_CONTROL}test_an_unknown_mapping_is_not_found",
            localstack_api("test_event_source_mapping_exceptions"),
            "",
        ),
        (
            "replies have every setting, with its default",
            SAME,
            f"{_CONTROL}test_the_reply_has_the_defaults",
            (
                localstack("test_create_kinesis_event_source_mapping"),
                localstack_api("test_create_event_filter_criteria_validation"),
            ),
            "",
        ),
        (
            "State: Creating, Updating, Enabling, Disabling, Deleting; 202; StateTransitionReason User action",
            SAME,
            f"{_CONTROL}test_a_mapping_goes_through_its_states",
            (
                sources.MAPPING_REPLY,
                localstack("test_disabled_dynamodb_event_source_mapping", stream="dynamodbstreams"),
                localstack_api("test_event_source_mapping_lifecycle"),
                Ours("a transition takes half a second"),
            ),
            "",
        ),
        (
            "a mapping in transition is neither changed nor deleted: 400 ResourceInUseException",
            SAME,
            f"{_CONTROL}test_a_mapping_goes_through_its_states",
            _IN_USE,
            "",
        ),
        (
            "State and LastProcessingResult",
            SAME,
            f"{_CONTROL}test_a_mapping_says_what_came_of_its_last_invocation",
            (
                sources.MAPPING_REPLY,
                sources.KINESIS,
                localstack("test_kinesis_empty_provided"),
                Ours("the words behind PROBLEM when the stream cannot be read, and OK for a partial batch response"),
            ),
            "",
        ),
        (
            "mappings in other accounts and regions",
            DIFFERS,
            f"{_CONTROL}test_a_mapping_that_the_engine_would_never_see_is_refused",
            Ours("they are refused"),
            "No public API lists the accounts and regions that have mappings, so the engine works in one.",
        ),
    ),
    *_about(
        PAYLOADS,
        (
            "Kinesis records as a function sees them",
            SAME,
            f"{_MAPPINGS}test_a_function_sees_kinesis_records_as_in_aws",
            (sources.KINESIS, localstack("test_create_kinesis_event_source_mapping")),
            "",
        ),
        (
            "DynamoDB records as a function sees them",
            SAME,
            f"{_MAPPINGS}test_a_function_sees_changes_of_a_table_as_in_aws",
            (
                sources.DYNAMODB,
                Documented(
                    "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html"
                ),
                localstack("test_dynamodb_event_source_mapping", stream="dynamodbstreams"),
            ),
            "Creation times are whole seconds, as documented. One shard, since the emulator splits none.",
        ),
        (
            "SizeBytes: keys and images, as DynamoDB counts them",
            SAME,
            "tests/unit/localcloud/emulator/test_dynamodb.py::test_the_size_of_a_change_is_that_of_its_keys_and_images",
            (sources.DYNAMODB, localstack("test_dynamodb_event_filter", stream="dynamodbstreams")),
            "",
        ),
        (
            "START, END and REPORT lines, in LogResult too",
            SAME,
            f"{_FUNCTIONS}test_the_tail_of_an_invocation_ends_with_its_report",
            Documented(f"{sources.LAMBDA}monitoring-cloudwatchlogs-view.html"),
            "The RequestId in the log is not that of the reply.",
        ),
        (
            "JSON log format: platform.start and platform.report, by SystemLogLevel",
            SAME,
            f"{_LOG}test_json_has_platform_events_around_what_the_function_logs",
            (
                Documented(f"{sources.LAMBDA}telemetry-schema-reference.html"),
                Documented(f"{sources.LAMBDA}monitoring-cloudwatchlogs-log-level.html"),
                Ours("platform.runtimeDone and other events of level DEBUG are left out"),
            ),
            "",
        ),
        (
            "Max Memory Used",
            SAME,
            f"{_FUNCTIONS}test_memory_is_the_real_peak_of_the_functions_process",
            Documented(f"{sources.LAMBDA}monitoring-cloudwatchlogs-view.html"),
            "The peak of the function's process, on this machine's Python; Node's is not known.",
        ),
        (
            "every line of an invocation is in its log",
            SAME,
            f"{_FUNCTIONS}test_no_line_of_an_invocation_is_late_or_lost",
            (sources.LOGS, Ours("each invocation has a log stream of its own")),
            "",
        ),
        (
            "metrics in log lines become CloudWatch metrics, and set off alarms",
            SAME,
            f"{_FUNCTIONS}test_a_metric_in_a_log_line_sets_off_an_alarm",
            _EMBEDDED,
            "",
        ),
        (
            "UnsubscribeURL names the subscription",
            SAME,
            f"{_DYNAMODB}test_an_unsubscribe_url_names_its_subscription",
            Documented("https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html"),
            "",
        ),
    ),
    *_about(
        TABLES,
        (
            "a table without a stream describes none; NumberOfDecreasesToday and WarmThroughput",
            SAME,
            f"{_DYNAMODB}test_a_table_without_a_stream_describes_none",
            (
                Documented("https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html"),
                localstack_api("test_event_source_mapping_lifecycle"),
            ),
            "",
        ),
        (
            "expired items are REMOVE records of the service dynamodb.amazonaws.com",
            SAME,
            f"{_DYNAMODB}test_an_expired_item_is_removed_by_the_service_within_a_minute",
            (Documented(f"{_GUIDE}time-to-live-ttl-streams.html"), Ours("within seconds; AWS says a few days")),
            "",
        ),
        (
            "sums have up to 38 digits, and are refused beyond",
            SAME,
            f"{_DYNAMODB}test_sums_have_38_digits_and_are_never_rounded",
            (
                Documented(f"{_GUIDE}HowItWorks.NamingRulesDataTypes.html"),
                Ours("the error for 39 digits is that for a number that is too large"),
            ),
            "",
        ),
        (
            "transactions that meet on an item: TransactionCanceledException, with TransactionConflict",
            SAME,
            f"{_DYNAMODB}test_transactions_that_meet_on_an_item_conflict_and_none_is_half_done",
            (Documented(f"{_GUIDE}transaction-apis.html"), Ours("a transaction holds its items for 5 ms")),
            "",
        ),
        (
            "a write that meets a transaction: TransactionConflictException",
            SAME,
            f"{_DYNAMODB}test_a_write_that_meets_a_transaction_is_refused",
            Documented(f"{_GUIDE}transaction-apis.html"),
            "PutItem, UpdateItem and DeleteItem; BatchWriteItem and reads never conflict here.",
        ),
    ),
]
