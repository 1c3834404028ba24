//! How well a network tells the pixels of whole pictures apart.

use anyhow::{Context, Result, anyhow};
use zoo::Network;
use zoo_data::{Dataset, Picture, Skipped, mask, mask::IGNORED};
use zoo_train::Confusion;

use crate::{failure::sentence, output};

/// Told of each picture's name, and of its pixels or why it can't be read.
pub(crate) type Told<'a> = &'a mut dyn FnMut(String, Result<&Confusion, &str>) -> Result<()>;

/// Answers whole pictures in their own size, and compares the answers with their masks; `meant` is the network's class for
/// each of the data's. Pictures that can't be read are left out by name, unless that is an error; so are
/// those of which not even a tile's answer fits into `memory`. `sink` is told of each
/// picture in the data's order.
pub(crate) fn judge_pixels(
    network: &Network,
    data: &dyn Dataset,
    meant: &[usize],
    (strict, memory): (bool, u64),
    sink: Told<'_>,
) -> Result<(Confusion, Vec<Skipped>)> {
    let classes = network.prepare().classes().len();
    let mut confusion = Confusion::new(classes);
    let mut skipped = Vec::new();
    let bar = output::bar(Some(data.len() as u64), "pictures");
    for index in 0..data.len() {
        bar.inc(1);
        let (picture, truth) = match read(data, index) {
            Ok(read) => read,
            Err(error) if strict => return Err(error.into()),
            Err(error) => {
                let (name, why) = (data.name(index), error.to_string());
                sink(name.clone(), Err(&why))?;
                skipped.push(Skipped { index, name, why });
                continue;
            }
        };
        let answer = match network.segment(&picture, memory) {
            Ok(answer) => answer,
            Err(error @ zoo::Error::Narrow { .. }) if !strict => {
                let name = data.name(index);
                let why = sentence(&anyhow::Error::from(error).context(name.clone()));
                sink(name.clone(), Err(&why))?;
                skipped.push(Skipped { index, name, why });
                continue;
            }
            Err(error) => return Err(error).with_context(|| data.name(index)),
        };
        let class = |&label: &u8| match label {
            IGNORED => Ok(IGNORED),
            label => {
                let class = meant.get(usize::from(label)).and_then(|&class| u8::try_from(class).ok());
                class.ok_or_else(|| anyhow!("label {label} is none of the data's classes"))
            }
        };
        let truth: Vec<u8> = truth.pixels().iter().map(class).collect::<Result<_>>()?;
        let mut of_picture = Confusion::new(classes);
        of_picture.add(&truth, answer.mask.pixels())?;
        sink(data.name(index), Ok(&of_picture))?;
        confusion.merge(&of_picture)?;
    }
    bar.finish_and_clear();
    match skipped.first() {
        Some(first) if skipped.len() == data.len() => {
            Err(anyhow!("none of the {} pictures can be judged; the first: {}", skipped.len(), first.why))
        }
        _ => Ok((confusion, skipped)),
    }
}

/// A picture and its mask, if they belong together.
fn read(data: &dyn Dataset, index: usize) -> zoo_data::Result<(Picture, Picture)> {
    let Some((picture, of)) = data.masked(index)? else { return Err(zoo_data::Error::NoPictures) };
    mask::check(&of, (picture.width(), picture.height()), data.classes().len(), &data.mask_name(index))?;
    Ok((picture, of))
}
