"""What a million records cost at list prices, for us and each peer.

us-east-1, read in November 2026:
DynamoDB on demand, $0.625 a million write units, since November 2024: https://aws.amazon.com/dynamodb/pricing/on-demand/
Lambda on arm64, $0.0000133334 a GB-second and $0.20 a million requests: https://aws.amazon.com/lambda/pricing/
Kinesis, $0.015 a shard hour and $0.014 a million PUT units of 25 KB: https://aws.amazon.com/kinesis/data-streams/pricing/
"""

WRITE_UNIT = 0.625 / 1e6
GB_SECOND = 0.0000133334
INVOCATION = 0.20 / 1e6
SHARD_HOUR = 0.015
PUT_UNIT = 0.014 / 1e6

MEMORY_MB, CORE_MB = 256, 1769
BATCH = 10_000
SHARD_RECORDS_A_SECOND = 1000


def per_million(write_units: float, records_a_second: float, cpu_seconds: float) -> dict[str, float]:
    """Dollars for a million records: units a record, speed on a whole core, and CPU time a record.

    A function of 256 MB has a seventh of a core, so it takes as long as its calls or as its CPU time in that share,
    whichever is longer: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html.
    """
    seconds = max(1 / records_a_second, cpu_seconds / (MEMORY_MB / CORE_MB))
    return {
        "DynamoDB writes": 1e6 * write_units * WRITE_UNIT,
        "Lambda duration": 1e6 * seconds * MEMORY_MB / 1024 * GB_SECOND,
        "Lambda requests": 1e6 / BATCH * INVOCATION,
    }


def kinesis_per_million() -> float:
    """Dollars for a million records through a shard that is used to the full; the same for everyone."""
    return 1e6 * PUT_UNIT + 1e6 / SHARD_RECORDS_A_SECOND / 3600 * SHARD_HOUR
