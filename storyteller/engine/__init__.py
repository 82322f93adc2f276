"""The engine: a local GPT-2 that continues text. Importing this package loads nothing heavy."""

import os

# Read by OpenMP when torch is loaded. A thread that waits must not spin: on two cores with one of them busy,
# spinning made a token of the starter cost 110 ms where sleeping makes it 4. Alone on the machine it costs 2 %.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
