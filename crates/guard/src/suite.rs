//! The official suite of JSON Schema (draft 2020-12) on the path that results take.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sekisho_catalog::Declared;
use sekisho_wire::Json;
use sekisho_wire::json::Limits;

use crate::schema::{Role, Schemas, Unusable};
use crate::work::Unbounded;
use crate::{Config, Rule, value};

/// Why a schema of the suite is not used here. None of these lets a value through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// It refers to something outside, which the suite would have fetched (JS-02, JS-03).
    Outside,
    /// A schema of a tool is an object; `true` and `false` are schemas inside of one alone (JS-05).
    Boolean,
    /// Its dialect is not one that is known; the suite would have fetched that, too (JS-01).
    Dialect,
    /// It has a number that machine types do not hold exactly, so that others could read another one.
    Digits,
}

use Reason::{Boolean, Dialect, Digits, Outside};

/// What of the suite is refused: all else is decided as the suite says.
const REFUSED: &[(Reason, &str, &str)] = &[
    (Boolean, "boolean_schema.json", "boolean schema 'true'"),
    (Boolean, "boolean_schema.json", "boolean schema 'false'"),
    (Outside, "defs.json", "validate definition against metaschema"),
    (Outside, "dynamicRef.json", "strict-tree schema, guards against misspelled properties"),
    (Outside, "dynamicRef.json", "tests for implementation dynamic anchor and reference link"),
    (Outside, "dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $defs first"),
    (Outside, "dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $ref first"),
    (Outside, "dynamicRef.json", "$ref to $dynamicRef finds detached $dynamicAnchor"),
    (Outside, "ref.json", "remote ref, containing refs itself"),
    (Outside, "refRemote.json", "remote ref"),
    (Outside, "refRemote.json", "fragment within remote ref"),
    (Outside, "refRemote.json", "anchor within remote ref"),
    (Outside, "refRemote.json", "ref within remote ref"),
    (Outside, "refRemote.json", "base URI change"),
    (Outside, "refRemote.json", "base URI change - change folder"),
    (Outside, "refRemote.json", "base URI change - change folder in subschema"),
    (Outside, "refRemote.json", "root ref in remote ref"),
    (Outside, "refRemote.json", "remote ref with ref to defs"),
    (Outside, "refRemote.json", "Location-independent identifier in remote ref"),
    (Outside, "refRemote.json", "retrieved nested refs resolve relative to their URI not $id"),
    (Outside, "refRemote.json", "remote HTTP ref with different $id"),
    (Outside, "refRemote.json", "remote HTTP ref with different URN $id"),
    (Outside, "refRemote.json", "remote HTTP ref with nested absolute ref"),
    (Outside, "refRemote.json", "$ref to $ref finds detached $anchor"),
    (Dialect, "vocabulary.json", "schema that uses custom metaschema with with no validation vocabulary"),
    (Dialect, "vocabulary.json", "ignore unrecognized optional vocabulary"),
    (Outside, "optional/cross-draft.json", "refs to historic drafts are processed as historic drafts"),
    (Dialect, "optional/format-assertion.json", "schema that uses custom metaschema with format-assertion: false"),
    (Dialect, "optional/format-assertion.json", "schema that uses custom metaschema with format-assertion: true"),
    (Digits, "optional/bignum.json", "float comparison with high precision"),
    (Digits, "optional/bignum.json", "float comparison with high precision on negative numbers"),
    (Digits, "optional/bignum.json", "integer: a bignum is an integer"),
    (Digits, "optional/bignum.json", "integer: a negative bignum is an integer"),
    (Digits, "optional/bignum.json", "maximum integer comparison"),
    (Digits, "optional/bignum.json", "minimum integer comparison"),
    (Digits, "optional/bignum.json", "number: a bignum is a number"),
    (Digits, "optional/bignum.json", "number: a negative bignum is a number"),
    (Digits, "optional/bignum.json", "string: a bignum is not a string"),
];

/// The groups of each file in a folder of the suite.
fn groups(folder: &str) -> BTreeMap<String, Vec<Json>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/json-schema-test-suite/tests/draft2020-12");
    let entries = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let groups = Json::decode(std::fs::read(&path).unwrap().into(), &Limits::default()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        (Path::new(folder).join(name).to_str().unwrap().to_owned(), groups.elements().collect())
    };
    entries.filter(|path| path.is_file()).map(read).collect()
}

fn described(part: &Json) -> String {
    part.get("description").unwrap().string().unwrap().into_owned()
}

/// A case with what the suite says of it, and whether it fits here.
type Decided = (Json, bool, Result<bool, Reason>);

/// Each case of a group; or why the schema is not used.
fn decided(schemas: &Schemas, group: &Json) -> Result<Vec<Decided>, Reason> {
    let compiled = schemas.compiled(Role::Output, &Declared::of(group.get("schema").unwrap()));
    let schema = match &*compiled {
        Ok(schema) => schema,
        Err(Unusable::Unbounded(Unbounded::External(_))) => return Err(Outside),
        Err(Unusable::NotAnObject) => return Err(Boolean),
        Err(Unusable::Dialect(_)) => return Err(Dialect),
        Err(Unusable::Unfaithful(_)) => return Err(Digits),
        Err(why) => panic!("{}: {why}", described(group)),
    };
    let fits = |case: &Json| match value::tree(&case.get("data").unwrap()) {
        Ok(tree) => Ok(schema.check(Rule::OutputSchema, "", &tree).is_empty()),
        Err(_) => Err(Digits),
    };
    let cases = group.get("tests").unwrap();
    let cases = cases.elements().map(|case| (case.clone(), case.get("valid").unwrap().boolean().unwrap(), fits(&case)));
    Ok(cases.collect())
}

#[test]
fn the_json_schema_suite_is_decided_as_it_says_and_what_leaves_a_schema_is_refused() {
    let schemas = Schemas::new(&Config::default());
    let mut refused = BTreeSet::new();
    let mut count = 0;
    for (file, groups) in groups("").into_iter().chain(groups("optional")) {
        for group in &groups {
            let what = described(group);
            match decided(&schemas, group) {
                Ok(cases) => {
                    for (case, valid, fits) in cases {
                        let what = format!("{what}: {}", described(&case));
                        match fits {
                            Ok(fits) => assert_eq!(fits, valid, "{file}: {what}"),
                            Err(reason) => drop(refused.insert((reason, file.clone(), what))),
                        }
                        count += 1;
                    }
                }
                Err(reason) => drop(refused.insert((reason, file.clone(), what))),
            }
        }
    }
    let listed = REFUSED.iter().map(|(reason, file, what)| (*reason, (*file).to_owned(), (*what).to_owned()));
    let listed: BTreeSet<_> = listed.collect();
    assert_eq!(listed.difference(&refused).collect::<Vec<_>>(), Vec::<&_>::new(), "no longer refused");
    assert_eq!(refused.difference(&listed).collect::<Vec<_>>(), Vec::<&_>::new(), "refused, and not listed");
    assert_eq!(count, COUNT, "cases that were decided");
}

/// 2020-12, validation, section 7.2.1: `format` is an annotation unless a dialect says otherwise.
#[test]
fn a_format_alone_refuses_nothing() {
    let schemas = Schemas::new(&Config::default());
    for (file, groups) in groups("optional/format") {
        for group in &groups {
            for (case, _, fits) in decided(&schemas, group).unwrap() {
                assert_eq!(fits, Ok(true), "{file}: {}", described(&case));
            }
        }
    }
}

/// How many cases are decided; a folder that was read in part would pass with fewer.
const COUNT: usize = 1381;
