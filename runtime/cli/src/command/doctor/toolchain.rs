//! Whether components can be built here.

use super::Finding;
use crate::print::{duration, note};
use rimward_toolchain::{GuestToolchain, Step, find, install};

const NAME: &str = "guest toolchain";

pub(super) fn look(fix: bool) -> Option<Finding> {
    let found: anyhow::Result<GuestToolchain> = match fix {
        false => find().map_err(Into::into),
        true => install(&mut say).map_err(Into::into),
    };
    Some(match found {
        Ok(toolchain) => Finding::fine(NAME, toolchain.describe()),
        Err(error) if fix => Finding::wrong(NAME, format!("{error:#}"), "see the reasons above"),
        Err(error) => Finding::wrong(
            NAME,
            format!("{error:#}"),
            "`rimward doctor --fix` sets one up: with rustup, or from Debian's packages. A node that only serves needs none",
        ),
    })
}

fn say(step: Step<'_>) {
    match step {
        Step::Started(what) => note!("{what} ..."),
        Step::Done(what, took) => note!("{what}: done in {}", duration(took)),
        Step::Failed(what, took) => note!("{what}: failed after {}", duration(took)),
    }
}
