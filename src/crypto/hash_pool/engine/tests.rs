//! Both engines: against published vectors and each other, their memory, and their refusals.

mod equality;
#[cfg(target_os = "linux")]
mod memory;

use argon2::{Algorithm, Version};

use super::*;

/// All inputs of a tag; also the secret and the associated data, which our own hashes do not have.
#[derive(Clone, Debug)]
struct Case {
    parameters: HashParameters,
    password: Vec<u8>,
    salt: Vec<u8>,
    secret: Vec<u8>,
    data: Vec<u8>,
}

impl Case {
    /// The tag computed by argon2-rust, in the memory of `hasher`.
    fn by_argon2_rust(&self, hasher: &mut argon2_rust::Hasher) -> Vec<u8> {
        let mut tag = vec![0; self.parameters.tag_length];
        hasher.set_argon2(simd(&self.parameters).expect("within range"));
        hasher
            .hash_into_with_ad(
                &self.password,
                &self.salt,
                &self.secret,
                &self.data,
                &mut tag,
            )
            .expect("computes");
        tag
    }

    /// The tag computed by the argon2 crate.
    fn by_argon2(&self) -> Vec<u8> {
        let parameters = &self.parameters;
        let params = argon2::ParamsBuilder::new()
            .m_cost(parameters.memory_kib)
            .t_cost(parameters.iterations)
            .p_cost(parameters.parallelism)
            .output_len(parameters.tag_length)
            .data(argon2::AssociatedData::new(&self.data).expect("short enough"))
            .build()
            .expect("within range");
        let mut tag = vec![0; parameters.tag_length];
        argon2::Argon2::new_with_secret(
            &self.secret,
            parameters.algorithm,
            parameters.version,
            params,
        )
        .and_then(|argon2| argon2.hash_password_into(&self.password, &self.salt, &mut tag))
        .expect("computes");
        tag
    }
}

fn parameters(
    algorithm: Algorithm,
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
) -> HashParameters {
    HashParameters {
        algorithm,
        version: Version::V0x13,
        memory_kib,
        iterations,
        parallelism,
        tag_length: 32,
    }
}

fn hasher() -> argon2_rust::Hasher {
    simd(&parameters(Algorithm::Argon2id, 8, 1, 1))
        .expect("within range")
        .hasher()
}

fn tag(engine: &mut Engine, parameters: &HashParameters, password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut tag = vec![0; parameters.tag_length];
    engine
        .compute(parameters, password, salt, &mut tag)
        .expect("within range");
    tag
}

/// Version 0x13: RFC 9106, section 5. Version 0x10: the same inputs in the `kats` of the C reference.
#[test]
fn both_engines_meet_the_published_vectors() {
    use Algorithm::{Argon2d, Argon2i, Argon2id};
    use Version::{V0x10, V0x13};
    let vectors = [
        (
            (Argon2d, V0x13),
            "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb",
        ),
        (
            (Argon2i, V0x13),
            "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
        ),
        (
            (Argon2id, V0x13),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
        ),
        (
            (Argon2d, V0x10),
            "96a9d4e5a1734092c85e29f410a45914a5dd1f5cbf08b2670da68a0285abf32b",
        ),
        (
            (Argon2i, V0x10),
            "87aeedd6517ab830cd9765cd8231abb2e647a5dee08f7c05e02fcb763335d0fd",
        ),
        (
            (Argon2id, V0x10),
            "b64615f07789b66b645b67ee9ed3b377ae350b6bfcbb0fc95141ea8f322613c0",
        ),
    ];
    for ((algorithm, version), expected) in vectors {
        let case = Case {
            parameters: HashParameters {
                version,
                ..parameters(algorithm, 32, 3, 4)
            },
            password: vec![1; 32],
            salt: vec![2; 16],
            secret: vec![3; 8],
            data: vec![4; 12],
        };
        let fast = hex::encode(case.by_argon2_rust(&mut hasher()));
        assert_eq!(fast, expected, "argon2-rust {algorithm} {version:?}");
        let slow = hex::encode(case.by_argon2());
        assert_eq!(slow, expected, "argon2 {algorithm} {version:?}");
    }
}

/// Neither for its lanes nor for wiping, which it would do with several from 64 MiB on.
#[test]
fn lanes_start_no_threads_of_their_own() {
    let engine = simd(&parameters(Algorithm::Argon2id, 64, 1, 4)).expect("within range");
    assert_eq!(engine.params().lanes(), 4);
    assert_eq!(engine.params().effective_threads(), 1);
    assert_eq!(engine.params().threads(), 1);
}

#[test]
fn memory_for_a_costlier_hash_is_given_back() {
    let configured = parameters(Algorithm::Argon2id, 64, 1, 1);
    for kind in [Kind::Simd, Kind::Reference] {
        let mut engine = Engine::new(kind, configured).expect("starts");
        assert_eq!(engine.reserved_kib(), 64);
        let costly = parameters(Algorithm::Argon2id, 4096, 1, 1);
        let before = tag(&mut engine, &configured, b"password", b"some salt");
        tag(&mut engine, &costly, b"password", b"some salt");
        assert_eq!(engine.reserved_kib(), 64, "{kind:?}");
        assert_eq!(
            tag(&mut engine, &configured, b"password", b"some salt"),
            before
        );
    }
}

#[test]
fn parameters_out_of_range_are_errors() {
    for kind in [Kind::Simd, Kind::Reference] {
        for (m, t, p) in [(7, 1, 1), (64, 0, 1), (64, 1, 0), (64, 1, 9)] {
            let configured = parameters(Algorithm::Argon2id, m, t, p);
            assert!(
                Engine::new(kind, configured).is_err(),
                "{kind:?} {configured:?}"
            );
        }
    }
}

#[test]
fn a_lying_engine_is_found_out() {
    let configured = parameters(Algorithm::Argon2id, 64, 1, 1);
    let mut correct = Engine::new(Kind::Simd, configured).expect("starts");
    let measured = measure(configured, &mut |parameters, password, salt, tag| {
        correct.compute(parameters, password, salt, tag)
    });
    assert!(matches!(measured, Ok(Some(_))), "{measured:?}");

    let measured = measure(configured, &mut |parameters, password, salt, tag| {
        correct.compute(parameters, password, salt, tag)?;
        tag[0] ^= u8::from(parameters.parallelism == 3);
        Ok(())
    });
    assert_eq!(measured, Ok(None));

    let measured = measure(configured, &mut |_, _, _, _| {
        Err(EngineError("broken".into()))
    });
    assert_eq!(measured, Ok(None));
}
