//! What `#[function]` turns into. Works on token streams of `proc_macro2`, so that its messages are tested without a
//! compiler run.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Item, ItemFn, Result, ReturnType, Type};

/// The function as it was written, a check of its types on every target, and the component's export on wasm.
pub(crate) fn function(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return refuse(&arguments, "`#[function]` takes no arguments");
    }
    let function = match syn::parse2(item)? {
        Item::Fn(function) => function,
        other => return refuse(&other, "`#[function]` goes on an `async fn`"),
    };
    check_shape(&function)?;
    let name = &function.sig.ident;
    let checks = check_types(&function);
    Ok(quote! {
        #function

        const _: fn() = || {
            #checks
            let _ = #name;
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::rimward_sdk::__private::export!(#name);
        };
    })
}

fn check_shape(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return refuse(signature.fn_token, "a function is an `async fn`: add `async`");
    }
    if let Some(receiver) = signature.receiver() {
        return refuse(receiver, "a function has no `self`: move it out of the `impl`");
    }
    if !signature.generics.params.is_empty() {
        return refuse(&signature.generics, "a function has no generic parameters: name the types");
    }
    if let Some(second) = signature.inputs.iter().nth(1) {
        return refuse(second, "a function takes one argument, made from the request, or none");
    }
    Ok(())
}

/// Calls that compile if the types fit, each at its type's place, so that the compiler's message points there.
fn check_types(function: &ItemFn) -> TokenStream {
    let argument = function.sig.inputs.first().map(|argument| match argument {
        FnArg::Typed(argument) => check_type(&argument.ty, "takes"),
        FnArg::Receiver(_) => TokenStream::new(),
    });
    let result = match &function.sig.output {
        ReturnType::Type(_, result) => check_type(result, "returns"),
        ReturnType::Default => TokenStream::new(),
    };
    quote!(#argument #result)
}

/// An `impl Trait` cannot be named; the export checks it.
fn check_type(checked: &Type, check: &str) -> TokenStream {
    if matches!(checked, Type::ImplTrait(_)) {
        return TokenStream::new();
    }
    let check = Ident::new(check, checked.span());
    quote_spanned!(checked.span()=> ::rimward_sdk::__private::#check::<#checked>();)
}

fn refuse<T>(at: impl ToTokens, why: &str) -> Result<T> {
    Err(Error::new_spanned(at, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `at` is the source text that the message points to.
    fn check_refusal(arguments: &str, item: &str, at: &str, message: &str) {
        let arguments = arguments.parse().expect("tokens");
        let error = function(arguments, item.parse().expect("tokens")).expect_err("a refusal");
        assert_eq!(error.to_string(), message);
        assert_eq!(error.span().source_text().as_deref(), Some(at), "{message}");
    }

    #[test]
    fn a_function_of_the_wrong_shape_is_told_what_to_change() {
        check_refusal("path", "async fn f() {}", "path", "`#[function]` takes no arguments");
        check_refusal("", "struct F;", "struct F;", "`#[function]` goes on an `async fn`");
        check_refusal("", "fn f() {}", "fn", "a function is an `async fn`: add `async`");
        check_refusal(
            "",
            "async fn f(&self) {}",
            "&self",
            "a function has no `self`: move it out of the `impl`",
        );
        check_refusal(
            "",
            "async fn f<T>(t: T) {}",
            "<T>",
            "a function has no generic parameters: name the types",
        );
        check_refusal(
            "",
            "async fn f(a: A, b: B) {}",
            "b: B",
            "a function takes one argument, made from the request, or none",
        );
    }

    #[test]
    fn what_is_not_rust_keeps_the_parsers_own_message() {
        let error = function(TokenStream::new(), "async fn".parse().expect("tokens")).expect_err("a refusal");
        assert!(error.to_string().contains("expected identifier"), "{error}");
    }

    #[test]
    fn the_function_itself_is_left_as_it_was_written() {
        let item: TokenStream =
            "/// Doc.\n pub async fn hello(r: Request) -> Result { todo() }".parse().expect("tokens");
        let expanded = function(TokenStream::new(), item.clone()).expect("an expansion").to_string();
        assert!(expanded.starts_with(&item.to_string()), "{expanded}");
    }
}
