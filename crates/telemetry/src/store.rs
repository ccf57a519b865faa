//! How the store that gateways share answers. Each worker asks by itself.

use std::time::Duration;

use crate::exposition::{STORE_ASKED, STORE_CONNECTIONS, STORE_SECONDS, Text};
use crate::histogram::HistogramSum;
use crate::{Counter, Gauge, Histogram, Metrics};

/// What one worker has asked.
#[derive(Debug, Default)]
pub struct StoreSeries {
    /// 1 if it can ask, -1 if it cannot, 0 if there is no store.
    pub connected: Gauge,
    decided: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl StoreSeries {
    /// Something was asked, and decided or not, after this time.
    pub fn asked(&self, is_decided: bool, took: Duration) {
        let count = if is_decided { &self.decided } else { &self.failed };
        count.add(1);
        self.seconds.observe(took);
    }
}

impl Metrics {
    pub(crate) fn render_store(&self, text: &mut Text) {
        let all = || self.workers.iter().map(|worker| &worker.store);
        text.family(&STORE_CONNECTIONS);
        for (state, value) in [("up", 1), ("down", -1)] {
            let count = all().filter(|series| series.connected.get() == value).count();
            text.series(STORE_CONNECTIONS.name, "", &[("state", state)], count);
        }
        let sum = |of: fn(&StoreSeries) -> &Counter| all().map(|series| of(series).get()).sum::<u64>();
        text.family(&STORE_ASKED);
        for (result, count) in
            [("decided", sum(|series| &series.decided)), ("failed", sum(|series| &series.failed))]
        {
            text.series(STORE_ASKED.name, "", &[("result", result)], count);
        }
        let mut seconds = HistogramSum::default();
        all().for_each(|series| series.seconds.add_to(&mut seconds));
        text.family(&STORE_SECONDS);
        text.histogram(&STORE_SECONDS, &[], &seconds);
    }
}
