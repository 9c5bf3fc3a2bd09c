"""The imitation bound of GMPS: exact on tabular problems, estimated for trained policies."""
