use std::collections::BTreeMap;

use crate::error::RequestError;
use crate::value::Value;

/// A question in AWS's terms: `{"action", "resource", "context"}`.
///
/// The action is concrete. Without a resource it is `*`, which only patterns that match everything match. The
/// context has a scalar or a list of scalars for each key; keys are compared without regard to ASCII case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    // INVARIANT: lower case.
    action: String,
    resource: String,
    // INVARIANT: keys in lower case.
    context: BTreeMap<String, Vec<String>>,
}

impl Request {
    /// Reads a request from JSON.
    ///
    /// # Errors
    /// [`RequestError`]: answer with deny.
    pub fn parse(json: &[u8]) -> Result<Self, RequestError> {
        let value = Value::from_json(json).map_err(RequestError::new)?;
        let Some(map) = value.as_map() else { return Err(RequestError::new("not an object")) };
        let mut request = Self { action: String::new(), resource: "*".to_owned(), context: BTreeMap::new() };
        for (key, value) in map {
            match (key.as_str(), value) {
                ("action", Value::Text(action)) => request.action = action.to_ascii_lowercase(),
                ("resource", Value::Text(resource)) if !resource.is_empty() => {
                    resource.clone_into(&mut request.resource)
                }
                ("resource" | "context", Value::Null) => {}
                ("context", Value::Map(context)) => {
                    for (key, value) in context {
                        request.add(key, value)?;
                    }
                }
                (key, _) => {
                    return Err(RequestError::new(format!(
                        "field {} is none, or not of its form",
                        crate::source::shown(key)
                    )));
                }
            }
        }
        let is_concrete = request.action.split_once(':').is_some_and(|(service, name)| {
            let is_name = |text: &str| !text.is_empty() && !text.contains(['*', '?', ':']);
            is_name(service) && is_name(name)
        });
        if is_concrete { Ok(request) } else { Err(RequestError::new("`action` is `service:Action`")) }
    }

    /// What is to be done, in lower case.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// To what.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The values of the key, which is in lower case; `None` where it is absent.
    pub(super) fn values(&self, key: &str) -> Option<&[String]> {
        self.context.get(key).map(Vec::as_slice)
    }

    fn add(&mut self, key: &str, value: &Value) -> Result<(), RequestError> {
        let wrong = || {
            RequestError::new(format!(
                "the value of {} is no scalar or list of them",
                crate::source::shown(key)
            ))
        };
        if *value == Value::Null {
            return Ok(());
        }
        let values = value.one_or_many().iter().map(|value| value.scalar().ok_or_else(wrong));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        match self.context.insert(key.to_ascii_lowercase(), values) {
            None => Ok(()),
            Some(_) => Err(RequestError::new(format!("the key {} stands twice", crate::source::shown(key)))),
        }
    }
}
