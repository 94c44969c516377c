//! Which system calls a process has left (seccomp).
//!
//! A server gets a list of what is refused. What it needs depends on the version of the C library, of the kernel and of
//! every dependency, so that a list of what is allowed would one day stop a node in the field; and what is refused is
//! what no server ever needs and what kernels were attacked through. The compiler computes and nothing else, so it gets a
//! list of what is allowed. Whatever is not on it does not exist (`ENOSYS`), which C libraries know how to live with.

mod lists;

use lists::{COMPILER, FAMILIES, NAMESPACES, NO_SUCH_CALL, REFUSED};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// On x86-64 every call also has the number that programs with short pointers use; a filter has to know both.
#[cfg(target_arch = "x86_64")]
const OTHER_NUMBER: Option<i64> = Some(0x4000_0000);
#[cfg(not(target_arch = "x86_64"))]
const OTHER_NUMBER: Option<i64> = None;

pub(crate) fn supported() -> Result<(), String> {
    arch()?;
    match std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.contains("errno") => Ok(()),
        _ => Err("the kernel has no seccomp filters".into()),
    }
}

pub(crate) fn of_a_server() -> Result<(), String> {
    // The second filter is judged together with the first: the stricter answer holds.
    apply(no_such_call()?, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()))?;
    apply(refused()?, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.cast_unsigned()))
}

pub(crate) fn of_a_compiler() -> Result<(), String> {
    let no_such_call = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    apply(allowed()?, no_such_call, SeccompAction::Allow)
}

fn no_such_call() -> Result<Rules, String> {
    let mut rules = Rules::new();
    always(&mut rules, NO_SUCH_CALL);
    Ok(rules)
}

fn refused() -> Result<Rules, String> {
    let mut rules = Rules::new();
    always(&mut rules, REFUSED);
    for flag in NAMESPACES {
        when(&mut rules, libc::SYS_clone, vec![flags(0, *flag)?])?;
    }
    // Putting characters into a terminal's input makes its next reader, a shell, run them.
    when(&mut rules, libc::SYS_ioctl, vec![equals(1, libc::TIOCSTI)?])?;
    when(&mut rules, libc::SYS_ioctl, vec![equals(1, TIOCLINUX)?])?;
    let others = FAMILIES.iter().map(|family| differs(0, i64::from(*family)));
    when(&mut rules, libc::SYS_socket, others.collect::<Result<_, _>>()?)?;
    Ok(rules)
}

const TIOCLINUX: u64 = 0x541c;

fn allowed() -> Result<Rules, String> {
    let mut rules = Rules::new();
    for call in COMPILER {
        rules.insert(*call, Vec::new());
    }
    // Threads, and no processes.
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    rules.insert(libc::SYS_clone, vec![rule(vec![flags(0, thread)?])?]);
    rules.insert(libc::SYS_prctl, vec![rule(vec![equals(0, libc::PR_SET_NAME)?])?]);
    // Ending itself with a signal, and nobody else.
    rules.insert(libc::SYS_tgkill, vec![rule(vec![equals(0, std::process::id())?])?]);
    Ok(rules)
}

fn always(rules: &mut Rules, calls: &[i64]) {
    for call in calls {
        rules.insert(*call, Vec::new());
        if let Some(other) = OTHER_NUMBER {
            rules.insert(call | other, Vec::new());
        }
    }
}

fn when(rules: &mut Rules, call: i64, conditions: Vec<SeccompCondition>) -> Result<(), String> {
    for number in [Some(call), OTHER_NUMBER.map(|other| call | other)].into_iter().flatten() {
        rules.entry(number).or_default().push(rule(conditions.clone())?);
    }
    Ok(())
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, String> {
    SeccompRule::new(conditions).map_err(|error| error.to_string())
}

fn equals(argument: u8, value: impl TryInto<u64>) -> Result<SeccompCondition, String> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn differs(argument: u8, value: impl TryInto<u64>) -> Result<SeccompCondition, String> {
    condition(argument, SeccompCmpOp::Ne, value)
}

fn flags(argument: u8, all_of: u64) -> Result<SeccompCondition, String> {
    condition(argument, SeccompCmpOp::MaskedEq(all_of), all_of)
}

/// The kernel takes these arguments as 32 bits, so that is what is compared: what is above does not hide a value.
fn condition(argument: u8, how: SeccompCmpOp, value: impl TryInto<u64>) -> Result<SeccompCondition, String> {
    let value = value.try_into().map_err(|_| "a value of a rule is negative".to_owned())?;
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value).map_err(|error| error.to_string())
}

fn arch() -> Result<TargetArch, String> {
    TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| format!("there are no filters for {}", std::env::consts::ARCH))
}

fn apply(rules: Rules, otherwise: SeccompAction, on_match: SeccompAction) -> Result<(), String> {
    let filter =
        SeccompFilter::new(rules, otherwise, on_match, arch()?).map_err(|error| error.to_string())?;
    let program: BpfProgram =
        filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_refused_by_each_of_its_numbers() {
        let rules = refused().unwrap();
        for call in [libc::SYS_ptrace, libc::SYS_clone, libc::SYS_socket] {
            assert!(rules.contains_key(&call), "{call}");
            let other = OTHER_NUMBER.map(|other| call | other);
            assert!(other.is_none_or(|other| rules.contains_key(&other)), "{call}");
        }
    }

    #[test]
    fn the_compiler_may_open_connect_and_execute_nothing() {
        let rules = allowed().unwrap();
        for call in
            [libc::SYS_openat, libc::SYS_socket, libc::SYS_connect, libc::SYS_execve, libc::SYS_ptrace]
        {
            assert!(!rules.contains_key(&call), "{call}");
        }
    }
}
