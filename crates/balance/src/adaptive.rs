//! How many requests a service bears at once, found from how long it takes to answer.
//!
//! It must not know what a request is, nor who waits to be sent: it is told of each that ends, and says how many may be
//! in flight. Entry points: [`AdaptiveLimit::observe`], [`AdaptiveLimit::limit`].

/// Requests that make a window, or twice as many as are allowed if that is more: so those that were in flight at the
/// last change have ended, and those that followed them.
const FULL: u32 = 100;
/// A window that takes as long as this, in milliseconds, ends with [`FEW`] requests.
const LONG_MS: u64 = 250;
const FEW: u32 = 20;
/// So many are enough for a stage of a dip, which has a length of its own.
const FEWEST: u32 = 4;

/// What is tolerated: the latency without a queue times this, …
const TOLERANCE: f32 = 1.25;
/// … and so many microseconds. Nobody minds them, and a busy worker takes as long to notice an answer.
const SLACK_MICROS: f32 = 1_000.0;
/// The part of the distance to what is tolerated that the limit moves in a window. Both are in doublings.
const GAIN: f32 = 0.2;
/// The most that a window adds, in doublings, and the most that it takes away.
const RISE: f32 = 0.25;
const FALL: f32 = 1.0;
/// Each window adds this times the root of the limit, so that small limits of other workers catch up with large ones.
const GROWTH: f32 = 0.25;
/// After so many windows in a row in which it could grow, it grows faster with each further one.
const CALM: u32 = 2;

/// Latencies that differ by less count as the same, in doublings.
const CLOSE: f32 = 0.4;
/// Without pressure the base is the mean of up to so many windows.
const WINDOWS: f32 = 16.0;

/// The shortest stage of a dip.
const STAGE_MS: u64 = 512;
/// Stages from the begin of a dip to that of the next; and as long as no dip has confirmed a base.
const PERIOD: u64 = 16;
const FIRST_PERIOD: u64 = 2;
/// The most stages of a dip. Each allows half of what the one before did.
const STAGES: u32 = 2;
/// There is no dip unless the last so many windows were under pressure. A burst is not worth one.
const PRESSED: u32 = 4;
/// Nor is there one after so many windows in a row in which the limit could grow: nothing speaks for a queue.
const CALMED: u32 = 8;
/// A stage measures after so many requests in a row that were sent in it, …
const RUN: u32 = 10;
/// … or after this time and twice the usual latency.
const SETTLE_MS: u64 = 1_000;
/// If the number in flight has fallen by less, in doublings, a stage says nothing about queues.
const SHALLOW: f32 = 0.3;
/// There still is a queue if the latency has fallen by this part of what the number in flight has, …
const ELASTIC: f32 = 0.8;
/// … and the rate of answers by no more than so many doublings.
const LOST_RATE: f32 = 0.25;

/// How a request ended, as far as the limit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, in whatever way: how long that took counts.
    Answered,
    /// It was not, because the service has too much to do: it took too long, or the service refused it for that reason.
    Dropped,
}

/// A limit of the requests that are in flight to a service.
///
/// A service that works on up to `n` requests at once takes the same time for each, as long as there are no more. If
/// there are, they queue, and the time grows with their number. So the limit follows the gradient from the latency
/// without a queue, the base, to the latency now, like Gradient2 of Netflix' `concurrency-limits` and the adaptive
/// concurrency of Envoy: after each window of about a hundred requests it moves towards the point where latency is a
/// quarter above the base. It moves only if as many are in flight as it allows: little traffic says nothing about it.
///
/// - **Latency is the mean of logarithms.** One slow request among a hundred hardly moves it, and it is steady where
///   quick and slow ones are mixed. By as much as it may be off by chance, its standard error, the limit gets the
///   benefit of the doubt.
/// - **The base is measured in dips.** If there always is a queue, nothing shows how it would be without. So for half a
///   second of about every eight, half as many may be in flight; the others wait. If latency falls in proportion and
///   the rate of answers stays, there still is a queue, and the dip goes deeper. If not, this is what the service takes
///   now, whatever it took before. Until a dip has said so, the limit does not fall below half of what it was.
/// - **Dips begin at multiples of a fixed time** and take a fixed time. So all workers that send to a service dip
///   together without a word between them, if the times that they pass come from the same clock. A dip of one alone
///   would measure the queue of the others and take it for the base.
///
/// It costs about ten nanoseconds per request, and never allocates. The time is any clock in milliseconds that does not
/// run backwards; if it does, a window takes longer.
#[derive(Clone, Debug)]
pub struct AdaptiveLimit {
    /// With a fraction, because a window may change it by little.
    limit: f32,
    min: u32,
    max: u32,
    /// What may be in flight now: `limit`, or a part of it in a dip.
    allowed: u32,
    window: Window,
    /// Windows in a row in which the limit could grow.
    calm: u32,
    /// Windows in a row in which it was reached.
    pressed: u32,
    /// The load of those.
    recent: Option<Load>,
    /// The mean time that a request took in them, by Little's law.
    mean_micros: f32,
    /// Latency without a queue, from the first window on.
    base: Option<f32>,
    /// Windows without pressure that the base is made of, up to [`WINDOWS`].
    quiet: f32,
    /// The limit after the last dip that came to where there is no queue.
    confirmed: Option<f32>,
    dip: Option<Dip>,
    /// When the next dip may begin.
    dip_ms: u64,
    /// How long a stage of it takes.
    stage_ms: u64,
}

