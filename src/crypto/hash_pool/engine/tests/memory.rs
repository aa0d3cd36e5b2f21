//! The engine's memory as Linux reports it: advised to be in huge pages, and empty after every hash.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::*;

/// A mapping of this process, as `/proc/self/smaps` shows it.
#[derive(Debug, Default)]
struct Mapping {
    start: u64,
    kib: u32,
    resident_kib: u32,
    flags: String,
}

impl Mapping {
    /// The mapping of this size. Every test uses an unusual size of its own.
    fn of(kib: u32) -> Self {
        let mut mapping = Self::default();
        for line in fs::read_to_string("/proc/self/smaps")
            .expect("Linux tells")
            .lines()
        {
            let (word, rest) = line.split_once(' ').expect("two words at least");
            match word {
                "Size:" => mapping.kib = kib_in(rest),
                "Rss:" => mapping.resident_kib = kib_in(rest),
                "VmFlags:" if mapping.kib == kib => {
                    rest.clone_into(&mut mapping.flags);
                    return mapping;
                }
                _ if word.ends_with(':') => {}
                range => {
                    let (start, _) = range.split_once('-').expect("a range");
                    mapping.start = u64::from_str_radix(start, 16).expect("hexadecimal");
                }
            }
        }
        panic!("no memory of {kib} KiB")
    }

    fn content(&self) -> Vec<u8> {
        let mut content = vec![0xff; self.kib as usize * 1024];
        File::open("/proc/self/mem")
            .and_then(|memory| memory.read_exact_at(&mut content, self.start))
            .expect("our own memory");
        content
    }
}

fn kib_in(text: &str) -> u32 {
    let number = text.trim().strip_suffix(" kB").expect("a size");
    number.parse().expect("a number")
}

fn engine(kind: Kind, memory_kib: u32) -> Engine {
    Engine::new(kind, parameters(Algorithm::Argon2id, memory_kib, 1, 1)).expect("starts")
}

fn hash_once(engine: &mut Engine) {
    let configured = engine.configured;
    tag(engine, &configured, b"password", b"some salt");
}

#[test]
fn the_memory_of_the_engine_is_empty_after_a_hash() {
    let kib = 19_444;
    let mut engine = engine(Kind::Simd, kib);
    hash_once(&mut engine);
    let mapping = Mapping::of(kib);
    assert_eq!(mapping.resident_kib, kib, "it was used: {mapping:?}");
    let content = mapping.content();
    let left = content.iter().filter(|byte| **byte != 0).count();
    assert_eq!(left, 0, "bytes of a hash are left");
}

#[test]
fn the_memory_of_the_reference_is_empty_after_a_hash() {
    let mut engine = engine(Kind::Reference, 1024);
    hash_once(&mut engine);
    let Arena::Reference(blocks) = &engine.arena else {
        panic!("not the reference")
    };
    let empty = |block: &Block| block.as_ref().iter().all(|word| *word == 0);
    assert!(blocks.iter().all(empty));
}

#[test]
fn reserved_memory_is_advised_to_be_in_huge_pages() {
    if !Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        return;
    }
    let kib = 19_448;
    let _engine = engine(Kind::Simd, kib);
    let mapping = Mapping::of(kib);
    let mut flags = mapping.flags.split_whitespace();
    assert!(flags.any(|flag| flag == "hg"), "{mapping:?}");
}
