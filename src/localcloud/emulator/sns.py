"""Repairs of SNS."""

import json
import threading
from typing import Any

from localcloud.emulator.patching import repair, replace


@repair(
    replaces=("sns._build_envelope", "sns._matches_filter_policy"),
    aws="UnsubscribeURL has the ARN of the subscription: https://docs.aws.amazon.com/sns/latest/dg/"
    "http-notification-json.html",
)
def name_the_subscription_to_end(sns: Any) -> None:
    """Name in UnsubscribeURL the subscription that a message is for; ministack names none that there is."""
    build, matches = sns._build_envelope, sns._matches_filter_policy
    current = threading.local()  # the subscription that a message is about to go to

    def matches_filter_policy(subscription: dict[str, Any], *message: Any) -> bool:
        current.arn = subscription["arn"]
        return bool(matches(subscription, *message))

    def build_envelope(*message: Any) -> str:
        envelope = str(build(*message))
        *_, raw = message
        if raw:
            return envelope
        document: dict[str, Any] = json.loads(envelope)
        before = document["UnsubscribeURL"].partition("SubscriptionArn=")[0]
        return json.dumps(document | {"UnsubscribeURL": f"{before}SubscriptionArn={current.arn}"})

    replace(sns, _build_envelope=build_envelope, _matches_filter_policy=matches_filter_policy)
