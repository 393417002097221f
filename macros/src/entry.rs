//! Puts the options and the function together.
//!
//! The user's function is kept whole, inside a new one of the same name that hands its future to
//! the runtime. Rejected: an `async` block around the body. The compiler infers the type of such
//! a block from its inside, so a wrong tail, or a missing one, is reported for the whole function
//! and `?` before it as a second error. In an `async fn` the declared type comes first, and each
//! error points at the words that caused it. Only what names `self` or `Self` becomes a block: a
//! function inside it could not name them.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Error, FnArg, GenericParam, Pat, Result, Signature};

use crate::function::Function;
use crate::options::{self, Flavor, Options};

/// Which attribute is expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Main,
    Test,
}

impl Kind {
    /// The attribute as users write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Main => "threadlet::main",
            Self::Test => "threadlet::test",
        }
    }
}

/// Adds an error to those found so far.
pub(crate) fn add(found: &mut Option<Error>, error: Error) {
    match found {
        Some(found) => found.combine(error),
        None => *found = Some(error),
    }
}

/// Expands an attribute, or returns everything that is wrong with its use.
pub(crate) fn expand(args: TokenStream, item: TokenStream, kind: Kind) -> Result<TokenStream> {
    let mut found = None;
    let options = Options::read(args, kind).map_err(|error| add(&mut found, error)).ok();
    let function = Function::read(item, kind)
        .and_then(|function| function.check(kind).map(|()| function))
        .map_err(|error| add(&mut found, error))
        .ok();
    match (options, function, found) {
        (Some(options), Some(function), None) => Ok(assemble(&options, &function, kind)),
        (_, _, Some(found)) => Err(found),
        (_, _, None) => unreachable!("what is missing has left an error"),
    }
}

/// Expands an attribute for the compiler. A mistake becomes an error message *and* an item of the
/// same name, so that no second message says that `main` is missing.
pub(crate) fn expand_or_report(args: TokenStream, item: TokenStream, kind: Kind) -> TokenStream {
    expand(args, item.clone(), kind).unwrap_or_else(|error| {
        let errors = error.into_compile_error();
        let item = stand_in(item, kind);
        quote!(#errors #item)
    })
}

fn assemble(options: &Options, function: &Function, kind: Kind) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let (name, output, generics) = (&sig.ident, &sig.output, &sig.generics);
    let (inputs, clause) = (&sig.inputs, &generics.where_clause);
    let test = (kind == Kind::Test).then(|| quote!(#[::core::prelude::v1::test]));
    let krate = options::crate_path(options);
    let flavor = match options.flavor {
        Flavor::MultiThread => quote!(multi_thread()),
        Flavor::CurrentThread => quote!(current_thread()),
    };
    let workers = options.worker_threads.map(|n| quote!(.worker_threads(#n)));
    let cap = options.max_async_threads.map(|n| quote!(.max_async_threads(#n)));
    let paused = options.start_paused.map(|paused| quote!(.start_paused(#paused)));
    let run = match kind {
        Kind::Main => quote!(main),
        Kind::Test => quote!(test),
    };
    // What is run several times is made several times.
    let seed = options.seed.map(|seed| quote!(.seed(#seed)));
    let again = options.seed.map(|_| quote!(||));
    // The words `async fn` carry the span of the macro. With the user's, lints such as
    // `clippy::unused_async` would advise to remove a word that the attribute demands.
    let async_fn = quote_spanned!(Span::mixed_site()=> async fn);
    let (taken, inside, future) = if function.names_self() {
        (quote!(#inputs), None, quote!(async move #body))
    } else {
        let (taken, given) = passed_on(sig);
        let inside = quote!(#async_fn #name #generics(#inputs) #output #clause #body);
        (taken, Some(inside), quote!(#name #given))
    };
    quote! {
        #(#attrs)*
        #test
        #vis fn #name #generics(#taken) #output #clause {
            #inside
            #krate::__private::Entry::#flavor #workers #cap #paused #seed.#run(#again #future)
        }
    }
}

/// The parameters of the function outside, and what it calls the one inside with.
fn passed_on(sig: &Signature) -> (TokenStream, TokenStream) {
    let named = sig.inputs.iter().enumerate().filter_map(|(nth, input)| match input {
        FnArg::Typed(input) => {
            let name = match &*input.pat {
                Pat::Ident(pat) if pat.subpat.is_none() => pat.ident.clone(),
                _ => format_ident!("argument_{nth}"),
            };
            let (attrs, ty) = (&input.attrs, &input.ty);
            Some((quote!(#(#attrs)* #name: #ty), name))
        }
        FnArg::Receiver(_) => None,
    });
    let (taken, names): (Vec<_>, Vec<_>) = named.unzip();
    let types = sig.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        // That the compiler finds out.
        GenericParam::Lifetime(_) => None,
    });
    let types: Vec<_> = types.collect();
    let types = (!types.is_empty()).then(|| quote!(::<#(#types),*>));
    (quote!(#(#taken),*), quote!(#types(#(#names),*)))
}

/// What stays of an item that was refused: of a function its name, with the function inside, so
/// that names it uses do not become unused; of anything else all of it.
fn stand_in(item: TokenStream, kind: Kind) -> TokenStream {
    let Ok(mut function) = Function::read(item.clone(), kind) else {
        return item;
    };
    if function.sig.receiver().is_some() {
        return item;
    }
    let name = function.sig.ident.clone();
    let vis = function.vis.clone();
    // What else expands an attribute here would only add its own view of the mistake.
    function.attrs.retain(|attr| attr.path().is_ident("cfg"));
    let cfgs = std::mem::take(&mut function.attrs);
    function.vis = syn::Visibility::Inherited;
    let function = function.to_token_stream();
    quote! {
        #(#cfgs)*
        #[allow(dead_code, reason = "stands in for a function with an error")]
        #vis fn #name() {
            #[allow(dead_code, reason = "stands in for a function with an error")]
            #function
        }
    }
}
