//! The conformance suite sees what is wrong with a wrong store.
//!
//! Each fault is one that a real backend could have. The case that must see it is named beside it; others may
//! see it too.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod faulty;
mod reopened;
mod watching;

use std::time::Duration;

use state_store::testing::conformance::{Failures, Suite};

use crate::faulty::{Fault, Faulty};
use crate::reopened::{Place, Reopening};

/// Long enough for a memory store on a busy machine to wake a thread; wrong stores are waited for as long.
const PATIENCE: Duration = Duration::from_millis(500);

fn suite() -> Suite {
    Suite::new().with_patience(PATIENCE).with_schedules(8)
}

#[track_caller]
fn assert_sees(case: &str, outcome: Result<impl Sized, Failures>) {
    let Err(failures) = outcome else { panic!("the suite sees nothing wrong; {case} should") };
    let found = failures.failures().iter().any(|failure| failure.case == case);
    assert!(found, "{case} sees nothing wrong, only these do: {failures}");
}

#[test]
fn the_wrapper_without_a_fault_passes() {
    suite().with_patience(Duration::from_secs(30)).run(|| Faulty::new(None)).unwrap();
    Suite::new().run_durable(Place::new, |place| place.open(Reopening::Right)).unwrap();
}

macro_rules! sees {
    ($($name:ident: $fault:ident => $case:ident;)*) => {$(
        #[test]
        fn $name() {
            assert_sees(stringify!($case), suite().run(|| Faulty::new(Some(Fault::$fault))));
        }
    )*};
}

sees! {
    a_store_that_ignores_absent_is_seen: IgnoresAbsent => absent_holds_only_where_nothing_is;
    a_store_that_ignores_a_revision_is_seen: IgnoresRevision => a_revision_holds_only_where_exactly_it_is;
    a_store_that_takes_a_later_revision_is_seen: TakesLaterRevision => a_revision_holds_only_where_exactly_it_is;
    a_store_that_checks_only_what_it_writes_is_seen: ChecksOnlyWrittenKeys => a_batch_is_written_whole_or_not_at_all;
    a_store_that_checks_before_the_atomic_step_is_seen: ChecksBeforehand => no_update_is_lost;
    two_creators_that_both_win_are_seen: ChecksBeforehand => one_of_many_creators_wins;
    an_overtaken_precondition_is_seen: ChecksBeforehand => a_precondition_on_what_another_writes_is_not_overtaken;
    a_commit_in_two_steps_is_seen: CommitsInTwo => a_commit_is_seen_by_the_next_read;
    a_commit_in_two_steps_is_seen_by_readers: CommitsInTwo => a_page_shows_all_of_a_commit_or_nothing;
    a_conflict_that_writes_the_rest_is_seen: WritesDespiteConflict => a_batch_is_written_whole_or_not_at_all;
    the_wrong_conflict_is_seen: TellsLastConflict => the_first_conflict_in_key_order_is_told;
    a_conflict_that_uses_up_a_revision_is_seen: ConflictUsesRevision => a_conflict_uses_up_no_revision;
    a_check_that_uses_up_a_revision_is_seen: CheckUsesRevision => a_batch_without_writes_only_checks;
    a_revision_told_twice_is_seen: RepeatsRevision => revisions_strictly_increase;
    a_delete_of_nothing_that_fails_is_seen: DeletingNothingConflicts => deleting_what_is_not_there_is_no_error;
    a_write_of_the_same_value_left_out_is_seen: SkipsSameValue => the_same_value_written_again_is_a_new_commit;
    a_batch_cut_short_is_seen: CutsBatches => the_largest_batch_is_taken;
    keys_cut_short_are_seen: CutsKeys => the_longest_keys_are_taken;
    values_cut_short_are_seen: CutsValues => the_largest_and_the_smallest_value_are_taken;
    keys_without_case_are_seen: IgnoresCase => keys_are_bytes;
    a_stale_read_is_seen: ReadsLate => a_commit_is_seen_by_the_next_read;
}

