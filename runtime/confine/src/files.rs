//! Which files a process reaches (landlock). What is open stays open; everything else is by path, and a rule on a folder
//! holds for all that is below it, also what comes later.

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::path::PathBuf;

/// The newest interface of the kernel that is asked for. Older kernels do what they can: see [`supported`] for the least.
const NEWEST: ABI = ABI::V6;

/// Files and folders that a server keeps. One that is not there is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// To read, and folders to list.
    pub read: Vec<PathBuf>,
    /// To read, write, make and remove.
    pub write: Vec<PathBuf>,
    /// Programs to read and execute, or folders of them.
    pub execute: Vec<PathBuf>,
}

pub(crate) fn restrict(reach: &Reach) -> Result<(), String> {
    let status = apply(reach).map_err(|error| error.to_string())?;
    match status {
        RulesetStatus::NotEnforced => Err(LACKING.into()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

const LACKING: &str =
    "the kernel has no landlock, or it is switched off: Linux 5.13 or later with `landlock` among `lsm=`";

/// Whether the kernel restricts files at all.
pub(crate) fn supported() -> Result<(), String> {
    let least = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    least.map(drop).map_err(|_| LACKING.into())
}

fn apply(reach: &Reach) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::from_read(NEWEST) & !BitFlags::from(AccessFs::Execute);
    let execute = AccessFs::from_read(NEWEST);
    // Devices are none of a server's business, and what it writes it does not execute.
    let devices = AccessFs::MakeChar | AccessFs::MakeBlock;
    let write = (read | AccessFs::from_write(NEWEST)) & !devices;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (paths, access) in [(&reach.read, read), (&reach.write, write), (&reach.execute, execute)] {
        for path in paths {
            let Ok(opened) = PathFd::new(path) else { continue };
            let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
            rules = rules.add_rule(PathBeneath::new(opened, access))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset)
}
