//! Windows that slide over a picture, whose paddings ONNX counts in another way.

use zoo_layers::{
    AvgPool2d, Divisor, MaxPool2d, Padding, Rounding,
    onnx::{Arg, Attribute, Form},
};

use crate::{Result, form::Place};

/// Kernel, stride and dilation.
pub(crate) type Steps = ([usize; 2], [usize; 2], [usize; 2]);

/// Gives the last call the padding of its windows: as numbers, or where the size is free and decides it, as a rule.
pub(crate) fn pads(form: &mut Form, padding: Padding, steps: Steps, place: &Place<'_>) -> Result<()> {
    let (kernel, stride, dilation) = steps;
    // With steps of one pixel it is the same for every size.
    if padding == Padding::Same && place.site.free_size && stride != [1, 1] {
        if dilation != [1, 1] {
            return Err(place.needs_size(
                "has a padding that depends on the size, and holes, which no runtime takes together",
            ));
        }
        form.with("auto_pad", Attribute::Text("SAME_UPPER".into()));
        return Ok(());
    }
    with_sides(form, padding.sides(kernel, stride, dilation, place.size()), place)
}

fn with_sides(form: &mut Form, [top, bottom, left, right]: [usize; 4], place: &Place<'_>) -> Result<()> {
    form.with("pads", place.list("a padding", &[top, left, bottom, right])?);
    Ok(())
}

/// The maximum over windows: what a last window reaches beyond the padding is padding too, which never wins.
pub(crate) fn max_pool(form: &mut Form, pool: &MaxPool2d, place: &Place<'_>) -> Result<()> {
    let steps = (pool.kernel_size, pool.stride, pool.dilation);
    form.call("MaxPool", [Arg::Input(0)]);
    form.with("kernel_shape", place.list("a kernel", &pool.kernel_size)?);
    form.with("strides", place.list("a stride", &pool.stride)?);
    if pool.dilation != [1, 1] {
        form.with("dilations", place.list("a dilation", &pool.dilation)?);
    }
    reached(form, pool.padding, pool.rounding, steps, place)
}

/// The mean over windows. Where padding counts, and windows reach beyond it, where nothing counts, the padding becomes
/// pixels of zero in a node of its own.
pub(crate) fn avg_pool(form: &mut Form, pool: &AvgPool2d, place: &Place<'_>) -> Result<()> {
    let steps = (pool.kernel_size, pool.stride, [1, 1]);
    let padded = match pool.padding {
        Padding::None => false,
        Padding::Same if place.site.free_size => true,
        padding => padding.sides(steps.0, steps.1, steps.2, place.size()) != [0; 4],
    };
    let counts = pool.divisor == Divisor::Window && padded;
    let apart = counts && pool.rounding == Rounding::Ceil;
    let (input, padding) = match apart {
        true if place.site.free_size && pool.padding == Padding::Same => {
            return Err(place.needs_size("rounds up the number of windows whose padding depends on the size"));
        }
        true => {
            let [top, bottom, left, right] =
                place.ints("a padding", &pool.padding.sides(steps.0, steps.1, steps.2, place.size()))?[..]
            else {
                return Ok(());
            };
            let pads = vec![0, 0, top, left, 0, 0, bottom, right];
            (form.call("Pad", [Arg::Input(0), Arg::Ints(pads)]), Padding::None)
        }
        false => (Arg::Input(0), pool.padding),
    };
    form.call("AveragePool", [input]);
    form.with("kernel_shape", place.list("a kernel", &pool.kernel_size)?);
    form.with("strides", place.list("a stride", &pool.stride)?);
    form.with("count_include_pad", Attribute::Int((counts && !apart).into()));
    match apart {
        true => {
            let sides = pool.padding.sides(steps.0, steps.1, steps.2, place.size());
            reached_over(form, (padding, sides), steps, place)
        }
        false => reached(form, padding, pool.rounding, steps, place),
    }
}

/// The padding of a pool, trailing sides made longer by what a last window reaches beyond.
fn reached(
    form: &mut Form,
    padding: Padding,
    rounding: Rounding,
    steps: Steps,
    place: &Place<'_>,
) -> Result<()> {
    match rounding {
        Rounding::Floor => pads(form, padding, steps, place),
        Rounding::Ceil => reached_over(form, (padding, [0; 4]), steps, place),
    }
}

/// The same for windows that round up, over a picture that has `more` pixels on each side than the input.
fn reached_over(
    form: &mut Form,
    (padding, more): (Padding, [usize; 4]),
    steps: Steps,
    place: &Place<'_>,
) -> Result<()> {
    let (kernel, stride, dilation) = steps;
    let reach = [0, 1].map(|axis| kernel[axis].saturating_sub(1) * dilation[axis] + 1);
    if place.site.free_size {
        // ONNX rounds up without looking where the last window starts; it starts inside if windows overlap enough.
        let sides = match padding {
            Padding::Same => {
                return Err(place.needs_size("rounds up the number of windows of a padding that needs it"));
            }
            padding => padding.sides(kernel, stride, dilation, place.size()),
        };
        if (0..2).any(|axis| sides[2 * axis + 1] + more[2 * axis + 1] + stride[axis] > reach[axis]) {
            return Err(place.needs_size("drops a last window that starts in the padding"));
        }
        with_sides(form, sides, place)?;
        form.with("ceil_mode", Attribute::Int(1));
        return Ok(());
    }
    let (size, windows) = (place.size(), place.site.output.size());
    let mut sides = padding.sides(kernel, stride, dilation, size);
    for axis in 0..2 {
        let [before, after] = [2 * axis, 2 * axis + 1];
        let there = size[axis] + more[before] + more[after] + sides[before];
        let needed = (windows[axis].saturating_sub(1) * stride[axis] + reach[axis]).saturating_sub(there);
        sides[after] = sides[after].max(needed);
    }
    with_sides(form, sides, place)
}