sees! {
    a_page_that_repeats_the_last_key_is_seen: RepeatsAfter => a_scan_goes_on_after_any_key;
    a_page_that_never_has_more_is_seen: NeverMore => a_page_holds_as_much_as_was_asked_for;
    a_full_page_that_always_has_more_is_seen: MoreWhenFull => a_page_holds_as_much_as_was_asked_for;
    a_page_with_one_too_many_is_seen: OneTooMany => a_page_holds_as_much_as_was_asked_for;
    a_page_without_its_entry_bound_is_seen: NoEntryBound => a_page_ends_at_its_entry_bound;
    a_page_without_its_byte_bound_is_seen: NoByteBound => a_page_ends_at_its_byte_bound;
    a_page_that_runs_ahead_is_seen: PageRunsAhead => a_commit_is_seen_by_the_next_read;
    a_page_of_many_instants_is_seen: TornPages => a_page_shows_all_of_a_commit_or_nothing;
    a_page_of_an_earlier_instant_than_it_says_is_seen: TornPages => nothing_appears_below_a_revision_that_was_seen;
    a_prefix_whose_end_wraps_is_seen: PrefixWraps => a_prefix_is_bytes;
    a_prefix_with_wildcards_is_seen: PrefixHasWildcards => a_prefix_is_bytes;
}

sees! {
    a_dropped_change_is_seen: DropsChanges => a_watch_tells_every_change_once_and_in_order;
    a_repeated_change_is_seen: RepeatsEvents => a_watch_tells_every_change_once_and_in_order;
    swapped_events_are_seen: SwapsEvents => a_watch_tells_every_change_once_and_in_order;
    merged_events_are_seen: MergesEvents => a_watch_tells_every_change_once_and_in_order;
    changes_out_of_order_are_seen: ReversesChanges => a_watch_tells_every_change_once_and_in_order;
    changes_of_other_prefixes_are_seen: TellsOtherPrefixes => a_watch_tells_its_prefix_alone;
    missing_progress_is_seen: NoProgress => a_watch_makes_progress_past_commits_elsewhere;
    progress_that_runs_ahead_is_seen: ProgressRunsAhead => a_watch_makes_progress_past_commits_elsewhere;
    progress_without_end_is_seen: EndlessProgress => a_watch_makes_progress_past_commits_elsewhere;
    silence_about_the_future_is_seen: SilentAboutFuture => a_watch_from_the_future_lags;
    silence_about_the_past_is_seen: SilentAboutPast => a_watch_from_the_past_tells_all_or_lags;
    a_watch_that_begins_too_early_is_seen: BeginsEarly => a_watch_begins_after_its_revision;
    a_delete_of_nothing_that_is_told_is_seen: TellsDeletingNothing => what_changes_nothing_is_not_told;
    an_event_lost_with_a_wait_is_seen: LosesGivenUpEvents => a_wait_given_up_loses_nothing;
    a_watch_that_is_not_woken_is_seen: NeverWakes => a_waiting_watch_is_woken;
    watches_that_share_their_events_are_seen: SharesOneWatch => watches_do_not_disturb_each_other;
    a_watch_that_always_lags_is_seen: AlwaysLags => a_watch_tells_every_change_once_and_in_order;
}

macro_rules! sees_reopened {
    ($($name:ident: $fault:ident => $case:ident;)*) => {$(
        #[test]
        fn $name() {
            let outcome = suite().run_durable(Place::new, |place| place.open(Reopening::$fault));
            assert_sees(stringify!($case), outcome);
        }
    )*};
}

sees_reopened! {
    a_store_that_forgets_all_is_seen: ForgetsAll => what_was_committed_is_there_when_reopened;
    a_store_that_forgets_its_last_commit_is_seen: ForgetsLast => what_was_committed_is_there_when_reopened;
    a_deleted_key_that_comes_back_is_seen: ForgetsDeletes => what_was_committed_is_there_when_reopened;
    revisions_that_begin_anew_are_seen: RevisionsBeginAnew => revisions_go_on_when_reopened;
    a_gap_across_reopening_is_seen: SilentAboutPast => a_watch_from_before_reopening_tells_all_or_lags;
}

#[test]
fn random_schedules_see_what_no_named_case_looks_for() {
    // A precondition that is forgotten only where its key is written by the same batch as three others.
    let outcome = Suite::new().with_patience(PATIENCE).run(|| Faulty::new(Some(Fault::ForgetsInFours)));
    assert_sees("random_schedules_agree_with_the_model", outcome);
}

#[test]
fn a_failing_schedule_is_told_in_its_shortest_form() {
    let outcome = suite().run(|| Faulty::new(Some(Fault::IgnoresAbsent)));
    let failures = outcome.unwrap_err();
    let schedule = failures.failures().last().unwrap();
    assert_eq!(schedule.case, "random_schedules_agree_with_the_model");
    // One commit to make something, one that should have found it; shortening stops at a bound.
    assert!((2..=4).contains(&schedule.what.matches("Commit(").count()), "{}", schedule.what);
}
