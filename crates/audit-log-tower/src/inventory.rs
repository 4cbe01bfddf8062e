use core::fmt;
use std::collections::BTreeMap;

use audit_log::{Action, Class};
use http::Method;

use crate::error::InventoryError;

/// A route by name: its method and its path as the router has it, `/api/v1/keys/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteName {
    method: String,
    path: String,
}

impl RouteName {
    /// The route of this method and path.
    #[must_use]
    pub fn new(method: &Method, path: &str) -> Self {
        Self { method: method.as_str().to_owned(), path: path.to_owned() }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, as the router has it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether a request to it may change something: all but the safe methods of RFC 9110, section 9.2.1.
    #[must_use]
    pub fn is_mutating(&self) -> bool {
        !matches!(&*self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What is recorded of the requests to a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Treatment {
    /// Every request, as this class of this action.
    Recorded(Class, Action),
    /// Those that are refused, as attempts at this action.
    Refusals(Action),
    /// None, and nobody is asked who they are.
    Open,
}

/// A route and what is recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    name: RouteName,
    treatment: Treatment,
}

impl Route {
    /// The route's name.
    #[must_use]
    pub const fn name(&self) -> &RouteName {
        &self.name
    }

    /// What is recorded of it.
    #[must_use]
    pub const fn treatment(&self) -> &Treatment {
        &self.treatment
    }

    /// The action, where anything is recorded.
    #[must_use]
    pub const fn action(&self) -> Option<&Action> {
        match &self.treatment {
            Treatment::Recorded(_, action) | Treatment::Refusals(action) => Some(action),
            Treatment::Open => None,
        }
    }
}

/// Every route of a service, with what is recorded of it.
///
/// It exists only where every route that may change something is recorded: whoever has one may serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    routes: BTreeMap<RouteName, Route>,
}

impl Inventory {
    /// An inventory of no routes yet.
    #[must_use]
    pub const fn builder() -> InventoryBuilder {
        InventoryBuilder { routes: Vec::new() }
    }

    /// The routes, in the order of their names.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values()
    }

    /// The route of this name.
    #[must_use]
    pub fn route(&self, name: &RouteName) -> Option<&Route> {
        self.routes.get(name)
    }

    /// Compares the inventory with what a router serves, for routers that can be asked.
    ///
    /// # Errors
    /// [`InventoryError::Unknown`] names every route that is served and not in the inventory.
    pub fn covers<'a>(
        &self,
        served: impl IntoIterator<Item = (&'a Method, &'a str)>,
    ) -> Result<(), InventoryError> {
        let names = served.into_iter().map(|(method, path)| RouteName::new(method, path));
        let routes: Vec<RouteName> = names.filter(|name| !self.routes.contains_key(name)).collect();
        if routes.is_empty() { Ok(()) } else { Err(InventoryError::Unknown { routes }) }
    }
}

/// Collects the routes of an [`Inventory`].
#[derive(Debug, Clone, Default)]
pub struct InventoryBuilder {
    routes: Vec<Route>,
}

impl InventoryBuilder {
    /// Every request to the route is recorded.
    #[must_use]
    pub fn recorded(self, method: &Method, path: &str, class: Class, action: Action) -> Self {
        self.with(method, path, Treatment::Recorded(class, action))
    }

    /// Requests that are refused are recorded, others are not: for safe methods only.
    #[must_use]
    pub fn refusals(self, method: &Method, path: &str, action: Action) -> Self {
        self.with(method, path, Treatment::Refusals(action))
    }

    /// Nothing is recorded, and nobody is asked who they are: for safe methods only, as health checks.
    #[must_use]
    pub fn open(self, method: &Method, path: &str) -> Self {
        self.with(method, path, Treatment::Open)
    }

    /// A route with its treatment.
    #[must_use]
    pub fn with(mut self, method: &Method, path: &str, treatment: Treatment) -> Self {
        self.routes.push(Route { name: RouteName::new(method, path), treatment });
        self
    }

    /// The inventory.
    ///
    /// # Errors
    /// [`InventoryError::Unaudited`], [`InventoryError::Misclassified`], [`InventoryError::Twice`], each with all the
    /// routes it is about.
    pub fn build(self) -> Result<Inventory, InventoryError> {
        let mutating = || self.routes.iter().filter(|route| route.name.is_mutating());
        let names =
            |routes: Vec<&Route>| routes.into_iter().map(|route| route.name.clone()).collect::<Vec<_>>();
        let unaudited = mutating()
            .filter(|route| matches!(route.treatment, Treatment::Refusals(_) | Treatment::Open))
            .collect::<Vec<_>>();
        if !unaudited.is_empty() {
            return Err(InventoryError::Unaudited { routes: names(unaudited) });
        }
        let misclassified = mutating()
            .filter(|route| matches!(route.treatment, Treatment::Recorded(Class::Read, _)))
            .collect::<Vec<_>>();
        if !misclassified.is_empty() {
            return Err(InventoryError::Misclassified { routes: names(misclassified) });
        }
        let mut routes = BTreeMap::new();
        let mut twice = Vec::new();
        for route in self.routes {
            if let Some(earlier) = routes.insert(route.name.clone(), route) {
                twice.push(earlier.name);
            }
        }
        if twice.is_empty() { Ok(Inventory { routes }) } else { Err(InventoryError::Twice { routes: twice }) }
    }
}
