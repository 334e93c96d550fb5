//! What a run does, from what the command line says.

use crate::{
    Error, GenerateArgs,
    cli::Compression,
    pace::{Burst, Pace},
    replay::{self, Input, ReplayPlan},
    rng::Rng,
    source::{BatchLimits, Source},
    synth::{Organisations, Synth},
};
use std::{path::PathBuf, time::Duration};

/// Made-up events a second, when nothing is said.
const MADE_UP_RATE: f64 = 100.0;
/// Bytes of a request; the pipeline takes 10 MiB, and one event more may come on top.
const BATCH_BYTES: usize = 8 << 20;
/// How long a batch waits to be filled.
const LINGER: Duration = Duration::from_millis(100);

/// A run.
pub(crate) struct Plan {
    pub(crate) to: String,
    pub(crate) token: String,
    /// Events a second; without one as fast as the pipeline answers.
    pub(crate) rate: Option<f64>,
    pub(crate) burst: Option<Burst>,
    pub(crate) run_for: Option<Duration>,
    pub(crate) load: Load,
    pub(crate) batch_events: usize,
    pub(crate) connections: u16,
    pub(crate) compression: Compression,
    /// How long a batch is tried again; without one for ever.
    pub(crate) give_up_after: Option<Duration>,
    pub(crate) acked_file: Option<PathBuf>,
}

/// What is sent.
pub(crate) enum Load {
    MadeUp { seed: u64, organisations: Organisations },
    Replay { input: Input, service: Option<String>, organisation: Option<String> },
}

impl Plan {
    /// # Errors
    /// When options do not go together.
    pub(crate) fn of(args: GenerateArgs) -> Result<Plan, Error> {
        let rate = args.rate.unwrap_or(if args.replay.is_some() { 0.0 } else { MADE_UP_RATE });
        let rate = (rate > 0.0).then_some(rate);
        if rate.is_none() && args.burst.is_some() {
            return Err(Error::Options("--burst needs a rate to multiply; give one with --rate".into()));
        }
        let organisation = args.organisation.map(|name| name.as_str().to_owned());
        let load = match args.replay {
            Some(file) => Load::Replay { input: Input::named(&file), service: args.service, organisation },
            None => Load::MadeUp {
                seed: args.seed.unwrap_or_else(|| Rng::from_entropy().next()),
                organisations: match (organisation, args.organisations) {
                    (Some(name), _) => Organisations::only(&name),
                    (None, Some(count)) => Organisations::spread(count as usize, args.skew),
                    (None, None) => Organisations::from_token(),
                },
            },
        };
        Ok(Plan {
            to: args.to,
            token: args.token,
            rate,
            burst: args.burst,
            run_for: args.run_for,
            load,
            batch_events: usize::try_from(args.batch).expect("at most 10,000"),
            connections: args.connections,
            compression: args.compression,
            give_up_after: Some(args.give_up_after),
            acked_file: args.acked_file,
        })
    }

    /// Made-up events at a rate until it is stopped, whatever happens.
    pub(crate) fn demo(to: String, token: String, rate: f64, organisations: Option<usize>) -> Plan {
        let organisations =
            organisations.map_or_else(Organisations::from_token, |count| Organisations::spread(count, 1.0));
        Plan {
            to,
            token,
            rate: (rate > 0.0).then_some(rate),
            burst: None,
            run_for: None,
            load: Load::MadeUp { seed: Rng::from_entropy().next(), organisations },
            batch_events: 500,
            connections: 2,
            compression: Compression::None,
            give_up_after: None,
            acked_file: None,
        }
    }

    /// Opens what is replayed and begins the schedule.
    ///
    /// # Errors
    /// When the input cannot be opened.
    pub(crate) async fn source(&self) -> Result<Source, Error> {
        let limits = BatchLimits { events: self.batch_events, bytes: BATCH_BYTES, linger: LINGER };
        let run_for = self.run_for;
        let pace = self.rate.map(|rate| Pace::new(rate, self.burst, LINGER, run_for));
        match &self.load {
            Load::MadeUp { seed, organisations } => {
                Ok(Source::synth(Synth::new(*seed, organisations.clone()), pace, limits, run_for))
            }
            Load::Replay { input, service, organisation } => {
                let plan = ReplayPlan {
                    input: input.clone(),
                    service: service.clone(),
                    organisation: organisation.clone(),
                    events: limits.events,
                    bytes: limits.bytes,
                };
                let reading = replay::start(plan)
                    .await
                    .map_err(|error| Error::Input { input: input.to_string(), error })?;
                Ok(Source::replay(reading, pace, limits, run_for))
            }
        }
    }
}
