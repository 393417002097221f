//! What the tests of `redis` want of a package that was never published: an attribute that makes a test
//! of an async function.

use proc_macro::{TokenStream, TokenTree};

/// Runs it on tokio, by what the tests have for that. A connection that it asks for (`impl ...`) is one
/// to a server of its own; of a `bool` it gets either.
#[proc_macro_attribute]
pub fn async_test(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut before: Vec<TokenTree> = item.into_iter().collect();
    let at = before.iter().position(|token| token.to_string() == "async");
    let function = before.split_off(at.expect("an async function"));
    // async fn NAME (ARGUMENTS) ...
    let (name, arguments) = (function[2].to_string(), function[3].to_string());
    let run = |future: &str| {
        format!("crate::support::block_on_all({future}, crate::support::RuntimeType::Tokio)")
    };
    let body = if arguments.contains("impl") {
        let future = format!("async {{ {name}(server.async_connection().await.unwrap()).await }}");
        format!("let server = crate::support::TestContext::new(); {}", run(&future))
    } else if arguments.contains("bool") {
        format!("for case in [false, true] {{ {} }}", run(&format!("{name}(case)")))
    } else {
        run(&format!("{name}()"))
    };
    let (before, function) = (TokenStream::from_iter(before), TokenStream::from_iter(function));
    format!("{before} #[test] fn {name}() {{ {function} {body} }}").parse().expect("it is Rust")
}
