//! A graph's layers as nodes of ONNX, with the names that tie them together.

use std::collections::{HashMap, HashSet};

use zoo_layers::{
    AdaptiveAvgPool2d, Graph, Layer, Mode, Node, Op, Shape,
    onnx::{Arg, Attribute, Call, Form, Site},
};

use crate::{
    Error, Options, Result,
    dims::{self, Dims, Value},
    fold::{Fold, folds},
    form,
    proto::Message,
    tensor::{From, Tensor, described},
};

/// ONNX's number for whole numbers of 64 bits.
const INT64: i64 = 7;

/// What a `GraphProto` is made of.
pub(crate) struct Nodes<'a> {
    graph: &'a Graph,
    /// Names that are taken.
    names: HashSet<String>,
    /// What the value of a node is called.
    values: HashMap<Node, String>,
    /// All but the weights.
    pub(crate) message: Message,
    pub(crate) tensors: Vec<Tensor<'a>>,
    /// Domains of nodes that are not ONNX's own.
    pub(crate) domains: Vec<String>,
    pub(crate) input: Option<Value>,
    pub(crate) outputs: Vec<Value>,
}

impl<'a> Nodes<'a> {
    /// Reads the graph.
    pub(crate) fn new(graph: &'a Graph, options: &Options) -> Result<Self> {
        let dims = Dims::new(graph, options)?;
        let mut nodes = Self {
            graph,
            names: HashSet::new(),
            values: HashMap::new(),
            message: Message::new().text(2, graph.name()),
            tensors: Vec::new(),
            domains: Vec::new(),
            input: None,
            outputs: Vec::new(),
        };
        nodes.name_ends();
        let folds = if options.fold_norms { folds(graph) } else { HashMap::new() };
        let gone: HashSet<Node> = folds.values().copied().collect();
        let active = graph.active(Mode::Eval);
        let mut described = Vec::new();
        for (node, layer) in
            graph.nodes().filter(|(node, _)| active.contains(*node) && *node != Graph::PICTURE)
        {
            if gone.contains(&node) {
                continue;
            }
            match folds.get(&node) {
                Some(conv) => nodes.folded(node, *conv, &dims, options)?,
                None => nodes.layer(node, layer, &layer.inputs, &dims, options)?,
            }
            let inner = !graph.outputs_in(Mode::Eval).any(|output| output.node == node);
            // Of maps whose size is free a reader knows no more than we do.
            if inner && (!dims.free_size() || matches!(layer.output, Shape::Vector { .. })) {
                described.push(node);
            }
        }
        nodes.ends(&dims)?;
        let mut told = HashSet::new();
        for node in described {
            let name = nodes.value(node);
            // What drops nothing has its input's value.
            if told.insert(name.clone()) && name != nodes.value(Graph::PICTURE) {
                nodes.message =
                    std::mem::take(&mut nodes.message).message(13, &dims::message(&dims.of(node, &name))?);
            }
        }
        Ok(nodes)
    }

