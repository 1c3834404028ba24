//! candle's own step.
use crate::Step;
use crate::case::Case;
use anyhow::{Result, bail};
pub(crate) struct Stock;
impl Stock {
    pub(crate) fn new(_: Case) -> Result<Self> {
        bail!("not yet")
    }
}
impl Step for Stock {
    fn params(&self) -> usize {
        0
    }
    fn step(&mut self, _: bool) -> Result<Option<f64>> {
        Ok(None)
    }
}
