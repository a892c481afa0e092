#!/usr/bin/env python3
"""Writes the models of both clients from the OpenAPI document of a node.

    python3 clients/generate.py openapi.json            writes them
    python3 clients/generate.py openapi.json --check    fails where they are not as they would be written

The document comes from a node: curl -s http://127.0.0.1:7400/openapi.json > openapi.json
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PYTHON = HERE / "python/src/forename/models.py"
TYPESCRIPT = HERE / "typescript/src/models.ts"
ABOUT = "Made from the node's OpenAPI document by clients/generate.py."
WIDTH = 110

Schema = dict[str, Any]


def name_of(reference: str) -> str:
    return reference.rsplit("/", 1)[1]


class Python:
    """Typed dictionaries: answers stay what the JSON decoder makes of them."""

    comment = "#"

    def kind(self, schema: Schema) -> str:
        if "$ref" in schema:
            return f'"{name_of(schema["$ref"])}"'
        if "oneOf" in schema:
            return " | ".join(self.kind(one).strip('"') for one in schema["oneOf"])
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(word) for word in schema['enum'])}]"
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return " | ".join(self.kind({**schema, "type": kind}) for kind in kinds)
        if kinds == "array":
            return f"list[{self.kind(schema['items'])}]"
        return {"string": "str", "integer": "int", "boolean": "bool", "null": "None"}.get(kinds, "dict[str, Any]")

    def write(self, schemas: dict[str, Schema]) -> str:
        parts = [
            f'"""Bodies and answers of the HTTP interface. {ABOUT}"""',
            "from __future__ import annotations",
            "from typing import Any, Literal, NotRequired, TypedDict",
        ]
        blocks = [self.block(name, schema) for name, schema in in_order(schemas)]
        return "\n\n".join(parts) + "\n\n" + "\n\n".join(blocks) + "\n"

    def block(self, name: str, schema: Schema) -> str:
        about = comment("# ", schema.get("description", ""), "")
        if "properties" not in schema:
            kind = self.kind(schema)
            return f"{about}{self.alias(name, kind)}"
        required = set(schema.get("required", []))
        fields = []
        for field, one in schema["properties"].items():
            kind = self.kind(one).replace('"', "") if "enum" not in one else self.kind(one)
            if field not in required:
                kind = f"NotRequired[{kind}]"
            fields.append((field, kind, comment("    # ", described(one), "    ")))
        lines = "".join(f"{about}    {field}: {kind}\n" for field, kind, about in fields)
        text = textwrap.fill(schema.get("description", name), WIDTH - 8)
        return f'\nclass {name}(TypedDict):\n    """{text}"""\n\n{lines}'.rstrip()

    def alias(self, name: str, kind: str) -> str:
        line = f"{name} = {kind}"
        if len(line) <= WIDTH or not kind.startswith("Literal["):
            return line
        words = kind[len("Literal[") : -1].split(", ")
        return f"{name} = Literal[\n" + "".join(f"    {word},\n" for word in words) + "]"


class TypeScript:
    """Interfaces."""

    def kind(self, schema: Schema) -> str:
        if "$ref" in schema:
            return name_of(schema["$ref"])
        if "oneOf" in schema:
            return " | ".join(self.kind(one) for one in schema["oneOf"])
        if "enum" in schema:
            return " | ".join(json.dumps(word) for word in schema["enum"])
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return " | ".join(self.kind({**schema, "type": kind}) for kind in kinds)
        if kinds == "array":
            item = self.kind(schema["items"])
            return f"({item})[]" if " | " in item else f"{item}[]"
        names = {"string": "string", "integer": "number", "boolean": "boolean", "null": "null"}
        return names.get(kinds, "Record<string, unknown>")

    def write(self, schemas: dict[str, Schema]) -> str:
        blocks = [self.block(name, schema) for name, schema in in_order(schemas)]
        return f"// Bodies and answers of the HTTP interface. {ABOUT}\n\n" + "\n\n".join(blocks) + "\n"

    def block(self, name: str, schema: Schema) -> str:
        about = comment("// ", schema.get("description", ""), "")
        if "properties" not in schema:
            kind = self.kind(schema)
            if len(kind) > WIDTH:
                kind = "".join(f"\n  | {word}" for word in kind.split(" | "))
            return f"{about}export type {name} = {kind.lstrip(' ')};"
        required = set(schema.get("required", []))
        lines = []
        for field, one in schema["properties"].items():
            mark = "" if field in required else "?"
            lines.append(comment("  // ", described(one), "  ") + f"  {field}{mark}: {self.kind(one)};\n")
        return f"{about}export interface {name} {{\n{''.join(lines)}}}"


def described(schema: Schema) -> str:
    inner = next((one.get("description", "") for one in schema.get("oneOf", []) if "description" in one), "")
    return str(schema.get("description", inner))


def comment(prefix: str, text: str, _indent: str) -> str:
    lines = textwrap.wrap(" ".join(text.split()), WIDTH - len(prefix))
    return "".join(f"{prefix}{line}\n" for line in lines)


def in_order(schemas: dict[str, Schema]) -> list[tuple[str, Schema]]:
    """Those without members first, because Python evaluates them where they stand."""
    simple = [(name, schema) for name, schema in schemas.items() if "properties" not in schema]
    return simple + [(name, schema) for name, schema in schemas.items() if "properties" in schema]


def answers(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """A node writes a length of time as text; that a number is read too is left out, so that answers have one type."""
    for name in ("Span", "EvictAfter", "Keep"):
        schemas[name] = {**schemas[name], "type": "string"}
    return schemas


def main() -> int:
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    schemas = answers(document["components"]["schemas"])
    stale = []
    for path, text in ((PYTHON, Python().write(schemas)), (TYPESCRIPT, TypeScript().write(schemas))):
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
    if stale:
        print(f"not as the OpenAPI document is: {', '.join(stale)}; run clients/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
