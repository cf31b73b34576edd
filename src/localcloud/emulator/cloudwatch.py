"""Repairs of CloudWatch: alarms and dashboards."""

import json
import operator
import time
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import OperationModel
from botocore.session import get_session

from localcloud.emulator.patching import Answer, repair, replace

KEPT_ALARM_SETTINGS = ("Metrics", "ThresholdMetricId", "EvaluateLowSampleCountPercentile")
DEFAULTED_ALARM_SETTINGS = ("Statistic", "Period")


@repair(
    replaces=(
        "cloudwatch._put_metric_alarm",
        "cloudwatch._describe_alarms",
        "cloudwatch._get_dashboard",
    ),
    uses=(
        "cloudwatch._alarms",
        "cloudwatch._p",
        "cloudwatch._xml",
        "cloudwatch._error",
    ),
    aws="answers with every setting: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html",
)
def keep_alarms_whole(cloudwatch: Any) -> None:
    """Tell of alarms and dashboards all that they were made of, over the Query protocol as well.

    Terraform's provider speaks Query, in which ministack leaves out most of an alarm, dimensions, period and statistic
    included, and does not escape a dashboard. Its JSON has nearly all, so Query becomes JSON on the way in and XML on
    the way out. What ministack drops in any protocol is kept, and what was never said (a Statistic, where a percentile
    is asked for) is not made up.
    """
    put = cloudwatch._put_metric_alarm

    def put_metric_alarm(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Answer:
        answer = put(params, data, is_cbor, is_json)
        if answer[0] == 200:
            alarm = cloudwatch._alarms[data["AlarmName"]]
            alarm.update({name: data[name] for name in KEPT_ALARM_SETTINGS if name in data})
            for name in DEFAULTED_ALARM_SETTINGS:
                if name not in data:
                    del alarm[name]
        return answer

    api = get_session().get_service_model("cloudwatch")
    replace(
        cloudwatch,
        _put_metric_alarm=_by_json(cloudwatch, api.operation_model("PutMetricAlarm"), put_metric_alarm),
        _describe_alarms=_by_json(cloudwatch, api.operation_model("DescribeAlarms"), cloudwatch._describe_alarms),
        _get_dashboard=_by_json(cloudwatch, api.operation_model("GetDashboard"), cloudwatch._get_dashboard),
    )


def _by_json(cloudwatch: Any, operation: OperationModel, handle: Callable[..., Answer]) -> Callable[..., Answer]:
    """A handler that answers the Query protocol by what it answers to JSON."""

    def answer(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Answer:
        if is_cbor or is_json:
            return handle(params, data, is_cbor, is_json)
        given = {name: cloudwatch._p(params, name) for name in params}
        status, _, body = handle(params, _from_query(operation.input_shape, given, "") or {}, False, True)
        content: dict[str, Any] = json.loads(body)
        if status != 200:
            return cloudwatch._error(content["__type"], content["message"], status)
        name = operation.name
        result = f"<{name}Result>{_to_xml(content)}</{name}Result>" if operation.output_shape else ""
        return cloudwatch._xml(status, f"{name}Response", result)

    return answer


def _from_query(shape: Any, params: Mapping[str, str], name: str) -> Any:
    """The value of a shape of botocore's in the parameters of a Query request; None when it is not there."""
    if shape.type_name == "structure":
        prefix = f"{name}." if name else ""
        members = {member: _from_query(each, params, prefix + member) for member, each in shape.members.items()}
        return {member: value for member, value in members.items() if value is not None} or None
    if shape.type_name == "list":
        values: list[Any] = []
        while (value := _from_query(shape.member, params, f"{name}.member.{len(values) + 1}")) is not None:
            values.append(value)
        return values or None
    if name not in params:
        return None
    convert: dict[str, Callable[[str], Any]] = {"boolean": "true".__eq__, "integer": int, "double": float}
    return convert.get(shape.type_name, str)(params[name])


def _to_xml(value: Any, name: str = "") -> str:
    if isinstance(value, dict):
        items = value.items()
        return "".join(f"<{key}>{_to_xml(each, key)}</{key}>" for key, each in items if each is not None)
    if isinstance(value, list):
        return "".join(f"<member>{_to_xml(each)}</member>" for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    if name.endswith("Timestamp"):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(value))
    return escape(str(value))


@repair(
    replaces=(
        "cloudwatch._evaluate_alarm",
        "cloudwatch._describe_alarms",
    ),
    uses=(
        "cloudwatch._evaluate_all_alarms",
        "cloudwatch._metrics",
        "cloudwatch._dims_key",
        "cloudwatch._dims_from_list",
        "cloudwatch._calc_stats",
        "cloudwatch._stat_value",
        "cloudwatch._record_history",
        "cloudwatch._dispatch_alarm_actions",
        "cloudwatch._evaluate_parent_alarms",
    ),
    aws="https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarm-evaluation",
)
def evaluate_alarms_by_dimensions(cloudwatch: Any) -> None:
    """Judge an alarm by its own metric, its periods and its missing data, and whenever it is looked at.

    ministack judges it by the metrics of that name whatever their dimensions, so that one function's errors are all
    functions' errors, and only when some metric is put. Periods end now here, and on the minute in AWS.
    """
    describe = cloudwatch._describe_alarms
    breaches: dict[str, Callable[[float, float], bool]] = {
        "GreaterThanThreshold": operator.gt,
        "GreaterThanOrEqualToThreshold": operator.ge,
        "LessThanThreshold": operator.lt,
        "LessThanOrEqualToThreshold": operator.le,
    }

    def evaluate_alarm(alarm: dict[str, Any]) -> None:
        breach = breaches.get(alarm.get("ComparisonOperator", ""))
        if not alarm.get("MetricName") or breach is None:
            return  # metric math and anomalies: never judged here
        dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm["Dimensions"]))
        points = cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], dimensions), [])
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
        now, period, votes = time.time(), alarm["Period"], []
        for end in (now - number * period for number in range(alarm["EvaluationPeriods"])):
            inside = [point for point in points if end - period < point["Timestamp"] <= end]
            value = cloudwatch._stat_value(cloudwatch._calc_stats(inside), statistic, inside) if inside else None
            if value is not None:
                votes.append(breach(value, alarm["Threshold"]))
        missing = alarm["EvaluationPeriods"] - len(votes)
        state = _state(votes, missing, alarm)
        if state != (before := alarm["StateValue"]):
            reason = f"{sum(votes)} of {len(votes)} periods breached the threshold, {missing} had no data"
            alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(now))
            cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
            cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
            cloudwatch._evaluate_parent_alarms(alarm)

    def describe_alarms(*request: Any) -> Answer:
        cloudwatch._evaluate_all_alarms()
        return describe(*request)

    replace(cloudwatch, _evaluate_alarm=evaluate_alarm, _describe_alarms=describe_alarms)


def _state(votes: list[bool], missing: int, alarm: Mapping[str, Any]) -> str:
    """The state of an alarm by which of its periods breached, of those that have data."""
    treatment = alarm["TreatMissingData"]
    if not votes and treatment in ("ignore", "missing"):
        return str(alarm["StateValue"]) if treatment == "ignore" else "INSUFFICIENT_DATA"
    breaching = sum(votes) + (missing if treatment == "breaching" else 0)
    return "ALARM" if breaching >= alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]) else "OK"
