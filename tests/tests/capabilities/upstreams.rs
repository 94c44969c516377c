//! Named upstreams: what the node adds to a call, connections, TLS; and that no secret shows anywhere.

use crate::support::{asks_for_a_certificate, call, caller, nobody};
use http::Version;
use rimward_manifest::{ClientCertificate, FileAt, UpstreamBinding};
use rimward_tests::{App, Authority, Fake, TestNode, always, echoes, fake, fake_over_tls, node, replies};
use std::path::Path;

const SECRET: &str = "k3y-that-nobody-may-see";

/// An app that calls `fake` as `vision`, with a key that the node adds.
fn keyed(fake: &Fake) -> App {
    let headers = |binding: &mut UpstreamBinding| {
        let template = "Bearer {secret:vision-key}".parse().expect("it is a template");
        binding.headers.insert("authorization".parse().expect("it is a header"), template);
    };
    bind(caller().upstream("vision", fake), headers)
}

fn bind(app: App, change: impl FnOnce(&mut UpstreamBinding)) -> App {
    app.bound(|bind| change(bind.upstreams.entry("vision".parse().expect("it is a name")).or_default()))
}

#[tokio::test]
async fn the_node_adds_the_key_and_the_guest_cannot_replace_it() {
    let vision = fake(echoes());
    let node = node().secret("vision-key", SECRET).app(keyed(&vision)).start().await;
    let request = call(&node, "http://vision.upstream.internal/").header("x-send-authorization", "mine");
    request.header("x-body", "hello").await.is(200).says("200 hello");
    let seen = vision.sees(1).await;
    let sent: Vec<_> = seen[0].headers.get_all("authorization").iter().collect();
    assert_eq!(sent, [format!("Bearer {SECRET}").as_str()]);
}

/// F18: nothing that the node puts out has a secret in it, whatever goes wrong.
#[tokio::test]
async fn a_secret_shows_in_no_reply_no_log_no_metric_and_no_error() {
    let vision = fake(replies(|_| async { panic!("a connection that breaks") }));
    let node = node().secret("vision-key", SECRET).app(keyed(&vision)).start().await;
    // The harness looks for it in every reply.
    call(&node, "http://vision.upstream.internal/").await.is(200).mentions("error ");
    node.install(bind(keyed(&vision), |binding| {
        binding.url = Some(nobody().parse().expect("it is a URL"));
    }))
    .await;
    call(&node, "http://vision.upstream.internal/").await.is(200).mentions("error ");
    node.heard().ends(2).await;
    assert_shows_nothing(&node).await;
}

