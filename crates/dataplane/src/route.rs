//! A route with the live state of where it leads: all that a request needs once it has found its way.

use std::rc::Rc;
use std::sync::Arc;

use snapshot::{Mirror, Route};
use telemetry::{ConsumerSeries, RouteSeries};

use crate::dial::Dial;
use crate::live::LiveService;
use crate::places::Places;

/// A route with the live state of where it leads.
pub(crate) struct LiveRoute {
    pub(crate) route: Arc<Route>,
    ways: Box<[Way]>,
    /// Who gets copies.
    mirror: Option<Rc<LiveService>>,
    /// What is counted of consumers, by their place.
    consumers: Rc<[Arc<ConsumerSeries>]>,
    /// Which share its second way has, where that changes by itself.
    pub(crate) dial: Option<Arc<Dial>>,
}

struct Way {
    service: Option<Rc<LiveService>>,
    series: Arc<RouteSeries>,
}

impl LiveRoute {
    /// With the services of its snapshot, and what is counted of each of its ways.
    pub(crate) fn new(
        route: &Arc<Route>,
        series: Vec<Arc<RouteSeries>>,
        services: &[Rc<LiveService>],
        consumers: &Rc<[Arc<ConsumerSeries>]>,
        places: &Places,
    ) -> LiveRoute {
        let way = |(way, series)| Way {
            service: route.action.service(way).and_then(|index| services.get(index.0).cloned()),
            series,
        };
        LiveRoute {
            route: Arc::clone(route),
            ways: series.into_iter().enumerate().map(way).collect(),
            mirror: route.action.mirror().and_then(|mirror| services.get(mirror.service.0).cloned()),
            consumers: Rc::clone(consumers),
            dial: route.canary.as_ref().map(|_| places.dial(&route.name)),
        }
    }

    /// What is counted of a consumer.
    #[inline]
    pub(crate) fn consumer(&self, index: u32) -> Option<&ConsumerSeries> {
        self.consumers.get(index as usize).map(|series| &**series)
    }

    /// The service of a way.
    #[inline]
    pub(crate) fn service(&self, way: usize) -> Option<&LiveService> {
        self.ways.get(way)?.service.as_deref()
    }

    /// Who gets copies, and of how many requests.
    #[inline]
    pub(crate) fn mirror(&self) -> Option<(&Mirror, &Rc<LiveService>)> {
        self.route.action.mirror().zip(self.mirror.as_ref())
    }

    /// What is counted of a way.
    #[inline]
    pub(crate) fn series(&self, way: usize) -> Option<&RouteSeries> {
        self.ways.get(way).map(|way| &*way.series)
    }
}
