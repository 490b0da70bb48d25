"""What every `importer.ledger.Ledger` does, whatever it is written in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from importer.errors import IllegalTransition
from importer.ledger import Compared, Entry, Ledger, Move, PatchEnd, PatchIntent, Reported, Result, Run, Write
from importer.outcomes import TRANSITIONS, Code, Issue, Outcome, Stage, State
from importer.records import Identity, Place, Target

TARGET = Target("https://api.example.com", "project-1")
OTHER_TARGET = Target("https://api.example.com", "project-2")
ADA, BOB, EVE = (Identity("salesforce", "acme", name) for name in ("ada", "bob", "eve"))
OLD, NEW, NEWER = b"old" * 10, b"new" * 10, b"newer" * 6
REFRESH, OTHER_REFRESH = b"r" * 16, b"s" * 16
AT = 1_700_000_000.0

FIRST = TRANSITIONS[State.PENDING] | {State.PENDING}
"""Where an entry may begin: as if it had been pending."""


def _ways() -> dict[State, list[State]]:
    """For each state, the shortest legal way to it from nothing."""
    ways = {state: [state] for state in FIRST}
    for _ in State:
        for state, way in list(ways.items()):
            for onward in TRANSITIONS[state]:
                ways.setdefault(onward, [*way, onward])
    return ways


WAYS = _ways()
PAIRS = [(before, after) for before in State for after in State]
ALLOWED = [pair for pair in PAIRS if pair[1] in TRANSITIONS[pair[0]]]
FORBIDDEN = [pair for pair in PAIRS if pair[1] not in TRANSITIONS[pair[0]]]


def bring(ledger: Ledger, identity: Identity, state: State) -> None:
    """Bring an entry to a state by legal moves."""
    for step in WAYS[state]:
        ledger.apply([Move(identity, step, AT)], "run-1")


def created(identity: Identity = ADA, **more: object) -> Move:
    """A connection that our post made."""
    given = {"connection_id": "c-1", "ours": True, "fingerprint": OLD, "refresh_digest": REFRESH, "run_id": "run-1"}
    return Move(identity, State.CREATED, AT, **{**given, **more})  # type: ignore[arg-type]  # of many types, by name


def state(ledger: Ledger, identity: Identity = ADA) -> State | None:
    entry = ledger.entries([identity])[0]
    return entry.state if entry else None


def entry(ledger: Ledger, identity: Identity = ADA) -> Entry:
    found = ledger.entries([identity])[0]
    assert found is not None
    return found


def snapshot(ledger: Ledger) -> object:
    """All that can be read of a ledger."""
    runs = ledger.runs(100)
    return (
        ledger.key, ledger.entries([ADA, BOB, EVE]), sorted(ledger.in_state(State), key=lambda e: e.identity),
        ledger.counts(), ledger.holders([REFRESH, OTHER_REFRESH]), runs,
        [(list(ledger.results(run.run_id)), list(ledger.problems(run.run_id))) for run in runs],
        [ledger.is_superseded(ADA, fingerprint) for fingerprint in (OLD, NEW, NEWER)],
        ledger.project_id(TARGET.api_root, "acme-prod"), ledger.pace(),
    )  # fmt: skip


class LedgerContract:
    """Inherit, and give `opener`: it opens the same ledger each time it is called."""

    @pytest.fixture
    def opener(self) -> Callable[[], Ledger]:
        raise NotImplementedError  # whoever inherits the contract gives it

    @pytest.fixture
    def opened(self, opener: Callable[[], Ledger]) -> Iterator[Ledger]:
        ledger = opener()
        ledger.aim(TARGET)
        yield ledger
        ledger.close()

    # moves

    @pytest.mark.parametrize("first", State)
    def test_an_entry_begins_as_if_it_had_been_pending(self, opened: Ledger, first: State) -> None:
        move = Move(ADA, first, AT)
        if first in FIRST:
            opened.apply([move], "run-1")
            assert state(opened) is first
        else:
            with pytest.raises(IllegalTransition):
                opened.apply([move], "run-1")
            assert state(opened) is None

    @pytest.mark.parametrize(("before", "after"), ALLOWED)
    def test_a_move_that_the_table_allows_is_made(self, opened: Ledger, before: State, after: State) -> None:
        bring(opened, ADA, before)

        opened.apply([Move(ADA, after, AT)], "run-1")

        assert state(opened) is after

    @pytest.mark.parametrize(("before", "after"), FORBIDDEN)
    def test_every_other_move_is_refused_and_changes_nothing(self, opened: Ledger, before: State, after: State) -> None:
        bring(opened, ADA, before)
        was = snapshot(opened)

        with pytest.raises(IllegalTransition, match=f"{before}.*{after}") as caught:
            opened.apply([Move(ADA, after, AT, fingerprint=NEW, connection_id="c-2", posts=1)], "run-2")

        assert snapshot(opened) == was
        assert "acme" not in str(caught.value)

    @pytest.mark.parametrize(("before", "after"), PAIRS)
    def test_if_allowed_a_forbidden_move_leaves_the_entry_alone_and_the_others_are_made(
        self, opened: Ledger, before: State, after: State
    ) -> None:
        bring(opened, ADA, before)
        was = entry(opened)

        opened.apply([Move(ADA, after, AT, posts=1, if_allowed=True), Move(BOB, State.SENDING, AT)], "run-2")

        if after in TRANSITIONS[before]:
            assert state(opened) is after
        else:
            assert entry(opened) == was
        assert state(opened, BOB) is State.SENDING

    def test_moves_beside_one_that_is_left_out_are_made_once(self, opened: Ledger) -> None:
        """They go to disk together, and one by one where one of them is refused: not both."""
        bring(opened, BOB, State.CREATED)
        intents = [Move(key, State.SENDING, AT, posts=1, if_allowed=True) for key in (ADA, BOB, EVE)]

        opened.apply(intents, "run-2")

        assert [state(opened, key) for key in (ADA, BOB, EVE)] == [State.SENDING, State.CREATED, State.SENDING]
        assert [entry(opened, key).posts for key in (ADA, BOB, EVE)] == [1, 0, 1]

    @pytest.mark.parametrize("first", sorted(set(State) - FIRST))
    def test_if_allowed_an_entry_that_cannot_begin_so_does_not_begin(self, opened: Ledger, first: State) -> None:
        opened.apply([Move(ADA, first, AT, if_allowed=True)], "run-1")

        assert state(opened) is None

    def test_what_a_move_does_not_say_stays_as_it_was(self, opened: Ledger) -> None:
        opened.apply([Move(ADA, State.SENDING, AT, posts=1, sent_at=AT, fingerprint=OLD, refresh_digest=REFRESH)], "")
        opened.apply([Move(ADA, State.UNKNOWN, AT + 1, doubt=True, settle_at=AT + 5)], "run-1")
        opened.apply([Move(ADA, State.PENDING, AT + 6), Move(ADA, State.SENDING, AT + 6, posts=1, sent_at=AT + 6)], "")
        opened.apply([created(fingerprint=None, refresh_digest=None)], "run-1")

        assert entry(opened) == Entry(
            ADA, State.CREATED, fingerprint=OLD, refresh_digest=REFRESH, connection_id="c-1", ours=True, posts=2,
            doubt=True, sent_at=AT + 6, settle_at=AT + 5, run_id="run-1",
        )  # fmt: skip

    def test_what_a_move_says_is_kept(self, opened: Ledger) -> None:
        opened.apply([created()], "run-1")
        opened.apply([Move(ADA, State.MISSING, AT), created(connection_id="c-2", ours=False, run_id="run-2")], "run-2")

        found = entry(opened)
        assert (found.connection_id, found.ours, found.run_id, found.posts, found.doubt) == (
            "c-2", False, "run-2", 0, False,
        )  # fmt: skip

    # all or nothing

    @pytest.mark.parametrize(
        "bad",
        [
            Move(BOB, State.FAILED, AT),
            Move(EVE, State.SENDING, AT),
            PatchIntent(BOB, NEW, AT),
            PatchEnd(ADA, True, AT),
            Reported(BOB, NEW),
        ],
        ids=lambda write: type(write).__name__,
    )
    @pytest.mark.parametrize("position", [0, 2, 4])
    def test_a_batch_with_one_bad_write_leaves_nothing(self, opened: Ledger, bad: Write, position: int) -> None:
        opened.apply([created(ADA), created(EVE, refresh_digest=None)], "run-1")
        was = snapshot(opened)
        good: list[Write] = [
            Move(Identity("hubspot", "acme", "ada"), State.SENDING, AT),
            PatchIntent(EVE, NEW, AT),
            Reported(ADA, NEW),
            Result(Place("a.csv", 0, 1), ADA, Outcome.REJECTED, issues=[issue("groupRef")]),
        ]

        with pytest.raises(IllegalTransition):
            opened.apply([*good[:position], bad, *good[position:]], "run-1")

        assert snapshot(opened) == was
        assert [*opened.results("run-1"), *opened.problems("run-1")] == []
        opened.apply(good, "run-1")

    def test_a_batch_may_move_an_entry_several_times(self, opened: Ledger) -> None:
        moves = [
            Move(ADA, step, AT, posts=step is State.SENDING) for step in (State.SENDING, State.UNKNOWN, State.PENDING)
        ]

        opened.apply([*moves, *moves, Move(ADA, State.SENDING, AT, posts=1)], "run-1")

        assert (entry(opened).state, entry(opened).posts) == (State.SENDING, 3)

    def test_an_empty_batch_is_none(self, opened: Ledger) -> None:
        was = snapshot(opened)
        opened.apply([], "run-1")
        assert snapshot(opened) == was

    # asking

    def test_entries_come_in_the_order_asked_for(self, opened: Ledger) -> None:
        opened.apply([created(ADA), Move(EVE, State.REJECTED, AT)], "run-1")

        found = opened.entries([EVE, BOB, ADA, EVE])

        assert [one and one.identity for one in found] == [EVE, None, ADA, EVE]
        assert opened.entries([]) == []

    @pytest.mark.parametrize(
        "ref", ["Acme", " acme", "acme\n", "a'; DROP TABLE entries; --", "é", "e\u0301", "x" * 512, "\U0001f600", "%"]
    )
    def test_refs_are_kept_and_compared_as_they_were_written(self, opened: Ledger, ref: str) -> None:
        identity = Identity("salesforce", ref, ref)
        opened.apply([created(Identity("salesforce", "acme", "acme")), created(identity, connection_id="c-2")], "run-1")

        assert entry(opened, identity).connection_id == "c-2"
        assert entry(opened, identity).identity == identity
        assert opened.entries([Identity("salesforce", ref.swapcase() + "?", ref)]) == [None]

    def test_in_state_gives_every_entry_that_stands_there(self, opened: Ledger) -> None:
        for number, there in enumerate(State):
            bring(opened, Identity("salesforce", "acme", str(number)), there)

        assert {one.state for one in opened.in_state([State.UNKNOWN, State.FAILED])} == {State.UNKNOWN, State.FAILED}
        assert sorted(one.state for one in opened.in_state(State)) == sorted(State)
        assert list(opened.in_state([])) == []

    def test_counts_say_how_many_stand_where(self, opened: Ledger) -> None:
        assert opened.counts() == {}

        opened.apply([created(ADA), created(BOB), Move(EVE, State.SENDING, AT)], "run-1")

        assert opened.counts() == {State.CREATED: 2, State.SENDING: 1}

    def test_holders_name_the_key_under_which_a_token_was_sent(self, opened: Ledger) -> None:
        opened.apply([created(ADA), Move(BOB, State.SENDING, AT, refresh_digest=OTHER_REFRESH)], "run-1")

        assert opened.holders([REFRESH, OTHER_REFRESH, b"t" * 16]) == {REFRESH: ADA, OTHER_REFRESH: BOB}
        assert opened.holders([]) == {}

    def test_the_key_is_32_random_bytes_and_stays(self, opened: Ledger, opener: Callable[[], Ledger]) -> None:
        again = opener()
        assert again.key == opened.key
        again.close()
        assert len(opened.key) == 32
        assert len(set(opened.key)) > 8

    def test_the_id_of_a_project_is_remembered(self, opened: Ledger) -> None:
        assert opened.project_id(TARGET.api_root, "acme-prod") is None

        opened.remember_project(TARGET.api_root, "acme-prod", "project-1", AT)
        opened.remember_project(TARGET.api_root, "acme-prod", "project-2", AT + 1)

        assert opened.project_id(TARGET.api_root, "acme-prod") == "project-2"
        assert opened.project_id("https://other.example.com", "acme-prod") is None

    def test_the_pace_that_a_target_allows_is_remembered(self, opened: Ledger, opener: Callable[[], Ledger]) -> None:
        assert opened.pace() is None

        opened.remember_pace(118.5, AT)
        opened.remember_pace(39.5, AT + 1)
        opened.aim(OTHER_TARGET)
        assert opened.pace() is None
        opened.aim(TARGET)

        again = opener()
        again.aim(TARGET)
        assert again.pace() == opened.pace() == 39.5
        again.close()

    # recover

    def test_recover_makes_unknown_of_what_was_being_sent(self, opened: Ledger) -> None:
        for number, there in enumerate(State):
            bring(opened, Identity("salesforce", "acme", str(number)), there)
        opened.apply([Move(ADA, State.SENDING, AT, posts=1, sent_at=AT)], "run-1")
        opened.aim(OTHER_TARGET)
        opened.apply([Move(BOB, State.SENDING, AT, posts=1, sent_at=AT + 1)], "run-1")

        assert opened.recover(AT + 60, settle_s=5.0) == 3
        assert opened.recover(AT + 60, settle_s=5.0) == 0

        found = entry(opened, BOB)
        assert (found.state, found.doubt, found.settle_at, found.posts) == (State.UNKNOWN, True, AT + 6, 1)
        opened.aim(TARGET)
        assert entry(opened).state is State.UNKNOWN
        assert entry(opened).settle_at == AT + 5
        assert opened.counts() == {**dict.fromkeys(set(State) - {State.SENDING}, 1), State.UNKNOWN: 4}

    # patches

    def test_a_patch_carried_out_moves_the_fingerprint_and_supersedes_the_old_one(self, opened: Ledger) -> None:
        opened.apply([created()], "run-1")
        opened.apply([PatchIntent(ADA, NEW, AT + 1)], "run-2")
        assert (entry(opened).fingerprint, entry(opened).op_fingerprint, state(opened)) == (OLD, NEW, State.CREATED)
        assert not opened.is_superseded(ADA, OLD)

        opened.apply([PatchEnd(ADA, True, AT + 2, OTHER_REFRESH)], "run-2")

        found = entry(opened)
        assert (found.fingerprint, found.op_fingerprint, found.refresh_digest) == (NEW, None, OTHER_REFRESH)
        assert found.state is State.CREATED
        assert [opened.is_superseded(ADA, one) for one in (OLD, NEW, NEWER)] == [True, False, False]
        assert not opened.is_superseded(BOB, OLD)
        assert opened.holders([REFRESH, OTHER_REFRESH]) == {OTHER_REFRESH: ADA}

    def test_a_patch_refused_leaves_everything_as_it_was(self, opened: Ledger) -> None:
        opened.apply([created()], "run-1")
        opened.apply([PatchIntent(ADA, NEW, AT + 1)], "run-2")

        opened.apply([PatchEnd(ADA, False, AT + 2, OTHER_REFRESH)], "run-2")

        found = entry(opened)
        assert (found.fingerprint, found.op_fingerprint, found.refresh_digest) == (OLD, None, REFRESH)
        assert not opened.is_superseded(ADA, OLD)
        assert not opened.is_superseded(ADA, NEW)

    def test_every_fingerprint_that_was_replaced_is_superseded(self, opened: Ledger) -> None:
        opened.apply([created()], "run-1")
        for fingerprint in (NEW, NEWER):
            opened.apply([PatchIntent(ADA, fingerprint, AT), PatchEnd(ADA, True, AT)], "run-2")

        assert [opened.is_superseded(ADA, one) for one in (OLD, NEW, NEWER)] == [True, True, False]

    def test_a_lost_patch_may_be_sent_again_and_to_the_same_fingerprint(self, opened: Ledger) -> None:
        opened.apply([created()], "run-1")
        opened.apply([PatchIntent(ADA, NEW, AT), PatchIntent(ADA, NEW, AT + 1), PatchEnd(ADA, True, AT + 2)], "run-2")
        opened.apply([PatchIntent(ADA, NEW, AT + 3), PatchEnd(ADA, True, AT + 4)], "run-2")

        assert entry(opened).fingerprint == NEW
        assert not opened.is_superseded(ADA, NEW)

    @pytest.mark.parametrize("there", [one for one in State if one is not State.CREATED])
    def test_only_what_is_created_is_patched(self, opened: Ledger, there: State) -> None:
        bring(opened, ADA, there)

        for write in (PatchIntent(ADA, NEW, AT), PatchEnd(ADA, True, AT), PatchEnd(BOB, False, AT)):
            with pytest.raises(IllegalTransition):
                opened.apply([write], "run-1")

    def test_a_change_that_was_reported_is_remembered(self, opened: Ledger) -> None:
        opened.apply([created(), Reported(ADA, NEW)], "run-1")

        assert entry(opened).reported == NEW
        assert (entry(opened).state, entry(opened).fingerprint) == (State.CREATED, OLD)

    # runs, results, problems

    def test_runs_come_the_newest_first_with_how_they_ended(self, opened: Ledger) -> None:
        for number in range(5):
            opened.start_run(run(number), ["a.csv"])
        opened.end_run("run-3", AT + 9, 3, {"created": 7, "text": "é"})

        assert [one.run_id for one in opened.runs()] == ["run-4", "run-3", "run-2", "run-1", "run-0"]
        assert [one.run_id for one in opened.runs(limit=2)] == ["run-4", "run-3"]
        assert opened.runs()[0] == run(4)
        ended = opened.runs()[1]
        assert (ended.ended_at, ended.exit_code, ended.summary) == (AT + 9, 3, {"created": 7, "text": "é"})

    def test_the_course_of_a_run_is_kept_and_the_last_word_counts(self, opened: Ledger) -> None:
        opened.start_run(run(1), ["a.csv"])
        opened.keep_course("run-1", {"timeline": {"width_s": 0.5}})
        opened.keep_course("run-1", {"timeline": {"width_s": 1.0, "allowed": [None]}})

        assert opened.course("run-1") == {"timeline": {"width_s": 1.0, "allowed": [None]}}
        assert opened.course("run-2") is None

    def test_a_run_is_compared_with_the_one_before_it(self, opened: Ledger) -> None:
        """Ada's problem stays, Bob's is fixed, Eve's is new, and a row whose refs may not be shown is gone."""
        hidden = Identity("salesforce", "", "")
        for number, failing in ((1, [ADA, BOB, hidden]), (2, [ADA, EVE])):
            opened.start_run(run(number), ["a.csv"])
            results = [
                Result(Place("a.csv", 0, row), one, Outcome.REJECTED, issues=[issue("a"), issue("b")])
                for row, one in enumerate(failing)
            ]
            opened.apply(results, f"run-{number}")
            opened.end_run(f"run-{number}", AT + number + 0.5, 3, {"outcomes": {}})
        bring(opened, BOB, State.CREATED)

        assert opened.compared("run-1") is None
        assert opened.compared("run-2") == Compared("run-1", run(1).started_at, 1, 1, 1, 1)

    def test_a_run_is_not_compared_with_one_that_ended_before_its_rows(self, opened: Ledger) -> None:
        for number, said in ((1, {"outcomes": {}}), (2, {"stopped": {}}), (3, {"outcomes": {}})):
            opened.start_run(run(number), [])
            opened.end_run(f"run-{number}", AT + 9, 2, said)

        found = opened.compared("run-3")

        assert found is not None
        assert found.run_id == "run-1"

    def test_a_run_is_not_compared_with_one_of_another_verb_or_target(self, opened: Ledger) -> None:
        opened.start_run(replace(run(0), verb="verify"), [])
        opened.aim(OTHER_TARGET)
        opened.start_run(run(1), [])
        opened.aim(TARGET)
        opened.start_run(run(2), [])
        for number in range(3):
            opened.end_run(f"run-{number}", AT + 9, 0, {"outcomes": {}})

        assert opened.compared("run-2") is None

    def test_results_come_in_the_order_of_their_rows(self, opened: Ledger) -> None:
        opened.start_run(run(1), ["b.csv", "a.csv"])
        places = [Place("a.csv", 1, 1), Place("b.csv", 0, 10), Place("b.csv", 0, 2)]
        given = [Result(place, ADA, Outcome.CREATED, "c-1", 201, 2, AT) for place in places]

        opened.apply(given, "run-1")
        opened.apply([Result(Place("b.csv", 0, 1), BOB, Outcome.FAILED)], "run-2")

        assert list(opened.results("run-1")) == [given[2], given[1], given[0]]
        assert [one.outcome for one in opened.results("run-2")] == [Outcome.FAILED]
        assert list(opened.results("run-3")) == []
        assert [opened.progress(f"run-{n}", 0.0) for n in (1, 2, 3)] == [(3, 3), (1, 0), (0, 0)]

    def test_progress_tells_the_answers_of_late_from_what_is_older_or_was_settled_without_one(
        self, opened: Ledger
    ) -> None:
        opened.start_run(run(1), ["a.csv"])
        given = [(AT - 1, 1), (AT, 1), (AT + 1, 2), (AT + 1, 0), (None, 1)]
        opened.apply(
            [
                Result(Place("a.csv", 0, row), ADA, Outcome.CREATED, attempts=attempts, finished_at=at)
                for row, (at, attempts) in enumerate(given, 1)
            ],
            "run-1",
        )

        assert opened.progress("run-1", AT) == (5, 2)

    def test_the_last_result_of_a_row_stands(self, opened: Ledger) -> None:
        place = Place("a.csv", 0, 1)
        opened.start_run(run(1), ["a.csv"])
        opened.apply(
            [Result(place, ADA, Outcome.UNKNOWN, attempts=1), Result(place, ADA, Outcome.CREATED, "c-1")], "run-1"
        )

        assert list(opened.results("run-1")) == [Result(place, ADA, Outcome.CREATED, "c-1")]

    def test_problems_keep_every_field_and_their_order(self, opened: Ledger) -> None:
        opened.start_run(run(1), ["a.csv"])
        full = Issue("apiKey", Code.API_REJECTED, "the API says: no", "Fix it.", Stage.SEND, 422, True, "req-1")
        place, blank = Place("a.csv", 0, 7), Identity("salesforce", "", "")
        opened.apply([Result(place, blank, Outcome.REJECTED, attempts=3, issues=[full, issue("groupRef")])], "run-1")
        opened.apply([Result(Place("a.csv", 0, 2), ADA, Outcome.REJECTED, issues=[issue("groupRef")])], "run-1")

        found = list(opened.problems("run-1"))

        assert [(one.place.row, one.issue) for one in found] == [
            (2, issue("groupRef")),
            (7, full),
            (7, issue("groupRef")),
        ]
        assert (found[1].identity, found[1].attempts, found[1].place) == (blank, 3, place)

    def test_the_commonest_problems_come_first_with_their_first_row(self, opened: Ledger) -> None:
        opened.start_run(run(1), ["a.csv", "b.csv"])
        for source_no, row, field in [(1, 1, "often"), (0, 9, "often"), (0, 3, "rare"), (0, 20, "often"), (1, 2, "two"),
                                      (1, 3, "two")]:  # fmt: skip
            place = Place("ab"[source_no] + ".csv", source_no, row)
            opened.apply([Result(place, ADA, Outcome.REJECTED, issues=[issue(field)])], "run-1")

        common = opened.common_problems("run-1", 2)

        assert [(n, one.issue.field, str(one.place)) for n, one in common] == [
            (3, "often", "a.csv row 9"), (2, "two", "b.csv row 2"),
        ]  # fmt: skip

    # targets

    def test_two_targets_do_not_see_each_other(self, opened: Ledger) -> None:
        opened.apply([created(), PatchIntent(ADA, NEW, AT), PatchEnd(ADA, True, AT, REFRESH)], "run-1")
        was = entry(opened)

        opened.aim(OTHER_TARGET)
        assert opened.entries([ADA]) == [None]
        assert list(opened.in_state(State)) == []
        assert opened.holders([REFRESH]) == {}
        assert not opened.is_superseded(ADA, OLD)
        opened.apply([Move(ADA, State.SENDING, AT, posts=1)], "run-1")

        opened.aim(TARGET)
        assert entry(opened) == was
        assert opened.counts() == {State.CREATED: 1, State.SENDING: 1}

    # what is on disk

    def test_opened_again_it_says_the_same(self, opened: Ledger, opener: Callable[[], Ledger]) -> None:
        fill(opened)
        was = snapshot(opened)
        opened.close()

        again = opener()
        again.aim(TARGET)

        assert snapshot(again) == was
        again.close()

    def test_a_second_view_sees_what_was_committed(self, opened: Ledger, opener: Callable[[], Ledger]) -> None:
        view = opener()
        view.aim(TARGET)
        assert view.entries([ADA]) == [None]

        fill(opened)

        assert snapshot(view) == snapshot(opened)
        view.close()


def issue(field: str) -> Issue:
    """A problem of this field."""
    return Issue(field, Code.MISSING_VALUE, "there is no value", "Fill it in.")


def run(number: int) -> Run:
    """The run of this number, which began as many seconds later."""
    return Run(f"run-{number}", "run", 100 + number, "host.example.com", AT + number)


def fill(ledger: Ledger) -> None:
    """Write something of everything."""
    ledger.remember_project(TARGET.api_root, "acme-prod", "project-1", AT)
    ledger.remember_pace(118.5, AT)
    ledger.start_run(run(1), ["a.csv"])
    writes: Sequence[Write] = [
        created(),
        PatchIntent(ADA, NEW, AT),
        PatchEnd(ADA, True, AT, REFRESH),
        Move(BOB, State.SENDING, AT, refresh_digest=OTHER_REFRESH, sent_at=AT, posts=1),
        Move(EVE, State.REJECTED, AT),
        Result(Place("a.csv", 0, 1), EVE, Outcome.REJECTED, issues=[issue("groupRef")], finished_at=AT),
        Reported(ADA, NEWER),
    ]
    ledger.apply(writes, "run-1")
    ledger.end_run("run-1", AT + 1, 3, {"read": 3})
