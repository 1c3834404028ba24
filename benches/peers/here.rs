//! The zoo's step: the one that `zoo-train` runs.

use anyhow::{Context, Result};
use candle_core::{Tensor, backprop::GradStore};
use zoo_layers::Net;
use zoo_train::loss::cross_entropy;
use zoo_train::optim::{Method, Optimizer, Sgd};

use crate::Step;
use crate::case::{Case, Loss, MOMENTUM, initial};

pub(crate) struct Here {
    net: Net,
    /// Made by the first step: what it keeps counts as the step's memory.
    optimizer: Option<Optimizer>,
    pictures: Tensor,
    loss: Loss,
    rate: f64,
}

impl Here {
    pub(crate) fn new(case: Case) -> Result<Self> {
        let net = case.graph()?.init(0)?;
        for (param, variable) in net.trainable()? {
            variable.set(&initial(&param.name, &param.shape)?)?;
        }
        let (pictures, loss, rate) = (case.pictures()?, case.loss()?, case.learning_rate());
        Ok(Self { net, optimizer: None, pictures, loss, rate })
    }
}

impl Step for Here {
    fn params(&self) -> usize {
        self.net.trainable().map_or(0, |all| all.iter().map(|(param, _)| param.elements()).sum())
    }

    fn step(&mut self, check: bool) -> Result<Option<f64>> {
        let optimizer = match &mut self.optimizer {
            Some(optimizer) => optimizer,
            none => {
                let sgd = Sgd { momentum: MOMENTUM, nesterov: false, weight_decay: 0.0 };
                none.insert(Optimizer::new(Method::Sgd(sgd), &self.net)?)
            }
        };
        let pass = self.net.train_pass(&self.pictures)?;
        let output = pass.outputs().values().next().context("the network has no output")?;
        let (loss, gradients) = match &self.loss {
            Loss::CrossEntropy { labels } => {
                let loss = cross_entropy(output, labels, 0.0)?;
                (Some(f64::from(loss.to_scalar::<f32>()?)), loss.backward()?)
            }
            Loss::Given { gradient } => {
                let first = || output.detach().get(0)?.sqr()?.mean_all()?.to_scalar::<f32>();
                let loss = if check { Some(f64::from(first()?)) } else { None };
                let mut gradients = GradStore::default();
                gradients.insert(output, gradient.clone());
                (loss, gradients)
            }
        };
        optimizer.step(&pass.backward(&gradients)?, self.rate)?;
        Ok(loss)
    }
}
