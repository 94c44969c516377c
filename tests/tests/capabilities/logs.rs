//! What functions log: through `wasi:logging` and the standard streams.

use rimward_capability::Level;
use rimward_capability::limits::LOG_LINE_BYTES;
use rimward_tests::{app, eventually, node};

#[tokio::test]
async fn logs_carry_level_context_function_and_request() {
    let node = node().app("logs").start().await;
    let answer = node.get("/levels").await;
    node.heard().log("at Level::Critical").await;
    let lines = node.heard().logged();
    let levels: Vec<_> = lines.iter().map(|line| line.level).collect();
    use Level::{Critical, Debug, Error, Info, Trace, Warn};
    assert_eq!(levels, [Trace, Debug, Info, Warn, Error, Critical]);
    for line in &lines {
        assert_eq!(line.context, "a context");
        assert_eq!(line.function.to_string(), "default/logs/logs");
        assert_eq!(line.request_id, answer.request_id());
    }
}

#[tokio::test]
async fn standard_streams_are_lines_too_and_the_last_one_needs_no_end() {
    let node = node().app("logs").start().await;
    let answer = node.get("/streams").await;
    let check = async |text: &str, level: Level, context: &str| {
        let line = node.heard().log(text).await;
        assert_eq!((line.text.as_str(), line.level, line.context.as_str()), (text, level, context));
        assert_eq!(line.request_id, answer.request_id());
    };
    check("to stdout", Level::Info, "stdout").await;
    check("to stderr", Level::Warn, "stderr").await;
    check("without an end", Level::Info, "stdout").await;
}

#[tokio::test]
async fn a_line_is_cut_at_its_length_and_not_before() {
    let node = node().app("logs").start().await;
    for (bytes, kept) in [(LOG_LINE_BYTES, LOG_LINE_BYTES), (LOG_LINE_BYTES + 1, LOG_LINE_BYTES)] {
        let before = node.heard().logged().len();
        node.get(&format!("/long/{bytes}")).await.is(200);
        let lines = node.heard().logged();
        assert_eq!(lines[before..].iter().map(|line| line.text.len()).collect::<Vec<_>>(), [kept]);
    }
}

#[tokio::test]
async fn lines_over_the_rate_are_dropped_and_counted() {
    const LINES: usize = 2_000;
    let node = node().app(app("logs").limits(r#"log-rate = "1KiB""#)).start().await;
    node.get(&format!("/flood/{LINES}")).await.is(200);
    node.heard().ends(1).await;
    let logged = node.heard().logged().len();
    assert!(logged > 0 && logged < LINES, "{logged}");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let dropped = (LINES - logged) as f64;
    node.metric("rimward_function_log_lines_dropped_total", "function=logs").is(dropped).await;
}

#[tokio::test]
async fn what_a_function_writes_reaches_the_observer_as_it_is_in_one_line() {
    let node = node().app("logs").start().await;
    node.get("/forged").await.is(200);
    assert_eq!(node.heard().log("level=error").await.text, "\u{1b}[31mred\r level=error");
}

#[tokio::test]
async fn an_instance_that_is_reused_logs_under_the_request_that_it_works_on() {
    let node = node().app(app("logs").with("reuse = 10")).start().await;
    for _ in 0..3 {
        let answer = node.get("/streams").await;
        eventually("three lines of this request", || {
            let lines = node.heard().logged();
            let of_this = lines.iter().filter(|line| line.request_id == answer.request_id());
            (of_this.count() == 3).then_some(())
        })
        .await;
    }
}
