"""An area with another file system mounted inside: renaming does not reach it, all else holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys
from pathlib import Path
from caterva2.storage.areas import AreaFiles
from caterva2.storage.ledger import Ledger

top = Path(sys.argv[1])
ledger = Ledger(1000, "all", lambda: 0)
files = AreaFiles(top, ledger)
assert os.stat(top).st_dev != os.stat(top / "mnt").st_dev

def put(path, data, **how):
    staged = files.stage()
    staged.write(data)
    return files.commit(staged, path, **how)

first = put("mnt/d/x.txt", b"first")
second = put("mnt/d/x.txt", b"the second", expected=first.etag)
try:
    files.rename(files.get("mnt/d/x.txt"), files, "x.txt")
    moved = None
except OSError as exc:
    moved = exc.errno
found = dict(
    content=(top / "mnt/d/x.txt").read_text(), moved=moved, used=ledger.used, promised=ledger.promised,
    again=second.etag == put("mnt/d/y.txt", b"").etag,
)
(top / "mnt/d/.incoming.left").write_bytes(b"half")
(top / "mnt/.incoming.gone").mkdir()
found["size"] = files.size()
files.clean()
files.remove("mnt/d")
found["left"] = sorted(path.relative_to(top).as_posix() for path in top.rglob("*"))
found["freed"] = ledger.used
print(json.dumps(found))
"""


@pytest.mark.may_skip("mounting takes rights that a test run seldom has")
def test_files_on_another_file_system_are_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    command = 'mount -t tmpfs none "$1/mnt" && exec "$0" -c "$2" "$1"'
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs rights to mount something")

    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, sys.executable, str(tmp_path), PROGRAM],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {
        "content": "the second", "moved": 18, "used": 10, "promised": 0, "again": False, "size": 10,
        "left": [".incoming", "mnt"], "freed": 0,
    }  # fmt: skip
