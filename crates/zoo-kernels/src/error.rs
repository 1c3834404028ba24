//! The one error type: every message names the operation, both values, and the way out.

/// Why a kernel refused its arguments. No kernel panics on any shape or length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A slice's length isn't the product of its shape.
    #[error(
        "{op}: `{what}` has {got} elements, but its shape {shape:?} needs {want}: pass the whole tensor, contiguous"
    )]
    Length {
        /// The operation.
        op: &'static str,
        /// Which argument.
        what: &'static str,
        /// Elements given.
        got: usize,
        /// Elements needed.
        want: usize,
        /// The shape that asks for them.
        shape: Vec<usize>,
    },
    /// A size that must be at least one is zero.
    #[error("{op}: `{what}` is 0 in {shape:?}, and must be at least 1")]
    Zero {
        /// The operation.
        op: &'static str,
        /// Which size.
        what: &'static str,
        /// The values it is among.
        shape: Vec<usize>,
    },
    /// Two sizes that must be equal are not.
    #[error("{op}: {left} is {left_value}, but {right} is {right_value}: they must be equal")]
    Mismatch {
        /// The operation.
        op: &'static str,
        /// What the first value is.
        left: &'static str,
        /// The first value.
        left_value: usize,
        /// What the second value is.
        right: &'static str,
        /// The second value.
        right_value: usize,
    },
    /// A window reaches over the padded input.
    #[error(
        "{op}: a kernel of {kernel} (dilation {dilation}) doesn't fit into the padded {side} of {padded}: \
         enlarge the input or the padding"
    )]
    KernelTooLarge {
        /// The operation.
        op: &'static str,
        /// `height` or `width`.
        side: &'static str,
        /// Kernel size along this side.
        kernel: usize,
        /// Dilation along this side.
        dilation: usize,
        /// Input plus padding along this side.
        padded: usize,
    },
    /// The groups don't divide the channels.
    #[error("{op}: {groups} groups don't divide the {channels} {what}: choose a divisor")]
    Groups {
        /// The operation.
        op: &'static str,
        /// Which channels.
        what: &'static str,
        /// Number of channels.
        channels: usize,
        /// Number of groups.
        groups: usize,
    },
    /// A pool's padding exceeds half of its window, so that a window could lie in padding alone.
    #[error("{op}: a padding of {padding} exceeds half of the kernel of {kernel}: use at most {}", kernel / 2)]
    PoolPadding {
        /// The operation.
        op: &'static str,
        /// The largest padding on this side.
        padding: usize,
        /// Kernel size on this side.
        kernel: usize,
    },
    /// A shape's number of elements doesn't fit into the address space.
    #[error("{op}: the sizes {sizes:?} overflow the address space: reduce one of them")]
    Overflow {
        /// The operation.
        op: &'static str,
        /// The sizes.
        sizes: Vec<usize>,
    },
    /// A class label is neither a class nor the ignored label.
    #[error("{op}: label {label} at position {position} is neither below {classes} nor the ignored label")]
    Label {
        /// The operation.
        op: &'static str,
        /// The label found.
        label: i64,
        /// Where it was found.
        position: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A number outside its range.
    #[error("{op}: `{what}` is {value}: it must be {must}")]
    Value {
        /// The operation.
        op: &'static str,
        /// Which argument.
        what: &'static str,
        /// The value, as text.
        value: String,
        /// What it must be.
        must: &'static str,
    },
}

/// What every kernel returns.
pub type Result<T, E = KernelError> = std::result::Result<T, E>;

/// A picture batch's shape, `(n, c, h, w)`.
pub type Shape = [usize; 4];

/// The number of elements of `shape`.
pub(crate) fn elements(op: &'static str, shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1usize, |all, &side| all.checked_mul(side))
        .ok_or_else(|| KernelError::Overflow { op, sizes: shape.to_vec() })
}

/// Refuses a slice that isn't exactly a tensor of `shape`.
pub(crate) fn check_len(op: &'static str, what: &'static str, got: usize, shape: &[usize]) -> Result<()> {
    let want = elements(op, shape)?;
    if got == want { Ok(()) } else { Err(KernelError::Length { op, what, got, want, shape: shape.to_vec() }) }
}

/// Refuses a zero among `sizes`.
pub(crate) fn check_nonzero(op: &'static str, what: &'static str, sizes: &[usize]) -> Result<()> {
    if sizes.contains(&0) { Err(KernelError::Zero { op, what, shape: sizes.to_vec() }) } else { Ok(()) }
}

/// Refuses two sizes that differ.
pub(crate) fn check_equal(
    op: &'static str,
    (left, left_value): (&'static str, usize),
    (right, right_value): (&'static str, usize),
) -> Result<()> {
    if left_value == right_value {
        Ok(())
    } else {
        Err(KernelError::Mismatch { op, left, left_value, right, right_value })
    }
}
