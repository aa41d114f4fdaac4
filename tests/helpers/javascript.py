"""Modules of the pages that need no page, run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import exod.web

STATIC = Path(exod.web.__file__).parent / "static" / "js"


def run_module(module: str, body: str, given: Any) -> Any:
    """What the body of a function returns that has the module as `own` and a value as `given`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    script = f"""
        import * as own from {json.dumps((STATIC / module).as_uri())};
        import {{ readFileSync }} from "node:fs";
        const given = JSON.parse(readFileSync(0, "utf8"));
        const answer = (() => {{ {body} }})();
        process.stdout.write(JSON.stringify(answer));
    """
    done = subprocess.run(
        [node, "--input-type=module", "--eval", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
