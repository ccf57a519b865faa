//! Tells each worker which addresses are to get no requests.
//!
//! For each worker a task of its own, so that one that hangs keeps nothing from the others. What is told is what holds
//! when there is room in the queue, so a worker that was busy hears the last word only. Entry point:
//! [`Publishers::publish`].

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use dataplane::Order;
use tokio::sync::{Notify, mpsc};

use super::{Shared, Task};

/// Who tells the workers.
pub(super) struct Publishers(RefCell<Vec<Publisher>>);

struct Publisher {
    outbox: Rc<Outbox>,
    _task: Task,
}

/// The services of which a worker has to hear.
#[derive(Default)]
struct Outbox {
    services: RefCell<BTreeSet<Arc<str>>>,
    filled: Notify,
}

impl Publishers {
    /// For the workers with these queues.
    pub(super) fn new(queues: &[mpsc::Sender<Order>], shared: &Weak<Shared>) -> Publishers {
        let publisher = |queue: &mpsc::Sender<Order>| {
            let outbox = Rc::<Outbox>::default();
            let telling = tell(Rc::clone(&outbox), queue.clone(), Weak::clone(shared));
            Publisher { outbox, _task: Task(tokio::task::spawn_local(telling)) }
        };
        Publishers(RefCell::new(queues.iter().map(publisher).collect()))
    }

    /// All workers shall hear of a service.
    pub(super) fn publish(&self, service: &Arc<str>) {
        for publisher in self.0.borrow().iter() {
            publisher.outbox.services.borrow_mut().insert(Arc::clone(service));
            publisher.outbox.filled.notify_one();
        }
    }

    /// Nobody is told anything any more.
    pub(super) fn stop(&self) {
        self.0.take();
    }
}

async fn tell(outbox: Rc<Outbox>, queue: mpsc::Sender<Order>, shared: Weak<Shared>) {
    loop {
        let next = outbox.services.borrow_mut().pop_first();
        let Some(service) = next else {
            outbox.filled.notified().await;
            continue;
        };
        // A worker that has ended takes no more orders, and needs none.
        let Ok(place) = queue.reserve().await else { return };
        let Some(shared) = shared.upgrade() else { return };
        place.send(Order::Outages(shared.outages_of(&service)));
    }
}
