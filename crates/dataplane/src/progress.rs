//! How far one attempt at a request has come.

use message::ResponseHead;
use wire::HeadScan;

use crate::patience::Patience;
use crate::pump::Pump;
use crate::timer::Tick;

/// How far one attempt has come.
pub(crate) struct Progress {
    /// The head of the response, from when it was read until it was passed on.
    pub(crate) response: Option<Box<ResponseHead>>,
    /// The body of the response, on the way to the client.
    pub(crate) download: Pump,
    /// Nothing that the service sent speaks against using its connection again.
    pub(crate) reusable: bool,
    /// The service takes no more of the body; it may still answer.
    pub(crate) upload_failed: bool,
    /// When the whole request must be done.
    pub(crate) total: Tick,
    /// When this attempt must have a response head.
    pub(crate) per_try: Tick,
    /// When the service must have done the next thing.
    pub(crate) service_deadline: Tick,
    pub(crate) body_patience: Patience,
    pub(crate) send_patience: Patience,
    pub(crate) scan: HeadScan,
    pub(crate) interim: u32,
    pub(crate) answered: bool,
    /// Bytes of the response that had passed at the last look.
    pub(crate) seen: u64,
    /// The head of the response was passed on; from now on its body sets the service's deadline.
    pub(crate) body_began: bool,
    /// Before this tick nobody looks at the client: most requests are over by then, and a look costs as much as
    /// reading its request did.
    pub(crate) watch_client: Tick,
    pub(crate) client_end: ClientEnd,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            response: None,
            download: Pump::default(),
            reusable: true,
            upload_failed: false,
            total: Tick::NEVER,
            per_try: Tick::NEVER,
            service_deadline: Tick::NEVER,
            body_patience: Patience::default(),
            send_patience: Patience::default(),
            scan: HeadScan::default(),
            interim: 0,
            answered: false,
            seen: 0,
            body_began: false,
            watch_client: Tick(0),
            client_end: ClientEnd::Open,
        }
    }
}

/// What is known of a client that has said it will send nothing more. It may have gone, or it may be
/// waiting for its response with one direction closed: a FIN looks the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientEnd {
    /// It has not.
    Open,
    /// It has, before it had an answer; seen at this tick. Next it is asked.
    Closed(Tick),
    /// It closed one direction, and waits. Should it have gone after all, its system says so with a reset
    /// as soon as anything is sent; at this tick it is looked for, and then after twice the time.
    HalfClosed { look: Tick, pause: u64 },
    /// It did so in the middle of the response, which is how clients leave. It is given up when nothing has
    /// come from the service since this tick, when so many bytes had passed.
    Leaving { since: Tick, passed: u64 },
}
