//! The load report: which of a network's tensors a file has, and which not.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use crate::{Error, Result};

/// Names shown of each kind; the rest is counted.
const SHOWN: usize = 3;

/// PyTorch's batch norm counts its batches under this name; the count is neither parameter nor buffer here.
const BATCH_COUNTER: &str = "num_batches_tracked";

/// What loading a file into a network would do, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// In both, of the same shape.
    pub loaded: Vec<String>,
    /// In the network, not in the file.
    pub missing: Vec<String>,
    /// In the file, not in the network.
    pub unexpected: Vec<String>,
    /// In both, of different shapes.
    pub misshapen: Vec<Misshapen>,
    /// In the network, and asked to be initialised anew, whatever the file has.
    pub newly_initialised: Vec<String>,
    /// What was chosen where the file left a choice, and what of it was left out: sentences without a subject.
    pub notes: Vec<String>,
}

/// A tensor whose shape differs between network and file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name.
    pub name: String,
    /// The network's shape.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
}

impl LoadReport {
    /// Compares the names and shapes of a network with those of a file, both ways. Tensors of the network
    /// for which `is_new` holds are initialised anew, and ignored in the file.
    ///
    /// ```
    /// use zoo_weights::LoadReport;
    ///
    /// let network = [("conv.weight", &[6, 1, 5, 5][..]), ("fc.weight", &[10, 84])];
    /// let file = [("conv.weight", &[6, 1, 5, 5][..]), ("fc.weight", &[1000, 84])];
    /// let strict = LoadReport::compare(network, file, |_| false);
    /// assert_eq!(strict.misshapen[0].found, [1000, 84]);
    /// let new_head = LoadReport::compare(network, file, |name| name.starts_with("fc."));
    /// assert!(new_head.is_complete());
    /// ```
    pub fn compare<'a>(
        network: impl IntoIterator<Item = (&'a str, &'a [usize])>,
        file: impl IntoIterator<Item = (&'a str, &'a [usize])>,
        is_new: impl Fn(&str) -> bool,
    ) -> Self {
        let file: Vec<_> = file.into_iter().collect();
        // `None` marks a tensor of the file that the network has claimed.
        let mut unclaimed: HashMap<&str, Option<&[usize]>> =
            file.iter().map(|&(name, shape)| (name, Some(shape))).collect();
        let mut report = Self::default();
        for (name, expected) in network {
            let found = unclaimed.get_mut(name).and_then(Option::take);
            match found {
                _ if is_new(name) => report.newly_initialised.push(name.to_string()),
                None => report.missing.push(name.to_string()),
                Some(found) if found == expected => report.loaded.push(name.to_string()),
                Some(found) => report.misshapen.push(Misshapen {
                    name: name.to_string(),
                    expected: expected.to_vec(),
                    found: found.to_vec(),
                }),
            }
        }
        let is_counter = |name: &str| name.rsplit('.').next() == Some(BATCH_COUNTER);
        report.unexpected = file
            .into_iter()
            .filter(|(name, _)| !is_counter(name) && unclaimed.get(name).is_some_and(Option::is_some))
            .map(|(name, _)| name.to_string())
            .collect();
        report
    }

    /// Whether every tensor of the network is loaded or asked to be new, and none of the file is left over.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }

    /// The whole report, a line for each kind that is there, with up to `most` names in each.
    ///
    /// ```
    /// # use zoo_weights::LoadReport;
    /// let network = [("conv.weight", &[6, 1, 5, 5][..]), ("fc.weight", &[10, 84])];
    /// let report = LoadReport::compare(network, [("fc.weight", &[7, 84][..])], |_| false);
    /// assert_eq!(
    ///     report.in_full(20),
    ///     "1 missing: conv.weight\n1 misshapen: fc.weight is [7, 84] where the network has [10, 84]\n"
    /// );
    /// ```
    pub fn in_full(&self, most: usize) -> String {
        let misshapen: Vec<String> = self.misshapen.iter().map(ToString::to_string).collect();
        let kinds = [
            ("loaded", &self.loaded),
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("misshapen", &misshapen),
            ("newly initialised", &self.newly_initialised),
        ];
        let mut text: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            let shown = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = match names.len().saturating_sub(most) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            text += &format!("{} {kind}: {shown}{more}\n", names.len());
        }
        text
    }

    /// The report itself if it is complete.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with the report and `file`'s name.
    pub fn strict(self, file: &Path) -> Result<Self> {
        if self.is_complete() {
            return Ok(self);
        }
        Err(Error::Mismatch { path: file.to_path_buf(), report: Box::new(self) })
    }
}

impl fmt::Display for LoadReport {
    /// `53 loaded, 2 missing (fc.weight, fc.bias)`: the counts, and the first names of what does not fit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded", self.loaded.len())?;
        names(f, "missing", &self.missing)?;
        names(f, "unexpected", &self.unexpected)?;
        let shapes: Vec<String> = self.misshapen.iter().map(ToString::to_string).collect();
        names(f, "misshapen", &shapes)?;
        names(f, "newly initialised", &self.newly_initialised)
    }
}

impl fmt::Display for Misshapen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?} where the network has {:?}", self.name, self.found, self.expected)
    }
}

fn names(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = if names.len() > SHOWN { ", …" } else { "" };
    write!(f, ", {} {what} ({shown}{rest})", names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_both_ways() {
        let network = [("a", &[2][..]), ("b", &[3]), ("c", &[4]), ("new", &[1])];
        let file =
            [("a", &[2][..]), ("b", &[5]), ("x", &[1]), ("bn.num_batches_tracked", &[]), ("new", &[9])];
        let report = LoadReport::compare(network, file, |name| name == "new");
        assert_eq!(report.loaded, ["a"]);
        assert_eq!(report.missing, ["c"]);
        assert_eq!(report.unexpected, ["x"]);
        assert_eq!(report.newly_initialised, ["new"]);
        let error = report.strict(Path::new("w.safetensors")).unwrap_err().to_string();
        assert!(
            error.starts_with("w.safetensors does not fit the network: 1 loaded, 1 missing (c)"),
            "{error}"
        );
        assert!(error.contains("b is [5] where the network has [3]"), "{error}");
    }

    #[test]
    fn shows_the_first_names() {
        let network: Vec<_> = ["a", "b", "c", "d"].map(|name| (name, &[1usize][..])).into();
        let report = LoadReport::compare(network, [], |_| false);
        assert_eq!(report.to_string(), "0 loaded, 4 missing (a, b, c, …)");
    }
}