async fn assert_shows_nothing(node: &TestNode) {
    let metrics = node.ops("/metrics").await.1;
    let heard = format!("{:?} {:?}", node.heard().ended(), node.heard().logged());
    let status = format!("{:?}", node.node().status());
    for text in [metrics, heard, status] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named_without_its_value() {
    let vision = fake(always(200));
    let node = node().start().await;
    let why = node.refuses(keyed(&vision)).await;
    assert!(why.contains("`vision-key`"), "{why}");
}

#[tokio::test]
async fn a_header_with_a_secret_that_no_header_can_have_is_refused_without_showing_it() {
    let vision = fake(always(200));
    let node = node().secret("vision-key", "two\nlines-of-it").start().await;
    let why = node.refuses(keyed(&vision)).await;
    assert!(!why.contains("lines-of-it"), "{why}");
}

#[tokio::test]
async fn instances_share_the_connections_of_their_tenant() {
    let node = node().app(caller()).upstream("vision", always(200)).start().await;
    let connection = node.connect(rimward_tests::Over::Http1).await;
    for _ in 0..5 {
        let request = connection.get("/").header("x-to", "http://vision.upstream.internal/");
        request.header("x-times", "2").await.is(200).says("200 \n200 ");
    }
    assert_eq!(node.upstream("vision").sees(10).await.len(), 10);
    assert_eq!(node.upstream("vision").connections(), 1);
}

#[tokio::test]
async fn tenants_do_not_share_connections() {
    let vision = fake(always(200));
    let app = |tenant: &str| {
        caller().on(&format!("{tenant}.example")).of_tenant(tenant).upstream("vision", &vision)
    };
    let node = node()
        .file(|file| file.node.cores = std::num::NonZeroU32::new(1))
        .tenants("[tenant.one]\nhosts = [\"one.example\"]\n[tenant.two]\nhosts = [\"two.example\"]")
        .app(app("one"))
        .app(app("two"))
        .start()
        .await;
    for host in ["one.example", "two.example", "one.example", "two.example"] {
        call(&node, "http://vision.upstream.internal/").host(host).await.is(200).says("200 ");
    }
    assert_eq!(vision.connections(), 2);
}

/// A file of the operator's.
fn at(node: &TestNode, name: &str, text: &str) -> FileAt {
    let path = node.folder().join(name);
    std::fs::write(&path, text).expect("the folder can be written to");
    FileAt::Node(path)
}

/// An upstream with a certificate of `authority`, which the app trusts.
async fn trusting(node: &TestNode, authority: &Authority, vision: &Fake) -> App {
    let ca = at(node, "ca.pem", authority.pem());
    bind(caller().upstream("vision", vision), |binding| binding.ca = Some(ca))
}

#[tokio::test]
async fn an_upstream_of_an_own_authority_is_called_over_http2_on_one_connection() {
    let authority = Authority::new();
    let vision = fake_over_tls(echoes(), authority.certify(&["127.0.0.1"]).server());
    let node = node().start().await;
    node.install(trusting(&node, &authority, &vision).await).await;
    let request = call(&node, "http://vision.upstream.internal/").header("x-times", "2");
    let answer = request.header("x-at-once", "4").header("x-body", "hello").await;
    assert_eq!(answer.is(200).text(), ["200 hello"; 8].join("\n"));
    assert!(vision.sees(8).await.iter().all(|seen| seen.version == Version::HTTP_2));
    assert!(vision.connections() <= 4, "streams share connections: {}", vision.connections());
}

#[tokio::test]
async fn another_authoritys_certificate_is_not_trusted() {
    let vision = fake_over_tls(echoes(), Authority::new().certify(&["127.0.0.1"]).server());
    let node = node().start().await;
    node.install(trusting(&node, &Authority::new(), &vision).await).await;
    call(&node, "http://vision.upstream.internal/")
        .await
        .is(200)
        .says("error ErrorCode::TlsCertificateError");
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_certificate_is_shown_the_nodes() {
    let authority = Authority::new();
    let ours = authority.certify(&["node.example"]);
    let server = asks_for_a_certificate(&authority, &authority.certify(&["127.0.0.1"]));
    let vision = fake_over_tls(echoes(), server);
    let node = node().secret("node-key", &ours.key).start().await;
    let without = trusting(&node, &authority, &vision).await;
    let cert = at(&node, "node.pem", &ours.certificate);
    let key = "node-key".parse().expect("it is a name");
    let with =
        bind(without.clone(), |binding| binding.client_certificate = Some(ClientCertificate { cert, key }));
    node.install(without).await;
    call(&node, "http://vision.upstream.internal/").await.is(200).mentions("error ErrorCode::");
    node.install(with).await;
    call(&node, "http://vision.upstream.internal/").await.is(200).says("200 ");
}

#[tokio::test]
async fn a_file_of_the_operators_that_is_not_there_is_named() {
    let vision = fake(always(200));
    let node = node().start().await;
    let missing = FileAt::Node(Path::new("/nowhere/ca.pem").into());
    let why =
        node.refuses(bind(caller().upstream("vision", &vision), |binding| binding.ca = Some(missing))).await;
    assert!(why.contains("`/nowhere/ca.pem`"), "{why}");
}
