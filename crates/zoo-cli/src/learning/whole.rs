//! How well a network tells the pixels of whole pictures apart.

use anyhow::{Result, anyhow};
use zoo::{Network, SEGMENT_MEMORY};
use zoo_data::{Dataset, Picture, Skipped, mask, mask::IGNORED};
use zoo_train::Confusion;

use crate::output;

/// Answers whole pictures in their own size, and compares the answers with their masks; `meant` is the network's class for
/// each of the data's. Pictures that can't be read are left out by name, unless that is an error.
pub(crate) fn judge(
    network: &Network,
    data: &dyn Dataset,
    meant: &[usize],
    strict: bool,
) -> Result<(Confusion, Vec<Skipped>)> {
    let mut confusion = Confusion::new(network.prepare().classes().len());
    let mut skipped = Vec::new();
    let bar = output::bar(data.len() as u64, "pictures");
    for index in 0..data.len() {
        bar.inc(1);
        let (picture, truth) = match read(data, index) {
            Ok(read) => read,
            Err(error) if strict => return Err(error.into()),
            Err(error) => {
                skipped.push(Skipped { index, name: data.name(index), why: error.to_string() });
                continue;
            }
        };
        let answer = network.segment(&picture, SEGMENT_MEMORY)?;
        let class = |&label: &u8| match label {
            IGNORED => Ok(IGNORED),
            label => {
                let class = meant.get(usize::from(label)).and_then(|&class| u8::try_from(class).ok());
                class.ok_or_else(|| anyhow!("label {label} is none of the data's classes"))
            }
        };
        let truth: Vec<u8> = truth.pixels().iter().map(class).collect::<Result<_>>()?;
        confusion.add(&truth, answer.mask.pixels())?;
    }
    bar.finish_and_clear();
    Ok((confusion, skipped))
}

/// A picture and its mask, if they belong together.
fn read(data: &dyn Dataset, index: usize) -> zoo_data::Result<(Picture, Picture)> {
    let Some((picture, of)) = data.masked(index)? else { return Err(zoo_data::Error::NoPictures) };
    mask::check(&of, (picture.width(), picture.height()), data.classes().len(), &data.mask_name(index))?;
    Ok((picture, of))
}
