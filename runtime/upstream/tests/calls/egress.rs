//! faults section 8.6: what may be reached, by name and by address.

use crate::support::servers::always;
use crate::support::{Names, client, client_with, egress, get, text};
use rimward_upstream::{Client, Egress, Error, Target, Timeouts};

async fn send(client: &Client, uri: &str, egress: &Egress) -> Result<String, Error> {
    text(client.send(get(uri), Target::Host(egress), Timeouts::default(), None).await?).await
}

/// G22.
#[tokio::test]
async fn a_host_that_is_not_granted_is_refused_before_any_lookup() {
    let granted = egress(&["https://api.example.com"], &[]);
    let failed = send(&client(), "https://other.example.com/", &granted).await;
    assert!(matches!(failed, Err(Error::RequestDenied(_))), "{failed:?}");
}

#[tokio::test]
async fn a_literal_loopback_address_needs_an_allowance() {
    let server = always("local").await;
    let uri = format!("http://{}/", server.address);
    let host = &uri[..uri.len() - 1];
    let failed = send(&client(), &uri, &egress(&[host], &[])).await;
    assert!(matches!(failed, Err(Error::DestinationProhibited(_))), "{failed:?}");
    assert_eq!(server.connections(), 0);
    let address = server.address.to_string();
    assert_eq!(send(&client(), &uri, &egress(&[host], &[&address])).await.unwrap(), "local");
}

#[tokio::test]
async fn spellings_of_a_special_address_all_lead_to_the_same_refusal() {
    let any = egress(&["*:*"], &[]);
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "169.254.169.254",
        "10.1.2.3",
        "[fe80::1]",
    ] {
        let failed = send(&client(), &format!("http://{host}/"), &any).await;
        assert!(matches!(failed, Err(Error::DestinationProhibited(_))), "{host}: {failed:?}");
    }
    for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0x7f000001"] {
        let failed = send(&client(), &format!("http://{host}/"), &any).await;
        assert!(matches!(failed, Err(Error::RequestUriInvalid)), "{host}: {failed:?}");
    }
}

/// C12: the name is public while it is looked at and private when it is used, or the other way round.
#[tokio::test]
async fn a_name_that_changes_its_mind_reaches_nothing_it_may_not() {
    let server = always("private").await;
    let port = server.address.port();
    let names = Names::new(&[("rebinding.example", &[&["127.0.0.1"], &["169.254.169.254"], &["127.0.0.1"]])]);
    let client = client_with(|config| config.resolver = names);
    let uri = format!("http://rebinding.example:{port}/");
    let any = egress(&["*:*"], &[]);
    for _ in 0..3 {
        let failed = send(&client, &uri, &any).await;
        assert!(matches!(failed, Err(Error::DestinationProhibited(_))), "{failed:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn one_bad_address_takes_no_good_one_with_it() {
    let server = always("good").await;
    let address = server.address.to_string();
    let uri = format!("http://mixed.example:{}/", server.address.port());
    let answers: &[&[&str]] = &[&["169.254.169.254", "fe80::1", "10.0.0.1", "127.0.0.1"]];
    let client = client_with(|config| config.resolver = Names::new(&[("mixed.example", answers)]));
    assert_eq!(send(&client, &uri, &egress(&["*:*"], &[&address])).await.unwrap(), "good");
}

#[tokio::test]
async fn an_address_that_refuses_is_followed_by_the_next() {
    let server = always("second").await;
    let port = server.address.port();
    let client = client_with(|config| {
        config.resolver = Names::new(&[("two.example", &[&["127.0.0.2", "127.0.0.1"]])])
    });
    let granted = egress(&["*:*"], &["127.0.0.0/8"]);
    assert_eq!(send(&client, &format!("http://two.example:{port}/"), &granted).await.unwrap(), "second");
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_overtaken_by_the_next() {
    let server = always("second").await;
    let port = server.address.port();
    // A full backlog drops what else arrives, as a firewall does.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 2], port));
    silent.bind(&address.into()).unwrap();
    silent.listen(0).unwrap();
    let _fills_the_backlog = std::net::TcpStream::connect(address).unwrap();
    let names = Names::new(&[("two.example", &[&["127.0.0.2", "127.0.0.1"]])]);
    let client = client_with(|config| config.resolver = names);
    let granted = egress(&["*:*"], &["127.0.0.0/8"]);
    let start = std::time::Instant::now();
    assert_eq!(send(&client, &format!("http://two.example:{port}/"), &granted).await.unwrap(), "second");
    assert!(start.elapsed() >= rimward_upstream::limits::ATTEMPT_STAGGER);
}

#[tokio::test]
async fn addresses_beyond_the_limit_are_not_tried() {
    let server = always("last").await;
    let uri = format!("http://many.example:{}/", server.address.port());
    let granted = egress(&["*:*"], &["127.0.0.1/32"]);
    for (blocked, reached) in [
        (rimward_upstream::limits::ADDRESSES_MAX - 1, true),
        (rimward_upstream::limits::ADDRESSES_MAX, false),
    ] {
        let answer: Vec<&str> = std::iter::repeat_n("10.0.0.1", blocked).chain(["127.0.0.1"]).collect();
        let client = client_with(|config| config.resolver = Names::new(&[("many.example", &[&answer])]));
        assert_eq!(send(&client, &uri, &granted).await.is_ok(), reached, "{blocked}");
    }
}

#[tokio::test]
async fn this_nodes_own_listeners_are_out_of_reach_whatever_is_allowed() {
    let server = always("node").await;
    let port = server.address.port();
    let any = egress(&["*:*"], &["127.0.0.0/8", "::1/128"]);
    for own in
        [server.address, format!("0.0.0.0:{port}").parse().unwrap(), format!("[::]:{port}").parse().unwrap()]
    {
        let client = client_with(|config| config.own = [own].into());
        let failed = send(&client, &format!("http://127.0.0.1:{port}/"), &any).await;
        assert!(matches!(failed, Err(Error::LoopDetected)), "{own}: {failed:?}");
    }
    assert_eq!(server.connections(), 0);
}

/// C1, C11.
#[tokio::test]
async fn failures_before_a_connection_are_told_apart() {
    let closed = always("gone").await;
    let address = closed.address;
    drop(closed);
    let any = egress(&["*:*"], &["127.0.0.1/32"]);
    let client = client_with(|config| config.resolver = Names::new(&[("nowhere.example", &[&[]])]));
    let failed = send(&client, "http://nowhere.example/", &any).await;
    assert!(matches!(failed, Err(Error::DestinationNotFound)), "{failed:?}");
    let failed = send(&client, "http://unknown.example/", &any).await;
    assert!(matches!(failed, Err(Error::Dns(_))), "{failed:?}");
    loop {
        // The listener's task ends a moment after it is dropped.
        match send(&client, &format!("http://{address}/"), &any).await {
            Err(Error::ConnectionRefused) => break,
            Err(Error::ConnectionTerminated(_)) | Ok(_) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
}
