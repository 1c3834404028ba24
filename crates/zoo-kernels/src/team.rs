//! A team: threads of rayon's pool that stay together for a run of many short loops.
//!
//! An answer is a hundred loops of some microseconds. A member of a team waits for the next loop by watching a number, and
//! takes tasks from the front of its own share, then from the back of the others': a thread computes the same part of every
//! map, and finds what it reads in its own cache. Whoever opens the loops waits for nobody but those who have taken a task,
//! not even at the end: a member that has long nothing to do takes up other work of the pool, another caller's run perhaps.
//! Members that are late, or never come, make it slower and nothing else.

#![expect(unsafe_code, reason = "members run closures of a caller that waits for them")]

use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

use crate::par::part;

/// How often a thread looks before it lets others have its core in between: some tens of microseconds.
const PATIENCE: usize = 1 << 10;

thread_local! {
    /// The team whose loops this thread opens.
    static OWN: Cell<*const Team> = const { Cell::new(ptr::null()) };
}

/// What its threads share.
struct Team {
    /// Who opens the loops.
    opener: ThreadId,
    /// How many other threads have come, some of them perhaps too late.
    came: AtomicUsize,
    /// Each thread's share of the loop's tasks that nobody has taken: the first in the upper half, the end in the lower.
    shares: Vec<Line<AtomicU64>>,
    /// How many loops were opened.
    opened: Line<AtomicUsize>,
    /// Tasks of the loop that are done.
    done: Line<AtomicUsize>,
    /// Whether there will be no other loop.
    over: AtomicBool,
    /// Whether a task panicked.
    panicked: AtomicBool,
    /// What the loop's tasks do.
    task: UnsafeCell<Task>,
}

/// On two lines of the cache of its own, since they are fetched in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Line<T>(T);

/// A loop's closure, which is there for as long as the loop runs.
type Task = *const (dyn Fn(usize) + Sync);

// SAFETY: everything but `task` is atomic. `task` is written by the thread that opens loops, while no task is open and all
// that were taken are done, and read by those who have taken one: taking it acquires what opening released, and its being
// done, which the opener waits for, is released. The closure behind it is `Sync`.
unsafe impl Sync for Team {}
// SAFETY: as above; the pointer is the only part that a thread couldn't be handed, and is used by that promise alone.
unsafe impl Send for Team {}

/// Runs `work` on a thread of the pool, whose other threads are at hand for its loops.
pub(crate) fn gathered<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| {
        let threads = rayon::current_num_threads();
        let team = Arc::new(Team {
            opener: thread::current().id(),
            came: AtomicUsize::new(0),
            shares: (0..threads).map(|_| Line::default()).collect(),
            opened: Line::default(),
            done: Line::default(),
            over: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            task: UnsafeCell::new(&|_| {}),
        });
        for own in 1..threads {
            let team = Arc::clone(&team);
            rayon::spawn(move || team.join(own));
        }
        let before = OWN.replace(Arc::as_ptr(&team));
        let _end = End { team, before };
        work()
    })
}

/// The end of a team's time, be it by a panic.
struct End {
    team: Arc<Team>,
    before: *const Team,
}

impl Drop for End {
    fn drop(&mut self) {
        OWN.set(self.before);
        self.team.over.store(true, Ordering::Release);
        // Who hasn't come by now is still called on this thread's list, and would pile up there.
        while self.team.came.load(Ordering::Relaxed) + 1 < self.team.shares.len()
            && rayon::yield_local() == Some(rayon::Yield::Executed)
        {}
    }
}

/// Runs `task` for `0..count` by this thread's team. Returns whether it has one.
pub(crate) fn run(count: u32, task: &(dyn Fn(usize) + Sync)) -> bool {
    let team = OWN.get();
    if team.is_null() {
        return false;
    }
    // SAFETY: it lives until `gathered` returns, which takes it out of `OWN` before.
    unsafe { &*team }.run(count as usize, task);
    true
}

