//! Weights as they stand in a file: `TensorProto`, its values in the file itself or in a second one.

use std::io::Write;

use zoo_layers::Param;

use crate::{Error, Result, Weights, fold::Fold, form::FLOAT, proto::Message};

/// A tensor of the file.
#[derive(Debug)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) from: From<'a>,
}

/// What its values are.
#[derive(Debug)]
pub(crate) enum From<'a> {
    /// A parameter as it is.
    Param(&'a Param),
    /// A convolution's weight with the norm behind it in it.
    Weight(Fold<'a>),
    /// Its bias.
    Bias(Fold<'a>),
}

/// Where values lie in a second file, each at a multiple of this many bytes: as large as a page of memory, so that it
/// can be mapped.
const PAGE: u64 = 4096;

/// The second file and how far it is filled.
#[derive(Debug)]
pub(crate) struct Second<'a> {
    pub(crate) name: &'a str,
    pub(crate) end: u64,
}

impl Tensor<'_> {
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of its values.
    pub(crate) fn bytes(&self) -> u64 {
        4 * self.elements() as u64
    }

    /// Where it begins in a second file that is filled so far.
    pub(crate) fn start(end: u64) -> u64 {
        end.next_multiple_of(PAGE)
    }

    /// All but the values, which follow if they are in no second file.
    pub(crate) fn head(&self, second: Option<&mut Second<'_>>) -> Result<Message> {
        let head = described(&self.name, &self.shape, FLOAT)?;
        let Some(second) = second else { return Ok(head.announce(9, self.bytes())) };
        let start = Self::start(second.end);
        second.end = start + self.bytes();
        let entries = [
            ("location", second.name.to_string()),
            ("offset", start.to_string()),
            ("length", self.bytes().to_string()),
        ];
        let head = entries
            .iter()
            .fold(head, |head, (key, value)| head.message(13, &Message::new().text(1, key).text(2, value)));
        Ok(head.int(14, 1))
    }

    /// Writes the values, which are checked one by one.
    pub(crate) fn write(&self, weights: &dyn Weights, out: &mut dyn Write) -> Result<()> {
        let mut check = Check { name: &self.name, place: 0, of: self.elements() };
        let mut bytes = Vec::new();
        let mut take = |values: &[f32]| -> Result<()> {
            for piece in values.chunks(1 << 14) {
                check.values(piece)?;
                bytes.clear();
                bytes.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
                out.write_all(&bytes)?;
            }
            Ok(())
        };
        match &self.from {
            From::Param(param) => weights.values(param, &mut take)?,
            From::Weight(fold) => fold.weights(weights, &mut take)?,
            From::Bias(fold) => take(&fold.shifts(weights)?)?,
        }
        check.end()
    }
}

/// Name, shape and type: `TensorProto` without values.
pub(crate) fn described(name: &str, shape: &[usize], kind: i64) -> Result<Message> {
    let mut message = Message::new();
    for side in shape {
        let wide = i64::try_from(*side)
            .map_err(|_| Error::TooLarge { what: format!("a side of `{name}`"), value: *side })?;
        message = message.int(1, wide);
    }
    Ok(message.int(2, kind).text(8, name))
}

/// Counts values and looks at each.
struct Check<'a> {
    name: &'a str,
    place: usize,
    of: usize,
}

impl Check<'_> {
    fn values(&mut self, values: &[f32]) -> Result<()> {
        if let Some(more) = values.iter().position(|value| !value.is_finite()) {
            let (param, place) = (self.name.to_string(), self.place + more);
            return Err(Error::NotFinite { param, value: values[more], place, of: self.of });
        }
        self.place += values.len();
        if self.place > self.of { self.end() } else { Ok(()) }
    }

    fn end(&self) -> Result<()> {
        match self.place == self.of {
            true => Ok(()),
            false => Err(Error::Missing { param: self.name.into(), got: self.place, wanted: self.of }),
        }
    }
}

/// All values of a small parameter.
pub(crate) fn gather(param: &Param, weights: &dyn Weights) -> Result<Vec<f32>> {
    let mut gathered = Vec::with_capacity(param.elements());
    let mut check = Check { name: &param.name, place: 0, of: param.elements() };
    weights.values(param, &mut |values| {
        check.values(values)?;
        gathered.extend_from_slice(values);
        Ok(())
    })?;
    check.end()?;
    Ok(gathered)
}
