//! The admin API over its socket, and its pinned OpenAPI document.

#![allow(clippy::unwrap_used, reason = "a test may")]

use rimward_admin::limits::COMPARED_CALLS_MAX;
use rimward_admin::{Client, ClientError, DrainState, NodeState, ServeError, control, openapi, serve};
use rimward_node::{Node, Options, Profile, Silent, StateChoice};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn node(folder: &Path) -> Arc<Node> {
    let mut file = rimward_manifest::NodeFile::default();
    file.node.state = folder.join("state");
    file.node.cache = folder.join("cache");
    file.node.listen = vec!["127.0.0.1:0".parse().unwrap()];
    file.node.cores = Some(1.try_into().unwrap());
    file.limits.concurrency = 4.try_into().unwrap();
    file.ops.listen = None;
    let options = Options {
        file,
        profile: Profile::Serve,
        state: StateChoice::Memory,
        model_launcher: None,
        compiler: None,
        observer: Arc::new(Silent),
        memory: Arc::new(|| None),
        given: Vec::new(),
    };
    Arc::new(Node::start(options).unwrap())
}

/// A node is dropped where blocking is allowed.
async fn with_node<T>(test: impl AsyncFnOnce(Arc<Node>, &Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_owned();
    let node = tokio::task::spawn_blocking(move || node(&at)).await.unwrap();
    let result = test(node.clone(), folder.path()).await;
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_its_status_and_drains_over_its_socket() {
    with_node(async |node, folder| {
        let socket = folder.join("admin.sock");
        let server = serve(node.clone(), &socket, control().0).unwrap();
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let client = Client::new(&socket);
        let status = client.status().await.unwrap();
        assert_eq!((status.state, status.permits, status.apps.len()), (NodeState::Serving, 4, 0));
        assert_eq!(client.functions().await.unwrap().functions, []);
        let too_long = client.drain(Duration::from_secs(301)).await;
        assert!(matches!(too_long, Err(ClientError::Refused(problem)) if problem.code == "rimward.admin.bad-query"));
        assert_eq!(client.drain(Duration::from_secs(5)).await.unwrap().state, DrainState::Finished);
        assert_eq!(client.status().await.unwrap().state, NodeState::Draining);
        drop(server);
        let gone = client.status().await.unwrap_err().to_string();
        assert!(gone.contains("is it running?"), "{gone}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_compared_by_name_and_with_as_many_calls_as_may_be() {
    with_node(async |node, folder| {
        let socket = folder.join("admin.sock");
        let _server = serve(node.clone(), &socket, control().0).unwrap();
        let client = Client::new(&socket);
        assert_eq!(client.models().await.unwrap().models, []);
        let refused = async |calls| match client.compare("default/app/model", calls).await {
            Err(ClientError::Refused(problem)) => problem.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(0).await, "rimward.admin.bad-query");
        assert_eq!(refused(COMPARED_CALLS_MAX + 1).await, "rimward.admin.bad-query");
        assert_eq!(refused(COMPARED_CALLS_MAX).await, "rimward.admin.no-such-model");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_in_use_is_refused_and_one_that_was_left_behind_is_replaced() {
    with_node(async |node, folder| {
        let socket = folder.join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let server = serve(node.clone(), &socket, control().0).unwrap();
        assert!(matches!(serve(node.clone(), &socket, control().0), Err(ServeError::Taken(_))));
        drop(server);
    })
    .await;
}

/// `RIMWARD_BLESS=1` writes it anew.
#[test]
fn the_openapi_document_is_the_pinned_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/admin.openapi.json");
    let text = openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("RIMWARD_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        text,
        std::fs::read_to_string(&path).unwrap(),
        "run again with RIMWARD_BLESS=1 if the change is meant"
    );
}
