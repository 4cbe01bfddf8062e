#![doc = include_str!("../README.md")]

mod authorizer;
pub mod backtest;
mod builtin;
mod circumstances;
pub mod condition;
pub mod context;
pub mod cover;
mod decision;
pub mod diff;
mod directory;
pub mod document;
mod error;
pub mod explain;
pub mod handle;
mod holder;
mod key;
pub mod lint;
mod name;
mod pattern_set;
pub mod plan;
pub mod policy;
pub mod reach;
pub mod record;
mod region;
pub mod registry;
mod request;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
pub mod usage;
pub mod what;
pub mod who;

pub use authorizer::{Authorizer, MAX_EFFECTIVE_GRANTS};
pub use builtin::BuiltInRole;
pub use condition::{Condition, Truth};
pub use context::{AttributeName, AttributeValue, Context};
pub use decision::{Allow, Decision, Deny, DenyReason, Missing, NearMiss, StatementRef};
pub use directory::Directory;
pub use error::{
    ContextError, CursorError, DocumentError, GrantsError, NameError, PatternSetError, PolicyError,
    ReachError, WriteError,
};
pub use explain::{Explanation, Fact};
pub use handle::{PermissionHandle, PermissionTable, ScopeHandle};
pub use holder::{BindingId, BreakGlassId, GroupId, Holder, PolicyId, RoleId, RoleRef, TrustId};
pub use key::PREFIX;
pub use lint::{Finding, Lint};
pub use name::{MAX_NAME_BYTES, Name};
pub use pattern_set::{MAX_PATTERNS, PatternSet};
pub use plan::{Grantor, Planned, Planner};
pub use policy::{Effect, PolicyDocument, Statement};
pub use registry::Registry;
pub use request::{AccessRequest, TextRequest};