/// What a window says. The numbers are logarithms to base 2, so that differences are doublings.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// Of microseconds.
    latency: f32,
    /// How far that may be off by chance: the standard error.
    noise: f32,
    /// Of the requests in flight.
    in_flight: f32,
    /// Of the requests that ended per millisecond.
    rate: f32,
}

/// A dip, in one of its stages.
#[derive(Clone, Copy, Debug)]
struct Dip {
    /// Which one, from 1.
    stage: u32,
    start_ms: u64,
    end_ms: u64,
    /// Requests in a row that were sent in this stage.
    run: u32,
    /// The load before this stage.
    before: Load,
}

impl AdaptiveLimit {
    /// Begins with `start`, and never leaves `min..=max`. At least 1 request is always allowed.
    ///
    /// Workers that share a service begin with their share of what the service is thought to bear: how far they are
    /// above shows only in the first dip, after a second.
    #[must_use]
    pub fn new(start: u32, min: u32, max: u32) -> Self {
        let min = min.max(1);
        let max = max.max(min);
        let allowed = start.clamp(min, max);
        Self {
            limit: allowed as f32,
            min,
            max,
            allowed,
            window: Window::default(),
            calm: 0,
            pressed: 0,
            recent: None,
            mean_micros: 0.0,
            base: None,
            quiet: 0.0,
            confirmed: None,
            dip: None,
            dip_ms: u64::MAX,
            stage_ms: STAGE_MS,
        }
    }

