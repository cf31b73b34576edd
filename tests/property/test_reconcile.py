"""Whatever has drifted, and whatever the function does meanwhile, reconcile leaves every total equal to its sum.

A seed decides which changes are lost, which requests fail, and what happens between any two of reconcile's requests.
What somebody else writes into the tables is any attribute value at all.
"""

import decimal
from collections.abc import Iterable
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

import boto3
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from moto import mock_aws
from pytest import MonkeyPatch

from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger
from handlers.aggregate_scores_by_user.ledger import Entry, Transaction
from handlers.shared import aws, decimals, usernames
from handlers.shared.errors import PoisonRecordError, RetryableError
from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads
from scripts.reconcile.judgement import Judgement, Summary
from scripts.reconcile.reconciliation import Reconciliation
from scripts.reconcile.snapshot import Snapshot
from scripts.reconcile.tables import DynamoDBScoreTables, Item, Table, Throttle
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.score_tables import InMemoryScoreTables, OpenLedger, reconciliation
from tests.fakes.stream import ARN, SourceTable, score_image
from tests.property.fault_model import played
from tests.property.test_histories import HISTORIES, histories

KEYS = {Table.RECORDS: "RecordID", Table.LEDGER: "RecordID", Table.TOTALS: "Username"}
USERS = ["ann", "bob", "cid"]
ATTRIBUTES = {
    Table.RECORDS: ["Username", "Score"],
    Table.LEDGER: ["Version", "Username", "Score", "ExpiresAt"],
    Table.TOTALS: ["Score", "RecordCount", "Correction"],
}

numbers = st.sampled_from(["0", "-1", "7", "0.5", "1E+30", "-12345678901234567890.123456789012345678"])
leaves: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda text: {"S": text}, st.one_of(st.text(max_size=5), st.sampled_from(["", "ann", "x" * 3000]))),
    st.builds(lambda number: {"N": number}, numbers),
    st.builds(lambda data: {"B": data}, st.binary(max_size=3)),
    st.sampled_from([{"NULL": True}, {"BOOL": False}]),
    st.builds(lambda texts: {"SS": sorted(texts)}, st.sets(st.text(max_size=2), min_size=1, max_size=2)),
    st.builds(lambda values: {"NS": sorted(values)}, st.sets(st.sampled_from(["1", "2"]), min_size=1)),
    st.builds(lambda values: {"BS": sorted(values)}, st.sets(st.binary(max_size=2), min_size=1, max_size=2)),
)
attribute_values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda values: {"L": values}, st.lists(inner, max_size=2)),
        st.builds(lambda values: {"M": values}, st.dictionaries(st.text(min_size=1, max_size=2), inner, max_size=2)),
    ),
    max_leaves=3,
)


class Damage(NamedTuple):
    """An attribute that somebody else wrote; None when it was removed."""

    table: Table
    pick: int
    """Which of the table's items."""
    attribute: str
    value: Any


