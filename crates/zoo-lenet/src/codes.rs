//! The codes of the output units: each digit as a stylised picture of 7×12 pixels, +1 for ink and −1 for paper
//! (LeCun et al. 1998, figure 3).

use std::sync::Arc;

const WIDTH: usize = 7;
const HEIGHT: usize = 12;

/// Ten pictures side by side, row by row.
const PICTURES: [[&str; 10]; HEIGHT] = [
    [
        "  ###  ", "   #   ", " ##### ", "#######", "     # ", "#######", "   ####", "#######", " ##### ",
        " ##### ",
    ],
    [
        " ## ## ", "  ##   ", "##   ##", "     ##", "    ## ", "##     ", "  ##   ", "#    ##", "##   ##",
        "##   ##",
    ],
    [
        "##   ##", " ###   ", "     ##", "    ## ", "   ### ", "##     ", " ##    ", "     ##", "##   ##",
        "##   ##",
    ],
    [
        "##   ##", "  ##   ", "     ##", "   ##  ", "  #### ", "###### ", " ##    ", "    ## ", "##   ##",
        "##   ##",
    ],
    [
        "##   ##", "  ##   ", "    ## ", "  ###  ", " ## ## ", "     ##", "###### ", "    ## ", " ##### ",
        " ######",
    ],
    [
        "##   ##", "  ##   ", "   ##  ", "    ## ", "##  ## ", "     ##", "##   ##", "   ##  ", "##   ##",
        "     ##",
    ],
    [
        "##   ##", "  ##   ", "  ##   ", "     ##", "#######", "     ##", "##   ##", "   ##  ", "##   ##",
        "     ##",
    ],
    [
        "##   ##", "  ##   ", " ##    ", "     ##", "    ## ", "     ##", "##   ##", "  ##   ", "##   ##",
        "     ##",
    ],
    [
        " ## ## ", "  ##   ", "##     ", "##   ##", "    ## ", "##   ##", "##   ##", "  ##   ", "##   ##",
        "##  ## ",
    ],
    [
        "  ###  ", " ####  ", "#######", " ##### ", "    ## ", " ##### ", " ##### ", "  ##   ", " ##### ",
        " ####  ",
    ],
    ["       "; 10],
    ["       "; 10],
];

/// The codes, digit by digit, row by row: 840 values.
pub(crate) fn digits() -> Arc<[f32]> {
    let mut codes = Vec::with_capacity(10 * WIDTH * HEIGHT);
    for digit in 0..10 {
        for row in &PICTURES {
            codes.extend(row[digit].bytes().map(|pixel| if pixel == b'#' { 1.0 } else { -1.0 }));
        }
    }
    codes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_whole_and_differs_from_every_other() {
        let codes = digits();
        assert_eq!(codes.len(), 840);
        let digits: Vec<&[f32]> = codes.chunks(WIDTH * HEIGHT).collect();
        for (i, a) in digits.iter().enumerate() {
            for b in &digits[i + 1..] {
                let differing = a.iter().zip(*b).filter(|(x, y)| x != y).count();
                assert!(differing >= 6, "digit {i} and another differ in {differing} pixels");
            }
        }
    }
}
