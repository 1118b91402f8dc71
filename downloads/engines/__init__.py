"""What carries a claimed job: one module for each kind of work, all in terms of `base.Run`."""
