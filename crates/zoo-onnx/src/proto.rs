//! Protocol buffers, as much of them as ONNX needs: a message is its fields one behind the other, each with its
//! number, its kind of wire and its value.

/// A message in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

/// How a value is laid out.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Bytes = 2,
    Four = 5,
}

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Its bytes so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field) << 3 | wire as u64);
    }

    /// A whole number. (Negative ones take ten bytes, as the format has it.)
    pub(crate) fn int(mut self, field: u32, value: i64) -> Self {
        self.key(field, Wire::Varint);
        self.varint(value.cast_unsigned());
        self
    }

    /// A number with a fraction.
    pub(crate) fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, Wire::Four);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Text.
    pub(crate) fn text(self, field: u32, text: &str) -> Self {
        self.raw(field, text.as_bytes())
    }

    /// Text, if there is any.
    pub(crate) fn some_text(self, field: u32, text: &str) -> Self {
        if text.is_empty() { self } else { self.text(field, text) }
    }

    /// Bytes.
    pub(crate) fn raw(mut self, field: u32, bytes: &[u8]) -> Self {
        self = self.announce(field, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A message within.
    pub(crate) fn message(self, field: u32, message: &Self) -> Self {
        self.raw(field, &message.0)
    }

    /// The fields of another behind its own.
    pub(crate) fn then(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// The beginning of `length` bytes that somebody else writes.
    pub(crate) fn announce(mut self, field: u32, length: u64) -> Self {
        self.key(field, Wire::Bytes);
        self.varint(length);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_laid_out_as_the_format_says() {
        // The examples of protobuf's own page on its encoding.
        assert_eq!(Message::new().int(1, 150).bytes(), [0x08, 0x96, 0x01]);
        let text = [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        assert_eq!(Message::new().text(2, "testing").bytes(), text);
        assert_eq!(
            Message::new().message(3, &Message::new().int(1, 150)).bytes(),
            [0x1a, 0x03, 0x08, 0x96, 0x01]
        );
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Message::new().int(1, -2).bytes(), minus_two);
        assert_eq!(Message::new().float(2, 1.0).bytes(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::new().some_text(1, "").announce(16, 300).bytes(), [0x82, 0x01, 0xac, 0x02]);
    }
}
