//! Work on other threads whose results come in order.

use std::sync::mpsc::{TryRecvError, sync_channel};
use std::thread;

use anyhow::{Result, anyhow};

/// Results that a thread may be ahead of the reader: enough for a batch between few threads.
const AHEAD: usize = 4;

/// Does `work` for every item on `threads` other threads, and hands the results over in the items' order while later
/// ones are being worked on. However many items there are, a few wait at a time, and items are taken from their
/// source only as room is made for them.
///
/// `take` is given nothing where the next result is still to come: what it has put aside it may do then.
///
/// # Errors
/// The first of `take`, which ends the work. The source may be waiting for its own input then, and is left alone.
pub(crate) fn in_order<T: Send + 'static, R: Send>(
    items: impl Iterator<Item = T> + Send + 'static,
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(Option<(T, R)>) -> Result<()>,
) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        // Thread k does items k, k + threads, … and has lines of its own to and from it, so that the reader, who goes
        // round the lines, gets the items in order.
        let mut inputs = Vec::new();
        let mut results = Vec::new();
        for _ in 0..threads.max(1) {
            // `None` says that there is no more.
            let (give, get) = sync_channel::<Option<T>>(1);
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move || {
                while let Ok(Some(item)) = get.recv() {
                    let result = work(&item);
                    // The reader has gone: nobody wants the rest.
                    if send.send(Ok((item, result))).is_err() {
                        return;
                    }
                }
                let _ = send.send(Err(()));
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
        let outcome = (|| {
            for line in results.iter().cycle() {
                let next = match line.try_recv() {
                    Err(TryRecvError::Empty) => {
                        take(None)?;
                        line.recv().ok()
                    }
                    next => next.ok(),
                };
                match next {
                    Some(Ok(done)) => take(Some(done))?,
                    // The items are dealt out in turns: the first thread without one is behind the last item.
                    Some(Err(())) => break,
                    None => return Err(anyhow!("a thread that prepares inputs broke down")),
                }
            }
            take(None)
        })();
        drop(results);
        // Threads that wait for an item are told; those that don't, find their reader gone.
        for input in &inputs {
            let _ = input.try_send(None);
        }
        outcome
    })
}

/// Threads for `in_order` beside those that compute: as many as the caller allowed, and no more than help.
pub(crate) fn threads() -> usize {
    rayon::current_num_threads().min(8)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_few_wait() -> Result<()> {
        for threads in [1, 3, 8] {
            let (done, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = |item: &usize| {
                // What is worked on and not yet taken fits the lines and the hands.
                let open = done.fetch_add(1, Ordering::SeqCst).saturating_sub(taken.load(Ordering::SeqCst));
                (item * 2, open)
            };
            let mut next = 0;
            in_order(0..500_usize, threads, work, |done| {
                let Some((item, (double, open))) = done else { return Ok(()) };
                assert_eq!((item, double), (next, next * 2));
                assert!(open <= threads * (AHEAD + 2), "{open} of {threads} threads");
                taken.fetch_add(1, Ordering::SeqCst);
                next += 1;
                Ok(())
            })?;
            assert_eq!(next, 500);
        }
        in_order(std::iter::empty::<usize>(), 4, |item| *item, |_| Ok(()))
    }

    #[test]
    fn an_error_ends_the_work() {
        let done = AtomicUsize::new(0);
        let work = |_: &usize| done.fetch_add(1, Ordering::SeqCst);
        let outcome = in_order(0..100_000_usize, 4, work, |item| match item {
            Some((10, _)) => Err(anyhow!("enough")),
            _ => Ok(()),
        });
        assert_eq!(outcome.unwrap_err().to_string(), "enough");
        assert!(done.load(Ordering::SeqCst) < 100);
    }

    #[test]
    fn a_result_is_handed_over_before_the_next_item_comes() -> Result<()> {
        // The source gives its second item only once the first result has been taken, and an error does not wait
        // for a third, which never comes.
        let (allow, allowed) = sync_channel::<usize>(2);
        allow.send(0)?;
        let mut seen = Vec::new();
        let outcome = in_order(
            allowed.into_iter(),
            2,
            |item| item * 2,
            |done| {
                let Some((item, double)) = done else { return Ok(()) };
                seen.push(double);
                if item == 1 { Err(anyhow!("enough")) } else { Ok(allow.send(item + 1)?) }
            },
        );
        assert_eq!((outcome.unwrap_err().to_string().as_str(), seen), ("enough", vec![0, 2]));
        Ok(())
    }
}
