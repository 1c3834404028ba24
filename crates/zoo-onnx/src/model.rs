//! A network as an ONNX file: what stands in it, and how long it is, before it is written.

use std::{collections::BTreeMap, io::Write};

use zoo_layers::Graph;

use crate::{
    Error, Result, Weights,
    dims::Value,
    nodes::Nodes,
    proto::Message,
    tensor::{Second, Tensor},
};

/// The opset that operations are taken from.
const OPSET: i64 = 17;

/// The version of the format that came with it.
const IR_VERSION: i64 = 8;

/// How a network is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pictures at once; any number if not given.
    pub batch: Option<usize>,
    /// Whether pictures may have any height and width, instead of the graph's own.
    pub free_size: bool,
    /// Whether batch norms are folded into the convolutions before them.
    pub fold_norms: bool,
    /// What else is to be known, by name: classes, preprocessing.
    pub metadata: BTreeMap<String, String>,
    /// The name of a second file beside the first, for weights that don't fit into one.
    pub second_file: Option<String>,
    /// The most bytes of one file. A reader of protocol buffers takes no more than the default, 2 GiB less one.
    pub limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch: None,
            free_size: false,
            fold_norms: false,
            metadata: BTreeMap::new(),
            second_file: None,
            limit: (1 << 31) - 1,
        }
    }
}

/// A network ready to be written.
#[derive(Debug)]
pub struct Model<'a> {
    /// All before the weights.
    head: Message,
    /// Each with what stands before its values.
    tensors: Vec<(Message, Tensor<'a>)>,
    /// Bytes of the second file, if there is one.
    second: Option<u64>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

impl<'a> Model<'a> {
    /// Reads a graph. Only what answers is taken: no auxiliary heads.
    ///
    /// # Errors
    /// An operation without a form in ONNX; a size that can't be free; a file that would be too large.
    pub fn new(graph: &'a Graph, options: Options) -> Result<Self> {
        if options.batch == Some(0) {
            return Err(Error::TooLarge { what: "the batch".into(), value: 0 });
        }
        let nodes = Nodes::new(graph, &options)?;
        let (inputs, outputs) = (nodes.input.into_iter().collect(), nodes.outputs);
        let opset = |domain: &str, version| Message::new().some_text(1, domain).int(2, version);
        let head = Message::new().int(1, IR_VERSION).text(2, "zoo").text(3, env!("CARGO_PKG_VERSION"));
        let mut head = head.message(8, &opset("", OPSET));
        let mut domains = nodes.domains;
        domains.sort_unstable();
        domains.dedup();
        for domain in &domains {
            head = head.message(8, &opset(domain, 1));
        }
        for (key, value) in &options.metadata {
            head = head.message(14, &Message::new().text(1, key).text(2, value));
        }
        let model = Self::assemble(&head, &nodes.message, nodes.tensors, None)?;
        let model = Self { inputs, outputs, ..model };
        if model.bytes() <= options.limit {
            return Ok(model);
        }
        let Some(name) = &options.second_file else {
            return Err(Error::NeedsSecondFile { bytes: model.bytes(), limit: options.limit });
        };
        let tensors = model.tensors.into_iter().map(|(_, tensor)| tensor).collect();
        let (inputs, outputs) = (model.inputs, model.outputs);
        Ok(Self {
            inputs,
            outputs,
            ..Self::assemble(&head, &nodes.message, tensors, Some(Second { name, end: 0 }))?
        })
    }

    /// Joins head, graph and weights: what is within a message has its length before it.
    fn assemble(
        head: &Message,
        graph: &Message,
        tensors: Vec<Tensor<'a>>,
        mut second: Option<Second<'_>>,
    ) -> Result<Self> {
        let mut length = graph.bytes().len() as u64;
        let mut headed = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let inside = tensor.head(second.as_mut())?;
            let values = if second.is_some() { 0 } else { tensor.bytes() };
            let whole = inside.bytes().len() as u64 + values;
            let head = Message::new().announce(5, whole).then(&inside);
            length += head.bytes().len() as u64 + values;
            headed.push((head, tensor));
        }
        let head = head.clone().announce(7, length).then(graph);
        Ok(Self {
            head,
            tensors: headed,
            second: second.map(|second| second.end),
            inputs: Vec::new(),
            outputs: Vec::new(),
        })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        let heads: u64 = self.tensors.iter().map(|(head, _)| head.bytes().len() as u64).sum();
        let values = match self.second {
            Some(_) => 0,
            None => self.tensors.iter().map(|(_, tensor)| tensor.bytes()).sum(),
        };
        self.head.bytes().len() as u64 + heads + values
    }

    /// Bytes of the second file that holds the weights; nothing if they are in the first.
    pub fn second_bytes(&self) -> Option<u64> {
        self.second
    }

    /// What goes in.
    pub fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    /// What comes out, the main output first.
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// How many tensors of weights there are.
    pub fn tensors(&self) -> usize {
        self.tensors.len()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Weights that are missing, can't be read or aren't numbers, by name; what can't be written.
    pub fn write(&self, weights: &dyn Weights, out: &mut dyn Write) -> Result<()> {
        out.write_all(self.head.bytes())?;
        for (head, tensor) in &self.tensors {
            out.write_all(head.bytes())?;
            if self.second.is_none() {
                tensor.write(weights, out)?;
            }
        }
        Ok(out.flush()?)
    }

    /// Writes the second file, if there is one: before the first, which names it.
    ///
    /// # Errors
    /// As [`Model::write`].
    pub fn write_second(&self, weights: &dyn Weights, out: &mut dyn Write) -> Result<()> {
        if self.second.is_none() {
            return Ok(());
        }
        let mut end = 0;
        for (_, tensor) in &self.tensors {
            let start = Tensor::start(end);
            out.write_all(&vec![0; usize::try_from(start - end).unwrap_or(0)])?;
            tensor.write(weights, out)?;
            end = start + tensor.bytes();
        }
        Ok(out.flush()?)
    }
}
