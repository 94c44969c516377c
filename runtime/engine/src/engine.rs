//! The two wasmtime engines of a node, their ticker, the pool for hogs, the compile cache and the compiler. Made once at
//! start; everything else borrows it. Stops its threads when the last owner drops it.

use crate::Compiler;
use crate::cache::{Cache, Hit};
use crate::code::{Code, Generation, LoadError, Origin, Source};
use crate::config::Settings;
use crate::hogs::Hogs;
use crate::meter::{Metered, Usage};
use crate::pool::Pooling;
use crate::room::{Needs, NoRoom, Reserve, Room};
use crate::run::{Run, Yielding};
use crate::share::Share;
use crate::ticker::Ticker;
use crate::{limits, parts};
use sha2::{Digest, Sha256};
use std::future::Future;
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{Store, UpdateDeadline};

/// The engine of a node.
pub struct Engine {
    plain: wasmtime::Engine,
    concurrent: Option<wasmtime::Engine>,
    pooling: Pooling,
    plain_reserve: Arc<Reserve>,
    concurrent_reserve: Arc<Reserve>,
    ticker: Ticker,
    hogs: Hogs,
    cache: Cache,
    compiler: Option<Compiler>,
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused its configuration.
    #[error("the WebAssembly engine could not be configured")]
    Config(#[source] wasmtime::Error),
    /// A thread could not be started.
    #[error("a thread of the engine could not be started")]
    Thread(#[source] std::io::Error),
}

impl Engine {
    /// Starts the engine. Without a compiler it runs code that is in the cache or was compiled elsewhere.
    pub fn new(
        settings: &Settings,
        cache: Cache,
        compiler: Option<Compiler>,
    ) -> Result<Arc<Self>, EngineError> {
        let (plain, pooling) = wasmtime_engine(settings, Generation::Plain)?;
        let concurrent = match settings.concurrent {
            true => Some(wasmtime_engine(settings, Generation::Concurrent)?.0),
            false => None,
        };
        let ticking = [Some(plain.clone()), concurrent.clone()];
        let tick = move || ticking.iter().flatten().for_each(wasmtime::Engine::increment_epoch);
        Ok(Arc::new(Self {
            plain,
            concurrent,
            pooling,
            plain_reserve: Reserve::new(),
            concurrent_reserve: Reserve::new(),
            ticker: Ticker::start(tick).map_err(EngineError::Thread)?,
            hogs: Hogs::start(settings.hog_threads).map_err(EngineError::Thread)?,
            cache,
            compiler,
        }))
    }

    /// The wasmtime engine of a generation, for linkers. `None` where the operator has it off.
    pub fn wasmtime(&self, generation: Generation) -> Option<&wasmtime::Engine> {
        match generation {
            Generation::Plain => Some(&self.plain),
            Generation::Concurrent => self.concurrent.as_ref(),
        }
    }

    /// Whether components can be compiled here.
    pub fn compiles(&self) -> bool {
        self.compiler.is_some()
    }

    /// How guests get their memory.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Makes a component ready to be linked: from the cache, or compiled. Blocks for as long as compiling takes: call it
    /// where that is allowed.
    pub fn load(&self, source: Source<'_>) -> Result<Code, LoadError> {
        match source {
            Source::Wasm(wasm) => {
                let code = self.load_wasm(wasm)?;
                let parts = match code.generation {
                    Generation::Plain => 0,
                    Generation::Concurrent => parts::count(wasm)?,
                };
                Ok(Code { parts, ..code })
            }
            Source::TrustedPrecompiled { generation, digest, trusted_code } => {
                let engine = self.wasmtime(generation).ok_or(LoadError::ConcurrentIsOff)?;
                let component = trusted_component(engine, trusted_code).map_err(LoadError::Precompiled)?;
                Ok(Code { component, generation, digest, parts: 0, origin: Origin::Precompiled })
            }
        }
    }

    fn load_wasm(&self, wasm: &[u8]) -> Result<Code, LoadError> {
        if wasm.len() > limits::COMPONENT_BYTES {
            return Err(LoadError::TooLarge { bytes: wasm.len(), max: limits::COMPONENT_BYTES });
        }
        let digest: [u8; 32] = Sha256::digest(wasm).into();
        if let Some(code) = Generation::ALL.into_iter().find_map(|generation| self.cached(generation, digest))
        {
            return Ok(code);
        }
        self.compiled(wasm, digest)
    }

    /// The code in the cache; anything that is damaged, foreign or made for another engine is as good as absent.
    fn cached(&self, generation: Generation, digest: [u8; 32]) -> Option<Code> {
        let engine = self.wasmtime(generation)?;
        let hit = self.cache.get(generation, &digest)?;
        match authentic_component(engine, &hit) {
            Ok(component) => Some(Code { component, generation, digest, parts: 0, origin: Origin::Cache }),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "compiled code in the cache does not fit this node; compiling again"
                );
                None
            }
        }
    }

    #[cfg(not(feature = "compile"))]
    fn compiled(&self, wasm: &[u8], _digest: [u8; 32]) -> Result<Code, LoadError> {
        kind(wasm)?;
        Err(LoadError::NoCompiler)
    }

