//! A folder of models as NVIDIA's Triton serves them: a network's ONNX file, what it takes and gives, its classes' names.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use zoo_onnx::{Dim, Value};
use zoo_weights::Destination;

/// Pictures that the server may gather to one batch where the file takes any number.
const GATHERED: usize = 64;

/// One network's places in a repository.
#[derive(Debug)]
pub(crate) struct Place {
    name: String,
    folder: PathBuf,
}

impl Place {
    /// Of a network in a repository.
    pub(crate) fn new(repository: &Path, name: &str) -> Self {
        Self { name: name.into(), folder: repository.join(name) }
    }

    /// Where the network's first version lies.
    pub(crate) fn model(&self) -> PathBuf {
        self.folder.join("1").join("model.onnx")
    }

    /// Makes its folders.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn make(&self) -> io::Result<()> {
        std::fs::create_dir_all(self.folder.join("1"))
    }

    /// Writes what belongs to the network beside it; the server reads the configuration first, so it comes last.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn describe(&self, inputs: &[Value], outputs: &[Value], classes: &[String]) -> io::Result<()> {
        let labelled = outputs
            .first()
            .filter(|output| matches!(output.dims[..], [_, Dim::Fixed(count)] if count == classes.len()));
        if labelled.is_some() {
            // A name on each line, so none may have two.
            let lines: String = classes.iter().map(|class| class.replace(['\n', '\r'], " ") + "\n").collect();
            put(&self.folder.join("labels.txt"), &lines)?;
        }
        let labelled = labelled.map(|output| output.name.as_str());
        put(&self.folder.join("config.pbtxt"), &config(&self.name, inputs, outputs, labelled))
    }
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    Destination::of(path)?.write(|file| io::Write::write_all(file, text.as_bytes()))
}

/// `config.pbtxt`. A batch that is free is the server's to gather, and then no side of its own.
fn config(name: &str, inputs: &[Value], outputs: &[Value], labelled: Option<&str>) -> String {
    let free = inputs.iter().all(|input| matches!(input.dims.first(), Some(Dim::Free(_))));
    let gathered = if free { GATHERED } else { 0 };
    let mut text = format!("name: {name:?}\nplatform: \"onnxruntime_onnx\"\nmax_batch_size: {gathered}\n");
    for (what, values) in [("input", inputs), ("output", outputs)] {
        for Value { name, dims } in values {
            let side = |dim: &Dim| match dim {
                Dim::Fixed(side) => side.to_string(),
                Dim::Free(_) => "-1".into(),
            };
            let sides: Vec<String> = dims.iter().skip(usize::from(free)).map(side).collect();
            let labels = match labelled == Some(name) && what == "output" {
                true => "\n    label_filename: \"labels.txt\"",
                false => "",
            };
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{what} [\n  {{\n    name: {name:?}\n    data_type: TYPE_FP32\n    dims: [ {} ]{labels}\n  }}\n]",
                sides.join(", ")
            );
        }
    }
    if free {
        text.push_str("dynamic_batching { }\n");
    }
    text
}
