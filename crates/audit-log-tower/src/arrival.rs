use audit_log::{Client, UserAgent};
use core_types::{RequestId, UnixTime};

/// What is known of a request before anyone looks at it. The layer puts it into the request's extensions.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub(crate) request: RequestId,
    pub(crate) client: Option<Client>,
    pub(crate) user_agent: Option<UserAgent>,
    pub(crate) started_at: UnixTime,
}

impl Arrival {
    /// The request's id, which the answer carries too ([`X_REQUEST_ID`](crate::X_REQUEST_ID)).
    #[must_use]
    pub const fn request(&self) -> RequestId {
        self.request
    }

    /// Where the request came from, where the connection is known.
    #[must_use]
    pub const fn client(&self) -> Option<Client> {
        self.client
    }

    /// What the client calls itself.
    #[must_use]
    pub const fn user_agent(&self) -> Option<&UserAgent> {
        self.user_agent.as_ref()
    }

    /// When it came in.
    #[must_use]
    pub const fn started_at(&self) -> UnixTime {
        self.started_at
    }
}
