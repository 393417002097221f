//! Good and bad uses of the attributes, as tokens.

use proc_macro2::TokenStream;
use quote::quote;

use crate::entry::{Kind, expand, expand_or_report};

fn good(args: TokenStream, item: TokenStream, kind: Kind, expected: TokenStream) {
    let expansion = expand(args, item, kind).expect("a good use");
    assert_eq!(expansion.to_string(), expected.to_string());
}

/// All messages of a bad use, in the order of their discovery.
fn bad(args: TokenStream, item: TokenStream, kind: Kind) -> Vec<String> {
    let error = expand(args, item, kind).expect_err("a bad use");
    error.into_iter().map(|error| error.to_string()).collect()
}

fn main_args(args: TokenStream) -> Vec<String> {
    bad(
        args,
        quote!(
            async fn main() {}
        ),
        Kind::Main,
    )
}

fn main_item(item: TokenStream) -> Vec<String> {
    bad(quote!(), item, Kind::Main)
}

fn test_item(item: TokenStream) -> Vec<String> {
    bad(quote!(), item, Kind::Test)
}

#[test]
fn main_is_multi_thread_by_default() {
    good(
        quote!(),
        quote!(
            async fn main() {
                work().await
            }
        ),
        Kind::Main,
        quote! {
            fn main() {
                async fn main() { work().await }
                ::threadlet::__private::Entry::multi_thread().main(main())
            }
        },
    );
}

#[test]
fn main_keeps_type_visibility_and_attributes() {
    good(
        quote!(max_async_threads = 9, worker_threads = 4usize,),
        quote! {
            /// Says hello.
            #[allow(unused)]
            pub(crate) async fn main() -> Result<(), Error> {
                #![allow(dead_code)]
                hello()?;
                return Ok(());
            }
        },
        Kind::Main,
        quote! {
            /// Says hello.
            #[allow(unused)]
            pub(crate) fn main() -> Result<(), Error> {
                async fn main() -> Result<(), Error> {
                    #![allow(dead_code)]
                    hello()?;
                    return Ok(());
                }
                ::threadlet::__private::Entry::multi_thread()
                    .worker_threads(4usize)
                    .max_async_threads(9usize)
                    .main(main())
            }
        },
    );
}

#[test]
fn test_is_current_thread_by_default() {
    good(
        quote!(),
        quote! {
            #[should_panic]
            #[ignore = "slow"]
            async fn fails() -> Result<(), Error> { Err(Error) }
        },
        Kind::Test,
        quote! {
            #[should_panic]
            #[ignore = "slow"]
            #[::core::prelude::v1::test]
            fn fails() -> Result<(), Error> {
                async fn fails() -> Result<(), Error> { Err(Error) }
                ::threadlet::__private::Entry::current_thread().test(fails())
            }
        },
    );
}

#[test]
fn flavor_chooses_the_runtime() {
    good(
        quote!(flavor = "current_thread"),
        quote!(
            async fn main() {}
        ),
        Kind::Main,
        quote! {
            fn main() {
                async fn main() {}
                ::threadlet::__private::Entry::current_thread().main(main())
            }
        },
    );
    good(
        quote!(worker_threads = 2, flavor = "multi_thread"),
        quote!(
            async fn works() {}
        ),
        Kind::Test,
        quote! {
            #[::core::prelude::v1::test]
            fn works() {
                async fn works() {}
                ::threadlet::__private::Entry::multi_thread().worker_threads(2usize).test(works())
            }
        },
    );
}

#[test]
fn the_crate_may_have_another_name() {
    for args in [quote!(crate = "crate::renamed"), quote!(crate = crate::renamed)] {
        good(
            args,
            quote!(
                async fn main() {}
            ),
            Kind::Main,
            quote! {
                fn main() {
                    async fn main() {}
                    crate::renamed::__private::Entry::multi_thread().main(main())
                }
            },
        );
    }
}

#[test]
fn a_body_that_the_parser_does_not_know_passes() {
    let expansion = expand(quote!(), quote!(async fn main() { some future syntax }), Kind::Main);
    assert!(expansion.is_ok());
}

