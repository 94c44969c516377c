//! Which WebAssembly features guests may use. Asked once for each engine, and once for each component that is compiled: a
//! component that uses another one is refused when it is loaded, by the name of the feature, and never run.
//!
//! On is what compilers produce for components that serve HTTP. Off is what such a component has no use for and what many
//! of wasmtime's past advisories were about: garbage collection, typed function references,
//! exceptions, 64-bit memories and tables, threads, and everything that is still a draft.

use crate::Generation;
use wasmparser::WasmFeatures;

/// The features that components of `generation` may use.
pub(crate) fn allowed(generation: Generation) -> WasmFeatures {
    let off = WasmFeatures::GC
        | WasmFeatures::GC_TYPES
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::MEMORY64
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::THREADS;
    let components = match generation {
        Generation::Plain => WasmFeatures::COMPONENT_MODEL,
        Generation::Concurrent => WasmFeatures::COMPONENT_MODEL | WasmFeatures::CM_ASYNC,
    };
    (WasmFeatures::WASM3 - off) | components
}

/// Switches off everything else, also where a dependency has compiled it in or a later wasmtime has it on.
pub(crate) fn switch_off_others(config: &mut wasmtime::Config, generation: Generation) {
    config.wasm_features(WasmFeatures::all() - allowed(generation), false).shared_memory(false);
}
