//! `zoo advise`: what fits into memory, and what to do about the rest.

use std::{borrow::Cow, path::PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value, json};
use zoo::{Model, Options};
use zoo_layers::{Frozen, Graph, Param};
use zoo_report::{
    Advice, Advised, Align, Cell, Format, Lesson, Other, Question, Remedy, Table, Training, bytes,
};

use crate::{
    arguments::FormatArgument,
    failure::OrWrongCall,
    learning::{Kind, OptimizerName, PROGRAM, lesson, usual},
    options::OptionArguments,
    output, running,
    size::parse_size,
};

/// Say what training takes, and what to do where that is too much
///
/// What a step takes as it is, and whether it fits; then every remedy of the textbook with the peak that is predicted for
/// it, what it saves, what it costs in time, and the command that uses it. The peak is that of the whole process: weights,
/// gradients, the optimizer's state, the activations that the way back needs, what kernels work in, pictures that wait,
/// and the program. Then the same for answering.
///
/// Why it is so much: the way back needs what every layer computed on the way forward, for every picture of the batch, so
/// that activations, not weights, fill the memory. What can be had for less of them is fewer pictures, fewer pixels,
/// fewer layers, fewer bits, or more time.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo advise resnet50 --memory 4GiB\n  zoo advise xception --memory 2GiB --batch 64 --optimizer adamw\n  \
                  zoo advise vgg16 --memory 6GiB --input 3x448x448 --format json\n\n\
                  `zoo train MODEL --memory 4GiB` takes the remedy that is recommended here."
)]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// Memory that there is, 4GiB for example
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_negative_numbers = true)]
    memory: u64,
    /// Pictures for each step [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: Option<u32>,
    /// What moves the weights [default: the recipe's]
    #[arg(long, value_enum, value_name = "NAME")]
    optimizer: Option<OptimizerName>,
    /// The pictures that the commands name
    #[arg(long, value_name = "PATH", default_value = "photos/")]
    data: PathBuf,
    #[command(flatten)]
    options: OptionArguments,
    #[command(flatten)]
    format: FormatArgument,
}

/// The contract's remedy: with the command that uses it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    advised: &'a Advised,
    command: String,
}

/// What answering takes.
#[derive(Serialize)]
struct Answering {
    name: &'static str,
    options: Map<String, Value>,
    predicted_bytes: u64,
    fits: bool,
    command: String,
}

/// Everything that is asked, together.
struct Asked {
    model: Model,
    graph: Graph,
    lesson: Lesson,
    memory: u64,
    optimizer: Option<&'static str>,
    /// The data's path as a shell takes it.
    data: String,
    verb: &'static str,
    name: String,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let model = self.options.asked(running::model(&self.model)?).or_wrong_call()?;
        let graph = model.graph().or_wrong_call()?;
        let is_file = self.model.ends_with(".safetensors");
        let kind = if is_file { Kind::Finetune } else { Kind::Train };
        let mut recipe = usual(&model, kind)?;
        recipe.batch_size = self.batch.map_or(recipe.batch_size, |batch| batch as usize);
        recipe.optimizer = self.optimizer.map_or(recipe.optimizer, OptimizerName::method);
        let frozen = match recipe.frozen_norms {
            true => zoo_train::frozen(&graph, &[], true)?,
            false => Frozen::nothing(),
        };
        let asked = Asked {
            lesson: Lesson { program: PROGRAM, ..lesson(&recipe, frozen) },
            memory: self.memory,
            optimizer: self.optimizer.map(OptimizerName::name),
            data: output::quoted(&self.data.to_string_lossy()),
            verb: if is_file { "finetune" } else { "train" },
            name: output::quoted(&self.model),
            model,
            graph,
        };
        let waiting = output::spinner(format!("plans of {}", asked.graph.name()));
        let others = asked.others();
        let question =
            Question { graph: &asked.graph, lesson: &asked.lesson, memory_bytes: self.memory, others };
        let advice = Advice::of(&question)?;
        let answering = asked.answering()?;
        waiting.finish_and_clear();
        let lines: Vec<Line<'_>> = advice
            .remedies
            .iter()
            .map(|advised| Line { advised, command: asked.command(&advised.options) })
            .collect();
        let json = || {
            let mut value = serde_json::to_value(&advice)?;
            value["remedies"] = serde_json::to_value(&lines)?;
            value["outside"] = json!([OUTSIDE]);
            value["inference"] = serde_json::to_value(&answering)?;
            Ok(serde_json::to_string_pretty(&value)?)
        };
        let rows = asked.rows(&advice, &lines, &answering);
        let whole = table(&rows, COLUMNS.len());
        let longest = whole.text(None).lines().map(|line| line.chars().count()).max();
        let (format, told) = (Format::from(self.format), || asked.told(&advice, &lines));
        match output::width() {
            // A command that is cut is none.
            Some(width) if longest > Some(width) && format == Format::Table => {
                let commands = rows.iter().map(|[what, .., command]| format!("{what}:\n  {command}\n"));
                let below = || format!("\n{}{}", commands.collect::<String>(), told());
                output::table(format, &table(&rows, COLUMNS.len() - 1), json, below)
            }
            _ => output::table(format, &whole, json, told),
        }
    }
}

