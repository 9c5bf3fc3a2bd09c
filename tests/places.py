"""Where the tests' inputs lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS, EXAMPLES = ROOT / "benchmarks", ROOT / "examples"
#: The authors' demonstrations and goal lists; tests of them are skipped where it is absent.
DATA = Path(os.environ.get("GMPS_DATA", ROOT.parent / "shared" / "data"))
