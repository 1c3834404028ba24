//! Files with random damage: an error or a file, never a panic; and no more memory than the file deserves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use zoo_weights::{KeyMap, TensorFile};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// All that is asked for while a file is read, freed or not, stays below this many times its size.
const FACTOR: usize = 300;
/// And this for what does not depend on it.
const SLACK: usize = 64 << 10;

fn seeds() -> Vec<Vec<u8>> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    [
        "pth/zip.pth",
        "pth/legacy.pth",
        "pth/nested.pth",
        "pth/wrapped.pth",
        "pth/averaged.pth",
        "pth/training_legacy.pth",
        "pth/twin.safetensors",
        "keras/xception.h5",
        "keras/xception.weights.h5",
        "keras/xception.keras",
        "keras/old.h5",
        "keras/nested-3_3.weights.h5",
        "keras/nested-3_15.h5",
        "keras/deep-3_15.keras",
    ]
    .map(|name| fs::read(fixtures.join(name)).unwrap())
    .into()
}

fn read(bytes: Vec<u8>) {
    let copy = bytes.clone();
    let limit = bytes.len() * FACTOR + SLACK;
    let region = Region::new(ALLOCATOR);
    let file = TensorFile::from_bytes("damaged", bytes);
    let change = region.change();
    let asked = change.bytes_allocated + change.bytes_reallocated.max(0) as usize;
    assert!(asked <= limit, "{asked} bytes were asked for, {limit} are allowed");
    if let Ok(file) = file {
        for (_, tensor) in file.tensors() {
            let _ = tensor.to_f32();
        }
        for keys in [KeyMap::KerasMobilenetV2, KeyMap::KerasXception, KeyMap::KerasVgg] {
            let _ = KeyMap::of_names(file.shapes().map(|(name, _)| name));
            let damaged = TensorFile::from_bytes("damaged", copy.clone());
            if let Ok(mapped) = damaged.and_then(|file| file.with_keys(keys)) {
                mapped
                    .under("layers.", |name| name.len() % 2 == 0)
                    .tensors()
                    .for_each(|(_, tensor)| drop(tensor));
            }
        }
    }
}

/// One change of a file.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Word(prop::sample::Index, u64),
    Cut(prop::sample::Index),
    Copy(prop::sample::Index, prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let word = prop_oneof![
        any::<u64>(),
        Just(u64::MAX),
        Just(0),
        Just(u64::from(u32::MAX)),
        Just(1 << 63),
        0u64..100_000
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        4 => (at(), word).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => at().prop_map(Damage::Cut),
        2 => (at(), at(), 1usize..300).prop_map(|(from, to, len)| Damage::Copy(from, to, len)),
        1 => (at(), 1usize..20).prop_map(|(at, len)| Damage::Remove(at, len)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match damage {
        Damage::Set(at, byte) => bytes[at.index(len)] = *byte,
        Damage::Word(at, word) => {
            let at = at.index(len);
            let word = word.to_le_bytes();
            let fits = word.len().min(len - at);
            bytes[at..at + fits].copy_from_slice(&word[..fits]);
        }
        Damage::Cut(at) => bytes.truncate(at.index(len)),
        Damage::Copy(from, to, count) => {
            let (from, to) = (from.index(len), to.index(len));
            let count = (*count).min(len - from.max(to));
            bytes.copy_within(from..from + count, to);
        }
        Damage::Remove(at, count) => {
            let at = at.index(len);
            bytes.drain(at..(at + count).min(len));
        }
    }
}

/// One test, since the counter of memory is one for all threads.
#[test]
fn damage_is_an_error_and_never_a_panic() {
    damaged_files();
    random_pickles();
    random_headers();
    deep_and_cyclic_pickles();
}

/// Thousands of cases by default; `PROPTEST_CASES` asks for more.
fn check<S: Strategy>(strategy: &S, test: impl Fn(S::Value)) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4000);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(strategy, |input| {
        test(input);
        Ok(())
    });
    outcome.unwrap();
}

fn damaged_files() {
    let seeds = seeds();
    check(&(0..seeds.len(), prop::collection::vec(damage(), 1..12)), |(seed, damages)| {
        let mut bytes = seeds[seed].clone();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        read(bytes);
    });
}

/// What comes before the object in a `.pth` of the older kind: so the pickle needs no container.
const LEGACY_HEAD: &[u8] =
    b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";

fn random_pickles() {
    check(&prop::collection::vec(opcode(), 0..200), |program| {
        read([LEGACY_HEAD, &program.concat()].concat());
    });
}

fn random_headers() {
    let tensor = r#""[a-b]":\{"dtype":"(F32|F16|F4|X)","shape":\[[0-9]{1,12}(,[0-9]{1,3})?\],"data_offsets":\[[0-9]{1,3},[0-9]{1,3}\]\}"#;
    let header = format!(r"\{{({tensor},){{0,2}}{tensor}\}}");
    let header = prop::string::string_regex(&header).unwrap();
    check(&(header, prop::collection::vec(any::<u8>(), 0..100)), |(json, tail)| {
        read([&(json.len() as u64).to_le_bytes(), json.as_bytes(), &tail].concat());
    });
}

/// Operations that mean something more often than random bytes do.
fn opcode() -> impl Strategy<Value = Vec<u8>> {
    let plain = prop::sample::select(
        b"()]}.0123NRbadelstu\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94Q".to_vec(),
    );
    prop_oneof![
        8 => plain.prop_map(|op| vec![op]),
        3 => any::<u8>().prop_map(|index| vec![b'q', index]),
        3 => any::<u8>().prop_map(|index| vec![b'h', index]),
        3 => any::<u8>().prop_map(|value| vec![b'K', value]),
        1 => any::<i32>().prop_map(|value| [b"J".to_vec(), value.to_le_bytes().to_vec()].concat()),
        2 => prop::sample::select(vec!["storage", "0", "weight", "cpu"])
            .prop_map(|text| [b"X".to_vec(), (text.len() as u32).to_le_bytes().to_vec(), text.into()].concat()),
        3 => prop::sample::select(vec![
            "ctorch._utils\n_rebuild_tensor_v2\n",
            "ccollections\nOrderedDict\n",
            "ctorch\nFloatStorage\n",
            "ctorch\nSize\n",
            "cos\nsystem\n",
            "cargparse\nNamespace\n",
            "ctorch._tensor\n_rebuild_from_type_v2\n",
        ])
        .prop_map(Into::into),
        1 => prop::collection::vec(any::<u8>(), 1..5),
    ]
}

/// Structures as deep as the file is long, which must not exhaust the stack, and ones that refer to themselves.
fn deep_and_cyclic_pickles() {
    let head = LEGACY_HEAD;
    let nested = [head, b"]", &b"\x85".repeat(1_000_000), b".]."].concat();
    let lists = [head, &b"]".repeat(500_000), &b"a".repeat(499_999), b".]."].concat();
    let own_member = [head, b"}q\x00X\x01\x00\x00\x00ah\x00s.]."].concat();
    let marks = [head, &b"(".repeat(1_000_000), b".]."].concat();
    for bytes in [nested, lists, own_member, marks] {
        assert!(TensorFile::from_bytes("deep", bytes.clone()).is_err());
        read(bytes);
    }
}
