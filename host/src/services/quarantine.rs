//! A generation that crashes again and again is left alone for a while.
//!
//! Crashes are traps and calls that were stopped for computing too long; a call that merely waited too long is the store's or another
//! service's affair, and an error is an answer. When enough calls within the window have crashed, and they are a large enough
//! share of all, callers are told so at once instead. After the rest one call is let through: if it ends well, so does the quarantine, else
//! the rest is twice as long.
//!
//! ```text
//!            enough crashes               the rest is over
//!   open ----------------------> resting -----------------> on trial ---> open
//!                                   ^                           |
//!                                   +------- crashed, x2 -------+
//! ```
//!
//! One caller must not close a service for all others with one request that crashes it. So while all crashes are of one known principal,
//! only that principal is turned away, and it is the only one who makes the trial. Calls of nobody (public routes, events) count
//! for everybody. The numbers are the configuration's (`[quarantine]`); docs/limits.md says why they are what they are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config;

pub struct Quarantine {
    config: config::Quarantine,
    state: Mutex<State>,
}

/// Whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    Principal(String),
    Everybody,
}

#[derive(Debug)]
struct State {
    window: Window,
    phase: Phase,
    /// How often it had to rest in a row, which doubles the next rest.
    rests: u32,
    /// Since when it has been open again.
    open_since: Instant,
    count: u64,
}

/// What happened since `began`.
#[derive(Debug)]
struct Window {
    began: Instant,
    calls: u64,
    crashes: u64,
    /// Whose calls crashed; none before the first.
    scope: Option<Scope>,
}

#[derive(Debug)]
enum Phase {
    Open,
    Resting { until: Instant, scope: Scope },
    OnTrial { scope: Scope },
}

/// Why a call is turned away, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub struct Resting {
    pub left: Duration,
}

/// A call that was let in. Dropping it says nothing about the generation: the call was cancelled.
pub struct Admitted<'a> {
    quarantine: &'a Quarantine,
    principal: Option<&'a str>,
    is_trial: bool,
}

/// What a call's end has changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// It rests from now on: for everybody, or for one principal.
    Begun {
        rest: Duration,
        everybody: bool,
    },
    Lifted,
}

/// What those are told who ask while the trial runs.
const TRIAL_PAUSE: Duration = Duration::from_secs(1);

impl Quarantine {
    pub fn new(config: config::Quarantine, now: Instant) -> Self {
        let state = State { window: Window::new(now), phase: Phase::Open, rests: 0, open_since: now, count: 0 };
        Self { config, state: Mutex::new(state) }
    }

    /// Lets a call in, or says how long the generation still rests.
    pub fn enter<'a>(&'a self, principal: Option<&'a str>, now: Instant) -> Result<Admitted<'a>, Resting> {
        let mut state = self.state();
        let is_trial = match &state.phase {
            Phase::Open => false,
            Phase::Resting { scope, .. } | Phase::OnTrial { scope } if !scope.covers(principal) => false,
            Phase::Resting { until, scope } if *until <= now => {
                state.phase = Phase::OnTrial { scope: scope.clone() };
                true
            }
            Phase::Resting { until, .. } => return Err(Resting { left: until.duration_since(now) }),
            Phase::OnTrial { .. } => return Err(Resting { left: TRIAL_PAUSE }),
        };
        Ok(Admitted { quarantine: self, principal, is_trial })
    }

    /// How long everybody is turned away for; none where the service is open, at least to some.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        match &self.state().phase {
            Phase::Resting { until, scope: Scope::Everybody } => Some(until.saturating_duration_since(now)),
            Phase::OnTrial { scope: Scope::Everybody } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// How often it had to rest.
    pub fn count(&self) -> u64 {
        self.state().count
    }