    /// A name like this one that nothing else has.
    fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_string();
        let mut count = 1;
        while !self.names.insert(unique.clone()) {
            unique = format!("{name}_{count}");
            count += 1;
        }
        unique
    }

    /// The picture's, the outputs' and the parameters' names come first: they are what others know.
    fn name_ends(&mut self) {
        let picture = self.unique(&self.graph.get(Graph::PICTURE).name);
        self.values.insert(Graph::PICTURE, picture);
        for output in self.graph.outputs_in(Mode::Eval) {
            if !self.values.contains_key(&output.node) && !self.is_alias(output.node) {
                let name = self.unique(&output.name);
                self.values.insert(output.node, name);
            }
        }
        let active = self.graph.active(Mode::Eval);
        for (_, layer) in self.graph.nodes().filter(|(node, _)| active.contains(*node)) {
            self.names.extend(layer.params.iter().map(|param| param.name.clone()));
        }
    }

    /// Whether a node's value may be that of its input, under one name.
    fn is_alias(&self, node: Node) -> bool {
        let layer = self.graph.get(node);
        match &layer.op {
            Op::Input(_) | Op::Dropout(_) => true,
            Op::Add(_) => layer.inputs.len() == 1,
            Op::AdaptiveAvgPool2d(pool) => *pool != AdaptiveAvgPool2d::GLOBAL,
            _ => false,
        }
    }

    fn value(&self, node: Node) -> String {
        self.values.get(&node).cloned().unwrap_or_default()
    }

    /// One layer.
    fn layer(
        &mut self,
        node: Node,
        layer: &'a Layer,
        inputs: &[Node],
        dims: &Dims<'_>,
        options: &Options,
    ) -> Result<()> {
        let params: Vec<String> = layer.params.iter().map(|param| param.name.clone()).collect();
        let form = self.form(layer, inputs, dims, options)?;
        self.tensors.extend(layer.params.iter().map(|param| Tensor {
            name: param.name.clone(),
            shape: param.shape.clone(),
            from: From::Param(param),
        }));
        self.write(node, layer, &form, inputs, &params)
    }

    /// A norm in the convolution before it.
    fn folded(&mut self, node: Node, conv: Node, dims: &Dims<'_>, options: &Options) -> Result<()> {
        let (norm, conv) = (self.graph.get(node), self.graph.get(conv));
        let mut form = self.form(conv, &conv.inputs, dims, options)?;
        let (Some(fold), Some(weight)) = (Fold::new(conv, norm), conv.params.first()) else { return Ok(()) };
        let bias = match conv.params.get(1) {
            Some(bias) => bias.name.clone(),
            None => self.unique(&format!("{}.bias", conv.name)),
        };
        if let Some(call) = form.calls.last_mut() {
            call.args = vec![Arg::Input(0), Arg::Param(0), Arg::Param(1)];
        }
        let shape = vec![conv.output.channels()];
        self.tensors.extend([
            Tensor { name: weight.name.clone(), shape: weight.shape.clone(), from: From::Weight(fold) },
            Tensor { name: bias.clone(), shape, from: From::Bias(fold) },
        ]);
        self.write(node, conv, &form, &conv.inputs, &[weight.name.clone(), bias])
    }

    fn form(&self, layer: &Layer, inputs: &[Node], dims: &Dims<'_>, options: &Options) -> Result<Form> {
        let shapes: Vec<Shape> = inputs.iter().map(|input| self.graph.get(*input).output).collect();
        let (free_size, batch) = (dims.free_size(), options.batch);
        form::of(layer, &Site { inputs: &shapes, output: layer.output, free_size, batch })
    }

    /// The calls of a form, the last one under the layer's name.
    fn write(
        &mut self,
        node: Node,
        layer: &Layer,
        form: &Form,
        inputs: &[Node],
        params: &[String],
    ) -> Result<()> {
        let Some(last) = form.calls.len().checked_sub(1) else {
            let value = inputs.first().map(|input| self.value(*input)).unwrap_or_default();
            self.values.insert(node, value);
            return Ok(());
        };
        let result = match self.values.get(&node) {
            Some(name) => name.clone(),
            None => self.unique(&self.graph.get(node).name),
        };
        self.values.insert(node, result.clone());
        let mut results: Vec<String> = Vec::with_capacity(form.calls.len());
        for (place, call) in form.calls.iter().enumerate() {
            let (name, yields) = match place == last {
                true => (layer.name.clone(), result.clone()),
                false => {
                    let name = self.unique(&format!("{}/{}", layer.name, call.kind));
                    (name.clone(), name)
                }
            };
            let mut args = Vec::with_capacity(call.args.len());
            for arg in &call.args {
                args.push(self.argument(arg, layer, inputs, params, &results)?);
            }
            self.domains.extend(Some(call.domain.to_string()).filter(|domain| !domain.is_empty()));
            self.push(&node_message(call, &name, &args, &yields));
            results.push(yields);
        }
        Ok(())
    }

    fn push(&mut self, node: &Message) {
        self.message = std::mem::take(&mut self.message).message(1, node);
    }

    /// The name of what a call reads; numbers that never change become tensors of their own.
    fn argument(
        &mut self,
        arg: &Arg,
        layer: &Layer,
        inputs: &[Node],
        params: &[String],
        results: &[String],
    ) -> Result<String> {
        let lacks = |what: &str, place: usize, count: usize| Error::BadForm {
            node: layer.name.clone(),
            op: layer.op.operation().kind(),
            reason: format!("reads {what} {place} of {count}"),
        };
        match arg {
            Arg::Absent => Ok(String::new()),
            Arg::Input(place) => {
                let input = inputs.get(*place).ok_or_else(|| lacks("input", *place, inputs.len()))?;
                Ok(self.value(*input))
            }
            Arg::Param(place) => {
                params.get(*place).cloned().ok_or_else(|| lacks("parameter", *place, params.len()))
            }
            Arg::Result(place) => {
                results.get(*place).cloned().ok_or_else(|| lacks("result", *place, results.len()))
            }
            Arg::Floats { dims, values } if dims.iter().product::<usize>() != values.len() => {
                let (node, op) = (layer.name.clone(), layer.op.operation().kind());
                let reason = format!("has {} numbers for the shape {dims:?}", values.len());
                Err(Error::BadForm { node, op, reason })
            }
            Arg::Floats { dims, values } => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.constant(layer, dims, form::FLOAT, &bytes)
            }
            Arg::Ints(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.constant(layer, &[values.len()], INT64, &bytes)
            }
        }
    }

    fn constant(&mut self, layer: &Layer, dims: &[usize], kind: i64, bytes: &[u8]) -> Result<String> {
        let name = self.unique(&format!("{}/constant", layer.name));
        let tensor = described(&name, dims, kind)?.raw(9, bytes);
        self.message = std::mem::take(&mut self.message).message(5, &tensor);
        Ok(name)
    }

    /// The picture and the outputs. One whose value has another name already gets a node that repeats it.
    fn ends(&mut self, dims: &Dims<'_>) -> Result<()> {
        let picture = self.value(Graph::PICTURE);
        let value = dims.of(Graph::PICTURE, &picture);
        self.message = std::mem::take(&mut self.message).message(11, &dims::message(&value)?);
        self.input = Some(value);
        let mut given: HashSet<String> = HashSet::from([picture]);
        for output in self.graph.outputs_in(Mode::Eval) {
            let mut name = self.value(output.node);
            if name != output.name || !given.insert(name.clone()) {
                let repeated = name;
                name = self.unique(&output.name);
                given.insert(name.clone());
                let mut identity = Form::new();
                identity.call("Identity", [Arg::Input(0)]);
                for call in &identity.calls {
                    self.push(&node_message(call, &name, std::slice::from_ref(&repeated), &name));
                }
            }
            let value = dims.of(output.node, &name);
            self.message = std::mem::take(&mut self.message).message(12, &dims::message(&value)?);
            self.outputs.push(value);
        }
        Ok(())
    }
}

/// `NodeProto`.
fn node_message(call: &Call, name: &str, args: &[String], result: &str) -> Message {
    let message = args.iter().fold(Message::new(), |message, arg| message.text(1, arg));
    let message = message.text(2, result).text(3, name).text(4, &call.kind);
    let message = call.attributes.iter().fold(message, |message, (name, attribute)| {
        let (named, kind) = (Message::new().text(1, name), 20);
        let attribute = match attribute {
            Attribute::Float(value) => named.float(2, *value).int(kind, 1),
            Attribute::Int(value) => named.int(3, *value).int(kind, 2),
            Attribute::Text(text) => named.text(4, text).int(kind, 3),
            Attribute::Ints(values) => {
                values.iter().fold(named, |named, value| named.int(8, *value)).int(kind, 7)
            }
        };
        message.message(5, &attribute)
    });
    message.some_text(7, &call.domain)
}
