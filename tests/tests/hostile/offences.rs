//! Every offence is counted and told: whose function it was, of which revision, what it did.

use crate::support::{GUESTS, bad, hex, hostile, is_unharmed};
use rimward_capability::Offence;
use rimward_tests::{App, always, app, fake, node};
use std::collections::BTreeSet;

/// A request that brings an offence about, with the limits it needs.
fn provoked(offence: Offence) -> (String, &'static str) {
    let path = |path: &str| path.to_owned();
    match offence {
        Offence::Cpu => (path("/spin"), r#"cpu = "20ms""#),
        Offence::Wall => (path("/never"), r#"wall = "50ms""#),
        Offence::Memory => (path("/fill/50000000"), r#"memory = "8MiB""#),
        Offence::Stack => (path("/recurse"), ""),
        Offence::Trap => (path("/trap"), ""),
        Offence::Handles => (path("/fields/50"), "handles = 40"),
        Offence::HostCall => (path("/hands/path/5000000"), ""),
        Offence::Header => (path("/forbidden"), ""),
        Offence::Stream => (path("/stalls"), r#"stream-idle = "50ms""#),
        Offence::Depth => (path("/chain"), "concurrency = 64"),
        Offence::Denied => {
            let hexed = ["http", "other.upstream.internal", "/", "GET"].map(hex);
            (format!("/send/{}", hexed.join("/")), "")
        }
        Offence::Outgoing => (path("/parallel/20"), "outgoing = 1"),
        Offence::Log => (path("/stdout/100"), r#"log-rate = "1KiB""#),
    }
}

fn offender(guest: &str, limits: &str) -> App {
    let function = hostile(guest).of_tenant("acme").with(r#"functions = ["hostile"]"#).limits(limits);
    function.upstream("origin", &fake(always(200)))
}

/// G1, G4, G8, G13, G14, G19, G22, G23, G25, G32: the counter and the closing line of the request, for every kind.
#[tokio::test]
async fn every_kind_of_offence_is_counted_and_told_with_whose_it_was() {
    let mut provoked_kinds = BTreeSet::new();
    for guest in GUESTS {
        for offence in Offence::ALL {
            let (path, limits) = provoked(offence);
            let node = node()
                .file(|file| file.node.wasi_http_03 = true)
                .tenants("[tenant.acme]\nhosts = [\"bad.example\"]\n[tenant.default]\nhosts = [\"good.example\"]\n")
                .room(32, 64)
                .app(offender(guest, limits))
                .app(app("hello").on("good.example"))
                .start()
                .await;
            if let Ok(mut open) = bad(&node, &path).try_open().await {
                while let Some(Ok(_)) = open.piece().await {}
            }
            let kind = offence.name();
            let told = |ended: &rimward_tests::Ended| ended.offences.iter().any(|(told, _)| *told == kind);
            let ended = node.heard().end(told).await;
            let function = ended.function.expect("it is told whose it was");
            let whose = [&function.tenant, &function.app, &function.function].map(|name| name.as_str());
            assert_eq!(whose, ["acme", "hostile", "hostile"], "{guest} {kind}");
            assert!(ended.revision.expect("and of which revision").starts_with("sha256:"));
            let times = ended.offences.iter().find(|(told, _)| *told == kind).map_or(0, |(_, times)| *times);
            let labels = format!("tenant=acme, app=hostile, function=hostile, kind={kind}");
            node.metric("rimward_function_offences_total", &labels).is(f64::from(times)).await;
            node.metric("rimward_function_offences_total", "tenant=default").is(0.0).await;
            is_unharmed(&node).await;
            provoked_kinds.insert(kind);
        }
    }
    assert_eq!(provoked_kinds, Offence::ALL.map(Offence::name).into());
}

/// G19: what a guest coped with is told as often as it happened, and what its client sent is not its fault.
#[tokio::test]
async fn refusals_that_a_guest_coped_with_are_told_and_its_clients_are_not() {
    for guest in GUESTS {
        let node = crate::support::beside(hostile(guest)).start().await;
        bad(&node, "/forbidden").await.is(200).says("coped");
        assert_eq!(node.heard().ends(1).await[0].offences, [("header", 3)]);
        let odd = bad(&node, "/count").header("connection", "close").header("proxy-authorization", "x");
        odd.await.is(200);
        assert_eq!(node.heard().ends(2).await[1].offences, []);
    }
}

/// G25: standard output without end: lines are dropped over the rate, cut at their length, and stay one line each.
#[tokio::test]
async fn a_flood_of_output_is_dropped_counted_and_harmless() {
    for guest in GUESTS {
        let node = crate::support::beside(hostile(guest).limits(r#"log-rate = "4KiB""#)).start().await;
        bad(&node, "/stdout/3000").await.is(200).says("true");
        let ended = node.heard().ends(1).await.remove(0);
        let lines = node.heard().logged();
        let dropped = ended.offences.iter().find(|(kind, _)| *kind == "log").expect("some were dropped").1;
        assert_eq!(lines.len() + dropped as usize, 3_000, "{guest}: each line is written or counted");
        assert!(lines.len() <= 45, "{guest}: ten seconds of the rate: {}", lines.len());
        node.metric("rimward_function_log_lines_dropped_total", "").is(f64::from(dropped)).await;
        for line in lines {
            assert!(line.text.starts_with("\u{1b}[31mline ") && !line.text.contains('\n'), "{line:?}");
        }
        is_unharmed(&node).await;
    }
}
