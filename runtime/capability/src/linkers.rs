//! One linker for each generation of components, made once per process. Everything that any function may be granted is
//! linked; what one function is refused is decided before it is linked against ([`crate::imports`]).

use crate::{State, config, http, keyvalue, logging, nn};
use rimward_engine::{Engine, Generation};
use wasmtime::component::Linker;

/// The linkers of a node.
pub struct Linkers {
    plain: Linker<State>,
    concurrent: Option<Linker<State>>,
}

impl Linkers {
    /// Links every capability. Fails only if two capabilities define the same interface.
    pub fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let plain = linker(engine, Generation::Plain)?.expect("the plain engine is always there");
        Ok(Self { plain, concurrent: linker(engine, Generation::Concurrent)? })
    }

    pub(crate) fn get(&self, generation: Generation) -> Option<&Linker<State>> {
        match generation {
            Generation::Plain => Some(&self.plain),
            Generation::Concurrent => self.concurrent.as_ref(),
        }
    }
}

fn linker(engine: &Engine, generation: Generation) -> wasmtime::Result<Option<Linker<State>>> {
    let Some(wasmtime) = engine.wasmtime(generation) else { return Ok(None) };
    let mut linker = Linker::new(wasmtime);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    http::link(&mut linker, generation)?;
    config::link(&mut linker)?;
    keyvalue::link(&mut linker)?;
    nn::link(&mut linker)?;
    logging::link(&mut linker)?;
    if generation == Generation::Concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    }
    Ok(Some(linker))
}
