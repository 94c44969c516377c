//! Which capability an import belongs to, and whether the function was granted it. A component is refused when it is
//! installed, with the name of the import, and not at its first request.

use crate::function::{Grants, Refused};
use rimward_engine::Code;
use wasmtime::component::types::ComponentItem;

/// One line for each capability: the interfaces it provides, and whether a function has been granted it.
type Line = (&'static str, &'static [&'static str], fn(&Grants) -> Option<&'static str>);

/// `None` as an answer means granted, otherwise it is what to write into the manifest.
const CAPABILITIES: &[Line] = &[
    ("cli", &["wasi:cli/"], |_| None),
    ("io", &["wasi:io/"], |_| None),
    ("clocks", &["wasi:clocks/"], |_| None),
    ("random", &["wasi:random/"], |_| None),
    // Linked because every guest that was built with a standard library imports them: no folder is ever opened, every
    // socket is refused when it is made.
    ("filesystem", &["wasi:filesystem/"], |_| None),
    ("sockets", &["wasi:sockets/"], |_| None),
    // Always linked; where a request may go is decided for each request.
    ("http", &["wasi:http/"], |_| None),
    ("config", &["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft-2024-09-27"], |_| None),
    ("logging", &["wasi:logging/logging@0.1.0-draft"], |_| None),
    (
        "keyvalue",
        &[
            "wasi:keyvalue/store@0.2.0-draft",
            "wasi:keyvalue/atomics@0.2.0-draft",
            "wasi:keyvalue/batch@0.2.0-draft",
            "wasi:keyvalue/store@0.2.0-draft2",
            "wasi:keyvalue/atomics@0.2.0-draft2",
            "wasi:keyvalue/batch@0.2.0-draft2",
        ],
        |grants| grants.keyvalue.is_empty().then_some("stores = [\"NAME\"]"),
    ),
    (
        "nn",
        &[
            "wasi:nn/tensor@0.2.0-rc-2024-10-28",
            "wasi:nn/errors@0.2.0-rc-2024-10-28",
            "wasi:nn/inference@0.2.0-rc-2024-10-28",
            "wasi:nn/graph@0.2.0-rc-2024-10-28",
        ],
        |grants| grants.http.models.is_empty().then_some("models = [\"NAME\"]"),
    ),
];

/// Refuses the first import that this function may not have or that nobody provides.
pub(crate) fn check(code: &Code, grants: &Grants) -> Result<(), Refused> {
    let ty = code.component.component_type();
    let engine = code.component.engine();
    ty.imports(engine).try_for_each(|(name, import)| match import.ty {
        // Types and the like are resolved with the interface that uses them.
        ComponentItem::ComponentInstance(_) | ComponentItem::ComponentFunc(_) => check_one(name, grants),
        _ => Ok(()),
    })
}

fn check_one(name: &str, grants: &Grants) -> Result<(), Refused> {
    let provides = |(_, interfaces, _): &&Line| {
        interfaces.iter().any(|known| *known == name || (known.ends_with('/') && name.starts_with(known)))
    };
    let Some((capability, _, grant)) = CAPABILITIES.iter().find(provides) else {
        return Err(Refused::UnknownImport { import: name.to_owned(), hint: hint(name) });
    };
    match grant(grants) {
        None => Ok(()),
        Some(add) => Err(Refused::NotGranted { import: name.to_owned(), capability, add }),
    }
}

/// What could have been meant: another version of an interface that is provided.
fn hint(name: &str) -> String {
    let interface = name.split('@').next().unwrap_or(name);
    let versions: Vec<_> = CAPABILITIES
        .iter()
        .flat_map(|(_, interfaces, _)| interfaces.iter())
        .filter(|known| known.split('@').next() == Some(interface))
        .copied()
        .collect();
    match versions.is_empty() {
        true => "no capability of this node provides it".to_owned(),
        false => format!(
            "this node provides {}",
            versions.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(" and ")
        ),
    }
}
