//! The attribute of `rimward-sdk`, which re-exports it. It runs in the compiler, once per function, and knows nothing of
//! the SDK but the names in its `__private`. A function of the wrong shape is a
//! compile error at the offending token.

mod expand;

use proc_macro::TokenStream;

/// Makes an ordinary async function the entry point of the component.
///
/// The function takes the request, or nothing, and returns what the reply is made of. It stays an ordinary function:
/// tests call it. A crate has one such function.
#[proc_macro_attribute]
pub fn function(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::function(arguments.into(), item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}
