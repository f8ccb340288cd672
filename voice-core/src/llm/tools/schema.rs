//! Checks a model's arguments against a tool's JSON Schema before the tool sees them.
//!
//! Not all of JSON Schema (draft 2020-12), but all of it that says what arguments look like: types, choices, objects,
//! lists, lengths and ranges. A tool whose schema uses anything else is refused when it is registered, so nothing is
//! ever silently left unchecked. Validators for the whole standard bring a regex engine and a dozen crates.

use serde_json::{Map, Value};

/// A checked schema of a tool's arguments: the root is an object.
#[derive(Clone, Debug)]
pub struct ArgumentSchema {
    root: Node,
}

/// A schema that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Arguments are always an object.
    #[error("the arguments' schema must have \"type\": \"object\"")]
    Root,
    /// A keyword that is not checked here.
    #[error("{at}: the keyword {keyword} is not supported")]
    Keyword {
        /// Where in the schema.
        at: String,
        /// Which one.
        keyword: String,
    },
    /// A keyword with a value of the wrong kind.
    #[error("{at}: the value of {keyword} is not what it must be")]
    Value {
        /// Where in the schema.
        at: String,
        /// Which one.
        keyword: String,
    },
    /// Schemas within schemas without end.
    #[error("{at}: nested too deep")]
    Depth {
        /// Where in the schema.
        at: String,
    },
}

/// Schemas within schemas: no model fills deeper arguments well, and recursion needs a bound.
const MAX_DEPTH: usize = 12;

/// Keywords that explain and do not restrict.
const ANNOTATIONS: [&str; 9] = [
    "$comment",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "format",
    "readOnly",
    "title",
];

/// Names of types, as they are written.
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

#[derive(Clone, Debug, Default)]
struct Node {
    /// Allowed types; empty: any.
    types: Vec<&'static str>,
    choices: Option<Vec<Value>>,
    any_of: Vec<Node>,
    properties: Vec<(String, Node)>,
    required: Vec<String>,
    /// What a property that is not listed must be; `Closed`: there may be none.
    others: Others,
    items: Option<Box<Node>>,
    least_items: Option<u64>,
    most_items: Option<u64>,
    least_length: Option<u64>,
    most_length: Option<u64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    above: Option<f64>,
    below: Option<f64>,
}

#[derive(Clone, Debug, Default)]
enum Others {
    #[default]
    Open,
    Closed,
    Like(Box<Node>),
}

impl ArgumentSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// The root is not an object, a keyword is not supported, or its value is wrong.
    ///
    /// ```
    /// use serde_json::json;
    /// use voice_core::llm::tools::ArgumentSchema;
    /// let schema = ArgumentSchema::parse(&json!({
    ///     "type": "object",
    ///     "properties": {"beds": {"type": "integer", "minimum": 0}},
    ///     "required": ["beds"],
    /// }))?;
    /// assert_eq!(schema.check(&json!({"beds": 3})), Ok(()));
    /// assert_eq!(schema.check(&json!({"beds": "3"})), Err("beds must be an integer".to_owned()));
    /// # Ok::<(), voice_core::llm::tools::SchemaError>(())
    /// ```
    pub fn parse(schema: &Value) -> Result<Self, SchemaError> {
        let root = parse_node(schema, "#", 0)?;
        if root.types == ["object"] { Ok(Self { root }) } else { Err(SchemaError::Root) }
    }

    /// Whether `arguments` fit. The error is one sentence for the model, without the arguments' values.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self, arguments: &Value) -> Result<(), String> {
        check(&self.root, arguments, "")
    }
}

fn parse_node(schema: &Value, at: &str, depth: usize) -> Result<Node, SchemaError> {
    if depth > MAX_DEPTH {
        return Err(SchemaError::Depth { at: at.to_owned() });
    }
    let object = match schema {
        Value::Bool(true) => return Ok(Node::default()),
        Value::Object(object) => object,
        _ => return Err(wrong(at, "schema")),
    };
    let mut node = Node::default();
    for (keyword, value) in object {
        let bad = || wrong(at, keyword);
        let count = || value.as_u64().map(Some).ok_or_else(bad);
        let number = || value.as_f64().map(Some).ok_or_else(bad);
        let inner = |value, step: &str| parse_node(value, &format!("{at}/{keyword}{step}"), depth + 1);
        match keyword.as_str() {
            "type" => node.types = parse_types(value).ok_or_else(bad)?,
            "enum" => {
                let choices = value.as_array().filter(|choices| !choices.is_empty()).ok_or_else(bad)?;
                node.choices = Some(choices.clone());
            }
            "const" => node.choices = Some(vec![value.clone()]),
            "anyOf" => {
                let any = value.as_array().filter(|any| !any.is_empty()).ok_or_else(bad)?;
                node.any_of = any.iter().map(|one| inner(one, "")).collect::<Result<_, _>>()?;
            }
            "properties" => {
                let properties = value.as_object().ok_or_else(bad)?;
                for (name, property) in properties {
                    node.properties.push((name.clone(), inner(property, &format!("/{name}"))?));
                }
            }
            "required" => {
                let names = value.as_array().ok_or_else(bad)?;
                let names = names.iter().map(|name| name.as_str().map(str::to_owned));
                node.required = names.collect::<Option<_>>().ok_or_else(bad)?;
            }
            "additionalProperties" if *value == Value::Bool(false) => node.others = Others::Closed,
            "additionalProperties" => node.others = Others::Like(Box::new(inner(value, "")?)),
            "items" => node.items = Some(Box::new(inner(value, "")?)),
            "minItems" => node.least_items = count()?,
            "maxItems" => node.most_items = count()?,
            "minLength" => node.least_length = count()?,
            "maxLength" => node.most_length = count()?,
            "minimum" => node.minimum = number()?,
            "maximum" => node.maximum = number()?,
            "exclusiveMinimum" => node.above = number()?,
            "exclusiveMaximum" => node.below = number()?,
            other if ANNOTATIONS.contains(&other) => {}
            _ => return Err(SchemaError::Keyword { at: at.to_owned(), keyword: keyword.clone() }),
        }
    }
    Ok(node)
}

