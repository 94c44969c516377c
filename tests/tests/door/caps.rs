//! How many connections there may be: for one address, and in a TLS handshake.

use rimward_manifest::{Certificate, Tls};
use rimward_node::limits::HANDSHAKE_TIME;
use rimward_tests::{Authority, NodeBuilder, Over, Raw, TestNode, app, eventually, node};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// The status of a reply to a request on this connection; none where the node closes it.
async fn status(stream: &mut TcpStream) -> Option<String> {
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut reply = [0; 12];
    let read = async { stream.read_exact(&mut reply).await };
    let answered = rimward_tests::within("a reply or the end", read).await;
    (asked.is_ok() && answered.is_ok()).then(|| String::from_utf8_lossy(&reply).into_owned())
}

fn with_limit(per_address: u32) -> NodeBuilder {
    node().file(|file| file.limits.connections_per_address = NonZeroU32::new(per_address))
}

/// H17: an address has so many connections and not one more; others have theirs, and a place that is free is given again.
#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let node = with_limit(3).app("hello").start().await;
    let (one, other) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(one, node.address()).await;
        assert!(status(&mut stream).await.is_some(), "up to the limit");
        open.push(stream);
    }
    for refused in 1..=4 {
        assert_eq!(status(&mut connect(one, node.address()).await).await, None, "over the limit");
        node.metric("rimward_connections_refused_total", "reason=address").is(f64::from(refused)).await;
    }
    assert!(status(&mut connect(other, node.address()).await).await.is_some(), "another has its own");
    drop(open.pop());
    eventually("its place is free", || (node.node().status().connections == 2).then_some(())).await;
    assert!(status(&mut connect(one, node.address()).await).await.is_some());
}

/// H17: by default one address of this machine may have all that there are: a proxy does.
#[tokio::test]
async fn clients_on_this_machine_are_not_counted_by_default() {
    let node = node().file(|file| file.limits.connections = NonZeroU32::new(8).unwrap());
    let node = node.app("hello").start().await;
    let mut open: Vec<Raw> = Vec::new();
    for _ in 0..8 {
        let mut raw = node.raw().await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(raw.reply().await.status(), 200);
        open.push(raw);
    }
    node.metric("rimward_connections_refused_total", "").is(0.0).await;
}

async fn with_tls(authority: &Authority, connections: u32) -> (TempDir, TestNode) {
    let folder = tempfile::tempdir().unwrap();
    let certified = authority.certify(&["a.example"]);
    let (cert, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
    std::fs::write(&cert, &certified.certificate).unwrap();
    std::fs::write(&key, &certified.key).unwrap();
    let node = node().file(|file| {
        let listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        file.tls = Some(Tls { listen, certificates: vec![Certificate { cert, key }] });
        file.limits.connections = NonZeroU32::new(connections).unwrap();
    });
    let node = node.app(app("hello")).start().await;
    (folder, node)
}

/// H12: clients that do not finish their handshake take half of the places at the most, and those who finish are served.
#[tokio::test]
async fn handshakes_that_never_end_do_not_take_every_place() {
    let authority = Authority::new();
    let (_folder, node) = with_tls(&authority, 8).await;
    let over = Over::Tls { client: authority.client(&["h2"]), name: "a.example".to_owned() };
    let served = node.connect(over.clone()).await;
    served.get("/").await.is(200);
    let tls = node.node().addresses().https[0];
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(TcpStream::connect(tls).await.unwrap());
    }
    eventually("four are at it", || (node.node().status().connections == 5).then_some(())).await;
    let mut refused = TcpStream::connect(tls).await.unwrap();
    let read = rimward_tests::within("the end", refused.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    node.metric("rimward_connections_refused_total", "reason=handshakes").is(1.0).await;
    served.get("/").await.is(200);
    node.get("/").await.is(200);
    drop(idle.pop());
    eventually("one has gone", || (node.node().status().connections == 4).then_some(())).await;
    node.connect(over).await.get("/").await.is(200);
}

/// H12: a client that speaks something else, and one that only knows what is broken (TLS 1.1).
#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let authority = Authority::new();
    let (_folder, node) = with_tls(&authority, 8).await;
    let tls = node.node().addresses().https[0];
    let mut hello = vec![22, 3, 1, 0, 49, 1, 0, 0, 45, 3, 2];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 4, 0, 0x2f, 0, 0x35, 1, 0, 0, 0]);
    for (refused, bytes) in
        [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], &hello, &[0x80; 64]].iter().enumerate()
    {
        let mut stream = TcpStream::connect(tls).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // It may be reset where the node did not read all.
        let _ = rimward_tests::within("the end", stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty() || answer[0] == 21, "an alert or nothing: {answer:?}");
        #[expect(clippy::cast_precision_loss, reason = "it is small")]
        node.metric("rimward_connections_refused_total", "reason=handshake").is(refused as f64 + 1.0).await;
    }
}

/// H12: a handshake that stops half-way is given up in time.
#[tokio::test]
async fn a_handshake_that_takes_too_long_is_given_up() {
    let authority = Authority::new();
    let (_folder, node) = with_tls(&authority, 8).await;
    let mut silent = TcpStream::connect(node.node().addresses().https[0]).await.unwrap();
    silent.write_all(&[22, 3, 1, 0, 200, 1]).await.unwrap();
    let started = std::time::Instant::now();
    // An alert or nothing, and then the end.
    let _ = rimward_tests::within("the end", silent.read_to_end(&mut Vec::new())).await;
    let took = started.elapsed();
    assert!(took >= HANDSHAKE_TIME - std::time::Duration::from_secs(1), "{took:?}");
    node.metric("rimward_connections_refused_total", "reason=handshake").is(1.0).await;
    eventually("its place is free", || (node.node().status().connections == 0).then_some(())).await;
}
