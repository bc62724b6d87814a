//! Results as people and programs read them.

use serde_json::{Map, Value as Json, json};

use crate::dtype::DType;
use crate::op::Op;
use crate::value::Value;

/// Integers up to this magnitude are the same in every JSON reader.
const JSON_INTEGER_MAX: u128 = 1 << 53;

/// A result: what is printed, and the fields of the JSON object that hold it.
pub struct Shown {
    /// For people, without a line's end after the last.
    pub text: String,
    /// For programs.
    pub fields: Map<String, Json>,
}

impl Shown {
    /// One number.
    pub fn one(op: Op, value: Value) -> Shown {
        let bits = match op {
            // A place is a number and no pattern.
            Op::ArgMin | Op::ArgMax => value.to_string(),
            _ => value.bits(),
        };
        let fields = fields(&value.dtype_name(), to_json(&value), json!(bits));
        Shown { text: value.to_string(), fields }
    }

    /// Several numbers of `dtype`, one per line.
    pub fn list(dtype: DType, values: &[Value]) -> Shown {
        let text: Vec<String> = values.iter().map(Value::to_string).collect();
        let dtype_out = widest(values).unwrap_or_else(|| dtype.name().to_owned());
        let bits = all(values, |value| json!(value.bits()));
        let fields = fields(&dtype_out, all(values, to_json), bits);
        Shown { text: text.join("\n"), fields }
    }

    /// The elements of an array of `dtype`, in C order.
    pub fn array(op: Op, dtype: DType, values: &[Value], shape: &[u64]) -> Shown {
        if let ([], [value]) = (shape, values) {
            let mut shown = Shown::one(op, *value);
            shown.fields.insert("shape".to_owned(), json!(shape));
            return shown;
        }
        let bits = |value: &Value| match op {
            Op::ArgMin | Op::ArgMax => json!(value.to_string()),
            _ => json!(value.bits()),
        };
        let dtype_out = widest(values).unwrap_or_else(|| dtype.name().to_owned());
        let mut fields = fields(&dtype_out, all(values, to_json), all(values, bits));
        fields.insert("shape".to_owned(), json!(shape));
        let cells: Vec<String> = values.iter().map(Value::to_string).collect();
        Shown { text: nested(&cells, shape, 0), fields }
    }

    /// An array that was written into a file. There is nothing to print.
    pub fn file(path: &str, dtype: DType, shape: &[u64]) -> Shown {
        let mut fields = Map::new();
        fields.insert("dtype_out".to_owned(), json!(dtype.name()));
        fields.insert("out".to_owned(), json!(path));
        fields.insert("shape".to_owned(), json!(shape));
        Shown { text: String::new(), fields }
    }

    /// Numbers by name, in this order; `text` shows them.
    pub fn named(values: &[(&str, Value)], text: String) -> Shown {
        let object = |show: fn(&Value) -> Json| {
            Json::Object(values.iter().map(|(name, v)| ((*name).to_owned(), show(v))).collect())
        };
        let fields = fields("mixed", object(to_json), object(|value| json!(value.bits())));
        Shown { text, fields }
    }
}

fn fields(dtype_out: &str, value: Json, bits: Json) -> Map<String, Json> {
    let mut fields = Map::new();
    fields.insert("dtype_out".to_owned(), json!(dtype_out));
    fields.insert("value".to_owned(), value);
    fields.insert("bits".to_owned(), bits);
    fields
}

fn all(values: &[Value], show: impl Fn(&Value) -> Json) -> Json {
    Json::Array(values.iter().map(show).collect())
}

/// The type of all values, or of the widest where integers went past 64 bits.
fn widest(values: &[Value]) -> Option<String> {
    values.iter().max_by_key(|value| value.bits().len()).map(Value::dtype_name)
}

/// Brackets in brackets, each row on a line of its own.
fn nested(cells: &[String], shape: &[u64], depth: usize) -> String {
    let Some((&length, inner)) = shape.split_first() else {
        return cells.first().cloned().unwrap_or_default();
    };
    let size = cells.len() / (length as usize).max(1);
    let rows: Vec<String> = match size {
        0 => Vec::new(),
        size => cells.chunks(size).map(|row| nested(row, inner, depth + 1)).collect(),
    };
    let separator = match inner.len() {
        0 => ", ".to_owned(),
        axes => format!(",{}{}", "\n".repeat(axes), " ".repeat(depth + 1)),
    };
    format!("[{}]", rows.join(&separator))
}

/// A JSON number where every reader gets the same one, a JSON truth value for
/// a bool, else a string.
pub fn to_json(value: &Value) -> Json {
    if let Some(float) = value.as_f64() {
        // The shortest digits of the value's own type.
        return match float.is_finite().then(|| value.to_string().parse::<f64>()) {
            Some(Ok(number)) => json!(number),
            _ => json!(value.to_string()),
        };
    }
    match value.as_i128() {
        Some(number) if value.dtype() == Some(DType::Bool) => json!(number != 0),
        Some(number) if number.unsigned_abs() <= JSON_INTEGER_MAX => json!(number as i64),
        _ => json!(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_values_are_numbers_only_where_every_reader_agrees() {
        assert_eq!(to_json(&Value::float64(0.1)), json!(0.1));
        assert_eq!(to_json(&Value::float64(f64::NAN)), json!("nan"));
        assert_eq!(to_json(&Value::of(DType::F32, 0xff80_0000)), json!("-inf"));
        assert_eq!(to_json(&Value::int64(-(1 << 53))), json!(-9007199254740992_i64));
        assert_eq!(to_json(&Value::int64((1 << 53) + 1)), json!("9007199254740993"));
        let wide = Value::integer(DType::U64, false, &[0, 1 << 6]);
        assert_eq!(to_json(&wide), json!("1180591620717411303424"));
        assert_eq!(to_json(&Value::of(DType::Bool, 1)), json!(true));
        assert_eq!(to_json(&Value::of(DType::F16, 0x2e66)), json!(0.1));
    }

    #[test]
    fn arrays_are_nested_as_their_shape_says() {
        let values: Vec<Value> = (0..8).map(Value::int64).collect();
        let text = |shape: &[u64]| Shown::array(Op::Sum, DType::I64, &values, shape).text;
        assert_eq!(text(&[8]), "[0, 1, 2, 3, 4, 5, 6, 7]");
        assert_eq!(text(&[2, 4]), "[[0, 1, 2, 3],\n [4, 5, 6, 7]]");
        assert_eq!(text(&[2, 2, 2]), "[[[0, 1],\n  [2, 3]],\n\n [[4, 5],\n  [6, 7]]]");
        assert_eq!(Shown::array(Op::Sum, DType::I64, &[], &[0, 3]).text, "[]");
        assert_eq!(Shown::array(Op::Sum, DType::I64, &values[3..4], &[]).text, "3");
    }
}
