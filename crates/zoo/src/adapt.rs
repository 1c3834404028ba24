//! What becomes of a file's weights where another network is asked for than the one that learned.

use std::collections::{BTreeSet, HashMap};

use zoo_layers::{Carry, Graph};

use crate::{Architecture, Options, Result};

/// The way from a file's network to the one that is asked for.
pub(crate) struct Adapted {
    /// The file's network.
    pub(crate) source: Graph,
    /// The one that is asked for.
    pub(crate) graph: Graph,
    /// Its options.
    pub(crate) options: Options,
    /// Parameters of which the file has nothing that could serve.
    pub(crate) drawn: BTreeSet<String>,
    /// What is done to the file's others, in this order.
    pub(crate) carries: Vec<Carry>,
}

impl Adapted {
    /// From the network with the options `theirs` to what is `asked` over them.
    pub(crate) fn new(architecture: &Architecture, theirs: &Options, asked: &Options) -> Result<Self> {
        let source = architecture.graph_for(theirs)?;
        let options = architecture.asked(asked, theirs);
        let graph = architecture.graph_for(&options)?;
        // In steps, so that each says what it changes: first what no old weight can serve, on the whole network,
        // since what is cut off tells nothing.
        let whole = |options: &Options| Options {
            at: Vec::new(),
            input_size: None,
            in_channels: theirs.in_channels,
            convolutional: theirs.convolutional,
            no_auxiliary: theirs.no_auxiliary,
            ..options.clone()
        };
        let before = architecture.graph_for(&whole(theirs))?;
        let shapes: HashMap<&str, &[usize]> =
            before.params().map(|param| (param.name.as_str(), param.shape.as_slice())).collect();
        let stepped = architecture.graph_for(&whole(&options))?;
        let drawn = stepped
            .params()
            .filter(|param| shapes.get(param.name.as_str()) != Some(&param.shape.as_slice()))
            .map(|param| param.name.clone())
            .collect();
        // Then what is made of old weights.
        let mut carries = Vec::new();
        let mut stepped = stepped;
        if let Some(channels) = options.in_channels.filter(|_| options.in_channels != theirs.in_channels) {
            let (other, carry) = stepped.with_in_channels(channels)?;
            carries.push(carry);
            stepped = other;
        }
        if options.convolutional && !theirs.convolutional {
            carries.push(stepped.convolutionalize()?.1);
        }
        Ok(Self { source, graph, options, drawn, carries })
    }
}