    /// Ends it, whatever happened.
    pub fn lift(&self, now: Instant) {
        self.state().open(now, 0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, principal: Option<&str>, crashed: bool, now: Instant) -> Change {
        let mut state = self.state();
        let window = Duration::from_secs(self.config.window_s);
        if now.saturating_duration_since(state.window.began) > window {
            state.window = Window::new(now);
        }
        state.window.note(principal, crashed);
        if !crashed || !state.window.is_full(&self.config) {
            return Change::None;
        }
        // Of calls that are let in during a rest, the crashes are another principal's: then it is nobody's own fault.
        let scope = match (&state.phase, &state.window.scope) {
            (Phase::Open, Some(scope)) => scope.clone(),
            (Phase::Resting { scope: Scope::Everybody, .. } | Phase::OnTrial { scope: Scope::Everybody }, _) => {
                return Change::None;
            }
            _ => Scope::Everybody,
        };
        // A rest long ago does not make this one longer.
        if now.saturating_duration_since(state.open_since) > window {
            state.rests = 0;
        }
        state.rest(&self.config, scope, now)
    }

    fn end_trial(&self, crashed: bool, now: Instant) -> Change {
        let mut state = self.state();
        let Phase::OnTrial { scope } = &state.phase else { return Change::None };
        if crashed {
            let scope = scope.clone();
            return state.rest(&self.config, scope, now);
        }
        let rests = state.rests;
        state.open(now, rests);
        Change::Lifted
    }
}

impl State {
    fn rest(&mut self, config: &config::Quarantine, scope: Scope, now: Instant) -> Change {
        let factor = 1_u64.checked_shl(self.rests).unwrap_or(u64::MAX);
        let rest = Duration::from_millis(config.first_ms.saturating_mul(factor).min(config.longest_ms));
        let everybody = scope == Scope::Everybody;
        let change = Change::Begun { rest, everybody };
        self.phase = Phase::Resting { until: now + rest, scope };
        self.window = Window::new(now);
        self.rests = self.rests.saturating_add(1);
        self.count += 1;
        change
    }

    fn open(&mut self, now: Instant, rests: u32) {
        self.phase = Phase::Open;
        self.window = Window::new(now);
        self.rests = rests;
        self.open_since = now;
    }
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { began: now, calls: 0, crashes: 0, scope: None }
    }

    fn note(&mut self, principal: Option<&str>, crashed: bool) {
        self.calls += 1;
        if !crashed {
            return;
        }
        self.crashes += 1;
        self.scope = Some(match (self.scope.take(), principal) {
            (None, Some(name)) => Scope::Principal(name.to_owned()),
            (Some(Scope::Principal(before)), Some(name)) if before == name => Scope::Principal(before),
            _ => Scope::Everybody,
        });
    }

    fn is_full(&self, config: &config::Quarantine) -> bool {
        self.crashes >= config.crashes && self.crashes as f64 >= self.calls as f64 * config.share
    }
}

impl Scope {
    fn covers(&self, principal: Option<&str>) -> bool {
        match self {
            Self::Everybody => true,
            Self::Principal(name) => principal == Some(name),
        }
    }
}

