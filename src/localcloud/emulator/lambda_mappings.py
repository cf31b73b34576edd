"""Repairs of event source mappings: the engine runs those of streams, and all are answered as Lambda answers."""

import json
import os
from pathlib import Path
from typing import Any

from localcloud.cloud import ACCOUNT, ENGINE_STATUS, REGION
from localcloud.emulator.mapping_settings import (
    RefusedError,
    already_mapped,
    answer,
    begin,
    check,
    in_use,
    not_found,
    service_of,
    settle,
)
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

    def keeping(reply: Answer, settings: dict[str, Any]) -> Answer:
        status, headers, body = reply
        if status not in (200, 202):
            return reply
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


@repair(
    replaces=(
        "lambda_svc._create_esm",
        "lambda_svc._get_esm",
        "lambda_svc._list_esms",
        "lambda_svc._update_esm",
        "lambda_svc._delete_esm",
        "lambda_svc._esm_response",
        "lambda_svc._validate_event_source_arn",
    ),
    uses=(
        "lambda_svc._esms",
        "lambda_svc._func_arn",
        "lambda_svc._resolve_existing_esm_function",
        "lambda_svc._release_esm_poll_state",
        "lambda_svc.error_response_json",
        "lambda_svc.json_response",
        "lambda_svc.get_account_id",
        "lambda_svc.get_region",
        "kinesis._streams",
        "kinesis._consumers",
        "dynamodb_streams._table_from_stream_arn",
        "dynamodb_streams._enabled_stream_info",
        "dynamodb.closed_stream",
    ),
    aws="refusals, answers and states, each with its source: localcloud.emulator.mapping_settings; "
    "https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html",
)
def answer_as_lambda(lambda_svc: Any, kinesis: Any, dynamodb: Any, dynamodb_streams: Any) -> None:
    """Refuse what Lambda refuses, in its words; answer with its defaults, states and last results.

    ministack takes a mapping of a stream that does not exist, a second mapping of the same stream and function, any
    filter and any number, but no consumer of enhanced fan-out. Its mappings are Enabled at once and say nothing of
    their last result.
    """
    create, respond, list_all = lambda_svc._create_esm, lambda_svc._esm_response, lambda_svc._list_esms
    get, update, validate = lambda_svc._get_esm, lambda_svc._update_esm, lambda_svc._validate_event_source_arn
    esms = lambda_svc._esms
    results = EngineResults(os.environ.pop(ENGINE_STATUS, ""))

    def refuse(refusal: RefusedError) -> Answer:
        fault = {} if refusal.code == "ValidationException" else {"Type": "User"}
        key = "Message" if refusal.code in ("ResourceNotFoundException", "ResourceInUseException") else "message"
        return lambda_svc.error_response_json(refusal.code, str(refusal), refusal.status, fault, message_key=key)

    def forget_deleted() -> None:
        for uuid, mapping in list(esms.items()):
            if settle(mapping) == "Deleted":
                esms.pop(uuid, None)

    def find(uuid: str, operation: str) -> dict[str, Any]:
        forget_deleted()
        mapping: dict[str, Any] | None = esms.get(uuid)
        if mapping is None:
            raise not_found()
        if settle(mapping) not in ("Enabled", "Disabled"):
            raise in_use(operation)
        return mapping

    def find_function(reference: str) -> tuple[str, str | None]:
        name, qualifier, unknown = lambda_svc._resolve_existing_esm_function(reference)
        if unknown:
            raise RefusedError("Function does not exist")  # trace: test_event_source_mapping_exceptions
        return name, qualifier

    def check_source(source: str) -> None:
        """Refuse a stream that is not there, and one that the engine would never read."""
        if (lambda_svc.get_account_id(), lambda_svc.get_region()) != (ACCOUNT, REGION):
            raise RefusedError(f"The local cloud runs stream mappings in account {ACCOUNT} and region {REGION} only.")
        if service_of(source) == "dynamodb":
            table = dynamodb_streams._table_from_stream_arn(source)
            info = dynamodb_streams._enabled_stream_info(table) if table else None
            exists = (info and info["StreamArn"] == source) or dynamodb.closed_stream(source)
        elif "/consumer/" in source:
            exists = source in kinesis._consumers
        else:
            exists = any(stream["StreamARN"] == source for _, stream in kinesis._streams.all_items())
        if not exists:
            raise RefusedError(f"Stream not found: {source}")  # trace: test_esm_with_not_existing_kinesis_stream

    def create_mapping(data: dict[str, Any]) -> Answer:
        source = str(data.get("EventSourceArn") or "")
        forget_deleted()
        try:
            check("CreateEventSourceMapping", data, source)
            name, qualifier = find_function(data.get("FunctionName", ""))
            if service_of(source) in ("kinesis", "dynamodb"):
                check_source(source)
            function = lambda_svc._func_arn(name) + (f":{qualifier}" if qualifier else "")
            for uuid, mapping in esms.items():
                same = (mapping["EventSourceArn"], mapping["FunctionArn"]) == (source, function)
                if same and mapping["State"] != "Deleting":
                    raise already_mapped(source, name, uuid)
        except RefusedError as refusal:
            return refuse(refusal)
        status, headers, body = create(data)
        if status != 202:
            return status, headers, _at_fault(body)
        mapping = esms[json.loads(body)["UUID"]]
        begin(mapping, "Creating", mapping["State"])
        return lambda_svc.json_response(esm_response(mapping), 202)

    def update_mapping(uuid: str, data: dict[str, Any]) -> Answer:
        try:
            mapping = find(uuid, "update")
            check("UpdateEventSourceMapping", data, mapping["EventSourceArn"])
            if "FunctionName" in data:
                find_function(data["FunctionName"])
        except RefusedError as refusal:
            return refuse(refusal)
        before = mapping["State"]
        status, headers, body = update(uuid, data)
        if status not in (200, 202):
            return status, headers, _at_fault(body)
        after = mapping["State"]
        begin(
            mapping, {"Enabled": "Enabling", "Disabled": "Disabling"}[after] if after != before else "Updating", after
        )
        return lambda_svc.json_response(esm_response(mapping), 202)

    def delete_mapping(uuid: str) -> Answer:
        try:
            mapping = find(uuid, "delete")
        except RefusedError as refusal:
            return refuse(refusal)
        mapping["Enabled"] = False
        lambda_svc._release_esm_poll_state(uuid)
        begin(mapping, "Deleting", "Deleted")
        return lambda_svc.json_response(esm_response(mapping), 202)

    def get_mapping(uuid: str) -> Answer:
        forget_deleted()
        return get(uuid) if uuid in esms else refuse(not_found())

    def list_mappings(query: dict[str, Any]) -> Answer:
        forget_deleted()
        return list_all(query)

    def esm_response(mapping: dict[str, Any]) -> dict[str, Any]:
        settle(mapping)
        return answer(respond(mapping), results.of(mapping["UUID"]))

    replace(
        lambda_svc,
        _create_esm=create_mapping,
        _get_esm=get_mapping,
        _list_esms=list_mappings,
        _update_esm=update_mapping,
        _delete_esm=delete_mapping,
        _esm_response=esm_response,
        _validate_event_source_arn=lambda arn: validate(arn.partition("/consumer/")[0]),
    )


def _at_fault(body: bytes | str) -> bytes:
    """Return the body of an error of ministack's with the member that says whose fault it is."""
    return json.dumps({"Type": "User", **json.loads(body)}).encode()


class EngineResults:
    """The last results of mappings, from the file in which the engine reports them."""

    def __init__(self, file: str) -> None:
        self._path = Path(file) if file else None
        self._modified = 0
        self._results: dict[str, str] = {}

    def of(self, uuid: str) -> str | None:
        """Return the last result of a mapping; None when the engine knows none."""
        if self._path is not None:
            try:
                changed = self._path.stat().st_mtime_ns
                if changed != self._modified:
                    self._results = json.loads(self._path.read_text()).get("results", {})
                    self._modified = changed
            except (OSError, ValueError):
                self._results, self._modified = {}, 0
        return self._results.get(uuid)
