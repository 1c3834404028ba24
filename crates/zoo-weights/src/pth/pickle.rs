//! A pickle machine that runs nothing.
//!
//! A pickle is a program for a stack machine. Python's machine imports and calls whatever the program names;
//! this one knows only the few names that [`Global`] lists, and gives each its own meaning. A call of any other
//! makes an object that is nothing but its name: what a training program keeps beside the weights, its arguments
//! or a numpy scalar, is inert. Names that run programs are refused all the same, since such a file means harm.
//! Containers live in arenas and values are small copies, so that neither a deep nor a cyclic structure can
//! exhaust the stack, and every operation costs a constant number of bytes; the number of them is bounded.

use std::collections::HashMap;

use super::global::Global;
use crate::Dtype;
use crate::error::Fault;

/// A state dict of a thousand tensors takes some fifty thousand operations.
const MAX_OPERATIONS: usize = 4_000_000;

/// Values copied from one container into another, in all.
const MAX_COPIES: usize = 4_000_000;

/// A value on the machine's stack; containers are indices into the arenas of [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// `None`, and what has no meaning here: floats, bytes, integers beyond 64 bits.
    Nothing,
    Bool(bool),
    Int(i64),
    Str(&'a str),
    List(usize),
    Tuple(usize),
    Dict(usize),
    Global(Global),
    /// A name that has no meaning here, which nothing is done with.
    Foreign(Name<'a>),
    /// What a call of such a name would have made: an inert thing, whatever is called, set or appended.
    Object(Name<'a>),
    Storage(Storage<'a>),
    Tensor(usize),
}

/// What Python would import: `argparse` and `Namespace`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Name<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
}

/// A run of elements of one type, in the file under `key`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: Dtype,
    /// First element, where the storage is a view into the one saved under `key`.
    pub(super) start: usize,
    pub(super) len: usize,
}

/// A tensor over a storage, in elements.
#[derive(Debug)]
pub(super) struct Strided<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// A finished pickle: its value, and the containers that the value points into.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) root: Value<'a>,
    /// Bytes read, the final one included.
    pub(super) len: usize,
    pub(super) sequences: Vec<Vec<Value<'a>>>,
    pub(super) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(super) tensors: Vec<Strided<'a>>,
    /// Every storage that was named.
    pub(super) storages: Vec<Storage<'a>>,
}

impl<'a> Pickle<'a> {
    /// Runs the pickle that starts at the first byte.
    pub(super) fn load(bytes: &'a [u8]) -> Result<Self, Fault> {
        let pickle = Self {
            root: Value::Nothing,
            len: 0,
            sequences: Vec::new(),
            dicts: Vec::new(),
            tensors: Vec::new(),
            storages: Vec::new(),
        };
        let machine = Machine {
            bytes,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copies: 0,
            pickle,
        };
        machine.run()
    }

