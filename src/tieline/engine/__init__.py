"""What runs the policy: target states, clock, context and the drivers."""
