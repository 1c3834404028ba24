//! Which of the dicts in a training program's file is the network's.

use std::collections::HashSet;

use super::pickle::{Name, Pickle, Strided, Value};
use crate::error::Fault;

/// Keys under which training programs keep averaged weights, which answer better than those they are averaged
/// from: timm's first.
const AVERAGED: [&str; 9] = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "model_ema_state_dict",
    "ema_model",
    "ema",
    "swa_state_dict",
    "swa_model",
    "averaged",
];

/// Keys under which they keep the weights as they stand, the likeliest first.
const RAW: [&str; 7] =
    ["state_dict", "model_state_dict", "model", "net", "model_state", "net_state_dict", "weights"];

/// Dicts inside dicts.
const MAX_DEPTH: usize = 3;
/// No training program keeps more.
const MAX_DICTS: usize = 64;

/// The tensors of the network, by name.
pub(super) struct Chosen<'p, 'a> {
    pub(super) tensors: Vec<(&'a str, &'p Strided<'a>)>,
    /// What was taken where there was a choice, and what can't be.
    pub(super) notes: Vec<String>,
    /// Whether the key that was asked for was a dict's, and not the beginning of names.
    pub(super) key_used: bool,
    /// The keys that could have been asked for.
    pub(super) keys: Vec<String>,
}

/// A dict with tensors in it.
struct Candidate {
    /// Its key, or several joined by dots; empty for the whole object.
    path: String,
    dict: usize,
}

/// The named tensors of the object that was saved: the dict itself, or the one it keeps under the key that is asked
/// for, or under one that is known, averaged weights first, or the only one it keeps.
pub(super) fn choose<'p, 'a>(pickle: &'p Pickle<'a>, key: Option<&str>) -> Result<Chosen<'p, 'a>, Fault> {
    let root = match pickle.root {
        Value::Dict(root) => root,
        Value::Object(name) => return Err(program(name)),
        _ => return Err(no_dict()),
    };
    let mut candidates = Vec::new();
    find(pickle, root, "", 0, &mut HashSet::new(), &mut candidates);
    let whole = |dict| Chosen {
        tensors: tensors(pickle, dict),
        notes: unread(pickle, dict).into_iter().collect(),
        key_used: false,
        keys: candidates.iter().map(|c| c.path.clone()).filter(|path| !path.is_empty()).collect(),
    };
    if let Some(candidate) = key.and_then(|key| candidates.iter().find(|candidate| candidate.path == key)) {
        return Ok(Chosen { key_used: true, ..whole(candidate.dict) });
    }
    // A network's tensors are parameters of layers: `conv1.weight`. Lone ones stand beside the weights.
    if tensors(pickle, root).iter().any(|(name, _)| name.contains('.')) {
        return Ok(whole(root));
    }
    let nested: Vec<&Candidate> = candidates.iter().filter(|candidate| !candidate.path.is_empty()).collect();
    // Of averaged weights some part of the path says so (`ema.module`), of raw ones the last.
    let is_averaged = |c: &Candidate| c.path.split('.').any(|part| AVERAGED.contains(&part));
    let averaged = AVERAGED
        .iter()
        .find_map(|key| nested.iter().find(|c| c.path.split('.').any(|part| part == *key)).copied());
    let raw = RAW.iter().find_map(|key| {
        nested.iter().find(|c| c.path.rsplit('.').next() == Some(key) && !is_averaged(c)).copied()
    });
    match (averaged, raw, nested.as_slice()) {
        (Some(averaged), Some(raw), _) => {
            let mut chosen = whole(averaged.dict);
            chosen.notes.push(format!(
                "takes `{}`, the averaged weights, as timm does, and leaves out `{}`, the raw ones: the key `{}` takes \
                 those",
                averaged.path, raw.path, raw.path
            ));
            Ok(chosen)
        }
        (Some(one), None, _) | (None, Some(one), _) | (None, None, &[one]) => Ok(whole(one.dict)),
        (None, None, []) if !tensors(pickle, root).is_empty() => Ok(whole(root)),
        (None, None, []) => {
            match pickle.dicts[root].iter().find_map(|&(key, value)| Some((key, object(value)?))) {
                Some((Value::Str(key), name)) if !beside(key) => Err(program(name)),
                _ => Err(no_dict()),
            }
        }
        (None, None, several) => {
            Err(Fault::Several(several.iter().map(|c| c.path.escape_debug().to_string()).collect()))
        }
    }
}

/// The dicts with tensors in them, outer ones first. What belongs to the optimizer is no network.
fn find(
    pickle: &Pickle<'_>,
    dict: usize,
    path: &str,
    depth: usize,
    seen: &mut HashSet<usize>,
    found: &mut Vec<Candidate>,
) {
    // Each is looked at once, however often it is named.
    if found.len() >= MAX_DICTS || !seen.insert(dict) {
        return;
    }
    if !tensors(pickle, dict).is_empty() {
        found.push(Candidate { path: path.into(), dict });
    }
    if depth == MAX_DEPTH {
        return;
    }
    for &(key, value) in &pickle.dicts[dict] {
        if let (Value::Str(key), Value::Dict(inner)) = (key, value)
            && !seen.contains(&inner)
            && !beside(key)
        {
            let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
            find(pickle, inner, &path, depth + 1, seen, found);
        }
    }
}

/// Whether a key is of the optimizer and what else drives the training.
fn beside(key: &str) -> bool {
    ["optim", "sched", "scaler", "args", "config", "hyper_parameters", "callbacks", "loops", "rng"]
        .iter()
        .any(|word| key.contains(word))
}

fn tensors<'p, 'a>(pickle: &'p Pickle<'a>, dict: usize) -> Vec<(&'a str, &'p Strided<'a>)> {
    let named = pickle.dicts[dict].iter().filter_map(|&(key, value)| match (key, value) {
        (Value::Str(name), Value::Tensor(tensor)) => Some((name, &pickle.tensors[tensor])),
        _ => None,
    });
    named.collect()
}

/// What stands among a network's tensors and is one of a kind that is not read: complex, sparse, of eight bits.
fn unread(pickle: &Pickle<'_>, dict: usize) -> Option<String> {
    let mut found = pickle.dicts[dict].iter().filter_map(|&(key, value)| match (key, object(value)?) {
        (Value::Str(key), name) if key.contains('.') => Some((key, name)),
        _ => None,
    });
    let (key, Name { module, name }) = found.next()?;
    let more = match found.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "leaves out `{}`, a `{}.{}`{more}: of that kind no weights are read; save them as f32",
        key.escape_debug(),
        module.escape_debug(),
        name.escape_debug()
    ))
}

fn object(value: Value<'_>) -> Option<Name<'_>> {
    match value {
        Value::Object(name) => Some(name),
        _ => None,
    }
}

fn program(Name { module, name }: Name<'_>) -> Fault {
    Fault::Refused(format!(
        "it holds a `{}.{}`, a whole model that only its program can read, and no dict of named tensors; save the \
         tensors alone, as torch.save(model.state_dict(), path) does",
        module.escape_debug(),
        name.escape_debug()
    ))
}

fn no_dict() -> Fault {
    Fault::Refused("it holds no dict of named tensors; save model.state_dict()".into())
}
