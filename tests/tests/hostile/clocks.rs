//! Functions that read the clocks to find out what others do.

use crate::support::{GUESTS, bad, beside, hostile};
use rimward_tests::TestNode;

/// Both clocks, as often as it takes to be sure that their last digits are no accident.
async fn readings(node: &TestNode) -> Vec<u64> {
    let answers = bad(node, "/clock").times(20).await;
    let numbers = |text: String| -> Vec<u64> {
        text.split(' ').map(|number| number.parse().expect("the guest says numbers")).collect()
    };
    answers.iter().flat_map(|answer| numbers(answer.is(200).text())).collect()
}

const STEP_NS: u64 = 1_000_000;

/// G30: monotonic and wall clock move in steps of a millisecond.
#[tokio::test]
async fn clocks_are_coarse_by_default() {
    assert_eq!(rimward_capability::limits::CLOCK_STEP.as_nanos(), u128::from(STEP_NS));
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for reading in readings(&node).await {
            assert_eq!(reading % STEP_NS, 0, "{guest}: {reading}");
        }
    }
}

/// G30: the operator may give functions the machine's clocks.
#[tokio::test]
async fn clocks_are_exact_where_the_operator_says_so() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).file(|file| file.node.exact_clocks = true).start().await;
        let exact = readings(&node).await.into_iter().filter(|reading| reading % STEP_NS != 0).count();
        assert!(exact >= 30, "{guest}: {exact} of 40");
    }
}
