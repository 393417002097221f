//! Reads the options of an attribute: `name = value`, separated by commas.
//!
//! Every mistake is reported, not only the first, each at the words that are wrong.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, ExprPath, Lit, LitStr, Path, Result, Token};

use crate::entry::{Kind, add};

const VALID: &str = "`worker_threads`, `max_async_threads`, `flavor`, `start_paused`, `seed`, \
                     `crate`";
const FLAVORS: &str = "`\"multi_thread\"` and `\"current_thread\"`";

/// Which runtime to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    MultiThread,
    CurrentThread,
}

/// What the user asked for. `None` leaves the choice to the runtime's builder.
pub(crate) struct Options {
    pub(crate) flavor: Flavor,
    pub(crate) worker_threads: Option<usize>,
    pub(crate) max_async_threads: Option<usize>,
    pub(crate) start_paused: Option<bool>,
    pub(crate) seed: Option<u64>,
    pub(crate) krate: Option<Path>,
}

/// One `name = value` as written. The value is absent in `name` and `name(...)`.
struct Written {
    name: Ident,
    value: Option<Expr>,
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if !input.peek(syn::Ident::peek_any) {
            return Err(input.error(format!("expected `option = value`; the options are {VALID}")));
        }
        let name = input.call(Ident::parse_any)?;
        if input.peek(syn::token::Paren) {
            input.parse::<proc_macro2::Group>()?;
        } else if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            return Ok(Self { name, value: Some(input.parse()?) });
        }
        Ok(Self { name, value: None })
    }
}

impl Options {
    /// What an attribute without options means.
    pub(crate) fn default_of(kind: Kind) -> Self {
        let flavor = match kind {
            Kind::Main => Flavor::MultiThread,
            Kind::Test => Flavor::CurrentThread,
        };
        Self {
            flavor,
            worker_threads: None,
            max_async_threads: None,
            start_paused: None,
            seed: None,
            krate: None,
        }
    }

    /// Reads the attribute's arguments.
    pub(crate) fn read(args: TokenStream, kind: Kind) -> Result<Self> {
        let written = Punctuated::<Written, Token![,]>::parse_terminated.parse2(args)?;
        let mut options = Self::default_of(kind);
        let mut found = None;
        for (at, option) in written.iter().enumerate() {
            let name = &option.name;
            if written.iter().take(at).any(|earlier| earlier.name == *name) {
                let text = format!("`{name}` is given twice: remove one of them");
                add(&mut found, Error::new(name.span(), text));
            } else if let Err(error) = options.set(option, kind) {
                add(&mut found, error);
            }
        }
        // Only if all else is right: beside a misspelt flavor this would be a guess.
        if found.is_none() && options.flavor == Flavor::CurrentThread {
            if let Some(workers) = written.iter().find(|option| option.name == "worker_threads") {
                found = Some(workers_without_threads(workers, kind));
            }
        }
        let stands = options.start_paused == Some(true);
        for (set, name) in [(stands, "start_paused"), (options.seed.is_some(), "seed")] {
            let of_several = set && options.flavor == Flavor::MultiThread && found.is_none();
            let option = written.iter().find(|option| of_several && option.name == name);
            if let Some(option) = option {
                let text = format!("`{name}` needs one core: add `flavor = \"current_thread\"`");
                found = Some(Error::new(option.name.span(), text));
            }
        }
        found.map_or(Ok(options), Err)
    }

    fn set(&mut self, option: &Written, kind: Kind) -> Result<()> {
        match option.name.to_string().as_str() {
            "worker_threads" => self.worker_threads = Some(positive(option)?),
            "max_async_threads" => self.max_async_threads = Some(positive(option)?),
            "start_paused" => self.start_paused = Some(yes_or_no(option)?),
            "seed" if kind == Kind::Test => self.seed = Some(seed(option)?),
            "seed" => {
                let text = "`seed` is for tests: write `#[threadlet::test(seed = 7)]`, or build the \
                            runtime by hand with `Builder::deterministic`";
                return Err(Error::new(option.name.span(), text));
            }
            "flavor" => self.flavor = flavor(option)?,
            "crate" => self.krate = Some(path(option)?),
            flavor @ ("multi_thread" | "current_thread") => {
                let name = kind.name();
                let text = format!("write the flavor as `#[{name}(flavor = \"{flavor}\")]`");
                return Err(Error::new(option.name.span(), text));
            }
            unknown => {
                let text = format!("unknown option `{unknown}`; the options are {VALID}");
                return Err(Error::new(option.name.span(), text));
            }
        }
        Ok(())
    }
}

