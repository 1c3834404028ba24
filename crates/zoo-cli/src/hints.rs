//! The library's errors in the words of this program: what it calls by its functions, there are flags and commands for.

use zoo::Error;

/// The whole sentence, where the library's speaks of functions.
pub(crate) fn told(error: &Error) -> Option<String> {
    Some(match error {
        Error::UnknownModel { name, hint } => {
            format!("there is no model named `{name}`{hint}; `zoo list` shows all")
        }
        Error::NotAModel { name } => format!(
            "{name} is a file, and only a .safetensors says whose weights it holds; give the model's name and \
             `--weights {name}`, or make a model of it with `zoo convert`"
        ),
        Error::NotHere { model, tag } => format!(
            "the weights of `{model}` ({tag}) are not here; fetch them with `zoo fetch {tag}`, or give a file with \
             `--weights FILE`"
        ),
        Error::NoWeights { model } => {
            format!("no weights are published for `{model}`; give a file of your own with `--weights FILE`")
        }
        Error::NoCard { .. } => changed(
            error,
            "to `Model::weights`, or make a model of it with a `Conversion`",
            "with `--weights`, or make a model of it with `zoo convert --model`",
        ),
        Error::Several { .. } => changed(error, "with `Model::under`", "with `--key`"),
        Error::Headless { .. } => changed(
            error,
            "`Network::net` gives its features, or draw one with `Model::classes`",
            "`zoo features` writes what it answers, or draw one with `zoo convert --new`",
        ),
        Error::NotAClassifier { .. } => changed(
            error,
            "`Network::net` gives what it answers",
            "`zoo segment` paints what it answers for each pixel, `zoo features` writes any answer",
        ),
        Error::Narrow { .. } => changed(error, "allow more", "allow more with `--memory`"),
        Error::Nameless { .. } => changed(error, "`Conversion::model`", "`--model`"),
        Error::Unfit { .. } => changed(
            error,
            "the network gives without its head (`Model::headless`), or up to any node (`Model::at`)",
            "`zoo features MODEL PICTURE --weights FILE -o OUT` gives, or any node with `--at`",
        ),
        _ => return None,
    })
}

fn changed(error: &Error, of_the_library: &str, of_the_program: &str) -> String {
    error.to_string().replace(of_the_library, of_the_program)
}

/// What libraries call by their functions, and this program by a flag or a command.
const WORDS: [(&str, &str); 6] = [
    ("`Options::output_stride`", "--output-stride N"),
    ("`Options::centred_shortcut`", "--centred-shortcut"),
    ("`TensorFile::open_key`", "--key"),
    ("`Settings::mirror`", "--mirror"),
    ("`Manifest::published`", "`zoo fetch --list`"),
    ("`Fetcher::fetch`", "`zoo fetch`"),
];

/// A library's sentence in those words.
pub(crate) fn flags(text: &str) -> String {
    WORDS.iter().fold(text.to_string(), |text, (of_the_library, of_the_program)| {
        text.replace(of_the_library, of_the_program)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sentence of the library that is changed and no longer speaks as this module expects would slip through.
    #[test]
    fn functions_become_flags() {
        let errors = [
            Error::UnknownModel { name: "a".into(), hint: String::new() },
            Error::NotAModel { name: "a".into() },
            Error::NotHere { model: "a".into(), tag: "a.b".into() },
            Error::NoWeights { model: "a".into() },
            Error::NoCard { file: "a".into() },
            Error::Several { file: "a".into(), model: "a".into(), several: vec!["b".into()] },
            Error::Headless { model: "a".into() },
            Error::NotAClassifier { model: "a".into(), output: "1x2".into(), input: "1x2".into() },
            Error::Nameless { file: "a".into() },
        ];
        for error in errors {
            let told = told(&error).unwrap_or_default();
            assert!(told.contains("zoo ") || told.contains("--"), "{told}");
            assert!(!told.contains("::"), "{told}");
        }
    }
}
