//! Matrix products: the register tile that convolutions use too, and products of plain matrices.

pub(crate) mod micro;
