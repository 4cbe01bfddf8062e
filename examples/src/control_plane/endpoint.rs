//! Which calls there are, which permission each needs, and which of them change something.

use audit_log::{Action, Class};
use audit_log_tower::{Inventory, RouteName, Treatment};
use axum::http::Method;

use super::api_error::ApiError;
use super::startup::StartError;
use super::state;

/// One call of the API.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// What the caller must be allowed: `service:verb`. It is also the action in the audit log.
    pub(crate) permission: &'static str,
    pub(crate) place: Place,
}

/// Where a call acts, and so where its permission must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the project the request names.
    Project,
    /// In the whole installation.
    Root,
    /// On the caller's own token: a valid one is enough, whatever it allows.
    Own,
}

impl Endpoint {
    const fn new(method: Method, path: &'static str, permission: &'static str, place: Place) -> Self {
        Self { method, path, permission, place }
    }

    /// Whether the call changes something, and so is recorded whatever its outcome.
    pub(crate) fn mutates(&self) -> bool {
        !self.method.is_safe()
    }

    /// Whether it is what a form of a page does.
    pub(crate) fn is_page_action(&self) -> bool {
        self.mutates() && self.path.starts_with("/portal/")
    }

    /// What is recorded of the call. Who takes rights away, or must log in to do so, may use the log's reserve.
    fn treatment(&self) -> Result<Treatment, ApiError> {
        let action = Action::from(state::permission(self.permission)?);
        let is_protective =
            self.method == Method::DELETE || matches!(self.permission, "iam:write" | "sessions:write");
        Ok(match () {
            () if is_protective => Treatment::Recorded(Class::Security, action),
            () if self.mutates() => Treatment::Recorded(Class::Change, action),
            () if self.permission == "audit-logs:read" => Treatment::Recorded(Class::Read, action),
            () => Treatment::Refusals(action),
        })
    }
}

/// The endpoint of a route.
pub(crate) fn of(route: &RouteName) -> Option<&'static Endpoint> {
    ALL.iter()
        .copied()
        .find(|endpoint| endpoint.path == route.path() && endpoint.method.as_str() == route.method())
}

/// Every route that is served, with what is recorded of it.
pub(crate) fn inventory() -> Result<Inventory, StartError> {
    let part = "inventory of routes";
    let mut routes = OPEN.iter().fold(Inventory::builder(), |routes, path| routes.open(&Method::GET, path));
    for endpoint in ALL {
        let treatment = endpoint.treatment().map_err(|error| StartError::part(part)(error.code()))?;
        routes = routes.with(&endpoint.method, endpoint.path, treatment);
    }
    routes.build().map_err(StartError::part(part))
}

/// What anyone may have, and nobody records.
pub(crate) const OPEN: [&str; 3] = ["/healthz", "/portal/login", "/portal/style.css"];

macro_rules! endpoints {
    ($($name:ident = $method:ident $path:literal $permission:literal $place:ident;)*) => {
        $(pub(crate) static $name: Endpoint =
            Endpoint::new(Method::$method, $path, $permission, Place::$place);)*

        /// All of them.
        pub(crate) static ALL: &[&Endpoint] = &[$(&$name),*];
    };
}

