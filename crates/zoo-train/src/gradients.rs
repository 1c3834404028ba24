//! Gradients of several passes as those of one step, added up and scaled where they lie.

use candle_core::{Tensor, backprop::GradStore};
use zoo_kernels::Element;
use zoo_layers::Net;

use crate::optim::in_place::{Formula, scale, takes, update};
use crate::{Result, values::numbers_of};

/// Whether it can be changed where it lies.
fn lies_dense(gradient: &Tensor) -> bool {
    takes(gradient) && gradient.is_contiguous()
}

/// Adds the gradients `more`, of the same network, to `sum`.
pub(crate) fn add(net: &Net, sum: &mut GradStore, more: &GradStore) -> Result<()> {
    for (_, variable) in net.trainable()? {
        let Some(gradient) = more.get(&variable) else { continue };
        let total = match sum.get(&variable) {
            Some(before) if lies_dense(before) => {
                update(before, gradient, gradient, Plus)?;
                continue;
            }
            Some(before) => (before + gradient)?,
            None => gradient.copy()?,
        };
        sum.insert(&variable, total);
    }
    Ok(())
}

/// Puts the gradients `others`, of the same network, in the place of `old`.
pub(crate) fn replace(net: &Net, old: &mut GradStore, others: &GradStore) -> Result<()> {
    for (_, variable) in net.trainable()? {
        match (old.get(&variable), others.get(&variable)) {
            (Some(before), Some(gradient)) if lies_dense(before) => {
                update(before, gradient, gradient, Other)?;
            }
            (_, Some(gradient)) => {
                old.insert(&variable, gradient.copy()?);
            }
            (_, None) => {
                old.remove(&variable);
            }
        }
    }
    Ok(())
}

/// Multiplies all of them.
pub(crate) fn multiply(net: &Net, gradients: &mut GradStore, factor: f64) -> Result<()> {
    for (_, variable) in net.trainable()? {
        let scaled = match gradients.get(&variable) {
            Some(gradient) if lies_dense(gradient) => {
                scale(gradient, factor)?;
                continue;
            }
            Some(gradient) => (gradient * factor)?,
            None => continue,
        };
        gradients.insert(&variable, scaled);
    }
    Ok(())
}

/// The norm of all of them together.
pub(crate) fn norm(net: &Net, gradients: &GradStore) -> Result<f64> {
    let squares = |gradient: &Tensor| -> Result<f64> {
        let values = numbers_of(gradient)?;
        Ok(values.numbers()?.iter().map(|&value| f64::from(value).powi(2)).sum())
    };
    let mut sum = 0.0;
    for (_, variable) in net.trainable()? {
        if let Some(gradient) = gradients.get(&variable) {
            sum += squares(gradient)?;
        }
    }
    Ok(sum.sqrt())
}

struct Plus;

impl Formula for Plus {
    fn number<T: Element>(&self, x: T, a: T, _: T) -> T {
        x + a
    }
}

struct Other;

impl Formula for Other {
    fn number<T: Element>(&self, _: T, a: T, _: T) -> T {
        a
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use zoo_layers::{Graph, Linear, Shape};

    use super::*;

    #[test]
    fn gradients_are_added_and_scaled_where_they_lie() {
        let graph = Graph::build("one", Shape::vector(2), |net, x| {
            let x = net.linear(x, Linear::new(3), "fc")?;
            net.output("y", x)
        });
        let net = graph.unwrap().init(1).unwrap();
        let gradients = |value: f32| {
            let x = Tensor::full(value, (1, 2), &Device::Cpu).unwrap();
            let pass = net.train_pass(&x).unwrap();
            let loss = pass.outputs()["y"].sum_all().unwrap();
            pass.backward(&loss.backward().unwrap()).unwrap()
        };
        let (mut sum, more) = (gradients(2.0), gradients(5.0));
        let weight = net.trainable().unwrap().into_iter().find(|(param, _)| param.elements() == 6).unwrap().1;
        let kept: Tensor = sum.get(&weight).unwrap().clone();
        add(&net, &mut sum, &more).unwrap();
        multiply(&net, &mut sum, 0.5).unwrap();
        let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(numbers(sum.get(&weight).unwrap()), [3.5; 6]);
        // The same memory.
        assert_eq!(numbers(&kept), [3.5; 6]);
        // Six of 3.5, three biases of 1.
        assert!((norm(&net, &sum).unwrap() - (6.0 * 3.5 * 3.5 + 3.0_f64).sqrt()).abs() < 1e-12);
        replace(&net, &mut sum, &more).unwrap();
        assert_eq!(numbers(&kept), [5.0; 6]);
        let mut without = gradients(1.0);
        without.remove(&weight);
        replace(&net, &mut sum, &without).unwrap();
        assert!(sum.get(&weight).is_none());
    }
}
