//! Runs scripts as Argo CD runs those of its configuration: Lua 5.1 with the base and table libraries and,
//! of `os`, the clock alone. In: script and resource; out: what the script returns.

use anyhow::{Context, Result, anyhow};
use mlua::serde::{DeserializeOptions, SerializeOptions};
use mlua::{Lua, LuaOptions, LuaSerdeExt, StdLib, Table, Value};

/// The time of every script.
pub(crate) const NOW: &str = "2026-01-01T12:00:05Z";

/// Runs a script on a resource.
pub(crate) fn run(script: &str, resource: &serde_json::Value) -> Result<serde_json::Value> {
    evaluate(script, resource).map_err(|error| anyhow!("the script fails: {error}"))
}

fn evaluate(script: &str, resource: &serde_json::Value) -> mlua::Result<serde_json::Value> {
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default())?;
    lua.globals().set("os", clock(&lua)?)?;
    let require = lua.create_function(|lua, name: String| match name.as_str() {
        "os" => lua.globals().get::<Table>("os"),
        _ => Err(mlua::Error::runtime(format!("there is no library {name}"))),
    })?;
    lua.globals().set("require", require)?;
    let options = SerializeOptions::new().set_array_metatable(false);
    lua.globals().set("obj", lua.to_value_with(resource, options)?)?;
    let returned: Value = lua.load(script).eval()?;
    lua.from_value_with(returned, DeserializeOptions::new())
}

/// The two functions of `os` that there are, with a clock that stands still.
fn clock(lua: &Lua) -> mlua::Result<Table> {
    let os = lua.create_table()?;
    let date = |_: &Lua, format: String| match format.as_str() {
        "!%Y-%m-%dT%XZ" => Ok(NOW),
        _ => Err(mlua::Error::runtime(format!("the tests know no date format {format}"))),
    };
    os.set("date", lua.create_function(date)?)?;
    os.set("time", lua.create_function(|_, ()| Ok(1_767_268_805))?)?;
    Ok(os)
}

/// What Argo CD makes of a returned resource: a script cannot tell an empty map from an empty list, so one
/// that was empty before stays what it was.
pub(crate) fn cleaned(
    returned: serde_json::Value,
    before: &serde_json::Value,
) -> serde_json::Value {
    use serde_json::Value;
    match (returned, before) {
        (Value::Object(fields), before) if fields.is_empty() => before.clone(),
        (Value::Object(fields), before) => {
            let clean = |(name, value)| {
                let old = before.get(&name).cloned();
                let old = old.unwrap_or_else(|| Value::clone(&value));
                (name, cleaned(value, &old))
            };
            Value::Object(fields.into_iter().map(clean).collect())
        }
        (other, _) => other,
    }
}

/// The text of a script below `config/argocd`.
pub(crate) fn script(path: &str) -> Result<String> {
    let path = format!("{}/config/argocd/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).with_context(|| path)
}
