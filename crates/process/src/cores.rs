//! A thread a core, each with a runtime of its own: a request stays where its connection is.
//!
//! A task that is woken on another thread costs two system calls and cold caches, and a proxy's request sleeps and wakes
//! at each step: when it comes, when a limit is decided, when the answer is there. On one thread all of that is a queue
//! in memory. What such a request needs on its way (connections to others) stands on every core, see [`PerCore`].

use std::{
    cell::Cell,
    io,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;

/// How long work that blocks may hold up the end of a core.
const END_WITHIN: Duration = Duration::from_secs(1);

thread_local! {
    static HERE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The cores; their threads end when this is dropped, with all that still runs there.
#[derive(Debug, Default)]
pub struct Cores {
    cores: Vec<Arc<Core>>,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Core {
    runtime: Handle,
    /// Connections that live here.
    seats: AtomicUsize,
}

impl Cores {
    /// None: all stays on the runtime of who asks.
    #[must_use]
    pub fn none() -> Cores {
        Cores::default()
    }

    /// As many as the process may use, by its CPU quota too.
    ///
    /// # Errors
    /// When a thread or a runtime cannot be made.
    pub fn start() -> io::Result<Cores> {
        let mut cores = Cores::none();
        for index in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            cores
                .cores
                .push(Arc::new(Core { runtime: runtime.handle().clone(), seats: AtomicUsize::new(0) }));
            let stop = cores.stop.clone();
            let run = move || {
                HERE.set(Some(index));
                runtime.block_on(stop.cancelled());
                runtime.shutdown_timeout(END_WITHIN);
            };
            cores.threads.push(thread::Builder::new().name(format!("core-{index}")).spawn(run)?);
        }
        Ok(cores)
    }

    /// One of what `make` makes for each core, in the context of its runtime, and one for all other threads.
    pub fn each<T>(&self, mut make: impl FnMut() -> T) -> PerCore<T> {
        let elsewhere = make();
        let make = |core: &Arc<Core>| {
            let _context = core.runtime.enter();
            make()
        };
        PerCore { cores: self.cores.iter().map(make).collect(), elsewhere }
    }

    /// A place on the core with the fewest.
    pub(crate) fn seat(&self) -> Seat {
        let core = self.cores.iter().min_by_key(|core| core.seats.load(Ordering::Relaxed)).cloned();
        if let Some(core) = &core {
            core.seats.fetch_add(1, Ordering::Relaxed);
        }
        Seat(core)
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            // A panic there has been told where it happened.
            let _ = thread.join();
        }
    }
}

/// A place of a connection, taken until it is dropped.
pub(crate) struct Seat(Option<Arc<Core>>);

impl Seat {
    /// Where its task is to run.
    pub(crate) fn runtime(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |core| core.runtime.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(core) = &self.0 {
            core.seats.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One value a core, and one for all other threads.
#[derive(Debug)]
pub struct PerCore<T> {
    cores: Box<[T]>,
    elsewhere: T,
}

impl<T> PerCore<T> {
    /// The value of the core that this runs on.
    pub fn here(&self) -> &T {
        HERE.get().and_then(|index| self.cores.get(index)).unwrap_or(&self.elsewhere)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.cores.iter().chain([&self.elsewhere])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[tokio::test(flavor = "multi_thread")]
    async fn each_core_has_its_own_value_and_its_own_thread() {
        let cores = Cores::start().unwrap();
        let mut next = 0;
        let values = Arc::new(cores.each(|| {
            next += 1;
            next
        }));
        assert_eq!(*values.here(), 1, "this is no core");
        let seats: Vec<Seat> = cores.cores.iter().map(|_| cores.seat()).collect();
        let mut seen = HashSet::new();
        for seat in &seats {
            let values = Arc::clone(&values);
            let here = async move { (*values.here(), thread::current().id()) };
            seen.insert(seat.runtime().spawn(here).await.unwrap());
        }
        assert_eq!(seen.len(), cores.cores.len(), "a seat on every core");
        assert!(seen.iter().all(|(value, _)| *value > 1) && values.iter().count() == seats.len() + 1);
        drop(seats);
        assert!(cores.cores.iter().all(|core| core.seats.load(Ordering::Relaxed) == 0));
    }

    #[tokio::test]
    async fn the_end_of_the_cores_ends_what_runs_there() {
        let cores = Cores::start().unwrap();
        let endless = cores.seat().runtime().spawn(std::future::pending::<()>());
        drop(cores);
        assert!(endless.await.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn without_cores_all_stays_here() {
        let cores = Cores::none();
        let values = Arc::new(cores.each(|| 7));
        let here = {
            let values = Arc::clone(&values);
            async move { *values.here() }
        };
        assert_eq!(cores.seat().runtime().spawn(here).await.unwrap(), 7);
    }
}
