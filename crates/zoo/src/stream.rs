//! Answers for many pictures, one after the other.

use std::collections::VecDeque;

use candle_core::Tensor;

use crate::{
    Answer, Error, Network, Prepare, Result,
    ordered::{Next, Ordered, threads},
};

/// Pictures that run through a network at once.
const BATCH: usize = 16;

/// Inputs that wait for their turn, at most: those that can't be read stand between the others.
const WAITING: usize = 64;

/// The classes that a network shows of a picture unless it is asked for more.
const TOP: usize = 5;

/// The answers for many pictures, in order: of [`Network::stream`].
#[derive(Debug)]
pub struct Stream<'n, T, E> {
    network: &'n Network,
    top: usize,
    pictures: Ordered<T, Result<Tensor, E>>,
    /// What has been read, in order: a picture's tensor, or why there is none.
    waiting: Vec<(T, Result<Tensor, E>)>,
    answered: VecDeque<Result<(T, Result<Answer, E>)>>,
    ended: bool,
}

impl<'n, T: Send + 'static, E: Send + 'static> Stream<'n, T, E> {
    pub(crate) fn new(
        network: &'n Network,
        inputs: impl Iterator<Item = T> + Send + 'static,
        read: impl Fn(&T, &Prepare) -> Result<Tensor, E> + Send + Sync + 'static,
    ) -> Self {
        let prepare = network.prepare().clone();
        let pictures = Ordered::new(inputs, threads(), move |input: &T| read(input, &prepare));
        Self { network, top: TOP, pictures, waiting: Vec::new(), answered: VecDeque::new(), ended: false }
    }

    /// The same with so many classes for each picture.
    #[must_use]
    pub fn top(mut self, top: usize) -> Self {
        self.top = top;
        self
    }

    /// Takes on what comes next.
    fn read(&mut self) {
        let next = match self.pictures.poll() {
            // Nothing else is ready: what waits for company need not wait longer.
            Next::NotYet if !self.waiting.is_empty() => return self.answer(),
            Next::NotYet => self.pictures.wait(),
            next => next,
        };
        match next {
            Next::Done(input, read) => {
                let first = self.waiting.iter().find_map(|(_, read)| read.as_ref().ok());
                if let (Some(first), Ok(picture)) = (first, &read)
                    && first.dims() != picture.dims()
                {
                    self.answer();
                }
                self.waiting.push((input, read));
                let pictures = self.waiting.iter().filter(|(_, read)| read.is_ok()).count();
                if pictures == 0 || pictures == BATCH || self.waiting.len() >= WAITING {
                    self.answer();
                }
            }
            Next::NotYet => {}
            Next::End => {
                self.ended = true;
                self.answer();
            }
            Next::Broken => {
                self.answer();
                self.ended = true;
                self.answered.push_back(Err(Error::Broken));
            }
        }
    }

    /// Runs the pictures that wait.
    fn answer(&mut self) {
        let pictures: Vec<&Tensor> = self.waiting.iter().filter_map(|(_, read)| read.as_ref().ok()).collect();
        let answers = match pictures.is_empty() {
            true => Ok(Vec::new()),
            false => Tensor::cat(&pictures, 0)
                .map_err(|error| zoo_layers::Error::from(error).into())
                .and_then(|batch| self.network.answers(&batch, self.top)),
        };
        let waiting = std::mem::take(&mut self.waiting);
        match answers {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for (input, read) in waiting {
                    match read {
                        Ok(_) => self.answered.extend(answers.next().map(|answer| Ok((input, Ok(answer))))),
                        Err(error) => self.answered.push_back(Ok((input, Err(error)))),
                    }
                }
            }
            // Of a network that gives no numbers there is nothing more to be had.
            Err(error) => {
                self.ended = true;
                self.answered.push_back(Err(error));
            }
        }
    }
}

impl<T: Send + 'static, E: Send + 'static> Iterator for Stream<'_, T, E> {
    /// An input, and its answer or why it could not be read. The outer error is the network's, and the end.
    type Item = Result<(T, Result<Answer, E>)>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.answered.is_empty() && !self.ended {
            self.read();
        }
        self.answered.pop_front()
    }
}
