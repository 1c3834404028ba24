//! Work on other threads whose results come in order.

use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Result, anyhow};

/// Results that a thread may be ahead of the reader.
const AHEAD: usize = 2;

/// Does `work` for every item on up to `threads` other threads, and hands the results over in the items' order
/// while later ones are being worked on. However many items there are, a few results wait at a time.
///
/// # Errors
/// The first of `take`, which ends the work.
pub(crate) fn in_order<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(&T, R) -> Result<()>,
) -> Result<()> {
    let threads = threads.clamp(1, items.len().max(1));
    let work = &work;
    thread::scope(|scope| {
        // Thread k does items k, k + threads, … and has a line of its own, so that the reader, who goes round the
        // lines, gets the items in order.
        let lines: Vec<_> = (0..threads)
            .map(|first| {
                let (send, receive) = sync_channel(AHEAD);
                scope.spawn(move || {
                    for item in items.iter().skip(first).step_by(threads) {
                        // The reader has gone: nobody wants the rest.
                        if send.send(work(item)).is_err() {
                            return;
                        }
                    }
                });
                receive
            })
            .collect();
        for (item, line) in items.iter().zip(lines.iter().cycle()) {
            take(item, line.recv().map_err(|_| anyhow!("a thread that prepares inputs broke down"))?)?;
        }
        Ok(())
    })
}

/// Threads for `in_order` beside those that compute: as many as the caller allowed, and no more than help.
pub(crate) fn threads() -> usize {
    let allowed = std::env::var(crate::running::THREADS).ok().and_then(|threads| threads.parse().ok());
    let all = || thread::available_parallelism().map_or(1, usize::from);
    allowed.unwrap_or_else(all).min(8)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_few_wait() -> Result<()> {
        let items: Vec<usize> = (0..500).collect();
        for threads in [1, 3, 8] {
            let (done, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = |item: &usize| {
                // What is worked on and not yet taken fits the lines and the hands.
                let open = done.fetch_add(1, Ordering::SeqCst).saturating_sub(taken.load(Ordering::SeqCst));
                (item * 2, open)
            };
            let mut next = 0;
            in_order(&items, threads, work, |item, (double, open)| {
                assert_eq!((*item, double), (next, next * 2));
                assert!(open <= threads * (AHEAD + 2), "{open} of {threads} threads");
                taken.fetch_add(1, Ordering::SeqCst);
                next += 1;
                Ok(())
            })?;
            assert_eq!(next, 500);
        }
        in_order(&[] as &[usize], 4, |item| *item, |_, _| Ok(()))
    }

    #[test]
    fn an_error_ends_the_work() {
        let items: Vec<usize> = (0..100_000).collect();
        let done = AtomicUsize::new(0);
        let work = |_: &usize| done.fetch_add(1, Ordering::SeqCst);
        let outcome = in_order(&items, 4, work, |item, _| match item {
            10 => Err(anyhow!("enough")),
            _ => Ok(()),
        });
        assert_eq!(outcome.unwrap_err().to_string(), "enough");
        assert!(done.load(Ordering::SeqCst) < 100);
    }
}
