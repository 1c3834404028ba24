//! A class for each pixel of a picture.
//!
//! A picture of any size is answered in full: it is padded at its right and lower edge with the mean colour up to a size
//! that the network's strides divide, and the answer is cropped back. One whose answer would take more memory than is
//! allowed is answered in tiles that overlap by as much as a pixel's answer can depend on, so that it is the whole
//! picture's up to rounding.

use std::iter;
use std::ops::Range;

use candle_core::DType;
use zoo_data::{Channels, Picture};
use zoo_layers::{Graph, Mode, Plan, Route, Shape};

use crate::{Error, Model, Network, Result};

/// What an answer may take beside the weights if nobody says otherwise: 2 GiB.
pub const SEGMENT_MEMORY: u64 = 2 << 30;

/// A class for each pixel of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segmentation {
    /// Grey, of the picture's size: the number of each pixel's class.
    pub mask: Picture,
    /// How many pixels each class has, in the order of the classes.
    pub areas: Vec<usize>,
    /// In how many pieces the picture was answered.
    pub tiles: usize,
}

/// How a picture is laid out for a network.
struct Layout {
    /// Height and width, divided by the network's strides.
    padded: [usize; 2],
    stride: usize,
    /// How much tiles overlap; nothing if the network sees the whole picture at once.
    halo: Option<usize>,
}

/// The pieces of a picture, and what is answered with each.
struct Tiles {
    /// The pieces of both axes.
    pieces: [Vec<Range<usize>>; 2],
    /// Height and width of what is answered at a time: all alike, so that the network is compiled once.
    window: [usize; 2],
}

impl Model {
    /// That the network gives each pixel a class.
    ///
    /// # Errors
    /// [`Error::NotASegmenter`]; as [`Model::graph`].
    pub fn check_segments(&self) -> Result<()> {
        segments(&self.graph()?)
    }
}

/// That a network gives each pixel a class.
fn segments(graph: &Graph) -> Result<()> {
    let output = graph.get(graph.main_output().node).output;
    match output {
        Shape::Map { .. } if output.size() == graph.input().size() => Ok(()),
        _ => Err(Error::NotASegmenter {
            model: graph.name().into(),
            output: output.to_string(),
            input: graph.input().to_string(),
        }),
    }
}

impl Network {
    /// A class for each pixel of a picture of any size, with at most so much memory beside the weights, in bytes.
    ///
    /// ```
    /// use zoo::{SEGMENT_MEMORY, data::Dataset, data::Scenes, data::scenes::Plan};
    ///
    /// let net = zoo::model("fcn_digits")?.fresh()?;
    /// let scene = Scenes::new(Plan { train: 4, ..Plan::default() })?.picture(3)?;
    /// let answer = net.segment(&scene, SEGMENT_MEMORY)?;
    /// assert_eq!((answer.mask.width(), answer.mask.height(), answer.tiles), (96, 96, 1));
    /// # Ok::<(), zoo::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotASegmenter`]; [`Error::Narrow`] where not even a tile's answer fits.
    pub fn segment(&self, picture: &Picture, memory: u64) -> Result<Segmentation> {
        let graph = self.graph();
        segments(graph)?;
        let classes = self.prepare().classes().len();
        if classes > 255 {
            return Err(Error::TooManyClasses { model: graph.name().into(), classes });
        }
        let [height, width] = [picture.height(), picture.width()];
        let layout = Layout::of(graph, [height, width]);
        let Tiles { pieces: [rows, columns], window } = layout.tiles(graph, [height, width], memory)?;
        let mut labels = vec![0; height * width];
        let mut tiles = 0;
        // What lies in the padding alone is nobody's.
        for row in rows.iter().filter(|row| row.start < height) {
            for column in columns.iter().filter(|column| column.start < width) {
                let around = [layout.around(row, 0, window), layout.around(column, 1, window)];
                let answer = self.tile(picture, around, row, column)?;
                tiles += 1;
                let kept = column.len().min(width - column.start);
                for (line, y) in
                    answer.chunks_exact(column.len()).zip(row.clone()).filter(|(_, y)| *y < height)
                {
                    labels[y * width + column.start..][..kept].copy_from_slice(&line[..kept]);
                }
            }
        }
        let mut areas = vec![0; classes];
        for &label in &labels {
            if let Some(area) = areas.get_mut(usize::from(label)) {
                *area += 1;
            }
        }
        Ok(Segmentation { mask: Picture::new(width, height, Channels::Grey, labels)?, areas, tiles })
    }

