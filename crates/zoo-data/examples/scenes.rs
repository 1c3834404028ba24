//! Writes scenes and their masks: `cargo run --example scenes -- DIR [COUNT]` those of the test part, as `assets/scenes` was
//! made; `cargo run --example scenes -- DIR COUNT all` so many to learn from, and those to choose by and to be tested on, in
//! the folders that `zoo train --data DIR` takes.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use zoo_data::{Dataset, Part, Scenes, mask, scenes::Plan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder to write to")?);
    let count: usize = arguments.next().map_or(Ok(10), |count| count.parse())?;
    match arguments.next().as_deref() {
        None => {
            let data = Scenes::new(Plan { test: count, ..Plan::default() })?;
            write(&data, Part::Test, &folder, &folder.join("masks"))
        }
        Some("all") => {
            let data = Scenes::new(Plan { train: count, ..Plan::default() })?;
            for (part, name) in [(Part::Train, "train"), (Part::Validation, "val"), (Part::Test, "test")] {
                write(&data, part, &folder.join(name).join("images"), &folder.join(name).join("masks"))?;
            }
            Ok(fs::write(folder.join("classes.txt"), data.classes().join("\n"))?)
        }
        Some(other) => Err(format!("`{other}` is no choice: write `all`, or nothing").into()),
    }
}

/// Writes a part's pictures and masks, called by their numbers.
fn write(data: &Scenes, part: Part, pictures: &Path, masks: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(pictures)?;
    fs::create_dir_all(masks)?;
    for (number, index) in (0..data.len()).filter(|&index| data.part(index) == Some(part)).enumerate() {
        let Some((picture, labels)) = data.masked(index)? else { continue };
        picture.write_png(File::create(pictures.join(format!("{number}.png")))?)?;
        mask::write(&labels, File::create(masks.join(format!("{number}.png")))?)?;
    }
    Ok(())
}