const COLUMNS: [(&str, Align); 6] = [
    ("what", Align::Left),
    ("peak", Align::Right),
    ("saves", Align::Right),
    ("time", Align::Right),
    ("fits", Align::Left),
    ("command", Align::Left),
];

/// The first so many columns.
fn table(rows: &[[Cell; 6]], columns: usize) -> Table {
    let keys = ["what", "predicted_bytes", "saving", "slowdown"];
    let mut table = Table::new(&COLUMNS[..columns], 0).keys(&keys);
    rows.iter().for_each(|row| table.push(row[..columns].to_vec()));
    table
}

/// The remedy of the textbook that this program has not.
const OUTSIDE: &str = "several devices: each takes a part of the batch and of the activations, and gradients are added \
                       up between them after every step; this program trains on one";

impl Asked {
    /// Networks that could learn instead: smaller pictures, larger strides, the family's smaller variants.
    fn others(&self) -> Vec<Other> {
        let options = self.model.options();
        let mut others = Vec::new();
        let mut add = |remedy, model: Model, said: Value| {
            if let (Ok(graph), Value::Object(options)) = (model.graph(), said) {
                others.push(Other { remedy, graph, options });
            }
        };
        let [height, width] = self.graph.input().size();
        for eighths in (2..8).rev() {
            let side = |side: usize| match side {
                0..64 => side * eighths / 8,
                _ => (side * eighths / 8).next_multiple_of(16),
            };
            let (height, width) = (side(height), side(width));
            let input = format!("{}x{height}x{width}", self.graph.input().channels());
            let model = self.model.clone().input_size(height.max(1), width.max(1));
            add(Remedy::SmallerPicture, model, json!({"input": input}));
        }
        if options.small_stem {
            let options = Options { small_stem: false, ..options.clone() };
            add(
                Remedy::LargerStride,
                self.model.clone().with_options(options),
                json!({"small_images": false}),
            );
        }
        if let Some(stride) = options.output_stride {
            for stride in [16, 32].into_iter().filter(|larger| *larger > stride) {
                let model = self.model.clone().output_stride(stride);
                add(Remedy::LargerStride, model, json!({"output_stride": stride}));
            }
        }
        let own = self.model.architecture();
        let nominal = own.graph().map(|graph| graph.input()).ok();
        let parameters = |graph: &Graph| graph.params().map(Param::elements).sum::<usize>();
        let most = self.model.graph().map_or(0, |graph| parameters(&graph));
        let mut variants: Vec<(u64, &str, Model)> = Vec::new();
        for other in zoo::ARCHITECTURES.iter().filter(|other| other.family.name == own.family.name) {
            let is_alike = other.name != own.name && other.graph().map(|graph| graph.input()).ok() == nominal;
            let Some(model) = zoo::model(other.name).ok().filter(|_| is_alike) else { continue };
            let model = model.with_options(options.clone());
            // Another way to stride or to pad is no smaller network.
            let Some(graph) = model.graph().ok().filter(|graph| parameters(graph) < most) else { continue };
            let takes = Training::of(&graph, &self.lesson).map_or(u64::MAX, |training| training.peak_bytes);
            variants.push((takes, other.name, model));
        }
        // The one that changes least comes first.
        variants.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        for (_, name, model) in variants {
            add(Remedy::SmallerVariant, model, json!({"model": name}));
        }
        others
    }

