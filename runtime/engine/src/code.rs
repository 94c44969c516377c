//! A component that is ready to be instantiated, and what can be wrong with one.

use std::time::Duration;

/// Which of the two engines runs a component. The setting is part of the compiled code's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// No concurrency support: every component without async imports or exports, so all of `wasi:http` 0.2.
    Plain,
    /// With concurrency support: `wasi:http` 0.3 and every other component with an async ABI.
    Concurrent,
}

impl Generation {
    /// Both, in the order in which the cache is asked.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Concurrent];

    /// Its name on the command line and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Concurrent => "concurrent",
        }
    }

    /// The generation of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|generation| generation.name() == name)
    }
}

/// Where the code of a component comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A WebAssembly component, from anybody.
    Wasm(&'a [u8]),
    /// Native code that was compiled elsewhere for exactly this engine. It runs with the rights of the node: only for
    /// files of the operator's own.
    TrustedPrecompiled {
        /// The engine it was compiled for.
        generation: Generation,
        /// sha256 of the component that it was compiled from.
        digest: [u8; 32],
        /// The compiled code.
        trusted_code: &'a [u8],
    },
}

/// A loaded component.
pub struct Code {
    /// The component, for linking.
    pub component: wasmtime::component::Component,
    /// The engine that it belongs to.
    pub generation: Generation,
    /// sha256 of the component's bytes.
    pub digest: [u8; 32],
    /// Instantiations of components in it; 0 where none of them can wait on its own.
    pub parts: usize,
    /// How it got here.
    pub origin: Origin,
}

/// How code came to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From the compile cache.
    Cache,
    /// Compiled now, in this time.
    Compiled(Duration),
    /// Compiled elsewhere.
    Precompiled,
}

/// Why a component could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are something else.
    #[error("{0}")]
    NotAComponent(&'static str),
    /// The bytes are larger than what is compiled.
    #[error("the component has {bytes} bytes, more than the {max} that are accepted")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The component is damaged.
    #[error("the component is not valid{}: {reason}", offset.map(|at| format!(" at byte {at}")).unwrap_or_default())]
    Invalid {
        /// What the validator says.
        reason: String,
        /// Where, where that is known.
        offset: Option<usize>,
    },
    /// The component is sound, but uses what guests may not use here.
    #[error("the component uses a WebAssembly feature that this node has switched off{}: {reason}", offset.map(|at| format!(", at byte {at}")).unwrap_or_default())]
    FeatureOff {
        /// What the validator says: it names the feature.
        reason: String,
        /// Where, where that is known.
        offset: Option<usize>,
    },
    /// A component with an async ABI, and the switch is off.
    #[error("the component uses `wasi:http` 0.3 or another async interface, which this node does not serve")]
    ConcurrentIsOff,
    /// There is no compiler, and no code that was compiled elsewhere for an engine like this one.
    #[error(
        "this node was built without a compiler and has no precompiled code for this component: build the app with `rimward build --precompile`, of the same version and on the same kind of processor"
    )]
    NoCompiler,
    /// Compiling failed.
    #[cfg(feature = "compile")]
    #[error("the component could not be compiled")]
    Compile(#[source] crate::CompileError),
    /// It declares more memories, tables or instances than one may have.
    #[error("the component declares more than a function may have")]
    TooMuch(#[source] wasmtime::Error),
    /// Precompiled code does not fit this engine.
    #[error("the precompiled code does not fit this node")]
    Precompiled(#[source] wasmtime::Error),
}
