//! Reads the function under an attribute and says what is wrong with it.
//!
//! The body stays an opaque group of tokens. It need not be understood, so syntax that is newer
//! than our parser passes, and every span in it stays the user's.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Result, Signature, Visibility};

use crate::entry::{Kind, add};

/// A function whose body was not looked into.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let TokenTree::Group(body) = input.parse()? else {
            return Err(input.error("expected a function body"));
        };
        if input.is_empty() {
            Ok(Self { attrs, vis, sig, body })
        } else {
            Err(input.error("expected the end of the function"))
        }
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(tokens);
        }
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

impl Function {
    /// Reads an item. The parser's own words would name tokens; the user needs to hear that this
    /// is no function.
    pub(crate) fn read(item: TokenStream, kind: Kind) -> Result<Self> {
        syn::parse2(item.clone()).map_err(|_| {
            let name = kind.name();
            let text = format!("`#[{name}]` goes on an `async fn` with a body, and this is none");
            // An attribute of the item would hide what the message is about.
            Error::new_spanned(without_attributes(item), text)
        })
    }

    /// Collects everything that keeps this function from being run by a runtime.
    pub(crate) fn check(&self, kind: Kind) -> Result<()> {
        let mut found = None;
        let name = kind.name();
        let sig = &self.sig;
        if sig.asyncness.is_none() {
            let text = format!(
                "`#[{name}]` runs an `async fn`, and this one is not: write `async fn {}`",
                sig.ident
            );
            add(&mut found, Error::new(sig.fn_token.span, text));
        }
        if kind == Kind::Test || sig.ident == "main" {
            self.check_that_nobody_calls_it(kind, &mut found);
        }
        for (span, word) in [
            sig.constness.map(|token| (token.span, "const")),
            sig.unsafety.map(|token| (token.span, "unsafe")),
            sig.abi.as_ref().map(|abi| (abi.span(), "extern")),
        ]
        .into_iter()
        .flatten()
        {
            let text = format!("a function under `#[{name}]` cannot be `{word}`: remove that word");
            add(&mut found, Error::new(span, text));
        }
        if kind == Kind::Test {
            self.check_other_tests(&mut found);
        }
        found.map_or(Ok(()), Err)
    }

    /// What is called by the system or by the harness is given nothing.
    fn check_that_nobody_calls_it(&self, kind: Kind, found: &mut Option<Error>) {
        let (sig, what) = (&self.sig, if kind == Kind::Main { "`main`" } else { "a test" });
        if !sig.inputs.is_empty() {
            let text = format!(
                "nobody passes arguments to {what}: remove them{}",
                match kind {
                    Kind::Main => "; `std::env::args()` gives those of the program",
                    Kind::Test => "",
                }
            );
            add(found, Error::new_spanned(&sig.inputs, text));
        }
        if sig.generics.lt_token.is_some() {
            let text = format!("{what} cannot be generic: remove the parameters");
            add(found, Error::new_spanned(&sig.generics, text));
        }
        if let Some(clause) = &sig.generics.where_clause {
            let text = format!("{what} cannot have a `where` clause: remove it");
            add(found, Error::new_spanned(clause, text));
        }
    }

    /// Whether it names the type that it belongs to, or a value of it. (A function inside it could
    /// not.)
    pub(crate) fn names_self(&self) -> bool {
        fn names_self(tokens: TokenStream) -> bool {
            tokens.into_iter().any(|token| match token {
                TokenTree::Ident(ident) => ident == "self" || ident == "Self",
                TokenTree::Group(group) => names_self(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => false,
            })
        }
        names_self(self.sig.to_token_stream()) || names_self(self.body.stream())
    }

    /// A second `#[test]` would run the test twice, or see a function that is not `async` any more.
    fn check_other_tests(&self, found: &mut Option<Error>) {
        for attr in &self.attrs {
            if attr.path().segments.last().is_some_and(|segment| segment.ident == "test") {
                let text = "`#[threadlet::test]` makes a test by itself: remove this attribute";
                add(found, Error::new_spanned(attr, text));
            }
        }
    }
}

/// The item after its outer attributes.
fn without_attributes(item: TokenStream) -> TokenStream {
    let rest = |input: ParseStream<'_>| {
        input.call(Attribute::parse_outer)?;
        input.parse::<TokenStream>()
    };
    match syn::parse::Parser::parse2(rest, item.clone()) {
        Ok(rest) if !rest.is_empty() => rest,
        _ => item,
    }
}
