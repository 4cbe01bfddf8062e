use super::model::Model;
use crate::error::RequestError;
use crate::source::shown;
use crate::value::{Map, Value};

/// A question in casbin's terms: an object with a text for each name of the model's request definition, `{"sub",
/// "obj", "act"}` or `{"sub", "dom", "obj", "act"}`. A `dom` that is null or empty is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    fields: Vec<(String, String)>,
}

impl Request {
    /// Reads a request from JSON.
    ///
    /// # Errors
    /// [`RequestError`]: answer with deny.
    pub fn parse(json: &[u8]) -> Result<Self, RequestError> {
        match Value::from_json(json).map_err(RequestError::new)? {
            Value::Map(map) => Self::of(map),
            _ => Err(RequestError::new("not an object")),
        }
    }

    fn of(map: Map) -> Result<Self, RequestError> {
        let mut fields = Vec::new();
        for (name, value) in map {
            match value {
                Value::Text(text) if !text.is_empty() => fields.push((name, text)),
                Value::Null => {}
                Value::Text(_) if name == "dom" => {}
                _ => {
                    return Err(RequestError::new(format!("the field {} is empty or no text", shown(&name))));
                }
            }
        }
        Ok(Self { fields })
    }

    /// The values in the order of the model.
    pub(super) fn values(&self, model: &Model) -> Result<Vec<&str>, RequestError> {
        if let Some((name, _)) = self.fields.iter().find(|(name, _)| !model.request.contains(name)) {
            return Err(RequestError::new(format!("the model has no field {}", shown(name))));
        }
        let value = |name: &String| {
            let field = self.fields.iter().find(|(field, _)| field == name);
            field
                .map(|(_, value)| value.as_str())
                .ok_or_else(|| RequestError::new(format!("no {}", shown(name))))
        };
        model.request.iter().map(value).collect()
    }
}
