//! A function that somebody calls may have arguments and generics, and be a method.

use std::fmt::Display;

#[threadlet::main(flavor = "current_thread")]
async fn sum(mut from: u32, (to, _): (u32, &str), _: ()) -> u32 {
    from += 1;
    threadlet::spawn(async move { (from..to).sum() }).await.unwrap()
}

#[threadlet::main(flavor = "current_thread")]
async fn longest<'a, T, const N: usize>(all: &'a [T; N], least: impl Into<usize>) -> Option<&'a T>
where
    T: AsRef<str> + ?Sized + Sized,
{
    let least = least.into();
    all.iter().filter(|text| text.as_ref().len() >= least).max_by_key(|text| text.as_ref().len())
}

#[threadlet::main(flavor = "current_thread")]
async fn default<T: Default>() -> T {
    T::default()
}

#[threadlet::main(flavor = "current_thread")]
async fn shown(value: &(impl Display + ?Sized)) -> Result<String, std::num::ParseIntError> {
    let number: u32 = value.to_string().parse()?;
    Ok(format!("<{number}>"))
}

#[derive(Default, PartialEq, Debug)]
struct Counter {
    count: u32,
}

impl Counter {
    const STEP: u32 = 2;

    #[threadlet::main(flavor = "current_thread")]
    async fn new() -> Self {
        Self::default()
    }

    #[threadlet::main(flavor = "current_thread")]
    async fn add(&mut self, text: &str) -> Result<u32, std::num::ParseIntError> {
        let by: u32 = text.parse()?;
        self.count += by * Self::STEP;
        Ok(self.count)
    }

    #[threadlet::main(flavor = "current_thread")]
    async fn end(self) -> u32 {
        self.count
    }
}

fn main() {
    assert_eq!(sum(0, (4, "unused"), ()), 6);
    assert_eq!(longest(&["a", "bcd", "ef"], 2_u8), Some(&"bcd"));
    assert_eq!(default::<u8>(), 0);
    assert_eq!(shown(&7).unwrap(), "<7>");
    assert!(shown("seven").is_err());
    let mut counter = Counter::new();
    assert_eq!(counter.add("3"), Ok(6));
    assert!(counter.add("three").is_err());
    assert_eq!(counter.end(), 6);
}