#[test]
fn an_invisible_group_around_a_value_is_looked_through() {
    use proc_macro2::{Delimiter, Group, TokenTree};
    let n = TokenTree::Group(Group::new(Delimiter::None, quote!(3)));
    let expansion = expand(
        quote!(worker_threads = #n),
        quote!(
            async fn main() {}
        ),
        Kind::Main,
    );
    assert!(expansion.expect("a good use").to_string().contains("3usize"));
}

#[test]
fn not_async() {
    let text =
        "`#[threadlet::main]` runs an `async fn`, and this one is not: write `async fn main`";
    assert_eq!(
        main_item(quote!(
            fn main() {}
        )),
        [text]
    );
    let text = "`#[threadlet::test]` runs an `async fn`, and this one is not: write `async fn it`";
    assert_eq!(
        test_item(quote!(
            fn it() {}
        )),
        [text]
    );
}

#[test]
fn arguments() {
    let text = "nobody passes arguments to `main`: remove them; \
                `std::env::args()` gives those of the program";
    assert_eq!(
        main_item(quote!(
            async fn main(args: Vec<String>) {}
        )),
        [text]
    );
    let text = "nobody passes arguments to a test: remove them";
    assert_eq!(
        test_item(quote!(
            async fn it(n: u32) {}
        )),
        [text]
    );
    assert_eq!(
        test_item(quote!(
            async fn it(&self) {}
        )),
        [text]
    );
}

#[test]
fn generics() {
    let text = "`main` cannot be generic: remove the parameters";
    assert_eq!(
        main_item(quote!(
            async fn main<T>() {}
        )),
        [text]
    );
    assert_eq!(
        main_item(quote!(
            async fn main<'a>() {}
        )),
        [text]
    );
    let text = "a test cannot be generic: remove the parameters";
    assert_eq!(
        test_item(quote!(
            async fn it<const N: usize>() {}
        )),
        [text]
    );
    let text = "`main` cannot have a `where` clause: remove it";
    assert_eq!(
        main_item(quote!(
            async fn main()
            where
                u32: Copy,
            {
            }
        )),
        [text]
    );
}

#[test]
fn qualifiers() {
    for (item, word) in [
        (
            quote!(
                async unsafe fn main() {}
            ),
            "unsafe",
        ),
        (
            quote!(
                const async fn main() {}
            ),
            "const",
        ),
        (
            quote!(
                async extern "C" fn main() {}
            ),
            "extern",
        ),
    ] {
        let text =
            format!("a function under `#[threadlet::main]` cannot be `{word}`: remove that word");
        assert_eq!(main_item(item), [text]);
    }
}

#[test]
fn not_a_function() {
    let text = "`#[threadlet::main]` goes on an `async fn` with a body, and this is none";
    for item in [
        quote!(
            struct Main;
        ),
        quote!(
            #[derive(Debug)]
            struct Main {
                n: u32,
            }
        ),
        quote!(
            mod main {}
        ),
        quote!(
            async fn main();
        ),
        quote!(),
    ] {
        assert_eq!(main_item(item), [text]);
    }
}

#[test]
fn a_second_test_attribute() {
    let text = "`#[threadlet::test]` makes a test by itself: remove this attribute";
    assert_eq!(
        test_item(quote!(
            #[test]
            async fn it() {}
        )),
        [text]
    );
    assert_eq!(
        test_item(quote!(
            #[threadlet::test]
            async fn it() {}
        )),
        [text]
    );
}

#[test]
fn unknown_option() {
    let valid = "the options are `worker_threads`, `max_async_threads`, `flavor`, `start_paused`, `seed`, `crate`";
    let text = format!("unknown option `workers`; {valid}");
    assert_eq!(main_args(quote!(workers = 4)), [text.as_str()]);
    assert_eq!(main_args(quote!(workers(4))), [text.as_str()]);
    assert_eq!(main_args(quote!(workers)), [text.as_str()]);
    let text = format!("expected `option = value`; {valid}");
    assert_eq!(main_args(quote!(4)), [text.as_str()]);
}

#[test]
fn a_clock_that_stands() {
    good(
        quote!(start_paused = true),
        quote!(
            async fn it() {}
        ),
        Kind::Test,
        quote! {
            #[::core::prelude::v1::test]
            fn it() {
                async fn it() {}
                ::threadlet::__private::Entry::current_thread().start_paused(true).test(it())
            }
        },
    );
    let text = "`start_paused` needs one core: add `flavor = \"current_thread\"`";
    assert_eq!(main_args(quote!(start_paused = true)), [text]);
    for args in
        [quote!(start_paused = false), quote!(start_paused = true, flavor = "current_thread")]
    {
        assert!(
            expand(
                args,
                quote!(
                    async fn main() {}
                ),
                Kind::Main
            )
            .is_ok()
        );
    }
    let text = "`start_paused` takes `true` or `false`";
    assert_eq!(main_args(quote!(start_paused = 1)), [text]);
    let text = "`start_paused` needs a value: write `start_paused = true`";
    assert_eq!(main_args(quote!(start_paused)), [text]);
}

#[test]
fn a_seed() {
    good(
        quote!(seed = 7, max_async_threads = 4),
        quote!(
            async fn it() {}
        ),
        Kind::Test,
        quote! {
            #[::core::prelude::v1::test]
            fn it() {
                async fn it() {}
                ::threadlet::__private::Entry::current_thread()
                    .max_async_threads(4usize)
                    .seed(7u64)
                    .test(|| it())
            }
        },
    );
    let test_args = |args| {
        bad(
            args,
            quote!(
                async fn it() {}
            ),
            Kind::Test,
        )
    };
    let text = "`seed` needs one core: add `flavor = \"current_thread\"`";
    assert_eq!(test_args(quote!(seed = 7, flavor = "multi_thread")), [text]);
    let cases = [
        (quote!(seed = "7"), "`seed` takes a whole number, written out, as in `7`"),
        (quote!(seed = -7), "`seed` takes a whole number, written out, as in `7`"),
        (quote!(seed = 7i32), "`seed` is a `u64`: leave the suffix out"),
        (
            quote!(seed = 18446744073709551616),
            "`seed` does not fit a `u64`: write a smaller number",
        ),
        (quote!(seed), "`seed` needs a value: write `seed = 7`"),
    ];
    for (args, text) in cases {
        assert_eq!(test_args(args), [text]);
    }
    let text = "`seed` is for tests: write `#[threadlet::test(seed = 7)]`, or build the runtime by \
                hand with `Builder::deterministic`";
    assert_eq!(main_args(quote!(seed = 7)), [text]);
}

#[test]
fn a_flavor_without_its_name() {
    let text = "write the flavor as `#[threadlet::main(flavor = \"current_thread\")]`";
    assert_eq!(main_args(quote!(current_thread)), [text]);
}

#[test]
fn duplicate_option() {
    let text = "`worker_threads` is given twice: remove one of them";
    assert_eq!(main_args(quote!(worker_threads = 1, worker_threads = 2)), [text]);
    let text = "`crate` is given twice: remove one of them";
    assert_eq!(main_args(quote!(crate = "a", crate = b)), [text]);
}

#[test]
fn wrong_numbers() {
    for name in ["worker_threads", "max_async_threads"] {
        let option: proc_macro2::Ident = syn::parse_str(name).expect("an identifier");
        let not_a_number =
            format!("`{name}` takes a whole number of 1 or more, written out, as in `4`");
        let cases = [
            (quote!(#option = 0), format!("`{name}` must be 1 or more")),
            (quote!(#option = "4"), not_a_number.clone()),
            (quote!(#option = -4), not_a_number.clone()),
            (quote!(#option = 4.0), not_a_number.clone()),
            (quote!(#option = N), not_a_number),
            (quote!(#option = 4u8), format!("`{name}` is a `usize`: leave the suffix out")),
            (
                quote!(#option = 340282366920938463463374607431768211456),
                format!("`{name}` does not fit a `usize`: write a smaller number"),
            ),
            (quote!(#option), format!("`{name}` needs a value: write `{name} = 4`")),
            (quote!(#option(4)), format!("`{name}` needs a value: write `{name} = 4`")),
        ];
        for (args, text) in cases {
            assert_eq!(main_args(args), [text]);
        }
    }
}

#[test]
fn wrong_flavor() {
    let flavors = "the flavors are `\"multi_thread\"` and `\"current_thread\"`";
    let text = format!("unknown flavor `threaded`; {flavors}");
    assert_eq!(main_args(quote!(flavor = "threaded")), [text]);
    let text = format!("`flavor` takes a string; {flavors}");
    assert_eq!(main_args(quote!(flavor = multi_thread)), [text]);
}

#[test]
fn wrong_crate() {
    let text = "`crate` takes the path under which `threadlet` is known here, \
                as in `crate = \"renamed\"`";
    for args in [
        quote!(crate = "not a path"),
        quote!(crate = ""),
        quote!(crate = 4),
        quote!(crate = a::<u8>),
        quote!(crate = <A as B>::c),
    ] {
        assert_eq!(main_args(args), [text]);
    }
}

#[test]
fn workers_of_a_single_core() {
    let text = "`worker_threads` has no meaning with `flavor = \"current_thread\"`, which has one \
                core: remove it, or write `#[threadlet::main(flavor = \"multi_thread\", \
                worker_threads = ...)]`";
    assert_eq!(main_args(quote!(worker_threads = 4, flavor = "current_thread")), [text]);
    let text = "`worker_threads` needs the flavor `multi_thread`, and a test has `current_thread` \
                unless told: write `#[threadlet::test(flavor = \"multi_thread\", \
                worker_threads = ...)]`";
    let found = bad(
        quote!(worker_threads = 4),
        quote!(
            async fn it() {}
        ),
        Kind::Test,
    );
    assert_eq!(found, [text]);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = bad(
        quote!(worker_threads = 0, x = 1),
        quote!(
            fn main(n: u8) {}
        ),
        Kind::Main,
    );
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn a_refused_function_leaves_its_name() {
    let tokens = expand_or_report(
        quote!(),
        quote!(
            fn main() {
                body()
            }
        ),
        Kind::Main,
    )
    .to_string();
    assert!(tokens.contains("compile_error"));
    assert_eq!(tokens.matches("fn main () {").count(), 2, "{tokens}");
    assert!(tokens.contains("body ()"));
}

#[test]
fn a_refused_item_that_is_no_function_stays() {
    let tokens = expand_or_report(
        quote!(),
        quote!(
            struct Main;
        ),
        Kind::Main,
    )
    .to_string();
    assert!(tokens.contains("compile_error"));
    assert!(tokens.ends_with("struct Main ;"));
}
