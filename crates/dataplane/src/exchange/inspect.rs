//! Looks at a response before its head is passed on, because a policy has asked for it.
//!
//! Its body is held in memory up to what the policy wants, and passes on from there. A stream of events is none that is
//! looked into: only what is described is, and only JSON and forms. Entry point: [`Exchange::inspect`].

use std::future::poll_fn;
use std::task::{Context, Poll};

use message::{Fault, Method};
use policy::{ResponseBody, ResponseCheck};
use wire::{BodyLength, ResponseMeta};

use super::{Exchange, Failure};
use crate::hold::Filling;
use crate::pump::Pump;
use crate::request::as_it_comes;
use crate::timer::Tick;

impl Exchange<'_> {
    /// Judges the response whose head has come.
    ///
    /// Errors: what it cannot be passed on for. Nothing of it was.
    pub(crate) async fn inspect(&mut self, meta: &ResponseMeta) -> Result<(), Fault> {
        let Some(check) = self.request.state.response_check.take() else { return Ok(()) };
        let is_empty = matches!(meta.body, BodyLength::Empty | BodyLength::Exact(0))
            || self.request.head.method == Method::Head;
        let most = self.progress.response.as_ref().filter(|_| !is_empty);
        if let Some(most) = most.and_then(|head| check.most(head.status, &head.headers)) {
            self.hold_response(meta, most, !check.enforces()).await?;
        }
        let words = self.judge(&check, is_empty);
        let Some(words) = words else { return Ok(()) };
        let (request, worker) = (&mut *self.request, self.worker);
        if check.enforces() {
            request.state.stopped_by = Some(check.reason());
            request.trouble = Some(words.into());
            return Err(Fault::InvalidResponse);
        }
        request.state.tried = Some(check.reason());
        let id = request.state.id.or_generate(&mut worker.rng.borrow_mut()).as_str().to_owned();
        worker.troubles.say_unanswered(self.timer.now(), check.reason().0, words, id);
        Ok(())
    }

    fn judge(&self, check: &ResponseCheck, is_empty: bool) -> Option<String> {
        let head = self.progress.response.as_ref()?;
        let body = match self.progress.download.held() {
            Some(held) if held.is_whole => ResponseBody::Whole(&held.bytes),
            Some(_) => ResponseBody::TooLarge,
            None if is_empty => ResponseBody::Absent,
            None => ResponseBody::Unseen,
        };
        check.judge(head.status, &head.headers, body)
    }

    async fn hold_response(&mut self, meta: &ResponseMeta, most: usize, lenient: bool) -> Result<(), Fault> {
        self.progress.download = Pump::new(as_it_comes(meta.body, self.up.is_stream()), false, None);
        self.begin_body();
        let length = match meta.body {
            BodyLength::Exact(length) => Some(length),
            _ => None,
        };
        let mut filling = Filling::new(&self.worker.held, most, length).lenient(lenient);
        let is_whole = if length.is_some_and(|length| length > most as u64) {
            false
        } else {
            poll_fn(|cx| self.poll_hold(cx, &mut filling)).await?
        };
        self.progress.download.hold(filling.finish(is_whole));
        Ok(())
    }

    fn poll_hold(&mut self, cx: &mut Context<'_>, filling: &mut Filling) -> Poll<Result<bool, Fault>> {
        let uploaded = self.poll_upload(cx);
        let before = filling.taken;
        match self.progress.download.poll_fill(cx, self.up, filling) {
            Poll::Ready(Err(Fault::Shed)) => return Poll::Ready(Err(Fault::Shed)),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::UpstreamCut)),
            Poll::Ready(Ok(is_whole)) => return Poll::Ready(Ok(is_whole)),
            Poll::Pending => {}
        }
        uploaded?;
        let now = self.timer.now();
        if before != filling.taken || self.progress.service_deadline == Tick::NEVER {
            self.progress.service_deadline = now.after(self.timeouts.stream);
        }
        if let Poll::Ready(Err(_)) = self.down.poll_flush(cx) {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.poll_client(cx, false, 0)?;
        self.check_client_end(None)?;
        self.poll_clock(cx).map(|failure| match failure {
            Failure::Final(fault) => Err(fault),
            _ => Err(Fault::ResponseTimeout),
        })
    }
}
