"""A decode step in C++: compiled once on the machine it runs on, loaded through ctypes, absent where no compiler is."""