fn workers_without_threads(option: &Written, kind: Kind) -> Error {
    let name = kind.name();
    let text = match kind {
        Kind::Main => format!(
            "`worker_threads` has no meaning with `flavor = \"current_thread\"`, which has one \
             core: remove it, or write `#[{name}(flavor = \"multi_thread\", worker_threads = ...)]`"
        ),
        Kind::Test => format!(
            "`worker_threads` needs the flavor `multi_thread`, and a test has `current_thread` \
             unless told: write `#[{name}(flavor = \"multi_thread\", worker_threads = ...)]`"
        ),
    };
    Error::new(option.name.span(), text)
}

/// The value, out of the invisible groups that `macro_rules!` puts around a fragment.
fn value<'a>(option: &'a Written, example: &str) -> Result<&'a Expr> {
    let name = &option.name;
    let Some(mut value) = option.value.as_ref() else {
        let text = format!("`{name}` needs a value: write `{name} = {example}`");
        return Err(Error::new(name.span(), text));
    };
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    Ok(value)
}

fn positive(option: &Written) -> Result<usize> {
    let name = &option.name;
    let value = value(option, "4")?;
    let wrong = |text: &str| Err(Error::new_spanned(value, format!("`{name}` {text}")));
    let Expr::Lit(ExprLit { lit: Lit::Int(lit), .. }) = value else {
        return wrong("takes a whole number of 1 or more, written out, as in `4`");
    };
    if !matches!(lit.suffix(), "" | "usize") {
        return wrong("is a `usize`: leave the suffix out");
    }
    match lit.base10_parse::<usize>() {
        Ok(0) => wrong("must be 1 or more"),
        Ok(n) => Ok(n),
        Err(_) => wrong("does not fit a `usize`: write a smaller number"),
    }
}

fn seed(option: &Written) -> Result<u64> {
    let value = value(option, "7")?;
    let wrong = |text: &str| Err(Error::new_spanned(value, format!("`seed` {text}")));
    let Expr::Lit(ExprLit { lit: Lit::Int(lit), .. }) = value else {
        return wrong("takes a whole number, written out, as in `7`");
    };
    if !matches!(lit.suffix(), "" | "u64") {
        return wrong("is a `u64`: leave the suffix out");
    }
    match lit.base10_parse::<u64>() {
        Ok(seed) => Ok(seed),
        Err(_) => wrong("does not fit a `u64`: write a smaller number"),
    }
}

fn yes_or_no(option: &Written) -> Result<bool> {
    match value(option, "true")? {
        Expr::Lit(ExprLit { lit: Lit::Bool(lit), .. }) => Ok(lit.value),
        other => {
            let text = format!("`{}` takes `true` or `false`", option.name);
            Err(Error::new_spanned(other, text))
        }
    }
}

fn flavor(option: &Written) -> Result<Flavor> {
    let value = value(option, "\"multi_thread\"")?;
    let Expr::Lit(ExprLit { lit: Lit::Str(lit), .. }) = value else {
        let text = format!("`flavor` takes a string; the flavors are {FLAVORS}");
        return Err(Error::new_spanned(value, text));
    };
    match lit.value().as_str() {
        "multi_thread" => Ok(Flavor::MultiThread),
        "current_thread" => Ok(Flavor::CurrentThread),
        unknown => {
            let text = format!("unknown flavor `{unknown}`; the flavors are {FLAVORS}");
            Err(Error::new_spanned(lit, text))
        }
    }
}

fn path(option: &Written) -> Result<Path> {
    let value = value(option, "\"threadlet\"")?;
    let path = match value {
        Expr::Path(ExprPath { attrs, qself: None, path }) if attrs.is_empty() => Some(path.clone()),
        Expr::Lit(ExprLit { lit: Lit::Str(lit), .. }) => parse_path(lit),
        _ => None,
    };
    // A generic argument has no place in the path of a crate.
    path.filter(|path| path.segments.iter().all(|segment| segment.arguments.is_none())).ok_or_else(
        || {
            let text = "`crate` takes the path under which `threadlet` is known here, \
                        as in `crate = \"renamed\"`";
            Error::new_spanned(value, text)
        },
    )
}

fn parse_path(lit: &LitStr) -> Option<Path> {
    lit.parse_with(Path::parse_mod_style).ok()
}

/// The path of the main crate: the user's, or `::threadlet`.
pub(crate) fn crate_path(options: &Options) -> TokenStream {
    match &options.krate {
        Some(path) => path.to_token_stream(),
        None => {
            let name = Ident::new("threadlet", Span::call_site());
            quote::quote!(::#name)
        }
    }
}
