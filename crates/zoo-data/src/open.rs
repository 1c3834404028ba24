//! Whatever data lies at a path.

/// Opens what lies at `path`, recognised by what it is:
///
/// | at the path | is |
/// |---|---|
/// | a folder with `train`, and `val` or `test`, each with a folder for each class | [`ImageFolder`] in parts |
/// | a folder with a folder for each class | [`ImageFolder`] |
/// | a folder with MNIST's IDX files | [`InMemory`] in the parts `train` and `test` |
/// | a folder with CIFAR's `.bin` files | [`InMemory`] in the parts `train` and `test` |
/// | a `.csv` or `.tsv` file | [`Table`] |
///
/// The folders of ImageNet (`n01440764`) get the names of its classes.
pub fn open(path: &Path) -> Result<Arc<dyn Dataset>>;

// Also: Split::draw(&dyn Dataset, &Shares) -> Result<(Split, Vec<Finding>)>   (parts the data itself names are kept)
//       Split::part(&self, Part) -> &[usize];  split.subset(Arc<dyn Dataset>, Part) -> Result<Subset>
//       Split::listing(&self, &dyn Dataset, &Shares) -> Result<Listing>
//       Listing::resolve(&self, &dyn Dataset) -> Result<(Split, Vec<Finding>)>  (names not there: an error)
//       Pattern: "*-(*).*" by serde as a string, `Pattern::parse`, `FromStr`.
//       digits::dataset() -> InMemory of the bundled digits, parts train and test.
//       check(&dyn Dataset, workers) -> Vec<Skipped>: decodes everything once.
