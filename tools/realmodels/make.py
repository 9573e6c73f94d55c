#!/usr/bin/env python3
"""Writes model files with the libraries that people save models with.

    /usr/bin/python3 tools/realmodels/make.py --out DIR [--only arrays,torch] [--list]

DIR/index.jsonl has a line for each file: its path below DIR, its label, the
library that wrote it and the library's version. The labels:

    benign     data that nothing runs of when it is loaded
    code       an honest file that holds functions: loading it makes code
    malicious  loading it runs something, leaves the file or asks for more
               trust than data needs; what would run is harmless ("true")

Nothing that is written is loaded again, but where a library can only convert a
file that it has read (and that is one of its own, benign). A library that is
not installed is left out, and said so; so is a writer that an installed version
does not have. Seeds are fixed, so the same versions write the same models.
"""

import argparse
import importlib
import json
import os
import pathlib
import random
import sys
import traceback
import warnings

sys.dont_write_bytecode = True

# Each family is one file of families/ with a function add(shelf).
FAMILIES = ["arrays", "tables", "learn", "boost", "torch_files", "layouts", "words", "functions", "rfiles", "science", "networks", "language",
            "standard", "operators", "pipelines", "hostile", "hostile_detours", "hostile_files"]


class Shelf:
    """Where the families put their files, and what the index says of them."""

    def __init__(self, out):
        self.out = out
        self.rows = []
        self.failures = []
        self.names = set()

    def add(self, path, label, writer, version, write):
        """Calls write(absolute path), and notes the file and its siblings.

        What write returns replaces the list of files: one writer may make
        several. A writer that fails is reported and costs only its own file.
        """
        if path in self.names:
            raise SystemExit(f"two files are called {path}")
        self.names.add(path)
        target = self.out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        seed()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = write(str(target))
        except Exception as err:  # one estimator that a version lacks
            self.failures.append((path, f"{type(err).__name__}: {err}".splitlines()[0][:160]))
            if os.environ.get("REALMODELS_TRACE"):
                traceback.print_exc()
            target.unlink(missing_ok=True)
            return
        files = made if isinstance(made, (list, tuple)) else [target]
        for name in files:
            name = pathlib.Path(name)
            row = {"path": str(name.relative_to(self.out)), "label": label, "writer": writer, "version": str(version)}
            self.rows.append(row)

    def bytes(self, path, label, writer, version, content):
        """Like add, of a function that returns the content."""
        self.add(path, label, writer, version, lambda target: pathlib.Path(target).write_bytes(content()) and None)

    def close(self):
        with open(self.out / "index.jsonl", "w") as index:
            for row in self.rows:
                print(json.dumps(row), file=index)


def seed():
    random.seed(20)
    for name, call in (("numpy", lambda m: m.random.seed(20)), ("torch", lambda m: m.manual_seed(20))):
        if name in sys.modules:
            call(sys.modules[name])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=pathlib.Path, help="a directory that is made, or empty")
    parser.add_argument("--only", default="", help="families, separated by commas; all when it is not given")
    parser.add_argument("--list", action="store_true", help="also print each file")
    args = parser.parse_args()
    # Sets have another order in each process unless this is fixed.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"})
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    if any(args.out.iterdir()):
        raise SystemExit(f"{args.out} is not empty")
    shelf = Shelf(args.out)
    missing = []
    for name in [n for n in args.only.split(",") if n] or FAMILIES:
        try:
            family = importlib.import_module(f"families.{name}")
        except ImportError as err:
            missing.append(f"{name}: {err}")
            continue
        family.add(shelf)
    shelf.close()
    if args.list:
        for row in shelf.rows:
            print(row["label"], row["path"], row["writer"], row["version"])
    for path, why in shelf.failures:
        print(f"not made: {path}: {why}", file=sys.stderr)
    for why in missing:
        print(f"left out: {why}", file=sys.stderr)
    count = {label: sum(row["label"] == label for row in shelf.rows) for label in ("benign", "code", "malicious")}
    print(f"{len(shelf.rows)} files in {args.out}: {count}")


if __name__ == "__main__":
    main()