    /// How many requests may be in flight now. It may fall below the number that are.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.allowed
    }

    /// How long a request took on average the last time that as many were in flight as are allowed, in microseconds;
    /// 0 if that never was. For [`expected_wait_ms`](crate::expected_wait_ms).
    #[must_use]
    pub const fn mean_micros(&self) -> u32 {
        self.mean_micros as u32
    }

    /// Takes note of a request that has ended, `latency_micros` after it was sent, when `in_flight` were, with this one.
    /// One that the client gave up says nothing: leave it out.
    pub fn observe(&mut self, latency_micros: u32, in_flight: u32, outcome: Outcome, now_ms: u64) {
        if self.settles(latency_micros, now_ms) {
            return;
        }
        self.window.add(latency_micros, in_flight, self.allowed, outcome, now_ms);
        if !self.is_over(now_ms) {
            return;
        }
        let window = std::mem::take(&mut self.window);
        self.judge(&window, now_ms);
        self.allow();
    }

    /// Begins a dip if it is time. Whether this request says nothing because it was sent before the stage of a dip, or
    /// together with such.
    fn settles(&mut self, latency_micros: u32, now_ms: u64) -> bool {
        if self.dip.is_none()
            && now_ms >= self.dip_ms
            && self.pressed >= PRESSED
            && self.calm < CALMED
            && let Some(before) = self.recent
        {
            self.dip = Some(Dip::new(1, self.dip_ms, self.stage_ms, before));
            self.allow();
        }
        let Some(dip) = &mut self.dip else { return false };
        if dip.run >= RUN {
            return false;
        }
        let age_ms = now_ms.saturating_sub(dip.start_ms);
        let is_older = u64::from(latency_micros / 1_000) > age_ms;
        let is_late = age_ms > SETTLE_MS + (dip.before.latency.exp2() / 500.0) as u64;
        dip.run = match (is_late, is_older) {
            (true, _) => RUN,
            (_, true) => 0,
            _ => dip.run + 1,
        };
        self.window = Window::default();
        true
    }

    /// Whether enough is known for a verdict.
    fn is_over(&mut self, now_ms: u64) -> bool {
        let count = self.window.count();
        if let Some(dip) = &mut self.dip {
            let is_at_end = now_ms >= dip.end_ms;
            if is_at_end && count < FEWEST {
                dip.end_ms = dip.end_ms.saturating_add(self.stage_ms);
            }
            return is_at_end && count >= FEWEST;
        }
        let age_ms = now_ms.saturating_sub(self.window.start_ms);
        let full = FULL.max(self.allowed.saturating_mul(2));
        count >= full || (count >= FEW && age_ms >= LONG_MS)
    }

    fn judge(&mut self, window: &Window, now_ms: u64) {
        if window.drops() && window.reaches(self.allowed, 2) {
            self.dip = None;
            self.calm = 0;
            self.limit *= 1.0 - window.dropped as f32 / window.count() as f32 / 2.0;
            self.confirmed = self.confirmed.map(|confirmed| confirmed.min(self.limit));
        } else if let Some(load) = window.load(now_ms) {
            match self.dip.take() {
                Some(dip) => self.end_stage(dip, load),
                None => self.steer(window, load),
            }
        }
        let period = if self.confirmed.is_some() { PERIOD } else { FIRST_PERIOD } * self.stage_ms;
        self.dip_ms = (now_ms / period).saturating_add(1).saturating_mul(period);
    }

    /// Moves the limit after a window, if it was reached.
    fn steer(&mut self, window: &Window, load: Load) {
        let is_pressed = window.is_near(2);
        let tolerated = tolerated(self.follow(window, load, is_pressed));
        if !is_pressed {
            self.recent = None;
            self.pressed = 0;
            let distance = tolerated - load.latency + load.noise;
            if window.is_near(16) && distance > 0.0 {
                self.turn(distance);
            }
            return;
        }
        let recent = self.recent.map_or(load, |recent| recent.mean(load));
        self.recent = Some(recent);
        self.pressed = self.pressed.saturating_add(1);
        self.mean_micros = (recent.in_flight - recent.rate).exp2() * 1_000.0;
        self.turn(tolerated - recent.latency + recent.noise);
        if let Some(confirmed) = self.confirmed {
            self.limit = self.limit.max(confirmed / 2.0);
        }
        // Long enough for requests to come and go several times. It changes late, so that workers that share a service
        // agree on it although their figures differ a little.
        let wanted_ms = (recent.latency.exp2() / 250.0) as u64;
        if wanted_ms > self.stage_ms + self.stage_ms / 2 {
            self.stage_ms *= 2;
        } else if wanted_ms < self.stage_ms / 3 {
            self.stage_ms = STAGE_MS.max(self.stage_ms / 2);
        }
    }

    /// What a window says of the base outside of dips.
    fn follow(&mut self, window: &Window, load: Load, is_pressed: bool) -> f32 {
        let mut base = self.base.unwrap_or(load.latency);
        let change = load.latency - base;
        if change < -load.tells() {
            // Nothing takes less than without a queue, so the service has become faster.
            base += change * 0.5 * (window.answered as f32 / FULL as f32).min(1.0);
        } else if !is_pressed && (self.confirmed.is_none() || change < load.tells()) {
            self.quiet = (self.quiet + 1.0).min(WINDOWS);
            base += change / self.quiet;
        }
        self.base = Some(base);
        base
    }

    /// Changes the limit by a part of the distance to what is tolerated, in doublings; by more and more of it as long as
    /// there is some.
    fn turn(&mut self, distance: f32) {
        self.calm = if distance > 0.0 { self.calm.saturating_add(1) } else { 0 };
        let gain = GAIN * self.calm.saturating_sub(CALM).max(1) as f32;
        self.limit = self.limit * (distance * gain).clamp(-FALL, RISE).exp2() + self.limit.sqrt() * GROWTH;
    }

    /// What a stage of a dip says: they still queue, or this is the base.
    fn end_stage(&mut self, dip: Dip, load: Load) {
        let less = dip.before.in_flight - load.in_flight;
        let queues = less > SHALLOW
            && dip.before.latency - load.latency >= ELASTIC * less
            && dip.before.rate - load.rate <= LOST_RATE;
        if queues && dip.stage < STAGES {
            self.dip = Some(Dip::new(dip.stage + 1, dip.end_ms, self.stage_ms, load));
            return;
        }
        // With fewer in flight it cannot take longer, unless others have ended their dip meanwhile.
        let deeper = if dip.stage > 1 { load.latency.min(dip.before.latency) } else { load.latency };
        self.base = Some(deeper);
        self.recent = None;
        self.confirmed = if queues { None } else { Some(self.limit) };
    }

    fn allow(&mut self) {
        self.limit = self.limit.clamp(self.min as f32, self.max as f32);
        let part = self.dip.map_or(1.0, |dip| part(dip.stage));
        self.allowed = ((self.limit * part) as u32).clamp(self.min, self.max);
    }
}

