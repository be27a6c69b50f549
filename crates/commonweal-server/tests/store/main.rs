//! What every store promises, run over each database that a store can be over.

#![allow(clippy::unwrap_used, reason = "what fails here is the claim")]

mod contract;
mod ground;
mod sqlite;

use ground::Ground as _;

/// Makes a test of each claim of the contract, on grounds of this kind.
macro_rules! hold {
    ($ground:ty: $($area:ident :: $claim:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                contract::$area::$claim(<$ground>::new()).await;
            }
        )*
    };
}

hold! {
    ground::Sqlite:
    people::a_token_lets_in_one_of_those_who_race_for_it,
    people::the_same_key_gets_the_same_answer_again,
    people::a_token_that_is_unknown_expired_or_used_lets_nobody_in,
    people::a_name_is_free_again_once_its_key_is_revoked,
    people::a_key_joins_once,
    people::a_revoked_node_is_revoked_for_those_who_had_the_store_open,
    people::a_node_waits_until_it_is_approved,
    people::a_node_that_left_does_not_undo_its_revocation,
    people::what_a_node_says_of_itself_is_kept,
    people::only_a_write_of_another_changes_the_stamp,
    people::a_revoked_key_opens_nothing_and_frees_its_name,
    runs::runs_are_numbered_by_job_name_however_they_race,
    runs::members_are_those_that_were_fixed_in_order,
    runs::a_run_that_is_over_is_not_gone_on_with_until_it_is_reopened,
    runs::a_later_verdict_takes_an_earlier_ones_place,
    runs::an_event_number_never_repeats_however_many_append,
    runs::log_lines_are_numbered_from_one,
    runs::nothing_is_written_for_a_run_that_is_unknown,
    commits::a_commit_and_those_it_counts_are_there_together,
    commits::a_commit_that_breaks_off_anywhere_is_whole_or_absent,
    commits::a_commit_that_fails_halfway_leaves_no_trace,
    commits::a_task_is_committed_once,
    commits::a_round_has_one_line_of_history,
    commits::a_run_goes_on_from_its_last_snapshot,
    commits::a_reopened_store_has_everything,
    commits::a_fresh_place_can_be_opened_by_many_at_once,
    blobs::a_blob_is_its_bytes_in_one_piece_in_chunks_and_in_ranges,
    blobs::a_blob_that_is_not_there_is_named,
    blobs::a_released_round_takes_its_blobs_with_it_unless_others_name_them,
    blobs::a_blob_that_waits_to_be_named_is_not_released,
    blobs::a_sweep_takes_what_nobody_names,
    blobs::a_copy_made_while_others_write_is_of_one_moment,
}
