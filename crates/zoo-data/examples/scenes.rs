//! Writes scenes of the test part and their masks: `cargo run --example scenes -- DIR [COUNT]`. `assets/scenes` is made so.

use std::error::Error;
use std::fs::{self, File};
use std::path::PathBuf;

use zoo_data::{Dataset, Part, Scenes, mask, scenes::Plan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder to write to")?);
    let count: usize = arguments.next().map_or(Ok(10), |count| count.parse())?;
    let data = Scenes::new(Plan { test: count, ..Plan::default() })?;
    fs::create_dir_all(folder.join("masks"))?;
    let tested = (0..data.len()).filter(|&index| data.part(index) == Some(Part::Test));
    for (number, index) in tested.enumerate() {
        let Some((picture, labels)) = data.masked(index)? else { continue };
        picture.write_png(File::create(folder.join(format!("{number}.png")))?)?;
        mask::write(&labels, File::create(folder.join(format!("masks/{number}.png")))?)?;
    }
    Ok(())
}