/// To base 2, of a number that is not 0, less than a hundredth off. It is needed for each request, so it must be quick.
fn logarithm(number: u32) -> f32 {
    // The exponent, and a parabola through the logarithm of the mantissa.
    let bits = (number as f32).to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let rest = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000) - 1.0;
    exponent + rest * (1.345 - 0.345 * rest)
}

/// The part of the limit that a stage of a dip allows.
fn part(stage: u32) -> f32 {
    0.5_f32.powi(stage.cast_signed())
}

/// The latency that is tolerated, as a logarithm like the base.
fn tolerated(base: f32) -> f32 {
    (base.exp2() * TOLERANCE + SLACK_MICROS).log2()
}

impl Load {
    /// A difference of latency that is not by chance.
    fn tells(&self) -> f32 {
        CLOSE.max(self.noise * 2.0)
    }

    fn mean(self, other: Self) -> Self {
        Self {
            latency: f32::midpoint(self.latency, other.latency),
            noise: self.noise.hypot(other.noise) / 2.0,
            in_flight: f32::midpoint(self.in_flight, other.in_flight),
            rate: f32::midpoint(self.rate, other.rate),
        }
    }
}

impl Dip {
    const fn new(stage: u32, start_ms: u64, stage_ms: u64, before: Load) -> Self {
        Self { stage, start_ms, end_ms: start_ms.saturating_add(stage_ms), run: 0, before }
    }
}

/// Requests that ended in some time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// When the first did.
    start_ms: u64,
    answered: u32,
    dropped: u32,
    /// Of the latencies of those that were answered: sums of the logarithms, and of their squares.
    latencies: f64,
    squares: f64,
    /// Sum of the numbers in flight.
    in_flight: u64,
    /// Those with nearly as many in flight as were allowed.
    near: u32,
}

impl Window {
    fn add(&mut self, latency_micros: u32, in_flight: u32, allowed: u32, outcome: Outcome, now_ms: u64) {
        if self.count() == 0 {
            self.start_ms = now_ms;
        }
        match outcome {
            Outcome::Answered => {
                self.answered = self.answered.saturating_add(1);
                let latency = f64::from(logarithm(latency_micros.max(1)));
                self.latencies += latency;
                self.squares += latency * latency;
            }
            Outcome::Dropped => self.dropped = self.dropped.saturating_add(1),
        }
        self.in_flight += u64::from(in_flight);
        self.near = self.near.saturating_add(u32::from(in_flight >= allowed - allowed / 8));
    }

    const fn count(&self) -> u32 {
        self.answered.saturating_add(self.dropped)
    }

    /// Whether more than one in a hundred was dropped.
    const fn drops(&self) -> bool {
        self.dropped as u64 * 100 > self.count() as u64
    }

    /// Whether on average at least a part of what is allowed was in flight.
    const fn reaches(&self, allowed: u32, part: u64) -> bool {
        self.in_flight * part >= self.count() as u64 * allowed as u64
    }

    /// Whether nearly as many as allowed were in flight, at least at one in so many times.
    const fn is_near(&self, part: u64) -> bool {
        self.near as u64 * part >= self.count() as u64
    }

    /// `None` if too few were answered.
    fn load(&self, now_ms: u64) -> Option<Load> {
        if self.answered < FEWEST {
            return None;
        }
        let answered = f64::from(self.answered);
        let mean = self.latencies / answered;
        let variance = (self.squares / answered - mean * mean).max(0.0);
        let count = self.count() as f32;
        let age_ms = now_ms.saturating_sub(self.start_ms).max(1) as f32;
        Some(Load {
            latency: mean as f32,
            noise: (variance / answered).sqrt() as f32,
            in_flight: (self.in_flight as f32 / count).max(1.0).log2(),
            rate: (count / age_ms).log2(),
        })
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