fn parse_types(value: &Value) -> Option<Vec<&'static str>> {
    let known = |name: &Value| TYPES.into_iter().find(|known| Some(*known) == name.as_str());
    match value {
        Value::String(_) => Some(vec![known(value)?]),
        Value::Array(names) if !names.is_empty() => names.iter().map(known).collect(),
        _ => None,
    }
}

fn wrong(at: &str, keyword: &str) -> SchemaError {
    SchemaError::Value { at: at.to_owned(), keyword: keyword.to_owned() }
}

fn check(node: &Node, value: &Value, at: &str) -> Result<(), String> {
    let name = if at.is_empty() { "the arguments" } else { at };
    if !node.types.is_empty() && !node.types.iter().any(|kind| is_a(value, kind)) {
        let kinds: Vec<String> = node.types.iter().map(|kind| with_article(kind)).collect();
        return Err(format!("{name} must be {}", kinds.join(" or ")));
    }
    if let Some(choices) = &node.choices
        && !choices.iter().any(|choice| same(choice, value))
    {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        return Err(format!("{name} must be one of {}", choices.join(", ")));
    }
    if !node.any_of.is_empty() {
        let mut first = None;
        let fits = node.any_of.iter().any(|one| match check(one, value, at) {
            Ok(()) => true,
            Err(why) => {
                first.get_or_insert(why);
                false
            }
        });
        if let (false, Some(why)) = (fits, first) {
            return Err(why);
        }
    }
    match value {
        Value::Object(object) => check_object(node, object, at),
        Value::Array(items) => {
            check_count(node.least_items, node.most_items, items.len(), name, "items")?;
            let Some(one) = &node.items else { return Ok(()) };
            items.iter().enumerate().try_for_each(|(k, item)| check(one, item, &format!("{at}[{k}]")))
        }
        Value::String(text) => {
            check_count(node.least_length, node.most_length, text.chars().count(), name, "characters")
        }
        Value::Number(number) => check_range(node, number.as_f64().unwrap_or(f64::NAN), name),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn check_object(node: &Node, object: &Map<String, Value>, at: &str) -> Result<(), String> {
    let path = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    if let Some(missing) = node.required.iter().find(|name| !object.contains_key(*name)) {
        return Err(format!("{} is missing", path(missing)));
    }
    for (name, value) in object {
        match (node.properties.iter().find(|(known, _)| known == name), &node.others) {
            (Some((_, property)), _) => check(property, value, &path(name))?,
            (None, Others::Open) => {}
            (None, Others::Like(other)) => check(other, value, &path(name))?,
            (None, Others::Closed) => {
                let known: Vec<&str> = node.properties.iter().map(|(known, _)| known.as_str()).collect();
                return Err(format!("there is an argument that is none of {}", known.join(", ")));
            }
        }
    }
    Ok(())
}

fn check_count(
    least: Option<u64>,
    most: Option<u64>,
    is: usize,
    name: &str,
    what: &str,
) -> Result<(), String> {
    let is = is as u64;
    match (least, most) {
        (Some(least), _) if is < least => Err(format!("{name} must have at least {least} {what}")),
        (_, Some(most)) if is > most => Err(format!("{name} must have at most {most} {what}")),
        _ => Ok(()),
    }
}

fn check_range(node: &Node, is: f64, name: &str) -> Result<(), String> {
    let bounds = [
        (node.minimum, node.minimum.is_none_or(|least| is >= least), "at least"),
        (node.maximum, node.maximum.is_none_or(|most| is <= most), "at most"),
        (node.above, node.above.is_none_or(|bound| is > bound), "more than"),
        (node.below, node.below.is_none_or(|bound| is < bound), "less than"),
    ];
    match bounds.into_iter().find(|(_, fits, _)| !fits) {
        Some((Some(bound), _, words)) => Err(format!("{name} must be {words} {bound}")),
        _ => Ok(()),
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
        // JSON Schema 2020-12, section 4.2.3: 3.0 is an integer.
        Value::Number(number) => {
            kind == "number"
                || (kind == "integer"
                    && (number.is_i64()
                        || number.is_u64()
                        || number.as_f64().is_some_and(|number| number.fract() == 0.0)))
        }
    }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

fn with_article(kind: &str) -> String {
    match kind {
        "null" => "null".to_owned(),
        "array" | "integer" | "object" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn search() -> ArgumentSchema {
        ArgumentSchema::parse(&json!({
            "type": "object",
            "title": "Search",
            "properties": {
                "city": {"type": "string", "minLength": 1, "maxLength": 5, "description": "Where"},
                "beds": {"type": ["integer", "null"], "minimum": 0, "maximum": 20},
                "price": {"type": "number", "exclusiveMinimum": 0},
                "status": {"enum": ["active", "sold", 3]},
                "near": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["lat"],
                    "properties": {"lat": {"type": "number"}}}]},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
            },
            "required": ["city"],
            "additionalProperties": false,
        }))
        .expect("a supported schema")
    }

    #[test]
    fn arguments_that_fit_are_taken() {
        for fits in [
            json!({"city": "Köln!"}),
            json!({"city": "A", "beds": 3, "price": 0.5, "status": "sold", "near": "me", "tags": ["a", "b"]}),
            json!({"city": "A", "beds": null, "status": 3.0, "near": {"lat": 3}}),
            json!({"city": "A", "beds": 3.0}),
        ] {
            assert_eq!(search().check(&fits), Ok(()), "{fits}");
        }
    }

    #[test]
    fn each_misfit_is_named_without_its_value() {
        for (misfit, why) in [
            (json!([]), "the arguments must be an object"),
            (json!({}), "city is missing"),
            (json!({"city": 3}), "city must be a string"),
            (json!({"city": ""}), "city must have at least 1 characters"),
            (json!({"city": "Secret"}), "city must have at most 5 characters"),
            (json!({"city": "A", "beds": "3"}), "beds must be an integer or null"),
            (json!({"city": "A", "beds": 2.5}), "beds must be an integer or null"),
            (json!({"city": "A", "beds": -1}), "beds must be at least 0"),
            (json!({"city": "A", "beds": 21}), "beds must be at most 20"),
            (json!({"city": "A", "price": 0}), "price must be more than 0"),
            (json!({"city": "A", "status": "Secret"}), r#"status must be one of "active", "sold", 3"#),
            (json!({"city": "A", "near": 3}), "near must be a string"),
            (json!({"city": "A", "near": {}}), "near must be a string"),
            (json!({"city": "A", "tags": []}), "tags must have at least 1 items"),
            (json!({"city": "A", "tags": ["a", 1]}), "tags[1] must be a string"),
            (
                json!({"city": "A", "secret": 1}),
                "there is an argument that is none of beds, city, near, price, status, tags",
            ),
        ] {
            assert_eq!(search().check(&misfit), Err(why.to_owned()), "{misfit}");
        }
    }

    #[test]
    fn a_schema_that_would_not_be_checked_whole_is_refused() {
        let keyword = |schema: Value| match ArgumentSchema::parse(&schema) {
            Err(SchemaError::Keyword { keyword, .. } | SchemaError::Value { keyword, .. }) => keyword,
            other => format!("{other:?}"),
        };
        assert_eq!(keyword(json!({"type": "object", "patternProperties": {}})), "patternProperties");
        let inner = |schema: Value| keyword(json!({"type": "object", "properties": {"a": schema}}));
        assert_eq!(inner(json!({"pattern": "a"})), "pattern");
        assert_eq!(inner(json!({"type": "text"})), "type");
        assert_eq!(inner(json!({"type": []})), "type");
        assert_eq!(inner(json!({"enum": []})), "enum");
        assert_eq!(inner(json!({"minLength": -1})), "minLength");
        assert_eq!(inner(json!({"required": [1]})), "required");
        assert_eq!(inner(json!(7)), "schema");
        assert_eq!(ArgumentSchema::parse(&json!({"type": "string"})).err(), Some(SchemaError::Root));
        assert_eq!(ArgumentSchema::parse(&json!({})).err(), Some(SchemaError::Root));
    }

    #[test]
    fn a_schema_without_end_is_refused() {
        let mut schema = json!({"type": "string"});
        for _ in 0..MAX_DEPTH + 2 {
            schema = json!({"type": "object", "properties": {"a": schema}});
        }
        assert!(matches!(ArgumentSchema::parse(&schema), Err(SchemaError::Depth { .. })));
    }
}
