//! Compiling a component, in a process of its own: a hostile component can make the compiler use much time and memory,
//! and must not take the node down with it. One at a time, low priority, killed at its deadline.
//!
//! The parent hands over the component as standard input and takes the code from standard output, both files in memory
//! without a name. That is all that the child reaches: it confines itself ([`rimward_confine::worker`]) before it reads.

use crate::code::{Generation, LoadError};
use crate::config::code_config;
use crate::{features, limits};
use rimward_confine::Mode;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wasmparser::{Payload, Validator, WasmFeatures};

/// How components are compiled.
pub struct Compiler {
    how: How,
    turn: Mutex<()>,
}

enum How {
    Child { program: PathBuf, arguments: Vec<OsString>, limits: ChildLimits },
    Here,
}

/// What a compiling process may use.
#[derive(Debug, Clone, Copy)]
pub struct ChildLimits {
    /// CPU time.
    pub cpu: Duration,
    /// Wall time.
    pub wall: Duration,
    /// Address space, bytes.
    pub memory_bytes: u64,
    /// What happens where the kernel cannot confine it.
    pub confine: Mode,
}

impl Default for ChildLimits {
    fn default() -> Self {
        Self {
            cpu: limits::COMPILE_CPU,
            wall: limits::COMPILE_WALL,
            memory_bytes: limits::COMPILE_MEMORY_BYTES,
            confine: Mode::Auto,
        }
    }
}

/// Why compiling failed.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler refused the component.
    #[error("{0}")]
    Refused(String),
    /// It took longer than it may.
    #[error("compiling took longer than {} s and was stopped", .0.as_secs())]
    Wall(Duration),
    /// The process ended early: out of its CPU time or memory, or killed.
    #[error("the compiling process ended early ({status}): it may use {} s of CPU and {} MiB", limits.cpu.as_secs(), limits.memory_bytes >> 20)]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// What it may use.
        limits: ChildLimits,
    },
    /// The process could not be started, fed or read.
    #[error("the compiling process could not be used")]
    Io(#[source] std::io::Error),
    /// It could not give up what it has to.
    #[error(transparent)]
    Confine(#[from] rimward_confine::ConfineError),
}

impl Compiler {
    /// Compiles in a child process: `program arguments.. GENERATION CPU_SECONDS MEMORY_BYTES CONFINE`, which is to call
    /// [`compile_stdio`] with these.
    pub fn child(program: PathBuf, arguments: Vec<OsString>, limits: ChildLimits) -> Self {
        Self { how: How::Child { program, arguments, limits }, turn: Mutex::new(()) }
    }

    /// Compiles in this process: for one-shot commands and tests, where the component is the user's own.
    pub fn here() -> Self {
        Self { how: How::Here, turn: Mutex::new(()) }
    }

    /// Waits for the right to compile: one at a time, so that a herd on one new component compiles it once.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles a component. Blocks until it is done.
    pub(crate) fn compile(&self, generation: Generation, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        match &self.how {
            How::Here => precompile(generation, wasm),
            How::Child { program, arguments, limits } => {
                let mut command = Command::new(program);
                command.args(arguments).arg(generation.name()).env_clear();
                command.arg(limits.cpu.as_secs().to_string()).arg(limits.memory_bytes.to_string());
                command.arg(limits.confine.name());
                // On many cores, threads and their arenas would use up the address space that the child may have.
                command.env("RAYON_NUM_THREADS", compile_threads().to_string()).env("MALLOC_ARENA_MAX", "2");
                in_child(command, wasm, *limits).map_err(CompileError::Io)?
            }
        }
    }
}

fn compile_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(limits::COMPILE_THREADS)
}

fn precompile(generation: Generation, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let refused = |error: wasmtime::Error| CompileError::Refused(format!("{error:#}"));
    let engine = wasmtime::Engine::new(&code_config(generation)).map_err(refused)?;
    engine.precompile_component(wasm).map_err(refused)
}

/// The compiling process: limits and confines itself, reads a component from standard input, writes code to standard output.
/// The exit status is 0, or 1 with the reason on standard error.
pub fn compile_stdio(generation: Generation, limits: ChildLimits) -> Result<(), CompileError> {
    limit_this_process(limits).map_err(|error| CompileError::Io(error.into()))?;
    // Threads that compile are started later, and inherit it.
    rimward_confine::worker(limits.confine)?;
    let mut wasm = Vec::new();
    std::io::stdin().lock().read_to_end(&mut wasm).map_err(CompileError::Io)?;
    let code = precompile(generation, &wasm)?;
    std::io::stdout().lock().write_all(&code).map_err(CompileError::Io)
}

