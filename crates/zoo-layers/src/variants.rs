//! An architecture's constructors: one function for each preset.

/// A function for each preset of an architecture, that gives its graph.
///
/// ```
/// use zoo_layers::{Graph, Result, Shape};
///
/// /// A network without layers.
/// struct Empty {
///     name: &'static str,
/// }
///
/// impl Empty {
///     const SMALL: Self = Self { name: "empty_small" };
///
///     fn graph(&self) -> Result<Graph> {
///         Graph::build(self.name, Shape::map(3, 32, 32), |net, picture| net.output("features", picture))
///     }
/// }
///
/// zoo_layers::variants! {
///     /// The small one.
///     empty_small = Empty::SMALL;
/// }
///
/// assert_eq!(empty_small()?.name(), "empty_small");
/// # Ok::<(), zoo_layers::Error>(())
/// ```
#[macro_export]
macro_rules! variants {
    ($($(#[$doc:meta])* $name:ident = $config:expr;)*) => {
        $($(#[$doc])*
        ///
        /// # Errors
        /// None for this preset.
        pub fn $name() -> $crate::Result<$crate::Graph> {
            $config.graph()
        })*
    };
}
