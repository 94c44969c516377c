//! What is looked at before a component is compiled, in the node's own process: its size, its first bytes, how deep it is
//! nested, and whether it is valid. Linear in its size, whatever it is made of: the validator's time grows with the square
//! of the nesting, so that is bounded before it is called.

use crate::code::{Generation, LoadError};
use crate::compile::generation_of;
use crate::engine::kind;
use crate::limits;
use wasmparser::{Parser, Payload};

/// Which engine a component from anybody needs, or why it is not compiled.
pub fn inspect(wasm: &[u8]) -> Result<Generation, LoadError> {
    if wasm.len() > limits::COMPONENT_BYTES {
        return Err(LoadError::TooLarge { bytes: wasm.len(), max: limits::COMPONENT_BYTES });
    }
    kind(wasm)?;
    nesting(wasm)?;
    generation_of(wasm)
}

/// Modules and components inside of one another.
fn nesting(wasm: &[u8]) -> Result<(), LoadError> {
    let invalid = |reason: String, offset| LoadError::Invalid { reason, offset: Some(offset) };
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| invalid(error.message().to_owned(), error.offset()))? {
            Payload::ModuleSection { unchecked_range, .. }
            | Payload::ComponentSection { unchecked_range, .. } => {
                // The parser would take the end of the file for the end of whatever is open.
                if unchecked_range.end > wasm.len() {
                    return Err(invalid("it ends too early".to_owned(), wasm.len()));
                }
                depth += 1;
                if depth > limits::COMPONENT_NESTING {
                    let reason = format!("it is nested deeper than {} components", limits::COMPONENT_NESTING);
                    return Err(invalid(reason, unchecked_range.start));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component in a component, so many times. The innermost has the eight bytes that each begins with.
    fn nested(depth: usize) -> Vec<u8> {
        const HEAD: &[u8] = &[0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        (0..depth).fold(HEAD.to_vec(), |inner, _| {
            let low = u8::try_from(inner.len() & 0x7f).unwrap() | 0x80;
            let high = u8::try_from(inner.len() >> 7).unwrap();
            [HEAD, &[4, low, high], &inner].concat()
        })
    }

    /// D3: at the limit and past it.
    #[test]
    fn a_component_is_nested_so_deep_and_no_deeper() {
        assert!(inspect(&nested(limits::COMPONENT_NESTING)).is_ok());
        let refused = inspect(&nested(limits::COMPONENT_NESTING + 1)).unwrap_err();
        assert!(refused.to_string().contains("nested deeper than"), "{refused}");
    }

    /// D1: whatever is cut off is refused, with the place.
    #[test]
    fn what_is_cut_short_is_refused_with_the_place() {
        let whole = nested(3);
        for len in 8..whole.len() {
            match inspect(&whole[..len]) {
                Err(LoadError::Invalid { offset: Some(offset), .. }) => assert!(offset <= len, "{len}"),
                // Eight bytes are an empty component.
                other => assert!(other.is_ok() && len == 8, "{len}: {other:?}"),
            }
        }
    }
}