/// Where the parent has set a lower limit already, that one stays.
fn limit_this_process(limits: ChildLimits) -> rustix::io::Result<()> {
    for (resource, value) in resources(limits) {
        let lower = getrlimit(resource).maximum.unwrap_or(u64::MAX).min(value);
        setrlimit(resource, at_most(lower))?;
    }
    rustix::process::nice(limits::COMPILE_NICENESS).map(|_| ())
}

/// The child under its limits; where they cannot be set it is ended.
fn limited(mut child: Child, limits: ChildLimits) -> std::io::Result<Child> {
    let pid = Pid::from_child(&child);
    let set = |(resource, value)| prlimit(Some(pid), resource, at_most(value)).map(drop);
    match resources(limits).into_iter().try_for_each(set) {
        Ok(()) => Ok(child),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            Err(error.into())
        }
    }
}

fn resources(limits: ChildLimits) -> [(Resource, u64); 4] {
    [
        (Resource::Cpu, limits.cpu.as_secs()),
        (Resource::As, limits.memory_bytes),
        (Resource::Fsize, limits::COMPILE_OUTPUT_BYTES),
        (Resource::Core, 0),
    ]
}

/// A file that has no name and no place on a disk, so that neither process needs a folder for it.
fn nameless(name: &str) -> std::io::Result<File> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

fn at_most(value: u64) -> Rlimit {
    Rlimit { current: Some(value), maximum: Some(value) }
}

fn in_child(
    mut command: Command,
    wasm: &[u8],
    limits: ChildLimits,
) -> std::io::Result<Result<Vec<u8>, CompileError>> {
    let mut input = nameless("component")?;
    input.write_all(wasm)?;
    input.seek(SeekFrom::Start(0))?;
    let (mut output, mut errors) = (nameless("code")?, nameless("reason")?);
    let child = command
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(errors.try_clone()?))
        .spawn()?;
    let child = limited(child, limits)?;
    let Some(status) = wait(child, limits.wall)? else {
        return Ok(Err(CompileError::Wall(limits.wall)));
    };
    Ok(match status.code() {
        Some(0) => Ok(read_from_start(&mut output)?),
        Some(1) => {
            let reason = read_from_start(&mut errors)?;
            Err(CompileError::Refused(String::from_utf8_lossy(&reason).trim().to_owned()))
        }
        _ => Err(CompileError::Died { status, limits }),
    })
}

/// Waits for the child, and kills it at its deadline.
fn wait(mut child: Child, wall: Duration) -> std::io::Result<Option<ExitStatus>> {
    const POLL: Duration = Duration::from_millis(5);
    let deadline = Instant::now() + wall;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

fn read_from_start(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Which engine a component needs: the concurrent one if it imports or exports anything of WASI 0.3, or uses async
/// types or functions at all.
pub(crate) fn generation_of(wasm: &[u8]) -> Result<Generation, LoadError> {
    let invalid = |error: wasmparser::BinaryReaderError| LoadError::Invalid {
        reason: error.message().to_owned(),
        offset: Some(error.offset()),
    };
    let is_valid_with = |features| Validator::new_with_features(features).validate_all(wasm).map(drop);
    if is_valid_with(features::allowed(Generation::Plain)).is_err() {
        is_valid_with(features::allowed(Generation::Concurrent)).map_err(|error| {
            match is_valid_with(WasmFeatures::all()) {
                Ok(()) => {
                    LoadError::FeatureOff { reason: error.message().to_owned(), offset: Some(error.offset()) }
                }
                Err(_) => invalid(error),
            }
        })?;
        return Ok(Generation::Concurrent);
    }
    let mut depth = 0_u32;
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    if is_wasi_03(import.map_err(invalid)?.name.name) {
                        return Ok(Generation::Concurrent);
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    if is_wasi_03(export.map_err(invalid)?.name.name) {
                        return Ok(Generation::Concurrent);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Generation::Plain)
}

fn is_wasi_03(name: &str) -> bool {
    name.starts_with("wasi:") && name.contains("@0.3.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasi_0_3_is_told_from_other_packages_of_that_version() {
        assert!(is_wasi_03("wasi:http/handler@0.3.0"));
        assert!(!is_wasi_03("wasi:http/incoming-handler@0.2.3"));
        assert!(!is_wasi_03("acme:camera/frames@0.3.1"));
    }
}
