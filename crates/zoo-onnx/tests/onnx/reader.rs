//! Reads ONNX files back, knowing nothing of how they were written: protocol buffers, and the messages of onnx.proto.

use std::collections::HashMap;

/// The fields of a message: number and value.
type Fields<'a> = Vec<(u64, Field<'a>)>;

#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Int(i64),
    Float(f32),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn int(self) -> i64 {
        let Self::Int(value) = self else { panic!("{self:?} is no whole number") };
        value
    }

    fn bytes(self) -> &'a [u8] {
        let Self::Bytes(bytes) = self else { panic!("{self:?} has no length") };
        bytes
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0.. {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn fields(mut bytes: &[u8]) -> Fields<'_> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Int(varint(&mut bytes).cast_signed()),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (inside, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(inside)
            }
            5 => {
                let (value, rest) = bytes.split_first_chunk().unwrap();
                bytes = rest;
                Field::Float(f32::from_le_bytes(*value))
            }
            wire => panic!("a field of wire type {wire}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn all<'a>(fields: &Fields<'a>, number: u64) -> impl Iterator<Item = Field<'a>> {
    fields
        .iter()
        .filter(move |(found, _)| *found == number)
        .map(|(_, field)| *field)
        .collect::<Vec<_>>()
        .into_iter()
}

fn one<'a>(fields: &Fields<'a>, number: u64) -> Option<Field<'a>> {
    let mut found = all(fields, number);
    let first = found.next();
    assert!(found.next().is_none(), "field {number} is there twice");
    first
}

fn text(fields: &Fields<'_>, number: u64) -> String {
    one(fields, number).map_or(String::new(), Field::text)
}

fn texts(fields: &Fields<'_>, number: u64) -> Vec<String> {
    all(fields, number).map(Field::text).collect()
}

/// A side of a value: a number or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Fixed(i64),
    Free(String),
}

#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) sides: Vec<Side>,
}

#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) kind: i64,
    /// What is in the file.
    pub(crate) raw: Option<Vec<u8>>,
    /// What says where it lies in another one.
    pub(crate) external: HashMap<String, String>,
}

impl Tensor {
    pub(crate) fn floats(&self) -> Vec<f32> {
        let raw = self.raw.as_ref().unwrap();
        raw.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    pub(crate) fn ints(&self) -> Vec<i64> {
        let raw = self.raw.as_ref().unwrap();
        raw.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Text(String),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) domain: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) output: String,
    pub(crate) attributes: HashMap<String, Attribute>,
}

/// A whole file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) ir_version: i64,
    pub(crate) producer: String,
    pub(crate) opsets: Vec<(String, i64)>,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) graph: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) outputs: Vec<Value>,
    pub(crate) values: Vec<Value>,
}

fn pairs(fields: &Fields<'_>, number: u64) -> HashMap<String, String> {
    let pair = |field: Field<'_>| {
        let entry = self::fields(field.bytes());
        (text(&entry, 1), text(&entry, 2))
    };
    all(fields, number).map(pair).collect()
}

fn value(field: Field<'_>) -> Value {
    let value = fields(field.bytes());
    let kind = fields(one(&value, 2).unwrap().bytes());
    let tensor = fields(one(&kind, 1).unwrap().bytes());
    assert_eq!(one(&tensor, 1).unwrap().int(), 1, "f32");
    let shape = fields(one(&tensor, 2).unwrap().bytes());
    let side = |field: Field<'_>| {
        let dim = fields(field.bytes());
        match one(&dim, 1) {
            Some(side) => Side::Fixed(side.int()),
            None => Side::Free(text(&dim, 2)),
        }
    };
    Value { name: text(&value, 1), sides: all(&shape, 1).map(side).collect() }
}

fn tensor(field: Field<'_>) -> Tensor {
    let tensor = fields(field.bytes());
    let external = pairs(&tensor, 13);
    assert_eq!(one(&tensor, 14).map(Field::int), (!external.is_empty()).then_some(1));
    Tensor {
        name: text(&tensor, 8),
        dims: all(&tensor, 1).map(|side| usize::try_from(side.int()).unwrap()).collect(),
        kind: one(&tensor, 2).unwrap().int(),
        raw: one(&tensor, 9).map(|raw| raw.bytes().to_vec()),
        external,
    }
}

fn node(field: Field<'_>) -> Node {
    let node = fields(field.bytes());
    let attribute = |field: Field<'_>| {
        let attribute = fields(field.bytes());
        let value = match one(&attribute, 20).unwrap().int() {
            1 => {
                let Some(Field::Float(value)) = one(&attribute, 2) else { panic!("no number") };
                Attribute::Float(value)
            }
            2 => Attribute::Int(one(&attribute, 3).unwrap().int()),
            3 => Attribute::Text(text(&attribute, 4)),
            7 => Attribute::Ints(all(&attribute, 8).map(Field::int).collect()),
            kind => panic!("an attribute of type {kind}"),
        };
        (text(&attribute, 1), value)
    };
    Node {
        name: text(&node, 3),
        kind: text(&node, 4),
        domain: text(&node, 7),
        inputs: texts(&node, 1),
        output: texts(&node, 2).remove(0),
        attributes: all(&node, 5).map(attribute).collect(),
    }
}

pub(crate) fn read(bytes: &[u8]) -> File {
    let model = fields(bytes);
    let opset = |field: Field<'_>| {
        let opset = fields(field.bytes());
        (text(&opset, 1), one(&opset, 2).unwrap().int())
    };
    let graph = fields(one(&model, 7).unwrap().bytes());
    File {
        ir_version: one(&model, 1).unwrap().int(),
        producer: text(&model, 2),
        opsets: all(&model, 8).map(opset).collect(),
        metadata: pairs(&model, 14),
        graph: text(&graph, 2),
        nodes: all(&graph, 1).map(node).collect(),
        tensors: all(&graph, 5).map(tensor).collect(),
        inputs: all(&graph, 11).map(value).collect(),
        outputs: all(&graph, 12).map(value).collect(),
        values: all(&graph, 13).map(value).collect(),
    }
}