impl Team {
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        // SAFETY: no task is open, and all that were taken are done, so that nobody reads it. The closure outlives its
        // use, though its new type doesn't say so: `Loop` waits for all of its tasks, be it in a panic.
        unsafe { *self.task.get() = std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Task>(task) };
        self.done.0.store(0, Ordering::Relaxed);
        for (i, share) in self.shares.iter().enumerate() {
            let own = part(tasks, self.shares.len(), i);
            share.0.store((own.start as u64) << 32 | own.end as u64, Ordering::Release);
        }
        self.opened.0.fetch_add(1, Ordering::Release);
        // Loops within a task aren't the team's.
        let open = Loop { team: self, tasks, before: OWN.replace(ptr::null()) };
        while self.step(0) {}
        drop(open);
        assert!(!self.panicked.load(Ordering::Relaxed), "a task panicked on another thread");
    }

    /// Takes the first task of its own share, or the last of another's.
    fn take(&self, own: usize) -> Option<usize> {
        let threads = self.shares.len();
        (0..threads).find_map(|i| {
            let share = &self.shares[(own + i) % threads].0;
            let (first, end) = (|left: u64| left >> 32, |left: u64| left & u64::from(u32::MAX));
            let taken = share.fetch_update(Ordering::Acquire, Ordering::Relaxed, |left| {
                (first(left) < end(left)).then(|| if i == 0 { left + (1 << 32) } else { left - 1 })
            });
            taken.ok().map(|left| if i == 0 { first(left) } else { end(left) - 1 } as usize)
        })
    }

    /// Does a task, if one is open.
    fn step(&self, own: usize) -> bool {
        let Some(i) = self.take(own) else { return false };
        let _done = Done(self);
        // SAFETY: whoever has taken a task may read what it does, and `Loop` waits until it is done.
        unsafe { (**self.task.get())(i) };
        true
    }

    /// Comes to a team as its member of this number. The opener itself may be called where its work waits for other work of
    /// the pool: it would wait for its own end.
    fn join(&self, own: usize) {
        self.came.fetch_add(1, Ordering::Relaxed);
        if self.opener != thread::current().id() {
            // A task that panics is told to the opener, by `Done`.
            let _ = catch_unwind(AssertUnwindSafe(|| self.serve(own)));
        }
    }

    /// Does tasks until there will be no more.
    fn serve(&self, own: usize) {
        let (mut seen, mut looks) = (0, 0);
        while !self.over.load(Ordering::Acquire) {
            let opened = self.opened.0.load(Ordering::Acquire);
            if opened != seen {
                while self.step(own) {}
                (seen, looks) = (opened, 0);
            } else if looks < PATIENCE {
                looks += 1;
                spin_loop();
            } else if rayon::yield_now() != Some(rayon::Yield::Executed) {
                thread::yield_now();
            }
        }
    }
}

/// A task that was taken, until it is done.
struct Done<'a>(&'a Team);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.panicked.store(true, Ordering::Relaxed);
        }
        self.0.done.0.fetch_add(1, Ordering::Release);
    }
}

/// A loop that is running.
struct Loop<'a> {
    team: &'a Team,
    tasks: usize,
    before: *const Team,
}

impl Drop for Loop<'_> {
    fn drop(&mut self) {
        // After a panic, nobody need begin what is left.
        while self.team.take(0).is_some() {
            drop(Done(self.team));
        }
        let mut looks = 0;
        while self.team.done.0.load(Ordering::Acquire) < self.tasks {
            looks += 1;
            if looks < PATIENCE { spin_loop() } else { thread::yield_now() }
        }
        OWN.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    fn counts(tasks: usize) -> Vec<usize> {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        assert!(run(u32::try_from(tasks).unwrap(), &|i| {
            counts[i].fetch_add(1, Ordering::Relaxed);
        }));
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_is_done_once() {
        for threads in [1, 2, 3, 8] {
            pool(threads).install(|| {
                gathered(|| {
                    for loops in 0..2000 {
                        let tasks = loops % 37;
                        assert_eq!(counts(tasks), vec![1; tasks], "{threads} threads, loop {loops}");
                    }
                });
            });
        }
    }

    #[test]
    fn a_thread_without_a_team_has_none_and_a_task_neither() {
        assert!(!run(1, &|_| {}));
        pool(2).install(|| {
            gathered(|| assert!(run(4, &|_| assert!(!run(4, &|_| {})))));
            assert!(!run(1, &|_| {}));
        });
    }

    #[test]
    fn teams_of_several_callers_share_a_pool() {
        let pool = pool(2);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.install(|| gathered(|| (0..20).for_each(|_| assert_eq!(counts(9), [1; 9]))));
                    }
                });
            }
        });
    }

    #[test]
    fn an_opener_that_waits_for_other_work_is_no_member_of_its_own_team() {
        let (pool, other) = (pool(2), pool(1));
        for _ in 0..200 {
            pool.install(|| {
                gathered(|| {
                    // While it waits for the other pool, a thread does what is on its own list.
                    other.install(|| thread::sleep(std::time::Duration::from_micros(50)));
                    assert_eq!(counts(9), [1; 9]);
                });
            });
        }
    }

    #[test]
    fn an_answer_does_not_wait_for_a_member_that_does_something_else() {
        let pool = pool(2);
        let [begun, long, answered] = [(); 3].map(|()| AtomicBool::new(false));
        let until = |flag: &AtomicBool| {
            while !flag.load(Ordering::Acquire) {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                pool.install(|| {
                    gathered(|| {
                        begun.store(true, Ordering::Release);
                        until(&long);
                    });
                });
                answered.store(true, Ordering::Release);
            });
            // The pool's other thread, the first run's member, takes this one up: it ends when that has been answered.
            scope.spawn(|| {
                until(&begun);
                pool.install(|| {
                    gathered(|| {
                        long.store(true, Ordering::Release);
                        until(&answered);
                    });
                });
            });
        });
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_pool_goes_on() {
        let pool = pool(3);
        for at in 0..12 {
            let failing =
                || pool.install(|| gathered(|| run(12, &|i| assert_ne!(i, at, "a task that fails"))));
            let outcome = catch_unwind(AssertUnwindSafe(failing));
            assert!(outcome.is_err());
            pool.install(|| gathered(|| assert_eq!(counts(5), [1; 5])));
        }
    }
}
