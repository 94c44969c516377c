//! A node that gets little of the processor: it is stopped and let go on, over and over, as a throttled control group is.

use crate::harness::{Folder, address, example, get};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// It runs for a tenth of the time.
const RUNS: Duration = Duration::from_millis(10);
const STANDS: Duration = Duration::from_millis(90);

/// How long that goes on.
const TIME: Duration = Duration::from_secs(3);

/// F21: slower, perhaps with refusals, but no wrong answer, no timeout that was not one, and the same process at the end.
#[test]
fn a_node_that_is_throttled_answers_or_refuses_and_does_not_restart() {
    let folder = Folder::new();
    folder.write("hello.wasm", example("hello"));
    let arguments =
        ["serve", "hello.wasm", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--json"];
    let mut node = folder.start(&arguments);
    let address = address(&node.event("ready"));
    let over = AtomicBool::new(false);
    let statuses = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut statuses = Vec::new();
                    while !over.load(Relaxed) {
                        statuses.push(get(address).0);
                    }
                    statuses
                })
            })
            .collect();
        let end = Instant::now() + TIME;
        while Instant::now() < end {
            node.signal(Signal::STOP);
            std::thread::sleep(STANDS);
            node.signal(Signal::CONT);
            std::thread::sleep(RUNS);
        }
        over.store(true, Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert!(statuses.contains(&200), "it went on");
    assert_eq!(get(address).0, 200, "and is as before");
    assert_eq!(node.stop(), Some(0));
}
