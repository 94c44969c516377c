//! Every file of every corpus, on stable and without cargo-fuzz.

use rimward_fuzz_targets::ALL;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one input may take: the readers are linear, and inputs small. Much more than it takes on a busy machine.
const ONE_INPUT: Duration = Duration::from_secs(10);

/// D1, D10, F9, H7: whatever was found once does not come back.
#[test]
fn every_input_of_every_corpus_is_read_without_a_failure() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in ALL {
        let entries = std::fs::read_dir(corpora.join(name)).expect("every target has a corpus");
        let inputs: Vec<_> = entries.map(|entry| entry.expect("it is there").path()).collect();
        assert!(inputs.len() >= 3, "the corpus of {name} has {} inputs", inputs.len());
        for input in inputs {
            let bytes = std::fs::read(&input).expect("it is there");
            let started = Instant::now();
            let read = std::panic::catch_unwind(|| target(&bytes));
            assert!(read.is_ok(), "{}", input.display());
            assert!(started.elapsed() < ONE_INPUT, "{} took {:?}", input.display(), started.elapsed());
        }
    }
}

/// No target is without its program for cargo-fuzz.
#[test]
fn every_target_can_be_fuzzed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let programs = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("it is there");
    for (name, _) in ALL {
        assert!(programs.contains(&format!("name = {name:?}")), "{name}");
        let program =
            std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{}.rs", name.replace('-', "_"))));
        assert!(
            program.is_ok_and(|text| text.contains(&format!("::{}(bytes)", name.replace('-', "_")))),
            "{name}"
        );
    }
}