    /// The value of a string key in a dict.
    pub(super) fn entry(&self, dict: usize, key: &str) -> Option<Value<'a>> {
        self.dicts[dict].iter().find(|(k, _)| *k == Value::Str(key)).map(|&(_, value)| value)
    }

    /// The elements of a list or tuple.
    pub(super) fn sequence(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match value {
            Value::List(i) | Value::Tuple(i) => Some(&self.sequences[i]),
            _ => None,
        }
    }
}

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Value<'a>>,
    copies: usize,
    pub(super) pickle: Pickle<'a>,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Pickle<'a>, Fault> {
        for _ in 0..MAX_OPERATIONS {
            let at = self.at;
            let [op] = self.array()?;
            if op == b'.' {
                self.pickle.root = self.pop()?;
                self.pickle.len = self.at;
                return Ok(self.pickle);
            }
            self.step(op, at)?;
        }
        Err(Fault::malformed(format!("its pickle has more than {MAX_OPERATIONS} operations")))
    }

    fn step(&mut self, op: u8, at: usize) -> Result<(), Fault> {
        match op {
            // Protocol and frame: nothing to do but to skip their argument.
            0x80 => drop(self.array::<1>()?),
            0x95 => drop(self.array::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => self.push(self.top()?),

            b'N' | b'G' | b'C' | b'B' | 0x8e | 0x96 | 0x8a | 0x8b | b'I' | b'L' | b'F' | b'J' | b'K'
            | b'M' | 0x88 | 0x89 => {
                let value = self.scalar(op)?;
                self.push(value);
            }
            b'X' | b'T' => self.string(4)?,
            0x8c | b'U' => self.string(1)?,
            0x8d => self.string(8)?,

            b')' => self.sequence(Vec::new(), Value::Tuple),
            0x85 => self.short_tuple(1)?,
            0x86 => self.short_tuple(2)?,
            0x87 => self.short_tuple(3)?,
            b't' | 0x91 => {
                let items = self.since_mark()?;
                self.sequence(items, Value::Tuple);
            }
            // A set is a list here.
            b']' | 0x8f => self.sequence(Vec::new(), Value::List),
            b'l' => {
                let items = self.since_mark()?;
                self.sequence(items, Value::List);
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b'}' => self.dict(Vec::new()),
            b'd' => {
                let pairs = pairs(&self.since_mark()?)?;
                self.dict(pairs);
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let pairs = pairs(&self.since_mark()?)?;
                self.set(pairs)?;
            }

            b'q' | b'r' | b'p' | 0x94 => {
                let key = self.memo_key(op)?;
                let value = self.top()?;
                self.memo.insert(key, value);
            }
            b'h' | b'j' | b'g' => {
                let key = self.memo_key(op)?;
                let value = *self.memo.get(&key).ok_or_else(|| broken("recalls what it never stored"))?;
                self.push(value);
            }

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(find(module, name)?);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Str(module), Value::Str(name)) = (module, name) else {
                    return Err(broken("names a function by something that is no text"));
                };
                self.push(find(module, name)?);
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                if let Value::Storage(storage) = storage {
                    self.pickle.storages.push(storage);
                }
                self.push(storage);
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let result = self.call(callee, arguments)?;
                self.push(result);
            }
            // With arguments by name too.
            0x92 => {
                let (_, arguments, callee) = (self.pop()?, self.pop()?, self.pop()?);
                let result = self.call(callee, arguments)?;
                self.push(result);
            }
            // Attributes of an object, such as a state dict's version numbers.
            b'b' => drop(self.pop()?),
            _ => {
                return Err(Fault::malformed(format!("its pickle has the operation {op:#04x} at byte {at}")));
            }
        }
        Ok(())
    }

    fn scalar(&mut self, op: u8) -> Result<Value<'a>, Fault> {
        Ok(match op {
            b'N' => Value::Nothing,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Value::Int(i64::from(u8::from_le_bytes(self.array()?))),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'I' | b'L' => match self.line()? {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                digits => digits.trim_end_matches('L').parse().map_or(Value::Nothing, Value::Int),
            },
            0x8a => long(self.counted(1)?),
            0x8b => long(self.counted(4)?),
            b'G' => {
                self.array::<8>()?;
                Value::Nothing
            }
            b'F' => {
                self.line()?;
                Value::Nothing
            }
            b'C' => self.counted(1).map(|_| Value::Nothing)?,
            b'B' => self.counted(4).map(|_| Value::Nothing)?,
            _ => self.counted(8).map(|_| Value::Nothing)?,
        })
    }

    fn memo_key(&mut self, op: u8) -> Result<u64, Fault> {
        Ok(match op {
            b'q' | b'h' => u64::from(u8::from_le_bytes(self.array()?)),
            b'r' | b'j' => u64::from(u32::from_le_bytes(self.array()?)),
            b'p' | b'g' => self.line()?.parse().map_err(|_| broken("numbers its memory by no number"))?,
            _ => self.memo.len() as u64,
        })
    }

    fn string(&mut self, width: usize) -> Result<(), Fault> {
        let text =
            str::from_utf8(self.counted(width)?).map_err(|_| broken("has a text that is not UTF-8"))?;
        self.push(Value::Str(text));
        Ok(())
    }

    fn short_tuple(&mut self, len: usize) -> Result<(), Fault> {
        let from =
            self.stack.len().checked_sub(len).filter(|&from| from >= self.floor()).ok_or_else(underflow)?;
        let items = self.stack.split_off(from);
        self.sequence(items, Value::Tuple);
        Ok(())
    }

    fn sequence(&mut self, items: Vec<Value<'a>>, kind: fn(usize) -> Value<'a>) {
        self.pickle.sequences.push(items);
        self.push(kind(self.pickle.sequences.len() - 1));
    }

    fn extend(&mut self, items: Vec<Value<'a>>) -> Result<(), Fault> {
        match self.top()? {
            Value::List(list) => self.pickle.sequences[list].extend(items),
            Value::Object(_) => {}
            _ => return Err(broken("appends to something that is no list")),
        }
        Ok(())
    }

    fn dict(&mut self, pairs: Vec<(Value<'a>, Value<'a>)>) {
        self.pickle.dicts.push(pairs);
        self.push(Value::Dict(self.pickle.dicts.len() - 1));
    }

    fn set(&mut self, pairs: Vec<(Value<'a>, Value<'a>)>) -> Result<(), Fault> {
        match self.top()? {
            Value::Dict(dict) => self.pickle.dicts[dict].extend(pairs),
            Value::Object(_) => {}
            _ => return Err(broken("sets a key of something that is no dict")),
        }
        Ok(())
    }

    /// Makes a dict of a list of pairs, as Python 2 wrote an ordered one.
    pub(super) fn dict_of(&mut self, list: Value<'a>) -> Result<Value<'a>, Fault> {
        let items =
            self.pickle.sequence(list).ok_or_else(|| broken("makes a dict of something that is no list"))?;
        self.copies += items.len();
        if self.copies > MAX_COPIES {
            return Err(broken("copies its lists without end"));
        }
        let pairs = items.iter().map(|&pair| match self.pickle.sequence(pair) {
            Some(&[key, value]) => Ok((key, value)),
            _ => Err(broken("makes a dict of something that is no pair")),
        });
        let pairs = pairs.collect::<Result<_, _>>()?;
        self.pickle.dicts.push(pairs);
        Ok(Value::Dict(self.pickle.dicts.len() - 1))
    }

    pub(super) fn new_dict(&mut self) -> Value<'a> {
        self.pickle.dicts.push(Vec::new());
        Value::Dict(self.pickle.dicts.len() - 1)
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(value);
    }

    /// The height below which the stack belongs to an outer mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value<'a>, Fault> {
        if self.stack.len() <= self.floor() {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn top(&self) -> Result<Value<'a>, Fault> {
        if self.stack.len() <= self.floor() {
            return Err(underflow());
        }
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'a>>, Fault> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| broken("ends in the middle"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(|_| broken("ends in the middle"))
    }

    /// Bytes whose number comes first, in `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], Fault> {
        let mut raw = [0; 8];
        raw[..width].copy_from_slice(self.take(width)?);
        let len = usize::try_from(u64::from_le_bytes(raw)).map_err(|_| broken("ends in the middle"))?;
        self.take(len)
    }

    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or_else(|| broken("ends in the middle"))?;
        self.at += len + 1;
        str::from_utf8(&rest[..len]).map_err(|_| broken("has a text that is not UTF-8"))
    }
}

/// The value of a name.
fn find<'a>(module: &'a str, name: &'a str) -> Result<Value<'a>, Fault> {
    Ok(match Global::find(module, name)? {
        Some(global) => Value::Global(global),
        None => Value::Foreign(Name { module, name }),
    })
}

fn pairs<'a>(items: &[Value<'a>]) -> Result<Vec<(Value<'a>, Value<'a>)>, Fault> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(broken("has a key without a value"));
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

/// A two's complement integer of any length; one beyond 64 bits means nothing here.
fn long(bytes: &[u8]) -> Value<'static> {
    if bytes.len() > 8 {
        return Value::Nothing;
    }
    let negative = bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
    let mut raw = [if negative { 0xff } else { 0 }; 8];
    raw[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(raw))
}

fn underflow() -> Fault {
    broken("takes more from its stack than it put there")
}

pub(super) fn broken(how: &str) -> Fault {
    Fault::malformed(format!("its pickle {how}"))
}
