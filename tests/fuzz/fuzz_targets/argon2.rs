//! The hash engine against its reference: argon2-rust and the argon2 crate compute the same tag, or both refuse.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// Small, so that one run takes no more than some milliseconds; beyond the edges on the small side.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    variant: u8,
    old_version: bool,
    memory_kib: u8,
    passes: u8,
    lanes: u8,
    tag_length: u8,
    password: &'a [u8],
    salt: &'a [u8],
    secret: &'a [u8],
    data: &'a [u8],
}

impl Input<'_> {
    fn passes(&self) -> u32 {
        u32::from(self.passes % 7)
    }

    fn lanes(&self) -> u32 {
        u32::from(self.lanes % 9)
    }

    fn tag(&self) -> Vec<u8> {
        vec![0; usize::from(self.tag_length)]
    }

    /// The argon2 crate takes no more.
    fn data(&self) -> &[u8] {
        &self.data[..self.data.len().min(argon2::Params::MAX_DATA_LEN)]
    }

    fn by_argon2(&self) -> Option<Vec<u8>> {
        use argon2::{Algorithm, Version};
        let algorithms = [Algorithm::Argon2d, Algorithm::Argon2i, Algorithm::Argon2id];
        let versions = [Version::V0x13, Version::V0x10];
        let params = argon2::ParamsBuilder::new()
            .m_cost(self.memory_kib.into())
            .t_cost(self.passes())
            .p_cost(self.lanes())
            .output_len(self.tag_length.into())
            .data(argon2::AssociatedData::new(self.data()).ok()?)
            .build()
            .ok()?;
        let argon2 = argon2::Argon2::new_with_secret(
            self.secret,
            algorithms[usize::from(self.variant % 3)],
            versions[usize::from(self.old_version)],
            params,
        );
        let mut tag = self.tag();
        argon2
            .ok()?
            .hash_password_into(self.password, self.salt, &mut tag)
            .ok()?;
        Some(tag)
    }

    fn by_argon2_rust(&self, hasher: &mut argon2_rust::Hasher) -> Option<Vec<u8>> {
        use argon2_rust::{Algorithm, Version};
        let algorithms = [Algorithm::Argon2d, Algorithm::Argon2i, Algorithm::Argon2id];
        let versions = [Version::V0x13, Version::V0x10];
        let params = argon2_rust::Params::builder()
            .memory(argon2_rust::params::Memory::kib(self.memory_kib.into()))
            .passes(self.passes())
            .lanes(self.lanes())
            .threads(1)
            .tag_len(argon2_rust::params::TagLen::bytes(self.tag_length.into()))
            .build()
            .ok()?;
        hasher.set_argon2(argon2_rust::Argon2::new(
            algorithms[usize::from(self.variant % 3)],
            versions[usize::from(self.old_version)],
            params,
        ));
        let mut tag = self.tag();
        hasher
            .hash_into_with_ad(self.password, self.salt, self.secret, self.data(), &mut tag)
            .ok()?;
        Some(tag)
    }
}

thread_local! {
    /// One for all runs, as a worker of the pool has.
    static HASHER: RefCell<argon2_rust::Hasher> = RefCell::new(hasher());
}

fn hasher() -> argon2_rust::Hasher {
    use argon2_rust::{Algorithm, Argon2, Params, Version};
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default()).hasher()
}

fuzz_target!(|input: Input| {
    let fast = HASHER.with_borrow_mut(|hasher| input.by_argon2_rust(hasher));
    assert_eq!(fast, input.by_argon2());
});