    /// The call that uses some options.
    fn command(&self, options: &Map<String, Value>) -> String {
        let text = |key: &str| options.get(key).and_then(Value::as_str);
        let number = |key: &str| options.get(key).and_then(Value::as_u64);
        let mut words = vec!["zoo".to_string(), self.verb.into()];
        words.push(text("model").map_or_else(|| self.name.clone(), str::to_string));
        if !self.learns_digits() || self.data != "photos/" {
            words.extend(["--data".into(), self.data.clone()]);
        }
        words.extend(self.network(options));
        words.push(format!("--batch {}", number("batch").unwrap_or(self.lesson.batch)));
        words.extend(number("accumulate").map(|passes| format!("--accumulate {passes}")));
        words.extend(text("recompute").map(|what| format!("--recompute {what}")));
        if options.get("keep_bf16").and_then(Value::as_bool) == Some(true) {
            words.push("--keep-bf16".into());
        }
        words.extend(self.optimizer.map(|name| format!("--optimizer {name}")));
        words.join(" ")
    }

    /// Whether `zoo train` teaches it the digits inside the program if no data are given.
    fn learns_digits(&self) -> bool {
        let own = self.model.architecture().graph();
        self.verb == "train"
            && self.model.options().num_classes.is_none()
            && own.is_ok_and(|graph| graph.input().channels() == 1)
    }

    /// The flags of the network, where it isn't as its name says.
    fn network(&self, changed: &Map<String, Value>) -> Vec<String> {
        let options = self.model.options();
        let mut flags = Vec::new();
        let own = options
            .input_size
            .map(|[height, width]| format!("{}x{height}x{width}", self.graph.input().channels()));
        let input = changed.get("input").and_then(Value::as_str).map(str::to_string).or(own);
        flags.extend(options.num_classes.map(|classes| format!("--classes {classes}")));
        flags.extend(options.in_channels.map(|channels| format!("--in-channels {channels}")));
        let stride = changed.get("output_stride").and_then(Value::as_u64);
        let stride = stride.or(options.output_stride.map(|stride| stride as u64));
        flags.extend(stride.map(|stride| format!("--output-stride {stride}")));
        if options.small_stem && changed.get("small_images").is_none() {
            flags.push("--small-images".into());
        }
        if options.convolutional {
            flags.push("--convolutional".into());
        }
        flags.extend(input.map(|input| format!("--input {input}")));
        flags
    }

    /// What the compiled network takes, for one picture and for the batch, smaller, and without Winograd's transforms.
    fn answering(&self) -> Result<Vec<Answering>> {
        let [height, width] = self.graph.input().size();
        let channels = self.graph.input().channels();
        let batch = self.lesson.batch.min(65_536);
        let half = [height / 2, width / 2];
        let mut rows = vec![("answer-one", 1, [height, width], false)];
        if batch > 1 {
            rows.push(("answer-batch", batch, [height, width], false));
        }
        rows.extend([("answer-smaller", 1, half, false), ("answer-exactly", 1, [height, width], true)]);
        let mut answering = Vec::new();
        for (name, batch, [height, width], exact) in rows {
            let Ok(count) = usize::try_from(batch) else { continue };
            let input = [count, channels, height, width];
            let options = zoo_engine::Options { exact };
            // A network that can't take the picture, or a machine that can't, has no such row.
            let Ok(engine) = zoo_engine::Engine::compile(&self.graph, &Zeros, input, options) else {
                continue;
            };
            let sizes = engine.sizes();
            let scratch = sizes.scratch * rayon::current_num_threads();
            let results = engine.outputs().map(|output| output.elements()).sum::<usize>() * count;
            let pictures = 4 * (input.iter().product::<usize>() + results);
            let predicted_bytes = (sizes.arena + sizes.weights + scratch + pictures) as u64 + PROGRAM / 2;
            let picture = format!("{channels}x{height}x{width}");
            let mut said =
                Map::from_iter([("batch".to_string(), json!(batch)), ("input".into(), json!(picture))]);
            said.insert("exact".into(), json!(exact));
            let flags = self.network(&Map::from_iter([("input".to_string(), json!(picture))])).join(" ");
            let exact = if exact { " --exact" } else { "" };
            let command = format!("zoo bench {} --batch {batch} {flags}{exact}", self.name);
            let fits = predicted_bytes <= self.memory;
            answering.push(Answering { name, options: said, predicted_bytes, fits, command });
        }
        Ok(answering)
    }

