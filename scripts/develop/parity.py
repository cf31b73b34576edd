"""Write docs/local-cloud-parity.md: how the local cloud compares with AWS.

Every line says how we know what AWS does: documented, recorded, or ours (tests/sources.py). To add a line, add a
Semantic: what AWS does, the status here, the test that shows it as `file::test`, its sources, a note.

`make docs` writes the report, and `make check` compares. Both fail while a line has no label; a test fails while a line
names a test that does not exist.
"""

from pathlib import Path

from scripts.cli import UserError
from scripts.develop.semantics import BATCHES, CHOSEN, CONTROL_PLANE, DIFFERS, LINES, PAYLOADS, SAME, TABLES, Semantic
from tests import sources
from tests.simulation.cases import CASES
from tests.sources import Ours, Recorded, Sources, localstack

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs/local-cloud-parity.md"

CASE = "tests/simulation/test_documented_cases.py::test_the_engine_does_what_aws_does"
ENGINE = "tests/simulation/test_engine.py::"
HISTORY = "tests/simulation/test_random_histories.py::"
CLOUD = "tests/localcloud/test_mappings.py::"
INVOCATION_RECORD = "tests/unit/localcloud/test_invocation_record.py::"
ACCEPTANCE = "tests/acceptance/test_cases.py::"
RIGHTS = "tests/integration/test_least_privilege.py::"
WINDOWS = "tests/simulation/test_windows.py::"
ANY = f"{HISTORY}test_every_record_is_processed_or_discarded_in_order_whatever_happens"


