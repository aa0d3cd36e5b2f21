//! Opaque tokens: any text is answered, and what opens is exactly what was minted.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sallyport::clock::Clock;
use sallyport::crypto::{Keys, OpaqueTokens, TokenKind};

const KINDS: [TokenKind; 3] = [TokenKind::Refresh, TokenKind::Challenge, TokenKind::Device];

/// Other keys in every run: of a find, the input tells what was done to a token.
static TOKENS: LazyLock<(OpaqueTokens, [String; 3])> = LazyLock::new(|| {
    let clock = Clock::system();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    Keys::generate(&path, clock.now()).expect("writes");
    let tokens = OpaqueTokens::new(&Keys::load(&path).expect("reads"));
    let minted = KINDS.map(|kind| tokens.encode(kind, &tokens.mint(kind, clock.new_id(), 7)));
    (tokens, minted)
});

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Text(&'a str),
    /// A token of ours with something before and behind it.
    Surrounded {
        kind: u8,
        before: &'a str,
        behind: &'a str,
    },
    /// A token of ours with something in place of `cut` characters.
    Edited {
        kind: u8,
        at: u8,
        cut: u8,
        with: &'a str,
    },
}

impl Input<'_> {
    fn text(&self) -> String {
        match *self {
            Self::Text(text) => text.to_owned(),
            Self::Surrounded {
                kind,
                before,
                behind,
            } => format!("{before}{}{behind}", minted(kind)),
            Self::Edited {
                kind,
                at,
                cut,
                with,
            } => {
                let mut text = minted(kind).to_owned();
                let at = usize::from(at) % (text.len() + 1);
                let end = text.len().min(at + usize::from(cut % 8));
                text.replace_range(at..end, with);
                text
            }
        }
    }
}

fn minted(kind: u8) -> &'static str {
    &TOKENS.1[usize::from(kind % 3)]
}

fuzz_target!(|input: Input| {
    let text = input.text();
    let (tokens, minted) = &*TOKENS;
    for (kind, minted) in KINDS.into_iter().zip(minted) {
        let opened = tokens.open(kind, &text);
        assert_eq!(opened.is_ok(), text == *minted, "{kind:?} {text:?}");
        if let Ok(opened) = opened {
            assert_eq!(tokens.encode(kind, &opened), text);
            // The stored part of a successor is text, too.
            let _ = tokens.unwrap(&opened, &text);
        }
    }
});
