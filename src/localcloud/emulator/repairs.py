"""All repairs of ministack. Of two that replace the same function, the later one wraps the earlier one."""

from localcloud.emulator import cloudwatch, dynamodb, iam, kinesis, lambda_functions, lambda_mappings, logs, sns

REPAIRS = (
    lambda_mappings.stop_stream_pollers,
    lambda_mappings.keep_stream_settings,
    lambda_mappings.refuse_mappings_that_a_role_cannot_serve,
    lambda_mappings.answer_as_lambda,
    lambda_functions.read_each_log_to_its_end,
    lambda_functions.log_as_lambda,
    logs.change_keys_of_log_groups,
    logs.put_embedded_metrics,
    kinesis.keep_tags_of_new_streams,
    kinesis.keep_closed_shards,
    kinesis.end_subscriptions_of_closed_shards,
    kinesis.expire_from_the_front,
    dynamodb.describe_tables_as_dynamodb,
    dynamodb.add_all_digits,
    dynamodb.build_stream_records_as_dynamodb,
    dynamodb.stream_what_expires,
    dynamodb.let_transactions_conflict,
    sns.name_the_subscription_to_end,
    iam.authorise_by_arn,
    iam.name_lambdas_actions,
    iam.tell_conditions_of_roles_and_mappings,
    iam.authorise_roles_by_their_paths,
    iam.authorise_aliases_by_their_keys,
    iam.tell_claims_of_workflows,
    iam.take_loopback_for_tls,
    iam.take_the_account_for_its_services,
    cloudwatch.keep_alarms_whole,
    cloudwatch.evaluate_alarms_by_dimensions,
)