SEMANTICS = [
    Semantic(
        "BatchSize 1..10,000, default 100",
        SAME,
        CASE,
        sources.CREATE_MAPPING,
    ),
    Semantic(
        "batching window; it begins when the previous invocation completed",
        SAME,
        CASE,
        sources.MAPPINGS,
    ),
    Semantic(
        "payload of at most 6 MB",
        SAME,
        f"{ENGINE}test_a_payload_stays_within_6_mb",
        sources.MAPPINGS,
    ),
    Semantic(
        "batches of a shard in order, one in flight at a time (or ParallelizationFactor)",
        SAME,
        ANY,
        (sources.KINESIS, sources.DYNAMODB),
    ),
    Semantic(
        "ParallelizationFactor 1..10, order per key, lowest contiguous checkpoint",
        SAME,
        ANY,
        (sources.KINESIS, Ours("which keys share a concurrent batch, and what the checkpoint is meanwhile")),
        "Which keys share a concurrent batch is undocumented; here it is CRC-32 of the key.",
    ),
    Semantic(
        "polling: Kinesis 1/s, DynamoDB 4/s",
        DIFFERS,
        f"{ENGINE}test_a_shard_without_records_is_read_as_often_as_in_aws_and_one_that_had_some_more_often",
        (sources.KINESIS, sources.DYNAMODB),
        "A shard that had records in the last 10 s is polled every 0.17 s, since a person waits.",
    ),
    Semantic(
        "StartingPosition TRIM_HORIZON and AT_TIMESTAMP",
        SAME,
        f"{ENGINE}test_at_timestamp_begins_there",
        sources.CREATE_MAPPING,
    ),
    Semantic(
        "StartingPosition LATEST",
        DIFFERS,
        f"{ENGINE}test_latest_begins_when_the_mapping_was_made_however_late_the_engine_comes",
        (sources.KINESIS, sources.DYNAMODB),
        "Begins in the second when the mapping was made: never misses a later record, as AWS may; an "
        "earlier record of that second is delivered.",
    ),
    Semantic(
        "split and merge: parents before children",
        SAME,
        ANY,
        sources.RESHARDING,
    ),
    Semantic(
        "closed Kinesis shards stay until their records expire",
        SAME,
        f"{CLOUD}test_a_split_and_a_merge_lose_nothing_and_keep_order",
        sources.RESHARDING,
        "Repaired in the emulator. DynamoDB streams have one shard there, which never splits.",
    ),
    Semantic(
        "UpdateShardCount",
        SAME,
        f"{CLOUD}test_a_changed_shard_count_keeps_the_parents_with_their_data",
        sources.UPDATE_SHARD_COUNT,
    ),
    Semantic(
        "FilterCriteria; filtered records count as processed",
        SAME,
        f"{ENGINE}test_what_is_filtered_out_counts_as_processed",
        sources.FILTERING,
        "Rules that are not in Lambda's table are refused: our choice.",
    ),
    Semantic(
        "throttles and service errors consume no retries",
        SAME,
        CASE,
        sources.FAILURES,
    ),
    Semantic(
        "MaximumRetryAttempts: N retries are N+1 invocations",
        SAME,
        CASE,
        (*sources.FAILURES, localstack("test_kinesis_event_source_mapping_with_on_failure_destination_config")),
    ),
    Semantic(
        "MaximumRecordAgeInSeconds",
        SAME,
        CASE,
        (*sources.FAILURES, localstack("test_kinesis_maximum_record_age_exceeded_discard_records")),
        "Leading records that are too old go; the rest stay.",
    ),
    Semantic(
        "backoff between retries",
        CHOSEN,
        CASE,
        (Ours("0.4 s, doubling, at most 60 s"), localstack("test_kinesis_maximum_record_age_exceeded")),
        "AWS documents none; 0.4 s, doubling, at most 60 s, fits the one trace: 8 invocations in 60 s. "
        "Progress and splitting do not wait.",
    ),
    Semantic(
        "retried until the record expires",
        CHOSEN,
        f"{ENGINE}test_records_that_expire_are_discarded",
        (sources.KINESIS_FAILURES, Ours("an invocation record is sent then, too")),
        "AWS does not say whether the destination is told then; here it is, as RecordAgeExceeded.",
    ),
    Semantic(
        "ReportBatchItemFailures, every shape of response",
        SAME,
        CASE,
        (
            *sources.PARTIAL_RESPONSES,
            localstack("test_kinesis_report_batch_item_failures"),
            Ours("any other response fails the batch"),
        ),
        "A response that AWS neither documents nor was seen to take fails the batch: our choice.",
    ),
    Semantic(
        "BisectBatchOnFunctionError, alone and with reported failures",
        SAME,
        CASE,
        (*sources.FAILURES, *sources.PARTIAL_RESPONSES),
    ),
    Semantic(
        "progress restarts the retry count",
        SAME,
        CASE,
        localstack("test_kinesis_report_batch_item_failures"),
    ),
    Semantic(
        "OnFailure to S3, with the event as an escaped JSON string",
        SAME,
        f"{ACCEPTANCE}test_a_discarded_batch_is_written_to_s3_in_its_documented_shape",
        (sources.KINESIS_FAILURES, localstack("test_kinesis_event_source_mapping_with_s3_on_failure_destination")),
    ),
    Semantic(
        "OnFailure to SQS and SNS, metadata only",
        SAME,
        f"{CLOUD}test_metadata_of_a_discarded_batch_goes_to_a_queue_or_a_topic",
        (*sources.FAILURES, localstack("test_kinesis_event_source_mapping_with_on_failure_destination_config")),
    ),
    Semantic(
        "invocation records: shape, and keys in S3",
        SAME,
        f"{INVOCATION_RECORD}test_the_object_of_a_bucket_has_the_shape_of_aws",
        (*sources.FAILURES, localstack("test_kinesis_event_source_mapping_with_s3_on_failure_destination")),
    ),
    Semantic(
        "a destination that refuses an invocation record",
        CHOSEN,
        f"{ENGINE}test_an_invocation_record_that_is_refused_is_sent_until_it_is_taken",
        (sources.METRICS, Ours("the shard waits for the destination")),
        "AWS counts DestinationDeliveryFailures and the events as dropped, and does not say that it tries again; here "
        "the shard waits until it is taken or its records would have expired.",
    ),
    Semantic(
        "without a destination, a discarded batch is dropped",
        SAME,
        f"{ENGINE}test_without_a_destination_a_discarded_batch_is_reported_as_lost",
        sources.FAILURES,
        "And logged, which AWS does not.",
    ),
    Semantic(
        "at least once, through crashes of the service",
        SAME,
        ANY,
        sources.MAPPINGS,
    ),
    Semantic(
        "retry counts through crashes of the service",
        CHOSEN,
        f"{ENGINE}test_the_retry_count_of_a_batch_survives_a_restart",
        Ours("AWS does not say what its own restarts do to the count"),
        "AWS does not say what a change of a mapping does to them; here they go on, unless filters, parallelism or the "
        "tumbling window change, or BatchSize falls below the batch: then batches are formed anew.",
    ),
    Semantic(
        "changes of a mapping, a minute or two later",
        DIFFERS,
        f"{CLOUD}test_a_changed_mapping_behaves_anew_without_a_restart",
        (sources.KINESIS, sources.DYNAMODB),
        "Within about a second, once the invocation in flight has ended.",
    ),
    Semantic(
        "a disabled mapping goes on where it was",
        SAME,
        f"{CLOUD}test_a_disabled_mapping_rests_and_goes_on_where_it_was",
        (sources.CREATE_MAPPING, localstack("test_disable_kinesis_event_source_mapping")),
    ),
    Semantic(
        "a mapping that the function's role cannot serve is refused",
        SAME,
        f"{CLOUD}test_a_mapping_that_the_functions_role_cannot_serve_is_neither_made_nor_changed",
        (
            Recorded(
                "the error of CreateEventSourceMapping in alertlogic/cwe-collector issue 2",
                "https://github.com/alertlogic/cwe-collector/issues/2",
            ),
            Ours("a change is refused, too"),
        ),
        "Repaired in the emulator. That a change is refused too is our choice, where AWS is silent. Rights to KMS keys "
        "are not asked for.",
    ),
    Semantic(
        "what a function logs is written with its role, or lost",
        SAME,
        f"{CLOUD}test_without_the_right_to_log_a_function_runs_and_its_log_is_lost",
        sources.LOGS,
        "Repaired in the emulator.",
    ),
    Semantic(
        "streams are read with the function's role",
        SAME,
        f"{CLOUD}test_without_the_right_to_read_nothing_arrives_and_the_problem_is_told",
        (sources.KINESIS, sources.DYNAMODB),
    ),
    Semantic(
        "destinations are written to with the function's role",
        SAME,
        f"{CLOUD}test_without_the_right_to_write_to_the_destination_the_invocation_record_waits",
        sources.FAILURES,
    ),
    Semantic(
        "what a function calls, it calls with its role",
        SAME,
        f"{RIGHTS}test_without_any_one_action_of_its_role_a_function_fails_and_says_why_until_it_is_back",
        sources.EXECUTION_ROLE,
    ),
    Semantic(
        "metric IteratorAge",
        SAME,
        f"{CLOUD}test_metrics_are_put_as_aws_puts_them",
        sources.METRICS,
    ),
    Semantic(
        "MetricsConfig EventCount",
        SAME,
        f"{ENGINE}test_events_are_counted_where_the_mapping_asks_for_it",
        sources.METRICS,
    ),
    Semantic(
        "tumbling windows: state, final and early invocations, the end of a shard, partial responses",
        SAME,
        f"{WINDOWS}test_a_tumbling_window_carries_its_state_to_its_final_invocation",
        (sources.WINDOWS, Ours("final invocations and when a window closes")),
        "A final invocation has no records. A window closes when all records that arrived up to a second after its end "
        "are read; with enhanced fan-out that may take 10 seconds longer. Both are our choices.",
    ),
    Semantic(
        "enhanced fan-out, stream ARNs of consumers",
        SAME,
        f"{CLOUD}test_a_consumer_of_enhanced_fan_out_gets_all_records_through_a_split",
        (sources.KINESIS, Ours("eventSourceARN is the consumer's")),
        "That eventSourceARN is the consumer's is our choice.",
    ),
    *LINES,
]


