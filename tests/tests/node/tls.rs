//! TLS: protocols by ALPN, certificates by name, and new ones while the node runs.

use http::Version;
use rimward_manifest::{Certificate, Tls};
use rimward_tests::{Authority, Certified, NodeBuilder, Over, TestNode, app, chain, node};
use rustls_pki_types::CertificateDer;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tempfile::TempDir;

/// Writes a certificate where a node finds it.
fn write(folder: &Path, name: &str, certified: &Certified) -> Certificate {
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&key, &certified.key).unwrap();
    std::fs::write(&cert, &certified.certificate).unwrap();
    Certificate { cert, key }
}

fn with_tls(certificates: Vec<Certificate>) -> NodeBuilder {
    let listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    node().file(|file| file.tls = Some(Tls { listen, certificates }))
}

fn over(authority: &Authority, name: &str, protocols: &[&str]) -> Over {
    Over::Tls { client: authority.client(protocols), name: name.to_owned() }
}

fn leaf(certified: &Certified) -> CertificateDer<'static> {
    certified.parts().0.remove(0)
}

/// A node with a certificate for each name.
async fn node_for(authority: &Authority, names: &[&str]) -> (TempDir, TestNode, Vec<Certified>) {
    let folder = tempfile::tempdir().unwrap();
    let certified: Vec<_> = names.iter().map(|name| authority.certify(&[name])).collect();
    let files = names.iter().zip(&certified).map(|(name, one)| write(folder.path(), name, one)).collect();
    let node = with_tls(files).app(app("mirror")).start().await;
    (folder, node, certified)
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let authority = Authority::new();
    let (_folder, node, _) = node_for(&authority, &["a.example"]).await;
    let cases: [(&[&str], Version); 4] = [
        (&["h2", "http/1.1"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&["http/1.1", "h2"], Version::HTTP_2),
        (&[], Version::HTTP_11),
    ];
    for (offered, spoken) in cases {
        let answer = node.get_over_tls(over(&authority, "a.example", offered), "/").host("a.example").await;
        assert_eq!(answer.is(200).version(), spoken, "{offered:?}");
        answer.mentions("GET https://a.example/\n");
    }
}

/// H12.
#[tokio::test]
async fn a_client_that_speaks_nothing_in_common_is_refused() {
    let authority = Authority::new();
    let (_folder, node, _) = node_for(&authority, &["a.example"]).await;
    assert!(node.get_over_tls(over(&authority, "a.example", &["h3"]), "/").try_open().await.is_err());
    let stranger = Authority::new();
    assert!(node.get_over_tls(over(&stranger, "a.example", &[]), "/").try_open().await.is_err());
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let authority = Authority::new();
    let (_folder, node, certified) = node_for(&authority, &["a.example", "b.example"]).await;
    for (name, certified) in ["a.example", "b.example"].into_iter().zip(&certified) {
        let connection = node.connect(over(&authority, name, &["h2"])).await;
        assert_eq!(*connection.certificate(), leaf(certified));
        connection.get("/").await.is(200);
    }
}

#[tokio::test]
async fn the_first_certificate_answers_for_unknown_names() {
    let authority = Authority::new();
    let (_folder, node, _) = node_for(&authority, &["127.0.0.1", "b.example"]).await;
    let connection = node.connect(over(&authority, "127.0.0.1", &[])).await;
    connection.get("/").await.is(200);
}

/// F11: open connections go on.
#[tokio::test]
async fn a_certificate_that_changes_is_used_for_new_connections() {
    let authority = Authority::new();
    let (folder, node, old) = node_for(&authority, &["a.example"]).await;
    let open = node.connect(over(&authority, "a.example", &["h2"])).await;
    let new = authority.certify(&["a.example"]);
    write(folder.path(), "a.example", &new);
    let changed = async {
        loop {
            let connection = node.connect(over(&authority, "a.example", &["h2"])).await;
            connection.get("/").await.is(200);
            if *connection.certificate() == leaf(&new) {
                break;
            }
            assert_eq!(*connection.certificate(), leaf(&old[0]), "never anything in between");
        }
    };
    rimward_tests::within("the new certificate", changed).await;
    open.get("/").await.is(200);
}

#[tokio::test]
async fn a_certificate_and_a_foreign_key_are_refused_at_start() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (authority.certify(&["a.example"]), authority.certify(&["a.example"]));
    let mixed = Certified { certificate: one.certificate, key: other.key };
    let files = vec![write(folder.path(), "mixed", &mixed)];
    let Err(error) = with_tls(files).try_start().await else { panic!("the node started") };
    assert!(chain(&error).contains("mixed.pem` and its key cannot be used together"), "{}", chain(&error));
    let missing = Certificate { cert: folder.path().join("none.pem"), key: folder.path().join("none.key") };
    let Err(error) = with_tls(vec![missing]).try_start().await else { panic!("the node started") };
    assert!(chain(&error).contains("none.pem"), "{}", chain(&error));
}
