"""What eats a Snapshot: each output emits the bank's state to somebody, never stale, never delaying another."""
