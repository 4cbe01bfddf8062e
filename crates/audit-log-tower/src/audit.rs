use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use audit_log::{AuditLog, Completion, Intent, UserAgent};
use core_types::{Clock, RandomError, RequestId, SecureRandom};
use http::header::USER_AGENT;
use http::request::Parts;
use http::{Extensions, Method};

use crate::arrival::Arrival;
use crate::error::InventoryError;
use crate::inventory::{Inventory, RouteName};
use crate::layer::AuditLayer;
use crate::proxies::TrustedProxies;

/// Makes the layers of all routes of one service, and says when none is missing.
///
/// Everything but the log, the inventory and the gate is set before the first layer is made; later it has no effect.
pub struct Audit<G> {
    shared: Arc<Shared<G>>,
}

pub(crate) struct Shared<G> {
    pub(crate) log: AuditLog,
    inventory: Inventory,
    pub(crate) gate: G,
    clock: Box<dyn Clock>,
    random: Box<dyn SecureRandom>,
    proxies: TrustedProxies,
    peer: fn(&Extensions) -> Option<IpAddr>,
    timer: Option<fn() -> Duration>,
    pub(crate) mirror: Option<Mirror>,
    // The routes that have a layer.
    layered: Mutex<BTreeSet<RouteName>>,
}

pub(crate) type Mirror = Box<dyn Fn(&Mirrored<'_>) + Send + Sync>;

/// A call that was recorded, for whoever wants to show it elsewhere too.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Mirrored<'a> {
    /// Who wanted what.
    pub intent: &'a Intent,
    /// How it ended.
    pub completion: &'a Completion,
    /// The entry's sequence; none while it is on its way, or when the attempt was counted.
    pub sequence: Option<u64>,
}

impl<G> Audit<G> {
    /// Records the calls of the routes of `inventory` in `log`, after `gate` has let them in.
    #[must_use]
    pub fn new(
        log: AuditLog,
        inventory: Inventory,
        gate: G,
        clock: impl Clock + 'static,
        random: impl SecureRandom + 'static,
    ) -> Self {
        let shared = Shared {
            log,
            inventory,
            gate,
            clock: Box::new(clock),
            random: Box::new(random),
            proxies: TrustedProxies::none(),
            peer: |_| None,
            timer: None,
            mirror: None,
            layered: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How the other end of the connection is found. Without it no address is recorded.
    #[must_use]
    pub fn with_peer(self, peer: fn(&Extensions) -> Option<IpAddr>) -> Self {
        self.set(|shared| shared.peer = peer)
    }

    /// Whose word on the client's address is believed.
    #[must_use]
    pub fn with_proxies(self, proxies: TrustedProxies) -> Self {
        self.set(|shared| shared.proxies = proxies)
    }

    /// What durations are measured by: the time since any fixed instant, never going back. Without it they are
    /// differences of the clock, in whole milliseconds.
    #[must_use]
    pub fn with_timer(self, timer: fn() -> Duration) -> Self {
        self.set(|shared| shared.timer = Some(timer))
    }

    /// Shows every call elsewhere too, after it was recorded: a mirror, never the record.
    #[must_use]
    pub fn with_mirror(self, mirror: impl Fn(&Mirrored<'_>) + Send + Sync + 'static) -> Self {
        self.set(|shared| shared.mirror = Some(Box::new(mirror)))
    }

    /// The layer of one route.
    ///
    /// # Errors
    /// [`InventoryError::Unknown`]: the inventory has no such route. Do not serve it.
    pub fn layer(&self, method: &Method, path: &str) -> Result<AuditLayer<G>, InventoryError> {
        let name = RouteName::new(method, path);
        let Some(route) = self.shared.inventory.route(&name) else {
            return Err(InventoryError::Unknown { routes: vec![name] });
        };
        let layer = AuditLayer::new(Arc::clone(&self.shared), Arc::new(route.clone()));
        self.shared.layered.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        Ok(layer)
    }

    /// Whether every route of the inventory has its layer: ask before serving.
    ///
    /// # Errors
    /// [`InventoryError::Unlayered`] with those that have none.
    pub fn ensure_complete(&self) -> Result<(), InventoryError> {
        let layered = self.shared.layered.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.shared.inventory.routes().map(crate::inventory::Route::name);
        let routes: Vec<RouteName> = names.filter(|name| !layered.contains(name)).cloned().collect();
        if routes.is_empty() { Ok(()) } else { Err(InventoryError::Unlayered { routes }) }
    }

    fn set(mut self, change: impl FnOnce(&mut Shared<G>)) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            change(shared);
        }
        self
    }
}

impl<G> Shared<G> {
    pub(crate) fn arrive(&self, parts: &Parts) -> Result<Arrival, RandomError> {
        let started_at = self.clock.now();
        let peer = (self.peer)(&parts.extensions);
        Ok(Arrival {
            request: RequestId::generate(started_at, &*self.random)?,
            client: peer.map(|peer| self.proxies.client(peer, &parts.headers)),
            user_agent: parts.headers.get(USER_AGENT).map(|value| UserAgent::from_header(value.as_bytes())),
            started_at,
        })
    }

    /// Begins to measure a duration.
    pub(crate) fn start(&self) -> Started {
        Started(self.elapsed())
    }

    pub(crate) fn since(&self, started: Started) -> Duration {
        self.elapsed().saturating_sub(started.0)
    }

    fn elapsed(&self) -> Duration {
        self.timer.map_or_else(|| Duration::from_millis(self.clock.now().as_millis()), |timer| timer())
    }
}

/// When a request came in, by the timer.
#[derive(Clone, Copy)]
pub(crate) struct Started(Duration);

impl<G> Clone for Audit<G> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<G> fmt::Debug for Audit<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("inventory", &self.shared.inventory).finish_non_exhaustive()
    }
}
