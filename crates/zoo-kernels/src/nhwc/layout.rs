//! From planes, `(n, c, h, w)`, to pixels and back.

#![expect(unsafe_code, reason = "tasks share the arena")]

use super::map::Map;
use crate::error::{Result, check_len};
use crate::par::{Shared, tasks};

/// Writes dense planes into a map, and zeros into its halo.
///
/// # Errors
/// A slice that isn't as long as the map's shape, a map outside of the arena.
pub fn from_planes(planes: &[f32], arena: &mut [f32], map: Map) -> Result<()> {
    let op = "from planes to pixels";
    check_len(op, "planes", planes.len(), &map.shape)?;
    map.check(op, arena.len())?;
    let [n, c, h, w] = map.shape;
    let (halo, arena) = (map.halo, Shared::new(arena));
    let down = h + halo.top + halo.bottom;
    tasks(n * down, n * c * h * w, |task| {
        let (n, y) = (task / down, task % down);
        // SAFETY: rows, those of the halo among them, lie in the arena and don't overlap.
        let row = unsafe {
            let start =
                map.start + n * map.picture + y * map.row - halo.top * map.row - halo.left * map.pixel;
            arena.slice(start, (w + halo.left + halo.right - 1) * map.pixel + c)
        };
        let zero = |pixels: &mut [f32]| {
            for pixel in pixels.chunks_mut(map.pixel) {
                let len = pixel.len().min(c);
                pixel[..len].fill(0.0);
            }
        };
        let Some(y) = y.checked_sub(halo.top).filter(|y| *y < h) else { return zero(row) };
        let (left, rest) = row.split_at_mut(halo.left * map.pixel);
        zero(left);
        let inside = (w * map.pixel).min(rest.len());
        zero(&mut rest[inside..]);
        for channel in 0..c {
            let plane = &planes[((n * c + channel) * h + y) * w..][..w];
            for (to, from) in rest[channel..].iter_mut().step_by(map.pixel).zip(plane) {
                *to = *from;
            }
        }
    });
    Ok(())
}

/// Writes a map as dense planes.
///
/// # Errors
/// As [`from_planes`].
pub fn to_planes(arena: &[f32], map: Map, planes: &mut [f32]) -> Result<()> {
    let op = "from pixels to planes";
    check_len(op, "planes", planes.len(), &map.shape)?;
    map.check(op, arena.len())?;
    let [n, c, h, w] = map.shape;
    let len = planes.len();
    let planes = Shared::new(planes);
    // Some channels at a time, so that a pixel's cache line is read once.
    const CHANNELS: usize = 16;
    let groups = c.div_ceil(CHANNELS);
    tasks(n * groups, len, |task| {
        let (n, first) = (task / groups, task % groups * CHANNELS);
        for y in 0..h {
            for x in 0..w {
                let from = &arena[map.at(n, y, x)..][first..c.min(first + CHANNELS)];
                for (channel, from) in from.iter().enumerate() {
                    // SAFETY: `planes` is as long as the shape, and tasks write other planes.
                    unsafe { *planes.get().add(((n * c + first + channel) * h + y) * w + x) = *from };
                }
            }
        }
    });
    Ok(())
}