damages = st.lists(
    st.one_of(
        *(
            st.builds(Damage, st.just(table), st.integers(0, 4), st.sampled_from(names), st.none() | attribute_values)
            for table, names in ATTRIBUTES.items()
        )
    ),
    max_size=4,
)
every = settings(
    max_examples=HISTORIES // 6, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)


@every
@given(histories, damages, st.integers(0, 2**32 - 1))
def test_reconcile_repairs_any_drift_beside_a_running_function(
    history: list[tuple[str, int, str, str]], damages: list[Damage], seed: int
) -> None:
    note(f"seed {seed}")
    system = ScoreSystem(played(history, first_sequence_number=10**22), Random(seed))
    system.lose_some_changes()
    system.write_what_is_not_yours()
    system.send_test_events()
    for damage in damages:
        system.damage(damage)

    beside = system.reconcile(changes=system.random.randrange(12), mishaps=system.random.randrange(6))
    system.drain()

    # Whoever kept still was judged, and repaired; the quiet pass is left with the others alone.
    if system.changes_made == 0:
        assert beside.judgement is Judgement.EXACT
        assert system.counted() == system.sums()
    quiet = system.reconcile(changes=0)
    assert (quiet.judgement, quiet.left, quiet.unjudged, quiet.tests) == (Judgement.EXACT, 0, 0, 0)
    assert system.counted() == system.sums()
    again = system.reconcile(changes=0)
    assert (again.in_drift, again.tests) == (0, 0)

    system.change_everything()
    assert system.counted() == system.sums(), "a repaired entry must not outrank the changes to come"

    system.replay_everything()
    system.reconcile(changes=0)
    assert system.counted() == system.sums()


@every
@given(histories, damages, st.integers(0, 2**32 - 1))
def test_reconcile_calls_exact_what_is_exact_and_nothing_else(
    history: list[tuple[str, int, str, str]], damages: list[Damage], seed: int
) -> None:
    note(f"seed {seed}")
    system = ScoreSystem(played(history, first_sequence_number=10**22), Random(seed))
    system.drain()
    if system.random.random() < 0.2:
        system.write_what_is_not_yours()
    system.send_test_events()
    for damage in damages:
        system.damage(damage)
    tests = system.tests()

    summary = system.reconcile(changes=0, fix=False)

    is_exact = system.counted() == system.sums(tests) and not system.is_damaged()
    assert summary.judgement is (Judgement.EXACT if is_exact else Judgement.WRONG)
    assert summary.tests == len(tests)


@every
@given(histories, st.integers(0, 2**32 - 1))
def test_reconcile_breaks_nothing_that_is_only_on_its_way(history: list[tuple[str, int, str, str]], seed: int) -> None:
    note(f"seed {seed}")
    system = ScoreSystem(played(history, first_sequence_number=10**22), Random(seed))
    system.drain()

    system.reconcile(changes=system.random.randrange(12), mishaps=system.random.randrange(6))
    system.drain()

    assert system.counted() == system.sums()


@settings(max_examples=max(1, HISTORIES // 300), deadline=None, print_blob=True)
@given(damages)
def test_reconcile_reads_and_repairs_any_damage_in_dynamodb(damages: list[Damage]) -> None:
    # moto restores the credentials that it finds, so nothing may change them within it.
    # Its sums are those of the thread's decimal context, 28 digits where DynamoDB has 38: here, and in new threads.
    with MonkeyPatch.context() as patch, mock_aws(), decimal.localcontext(prec=38):
        patch.setattr(decimal.DefaultContext, "prec", 38)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        tables = MotoTables()
        assert tables.reconcile().judgement is Judgement.EXACT
        for damage in damages:
            tables.damage(damage)

        assert tables.reconcile().judgement is Judgement.EXACT
        assert tables.reconcile(fix=False) == Summary(in_drift=0, left=0, unjudged=0, tests=0)
        assert tables.totals() == tables.sums()


class MotoTables:
    """Three tables as AWS has them, with records of which none is counted yet."""

    def __init__(self) -> None:
        self._client = boto3.client("dynamodb")
        for table in Table:
            self._client.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": KEYS[table], "KeyType": "HASH"}],
                AttributeDefinitions=[
                    {"AttributeName": KEYS[table], "AttributeType": "S" if table is Table.TOTALS else "N"}
                ],
                BillingMode="PAY_PER_REQUEST",
            )
        for record_id, username, score in (1, "ann", "1"), (2, "ann", "2.5"), (3, "bob", "10"):
            self._client.put_item(TableName=Table.RECORDS, Item=score_image(record_id, username, score))

    def damage(self, damage: Damage) -> None:
        """Write an attribute of an item."""
        items = self._items(damage.table)
        item = items[damage.pick % len(items)]
        if damage.value is None:
            item.pop(damage.attribute, None)
        else:
            item[damage.attribute] = damage.value
        self._client.put_item(TableName=damage.table, Item=item)

    def reconcile(self, *, fix: bool = True) -> Summary:
        """Reconcile as the command does."""
        names = {table: str(table) for table in Table}
        throttle = Throttle(1e6, clock=lambda: 0, sleep=lambda _: None)
        return Reconciliation(
            tables=DynamoDBScoreTables(self._client, names, 1, throttle, lambda _: None, lambda: 1),
            ledger=DynamoDBLedger(
                aws.client("dynamodb", 1),
                ledger_table=Table.LEDGER,
                totals_table=Table.TOTALS,
                expires_at=lambda: 1,
            ),
            snapshot=Snapshot(":memory:"),
            stream_arn=ARN,
            segments=1,
            workers=Threads(1),
            patience=lambda: Patience(lambda: 1.0, lambda _: None, lambda: 0.5),
            pause=lambda: None,
            tell=lambda _: None,
            new_id=lambda: uuid4().hex,
        ).run(fix=fix)

    def totals(self) -> dict[str, tuple[object, object]]:
        """The totals of users with records."""
        totals = {item["Username"]["S"]: _numbers(item) for item in self._items(Table.TOTALS)}
        return {user: total for user, total in totals.items() if total != (0, 0)}

    def sums(self) -> dict[str, tuple[Decimal, int]]:
        """By user, the sum over the records."""
        return _sums(score for item in self._items(Table.RECORDS) if (score := _score(item)))

    def _items(self, table: Table) -> list[Any]:
        items: list[Any] = self._client.scan(TableName=table)["Items"]
        return sorted(items, key=lambda item: str(item[KEYS[table]]))


class ScoreSystem:
    """The tables, the function, and a reconcile between whose requests things happen."""

    def __init__(self, table: SourceTable, random: Random) -> None:
        self.table = table
        self.random = random
        self.changes_made = 0
        self._ledger = OpenLedger()
        self._tables = InMemoryScoreTables(table, self._ledger)
        self._done = 0

    def lose_some_changes(self) -> None:
        """Count the stream but for what nobody redrove."""
        kept = [record for record in self.table.stream if self.random.random() < 0.7]
        for record in kept:
            self._function().invoke([record])
        self._done = len(self.table.stream)

    def write_what_is_not_yours(self) -> None:
        """As a person does in the console, or a script that knows nothing of the ledger."""
        for username in self.random.sample(USERS, self.random.randrange(3)):
            if self.random.random() < 0.3:
                self._ledger.totals.pop(username, None)
            else:
                score, records = self._ledger.totals.get(username, (decimals.ZERO, 0))
                self._ledger.totals[username] = score + self.random.randrange(3), records + self.random.randrange(2)
        for record_id in list(self._ledger.entries):
            if self.random.random() < 0.1:
                del self._ledger.entries[record_id]

    def send_test_events(self) -> None:
        """Invoke the function by hand, with records that may exist and may not: no stream of the table sends these."""
        for number in range(self.random.randrange(3)):
            record_id = self.random.randint(1, 8)
            image = score_image(record_id, self.random.choice([*USERS, "Jane Doe"]), str(self.random.randrange(5)))
            record: Any = {
                "eventID": f"test-{number}",
                "eventName": "INSERT",
                "eventSource": "aws:dynamodb",
                "dynamodb": {
                    "Keys": {"RecordID": {"N": str(record_id)}},
                    "NewImage": image,
                    "SequenceNumber": str(111 + number),
                },
            }
            self._function().invoke([record])

    def damage(self, damage: Damage) -> None:
        """Write an attribute of an item; of the score records, so that the stream does not tell."""
        items = self._tables.items(damage.table)
        keys = [*sorted(items), "4711" if damage.table is not Table.TOTALS else "eve"]
        key = keys[damage.pick % len(keys)]
        name = "Username" if damage.table is Table.TOTALS else "RecordID"
        item: dict[str, Any] = {name: {"S" if name == "Username" else "N": key}} | items.get(key, {})
        if damage.value is None:
            item.pop(damage.attribute, None)
        else:
            item[damage.attribute] = damage.value
        if damage.table is Table.RECORDS:
            self.table.items[int(key)] = item
        elif damage.table is Table.LEDGER:
            self._ledger.foreign_entries[key] = item
        else:
            self._ledger.foreign_totals[key] = item

    def reconcile(self, changes: int, mishaps: int = 0, *, fix: bool = True) -> Summary:
        """Reconcile while so many changes are made and counted, and so many writes conflict, or lose their answer."""
        left, failing = [changes], [mishaps]

        def between(_: Transaction | None = None) -> None:
            if left[0] and self.random.random() < 0.2:
                left[0] -= 1
                self._change()
            if self.random.random() < 0.5:
                self._deliver(self.random.randint(1, 3))

        def fail(_: Transaction | None = None) -> None:
            if failing[0] and self.random.random() < 0.5:
                failing[0] -= 1
                raise RetryableError("TransactionConflict, or no answer")

        def before(transaction: Transaction | None = None) -> None:
            between(transaction)
            fail(transaction)

        self._tables.between = between
        self._ledger.before = self._tables.before = before
        self._ledger.after = self._tables.after = fail
        try:
            return reconciliation(self._tables, self._ledger, self.random).run(fix=fix)
        finally:
            self.drain()

    def drain(self) -> None:
        """Let the function count everything."""
        for hooks in self._ledger, self._tables:
            hooks.before = hooks.after = lambda _=None: None
        self._tables.between = lambda: None
        self._deliver(len(self.table.stream))

    def replay_everything(self) -> None:
        """Deliver the whole stream once more, in any order."""
        records = self.random.sample(self.table.stream, len(self.table.stream))
        if records:
            assert self._function().invoke(records) == {"batchItemFailures": []}

    def change_everything(self) -> None:
        """Give each record that the tables know another score, and count it."""
        for record_id in {*self._tables.items(Table.RECORDS), *self._tables.items(Table.LEDGER)}:
            self.table.put(int(record_id), score_image(int(record_id), self.random.choice(USERS), "3"))
        self.drain()

    def counted(self) -> dict[str, tuple[object, object]]:
        """The totals, but for users without records, who must read 0."""
        totals = {user: _numbers(item) for user, item in self._tables.items(Table.TOTALS).items()}
        return {user: total for user, total in totals.items() if total != (0, 0)}

    def sums(self, tests: dict[str, Entry] | None = None) -> dict[str, tuple[Decimal, int]]:
        """By user, the sum over the records, and over these test entries."""
        scores = [score for image in self.table.items.values() if (score := _score(image))]
        scores += [(entry.username, entry.score) for entry in (tests or {}).values() if entry.username is not None]
        return _sums(scores)

    def tests(self) -> dict[str, Entry]:
        """Living entries of test events without a record."""
        records = self._tables.items(Table.RECORDS)
        found = {}
        for record_id, item in self._tables.items(Table.LEDGER).items():
            score = _score(item)
            is_sound = "ExpiresAt" not in item
            if score and is_sound and record_id not in records and item.get("Version", {}).get("S", "").startswith("#"):
                found[record_id] = Entry("#", *score)
        return found

    def is_damaged(self) -> bool:
        """Whether an entry is none, does not say what its record does, or keeps its record from being counted."""
        records, entries = self._tables.items(Table.RECORDS), self._tables.items(Table.LEDGER)
        tests = self.tests()
        for record_id in records.keys() | entries.keys() - tests.keys():
            entry = entries.get(record_id, {})
            if _score(records.get(record_id, {})) != _score(entry):
                return True
        for entry in entries.values():
            version = entry.get("Version", {}).get("S")
            if version is None or (_score(entry) is None and ("Username" in entry or "Score" in entry)):
                return True
            if _score(entry) and "ExpiresAt" in entry:
                return True
            label, _, number = version.partition("#")
            is_ours = label == ARN.rpartition("/")[2] and number[:40].isdigit() and number[:40].isascii()
            if version > ARN.rpartition("/")[2] and not (is_ours and len(number) >= 40):
                return True
        return False

    def _change(self) -> None:
        self.changes_made += 1
        record_id = self.random.randint(1, 5)
        if self.random.random() < 0.2:
            self.table.delete(record_id)
        else:
            self.table.put(record_id, score_image(record_id, self.random.choice(USERS), str(self.random.randrange(5))))

    def _deliver(self, records: int) -> None:
        batch = self.table.stream[self._done : self._done + records]
        self._done += len(batch)
        if batch:
            before, after = self._ledger.before, self._ledger.after
            self._ledger.before = self._ledger.after = lambda _: None
            assert self._function().invoke(batch) == {"batchItemFailures": []}
            self._ledger.before, self._ledger.after = before, after

    def _function(self) -> Function:
        return Function(self._ledger, InMemoryParking(), self.random)


def _sums(scores: Iterable[tuple[str, Decimal]]) -> dict[str, tuple[Decimal, int]]:
    sums: dict[str, tuple[Decimal, int]] = {}
    for username, score in scores:
        sum_, records = sums.get(username, (decimals.ZERO, 0))
        sums[username] = decimals.add(sum_, score), records + 1
    return sums


def _score(item: Item) -> tuple[str, Decimal] | None:
    """Who has which score by an item; None when that is nobody."""
    try:
        return usernames.check(item["Username"]["S"]), decimals.parse(item["Score"]["N"])
    except (KeyError, ValueError, PoisonRecordError):
        return None


def _numbers(item: Item) -> tuple[object, object]:
    """A total as it reads; what is no number as it is."""
    found = [item.get(name) or {} for name in ("Score", "RecordCount")]
    score, records = (Decimal(each["N"]) if "N" in each else str(each) for each in found)
    return score, records
