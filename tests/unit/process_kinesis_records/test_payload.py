import json

import pytest

from handlers.process_kinesis_records.payload import Numeral, UndecodableError, decode, score_fields


def test_numbers_stay_as_they_are_spelled() -> None:
    fields = score_fields(' {"RecordID": 1e400, "Username": "7", "Score": 0.10000000000000000001}')

    assert fields == {"RecordID": "1e400", "Username": "7", "Score": "0.10000000000000000001"}
    assert [type(value) for value in fields.values()] == [Numeral, str, Numeral]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello, this is a test 123.",
        "{",
        "[]",
        '["RecordID", "Username", "Score"]',
        '"RecordID"',
        "7",
        "null",
        '{"RecordID": 1, "Username": "jane"}',
        '{"RecordID": 1, "Username": "jane", "Score": 1} and more',
        '{"RecordID":' * 100_000,
    ],
)
def test_what_lacks_a_key_or_is_no_object_is_no_score_event(text: str) -> None:
    assert score_fields(text) is None


def test_a_number_may_be_as_long_as_anyone_cares_to_make_it() -> None:
    fields = score_fields(json.dumps({"Username": "jane", "Score": 1})[:-1] + ', "RecordID": ' + "9" * 100_000 + "}")

    assert fields is not None
    assert len(fields["RecordID"]) == 100_000


@pytest.mark.parametrize("data", ["aGk=aGk=", "a!Gk=", "aG\nk=", "aGk=\n", "=aGk=", "aGk"])
def test_data_is_decoded_as_a_whole_or_not_at_all(data: str) -> None:
    assert decode("aGk=") == "hi"

    with pytest.raises(UndecodableError, match="is not base64"):
        decode(data)
