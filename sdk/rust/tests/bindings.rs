//! The checked-in bindings were generated from the WIT files as they are now.

use sha2::{Digest, Sha256};

const BINDINGS: &str = include_str!("../src/host/wasi/bindings.rs");

/// In the order of the command that generates them.
const WIT: [&str; 4] = [
    include_str!("../../wit/keyvalue-0.2.0-draft2/keyvalue.wit"),
    include_str!("../../wit/config-0.2.0-rc.1/config.wit"),
    include_str!("../../wit/logging-0.1.0-draft/logging.wit"),
    include_str!("../../wit/sdk/sdk.wit"),
];

#[test]
fn the_bindings_are_of_these_wit_files() {
    let recorded = BINDINGS.lines().find_map(|line| line.strip_prefix("//! wit sha256: ")).expect("a hash");
    let actual: String = Sha256::digest(WIT.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        recorded, actual,
        "generate bindings.rs again, with the command at its top, and put the new hash there"
    );
}
