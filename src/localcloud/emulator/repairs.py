"""All repairs of ministack. Of two that replace the same function, the later one wraps the earlier one."""

from localcloud.emulator import cloudwatch, iam, kinesis, lambda_functions, lambda_mappings, logs

REPAIRS = (
    lambda_mappings.stop_stream_pollers,
    lambda_mappings.keep_stream_settings,
    lambda_mappings.refuse_mappings_that_a_role_cannot_serve,
    lambda_mappings.answer_as_lambda,
    lambda_functions.lose_logs_that_a_role_may_not_write,
    logs.change_keys_of_log_groups,
    kinesis.keep_tags_of_new_streams,
    kinesis.keep_closed_shards,
    kinesis.end_subscriptions_of_closed_shards,
    kinesis.expire_from_the_front,
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
