"""The demonstration: tieline beside the plain client, against a real server that dies twice."""
