//! A function that is ready to be called: a component linked once, with what it was granted. Made when a revision is
//! installed; every refusal happens here and not at the first request.

use crate::http::Invocation;
use crate::{Clocks, Linkers, State, config, http, imports, keyvalue, logging};
use rimward_engine::{Code, Engine, Generation, GuestLimits, Needs, Room, Share, Usage, Yielding, limits};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime_wasi_http::{p2, p3};

/// What a function was granted, one field for each capability.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Grants {
    pub http: http::Grant,
    pub config: config::Grant,
    pub keyvalue: keyvalue::Grant,
    pub logging: logging::Grant,
    pub clocks: Clocks,
}

/// A function that is ready to be called.
pub struct Function {
    pre: Pre,
    generation: Generation,
    needs: Needs,
    grants: Grants,
    limits: GuestLimits,
    /// What it draws memory and CPU time from, together with its owner's other functions.
    share: Arc<Share>,
    /// Invocations to start on the shared pool before the function is trusted to yield in time again.
    suspect: AtomicU8,
}

enum Pre {
    V2(p2::bindings::ProxyPre<State>),
    V3(p3::bindings::ServicePre<State>),
}

/// A live instance, between two invocations.
pub struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) proxy: Proxy,
    /// What it has of the pool beyond its share; given back after its store.
    _room: Option<Room>,
}

pub(crate) enum Proxy {
    V2(p2::bindings::Proxy),
    V3(p3::bindings::Service),
}

/// Which `wasi:http` a function speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// `wasi:http/incoming-handler@0.2`.
    Wasi02,
    /// `wasi:http/handler@0.3`.
    Wasi03,
}

/// Why a component cannot be a function.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It needs the other engine, which is off.
    #[error("the component uses `wasi:http` 0.3 or another async interface, which this node does not serve")]
    ConcurrentIsOff,
    /// It imports what nobody provides.
    #[error("the component imports `{import}`, which this node does not provide: {hint}")]
    UnknownImport {
        /// The import.
        import: String,
        /// What could have been meant.
        hint: String,
    },
    /// It imports what it was not granted.
    #[error(
        "the component imports `{import}`, which was not granted: add `{add}` to the function in rimward.toml"
    )]
    NotGranted {
        /// The import.
        import: String,
        /// The capability it belongs to.
        capability: &'static str,
        /// What to write into the manifest.
        add: &'static str,
    },
    /// It is no HTTP function.
    #[error(
        "the component does not export `wasi:http/incoming-handler@0.2` or `wasi:http/handler@0.3`, so it cannot answer requests; it exports {}",
        exports_text(exports)
    )]
    NoHandler {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// Linking failed although every import is known: a version or a type does not fit.
    #[error("the component does not fit what this node provides: {0}")]
    Link(String),
}

fn exports_text(exports: &[String]) -> String {
    match exports {
        [] => "nothing".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

impl Instance {
    /// Whether its owner or the node is short of memory: not the time to keep it.
    pub fn is_crowded(&self) -> bool {
        self.store.data().share().is_crowded()
    }
}

impl Function {
    /// Links a component with what it was granted; its instances draw from `share`.
    pub fn new(
        linkers: &Linkers,
        code: &Code,
        grants: Grants,
        limits: GuestLimits,
        share: Arc<Share>,
    ) -> Result<Self, Refused> {
        imports::check(code, &grants)?;
        let linker = linkers.get(code.generation).ok_or(Refused::ConcurrentIsOff)?;
        let abi = abi(code)?;
        let link = |error: wasmtime::Error| Refused::Link(format!("{error:#}"));
        let pre = linker.instantiate_pre(&code.component).map_err(link)?;
        let pre = match abi {
            Abi::Wasi02 => Pre::V2(p2::bindings::ProxyPre::new(pre).map_err(link)?),
            Abi::Wasi03 => Pre::V3(p3::bindings::ServicePre::new(pre).map_err(link)?),
        };
        let needs = Needs::of(code);
        Ok(Self { pre, generation: code.generation, needs, grants, limits, share, suspect: AtomicU8::new(0) })
    }

    /// Which `wasi:http` it speaks.
    pub fn abi(&self) -> Abi {
        match self.pre {
            Pre::V2(_) => Abi::Wasi02,
            Pre::V3(_) => Abi::Wasi03,
        }
    }

    /// What it may use.
    pub fn limits(&self) -> GuestLimits {
        self.limits
    }

    /// What it was granted.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(crate) async fn instantiate(
        &self,
        engine: &Engine,
        invocation: &Invocation,
        usage: Arc<Usage>,
    ) -> wasmtime::Result<Instance> {
        let room = engine.room(self.generation, self.needs)?;
        let state = State::open(&self.grants, self.limits, self.share.clone(), invocation, usage);
        let mut store =
            engine.store(self.generation, state).expect("a function exists only where its engine does");
        let proxy = match &self.pre {
            Pre::V2(pre) => Proxy::V2(pre.instantiate_async(&mut store).await?),
            Pre::V3(pre) => Proxy::V3(pre.instantiate_async(&mut store).await?),
        };
        Ok(Instance { store, proxy, _room: room })
    }

    /// What its instances draw from.
    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// Whether it has overrun lately, so that its next invocation runs among the hogs.
    pub fn is_hog(&self) -> bool {
        self.suspect.load(Relaxed) > 0
    }

    /// Where the next invocation is to be started, so many calls from function to function deep.
    pub(crate) fn yielding(&self, depth: u8) -> Yielding {
        match self.suspect.load(Relaxed) {
            0 if depth > 0 && self.generation == Generation::Concurrent => Yielding::Apart,
            0 => Yielding::InTime,
            _ => Yielding::Late,
        }
    }

    /// An invocation ended: did it keep its thread for too long?
    pub(crate) fn learn(&self, usage: &Usage) {
        if usage.overran() {
            self.suspect.store(limits::SUSPECT_INVOCATIONS, Relaxed);
        } else if self.suspect.load(Relaxed) > 0 {
            // Two cores may both count one down; then it is trusted a little sooner.
            let _ = self.suspect.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        }
    }
}

fn abi(code: &Code) -> Result<Abi, Refused> {
    let ty = code.component.component_type();
    let exports: Vec<String> = ty
        .exports(code.component.engine())
        .filter(|(_, export)| {
            matches!(export.ty, ComponentItem::ComponentInstance(_) | ComponentItem::ComponentFunc(_))
        })
        .map(|(name, _)| name.to_owned())
        .collect();
    if exports.iter().any(|name| name.starts_with("wasi:http/handler@0.3.")) {
        Ok(Abi::Wasi03)
    } else if exports.iter().any(|name| name.starts_with("wasi:http/incoming-handler@0.2.")) {
        Ok(Abi::Wasi02)
    } else {
        Err(Refused::NoHandler { exports })
    }
}