    /// The likeliest classes of the pixels of a piece, row by row, answered with the picture around it.
    fn tile(
        &self,
        picture: &Picture,
        [down, across]: [Range<usize>; 2],
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) -> Result<Vec<u8>> {
        let piece = self.prepare().whole(&cut(picture, &down, &across)?)?;
        // With zeros, which are the mean colour, to its right and below it.
        let piece = piece
            .dims4()
            .and_then(|(.., height, width)| {
                piece.pad_with_zeros(2, 0, down.len() - height)?.pad_with_zeros(3, 0, across.len() - width)
            })
            .map_err(zoo_layers::Error::from)?;
        let logits = self.main(&piece)?;
        let values: Vec<Vec<Vec<f32>>> = logits
            .narrow(2, rows.start - down.start, rows.len())
            .and_then(|logits| logits.narrow(3, columns.start - across.start, columns.len()))
            .and_then(|logits| logits.squeeze(0)?.to_dtype(DType::F32)?.to_vec3())
            .map_err(zoo_layers::Error::from)?;
        let mut best = vec![f32::NEG_INFINITY; rows.len() * columns.len()];
        let mut labels = vec![0; best.len()];
        for (class, plane) in (0..=u8::MAX).zip(&values) {
            let places = best.iter_mut().zip(&mut labels);
            for ((best, label), &value) in places.zip(plane.iter().flatten()) {
                // Of equal ones the first class.
                if value > *best {
                    (*best, *label) = (value, class);
                }
            }
        }
        Ok(labels)
    }
}

impl Layout {
    fn of(graph: &Graph, size: [usize; 2]) -> Self {
        let reach = graph.reach();
        let stride = reach.map_or(32, |reach| reach.stride);
        let least =
            if graph.at_size(stride, stride).is_ok() { 1 } else { graph.smallest_side().unwrap_or(1) };
        let padded = size.map(|side| side.max(least).next_multiple_of(stride));
        Self { padded, stride, halo: reach.map(|reach| reach.halo.next_multiple_of(stride)) }
    }

    /// A window of an axis with a piece and all that its answer depends on.
    fn around(&self, piece: &Range<usize>, axis: usize, window: [usize; 2]) -> Range<usize> {
        let before = piece.start.saturating_sub(self.halo.unwrap_or(0));
        let start = before.min(self.padded[axis] - window[axis]);
        start..start + window[axis]
    }

    /// The pieces of both axes of a picture of this size: one each, if the whole picture's answer fits into memory.
    fn tiles(&self, graph: &Graph, size: [usize; 2], memory: u64) -> Result<Tiles> {
        let [height, width] = self.padded;
        let whole = needed(graph, self.padded).unwrap_or(u64::MAX);
        if whole <= memory {
            let pieces = self.padded.map(|side| iter::once(0..side).collect());
            return Ok(Tiles { pieces, window: self.padded });
        }
        let mut core = height.max(width).next_power_of_two().next_multiple_of(self.stride);
        let mut least = whole;
        while let (true, Some(halo)) = (core > self.stride, self.halo) {
            core = (core / 2).next_multiple_of(self.stride);
            let window = self.padded.map(|side| (core + 2 * halo).min(side));
            least = needed(graph, window)?;
            if least <= memory {
                // A window as long as its axis answers all of it.
                let step = |side: usize| if core + 2 * halo >= side { side } else { core };
                let pieces = self.padded.map(|side| {
                    let step = step(side);
                    (0..side).step_by(step).map(|start| start..(start + step).min(side)).collect()
                });
                return Ok(Tiles { pieces, window });
            }
        }
        Err(Error::Narrow { model: graph.name().into(), size, whole, least, memory })
    }
}

/// What of a picture lies in a window: the window may begin in the picture and end beyond it.
fn cut(picture: &Picture, down: &Range<usize>, across: &Range<usize>) -> Result<Picture> {
    let [height, width] = [picture.height(), picture.width()];
    let (rows, columns) = (down.start..down.end.min(height), across.start..across.end.min(width));
    let channels = picture.channels().count();
    let line = |row: usize| {
        &picture.pixels()[(row * width + columns.start) * channels..(row * width + columns.end) * channels]
    };
    let pixels: Vec<u8> = rows.clone().flat_map(line).copied().collect();
    Ok(Picture::new(columns.len(), rows.len(), picture.channels(), pixels)?)
}

/// What the answer to one picture of this size takes beside the weights, in bytes.
fn needed(graph: &Graph, [height, width]: [usize; 2]) -> Result<u64> {
    let graph = graph.at_size(height, width)?;
    let plan = Plan::new(&graph, &Route::new(Mode::Eval, [Graph::PICTURE], [graph.main_output().node]))?;
    // The piece of the picture as it is prepared, and with its border.
    let input = 2 * graph.input().elements() as u64;
    // The logits once more, and again as they are read.
    let output = graph.get(graph.main_output().node).output.elements() as u64;
    Ok(4 * (plan.taken(1) + plan.working(1) + input + 2 * output))
}