impl Admitted<'_> {
    /// Takes note of how the call ended.
    pub fn end(mut self, crashed: bool, now: Instant) -> Change {
        let was_trial = std::mem::take(&mut self.is_trial);
        match was_trial {
            true => self.quarantine.end_trial(crashed, now),
            false => self.quarantine.note(self.principal, crashed, now),
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        // The trial was cancelled: the next call makes it.
        if self.is_trial {
            let mut state = self.quarantine.state();
            if let Phase::OnTrial { scope } = &state.phase {
                let scope = scope.clone();
                state.phase = Phase::Resting { until: Instant::now(), scope };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn quarantine(now: Instant) -> Quarantine {
        let config = config::Quarantine { window_s: 10, crashes: 4, share: 0.5, first_ms: 1000, longest_ms: 3000 };
        Quarantine::new(config, now)
    }

    fn call(quarantine: &Quarantine, principal: Option<&str>, crashed: bool, now: Instant) -> Change {
        quarantine.enter(principal, now).map(|admitted| admitted.end(crashed, now)).unwrap_or(Change::None)
    }

    fn crash(quarantine: &Quarantine, times: u32, now: Instant) {
        for _ in 0..times {
            call(quarantine, None, true, now);
        }
    }

    #[test]
    fn rests_after_enough_crashes_that_are_a_large_enough_share() {
        let now = Instant::now();
        let few = quarantine(now);
        crash(&few, 3, now);
        assert_eq!(few.rest(now), None);
        crash(&few, 1, now);
        assert_eq!(few.rest(now), Some(SECOND));
        assert_eq!(few.enter(None, now + SECOND / 4).err(), Some(Resting { left: SECOND * 3 / 4 }));

        let among_many = quarantine(now);
        for _ in 0..10 {
            call(&among_many, None, false, now);
        }
        crash(&among_many, 9, now);
        assert_eq!(among_many.rest(now), None);
        crash(&among_many, 1, now);
        assert_eq!(among_many.rest(now), Some(SECOND));
    }

    #[test]
    fn crashes_long_apart_do_not_add_up() {
        let now = Instant::now();
        let quarantine = quarantine(now);
        for place in 0..20 {
            crash(&quarantine, 1, now + SECOND * 6 * place);
        }
        assert_eq!(quarantine.count(), 0);
    }

    #[test]
    fn each_further_rest_is_twice_as_long_up_to_the_longest() {
        let mut now = Instant::now();
        let quarantine = quarantine(now);
        crash(&quarantine, 4, now);
        for rest in [1000, 2000, 3000, 3000] {
            let rest = Duration::from_millis(rest);
            assert_eq!(quarantine.rest(now), Some(rest));
            now += rest;
            // One call is let through, and crashes.
            crash(&quarantine, 1, now);
        }
        assert_eq!(quarantine.count(), 5);
    }

    #[test]
    fn one_trial_that_ends_well_lifts_it_for_all() {
        let now = Instant::now();
        let quarantine = quarantine(now);
        crash(&quarantine, 4, now);
        let later = now + SECOND;
        let trial = quarantine.enter(None, later).unwrap_or_else(|_| panic!("the rest is over"));
        assert_eq!(quarantine.enter(None, later).err(), Some(Resting { left: TRIAL_PAUSE }));
        assert_eq!(trial.end(false, later), Change::Lifted);
        assert_eq!(call(&quarantine, None, false, later), Change::None);
        // It remembers for a window: crashing again at once makes the rest longer.
        crash(&quarantine, 4, later);
        assert_eq!(quarantine.rest(later), Some(SECOND * 2));
    }

    #[test]
    fn a_cancelled_trial_is_made_by_the_next_call() {
        let now = Instant::now();
        let quarantine = quarantine(now);
        crash(&quarantine, 4, now);
        drop(quarantine.enter(None, now + SECOND));
        assert!(quarantine.enter(None, now + SECOND * 2).is_ok());
    }

    #[test]
    fn one_principal_closes_it_for_itself_alone() {
        let now = Instant::now();
        let quarantine = quarantine(now);
        for _ in 0..4 {
            call(&quarantine, Some("eve"), true, now);
        }
        assert!(quarantine.enter(Some("eve"), now).is_err());
        assert!(quarantine.enter(Some("ada"), now).is_ok() && quarantine.enter(None, now).is_ok());
        assert_eq!(quarantine.rest(now), None);
    }

    #[test]
    fn crashes_of_two_principals_close_it_for_all() {
        let now = Instant::now();
        let quarantine = quarantine(now);
        for name in ["eve", "ada", "eve", "ada"] {
            call(&quarantine, Some(name), true, now);
        }
        assert!(quarantine.enter(Some("joe"), now).is_err());
    }

    #[test]
    fn others_who_crash_while_one_principal_is_turned_away_close_it_for_all() {
        let now = Instant::now();
        let quarantine = quarantine(now);
        for name in ["eve", "ada"] {
            for _ in 0..4 {
                call(&quarantine, Some(name), true, now);
            }
        }
        assert!(quarantine.enter(Some("joe"), now).is_err());
    }

    #[test]
    fn lifting_forgets_everything() {
        let now = Instant::now();
        let quarantine = quarantine(now);
        crash(&quarantine, 4, now);
        quarantine.lift(now);
        crash(&quarantine, 3, now);
        assert_eq!(quarantine.rest(now), None);
        crash(&quarantine, 1, now);
        assert_eq!(quarantine.rest(now), Some(SECOND));
    }
}