    #[cfg(feature = "compile")]
    fn compiled(&self, wasm: &[u8], digest: [u8; 32]) -> Result<Code, LoadError> {
        let generation = crate::inspect(wasm)?;
        let compiler = self.compiler.as_ref().ok_or(LoadError::NoCompiler)?;
        let engine = self.wasmtime(generation).ok_or(LoadError::ConcurrentIsOff)?;
        let turn = (compiler.turn(), self.cache.turn());
        if let Some(code) = self.cached(generation, digest) {
            return Ok(code);
        }
        let started = std::time::Instant::now();
        let compiled = compiler.compile(generation, wasm).map_err(LoadError::Compile)?;
        let origin = Origin::Compiled(started.elapsed());
        let put = self.cache.put(generation, &digest, &compiled);
        // Whoever waits for the same component finds it.
        drop(turn);
        if let Err(error) = put {
            tracing::warn!(%error, "compiled code could not be cached; it is used, and compiled again at the next start");
            let component = trusted_component(engine, &compiled).map_err(LoadError::TooMuch)?;
            return Ok(Code { component, generation, digest, parts: 0, origin });
        }
        match self.cached(generation, digest) {
            Some(code) => Ok(Code { origin, ..code }),
            None => {
                let component = trusted_component(engine, &compiled).map_err(LoadError::TooMuch)?;
                Ok(Code { component, generation, digest, parts: 0, origin })
            }
        }
    }

    /// Compiles without loading: the bytes of a precompiled bundle.
    #[cfg(feature = "compile")]
    pub fn precompile(&self, wasm: &[u8]) -> Result<(Generation, Vec<u8>), LoadError> {
        let generation = crate::inspect(wasm)?;
        let compiler = self.compiler.as_ref().ok_or(LoadError::NoCompiler)?;
        let _turn = compiler.turn();
        Ok((generation, compiler.compile(generation, wasm).map_err(LoadError::Compile)?))
    }

    /// Room for one instance of a component that needs so much; it is kept as long as the instance.
    pub fn room(&self, generation: Generation, needs: Needs) -> Result<Option<Room>, NoRoom> {
        match (self.pooling, generation) {
            (Pooling::OnDemand, _) => Ok(None),
            (Pooling::Slots(_), Generation::Plain) => self.plain_reserve.take(needs),
            (Pooling::Slots(_), Generation::Concurrent) => self.concurrent_reserve.take(needs),
        }
    }

    /// A store for one instance, with every limit set. `None` where the generation is off.
    pub fn store<T: Metered>(&self, generation: Generation, state: T) -> Option<Store<T>> {
        let mut store = Store::new(self.wasmtime(generation)?, state);
        let limits = store.data_mut().meter().limits();
        store.limiter(|state| state.meter());
        store.set_hostcall_fuel(limits.host_call_bytes);
        store.set_max_component_handles(limits.handles);
        if generation == Generation::Concurrent
            && let Some(table) = store.concurrent_resource_table()
        {
            table.set_max_capacity(limits.handles);
        }
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| {
            let next = store.data_mut().meter().on_tick();
            Ok::<UpdateDeadline, wasmtime::Error>(next)
        });
        Some(store)
    }

    /// Runs a guest: `guest` instantiates, calls and answers, and owns what it needs, its store included.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        usage: Arc<Usage>,
        share: Arc<Share>,
        yielding: Yielding,
        guest: impl Future<Output = T> + Send + 'static,
    ) -> Run<T> {
        Run::new(self.clone(), usage, share, yielding, guest)
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    /// The pool for guests that overrun.
    pub fn hogs(&self) -> &Hogs {
        &self.hogs
    }
}

/// An engine with the largest pool that the machine grants.
fn wasmtime_engine(
    settings: &Settings,
    generation: Generation,
) -> Result<(wasmtime::Engine, Pooling), EngineError> {
    for slots in settings.pool.attempts() {
        match wasmtime::Engine::new(&settings.config(generation, Some(slots))) {
            Ok(engine) => return Ok((engine, Pooling::Slots(slots))),
            Err(error) => {
                tracing::debug!(slots, error = format!("{error:#}"), "the pool does not fit this machine")
            }
        }
    }
    let engine = wasmtime::Engine::new(&settings.config(generation, None)).map_err(EngineError::Config)?;
    Ok((engine, Pooling::OnDemand))
}

/// Refuses what is no component before anything expensive is done with it.
pub(crate) fn kind(wasm: &[u8]) -> Result<(), LoadError> {
    match wasm {
        [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::NotAComponent(
            "this is a core module, not a component: build for the target `wasm32-wasip2`, or wrap it with `wasm-tools component new`",
        )),
        [b'\0', b'a', b's', b'm', ..] => Err(LoadError::NotAComponent(
            "this is a component of an old or unknown binary version: rebuild it with current tools",
        )),
        [b'(', ..] => {
            Err(LoadError::NotAComponent("this is WebAssembly text: convert it with `wasm-tools parse`"))
        }
        [0x7f, b'E', b'L', b'F', ..] => Err(LoadError::NotAComponent(
            "this is native code, not WebAssembly: deploy the `.wasm` file that it was compiled from",
        )),
        _ => Err(LoadError::NotAComponent("this is not WebAssembly: the file does not begin with `\\0asm`")),
    }
}

#[allow(unsafe_code, reason = "loading compiled code is the one exception")]
fn authentic_component(engine: &wasmtime::Engine, hit: &Hit) -> wasmtime::Result<Component> {
    // SAFETY: the cache has checked that this node wrote the entry: its owner, its mode, and a MAC over name and content
    // with the node's own key. The file behind the path is a sealed copy in memory, of which that MAC was taken.
    unsafe { Component::deserialize_file(engine, hit.path()) }
}

#[allow(unsafe_code, reason = "loading compiled code is the one exception")]
fn trusted_component(engine: &wasmtime::Engine, trusted_code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the caller vouches for the code: it was compiled by this node a moment ago, or the operator says so.
    unsafe { Component::deserialize(engine, trusted_code) }
}
