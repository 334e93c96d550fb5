//! The document, and as much of JSON Schema 2020-12 as it uses. A word that is not known here fails the test, so that
//! nothing goes unlooked at.

use serde_json::Value;
use std::collections::BTreeSet;

/// Words that say nothing about what an answer of ours has to be, beyond what the others say.
const UNLOOKED: [&str; 8] =
    ["description", "format", "pattern", "maxLength", "minLength", "maxItems", "default", "maximum"];

pub(crate) struct Document {
    pub(crate) root: Value,
}

impl Document {
    pub(crate) fn new(text: &str) -> Document {
        Document { root: serde_json::from_str(text).unwrap() }
    }

    /// Path, method and operation of each.
    pub(crate) fn operations(&self) -> Vec<(String, String, Value)> {
        let paths = self.root["paths"].as_object().unwrap().iter();
        let of = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object().unwrap().clone();
            let path = path.clone();
            methods.into_iter().map(move |(method, operation)| (path.clone(), method, operation))
        };
        paths.flat_map(of).collect()
    }

    /// Names of an operation's parameters that stand in this place.
    pub(crate) fn parameters(&self, operation: &Value, place: &str) -> BTreeSet<String> {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| self.resolved(parameter));
        let there = parameters.filter(|parameter| parameter["in"] == place);
        there.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    }

    /// What an operation answers with a status.
    pub(crate) fn response(&self, path: &str, method: &str, status: u16) -> &Value {
        let response = &self.root["paths"][path][method]["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {path}: {status} is not in the document");
        self.resolved(response)
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        self.root.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    pub(crate) fn assert_references_lead_somewhere(&self) {
        let mut left = vec![&self.root];
        while let Some(value) = left.pop() {
            if value.get("$ref").is_some() {
                self.resolved(value);
            }
            match value {
                Value::Object(members) => left.extend(members.values()),
                Value::Array(values) => left.extend(values),
                _ => {}
            }
        }
    }

    /// Panics with the first thing in which a value is not as a schema says.
    pub(crate) fn assert_conforms(&self, schema: &Value, value: &Value) {
        if let Err(why) = self.check(schema, value) {
            panic!("{why}, in {value}");
        }
    }

    fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = self.resolved(schema);
        let refuse = |why: &str| Err(format!("{value} is not as {schema} says: {why}"));
        for (word, says) in schema.as_object().unwrap() {
            match word.as_str() {
                "type" if !is_of_type(says, value) => return refuse("type"),
                "enum" if !says.as_array().unwrap().contains(value) => return refuse("enum"),
                "const" if says != value => return refuse("const"),
                "minimum" if value.as_f64() < says.as_f64() => return refuse("minimum"),
                "required" => {
                    let missing = says
                        .as_array()
                        .unwrap()
                        .iter()
                        .find(|name| value.get(name.as_str().unwrap()).is_none());
                    if let Some(name) = missing {
                        return refuse(&format!("{name} is missing"));
                    }
                }
                "items" => value.as_array().unwrap().iter().try_for_each(|value| self.check(says, value))?,
                "propertyNames" => {
                    let mut names = value.as_object().unwrap().keys();
                    names.try_for_each(|name| self.check(says, &Value::from(name.as_str())))?;
                }
                "properties" | "additionalProperties" => self.check_members(schema, value)?,
                "type" | "enum" | "const" | "minimum" => {}
                word => assert!(UNLOOKED.contains(&word), "{word} in the document is not looked at"),
            }
        }
        Ok(())
    }

    fn check_members(&self, schema: &Value, value: &Value) -> Result<(), String> {
        for (name, member) in value.as_object().unwrap() {
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => return Err(format!("{name} is not in the document")),
                (Value::Null, Value::Null | Value::Bool(true)) => {}
                (Value::Null, others) => self.check(others, member)?,
                (known, _) => self.check(known, member)?,
            }
        }
        Ok(())
    }
}

fn is_of_type(says: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        name => panic!("{name} is no type"),
    };
    says.as_array().map_or_else(|| is(says), |names| names.iter().any(is))
}
