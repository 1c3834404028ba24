//! The colours of classes: PASCAL VOC's.

/// A colour: red, green, blue.
pub type Colour = [u8; 3];

/// PASCAL VOC's palette: black for the background, then colours whose bits are those of the class's number, spread over
/// the three channels from the highest down. 255 is a light cream.
///
/// ```
/// let palette = zoo_data::mask::voc_palette();
/// assert_eq!((palette[0], palette[1], palette[15]), ([0, 0, 0], [128, 0, 0], [192, 128, 128]));
/// assert_eq!(palette[255], [224, 224, 192]);
/// ```
pub const fn voc_palette() -> [Colour; 256] {
    let mut palette = [[0; 3]; 256];
    let mut class = 0;
    while class < 256 {
        let mut bit = 0;
        while bit < 8 {
            let mut channel = 0;
            while channel < 3 {
                // Bits 0, 3, 6 of the number are red, 1, 4, 7 green, 2, 5 blue.
                if 3 * bit + channel < 8 && class >> (3 * bit + channel) & 1 == 1 {
                    palette[class][channel] |= 1 << (7 - bit);
                }
                channel += 1;
            }
            bit += 1;
        }
        class += 1;
    }
    palette
}

/// The class that a colour stands for.
pub(crate) fn class_of(colour: Colour) -> Option<u8> {
    static ORDERED: std::sync::LazyLock<Vec<(Colour, u8)>> = std::sync::LazyLock::new(|| {
        let mut all: Vec<(Colour, u8)> = voc_palette().into_iter().zip(0..=255).collect();
        all.sort_unstable();
        all
    });
    let place = ORDERED.binary_search_by_key(&colour, |(known, _)| *known).ok()?;
    Some(ORDERED[place].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_stands_for_one_class() {
        for (class, colour) in voc_palette().into_iter().enumerate() {
            assert_eq!(class_of(colour), u8::try_from(class).ok(), "{colour:?}");
        }
        assert_eq!(class_of([1, 2, 3]), None);
    }
}