    /// What stands in each column: the remedies, what nothing costs, and what answering does.
    fn rows(&self, advice: &Advice, lines: &[Line<'_>], answering: &[Answering]) -> Vec<[Cell; 6]> {
        let fits = |fits: bool| Cell::from(if fits { "yes" } else { "no" });
        let (plain, command) = (&advice.plain, self.command(&Map::new()).into());
        let once = Cell::rounded(1.0, 2);
        let mut rows = vec![[
            "as it is".into(),
            Cell::bytes(plain.predicted_bytes),
            Cell::default(),
            once,
            fits(plain.fits),
            command,
        ]];
        rows.extend(lines.iter().map(|Line { advised, command }| {
            [
                title(advised.name).into(),
                Cell::bytes(advised.predicted_bytes),
                Cell::share(advised.saving, 0),
                Cell::rounded(advised.slowdown, 2),
                fits(advised.fits),
                command.into(),
            ]
        }));
        rows.extend(answering.iter().map(|line| {
            let what = match line.name {
                "answer-one" => "answering, one picture",
                "answer-batch" => "answering, the batch",
                "answer-smaller" => "answering, half the side",
                _ => "answering, --exact",
            };
            let command = Cell::from(&line.command);
            [
                what.into(),
                Cell::bytes(line.predicted_bytes),
                Cell::default(),
                Cell::default(),
                fits(line.fits),
                command,
            ]
        }));
        rows
    }

    /// The lines below the table.
    fn told(&self, advice: &Advice, lines: &[Line<'_>]) -> String {
        let there = bytes(advice.memory_bytes);
        let recommended = lines.iter().find(|line| Some(line.advised.name) == advice.recommended);
        let head = match (advice.plain.fits, recommended) {
            (true, _) => format!("Training fits into {there} as it is."),
            (_, Some(line)) => {
                let what = title(line.advised.name);
                format!("Training does not fit into {there} as it is. Take: {what}\n  {}", line.command)
            }
            (_, None) if advice.memory_bytes < advice.standing_bytes => format!(
                "Training `{}` takes {} for weights, gradients, the optimizer's state and the program alone, and there are \
                 {there}: no remedy for activations is enough, only a smaller network or more memory.",
                self.model.architecture().name,
                bytes(advice.standing_bytes)
            ),
            (_, None) => format!(
                "Training does not fit into {there}, and no remedy is enough: a smaller network or more memory is needed."
            ),
        };
        let mut text = format!("\n{head}\n\n");
        for line in lines {
            text += &format!("{}: {}\n", title(line.advised.name), why(line.advised.name));
        }
        text + &format!("{OUTSIDE}.\n")
    }
}

/// Weights of which only the number counts.
struct Zeros;

impl zoo_engine::Weights for Zeros {
    fn values(&self, param: &Param) -> std::result::Result<Cow<'_, [f32]>, String> {
        Ok(Cow::Owned(vec![0.0; param.elements()]))
    }
}

fn title(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::SmallerBatch => "smaller batch",
        Remedy::Accumulation => "accumulation",
        Remedy::SmallerPicture => "smaller picture",
        Remedy::LargerStride => "larger stride",
        Remedy::SmallerVariant => "fewer layers",
        Remedy::Bf16Activations => "bf16 activations",
        Remedy::CheapCheckpointing => "light checkpointing",
        Remedy::Checkpointing => "checkpointing",
        Remedy::Together => "several of these",
    }
}

/// In two sentences what is going on.
fn why(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::SmallerBatch => {
            "activations are kept for each picture, so that half the pictures need half of them. Gradients become \
             noisier, and the rate should fall with the batch."
        }
        Remedy::Accumulation => {
            "the gradients of several small passes are added up before one step, which is the large batch's. But batch \
             norms see the pictures of one pass only: their statistics are those of the small batch."
        }
        Remedy::SmallerPicture => {
            "every map shrinks with the picture's area, and its time with it. Small things can no longer be told apart."
        }
        Remedy::LargerStride => {
            "maps that shrink early leave less to keep in all layers behind. Places are known less exactly, which a \
             segmenter must win back by fusing scores of finer maps."
        }
        Remedy::SmallerVariant => {
            "fewer or narrower layers keep fewer maps and have fewer weights, gradients and state. It is another network, \
             which may know less."
        }
        Remedy::Bf16Activations => {
            "what is kept for the way back has 8 bits of fraction instead of 24, and half the size; the computation itself \
             stays in f32. Gradients are those of rounded activations, some hundredths from the exact ones."
        }
        Remedy::CheapCheckpointing => {
            "norms, activations and pools are computed again on the way back from the convolutions' results, which are \
             kept. Gradients are the same bits."
        }
        Remedy::Checkpointing => {
            "only what passes between segments of the network is kept, and each segment runs again when the way back comes \
             to it. Gradients are the same bits, for up to one more way forward."
        }
        Remedy::Together => "no single one that keeps the network and its pictures is enough.",
    }
}