def report() -> str:
    """Return the report, in Markdown. Raises UserError, which names them, for lines without a label."""
    labelled = [(each.what, each.sources) for each in SEMANTICS] + [(each.name, each.sources) for each in CASES]
    problems = [problem for line, its_sources in labelled for problem in sources.problems(line, its_sources)]
    if problems:
        raise UserError("The parity report has lines without a label (tests/sources.py):\n  " + "\n  ".join(problems))
    lines = [
        "# The local cloud, compared with AWS",
        "",
        "Written by `make docs`, from parity.py and semantics.py in scripts/develop, and the simulation's cases.",
        "",
        "How we know what AWS does: **documented** by AWS, on the page that is linked; **recorded** from AWS by",
        "somebody, who is named; or **ours**, a choice where neither is known. This project has observed none of it on",
        "AWS: `make acceptance STAGE=dev` does that, and reports on each line.",
        "",
    ]
    for area in (BATCHES, CONTROL_PLANE, PAYLOADS, TABLES):
        lines += [f"## {area}", "", "| What AWS does | How we know | Here | Shown by |", "| --- | --- | --- | --- |"]
        for semantic in SEMANTICS:
            if semantic.area == area:
                lines.append(_line(semantic))
        lines.append("")
    lines += [
        "## Cases",
        "",
        "Each runs for Kinesis and for DynamoDB Streams, in tests/simulation/test_documented_cases.py; those",
        "that need no injected fault and no long wait also run on the local cloud, for Kinesis, in",
        "tests/acceptance/test_cases.py, and on an AWS account by `make acceptance STAGE=dev`.",
        "",
        "| Case | How we know |",
        "| --- | --- |",
        *(f"| {case.name} | {_label(case.sources)} |" for case in CASES),
        "",
    ]
    return "\n".join(lines)


def _line(semantic: Semantic) -> str:
    here = f"{semantic.status}. {semantic.note}" if semantic.note else semantic.status
    file, test = semantic.shown_by.split("::")
    return f"| {semantic.what} | {_label(semantic.sources)} | {here} | [{test}](../{file}) |"


def _label(its_sources: Sources) -> str:
    return "; ".join(map(str, sources.each(its_sources)))
