//! Work on other threads whose results come in order.

use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
};
use std::thread;

/// Results that a thread may be ahead of the reader: enough for a batch between few threads.
const AHEAD: usize = 4;

/// More threads than this don't help those that compute.
const MOST_THREADS: usize = 8;

/// Threads for [`Ordered`] beside those that compute: as many as those, and no more than help.
pub(crate) fn threads() -> usize {
    rayon::current_num_threads().clamp(1, MOST_THREADS)
}

/// Does its work for every item on other threads, and hands the results over in the items' order while later ones are
/// being worked on. However many items there are, a few wait at a time, and items are taken from their source only as
/// room is made for them.
///
/// ```
/// use zoo::{Next, Ordered};
///
/// let mut doubled = Ordered::new(0..100, 3, |item: &i32| item * 2);
/// assert!(matches!(doubled.wait(), Next::Done(0, 0)));
/// assert!(matches!(doubled.wait(), Next::Done(1, 2)));
/// ```
#[derive(Debug)]
pub struct Ordered<T, R> {
    /// A line to each thread. `None` says that there is no more.
    inputs: Vec<SyncSender<Option<T>>>,
    /// A line from each.
    results: Vec<Receiver<Option<(T, R)>>>,
    /// Items handed over so far.
    taken: usize,
    ended: bool,
}

/// What comes next.
#[derive(Debug)]
pub enum Next<T, R> {
    /// An item and what was made of it.
    Done(T, R),
    /// The next result is still to come: what was put aside can be done meanwhile.
    NotYet,
    /// There was no other item.
    End,
    /// The thread that worked on the next one panicked.
    Broken,
}

impl<T: Send + 'static, R: Send + 'static> Ordered<T, R> {
    /// Begins to work on `items`, on `threads` threads.
    pub fn new(
        items: impl Iterator<Item = T> + Send + 'static,
        threads: usize,
        work: impl Fn(&T) -> R + Send + Sync + 'static,
    ) -> Self {
        // Thread k does items k, k + threads, … and has lines of its own to and from it, so that the reader, who goes
        // round the lines, gets the items in order.
        let work = Arc::new(work);
        let mut inputs = Vec::new();
        let mut results = Vec::new();
        for _ in 0..threads.max(1) {
            let (give, get) = sync_channel::<Option<T>>(1);
            let (send, receive) = sync_channel(AHEAD);
            let work = Arc::clone(&work);
            thread::spawn(move || {
                while let Ok(Some(item)) = get.recv() {
                    let result = work(&item);
                    // The reader has gone: nobody wants the rest.
                    if send.send(Some((item, result))).is_err() {
                        return;
                    }
                }
                let _ = send.send(None);
            });
            inputs.push(give);
            results.push(receive);
        }
        let feeding = inputs.clone();
        thread::spawn(move || {
            for (item, input) in items.zip(feeding.iter().cycle()) {
                if input.send(Some(item)).is_err() {
                    return;
                }
            }
            for input in feeding {
                let _ = input.send(None);
            }
        });
        Self { inputs, results, taken: 0, ended: false }
    }

    /// What comes next, if it is ready.
    pub fn poll(&mut self) -> Next<T, R> {
        if self.ended {
            return Next::End;
        }
        match self.results[self.taken % self.results.len()].try_recv() {
            Err(TryRecvError::Empty) => Next::NotYet,
            Err(TryRecvError::Disconnected) => self.end(Next::Broken),
            Ok(result) => self.took(result),
        }
    }

    /// What comes next, once it is ready.
    pub fn wait(&mut self) -> Next<T, R> {
        if self.ended {
            return Next::End;
        }
        match self.results[self.taken % self.results.len()].recv() {
            Err(_) => self.end(Next::Broken),
            Ok(result) => self.took(result),
        }
    }

    fn took(&mut self, result: Option<(T, R)>) -> Next<T, R> {
        self.taken += 1;
        match result {
            Some((item, result)) => Next::Done(item, result),
            // The items are dealt out in turns: the first thread without one is behind the last item.
            None => self.end(Next::End),
        }
    }

    fn end(&mut self, next: Next<T, R>) -> Next<T, R> {
        self.ended = true;
        next
    }
}

impl<T, R> Drop for Ordered<T, R> {
    fn drop(&mut self) {
        self.results.clear();
        // Threads that wait for an item are told; those that don't, find their reader gone. The source may be waiting
        // for its own input, and is left alone.
        for input in &self.inputs {
            let _ = input.try_send(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_few_wait() {
        for threads in [1, 3, 8] {
            let (done, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (working, reading) = (Arc::clone(&done), Arc::clone(&taken));
            let mut ordered = Ordered::new(0..500_usize, threads, move |item| {
                // What is worked on and not yet taken fits the lines and the hands.
                let open =
                    working.fetch_add(1, Ordering::SeqCst).saturating_sub(reading.load(Ordering::SeqCst));
                (item * 2, open)
            });
            for wanted in 0..500 {
                let Next::Done(item, (double, open)) = ordered.wait() else { panic!("{wanted} is missing") };
                assert_eq!((item, double), (wanted, wanted * 2));
                assert!(open <= threads * (AHEAD + 2), "{open} of {threads} threads");
                taken.fetch_add(1, Ordering::SeqCst);
            }
            assert!(matches!(ordered.wait(), Next::End) && matches!(ordered.poll(), Next::End));
        }
        assert!(matches!(Ordered::new(std::iter::empty::<u8>(), 4, |item| *item).wait(), Next::End));
    }

    #[test]
    fn a_reader_who_leaves_ends_the_work_and_a_panic_is_told() {
        let done = Arc::new(AtomicUsize::new(0));
        let working = Arc::clone(&done);
        let mut ordered = Ordered::new(0..100_000_usize, 4, move |_| working.fetch_add(1, Ordering::SeqCst));
        assert!(matches!(ordered.wait(), Next::Done(0, _)));
        drop(ordered);
        assert!(done.load(Ordering::SeqCst) < 100);
        let mut broken = Ordered::new(0..2, 1, |item: &usize| [1][*item]);
        assert!(matches!(broken.wait(), Next::Done(0, 1)) && matches!(broken.wait(), Next::Broken));
    }

    /// The source gives its second item only once the first result has been taken.
    #[test]
    fn a_result_is_handed_over_before_the_next_item_comes() {
        let (allow, allowed) = sync_channel::<usize>(2);
        allow.send(0).unwrap();
        let mut ordered = Ordered::new(allowed.into_iter(), 2, |item| item * 2);
        assert!(matches!(ordered.wait(), Next::Done(0, 0)));
        allow.send(1).unwrap();
        assert!(matches!(ordered.wait(), Next::Done(1, 2)));
        assert!(matches!(ordered.poll(), Next::NotYet));
    }
}
