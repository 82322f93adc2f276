"""The engine: a local GPT-2 that continues text. Importing this package loads nothing heavy."""

import os

# Read by OpenMP when torch is loaded. A thread that waits for another must not spin for long: it keeps the one it
# waits for from running. On two cores beside a busy neighbour a token of gpt2-large took 120-340 ms in its slowest
# tenth with OpenMP's default, 70-125 ms spinning some 20 microseconds, the gap between two products, and then
# sleeping; sleeping at once costs a fifth on a quiet machine.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