endpoints! {
    ADD_SSH_KEY = POST "/api/v1/ssh-keys" "ssh-keys:write" Project;
    LIST_SSH_KEYS = GET "/api/v1/ssh-keys" "ssh-keys:read" Project;
    GET_SSH_KEY = GET "/api/v1/ssh-keys/{id}" "ssh-keys:read" Project;
    REMOVE_SSH_KEY = DELETE "/api/v1/ssh-keys/{id}" "ssh-keys:write" Project;
    ROTATE_SSH_KEY = POST "/api/v1/ssh-keys/{id}/rotate" "ssh-keys:write" Project;
    SSH_KEY_USAGE = GET "/api/v1/ssh-key-usage" "ssh-keys:read" Root;
    REVOKE_SSH_KEY = POST "/api/v1/compromised-ssh-keys" "ssh-keys:write" Root;

    CREATE_VM = POST "/api/v1/vms" "vms:write" Project;
    LIST_VMS = GET "/api/v1/vms" "vms:read" Project;
    GET_VM = GET "/api/v1/vms/{name}" "vms:read" Project;
    REMOVE_VM = DELETE "/api/v1/vms/{name}" "vms:write" Project;
    ATTACH_SSH_KEY = POST "/api/v1/vms/{name}/ssh-keys" "vms:write" Project;
    DETACH_SSH_KEY = DELETE "/api/v1/vms/{name}/ssh-keys/{id}/{account}" "vms:write" Project;
    GET_USER_DATA = GET "/api/v1/vms/{name}/user-data" "vms:read" Project;
    GET_KEY_BUNDLE = GET "/api/v1/vms/{name}/key-bundle" "vms:read" Project;

    ISSUE_TOKEN = POST "/api/v1/api-tokens" "api-tokens:write" Project;
    LIST_TOKENS = GET "/api/v1/api-tokens" "api-tokens:read" Project;
    REVOKE_TOKEN = DELETE "/api/v1/api-tokens/{id}" "api-tokens:write" Project;
    REVOKE_ALL_TOKENS = DELETE "/api/v1/api-tokens" "api-tokens:write" Project;
    ROTATE_TOKEN = POST "/api/v1/api-tokens/{id}/rotate" "api-tokens:write" Project;
    END_OVERLAP = DELETE "/api/v1/api-tokens/{id}/overlap" "api-tokens:write" Project;
    REPORT_LEAK = POST "/api/v1/leaked-tokens" "api-tokens:write" Root;
    REVOKE_USER_TOKENS = DELETE "/api/v1/users/{id}/api-tokens" "iam:write" Root;

    LOG_IN = POST "/api/v1/login" "sessions:write" Own;
    LOG_OUT = DELETE "/api/v1/self" "sessions:write" Own;
    WHO_AM_I = GET "/api/v1/self" "sessions:read" Own;

    CREATE_PROJECT = POST "/api/v1/projects" "projects:write" Root;
    LIST_PROJECTS = GET "/api/v1/projects" "projects:read" Root;

    CREATE_USER = POST "/api/v1/users" "iam:write" Root;
    LIST_USERS = GET "/api/v1/users" "iam:read" Root;
    DISABLE_USER = DELETE "/api/v1/users/{id}" "iam:write" Root;
    CREATE_GROUP = POST "/api/v1/groups" "iam:write" Root;
    LIST_GROUPS = GET "/api/v1/groups" "iam:read" Root;
    ADD_MEMBER = POST "/api/v1/groups/{id}/members" "iam:write" Root;
    REMOVE_MEMBER = DELETE "/api/v1/groups/{id}/members/{member}" "iam:write" Root;
    CREATE_ROLE = POST "/api/v1/roles" "iam:write" Root;
    LIST_ROLES = GET "/api/v1/roles" "iam:read" Root;
    CREATE_BINDING = POST "/api/v1/bindings" "iam:write" Root;
    LIST_BINDINGS = GET "/api/v1/bindings" "iam:read" Root;
    REMOVE_BINDING = DELETE "/api/v1/bindings/{id}" "iam:write" Root;

    ISSUE_TICKET = POST "/api/v1/join-tickets" "joins:write" Root;
    LIST_TICKETS = GET "/api/v1/join-tickets" "joins:read" Root;
    REVOKE_TICKET = DELETE "/api/v1/join-tickets/{id}" "joins:write" Root;
    SHOW_CODE = POST "/api/v1/join-code" "joins:write" Root;
    HIDE_CODE = DELETE "/api/v1/join-code" "joins:write" Root;
    LIST_JOINS = GET "/api/v1/joins" "joins:read" Root;
    APPROVE_JOIN = POST "/api/v1/joins/{id}/approve" "joins:write" Root;
    REFUSE_JOIN = DELETE "/api/v1/joins/{id}" "joins:write" Root;
    LIST_MEMBERS = GET "/api/v1/members" "joins:read" Root;
    REVOKE_MEMBER = DELETE "/api/v1/members/{id}" "joins:write" Root;

    EXPLAIN = GET "/api/v1/explain" "iam:read" Root;

    LIST_AUDIT_LOGS = GET "/api/v1/audit-logs" "audit-logs:read" Root;

    PORTAL_LOG_IN = POST "/portal/login" "sessions:write" Own;
    PORTAL_LOG_OUT = POST "/portal/logout" "sessions:write" Own;
    GET_RECEIPT = GET "/api/v1/audit-logs/{sequence}/receipt" "audit-logs:read" Root;
    PORTAL_RECEIPT = GET "/portal/audit-logs/{sequence}/receipt" "audit-logs:read" Root;
    PORTAL_AUDIT_LOGS = GET "/portal/audit-logs" "audit-logs:read" Root;
}

#[cfg(test)]
mod tests {
    use core_types::Permission;

    use super::ALL;

    #[test]
    fn every_permission_is_one() {
        for endpoint in ALL {
            assert!(endpoint.permission.parse::<Permission>().is_ok(), "{}", endpoint.permission);
        }
    }

    #[test]
    fn no_call_is_listed_twice() {
        for (at, endpoint) in ALL.iter().enumerate() {
            assert!(
                ALL.iter()
                    .skip(at + 1)
                    .all(|other| (&other.method, other.path) != (&endpoint.method, endpoint.path)),
                "{} {}",
                endpoint.method,
                endpoint.path
            );
        }
    }

    #[test]
    fn what_changes_something_does_not_ask_for_a_reading_permission() {
        for endpoint in ALL {
            assert_eq!(endpoint.mutates(), endpoint.permission.ends_with(":write"), "{}", endpoint.path);
        }
    }
}
