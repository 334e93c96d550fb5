//! A breaker with a clock that the test moves.

use resilience::{Breaker, BreakerConfig, Permit, Refused, Snapshot, State, Tally, Window};
use std::time::{Duration, Instant};

/// Opens at half of at least four of the last ten calls; waits 1, 2, 4, 5 s; tries with three calls.
pub(crate) fn config() -> BreakerConfig {
    BreakerConfig {
        window: Window::Count(10),
        failure_rate: 0.5,
        slow_after: Duration::from_secs(2),
        slow_rate: 0.75,
        minimum_calls: 4,
        open_wait: Duration::from_secs(1),
        open_wait_factor: 2.0,
        open_wait_cap: Duration::from_secs(5),
        open_wait_jitter: 0.0,
        half_open_calls: 3,
        half_open_time: Duration::from_secs(30),
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) struct Bench {
    pub(crate) breaker: Breaker,
    pub(crate) now: Instant,
}

impl Bench {
    pub(crate) fn new(config: BreakerConfig) -> Bench {
        let now = Instant::now();
        Bench { breaker: Breaker::new(config, now).unwrap(), now }
    }

    /// A breaker that has just opened.
    pub(crate) fn open(config: BreakerConfig) -> Bench {
        let minimum = config.minimum_calls as usize;
        let mut bench = Bench::new(config);
        bench.fail(minimum);
        assert_eq!(bench.state(), State::Open);
        bench
    }

    /// A breaker whose first wait is just over.
    pub(crate) fn half_open(config: BreakerConfig) -> Bench {
        let wait = config.open_wait;
        let mut bench = Bench::open(config);
        bench.pass(wait);
        assert_eq!(bench.state(), State::HalfOpen);
        bench
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn acquire(&mut self) -> Result<Permit, Refused> {
        self.breaker.acquire(self.now)
    }

    pub(crate) fn permits(&mut self, number: usize) -> Vec<Permit> {
        (0..number).map(|_| self.acquire().unwrap()).collect()
    }

    /// So many calls, one after the other, that succeed at once.
    pub(crate) fn succeed(&mut self, calls: usize) {
        for _ in 0..calls {
            let permit = self.acquire().unwrap();
            self.breaker.succeeded(permit, self.now, 0.0);
        }
    }

    /// So many calls, one after the other, that fail at once.
    pub(crate) fn fail(&mut self, calls: usize) {
        for _ in 0..calls {
            let permit = self.acquire().unwrap();
            self.breaker.failed(permit, self.now, 0.0, "connection refused");
        }
    }

    /// So many calls, one after the other, that succeed after a time.
    pub(crate) fn succeed_after(&mut self, time: Duration, calls: usize) {
        for _ in 0..calls {
            let permit = self.acquire().unwrap();
            self.pass(time);
            self.breaker.succeeded(permit, self.now, 0.0);
        }
    }

    pub(crate) fn state(&self) -> State {
        self.breaker.state(self.now)
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.breaker.snapshot(self.now)
    }

    pub(crate) fn window(&mut self) -> Tally {
        self.snapshot().window
    }
}
