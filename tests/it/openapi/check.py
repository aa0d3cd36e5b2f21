"""Checks the OpenAPI 3.1 document on standard input with the validators of PyPI's openapi-spec-validator:
the document itself, every $ref, and every example against its schema. Prints each fault on a line of its own, or
else the number of examples that were checked."""

import json
import sys
from urllib.parse import quote

from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

document = json.load(sys.stdin)
registry = Registry().with_resource("urn:document", DRAFT202012.create_resource(document))
faults = []
checked = 0


def walk(value, pointer=""):
    """Every object in the document, with its JSON pointer."""
    if isinstance(value, dict):
        yield pointer, value
        for name, member in value.items():
            yield from walk(member, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from walk(item, f"{pointer}/{place}")


def resolve(reference):
    """The target of a local reference."""
    target = document
    for part in reference.removeprefix("#/").split("/"):
        target = target[part.replace("~1", "/").replace("~0", "~")]
    return target


def check(example, pointer):
    """Validates an example against the schema at the pointer."""
    global checked
    checked += 1
    schema = {"$ref": "urn:document#" + quote(pointer, safe="/~")}
    validator = OAS31Validator(schema, registry=registry, format_checker=oas31_format_checker)
    faults.extend(f"example of {pointer}: {error.message}" for error in validator.iter_errors(example))


for pointer, value in walk(document):
    reference = value.get("$ref")
    if isinstance(reference, str):
        try:
            resolve(reference)
        except (KeyError, TypeError):
            faults.append(f"{pointer}: {reference} leads nowhere")
if not faults:
    faults.extend(f"document: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors())
if not faults:
    for pointer, value in walk(document):
        inside_example = "/example" in pointer
        if "schema" in value and not inside_example:
            named = value.get("examples", {}).values()
            named = [resolve(one["$ref"]) if "$ref" in one else one for one in named]
            examples = [one["value"] for one in named] + [value[k] for k in ("example",) if k in value]
            for example in examples:
                check(example, f"{pointer}/schema")
            shaped = "$ref" in value["schema"] or "properties" in value["schema"]
            if "/content/" in pointer and shaped and not examples:
                faults.append(f"{pointer}: has no example")
        if "example" in value and ("type" in value or "$ref" in value) and not inside_example:
            check(value["example"], pointer)

print("\n".join(faults) if faults else checked)
sys.exit(1 if faults else 0)
