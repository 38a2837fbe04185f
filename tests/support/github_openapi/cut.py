"""Cut GitHub's published API description down to the paths that the ticket tools use.

    npm pack @octokit/openapi@23.0.2
    tar xzf octokit-openapi-23.0.2.tgz package/generated/api.github.com.json
    python -m tests.support.github_openapi.cut package/generated/api.github.com.json

writes api.github.com.cut.json next to this file, under the licence next to it: the paths with everything that
they refer to, without examples and descriptions.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

CUT: Final = Path(__file__).with_name("api.github.com.cut.json")
WANTED: Final = {
    "/repos/{owner}/{repo}/issues": ("get", "post"),
    "/repos/{owner}/{repo}/issues/comments": ("get",),
    "/repos/{owner}/{repo}/issues/comments/{comment_id}": ("get", "delete"),
    "/repos/{owner}/{repo}/issues/{issue_number}": ("get", "patch"),
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ("post",),
}
_WORDS: Final = frozenset({"description", "example", "examples", "externalDocs", "summary", "tags"})


def plain(value: Any, *, is_names: bool = False) -> Any:
    """Return a part of the description without text for readers; names of properties are kept."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: plain(one, is_names=name in ("properties", "paths", "schemas", "responses"))
        for name, one in value.items()
        if is_names or not (name in _WORDS or name.startswith("x-"))
    }


def responses(named: dict[str, Any]) -> dict[str, Any]:
    """Return responses with the description that the format requires."""
    return {name: one if "$ref" in one else {"description": "", **one} for name, one in named.items()}


def operation(whole: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = plain(whole)
    return {**kept, "responses": responses(kept["responses"])}


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {found for one in value for found in references(one)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own | {found for one in value.values() for found in references(one)}


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the wanted paths with everything that they refer to."""
    kept: dict[str, Any] = {
        "openapi": whole["openapi"],
        "info": {name: whole["info"][name] for name in ("title", "version", "license")},
        "servers": whole["servers"],
        "paths": {
            path: {method: operation(whole["paths"][path][method]) for method in methods}
            for path, methods in WANTED.items()
        },
        "components": {},
    }
    waiting = references(kept["paths"])
    done: set[str] = set()
    while waiting:
        reference = waiting.pop()
        done.add(reference)
        _, section, name = reference.removeprefix("#/").split("/")
        part = plain(whole["components"][section][name])
        kept["components"].setdefault(section, {})[name] = part
        waiting |= references(part) - done
    kept["components"]["responses"] = responses(kept["components"]["responses"])
    return kept


def main() -> None:
    whole = json.loads(Path(sys.argv[1]).read_text())
    CUT.write_text(json.dumps(cut(whole), sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
