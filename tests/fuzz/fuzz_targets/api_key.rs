//! API keys: any text is answered, and what is read is exactly what would be written.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sallyport::clock::Clock;
use sallyport::config::ApiKeyMode;
use sallyport::crypto::ApiKeyToken;

const MODES: [ApiKeyMode; 2] = [ApiKeyMode::Live, ApiKeyMode::Test];

/// Other keys in every run: of a find, the input tells what was done to one.
static MINTED: LazyLock<[String; 2]> = LazyLock::new(|| {
    let clock = Clock::system();
    MODES.map(|mode| ApiKeyToken::mint(mode, clock.new_id()).text().to_string())
});

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Text(&'a str),
    /// A key of ours with something before and behind it.
    Surrounded {
        test: bool,
        before: &'a str,
        behind: &'a str,
    },
    /// A key of ours with something in place of `cut` characters.
    Edited {
        test: bool,
        at: u8,
        cut: u8,
        with: &'a str,
    },
}

impl Input<'_> {
    fn text(&self) -> String {
        let minted = |test: bool| &MINTED[usize::from(test)];
        match *self {
            Self::Text(text) => text.to_owned(),
            Self::Surrounded {
                test,
                before,
                behind,
            } => format!("{before}{}{behind}", minted(test)),
            Self::Edited {
                test,
                at,
                cut,
                with,
            } => {
                let mut text = minted(test).clone();
                let at = usize::from(at) % (text.len() + 1);
                let end = text.len().min(at + usize::from(cut % 8));
                text.replace_range(at..end, with);
                text
            }
        }
    }
}

fuzz_target!(|input: Input| {
    let text = input.text();
    if let Ok(read) = ApiKeyToken::parse(&text) {
        assert_eq!(*read.text(), text);
        assert!(text.starts_with(&read.shown()));
    } else {
        assert!(!MINTED.contains(&text), "{text:?}");
    }
});
