//! Rust on plain `wstd`, `wasi:http` 0.2: served as a bare component too, without any `rimward.toml`.

use rimward_bundle::Bundle;
use rimward_manifest::Bind;
use rimward_node::Placement;
use rimward_tests::{component, node};

#[tokio::test]
async fn a_bare_component_answers_at_every_path() {
    let node = node().start().await;
    let name = "hello".parse().expect("it is a name");
    let bundle = Bundle::from_component(name, component("hello")).expect("it is a component");
    let placement = Placement { tenant: "default".parse().expect("it is a name"), bind: Bind::default() };
    node.node().install(bundle, placement).await.expect("it is not refused");
    for path in ["/", "/anywhere", "/any/where?at=all"] {
        node.get(path).await.is(200).says("hello\n");
    }
}
