"""Repairs of event source mappings of streams. The engine runs them."""

import json
from typing import Any

from localcloud.emulator.patching import Answer, repair, replace
from localcloud.emulator.rights import ROLE_RIGHTS, missing_right, rights_of_roles

KEPT_SETTINGS = ("TumblingWindowInSeconds", "StartingPositionTimestamp", "MetricsConfig")


@repair(
    replaces=(
        "lambda_svc._poll_kinesis",
        "lambda_svc._poll_dynamodb_streams",
    ),
    aws="Lambda polls each stream once for a mapping: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html",
)
def stop_stream_pollers(lambda_svc: Any) -> None:
    """Leave streams to localcloud.engine: read by two, every record would be delivered twice."""
    replace(lambda_svc, _poll_kinesis=lambda: False, _poll_dynamodb_streams=lambda: False)


@repair(
    replaces=(
        "lambda_svc._create_esm",
        "lambda_svc._update_esm",
    ),
    uses=(
        "lambda_svc._esms",
        "lambda_svc._esm_response",
    ),
    aws="keeps every setting, BatchSize 100 by default: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html",
)
def keep_stream_settings(lambda_svc: Any) -> None:
    """Keep the settings that ministack drops, and give a stream's mapping AWS's BatchSize (100, not 10)."""
    create, update = lambda_svc._create_esm, lambda_svc._update_esm

    def keeping(answer: Answer, settings: dict[str, Any]) -> Answer:
        status, headers, body = answer
        if status not in (200, 202):
            return answer
        mapping = lambda_svc._esms[json.loads(body)["UUID"]]
        mapping.update({name: settings[name] for name in KEPT_SETTINGS if name in settings})
        return status, headers, json.dumps(lambda_svc._esm_response(mapping)).encode()

    def create_mapping(data: dict[str, Any]) -> Answer:
        if ":sqs:" not in data.get("EventSourceArn", ""):
            data = {"BatchSize": 100, **data}
        return keeping(create(data), data)

    def update_mapping(uuid: str, data: dict[str, Any]) -> Answer:
        return keeping(update(uuid, data), data)

    replace(lambda_svc, _create_esm=create_mapping, _update_esm=update_mapping)


@repair(
    replaces=(
        "lambda_svc._create_esm",
        "lambda_svc._update_esm",
    ),
    uses=(
        *ROLE_RIGHTS,
        "lambda_svc._esms",
        "lambda_svc._invalid_parameter_value",
        "lambda_svc._resolve_existing_esm_function",
        "lambda_svc._get_func_record_for_qualifier",
    ),
    aws="refuses such a mapping, in these words: aws-amplify/amplify-cli#12965, aws/aws-cdk#17312",
)
def refuse_mappings_that_a_role_cannot_serve(lambda_svc: Any, iam_evaluator: Any, iam: Any) -> None:
    """Refuse a stream's mapping whose function's role may not read the stream, or send to the destination.

    So does AWS, in these words (aws-amplify/amplify-cli#12965, aws/aws-cdk#17312); ministack takes any mapping.
    """
    create, update = lambda_svc._create_esm, lambda_svc._update_esm
    may = rights_of_roles(iam_evaluator, iam)

    def refusal(mapping: dict[str, Any]) -> Answer | None:
        """The answer to a mapping that cannot work; None for one that can, and for what ministack itself refuses."""
        source = str(mapping.get("EventSourceArn", ""))
        function, qualifier, unknown = lambda_svc._resolve_existing_esm_function(mapping.get("FunctionName", ""))
        if unknown or source.split(":")[2:3] not in (["kinesis"], ["dynamodb"]):
            return None
        _, config = lambda_svc._get_func_record_for_qualifier(function, qualifier)
        destination = (mapping.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination", "")
        lacking = missing_right(may, config["Role"], source, destination)
        return lambda_svc._invalid_parameter_value(lacking) if lacking else None

    def create_mapping(data: dict[str, Any]) -> Answer:
        return refusal(data) or create(data)

    def update_mapping(uuid: str, data: dict[str, Any]) -> Answer:
        before = lambda_svc._esms.get(uuid)
        if before is None:
            return update(uuid, data)
        return refusal({**before, "FunctionName": before["FunctionArn"], **data}) or update(uuid, data)

    replace(lambda_svc, _create_esm=create_mapping, _update_esm=update_mapping)
