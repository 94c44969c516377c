//! How many parts a component is put together of: instantiations of components in it, at all depths. Each part of one with
//! an async ABI may wait on a native stack of its own, and stacks are what the pool has a number of. Asked when such a
//! component is loaded, whether it was compiled before or not.

use crate::code::LoadError;
use crate::limits::PARTS;
use wasmparser::{ComponentInstance, Parser, Payload};

/// The number of parts, or that there are too many. What cannot be parsed was refused before.
pub(crate) fn count(wasm: &[u8]) -> Result<usize, LoadError> {
    let mut parts = 0;
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        let Payload::ComponentInstanceSection(section) = payload else { continue };
        let instantiates =
            |instance: &ComponentInstance<'_>| matches!(instance, ComponentInstance::Instantiate { .. });
        parts += section.into_iter().map_while(Result::ok).filter(instantiates).count();
    }
    match parts <= PARTS {
        true => Ok(parts),
        false => Err(LoadError::TooMuch(wasmtime::format_err!(
            "it is put together of {parts} components, and one with an async interface may be of {PARTS}"
        ))),
    }
}
