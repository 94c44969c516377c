//! The window at the edges of its buckets.

use crate::breaker::window::{Counts, Window};

fn counts(calls: u32, failures: u32, slow: u32) -> Counts {
    Counts { calls, failures, slow }
}

#[test]
fn a_window_counts_what_happened_in_it() {
    let window = Window::new(10_000);
    window.count(0, false, false);
    window.count(10, true, false);
    window.count(2_500, false, true);
    assert_eq!(window.counts(2_500), counts(3, 1, 1));
}

/// C7: the window rolls bucket by bucket, to the millisecond.
#[test]
fn the_oldest_bucket_leaves_when_the_window_has_moved_on() {
    let window = Window::new(10_000);
    window.count(999, true, false);
    window.count(1_000, true, false);
    assert_eq!(window.counts(9_999), counts(2, 2, 0));
    assert_eq!(window.counts(10_000), counts(1, 1, 0));
    assert_eq!(window.counts(10_999), counts(1, 1, 0));
    assert_eq!(window.counts(11_000), counts(0, 0, 0));
}

/// C7: a bucket is used again for its next turn, without what it held.
#[test]
fn a_bucket_that_comes_round_begins_anew() {
    let window = Window::new(10_000);
    (0..5).for_each(|_| window.count(500, true, false));
    window.count(10_500, false, false);
    assert_eq!(window.counts(10_500), counts(1, 0, 0));
}

#[test]
fn a_long_silence_leaves_an_empty_window() {
    let window = Window::new(10_000);
    window.count(500, true, true);
    assert_eq!(window.counts(3_600_000), Counts::default());
}

#[test]
fn a_full_bucket_keeps_its_ratios() {
    let window = Window::new(10_000);
    (0..70_000_u32).for_each(|call| window.count(0, call % 2 == 0, false));
    let full = window.counts(0);
    assert_eq!(full.calls, 65_535);
    assert!((32_767..=32_768).contains(&full.failures), "{full:?}");
}

#[test]
fn the_shortest_window_has_a_millisecond_per_bucket() {
    let window = Window::new(1);
    window.count(5, true, false);
    assert_eq!(window.counts(14), counts(1, 1, 0));
    assert_eq!(window.counts(15), counts(0, 0, 0));
}
