//! What proves to an upstream who calls: fetched or computed by the node, renewed from files, never seen by a function.

use crate::support::{asks_for_a_certificate, call, caller};
use http::Response;
use rimward_manifest::{ClientCertificate, FileAt};
use rimward_tests::{App, Authority, Fake, TestNode, always, fake, fake_over_tls, node, replies};
use std::path::Path;
use std::time::{Duration, Instant};

const VISION: &str = "http://vision.upstream.internal/";

/// An app that calls `fake` as `vision`, with these keys in its manifest.
fn app_with(fake: &Fake, keys: &str) -> App {
    caller().upstream_at("vision", &fake.url(), keys)
}

/// Calls until the upstream has seen what was waited for.
async fn until(node: &TestNode, what: &str, is_there: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        call(node, VISION).await.is(200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// F18: a token in a file that somebody rotates is followed without a reload.
#[tokio::test]
async fn a_secret_in_a_header_follows_its_file() {
    let vision = fake(always(200));
    let app = app_with(&vision, "headers = { authorization = 'Bearer {secret:token}' }");
    let node = node().secret("token", "first-secret").app(app).start().await;
    call(&node, VISION).await.is(200);
    let file = node.folder().join("secret-token");
    let proof = |seen: usize| vision.seen()[seen].headers["authorization"].to_str().unwrap().to_owned();
    assert_eq!(proof(0), "Bearer first-secret");
    std::fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    call(&node, VISION).await.is(200);
    assert_eq!(proof(1), "Bearer first-secret", "the old one stays while there is none");
    std::fs::write(&file, "second-secret\n").unwrap();
    until(&node, "the file is followed", || {
        vision.seen().last().is_some_and(|seen| seen.headers["authorization"] == "Bearer second-secret")
    })
    .await;
}

/// C13: a client certificate that was replaced on the node is shown without a reload, and a pair that does not fit is not
/// taken.
#[tokio::test]
async fn a_client_certificate_follows_its_files() {
    let (of_servers, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let server = asks_for_a_certificate(&new, &of_servers.certify(&["127.0.0.1"]));
    let vision = fake_over_tls(always(200), server);
    let folder = tempfile::tempdir().unwrap();
    let (cert, ca) = (folder.path().join("client.pem"), folder.path().join("ca.pem"));
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    let before = old.certify(&["edge"]);
    write(&cert, &before.certificate);
    write(&ca, of_servers.pem());
    let app = caller().upstream("vision", &vision).bound(|bind| {
        let binding = bind.upstreams.get_mut("vision").expect("it was just bound");
        binding.ca = Some(FileAt::Node(ca.clone()));
        let key = "client-key".parse().unwrap();
        binding.client_certificate = Some(ClientCertificate { cert: FileAt::Node(cert.clone()), key });
    });
    let node = node().secret("client-key", &before.key).app(app).start().await;
    call(&node, VISION).await.is(200).mentions("error ");
    let after = new.certify(&["edge"]);
    // Half of a change: it is not taken, and the next half is.
    write(&cert, &after.certificate);
    tokio::time::sleep(Duration::from_secs(6)).await;
    call(&node, VISION).await.is(200).mentions("error ");
    assert!(vision.seen().is_empty());
    write(&node.folder().join("secret-client-key"), &after.key);
    until(&node, "the new certificate is shown", || !vision.seen().is_empty()).await;
    call(&node, VISION).await.is(200).says("200 ");
}

/// An authorization server.
fn login(answer: &'static str) -> Fake {
    fake(replies(move |_| async move { Response::new(answer.into()) }))
}

fn oauth(vision: &Fake, login: &Fake, more: &str) -> App {
    let auth = format!(
        "{more}auth = {{ oauth = {{ token-url = '{}/oauth/token', client-id = 'edge', client-secret = 'login', scope = 'infer' }} }}",
        login.url()
    );
    app_with(vision, &auth).bound(|bind| {
        let binding = bind.upstreams.get_mut("vision").expect("it was just bound");
        binding
            .allow
            .push(format!("127.0.0.1/32:{}", login.address().port()).parse().expect("it is a network"));
    })
}

/// F18: a token of an authorization server goes with each call, and no function sees it.
#[tokio::test]
async fn a_call_has_the_token_that_the_node_fetched() {
    let login = login(r#"{"access_token":"t0ken-of-login","token_type":"Bearer","expires_in":3600}"#);
    let vision = fake(always(200));
    let node = node().secret("login", "l0gin-password").app(oauth(&vision, &login, "")).start().await;
    let request = call(&node, VISION).header("x-send-authorization", "the function's own");
    request.await.is(200).says("200 ");
    for answer in call(&node, VISION).times(20).await {
        answer.is(200).says("200 ");
    }
    assert!(vision.seen().iter().all(|seen| seen.headers["authorization"] == "Bearer t0ken-of-login"));
    let asked = login.sees(1).await;
    assert_eq!(asked.len(), 1, "one token for all calls and cores");
    assert_eq!(asked[0].uri.path(), "/oauth/token");
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=infer");
}

/// C8, F18: without a token the upstream is not asked, and the function hears why without hearing where.
#[tokio::test]
async fn a_call_without_a_token_says_so_and_falls_back_where_it_can() {
    let (login, vision) = (fake(always(403)), fake(always(200)));
    let node = node().secret("login", "l0gin-password").app(oauth(&vision, &login, "")).start().await;
    call(&node, VISION).await.is(200).mentions("error ");
    node.heard().log("no credentials for it").await;
    let fallback = "fallback = { status = 200, body = 'by itself' }\n";
    node.install(oauth(&vision, &login, fallback)).await;
    call(&node, VISION).await.is(200).says("200 by itself");
    assert!(vision.seen().is_empty());
}

#[tokio::test]
async fn a_call_is_signed_with_keys_of_aws() {
    let vision = fake(always(200));
    let auth = "auth = { aws = { region = 'eu-central-1', service = 'sagemaker', access-key = 'id', secret-key = 'key' } }";
    let node = node()
        .secret("id", "AKIDNODE")
        .secret("key", "aws-s3cret-key")
        .app(app_with(&vision, auth))
        .start()
        .await;
    call(&node, VISION).header("x-body", "abc").await.is(200).says("200 ");
    let seen = vision.sees(1).await;
    let header = |name: &str| seen[0].headers[name].to_str().unwrap().to_owned();
    let proof = header("authorization");
    assert!(proof.starts_with("AWS4-HMAC-SHA256 Credential=AKIDNODE/20"), "{proof}");
    assert!(proof.contains("/eu-central-1/sagemaker/aws4_request, SignedHeaders="), "{proof}");
    assert!(!proof.contains("aws-s3cret-key"));
    assert_eq!(header("x-amz-date").len(), 16);
}
